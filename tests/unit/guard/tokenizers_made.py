"""Small tokenizers, made by the library itself: a token for each word, and what a file may declare beside that."""

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers


def words(path: Path, *, truncates: bool = False, pads: bool = False) -> Path:
    made = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.add_special_tokens(["<|im_start|>"])
    if truncates:
        made.enable_truncation(4)
    if pads:
        made.enable_padding(length=5000)
    path.parent.mkdir(parents=True, exist_ok=True)
    made.save(str(path))
    return path


def said(count: int) -> str:
    return "a " * count


def flags(folder: Path, path: str = "tokenizer.json") -> tuple[str, ...]:
    return ("--tokenizer-directory", str(folder), "--tokenizer-path", path)


def chat(count: int) -> dict[str, Any]:
    """One message of so many words."""
    return {"model": "demo", "messages": [{"role": "user", "content": said(count)}]}
