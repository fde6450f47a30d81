"""Bartizan gates and monitors every model endpoint of a Kubernetes cluster."""
