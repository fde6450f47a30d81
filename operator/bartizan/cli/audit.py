"""`bartizan audit`: says whether guards' audits are whole, from their lines as logs keep them."""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, BinaryIO

MARK = b'{"audit":'
"""How each line of an audit begins; before it may stand what a log puts there, and other lines are none."""
FIRST = "0" * 64
MOST_SHOWN = 5


@dataclass
class Chain:
    """One guard process's lines, as far as they were kept. `breaks` says where one does not follow from the other."""

    name: str
    endpoint: str
    first: int
    number: int
    digest: str
    begins: str
    ends: str
    decisions: int = 0
    let_through: int = 0
    lost: int = 0
    open: dict[str, None] = field(default_factory=dict)
    """Requests that were let through and have no outcome, in their order."""
    breaks: list[str] = field(default_factory=list)

    def follow(self, entry: dict[str, Any]) -> None:
        self.ends = entry["at"]
        self.lost += entry["lost"]
        if entry["audit"] == "outcome":
            self.open.pop(entry["request"], None)
        elif entry["audit"] == "decision":
            self.decisions += 1
            if entry["reason"] == "Allowed":
                self.let_through += 1
                self.open[entry["request"]] = None

    def told(self) -> Iterator[str]:
        yield f"chain {self.name} of {self.endpoint}: lines {self.first} to {self.number}, {self.begins} to {self.ends}"
        yield f"  {self.decisions} decisions, {self.let_through} let through; {self.lost} lines were never written"
        if self.first:
            yield f"  the {self.first} lines before are not here: rotated away, or taken"
        if self.open:
            named = ", ".join(list(self.open)[:MOST_SHOWN]) + (" …" if len(self.open) > MOST_SHOWN else "")
            yield f"  {len(self.open)} without an outcome (under way at the end, or the guard was killed): {named}"
        yield from (f"  BROKEN: {text}" for text in self.breaks)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Check the hash chains of guards' audits: no line was changed, taken out or put in, unless the chain was made "
        "anew from there or ends there. Lines of other programs are passed over. Exit code 1 if a chain is broken, or "
        "there is none."
    )
    parser.add_argument("action", choices=["verify"])
    parser.add_argument("files", nargs="*", metavar="FILE", help="logs in the order of time; standard input by default")


def run(arguments: argparse.Namespace) -> int:
    with ExitStack() as held:
        try:
            files = [held.enter_context(open(name, "rb")) for name in arguments.files]  # noqa: PTH123 -- a list of them
        except OSError as error:
            print(f"{error.filename}: cannot be read: {error.strerror}", file=sys.stderr)
            return 2
        chains, damaged = verify(_lines(files or [sys.stdin.buffer]))
    for chain in chains:
        print(*map(_shown, chain.told()), sep="\n")
    for text in damaged:
        print(_shown(f"BROKEN: {text}"))
    if not chains:
        print('no line of an audit is there: pipe in the log of the container "bartizan-guard"')
    is_whole = bool(chains) and not damaged and not any(chain.breaks for chain in chains)
    print("whole" if is_whole else "not whole")
    return 0 if is_whole else 1


def verify(lines: Iterable[bytes]) -> tuple[list[Chain], list[str]]:
    """The chains in these lines, and what is said of lines that cannot be read."""
    chains: dict[str, Chain] = {}
    damaged = []
    for place, line in enumerate(lines, 1):
        _, mark, rest = line.partition(MARK)
        if not mark:
            continue
        text = mark + rest.rstrip(b"\r\n")
        try:
            entry = json.loads(text)
            _take(chains, entry, hashlib.sha256(text).hexdigest())
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            damaged.append(f"line {place} of the input cannot be read: {error!r}")
    return list(chains.values()), damaged


def _take(chains: dict[str, Chain], entry: dict[str, Any], digest: str) -> None:
    number, name = entry["number"], entry["chain"]
    chain = chains.get(name)
    if chain is None:
        chain = chains[name] = Chain(name, entry["endpoint"], number, number, digest, entry["at"], entry["at"])
        if (number == 0) != (entry["previous"] == FIRST) or (number == 0) != (entry["audit"] == "start"):
            chain.breaks.append(f"line {number} is not the first that it seems to be")
    elif number != chain.number + 1:
        chain.breaks.append(f"after line {chain.number} comes line {number}")
    elif entry["previous"] != chain.digest:
        chain.breaks.append(f"line {chain.number} or {number} was changed: they do not follow from each other")
    chain.number, chain.digest = number, digest
    chain.follow(entry)


def _shown(text: str) -> str:
    """Without what would move a terminal: a log may hold anybody's lines."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _lines(files: Iterable[BinaryIO]) -> Iterator[bytes]:
    for file in files:
        yield from file
