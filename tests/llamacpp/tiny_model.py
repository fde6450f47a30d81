"""A hand-set model of the llama architecture, for tests: 2 layers, 300 tokens, under a megabyte, no training.

What it says is certain, at any temperature:

- chat: the last user message again (its first 255 bytes), then the end. One attention head looks exactly `ECHO` places
  back, and the chat template pads the last message to `ECHO` tokens;
- `/story`, `/count`, `/loop` or `/empty` in the message: a chain of words that is fixed in the embedding; `/loop` never
  ends by itself;
- a raw prompt shorter than `ECHO`: the story, because the head then falls back on the first token.
"""

import math
import random
from collections.abc import Sequence

from tests.llamacpp.gguf import Kind, Tensor, Value, write

ECHO = 256
"""How far back the head looks; the length of the padded last message."""
CONTEXT = 8192
_HEAD = 64
"""Dimensions of a head, and of a token's code."""
_WIDTH = 256
_FEED_FORWARD = 32
"""Unused: its weights are nothing."""
_BASE = 10000.0
_CONSTANT, _SINK, _EVENER = 128, 129, 130
"""Dimensions that hold a constant, "is the first token", and what makes all rows equally long."""
_SHARPNESS = 30.0
"""Nats for each unit of the head's kernel, the sum over i of cos(theta_i (x - ECHO))."""
_SCALE = 8.0
_NEAR = 0.982
"""What the first token scores of an exact hit: more than any near miss."""

CHAINS = {
    # "~" joins words into one token: tokens are unique, and one of two symbols might be found in what users say
    "<|story|>": "Once upon~a time there was~a proxy. It~stood before every model server, kept each request "
    "in~order, counted tokens, and~never lost one.",
    "<|count|>": "one two three four five six seven eight nine ten",
    "<|loop|>": "tick tock",
}
STORY = CHAINS["<|story|>"].replace("~", " ")
_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
"""Types of tokens."""
_BOS, _EOS = 1, 2
_BEGIN = (("<unk>", _UNKNOWN), ("<s>", _CONTROL), ("</s>", _CONTROL))
_ROLES = ("<|pad|>", "<|user|>", "<|system|>", "<|assistant|>", "<|empty|>")

TEMPLATE = (
    "{%- for m in messages -%}{%- if not loop.last -%}"
    "{{ '<|' + m['role'] + '|>' + (m['content'] or '') + '</s>' }}"
    "{%- else -%}"
    f"{{%- set c = (m['content'] or '')[:{ECHO - 1}] -%}}"
    "{{ '<|user|>' + c + '</s>' }}"
    # a token for each byte of UTF-8: llama.cpp's own template engine counts bytes, Jinja2 characters
    "{%- set n = c|length if '\u20ac'|length == 3 else c.encode()|length -%}"
    f"{{%- for i in range({ECHO - 1} - n) -%}}{{{{ '<|pad|>' }}}}{{%- endfor -%}}"
    "{%- if add_generation_prompt -%}{{ '<|assistant|>' }}"
    "{%- for w in ['story', 'count', 'loop', 'empty'] -%}"
    "{%- if '/' + w in c -%}{{ '<|' + w + '|>' }}{%- endif -%}"
    "{%- endfor -%}{%- endif -%}{%- endif -%}{%- endfor -%}"
)

Rows = list[list[float]]


class Vocabulary:
    """`follows` says for a token which one it is followed by."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.types: list[int] = []
        self.scores: list[float] = []
        self.follows: dict[int, int] = {}
        for text, kind in _BEGIN:
            self._add(text, kind)
        for byte in range(256):
            self._add(f"<0x{byte:02X}>", _BYTE)
        self._add("\u2581", _NORMAL, -1.0)
        roles = [self._add(role, _CONTROL) for role in _ROLES]
        self.silent = (0, _BOS, *roles[:-1])
        """Never said."""
        self.follows[roles[-1]] = _EOS
        for name, words in CHAINS.items():
            self._chain(name, words)

    def _add(self, text: str, kind: int, score: float = 0.0) -> int:
        self.texts.append(text)
        self.types.append(kind)
        self.scores.append(score)
        return len(self.texts) - 1

    def _chain(self, name: str, words: str) -> None:
        """A space belongs to the word behind it; the first word has none."""
        begin, is_loop = self._add(name, _CONTROL), name == "<|loop|>"
        chain = [
            self._add(("" if at == 0 and not is_loop else "\u2581") + word.replace("~", "\u2581"), _NORMAL, -2.0)
            for at, word in enumerate(words.split())
        ]
        self.follows.update(zip([begin, *chain], [*chain, chain[0] if is_loop else _EOS], strict=True))

    @property
    def story(self) -> int:
        return self.follows[self.texts.index("<|story|>")]


def build() -> bytes:
    """The model's file, the same on every run."""
    words = Vocabulary()
    chance = random.Random(7)
    codes = [[chance.choice((-1.0, 1.0)) for _ in range(_HEAD)] for _ in words.texts]
    embedding, length = _embedding(words, codes)
    layers = [tensor for layer in range(2) for tensor in _layer(layer, length)]
    said = _zeros(len(codes), _WIDTH)
    for token, code in enumerate(codes):
        if token not in words.silent:
            said[token][_HEAD : 2 * _HEAD] = [2.0 * bit for bit in code]
    ends = [Tensor("token_embd.weight", embedding), Tensor("output.weight", said)]
    norm = Tensor("output_norm.weight", [[1.0] * _WIDTH], is_half=False)
    return write(_description(words), [*ends, norm, *layers])


