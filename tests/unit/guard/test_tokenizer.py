"""Input counted with the model's tokenizer: to the token in every protocol, closed without it, and nobody waits."""

import asyncio
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from tests.unit.guard import running
from tests.unit.guard import tokenizers_made as made
from tests.unit.guard.running import SIGNING_KEY, Guard, Model, document, eventually
from tests.unit.guard.stand import Stand

from bartizan.guard import model_texts, tokenizer, tokenizer_file
from bartizan.guard.pipeline import Pipeline
from bartizan.guard.tokenizer import Tokenizer
from bartizan.guard.tokenizer_file import Place, Reader, TokenizerError
from bartizan.policy import document as documents
from bartizan.policy.reasons import Reason

MOST = 200
TOO_LONG = f"The request has {MOST + 1} tokens, and at most {MOST} are read here; shorten it."


def limited(**changes: Any) -> documents.GuardDocument:
    return document(max_input_tokens=MOST, max_output_tokens=100, **changes)


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made.words(tmp_path_factory.mktemp("mount") / "tokenizer.json").parent


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory, model: Model, mount: Path) -> Iterator[Guard]:
    folder = tmp_path_factory.mktemp("counting")
    with running.guard(folder, model.upstream, *made.flags(mount), given=limited()) as started:
        yield started


def answered(count: int) -> dict[str, Any]:
    return {"model": "demo", "input": made.said(count)}


def message(count: int) -> dict[str, Any]:
    return {**made.chat(count), "max_tokens": 5}


def tensor(count: int) -> dict[str, Any]:
    return {"inputs": [{"name": "in", "datatype": "BYTES", "shape": [1], "data": [made.said(count)]}]}


Body = Callable[[int], dict[str, Any]]
PROTOCOLS: dict[str, tuple[str, str, Body, int]] = {
    "chat": ("OpenAI", running.CHAT, made.chat, 8 + 1),
    "responses": ("OpenAI", "/v1/responses", answered, 8),
    "messages": ("Anthropic", "/v1/messages", message, 8 + 1),
    "kserve": ("KServeV2", "/v2/models/demo/infer", tensor, 8 + 3),
}
"""Protocol, path, a body of so many words, and what it counts beside them: 8 a message, its role or a tensor's head."""


@pytest.mark.parametrize("name", PROTOCOLS)
def test_exactly_the_limit_passes_and_one_token_more_does_not(
    name: str, tmp_path: Path, model: Model, mount: Path
) -> None:
    protocol, path, body, beside = PROTOCOLS[name]
    given = limited(protocol=protocol)
    with running.guard(tmp_path, model.upstream, *made.flags(mount), given=given) as started:
        before = len(model.received())
        started.ask(body(MOST - beside), path=path, anthropic_version="2023-06-01")
        assert len(model.received()) == before + 1, "the model was asked"
        refused = started.ask(body(MOST - beside + 1), path=path, anthropic_version="2023-06-01")
        assert (refused.status, len(model.received())) == (400, before + 1)
        assert TOO_LONG in refused.body.decode()
        assert started.audited(refused.headers["X-Request-Id"])[-1]["reason"] == "InputTooLong"


def test_what_bytes_alone_show_to_be_too_long_is_refused_as_ever(guard: Guard) -> None:
    refused = guard.ask(running.chat("x" * (16 * MOST)))
    assert refused.code == "context_length_exceeded"
    assert "longer than 200 tokens can be" in refused.body.decode()


def test_a_special_token_within_a_text_is_what_the_tokenizer_makes_of_it(guard: Guard) -> None:
    special = "<|im_start|>"
    assert guard.ask(running.chat(special * (MOST - 9))).status == 200
    assert guard.ask(running.chat(special * (MOST - 8))).status == 400


def test_tools_count_as_the_json_that_they_are(guard: Guard) -> None:
    """Numbers, names and brackets are read, too: none is a way round."""
    filler = [0] * 300
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "enum": filler}}}
    body = {**made.chat(MOST - 9 - 2), "tools": [tool]}  # its type, and its JSON, which has no blanks
    assert guard.ask(body).status == 200
    tool["function"]["parameters"]["a b"] = 1  # type: ignore[index]
    assert guard.ask(body).status == 400


@pytest.mark.parametrize("change", [{"truncates": True}, {"pads": True}])
def test_a_file_that_declares_truncation_or_padding_cannot_lie_with_it(tmp_path: Path, change: dict[str, bool]) -> None:
    file = made.words(tmp_path / "tokenizer.json", **change)
    assert json.loads(file.read_text())["truncation" if "truncates" in change else "padding"]
    reader = Reader(file.read_bytes())
    assert [reader.count([made.said(count)]) for count in (1, 5, 6000)] == [1, 5, 6000]


def _absent(_file: Path) -> None: ...


