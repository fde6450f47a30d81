"""Counts input with the model's own tokenizer where its bytes do not say whether it fits; closed where it cannot."""

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

from bartizan.guard import costs, log, model_texts, tokenizer_file
from bartizan.guard.body import Body
from bartizan.guard.enforcement import Enforcement
from bartizan.guard.profiles.contract import Route
from bartizan.guard.refusal import Refusal, unavailable
from bartizan.guard.tokenizer_file import Fingerprint, Place, Reader, TokenizerError
from bartizan.policy.reasons import Reason

RETRY_SECONDS = 5
MOST_CHARACTERS = 32 << 10
"""Of one portion: some 10 to 40 ms of the thread, which callers take in turns, and 6 MiB while it is counted."""
MOST_TEXTS = 512
COUNT_SECONDS = 30
"""For all of one request: two megabytes take up to three, so this is for many at once, or a tokenizer that hangs."""

UNCOUNTED = "So long a request must be counted, and cannot be now; try again shortly, or shorten it."


class Tokenizer:
    """`reason` is GuardReady, or why there is nothing to count with. What was read once stays until the guard ends."""

    def __init__(self, place: Place) -> None:
        self.reason = Reason.TOKENIZER_ABSENT
        self._place = place
        self._reader: Reader | None = None
        self._seen: Fingerprint | None = None
        self._is_told = False
        self._thread = ThreadPoolExecutor(1, "tokenizer")

    @property
    def is_good(self) -> bool:
        return self.reason is Reason.GUARD_READY

    async def run(self) -> None:
        """Look again until cancelled: a volume may fill late."""
        while True:
            await asyncio.sleep(RETRY_SECONDS)
            self.look()

    def look(self) -> None:
        """Read the file, unless that is done, or it is the one that was no good before."""
        if self._reader is not None or (self._seen is not None and self._seen == tokenizer_file.look(self._place)):
            return
        try:
            text, self._seen = tokenizer_file.read(self._place)
            self._reader = Reader(text)
        except TokenizerError as error:
            self._refuse(Reason.TOKENIZER_REFUSED, str(error))
        except OSError as error:
            self._seen = None
            self._refuse(Reason.TOKENIZER_ABSENT, tokenizer_file.explain(error))
        else:
            self.reason = Reason.GUARD_READY
            log.info("tokenizer taken up", bytes=len(text))

    def _refuse(self, reason: Reason, why: str) -> None:
        if reason is not self.reason or not self._is_told:
            log.warning("tokenizer refused", reason=reason, why=why)
        self.reason, self._is_told = reason, True

    async def judge(self, judged: Body, route: Route, enforcement: Enforcement) -> None:
        """Raises Refusal where the request has more tokens than it may, or nobody can tell."""
        caps = enforcement.caps
        if judged.most.input <= caps.max_input_tokens:
            return  # a token stands for a byte at least
        assert route.account is not None  # noqa: S101 -- it has a body
        media, images = enforcement.document.media, set[int]()
        if media is not None and route.images is not None:
            images = {id(image) for image in route.images(judged.value)}
        texts = model_texts.read(judged.value, images, enforcement.document.allow_fields)
        beside = texts.figures + costs.fixed(judged.value, route.account, caps)
        beside += len(images) * media.tokens if media is not None else 0
        count = beside + await self._count(texts.found)
        if count > caps.max_input_tokens:
            message = f"The request has {count} tokens, and at most {caps.max_input_tokens} are read here; shorten it."
            raise Refusal(Reason.INPUT_TOO_LONG, message)

    async def _count(self, texts: list[str]) -> int:
        if self._reader is None:
            raise unavailable(Reason.TOKENIZER_UNAVAILABLE, UNCOUNTED)
        try:
            async with asyncio.timeout(COUNT_SECONDS):
                return await self._count_in_turns(self._reader, model_texts.jobs(texts, MOST_CHARACTERS, MOST_TEXTS))
        except (TokenizerError, TimeoutError) as error:
            if self.is_good:
                log.warning("tokenizer fails", why=str(error) or "a request's text takes too long to be counted")
            self.reason = Reason.TOKENIZER_REFUSED
            raise unavailable(Reason.TOKENIZER_UNAVAILABLE, UNCOUNTED) from error

    async def _count_in_turns(self, reader: Reader, jobs: Iterable[list[str]]) -> int:
        """One portion after the other, so that others' come in between; who leaves has no more than one in line."""
        loop, total = asyncio.get_running_loop(), 0
        for job in jobs:
            total += await loop.run_in_executor(self._thread, reader.count, job)
        self.reason = Reason.GUARD_READY
        return total
