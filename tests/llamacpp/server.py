"""Runs llama.cpp's server on a unix socket with the hand-set model, and asks it what it is doing."""

import contextlib
import json
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.llamacpp import build, tiny_model
from tests.unit.guard.running import eventually, read_all

SLOTS = 2


@dataclass
class LlamaServer:
    path: Path
    process: "subprocess.Popen[bytes]"

    @property
    def upstream(self) -> str:
        return f"unix:{self.path}"

    def busy(self) -> int:
        """How many of its slots generate now."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(self.path))
            sock.sendall(b"GET /slots HTTP/1.1\r\nHost: model\r\nConnection: close\r\n\r\n")
            _, _, body = read_all(sock).partition(b"\r\n\r\n")
        return sum(slot["is_processing"] for slot in json.loads(body[body.index(b"[") : body.rindex(b"]") + 1]))


@contextlib.contextmanager
def llama(folder: Path) -> Iterator[LlamaServer]:
    """A started server, ended and reaped at the exit; its answers' `model` is the document's."""
    path, weights = folder / "llama.sock", folder / "tiny.gguf"
    weights.write_bytes(tiny_model.build())
    places = ["-m", str(weights), "--alias", "demo", "--host", str(path)]
    size = ["-t", "1", "-tb", "1", "--no-warmup", "-c", str(SLOTS * tiny_model.CONTEXT), "-np", str(SLOTS), "--slots"]
    with (folder / "llama.log").open("wb") as log:
        process = subprocess.Popen([build.build(), *places, *size], stdout=log, stderr=log)
    try:
        eventually(lambda: "listening on" in (folder / "llama.log").read_text(), "llama.cpp listens")
        yield LlamaServer(path, process)
    finally:
        process.kill()
        process.wait()
