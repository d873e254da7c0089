"""NumPy's arrays, drawn by the extension: on all threads, without the interpreter's lock."""

from __future__ import annotations

import operator
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import _fanin
from ._contract import (
    DTYPES,
    Box,
    dtype_name,
    init_text,
    is_overlapping,
    stream_of,
    whole_u64,
)

#: Dtypes that NumPy has from ml_dtypes alone, and integers of their bits.
_EXTRA = {
    "bf16": ("bfloat16", "uint16"),
    "f8_e4m3": ("float8_e4m3fn", "uint8"),
    "f8_e5m2": ("float8_e5m2", "uint8"),
}

_FULL = {short: full for full, short in DTYPES.items()}


def draw(
    init: str,
    shape: Any,
    *,
    seed: int,
    name: str,
    dtype: Any = None,
    rows: tuple[int, int] | None = None,
    box: Sequence[tuple[int, int]] | None = None,
    out: np.ndarray | None = None,
    **geometry: Any,
) -> np.ndarray:
    """A tensor, or the box of it that is asked for, in an array of its own or in ``out``."""
    init_text(init)
    shape = checked_shape(shape)
    seed = whole_u64("seed", seed)
    stream_of(name)
    part = Box.of(shape, _bounds(shape, rows, box))
    if out is not None and not isinstance(out, np.ndarray):
        raise TypeError(f"out: got {type(out).__name__}, needed a NumPy array")
    short = dtype_name(_given(dtype, out))
    geometry = checked_geometry(**geometry)
    target = _array(part.sizes, short) if out is None else _fits(out, part.sizes, short)
    if part.elements == 0:
        # Nothing is drawn; a name or a shape that is wrong is wrong all the same.
        _fanin.sampler(init, [max(dim, 1) for dim in shape], **_without(geometry, "parts"))
        return target
    bits = np.dtype(f"<u{target.dtype.itemsize}")
    native = target.flags.c_contiguous and target.dtype.newbyteorder("<") == target.dtype
    memory = target if native else np.empty(part.sizes, dtype=bits)
    # An array that is referred to keeps its memory: another thread's `resize` fails meanwhile.
    held = weakref.ref(memory)
    _fanin.draw(
        init,
        shape,
        seed,
        name,
        short,
        memory.ctypes.data,
        memory.nbytes,
        list(part.starts),
        list(part.sizes),
        **geometry,
    )
    del held
    if not native:
        # What has its bytes in another order takes values; else bits are copied as they are.
        little = target.dtype.newbyteorder("<")
        target[...] = memory.view(little)
    return target


def checked_shape(shape: Any) -> list[int]:
    """A shape as a list; a number is a vector's.

    Raises:
        TypeError: for what is none.
        ValueError: for a size below 0, and more elements than can be counted.
    """
    try:
        dims = [operator.index(dim) for dim in shape] if np.iterable(shape) else [shape]
        dims = [operator.index(dim) for dim in dims]
    except TypeError:
        raise TypeError(f"shape: got {shape!r}, needed whole numbers, such as (4, 3)") from None
    if len(dims) > 64:
        raise ValueError(f"shape: got {len(dims)} dimensions, needed at most 64")
    if any(dim < 0 for dim in dims):
        raise ValueError(f"shape: got {dims}, needed sizes of at least 0")
    elements = 1
    for dim in dims:
        # Also of those beside a 0.
        elements *= max(dim, 1)
    if elements >= 1 << 63:
        raise ValueError(f"shape: got {dims}, needed at most 2^63 - 1 elements")
    return dims


