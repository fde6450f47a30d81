"""The words in OpenAI's answers: every string that the seam has to see, and the names that are not the protocol's."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from bartizan.guard.inspection import Inspector, Place, Step
from bartizan.guard.profiles.answer_json import MAX_DEPTH, show, trim
from bartizan.guard.tally import AnswerError

_FRAME = ("id", "object", "model", "system_fingerprint", "service_tier")
"""What an answer says of itself, in words."""
_FIELDS = frozenset({*_FRAME, "created", "choices", "usage"})
"""Of an answer's own fields, those that go on: servers put texts and more into others, where nobody looks for them."""
REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
"""Why a choice has ended, in the protocol's words; the seam sees every other string."""
WITHOUT_TOKENS = frozenset({"role", "finish_reason", "stop_reason"})
"""Of a choice's strings, those that cost nothing."""

Names = frozenset[str]
NAMES = frozenset(
    (
        *("index", "delta", "message", "text", "finish_reason", "stop_reason", "logprobs"),
        *("role", "content", "refusal", "reasoning", "reasoning_content", "annotations", "audio"),
        *("tool_calls", "id", "type", "function", "name", "arguments", "function_call", "custom", "input"),
    )
)
"""The protocol's own names in a choice; the seam sees every other one, for it may be the model's word."""
OF_LOGPROBS = frozenset(
    (
        *("content", "refusal", "token", "logprob", "bytes", "top_logprobs"),
        *("tokens", "token_logprobs", "text_offset"),
    )
)
_OF_USAGE = frozenset(
    (
        *("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"),
        *("cached_tokens", "audio_tokens", "reasoning_tokens"),
        *("accepted_prediction_tokens", "rejected_prediction_tokens"),
    )
)
_NONE: Names = frozenset()
_BELOW: Mapping[str, Names] = {
    "logprobs": OF_LOGPROBS,
    "top_logprobs": frozenset({"token", "logprob", "bytes"}),  # the old ones have the tokens themselves for names
    "arguments": _NONE,
    "input": _NONE,
}
"""Where other names are the protocol's, or none."""

_TIMES = frozenset({int, float, type(None)})
_FIGURES = _TIMES
_WORDS = frozenset({str, type(None)})
_NESTED = (dict, list)
Path = tuple[Step, ...]
Spot = tuple[Path, Any, Any]
"""Where a string grows, and the object or list and the key in it that hold it now."""


class Strings:
    """Of one choice: the spots of its strings, and the objects with names that are not the protocol's."""

    __slots__ = ("odd", "spots")

    def __init__(self) -> None:
        self.spots: list[Spot] = []
        self.odd: list[tuple[Path, dict[str, Any], Names]] = []


class Frame:
    """What answers say of themselves; the chunks of a stream all say the same, which the seam sees once."""

    __slots__ = ("_good",)

    def __init__(self) -> None:
        self._good: dict[str, Any] | None = None
        """What was said before and went on as it was."""

    def judge(self, holder: dict[str, Any], inspector: Inspector) -> bool:
        """Leave out what is no word and no time, and show the seam the words; whether something has changed."""
        said = holder.copy()
        said.pop("choices", None)
        said.pop("usage", None)
        if said == self._good:
            return False
        has_changed = judge_frame(holder, inspector)
        if not has_changed:
            self._good = said
        return has_changed


def judge_frame(holder: dict[str, Any], inspector: Inspector) -> bool:
    """As a stream's Frame does, of an answer that says it once."""
    has_changed = trim(holder, _FIELDS)
    if type(holder.get("created")) not in _TIMES:
        del holder["created"]
        has_changed = True
    words = [*map(holder.get, _FRAME)]
    if _WORDS.issuperset(map(type, words)):
        said = "\n".join(filter(None, words))
        if show(inspector, _OF_FRAME, said) is said:
            return has_changed
    return _show_frame(holder, inspector) or has_changed


_OF_FRAME = Place(0, (("frame",),))


def _show_frame(holder: dict[str, Any], inspector: Inspector) -> bool:
    """Each word by itself, where the seam would change something of all; what is no word goes no further."""
    has_changed = False
    for name in _FRAME:
        word = holder.get(name)
        if word is None:
            continue
        released = show(inspector, Place(0, ((name,),)), word) if isinstance(word, str) else None
        if released is None:
            del holder[name]
            has_changed = True
        elif released is not word:
            holder[name], has_changed = released, True
    return has_changed


def strings(choice: dict[str, Any]) -> Strings:
    """Every string of a choice. A list and no generator: this runs for each chunk of each stream."""
    found = Strings()
    if not choice.keys() <= NAMES:
        found.odd.append(((), choice, NAMES))
        _judge_bytes(choice)
    for name, value in choice.items():
        if isinstance(value, str):
            if name != "finish_reason" or value not in REASONS:
                found.spots.append(((name,), choice, name))
        elif isinstance(value, _NESTED):
            _gather(value, (name,), _BELOW.get(name, NAMES) if name in NAMES else _NONE, found)
    return found


