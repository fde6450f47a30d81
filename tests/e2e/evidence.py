"""What models and guards have written down: which requests reached a model, and which a guard let through."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.endpoint import GUARD, Endpoint, lines
from tests.localcluster import lifecycle, sandbox


@dataclass
class Evidence:
    """By hash of the body: each request of a load has a prompt, and so a body, of its own.

    Only prompts that begin with `prefix` count: a model's log reaches further back than those of its guard's instances,
    of which a kubelet keeps two.
    """

    prefix: str
    received: dict[str, str] = field(default_factory=dict)
    """The prompt and the pod whose model got it."""
    let_through: set[str] = field(default_factory=set)

    @property
    def unguarded(self) -> set[str]:
        """What reached a model, and no guard says that it let it through."""
        return {where for body, where in self.received.items() if body not in self.let_through}

    @property
    def prompts(self) -> set[str]:
        return {where.partition(" ")[0] for where in self.received.values()}

    def collect(self, endpoint: Endpoint) -> "Evidence":
        """Reads the logs of every pod's containers; a kubelet keeps that of one container before the running one."""
        for pod in endpoint.pods():
            name = pod["metadata"]["name"]
            for line in _logs(endpoint, pod, "model"):
                self._take_received(line, name)
            for line in _logs(endpoint, pod, GUARD):
                if line.get("audit") == "decision" and line["reason"] == "Allowed" and line["bodySha256"]:
                    self.let_through.add(line["bodySha256"])
        return self

    def _take_received(self, line: dict[str, Any], pod: str) -> None:
        if line.get("event") == "received" and line["method"] == "POST":
            prompt = json.loads(line["body"])["messages"][-1]["content"]
            if not prompt.startswith(f"{self.prefix}-"):
                return
            self.received[hashlib.sha256(line["body"].encode()).hexdigest()] = f"{prompt} in {pod}"


def _logs(endpoint: Endpoint, pod: dict[str, Any], container: str) -> Iterator[dict[str, Any]]:
    """Of all instances that the node still keeps, as the runtime wrote them: time, stream, flag, text."""
    metadata = pod["metadata"]
    folder = f"/var/log/pods/{metadata['namespace']}_{metadata['name']}_{metadata['uid']}/{container}"
    kept = sandbox.run(lifecycle.existing(endpoint.stage.cluster.name), "sh", "-c", f"cat {folder}/*.log")
    yield from lines("\n".join(line.split(" ", 3)[-1] for line in kept.splitlines()))
