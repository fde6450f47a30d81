"""JSON in a model's answers: read, shown string by string to the seam, written again."""

import json
import math
from collections.abc import Container, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from bartizan.guard.inspection import Inspector, Place, Step
from bartizan.guard.strict_json import WHITESPACE
from bartizan.guard.tally import AnswerError

_WITHOUT_TEXT = frozenset(
    {"id", "type", "role", "object", "status", "finish_reason", "stop_reason", "call_id", "logprobs"}
)
"""Fields that say what something is, and one that says a text again."""
MAX_DEPTH = 32
"""Objects and lists within one another; real ones have some ten."""


def _no_number(name: str) -> Any:  # noqa: ANN401
    raise AnswerError(f"{name} is no JSON number")


def _finite(text: str) -> float:
    """1e999 is a number in JSON and infinity to whoever reads it; it could not be written again."""
    number = float(text)
    if math.isinf(number):
        raise AnswerError("a number that is too large")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a key that stands twice, the seam would see one value, and a client that takes the other would get it."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise AnswerError("a key stands twice in one object")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number, parse_float=_finite)
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def load(data: bytes) -> dict[str, Any]:
    """Raises AnswerError."""
    try:
        text = data.decode("utf-8").strip(WHITESPACE)
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError) as error:
        raise AnswerError("not JSON") from error
    if end != len(text):
        raise AnswerError("not JSON")
    if not isinstance(value, dict):
        raise AnswerError("no object")
    return value


def encode(value: dict[str, Any] | str) -> bytes:
    """In ASCII: a lone surrogate, which a model may well say, has no other form. Raises AnswerError."""
    try:
        return _ENCODER.encode(value).encode("ascii")
    except ValueError as error:
        raise AnswerError("a number that JSON does not know") from error


def trim(holder: dict[str, Any], fields: AbstractSet[str]) -> bool:
    """Leave out what the protocol does not name: nobody would look for a text there. Whether there was something."""
    if holder.keys() <= fields:
        return False
    for name in holder.keys() - fields:
        del holder[name]
    return True


def see(inspector: Inspector, holder: dict[str, Any], choice: int, path: tuple[Step, ...], but: Container[str]) -> bool:
    """Show the seam each string in `holder`, but for the fields `but`, as a text of its own that is whole.

    Below these fields, whose own names `see_names` shows, keys are the model's words, too. Whether something changed.
    """
    has_changed = False
    for name, value in holder.items():
        if name not in but and isinstance(value, str | dict | list):
            released = _released(inspector, value, choice, (*path, name))
            if released is not value:
                holder[name], has_changed = released, True
    return has_changed


def see_names(inspector: Inspector, holder: dict[str, Any], place: Place, known: AbstractSet[str]) -> bool:
    """Show the seam each name in `holder` itself that is not the protocol's; whether one has become another.

    Raises AnswerError where one has become the protocol's, or one that stands there already.
    """
    if holder.keys() <= known:
        return False
    pairs, has_changed = [], False
    for position, (name, value) in enumerate(holder.items()):
        released = name
        if name not in known:
            released = show(inspector, Place(place.choice, (*place.path, (position,))), name)
        if released is not name:
            if released in known:
                raise AnswerError("a name that the seam makes the protocol's")
            has_changed = True
        pairs.append((released, value))
    if has_changed:
        renamed = unique(pairs)
        holder.clear()
        holder.update(renamed)
    return has_changed


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of pairs whose names the seam has changed; raises AnswerError where that would lose a value."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise AnswerError("two names that the seam makes one")
    return value


def quiet(holder: dict[str, Any], words: Mapping[str, AbstractSet[str]]) -> AbstractSet[str]:
    """The fields of `holder` that hold one of the protocol's own words for them: there is nothing in these to see."""
    return {
        name for name in words.keys() & holder.keys() if isinstance(said := holder[name], str) and said in words[name]
    }


def text_bytes(value: Any) -> int:  # noqa: ANN401 - any JSON
    """Of all strings below, each text once, but for those that say what something is."""
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, list):
        return sum(map(text_bytes, value))
    if isinstance(value, dict):
        return sum(text_bytes(item) for name, item in value.items() if name not in _WITHOUT_TEXT)
    return 0


def show(inspector: Inspector, place: Place, text: str) -> str:
    """What the seam releases of a text that is whole."""
    released = inspector.answer(place, text) + inspector.rest(place)
    return text if released == text else released


def _released(inspector: Inspector, value: Any, choice: int, path: tuple[Step, ...]) -> Any:  # noqa: ANN401 - any JSON
    """The value itself where nothing of it was changed."""
    if isinstance(value, str):
        return show(inspector, Place(choice, path), value)
    if not isinstance(value, dict | list):
        return value
    if len(path) > MAX_DEPTH:
        raise AnswerError("an answer that is nested too deep")
    if isinstance(value, list):
        items = [_released(inspector, item, choice, (*path, position)) for position, item in enumerate(value)]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    pairs = [
        (show(inspector, Place(choice, (*path, (position,))), name), _released(inspector, item, choice, (*path, name)))
        for position, (name, item) in enumerate(value.items())
    ]
    has_changed = any(
        key is not name or new is not old for (key, new), (name, old) in zip(pairs, value.items(), strict=True)
    )
    return unique(pairs) if has_changed else value
