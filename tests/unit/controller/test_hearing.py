"""A watch that says nothing of what lists show for long is found out; one that is merely late is not."""

import asyncio
import time
from typing import Any

from tests.unit.controller.fake_transport import FakeTransport

from bartizan.controller.api import Api
from bartizan.controller.handlers import Observer
from bartizan.controller.hearing import Hearing, Word
from bartizan.controller.work_queue import Key

A = Word(Key("ml", "a"), "u1", 2)


def shown(word: Word) -> dict[str, Any]:
    place = {"namespace": word.key.namespace, "name": word.key.name}
    return {"metadata": {**place, "uid": word.uid, "generation": word.generation}}


class Stage:
    """A list that shows what is in `listed`, and a watch that tells what the test says."""

    def __init__(self, *listed: Word) -> None:
        self.listed = list(listed)
        self.observer = Observer(lambda *_: None, clock=time.monotonic)
        transport = FakeTransport(lambda _: {"items": [shown(word) for word in self.listed], "metadata": {}})
        self.hearing = Hearing(Api(transport), self.observer)

    def tell(self, word: Word) -> None:
        self.observer.see_endpoint("MODIFIED", shown(word))

    def missed(self) -> frozenset[Word]:
        return asyncio.run(self.hearing.missed(("ml",)))


def test_what_two_looks_show_and_no_event_told_of_is_missed() -> None:
    stage = Stage(A)
    assert stage.missed() == frozenset()
    assert stage.missed() == {A}


def test_an_event_between_two_looks_is_in_time() -> None:
    stage = Stage(A)
    stage.missed()
    stage.tell(A)
    assert stage.missed() == frozenset()


def test_a_later_generation_tells_of_the_earlier() -> None:
    stage = Stage(A)
    stage.tell(Word(A.key, A.uid, 3))
    assert [stage.missed(), stage.missed()] == [frozenset(), frozenset()]


def test_an_earlier_generation_or_another_life_does_not() -> None:
    for told in (Word(A.key, A.uid, 1), Word(A.key, "u0", 9)):
        stage = Stage(A)
        stage.tell(told)
        assert [stage.missed(), stage.missed()] == [frozenset(), {A}]


def test_what_changes_between_the_looks_has_time_to_come() -> None:
    stage = Stage(A)
    stage.missed()
    stage.listed = [Word(A.key, A.uid, 3), Word(Key("ml", "b"), "u2", 1)]
    assert stage.missed() == frozenset()


def test_what_has_gone_again_is_not_missed() -> None:
    stage = Stage(A)
    stage.missed()
    stage.listed = []
    assert stage.missed() == frozenset()


def test_a_new_watch_is_judged_anew() -> None:
    stage = Stage(A)
    stage.missed()
    stage.hearing.forget()
    assert stage.missed() == frozenset()
