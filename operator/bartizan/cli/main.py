"""`bartizan`: the subcommands, each of which loads only what it needs (the guard must not pay for the operator)."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

SERVERS = {
    "operator": ("bartizan.controller.main", "run the operator"),
    "guard": ("bartizan.guard.main", "run the guard of one model"),
}
"""Take their arguments themselves."""

COMMANDS = {
    "render": ("bartizan.cli.render", "print what a ModelDeployment would own, without a cluster"),
    "audit": ("bartizan.cli.audit", "say whether guards' audits are whole, from their logs"),
    "check": ("bartizan.cli.check", "say what is wrong with a ModelDeployment, without a cluster"),
}
"""Each module has `configure(parser)` and `run(arguments) -> int`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 well, 1 a refusal or failure, 2 a wrong command line."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _dispatch(given)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _dispatch(given: list[str]) -> int:
    if given and given[0] in SERVERS:
        server = importlib.import_module(SERVERS[given[0]][0])
        return int(server.main(given[1:]))
    if given and given[0] in COMMANDS:
        return _command(given[0], given[1:])
    return _usage(given)


def _command(name: str, arguments: list[str]) -> int:
    module = importlib.import_module(COMMANDS[name][0])
    parser = argparse.ArgumentParser(prog=f"bartizan {name}", description=COMMANDS[name][1], allow_abbrev=False)
    module.configure(parser)
    return int(module.run(parser.parse_args(arguments)))


def _usage(given: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bartizan", description="Gates every model endpoint of a cluster.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, (_, text) in {**SERVERS, **COMMANDS}.items():
        commands.add_parser(name, help=text)
    parser.parse_args(given)
    return 0
