"""Knows how the enforcer runs: follow the cluster, render, hand the table to nft, take it away at the end."""

import argparse
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from tests.localcluster.enforcer.mirror import Api, Mirror
from tests.localcluster.enforcer.ruleset import render

POLICIES = "/apis/networking.k8s.io/v1/networkpolicies"
PODS = "/api/v1/pods"
NAMESPACES = "/api/v1/namespaces"


@dataclass
class Enforcer:
    table: str
    policies: Mirror
    pods: Mirror
    namespaces: Mirror
    loaded: str = ""

    @property
    def mirrors(self) -> tuple[Mirror, Mirror, Mirror]:
        return self.policies, self.pods, self.namespaces

    def enforce(self) -> None:
        """Swap the table, if it would differ. A table that nft refuses leaves the last one in force."""
        lists = [list(mirror.objects.values()) for mirror in self.mirrors]
        text = render(*lists, table=self.table)
        if text != self.loaded and load(text):
            self.loaded = text

    def run(self, changed: threading.Event) -> None:
        for mirror in self.mirrors:
            threading.Thread(target=mirror.follow_for_ever, daemon=True).start()
        while True:
            changed.wait()
            changed.clear()
            if all(mirror.is_synced for mirror in self.mirrors):
                self.enforce()


def load(text: str) -> bool:
    done = subprocess.run(["nft", "-f", "-"], input=text, text=True, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        print(f"nft refused the table:\n{done.stderr}", file=sys.stderr, flush=True)
    return done.returncode == 0


def remove(table: str) -> None:
    load(f"table inet {table}\ndelete table inet {table}\n")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="enforcer", description="Enforces NetworkPolicies on this node with nft.")
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--table", default="bartizan_np", help="name of the nft table, in the family inet")
    parser.add_argument("--once", action="store_true", help="load the table as of now, leave it there, end")
    return parser.parse_args()


def main() -> int:
    arguments = parse()
    api, changed = Api.of(arguments.kubeconfig), threading.Event()
    policies, pods, namespaces = (Mirror(api, path, changed.set) for path in (POLICIES, PODS, NAMESPACES))
    enforcer = Enforcer(arguments.table, policies, pods, namespaces)
    if arguments.once:
        for mirror in enforcer.mirrors:
            mirror.relist()
        enforcer.enforce()
        return 0 if enforcer.loaded else 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    try:
        enforcer.run(changed)
    finally:
        remove(arguments.table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
