"""The contract of the drawn numbers, as the engines written in Python share it.

``value = f32(integer(word)) * f32(scale) + f32(shift)``: an f32 product, which is
rounded, and, where ``shift`` is not 0, an f32 sum, which is rounded again. What a
word's integer is, and how a value is rounded to a shorter dtype, stands here once,
for every library whose arrays have NumPy's operators; ``fanin contract`` prints the
whole of it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from . import _fanin

#: ``[base << 8 | round, curve << 16 | slope]`` of each segment of the quantile.
TABLE: np.ndarray = np.frombuffer(_fanin.quantile_table(), dtype="<u4").reshape(-1, 2)

U = np.uint32


class Sampler(NamedTuple):
    """A distribution in the numbers that engines work with."""

    #: ``words``, ``constant``, ``unit``, ``symmetric``, ``normal`` or ``truncated``.
    kind: str
    #: An f32.
    scale: float
    #: An f32; the value of a constant.
    shift: float
    #: Of ``truncated``: the first word whose quantile lies inside the cut.
    low_word: int

    @property
    def extent(self) -> float:
        """The size of the value furthest from 0; a value rises with its word."""
        ends = np.array([0, 0xFFFFFFFF], dtype=U)
        return float(np.abs(_f32s(self, ends)).max())


#: The 32-bit words themselves.
WORDS = Sampler("words", 0.0, 0.0, 0)


class Float(NamedTuple):
    """A float shorter than 32 bits, without its sign."""

    bias: int
    #: Bits of fraction.
    fraction: int
    #: What follows the largest finite number.
    end: int
    #: Bits in all.
    width: int


#: The dtypes that an f32 is rounded to.
FLOATS = {
    "bf16": Float(127, 7, 0x7F80, 16),
    "f16": Float(15, 10, 0x7C00, 16),
    "f8_e4m3": Float(7, 3, 0x7F, 8),
    "f8_e5m2": Float(15, 2, 0x7C, 8),
}

#: The command line's names of the dtypes, by those of NumPy, JAX and PyTorch.
#: Samples come as floats, words as ``u32``; the others hold constants alone.
DTYPES = {
    "float32": "f32",
    "bfloat16": "bf16",
    "float16": "f16",
    "float8_e4m3fn": "f8_e4m3",
    "float8_e5m2": "f8_e5m2",
    "float64": "f64",
    "int64": "i64",
    "uint64": "u64",
    "int32": "i32",
    "uint32": "u32",
    "int16": "i16",
    "uint16": "u16",
    "int8": "i8",
    "uint8": "u8",
    "bool": "bool",
}

_SAMPLED = {name: short for name, short in DTYPES.items() if "float" in name}


class Arrays(NamedTuple):
    """What the contract needs of an array library besides operators."""

    where: Callable[..., Any]
    minimum: Callable[..., Any]
    #: The upper half of the product of u32s.
    mulhi: Callable[..., Any]
    #: How many bits before the leading one.
    leading_zeros: Callable[..., Any]
    #: Row ``index`` of a column of ``TABLE``.
    look_up: Callable[[int, Any], Any]
    #: The bits of a u32 as an i32.
    signed: Callable[..., Any]


def quantile(arrays: Arrays, word: Any) -> Any:
    """The standard normal of a word, in units of 2^-21, as an i32."""
    x = arrays.minimum(word, ~word) + U(32)
    zeros = arrays.leading_zeros(x)
    y = x << zeros
    # The leading bit of y stands for the 32 that `y >> 26` is too large by.
    segment = (U(25) - zeros) * U(32) + (y >> U(26))
    base, slope = arrays.look_up(0, segment), arrays.look_up(1, segment)
    t = (y >> U(10)) & U(0xFFFF)
    curved = (t * (U(0x10000) - t)) >> U(14)
    drop = (
        (slope & U(0xFFFF)) * t + (((slope >> U(16)) * curved) >> U(9)) + ((base & U(0xFF)) << U(8))
    )
    size = arrays.signed((base >> U(8)) - (drop >> U(16)))
    return arrays.where(word < U(1 << 31), -size, size)


def integer(arrays: Arrays, kind: str, low_word: Any, word: Any) -> Any:
    """The integer that a word stands for, as an i32 of at most 24 significant bits."""
    if kind == "unit":
        return arrays.signed(word >> U(8))
    if kind == "symmetric":
        return arrays.signed((word >> U(9) << U(1)) + U(1)) - np.int32(1 << 23)
    if kind == "truncated":
        # 2^32 - 2 low_word words lie inside; low_word is above 0, so their number fits.
        inside = (low_word + low_word) * U(0xFFFFFFFF)
        word = low_word + arrays.mulhi(word, inside)
    return quantile(arrays, word)


def rounded(arrays: Arrays, dtype: str, bits: Any) -> Any:
    """The bits of f32s, none of them NaN, rounded to a shorter float: nearest, ties to even."""
    form = FLOATS[dtype]
    if dtype == "bf16":
        return (bits + U(0x7FFF) + ((bits >> U(16)) & U(1))) >> U(16)
    size = bits & U(0x7FFFFFFF)
    exponent = size >> U(23)
    rebias, drop = 127 - form.bias, 23 - form.fraction
    # The exponent's bias falls from 127, and the fraction loses its last bits.
    rebased = size - U(rebias << 23)
    whole = (rebased + U((1 << (drop - 1)) - 1) + ((rebased >> U(drop)) & U(1))) >> U(drop)
    # Below that, units of the least above 0. From 26 places on nothing is left.
    significand = (size & U(0x7FFFFF)) | U(0x800000)
    places = arrays.minimum(U(rebias + 1 + drop) - arrays.minimum(exponent, U(rebias)), U(26))
    odd = (significand >> places) & U(1)
    part = (significand + (U(1) << (places - U(1))) - U(1) + odd) >> places
    found = arrays.where(exponent > U(rebias), arrays.minimum(whole, U(form.end)), part)
    return ((bits >> U(31)) << U(form.width - 1)) | found


def _leading_zeros(x: np.ndarray) -> np.ndarray:
    return U(32) - np.frexp(x.astype(np.float64))[1].astype(U)


NUMPY = Arrays(
    where=np.where,
    minimum=np.minimum,
    mulhi=lambda a, b: (a.astype(np.uint64) * np.asarray(b, np.uint64) >> np.uint64(32)).astype(U),
    leading_zeros=_leading_zeros,
    look_up=lambda column, index: TABLE[index, column],
    signed=lambda x: x.view(np.int32),
)


def _f32s(sampler: Sampler, words: np.ndarray) -> np.ndarray:
    if sampler.kind == "constant":
        return np.full(words.shape, sampler.shift, dtype=np.float32)
    # Arrays of one, since NumPy warns where a scalar's sum goes round.
    low_word = np.array([sampler.low_word], dtype=U)
    whole = integer(NUMPY, sampler.kind, low_word, words).astype(np.float32)
    product = whole * np.float32(sampler.scale)
    return product + np.float32(sampler.shift)


def values(sampler: Sampler, dtype: str, words: np.ndarray) -> np.ndarray:
    """What words stand for, in NumPy: the definition that other engines are held to.

    The bits of a shorter float than f32 come as unsigned integers of its width.
    """
    if sampler.kind == "words":
        return words
    found = _f32s(sampler, words)
    if dtype == "f64":
        return found.astype(np.float64)
    if dtype in FLOATS:
        width = FLOATS[dtype].width
        return rounded(NUMPY, dtype, found.view(U)).astype(np.dtype(f"u{width // 8}"))
    return found


def words(seed: int, stream: int, first: int, count: int) -> np.ndarray:
    """Words ``first .. first + count`` of a stream, as u32."""
    return np.frombuffer(_fanin.words(seed, stream, first, count), dtype="<u4")


def check_dtype(sampler: Sampler, dtype: str) -> None:
    """Whether all values of a sampler are finite numbers of ``dtype``.

    Raises:
        ValueError: where a value would round to more than the largest; where words
            are asked for in a float, or samples in integers.
    """
    fits = ["u32"] if sampler.kind == "words" else list(_SAMPLED.values())
    if dtype not in fits:
        raise ValueError(f"dtype: got {dtype}, needed {' or '.join(fits)}")
    if dtype in FLOATS:
        ends = np.array([sampler.extent], dtype=np.float32).view(U)
        if int(rounded(NUMPY, dtype, ends)[0]) >= FLOATS[dtype].end:
            raise ValueError(
                f"dtype: got {dtype}, for values up to {sampler.extent:.3e}, "
                "needed one that holds them"
            )


#: Short names that NumPy has for other dtypes, and what may be meant.
_AMBIGUOUS = {"f16": "float16", "i8": "int8 or int64", "u8": "uint8 or uint64"}


def dtype_name(dtype: Any) -> str:
    """``f32`` of ``float32``, ``torch.float32`` or ``numpy.float32``: the command line's name.

    Raises:
        TypeError: for what no tensor comes in.
    """
    if isinstance(dtype, str) and dtype in _AMBIGUOUS:
        raise TypeError(
            f"dtype: got {dtype!r}, which counts bytes in NumPy and bits on the command line; "
            f"needed {_AMBIGUOUS[dtype]}"
        )
    text = dtype if isinstance(dtype, str) else str(dtype).removeprefix("torch.")
    if text not in DTYPES and text not in DTYPES.values():
        try:
            text = np.dtype(dtype).name
        except TypeError:
            pass
    name = DTYPES.get(text, text)
    if name not in DTYPES.values():
        raise TypeError(f"dtype: got {dtype!r}, needed one of {', '.join(DTYPES)}")
    return name


def whole_u64(what: str, value: Any) -> int:
    """A seed or an id.

    Raises:
        TypeError: for what is no whole number.
        ValueError: for one below 0 or beyond 64 bits.
    """
    try:
        number = operator.index(value)
    except TypeError:
        given = f"{value!r} ({type(value).__name__})"
        raise TypeError(f"{what}: got {given}, needed a whole number") from None
    if not 0 <= number < 1 << 64:
        raise ValueError(f"{what}: got {number}, needed 0 to 2^64 - 1")
    return number


def halves(value: int) -> tuple[int, int]:
    """The lower and upper 32 bits of 64."""
    return value & 0xFFFFFFFF, value >> 32


def stream_of(name: Any) -> int:
    """The id of a tensor's stream: the first 8 bytes, little-endian, of its name's SHA-256.

    Raises:
        TypeError, ValueError: for what is no name, and for an empty one.
    """
    if not isinstance(name, str):
        raise TypeError(f"name: got {name!r}, needed a tensor's name, a str")
    if not name:
        needed = "a tensor's name: its stream is found by it"
        raise ValueError(f"name: got an empty one, needed {needed}")
    return _fanin.stream_id(unicode("name", name))


def init_text(init: Any) -> str:
    """An initializer in text.

    Raises:
        TypeError, ValueError: for what is none.
    """
    if not isinstance(init, str):
        raise TypeError(f"init: got {init!r}, needed an initializer's text, such as 'he_normal'")
    _fanin.check_init(unicode("init", init))
    return init


def unicode(what: str, text: str) -> str:
    """A text that UTF-8 has, as files and streams have names.

    Raises:
        ValueError: for one with half of a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        given = f"got {text!r}, which has half of a surrogate pair"
        raise ValueError(f"{what}: {given}; needed Unicode text") from None
    return text


