"""Knows the model server's arguments and its listening sockets."""

import argparse
import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from .server import ModelServer


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="modelserver", description="A deterministic model.")
    parser.add_argument("--socket", help="listen on this unix socket")
    parser.add_argument("--port", type=int, help="listen on this TCP port")
    parser.add_argument("--host", default="127.0.0.1", help="address of the TCP port")
    parser.add_argument("--model", default="demo", help="the name in every answer")
    parser.add_argument("--log", help="JSON lines of requests go to this file; - is stdout")
    parsed = parser.parse_args(arguments)
    if parsed.socket is None and parsed.port is None:
        parser.error("give --socket, --port or both")
    return parsed


def listeners(arguments: argparse.Namespace) -> Iterator[socket.socket]:
    """Bind as vLLM does: a stale socket is an error, and the umask gives the mode."""
    if arguments.socket is not None:
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(arguments.socket)
        yield unix
    if arguments.port is not None:
        yield socket.create_server((arguments.host, arguments.port))


@contextlib.contextmanager
def opened(log: str | None) -> Iterator[TextIO | None]:
    if log is None or log == "-":
        yield sys.stdout if log else None
        return
    with Path(log).open("a") as file:
        yield file


async def serve(arguments: argparse.Namespace, log: TextIO | None) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    model = ModelServer(arguments.model, log)
    for listener in listeners(arguments):
        await asyncio.start_server(model.serve_connection, sock=listener, limit=1 << 20)
        print(f"listening on {listener.getsockname()}", file=sys.stderr, flush=True)
    await stopped.wait()


if __name__ == "__main__":
    parsed = parse(sys.argv[1:])
    with opened(parsed.log) as log:
        asyncio.run(serve(parsed, log))
