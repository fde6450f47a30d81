"""What is measured: one file a peer, each of which knows how that peer is installed, started and spoken to."""
