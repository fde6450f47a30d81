"""What one caller could do to another through what the guard shares between them: the connections to the model."""

import asyncio
from pathlib import Path

from tests.unit.guard import scripted
from tests.unit.guard.scripted import whole

from bartizan.guard.deadlines import Deadlines
from bartizan.guard.reply import Source
from bartizan.guard.settings import Address
from bartizan.guard.upstream import Upstream
from bartizan.guard.upstream_connection import AnswerHead


class Caller:
    """Takes an answer; one that `reads_slowly` asks to wait just as the last bytes are handed to it."""

    def __init__(self, *, reads_slowly: bool) -> None:
        self._reads_slowly = reads_slowly
        self.has_ended = False

    def begin(self, source: Source) -> None:
        self._source = source

    def sent(self) -> None:
        pass

    def head(self, head: AnswerHead) -> None:
        pass

    def piece(self, data: bytes) -> None:
        pass

    def flush(self) -> None:
        pass

    def end(self) -> None:
        if self._reads_slowly:
            self._source.pause()
        self.has_ended = True


def test_a_caller_that_reads_slowly_leaves_no_deaf_connection_to_the_next(tmp_path: Path) -> None:
    with scripted.scripted(tmp_path / "model.sock", whole(b"{}"), stays=True) as server:

        async def ask_twice() -> list[bool]:
            upstream = Upstream(Address(path=str(server.path)), Deadlines(), answer_seconds=1)
            callers = [Caller(reads_slowly=True), Caller(reads_slowly=False)]
            async with asyncio.timeout(10):
                for caller in callers:
                    await upstream.forward(b"/v1/chat/completions", b"{}", caller)
            upstream.close()
            return [caller.has_ended for caller in callers]

        assert asyncio.run(ask_twice()) == [True, True]
