"""Writes a model in the GGUF format, version 3: key-values, tensor descriptions, then the tensors, each aligned.

The format is described in llama.cpp's `docs/gguf.md` in the ggml repository. Numbers are little-endian.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from io import BytesIO
from typing import Any

_VERSION = 3
_ALIGNMENT = 32


class Kind(IntEnum):
    """Types of values, as GGUF numbers them."""

    UINT32 = 4
    INT32 = 5
    FLOAT32 = 6
    BOOL = 7
    STRING = 8
    ARRAY = 9


_PACKED = {Kind.UINT32: "<I", Kind.INT32: "<i", Kind.FLOAT32: "<f", Kind.BOOL: "<?"}


@dataclass(frozen=True)
class Value:
    """`items` is the type of an array's items."""

    kind: Kind
    value: Any
    items: Kind | None = None


@dataclass(frozen=True)
class Tensor:
    """Rows of numbers, or one; stored as 16-bit floats where `is_half`."""

    name: str
    rows: Sequence[Sequence[float]]
    is_half: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of a row first, as GGML has it; one row alone has no other."""
        return (len(self.rows[0]),) if len(self.rows) == 1 else (len(self.rows[0]), len(self.rows))

    def data(self) -> bytes:
        numbers = [number for row in self.rows for number in row]
        return struct.pack(f"<{len(numbers)}{'e' if self.is_half else 'f'}", *numbers)


def write(values: dict[str, Value], tensors: Sequence[Tensor]) -> bytes:
    """The whole file."""
    out, data = BytesIO(), BytesIO()
    out.write(struct.pack("<4sIQQ", b"GGUF", _VERSION, len(tensors), len(values)))
    for name, value in values.items():
        out.write(_string(name) + struct.pack("<I", value.kind) + _value(value))
    for tensor in tensors:
        _align(data)
        shape = tensor.shape
        out.write(_string(tensor.name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape))
        out.write(struct.pack("<IQ", int(tensor.is_half), data.tell()))
        data.write(tensor.data())
    _align(out)
    _align(data)
    return out.getvalue() + data.getvalue()


def _value(value: Value) -> bytes:
    if value.kind is Kind.STRING:
        return _string(value.value)
    if value.kind is Kind.ARRAY and value.items is not None:
        items = [_value(Value(value.items, item)) for item in value.value]
        return struct.pack("<IQ", value.items, len(items)) + b"".join(items)
    return struct.pack(_PACKED[value.kind], value.value)


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _align(file: BytesIO) -> None:
    file.write(bytes(-file.tell() % _ALIGNMENT))