def is_overlapping(sizes: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether elements that lie so may share memory: which of them is written last is chance."""
    if 0 in sizes:
        return False
    end = 0
    for stride, size in sorted((abs(stride), size) for size, stride in zip(sizes, strides)):
        if size > 1 and stride <= end:
            return True
        end += (size - 1) * stride
    return False


@dataclass(frozen=True)
class Box:
    """A part of a tensor: in each dimension the elements ``start .. start + size``.

    They are numbered row-major in the whole tensor's shape, so that a part drawn
    alone is what a copy out of the whole would hold.
    """

    shape: tuple[int, ...]
    starts: tuple[int, ...]
    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        dims = len(self.shape)
        if len(self.starts) != dims or len(self.sizes) != dims:
            raise ValueError(
                f"box: got starts {self.starts} and sizes {self.sizes}, "
                f"needed {dims} of each, one a dimension of {self.shape}"
            )
        for at, (dim, start, size) in enumerate(zip(self.shape, self.starts, self.sizes)):
            if start < 0 or size < 0 or start + size > dim:
                raise ValueError(
                    f"box of {self.shape}: dimension {at}: got {size} from {start}, "
                    f"needed an end within its {dim}"
                )
        if math.prod(self.shape) > 1 << 63:
            raise ValueError(f"shape: got {self.shape}, needed at most 2^63 elements")

    @classmethod
    def of(cls, shape: Sequence[int], box: Sequence[tuple[int, int]] | None = None) -> Box:
        """The part of a tensor from start to end in each dimension; all of it without."""
        shape = tuple(shape)
        if box is None:
            return cls(shape, (0,) * len(shape), shape)
        try:
            pairs = [(operator.index(start), operator.index(end)) for start, end in box]
        except (TypeError, ValueError):
            raise TypeError(f"box: got {box!r}, needed (start, end) for each dimension") from None
        starts = tuple(start for start, _ in pairs)
        return cls(shape, starts, tuple(end - start for start, end in pairs))

    def within(self, slices: Sequence[slice]) -> Box:
        """The part of this one that ``slices`` of its own indices are."""
        ranges = [index.indices(size)[:2] for index, size in zip(slices, self.sizes)]
        starts = tuple(own + start for own, (start, _) in zip(self.starts, ranges))
        return Box(self.shape, starts, tuple(end - start for start, end in ranges))

    @property
    def elements(self) -> int:
        """How many it has."""
        return math.prod(self.sizes)

    @property
    def strides(self) -> tuple[int, ...]:
        """Elements of the whole tensor from one place along each dimension to the next."""
        return tuple(math.prod(self.shape[at + 1 :]) for at in range(len(self.shape)))

    @property
    def first(self) -> int:
        """The index of its first element."""
        return sum(start * stride for start, stride in zip(self.starts, self.strides))

    def axes(self) -> list[tuple[int, int]]:
        """What its dimensions come to, innermost first.

        Each is a size in the box and the elements of the whole tensor from one place
        along it to the next. The first is a run of elements that follow each other,
        and none lies as if it were more of the one before it.
        """
        axes = [(1, 1)]
        for size, stride in zip(self.sizes[::-1], self.strides[::-1]):
            inner, apart = axes[-1]
            if inner * apart == stride:
                # What lies within is whole, so places along this follow each other.
                axes[-1] = (inner * size, apart)
            elif size != 1:
                axes.append((size, stride))
        return axes
