"""The command line: ``python -m tests.localcluster --help``."""

import argparse
import sys
from pathlib import Path

from tests.localcluster import images, lifecycle, places, record
from tests.localcluster.binaries import tool
from tests.localcluster.complaints import Complaint
from tests.localcluster.record import Level

_DEFAULT_NAME = "local"


def main() -> int:
    arguments = _parser().parse_args()
    try:
        arguments.act(arguments)
    except Complaint as complaint:
        print(f"localcluster: {complaint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("localcluster: interrupted; the same command goes on, `down` cleans up", file=sys.stderr)
        return 130
    return 0


def _up(arguments: argparse.Namespace) -> None:
    lifecycle.sweep()
    made = lifecycle.up(arguments.name, Level(arguments.level))
    lifecycle.keep(arguments.name)
    print(made.places.kubeconfig)


def _down(arguments: argparse.Namespace) -> None:
    for name in record.names() if arguments.all else [arguments.name]:
        if not lifecycle.down(name):
            print(f"there is no cluster {name!r}", file=sys.stderr)


def _status(arguments: argparse.Namespace) -> None:
    for name in [arguments.name] if arguments.name else record.names():
        known = record.read(name)
        if known is None and name not in record.names():
            print(f"there is no cluster {name!r}", file=sys.stderr)
            continue
        print(f"{name}: {known.level} at {known.server}" if known else f"{name}: died while it was made")
        for component, health in lifecycle.status(name) if known else []:
            print(f"  {component:24} {health}")


def _kubeconfig(arguments: argparse.Namespace) -> None:
    print(lifecycle.existing(arguments.name).places.kubeconfig)


def _load_image(arguments: argparse.Namespace) -> None:
    print("\n".join(images.load(lifecycle.existing(arguments.name), arguments.file)))


def _path(arguments: argparse.Namespace) -> None:
    print(tool(arguments.tool))


def _stop_component(arguments: argparse.Namespace) -> None:
    lifecycle.stop(arguments.name, arguments.component)


def _start_component(arguments: argparse.Namespace) -> None:
    lifecycle.start(arguments.name, arguments.component)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.localcluster", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("up", help="bring a cluster up, or heal it; prints its kubeconfig's path")
    one.add_argument("level", choices=[level.value for level in Level])
    _add_name(one, _up)
    one = commands.add_parser("down", help="take a cluster down and leave nothing")
    one.add_argument("--all", action="store_true", help=f"all clusters in {places.clusters()}")
    _add_name(one, _down)
    one = commands.add_parser("status", help="which components run and are ready")
    _add_name(one, _status, default=None)
    one = commands.add_parser("kubeconfig", help="print the kubeconfig's path")
    _add_name(one, _kubeconfig)
    one = commands.add_parser("load-image", help="import a docker-archive into the node; prints its names")
    one.add_argument("file", type=Path)
    _add_name(one, _load_image)
    one = commands.add_parser("path", help="print where a tool is, building it first if need be")
    one.add_argument("tool", help="helm, kubectl, kube-apiserver, …")
    one.set_defaults(act=_path)
    for verb, act in (("stop", _stop_component), ("start", _start_component)):
        one = commands.add_parser(f"{verb}-component", help=f"{verb} one component, such as the enforcer")
        one.add_argument("name", help="of the cluster")
        one.add_argument("component")
        one.set_defaults(act=act)
    return parser


def _add_name(parser: argparse.ArgumentParser, act: object, default: str | None = _DEFAULT_NAME) -> None:
    parser.add_argument("--name", default=default, help=f"the cluster's name (default: {default or 'all'})")
    parser.set_defaults(act=act)


if __name__ == "__main__":
    sys.exit(main())