def _garbage(file: Path) -> None:
    file.write_text('{"version": "1.0", "model": {"type": "BPE"')


def _of_another_kind(file: Path) -> None:
    file.write_text("[]")


def _panicking(file: Path) -> None:
    told = json.loads(made.words(file).read_text())
    told["pre_tokenizer"] = {"type": "FixedLength", "length": 0}
    file.write_text(json.dumps(told))


def _too_large(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(tokenizer_file.MOST_BYTES + 1)


def _a_link_out(file: Path) -> None:
    file.symlink_to(made.words(file.parent.parent / "elsewhere" / "tokenizer.json"))


def _a_pipe(file: Path) -> None:
    os.mkfifo(file)


def _a_directory(file: Path) -> None:
    file.mkdir()


BROKEN = (_absent, _garbage, _of_another_kind, _panicking, _too_large, _a_link_out, _a_pipe, _a_directory)


@pytest.mark.parametrize("spoil", BROKEN, ids=lambda spoil: spoil.__name__.strip("_"))
def test_without_a_good_file_what_must_be_counted_is_refused(
    spoil: Callable[[Path], None], tmp_path: Path, model: Model
) -> None:
    mount = tmp_path / "mount"
    mount.mkdir()
    spoil(mount / "tokenizer.json")
    with running.guard(tmp_path, model.upstream, *made.flags(mount), given=limited()) as started:
        refused = started.ask(made.chat(100))
        assert (refused.status, refused.code) == (503, "service_unavailable")
        assert int(refused.headers["Retry-After"]) > 0
        assert started.ask(running.chat("short")).status == 200
        wanted = "TokenizerAbsent" if spoil is _absent else "TokenizerRefused"
        assert (started.status()["ready"], started.status()["tokenizerReason"]) == (True, wanted)
        assert started.metric("bartizan_guard_tokenizer_good") == 0
        assert started.log().count("tokenizer refused") == 1


def test_a_volume_that_fills_late_is_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "RETRY_SECONDS", 0)
    counter = Tokenizer(Place(tmp_path, "tokenizer.json"))
    counter.look()
    assert counter.reason is Reason.TOKENIZER_ABSENT

    async def fill() -> None:
        looking = asyncio.create_task(counter.run())
        for file, wanted in (("x", Reason.TOKENIZER_REFUSED), ("", Reason.GUARD_READY)):
            _ = (tmp_path / "tokenizer.json").write_text(file) if file else made.words(tmp_path / "tokenizer.json")
            async with asyncio.timeout(running.DEADLINE_SECONDS):
                while counter.reason is not wanted:  # noqa: ASYNC110 -- nothing tells of it
                    await asyncio.sleep(0)
        looking.cancel()

    asyncio.run(fill())


def test_a_file_that_was_no_good_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokenizer.json").write_text("x")
    counter = Tokenizer(Place(tmp_path, "tokenizer.json"))
    counter.look()
    monkeypatch.setattr(tokenizer_file, "read", lambda _place: pytest.fail("read again"))
    counter.look()


def test_links_within_the_mount_are_followed_as_a_kubelet_makes_them(tmp_path: Path) -> None:
    made.words(tmp_path / "mount" / "..1" / "tokenizer.json")
    (tmp_path / "mount" / "..data").symlink_to("..1")
    (tmp_path / "mount" / "tokenizer.json").symlink_to("..data/tokenizer.json")
    counter = Tokenizer(Place(tmp_path / "mount", "tokenizer.json"))
    counter.look()
    assert counter.is_good


class Slow:
    """A reader that counts when it is told to, or breaks."""

    def __init__(self) -> None:
        self.begun, self.goes_on = threading.Event(), threading.Event()
        self.asked = 0
        self.breaks: BaseException | None = None

    def count(self, texts: Sequence[str]) -> int:
        self.asked += 1
        self.begun.set()
        assert self.goes_on.wait(running.DEADLINE_SECONDS)
        if self.breaks is not None:
            raise self.breaks
        return len(texts)


class Scene:
    """A stand whose tokenizer is slow, and a request that is being counted."""

    def __init__(self, folder: Path) -> None:
        self.stand, self.reader = Stand(folder, limited()), Slow()
        self.counter = Tokenizer(Place(folder, ""))
        self.counter._reader, self.counter.reason = cast("Reader", self.reader), Reason.GUARD_READY
        self.is_draining = False
        gate = replace(self.stand.gate, tokenizer=self.counter, is_draining=lambda: self.is_draining)
        self.pipeline = Pipeline(gate)
        self.folder = folder

    async def ask(self, count: int) -> None:
        await self.stand._ask(json.dumps(made.chat(count)).encode(), running.CHAT, self.pipeline)

    async def counted(self, meanwhile: Callable[[asyncio.Task[None]], None]) -> None:
        """Ask something long, do something while it is counted, and wait for its end."""
        asking = asyncio.create_task(self.ask(100))
        await asyncio.to_thread(self.reader.begun.wait, running.DEADLINE_SECONDS)
        meanwhile(asking)
        self.reader.goes_on.set()
        await asyncio.wait([asking])

    @property
    def reasons(self) -> list[str]:
        return [entry["reason"] for entry in self.stand.tape.entries]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    started = Scene(tmp_path)
    yield started
    started.reader.goes_on.set()


