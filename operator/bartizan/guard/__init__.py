"""Keeps it so: the proxy in front of one model, which refuses whatever it cannot prove to be allowed."""
