"""A guard and a model under load, each of which may die and is started anew as a kubelet would, and their records."""

import contextlib
import hashlib
import os
import shutil
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests import forkserver
from tests.faults.callers import GOOD, Callers, Kind
from tests.fuzz.wire.audit_tail import AuditTail
from tests.unit.guard import running, valkeys
from tests.unit.guard.running import DOCUMENT, SIGNING_KEY, Guard, chat, eventually

from bartizan.guard.store import PASSWORD_FILE, USER_FILE
from bartizan.policy import document as documents
from bartizan.policy.document import SharedStore

FLAGS = ("--answer-seconds", "1", "--reader-seconds", "2", "--header-seconds", "2", "--body-seconds", "2")
MOST_MIB = 100


class Pump:
    """Takes the guard's audit from its pipe into a file, as a container runtime does; it may stall."""

    def __init__(self, source: int, file: Path) -> None:
        self._may_go_on = threading.Event()
        self._may_go_on.set()
        self._thread = threading.Thread(target=self._run, args=(source, file), daemon=True)
        self._thread.start()

    def stall(self) -> None:
        self._may_go_on.clear()

    def go_on(self) -> None:
        self._may_go_on.set()

    def finish(self) -> None:
        """Return once the pipe is empty and closed."""
        self.go_on()
        self._thread.join()

    def _run(self, source: int, file: Path) -> None:
        with file.open("ab", buffering=0) as out, os.fdopen(source, "rb", buffering=0) as pipe:
            while data := pipe.read(4096):
                self._may_go_on.wait()
                out.write(data)


class Stand:
    """`module` is what runs as the guard; `to_file` gives it a file for its audit in place of a pipe.

    With `has_store` it counts in a Valkey.
    """

    def __init__(
        self, folder: Path, *, module: str = "bartizan.guard.main", to_file: bool = False, has_store: bool = False
    ) -> None:
        self.folder = folder
        folder.mkdir()
        self._module, self._to_file = module, to_file
        self._lives = self._model_lives = 0
        self._open = contextlib.ExitStack()
        self.store = self._open.enter_context(valkeys.running(folder)) if has_store else None
        if has_store:
            (folder / PASSWORD_FILE).write_text(valkeys.PASSWORD)
            (folder / USER_FILE).write_text("")
        self.document = folder / "document"
        self.document.write_bytes(self._encoded(DOCUMENT.version))
        self.version = DOCUMENT.version
        self.restarts = -1
        self.pump: Pump | None = None
        self.start_model()
        self.start_guard()
        self.tokens_at_first = self.tokens_left()

    # The guard

    def start_guard(self) -> None:
        self._lives += 1
        self.restarts += 1
        home = self.folder / f"guard-{self._lives}"
        home.mkdir()
        reader, writer = os.pipe()
        out = os.open(home / "audit", os.O_WRONLY | os.O_CREAT | os.O_APPEND) if self._to_file else writer
        flags = running.arguments(self.folder, f"unix:{self.folder / 'model.sock'}")
        with (home / "log").open("wb") as log:
            process = forkserver.start(
                self._module, [*flags, *FLAGS], stdout=out, stderr=log.fileno(), BARTIZAN_FAULTS=str(self.folder)
            )
        for descriptor in {writer, out}:
            os.close(descriptor)
        self.pump = None if self._to_file else Pump(reader, home / "audit")
        if self._to_file:
            os.close(reader)
        ports = eventually(lambda: running.ports_of(home, process), "the guard has started")
        self.guard = Guard(home, process, ports)

    def end_guard(self) -> None:
        """Reap it, and take the last of its audit."""
        self.guard.process.kill()
        self.guard.process.wait()
        if self.pump is not None:
            self.pump.finish()

    def write(self, text: bytes) -> None:
        """Put a document in place at once, as a kubelet does."""
        fresh = self.folder / "fresh"
        fresh.write_bytes(text)
        fresh.rename(self.document)

    def new_document(self) -> bytes:
        self.version += 1
        return self._encoded(self.version)

    def _encoded(self, version: int) -> bytes:
        store = SharedStore("127.0.0.1", self.store.port) if self.store else None
        return documents.encode(running.document(version=version, store=store), SIGNING_KEY).encode()

    # The model

    def start_model(self) -> None:
        self._model_lives += 1
        path, log = self.folder / "model.sock", self.folder / f"model-{self._model_lives}.log"
        path.unlink(missing_ok=True)
        flags = ["--socket", str(path), "--log", str(log)]
        with (self.folder / "model.err").open("wb") as errors:
            self.model = forkserver.start("tests.modelserver", flags, stdout=errors.fileno(), stderr=errors.fileno())
        eventually(lambda: "listening" in (self.folder / "model.err").read_text(), "the model listens")

    def end_model(self) -> None:
        self.model.kill()
        self.model.wait()

    def received(self) -> Counter[str]:
        """What reached any of the models, by the hash of its body."""
        found: Counter[str] = Counter()
        for log in self.folder.glob("model-*.log"):
            for event in running.Model(self.folder, log, self.model).received():
                found[hashlib.sha256(event["body"].encode()).hexdigest()] += 1
        return found

    # Both

    def callers(self, kinds: Sequence[Kind]) -> Callers:
        return Callers(kinds, lambda: self.guard.port)

    def recover(self) -> None:
        """What is dead is started anew; returns once a request is answered as it should be."""
        eventually(self._is_well, "the endpoint serves again")

    def _is_well(self) -> bool:
        if self.model.poll() is not None:
            self.start_model()
        if self.guard.process.poll() is not None:
            self.end_guard()
            self.start_guard()
        try:
            return self.guard.ask(chat("well?"), key=GOOD).status == 200
        except OSError:
            return False

    def tokens_left(self) -> int:
        """What a request is told that is left; the same whenever nothing else is held and all has refilled."""
        return int(self.guard.ask(chat("well?"), key=GOOD).headers["x-ratelimit-remaining-tokens"])

    def audits(self) -> list[AuditTail]:
        """The audit of each life of the guard, its chain checked."""
        tails = [AuditTail(file) for file in self.folder.glob("guard-*/audit")]
        for tail in tails:
            tail.follow()
        return tails

    def close(self) -> None:
        self.end_guard()
        self.end_model()
        self._open.close()
        shutil.rmtree(self.folder, ignore_errors=True)