def test_others_are_answered_while_a_text_is_counted(scene: Scene) -> None:
    async def run() -> None:
        asking = asyncio.create_task(scene.ask(100))
        await asyncio.to_thread(scene.reader.begun.wait, running.DEADLINE_SECONDS)
        for _ in range(3):
            await scene.ask(1)
        assert (len(scene.stand.model.bodies), asking.done()) == (3, False)
        scene.reader.goes_on.set()
        await asking
        assert len(scene.stand.model.bodies) == 4

    asyncio.run(run())


def test_what_changes_during_the_count_is_judged_again(scene: Scene) -> None:
    def withdraw(_asking: asyncio.Task[None]) -> None:
        (scene.folder / "document").write_text(documents.encode(limited(version=2000, keys=()), SIGNING_KEY))
        scene.stand.gate.documents.look()

    asyncio.run(scene.counted(withdraw))
    assert (scene.reasons, scene.stand.model.bodies) == (["KeyUnknown"], [])


def test_a_pod_that_ends_during_the_count_begins_nothing(scene: Scene) -> None:
    def drain(_asking: asyncio.Task[None]) -> None:
        scene.is_draining = True

    asyncio.run(scene.counted(drain))
    assert (scene.reasons, scene.stand.model.bodies) == (["Draining"], [])


def test_a_caller_who_leaves_while_it_is_counted_leaves_nothing(scene: Scene) -> None:
    def leave(asking: asyncio.Task[None]) -> None:
        asking.cancel()

    asyncio.run(scene.counted(leave))
    assert (scene.reasons, scene.stand.model.bodies) == (["ClientGone"], [])
    assert (scene.stand.gate.slots.taken, scene.reader.asked) == (0, 1)


def test_a_tokenizer_that_hangs_is_closed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "COUNT_SECONDS", 0.01)

    async def run() -> None:
        await scene.ask(100)
        scene.reader.goes_on.set()

    asyncio.run(run())
    assert (scene.reasons, scene.counter.reason) == (["TokenizerUnavailable"], Reason.TOKENIZER_REFUSED)


def test_a_panic_while_counting_is_closed_and_the_next_good_count_mends_it(scene: Scene) -> None:
    scene.reader.goes_on.set()
    scene.reader.breaks = TokenizerError("a text cannot be counted: PanicException")
    asyncio.run(scene.ask(100))
    assert (scene.reasons, scene.counter.reason) == (["TokenizerUnavailable"], Reason.TOKENIZER_REFUSED)
    scene.reader.breaks = None
    asyncio.run(scene.ask(100))
    assert scene.counter.is_good


def test_a_panic_of_the_library_is_an_error_like_others(tmp_path: Path) -> None:
    """It is no Exception: what catches only those would lose the thread's answer, and the caller."""
    file = tmp_path / "tokenizer.json"
    _panicking(file)
    with pytest.raises(TokenizerError, match="PanicException") as caught:
        Reader(file.read_bytes())
    assert not isinstance(caught.value.__cause__, Exception)


@pytest.mark.parametrize(
    "text", ["a" * 1000, "a b " * 250, " " * 1000, "a " * 30 + "b" * 940, "\N{GRINNING FACE}" * 1000, ""]
)
def test_portions_hold_every_character_once(text: str) -> None:
    found = list(model_texts.jobs([text, "end"], 64, 8))
    assert "".join("".join(job) for job in found) == text + "end"
    assert all(sum(map(len, job)) <= 64 and len(job) <= 8 for job in found)


def test_many_small_texts_are_no_single_portion() -> None:
    assert [len(job) for job in model_texts.jobs(["a"] * 20, 64, 8)] == [8, 8, 4]


def test_a_guard_without_one_loads_no_tokenizer(tmp_path: Path, model: Model) -> None:
    with running.guard(tmp_path, model.upstream, given=limited()) as started:
        assert started.ask(made.chat(MOST)).status == 200, "the model's server decides"
        assert started.status()["tokenizerReason"] is None
        assert "tokenizers" not in Path(f"/proc/{started.process.pid}/maps").read_text()


def test_a_guard_with_one_says_so(guard: Guard) -> None:
    assert guard.status()["tokenizerReason"] == "GuardReady"
    assert guard.metric("bartizan_guard_tokenizer_good") == 1
    eventually(lambda: "tokenizer taken up" in guard.log(), "it is logged")
