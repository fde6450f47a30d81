"""A real Kubernetes on this machine, for tests and the demo.

Law: whatever it starts, mounts or creates carries the cluster's state directory or a ``bartizan`` name, so that
``down`` finds it again whoever died in between; nothing outside of that is ever touched.
"""