def _gather(holder: Any, path: Path, known: Names, found: Strings) -> None:  # noqa: ANN401 - any object or list
    if len(path) >= MAX_DEPTH:
        raise AnswerError("a choice that is nested too deep")
    if isinstance(holder, list):
        _gather_items(holder, path, known, found)
        return
    if not holder.keys() <= known:
        found.odd.append((path, holder, known))
    for key, value in holder.items():
        if isinstance(value, str):
            found.spots.append(((*path, key), holder, key))
        elif isinstance(value, _NESTED):
            if key == "bytes":
                _judge_bytes(holder)
            below = _BELOW.get(key, known) if key in known else _NONE  # below a name that is not the protocol's none is
            _gather(value, (*path, key), below, found)


def _gather_items(items: list[Any], path: Path, known: Names, found: Strings) -> None:
    is_of_tokens = len(path) == _DEPTH_OF_TOKENS and path[0] == "logprobs"
    for position, item in enumerate(items):
        step = 0 if is_of_tokens else _step(item, position)
        if isinstance(item, str):
            found.spots.append(((*path, step), items, position))
        elif isinstance(item, _NESTED):
            _gather(item, (*path, step), known, found)


_DEPTH_OF_TOKENS = 2
"""logprobs.content and its like: tokens, one after another, are one text, however it is cut."""


def _judge_bytes(holder: dict[str, Any]) -> None:
    """Raises AnswerError where those beside a token are more than numbers: they go where the token is changed."""
    said = holder.get("bytes")
    if "token" in holder and isinstance(said, _NESTED):
        if isinstance(said, list) and {*map(type, said)} <= {int}:
            return
        raise AnswerError("bytes of a token that are none")


def put(holder: Any, key: Any, text: str) -> None:  # noqa: ANN401 - any object or list
    """A text that the seam has changed; the bytes beside a token say the same once more, in numbers.

    Where they are a text instead, the seam sees them as it sees any other.
    """
    holder[key] = text
    if key == "token" and not isinstance(holder.get("bytes"), str | None):
        holder["bytes"] = None


def show_whole(strings: Strings, index: int, inspector: Inspector) -> bool:
    """Show the seam strings and names that are whole; whether it has changed something."""
    has_changed, tokens = False, []
    for spot in strings.spots:
        path, holder, key = spot
        if path[0] == "logprobs":
            tokens.append(spot)
            continue
        place, text = Place(index, path), holder[key]
        released = inspector.answer(place, text) + inspector.rest(place)
        if released != text:
            put(holder, key, released)
            has_changed = True
    if tokens:
        has_changed |= _show_tokens(tokens, index, inspector)
    return (bool(strings.odd) and show_names(strings, index, inspector)) | has_changed


def _show_tokens(spots: list[Spot], index: int, inspector: Inspector) -> bool:
    """Those in one place are one text, of which the seam may hold back an end; they change where that text does."""
    texts: dict[Place, list[tuple[Spot, str]]] = {}
    for spot in spots:
        path, holder, key = spot
        place = Place(index, path)
        texts.setdefault(place, []).append((spot, inspector.answer(place, holder[key])))
    has_changed = False
    for place, pieces in texts.items():
        rest = inspector.rest(place)
        if "".join(text for _, text in pieces) + rest == "".join(holder[key] for (_, holder, key), _ in pieces):
            continue
        last, text = pieces.pop()
        for (_, holder, key), released in (*pieces, (last, text + rest)):
            if released != holder[key]:
                put(holder, key, released)
        has_changed = True
    return has_changed


def show_names(strings: Strings, index: int, inspector: Inspector) -> bool:
    """Show the seam the names that are not the protocol's, each a text of its own; whether it has changed one."""
    has_changed = False
    for path, holder, known in strings.odd:
        pairs = []
        for position, (name, value) in enumerate(holder.items()):
            released = name if name in known else show(inspector, Place(index, (*path, (position,))), name)
            if released is not name:
                _judge_renamed(released, value, holder.keys() | known)
                has_changed = True
            pairs.append((released, value))
        if has_changed:
            holder.clear()
            holder.update(pairs)
            if len(holder) != len(pairs):
                raise AnswerError("two names that the seam makes one")
    return has_changed


def _judge_renamed(released: str, value: object, taken: AbstractSet[str]) -> None:
    """Raises AnswerError where a name that the seam has changed would say something that nobody has seen."""
    if not isinstance(value, int | float | None):
        raise AnswerError("a text under a name that may not go out")  # later pieces would grow under it
    if released in NAMES or released in taken:
        raise AnswerError("a name that the seam makes another's")


def show_usage(used: Any, inspector: Inspector) -> bool:  # noqa: ANN401 - whatever JSON the server sent
    if not isinstance(used, dict) or (used.keys() <= _OF_USAGE and _FIGURES.issuperset(map(type, used.values()))):
        return False
    strings = Strings()
    _gather(used, (("usage",),), _OF_USAGE, strings)
    return show_whole(strings, 0, inspector)


def _step(item: Any, place: Step) -> Step:  # noqa: ANN401 - any object or list
    """Where an item of a list stands by its own word, else its place."""
    index = item.get("index") if isinstance(item, dict) else None
    return index if type(index) is int else place
