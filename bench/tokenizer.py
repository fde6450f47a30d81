"""Prints what a tokenizer costs a guard: memory by the size of its vocabulary, and how long text is counted."""

import json
import random
import sys
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "operator")]

from tests.unit.guard import running  # noqa: E402 -- the checkout is not installed
from tests.unit.guard import tokenizers_made as made  # noqa: E402 -- the same

from bartizan.policy.document import GuardDocument  # noqa: E402 -- the same

VOCABULARIES = (100_000, 150_000, 262_000)
LETTERS = "etaoinshrdlucmfwypvbgkjqxz"
TEXT_BYTES = 1_900_000


def main() -> None:
    with tempfile.TemporaryDirectory() as name, running.model(Path(name)) as model:
        folder = Path(name)
        with running.guard(folder, model.upstream) as guard:
            without = guard.rss_mib()
        print(f"guard without a tokenizer, idle: {without:5.1f} MiB")
        for size in VOCABULARIES:
            mount = folder / str(size)
            mount.mkdir()
            file = _vocabulary(size, mount / "tokenizer.json")
            began = time.monotonic()
            with running.guard(folder, model.upstream, *made.flags(mount), given=_limited()) as guard:
                ready = time.monotonic() - began
                print(f"{size} tokens, {file.stat().st_size / 1e6:.1f} MB of JSON: started in {ready:.1f} s")
                print(f"  idle {guard.rss_mib():5.1f} MiB, while it was read {_peak(guard):5.1f} MiB")
                for kind, text in _texts().items():
                    _count(guard, kind, text)
                print(f"  afterwards {guard.rss_mib():5.1f} MiB, at most {_peak(guard):5.1f} MiB")


def _limited() -> GuardDocument:
    """What is asked here is within the 16 bytes for each token, and has more of them."""
    return running.document(max_input_tokens=TEXT_BYTES // 15)


def _vocabulary(size: int, path: Path) -> Path:
    """Byte-level BPE: words, each merged from a shorter one and a letter."""
    tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges: list[tuple[str, str]] = []
    waiting = deque(["\u0120", *LETTERS])
    while len(tokens) < size:
        head = waiting.popleft()
        for letter in LETTERS:
            tokens.append(head + letter)
            merges.append((head, letter))
            waiting.append(head + letter)
    tokenizer = Tokenizer(models.BPE(vocab={token: place for place, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(path), pretty=True)
    return path


def _texts() -> dict[str, str]:
    chance = random.Random(1)
    prose = " ".join("".join(chance.choices(LETTERS[:14], k=chance.randint(2, 9))) for _ in range(TEXT_BYTES // 6))
    return {
        "prose": prose[:TEXT_BYTES],
        "one word": "".join(chance.choices(LETTERS, k=TEXT_BYTES)),
        "signs": "".join(chance.choices("!?{}()<>", k=TEXT_BYTES)),
        "emoji": "".join(map(chr, chance.choices(range(0x1F300, 0x1F600), k=TEXT_BYTES // 4))),
    }


def _count(guard: running.Guard, kind: str, text: str) -> None:
    """How long a refusal takes, and what others wait meanwhile."""
    waits: list[float] = []
    is_over = threading.Event()

    def ask_shortly() -> None:
        while not is_over.is_set():
            began = time.monotonic()
            guard.ask(running.chat("short"), key=running.credential("batch").reveal())
            waits.append(time.monotonic() - began)

    other = threading.Thread(target=ask_shortly)
    other.start()
    began = time.monotonic()
    body = json.dumps(running.chat(text), ensure_ascii=False).encode()
    refused = guard.ask(body)
    taken = time.monotonic() - began
    is_over.set()
    other.join()
    said = refused.json()["error"]["message"].partition(",")[0]
    print(
        f"  {kind}: {len(body) / 1e6:.1f} MB in {taken:.2f} s, others wait {max(waits) * 1000:.0f} ms at most. {said}"
    )


def _peak(guard: running.Guard) -> float:
    status = Path(f"/proc/{guard.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
