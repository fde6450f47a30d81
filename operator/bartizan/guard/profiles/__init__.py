"""What each protocol allows: one file a protocol, data where data will do."""