def checked_geometry(
    layout: str = "out_in",
    fan_in: int | None = None,
    fan_out: int | None = None,
    groups: int = 1,
    transposed: bool = False,
    batch_dims: int = 0,
    depth: int | None = None,
    parts: Sequence[int] | None = None,
    **unknown: Any,
) -> dict[str, Any]:
    """How a shape is read, as the extension takes it.

    Raises:
        TypeError, ValueError: for what is no such thing.
    """
    for key in unknown:
        needed = "layout, fan_in, fan_out, groups, transposed, batch_dims, depth or parts"
        raise TypeError(f"got an unexpected keyword argument {key!r}, needed {needed}")
    if not isinstance(layout, str):
        raise TypeError(f"layout: got {layout!r}, needed 'out_in' or 'in_out'")
    if not isinstance(transposed, (bool, np.bool_)):
        raise TypeError(f"transposed: got {transposed!r}, needed True or False")
    batch_dims = whole_u64("batch_dims", batch_dims)
    if parts is not None:
        if isinstance(parts, (str, bytes)) or not np.iterable(parts):
            raise TypeError(f"parts: got {parts!r}, needed the lengths of the weights")
        parts = [whole_u64("parts", part) for part in parts]
    return {
        "layout": layout,
        "fan_in": None if fan_in is None else whole_u64("fan_in", fan_in),
        "fan_out": None if fan_out is None else whole_u64("fan_out", fan_out),
        "groups": whole_u64("groups", groups),
        "transposed": bool(transposed),
        # Of more dimensions than there can be, the extension says that they are too many.
        "batch_dims": min(batch_dims, 1 << 31),
        "depth": None if depth is None else whole_u64("depth", depth),
        "parts": parts,
    }


def _bounds(shape: list[int], rows: Any, box: Any) -> Any:
    if rows is None:
        return box
    if box is not None:
        raise TypeError("rows, box: got both, needed one: rows are a box of the first dimension")
    if not shape:
        raise ValueError("rows: got a scalar's, needed a shape of at least one dimension")
    return [rows, *((0, dim) for dim in shape[1:])]


def _given(dtype: Any, out: np.ndarray | None) -> Any:
    if dtype is not None:
        return dtype
    return "float32" if out is None else out.dtype.newbyteorder("=")


def _array(sizes: tuple[int, ...], short: str) -> np.ndarray:
    if short not in _EXTRA:
        return np.empty(sizes, dtype=np.dtype(_FULL[short]).newbyteorder("<"))
    full, bits = _EXTRA[short]
    try:
        import ml_dtypes
    except ImportError:
        raise TypeError(
            f"dtype: NumPy has {full} from ml_dtypes alone: pip install ml_dtypes, "
            f"or give out=, an array of {bits} that takes the bits"
        ) from None
    return np.empty(sizes, dtype=getattr(ml_dtypes, full))


def _fits(out: np.ndarray, sizes: tuple[int, ...], short: str) -> np.ndarray:
    if out.shape != sizes:
        raise ValueError(f"out: got an array of shape {out.shape}, needed {sizes}")
    if not out.flags.writeable:
        raise ValueError("out: got a read-only array, needed one that may be written")
    if is_overlapping(out.shape, out.strides):
        needed = "memory for each: a copy of it"
        raise ValueError(f"out: got an array whose elements share memory, needed {needed}")
    name = out.dtype.name
    taken = [_FULL[short]] if short not in _EXTRA else list(_EXTRA[short])
    if name not in taken:
        raise TypeError(f"out: got an array of {name}, needed {' or '.join(taken)}")
    return out


def _without(geometry: dict[str, Any], key: str) -> dict[str, Any]:
    return {own: value for own, value in geometry.items() if own != key}


class Stream:
    """The words of a tensor: element ``i`` of ``(seed, name)`` is word ``i``.

    Each is uniform over 0 to 2^32 - 1 and found alone, so ``stream[a:b]`` takes as long
    wherever it begins.
    """

    __slots__ = ("id", "seed")

    def __init__(self, seed: int, name: str) -> None:
        #: One a model.
        self.seed = whole_u64("seed", seed)
        #: One a tensor: the first 8 bytes, little-endian, of its name's SHA-256.
        self.id = stream_of(name)

    def words(self, first: int, count: int) -> np.ndarray:
        """Words ``first .. first + count``, as uint32.

        Raises:
            ValueError: where they end beyond the stream's 2^64.
        """
        first, count = whole_u64("first", first), whole_u64("count", count)
        return np.frombuffer(_fanin.words(self.seed, self.id, first, count), dtype="<u4")

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            first, step = index.start or 0, 1 if index.step is None else index.step
            if index.stop is None or step != 1:
                raise ValueError(f"stream: got {index}, needed an end and no step")
            return self.words(first, max(operator.index(index.stop) - operator.index(first), 0))
        return int(self.words(index, 1)[0])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Stream):
            return NotImplemented
        return (self.seed, self.id) == (other.seed, other.id)

    def __hash__(self) -> int:
        return hash((self.seed, self.id))

    def __repr__(self) -> str:
        return f"Stream(seed={self.seed}, id={self.id:#018x})"