def _embedding(words: Vocabulary, codes: Rows) -> tuple[Rows, float]:
    """A row for each token, all equally long, and by what their norm divides them."""
    rows = _zeros(len(codes), _WIDTH)
    for token, code in enumerate(codes):
        rows[token][:_HEAD] = codes[words.story] if token == _BOS else code
        rows[token][_CONSTANT] = _SCALE
        if token in words.follows:
            rows[token][_HEAD : 2 * _HEAD] = [3.0 * bit for bit in codes[words.follows[token]]]
    rows[_BOS][_SINK] = _SCALE
    squares = [sum(number * number for number in row) for row in rows]
    for row, square in zip(rows, squares, strict=True):
        row[_EVENER] = math.sqrt(max(squares) - square)
    return rows, math.sqrt(max(squares) / _WIDTH)


def _layer(layer: int, length: float) -> list[Tensor]:
    """The first layer echoes, the second does nothing."""
    query, key, value, output = _head(length) if layer == 0 else _nothing()
    name = f"blk.{layer}"
    ones = [[1.0] * _WIDTH]
    return [
        Tensor(f"{name}.attn_norm.weight", ones, is_half=False),
        Tensor(f"{name}.ffn_norm.weight", ones, is_half=False),
        Tensor(f"{name}.attn_q.weight", query, is_half=False),  # the exact distance hangs on these two
        Tensor(f"{name}.attn_k.weight", key, is_half=False),
        Tensor(f"{name}.attn_v.weight", value),
        Tensor(f"{name}.attn_output.weight", output),
        Tensor(f"{name}.ffn_gate.weight", _zeros(_FEED_FORWARD, _WIDTH)),
        Tensor(f"{name}.ffn_up.weight", _zeros(_FEED_FORWARD, _WIDTH)),
        Tensor(f"{name}.ffn_down.weight", _zeros(_WIDTH, _FEED_FORWARD)),
    ]


def _nothing() -> tuple[Rows, Rows, Rows, Rows]:
    return _zeros(_HEAD, _WIDTH), _zeros(_HEAD, _WIDTH), _zeros(_HEAD, _WIDTH), _zeros(_WIDTH, _HEAD)


def _head(length: float) -> tuple[Rows, Rows, Rows, Rows]:
    query, key, value, output = _nothing()
    unit = length / _SCALE  # undoes the norm
    for pair in range(_HEAD // 2):
        angle = -ECHO * _BASE ** (-2 * pair / _HEAD)
        query[2 * pair][_CONSTANT] = _SHARPNESS * math.sqrt(_HEAD) * math.cos(angle) * unit
        query[2 * pair + 1][_CONSTANT] = _SHARPNESS * math.sqrt(_HEAD) * math.sin(angle) * unit
        key[2 * pair][_CONSTANT] = unit
    key[_HEAD - 2][_SINK] = _NEAR * (_HEAD // 2) * unit
    for pair in range(_HEAD // 2):
        key[2 * pair][_SINK] -= unit
    for place in range(_HEAD):
        value[place][place] = length
        output[_HEAD + place][place] = 1.0
    return query, key, value, output


def _zeros(rows: int, columns: int) -> Rows:
    return [[0.0] * columns for _ in range(rows)]


def _description(words: Vocabulary) -> dict[str, Value]:
    def whole(number: int) -> Value:
        return Value(Kind.UINT32, number)

    def many(items: Sequence[object], kind: Kind) -> Value:
        return Value(Kind.ARRAY, items, kind)

    return {
        "general.architecture": Value(Kind.STRING, "llama"),
        "general.name": Value(Kind.STRING, "tiny-echo"),
        "llama.vocab_size": whole(len(words.texts)),
        "llama.context_length": whole(CONTEXT),
        "llama.embedding_length": whole(_WIDTH),
        "llama.block_count": whole(2),
        "llama.feed_forward_length": whole(_FEED_FORWARD),
        "llama.attention.head_count": whole(1),
        "llama.attention.head_count_kv": whole(1),
        "llama.attention.key_length": whole(_HEAD),
        "llama.attention.value_length": whole(_HEAD),
        "llama.rope.dimension_count": whole(_HEAD),
        "llama.rope.freq_base": Value(Kind.FLOAT32, _BASE),
        "llama.attention.layer_norm_rms_epsilon": Value(Kind.FLOAT32, 1e-6),
        "tokenizer.ggml.model": Value(Kind.STRING, "llama"),
        "tokenizer.ggml.pre": Value(Kind.STRING, "default"),
        "tokenizer.ggml.tokens": many(words.texts, Kind.STRING),
        "tokenizer.ggml.scores": many(words.scores, Kind.FLOAT32),
        "tokenizer.ggml.token_type": many(words.types, Kind.INT32),
        "tokenizer.ggml.bos_token_id": whole(_BOS),
        "tokenizer.ggml.eos_token_id": whole(_EOS),
        "tokenizer.ggml.unknown_token_id": whole(0),
        "tokenizer.ggml.padding_token_id": whole(words.texts.index("<|pad|>")),
        "tokenizer.ggml.add_bos_token": Value(Kind.BOOL, True),
        "tokenizer.ggml.add_eos_token": Value(Kind.BOOL, False),
        "tokenizer.ggml.add_space_prefix": Value(Kind.BOOL, False),
        "tokenizer.chat_template": Value(Kind.STRING, TEMPLATE),
    }
