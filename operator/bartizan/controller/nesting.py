"""How deeply nested objects the operator must be able to read: as deep as an API server takes them.

Anyone who may write a ModelDeployment may nest its template ten thousand levels deep. One such object is in every list
and on every watch of its kind; whoever cannot read it sees none of the others either.
"""

import resource
import sys
import threading

DEEPEST = 10_000
"""Kubernetes' JSON decoder refuses more: `maxNestingDepth` in sigs.k8s.io/json, as in Go's encoding/json."""

FRAMES = 6 * DEEPEST
"""For whatever recurses once for each level with a few calls in between."""

STACK_BYTES = 64 * 1024 * 1024
"""Address space, of which only what is used is memory; json's scanner was seen to use less than 4 MiB for `DEEPEST`."""


def prepare() -> None:
    """Before the first thread starts: room for `DEEPEST` in this one and in those to come."""
    sys.setrecursionlimit(FRAMES)
    threading.stack_size(STACK_BYTES)
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    wanted = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))
