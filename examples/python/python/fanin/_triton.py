"""fanin's numbers on a GPU, by a Triton kernel: elements into PyTorch's memory.

``fill_`` is what ``fanin.torch`` calls for a tensor that lies on a GPU. A program of
the kernel draws a tile of rows, each a run of elements that follow one another in the
whole tensor, in blocks of the four words that one Philox counter gives.

With ``TRITON_INTERPRET=1`` in the environment before the first import of Triton, it
runs on CPU tensors: that is how it is tested where there is no GPU.
"""

import re
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import numpy as np
import torch

from . import _contract
from ._contract import FLOATS, Box, Sampler, check_dtype, dtype_name, halves

#: The first Triton that has all of the language that the kernel is written in.
OLDEST = "3.0"

try:
    import triton
    import triton.language as tl
except ImportError as error:
    raise ImportError(
        f"fanin draws on GPUs by Triton, which cannot be imported ({error}): "
        f"needed triton {OLDEST} or newer, pip install 'triton>={OLDEST}'"
    ) from error


def _check_version(found: str) -> None:
    def numbers(version: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", version)[:2]]

    if numbers(found) < numbers(OLDEST):
        raise ImportError(
            f"triton: got {found}, needed {OLDEST} or newer for fanin to draw on GPUs: "
            f"pip install 'triton>={OLDEST}'"
        )


_check_version(triton.__version__)


class Differs(RuntimeError):
    """A device whose kernels do not keep the contract of the drawn numbers."""


@triton.jit
def _philox(c0, c1, c2, c3, k0, k1):
    for _ in tl.static_range(10):
        high0 = tl.umulhi(c0, 0xD2511F53)
        low0 = c0 * 0xD2511F53
        high1 = tl.umulhi(c2, 0xCD9E8D57)
        low1 = c2 * 0xCD9E8D57
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 = k0 + 0x9E3779B9
        k1 = k1 + 0xBB67AE85
    return c0, c1, c2, c3


@triton.jit
def _quantile(word, table):
    """The size of a word's standard normal, in units of 2^-21."""
    x = tl.minimum(word, ~word) + 32
    # An f32 has the leading bit's place in its exponent and all that is needed of the
    # bits after it in its fraction. Clearing the bit that rounding looks at cuts it off.
    cut = (x & ~(x >> 24)).to(tl.float32).to(tl.uint32, bitcast=True)
    # 132: the exponent's bias, and the 5 octaves that there are none of.
    row = tl.load(table + ((cut >> 18) - 132 * 32).to(tl.int32))
    base = row.to(tl.uint32)
    slope = (row >> 32).to(tl.uint32)
    t = (cut >> 2) & 0xFFFF
    curved = (t * (0x10000 - t)) >> 14
    drop = (slope & 0xFFFF) * t + (((slope >> 16) * curved) >> 9)
    return (base - (drop >> 8)) >> 8


@triton.jit
def _rounded(
    bits,
    BIAS: tl.constexpr,
    FRACTION: tl.constexpr,
    END: tl.constexpr,
    WIDTH: tl.constexpr,
):
    """An f32's bits to those of a shorter float: nearest, ties to even, no NaN."""
    DROP: tl.constexpr = 23 - FRACTION
    if BIAS == 127:
        found = (bits + ((1 << (DROP - 1)) - 1) + ((bits >> DROP) & 1)) >> DROP
    else:
        REBIAS: tl.constexpr = 127 - BIAS
        size = bits & 0x7FFFFFFF
        exponent = size >> 23
        rebased = size - (REBIAS << 23)
        whole = (rebased + ((1 << (DROP - 1)) - 1) + ((rebased >> DROP) & 1)) >> DROP
        # Below that, units of the least above 0. From 26 places on nothing is left.
        significand = (size & 0x7FFFFF) | 0x800000
        places = tl.minimum(REBIAS + 1 + DROP - tl.minimum(exponent, REBIAS), 26)
        half = (exponent * 0 + 1) << (places - 1)
        part = (significand + half - 1 + ((significand >> places) & 1)) >> places
        found = tl.where(exponent > REBIAS, tl.minimum(whole, END), part)
        found = found | ((bits >> 31) << (WIDTH - 1))
    return found


@triton.jit(
    do_not_specialize=[
        "seed_low",
        "seed_high",
        "id_low",
        "id_high",
        "first_low",
        "first_high",
        "low_word",
        "zero",
        "size1",
        "stride1",
        "size2",
        "stride2",
        "stride3",
    ]
)
def _kernel(
    out,
    table,
    seed_low,
    seed_high,
    id_low,
    id_high,
    first_low,
    first_high,
    low_word,
    zero,
    scale,
    shift,
    rows,
    run,
    size1,
    stride1,
    size2,
    stride2,
    stride3,
    AXES: tl.constexpr,
    ALIGNED: tl.constexpr,
    KIND: tl.constexpr,
    SHIFTED: tl.constexpr,
    BIAS: tl.constexpr,
    FRACTION: tl.constexpr,
    END: tl.constexpr,
    WIDTH: tl.constexpr,
    R: tl.constexpr,
    C: tl.constexpr,
):
    tiles = tl.cdiv(run + 3, 4 * C)
    r = (tl.program_id(0) // tiles).to(tl.int64) * R + tl.arange(0, R)
    c = (tl.program_id(0) % tiles).to(tl.int64) * (4 * C)

    # The index of each row's first element in the whole tensor.
    low = first_low.to(tl.uint32, bitcast=True).to(tl.uint64)
    high = first_high.to(tl.uint32, bitcast=True).to(tl.uint64)
    start = tl.zeros([R], tl.uint64) + ((high << 32) | low)
    if AXES == 1:
        start += (r * stride1).to(tl.uint64)
    if AXES > 1:
        rest = r // size1
        start += (r % size1 * stride1).to(tl.uint64)
        if AXES == 2:
            start += (rest * stride2).to(tl.uint64)
        else:
            start += (rest % size2 * stride2 + rest // size2 * stride3).to(tl.uint64)

    # The words of C blocks of each row.
    block = (start >> 2)[:, None] + ((c >> 2) + tl.arange(0, C)).to(tl.uint64)[None, :]
    none = tl.zeros([R, C], tl.uint32)
    w0, w1, w2, w3 = _philox(
        block.to(tl.uint32),
        (block >> 32).to(tl.uint32),
        none + id_low.to(tl.uint32, bitcast=True),
        none + id_high.to(tl.uint32, bitcast=True),
        seed_low.to(tl.uint32, bitcast=True),
        seed_high.to(tl.uint32, bitcast=True),
    )
    word = tl.reshape(tl.join(tl.join(w0, w2), tl.join(w1, w3)), [R, 4 * C])

    # Where they lie. A row's first word may be in the midst of its block.
    place = c + tl.arange(0, 4 * C)[None, :]
    if not ALIGNED:
        place = place - (start & 3).to(tl.int64)[:, None]
    at = out + r[:, None] * run + place
    inside = (r < rows)[:, None] & (place < run)
    if not ALIGNED:
        inside = inside & (place >= 0)

    if KIND == "words":
        tl.store(at, word.to(tl.int32, bitcast=True), mask=inside)
    else:
        if KIND == "unit":
            value = (word >> 8).to(tl.int32).to(tl.float32) * scale
        elif KIND == "symmetric":
            odd = (2 * (word >> 9) + 1).to(tl.int32) - 8388608
            value = odd.to(tl.float32) * scale
        else:
            if KIND == "truncated":
                least = low_word.to(tl.uint32, bitcast=True)
                # 2^32 - 2 low_word words lie inside.
                word = least + tl.umulhi(word, 0 - 2 * least)
            size = _quantile(word, table).to(tl.int32).to(tl.float32)
            value = size * tl.where(word < 0x80000000, -scale, scale)
        if SHIFTED:
            # The product is rounded before the sum: `zero` is an argument, so that no
            # compiler knows that the XOR changes nothing, and none can fuse the two.
            bits = value.to(tl.uint32, bitcast=True) ^ zero.to(tl.uint32, bitcast=True)
            value = bits.to(tl.float32, bitcast=True)
        # Where the shift is 0.0, fusing changes nothing, and -0.0 becomes 0.0.
        value = value + shift
        if WIDTH == 0:
            tl.store(at, value.to(out.dtype.element_ty), mask=inside)
        else:
            bits = value.to(tl.uint32, bitcast=True)
            short = _rounded(bits, BIAS, FRACTION, END, WIDTH)
            tl.store(at, short.to(out.dtype.element_ty), mask=inside)


#: Whether the kernel runs in Python.
INTERPRETED = not isinstance(_kernel, triton.runtime.JITFunction)

#: Blocks of four words that a program draws. In Python each is as slow as a large one.
TILE = 1 << 13 if INTERPRETED else 512

#: Axes beside the innermost that a launch knows.
_OUTER = 3


def fill_(
    out: torch.Tensor,
    seed: int,
    stream: int,
    sampler: Sampler,
    box: Box | None = None,
    first: int = 0,
) -> torch.Tensor:
    """Draws a box of a tensor, or elements ``first ..`` of a stream, into ``out``.

    Element by element: ``value = f32(integer(word)) * f32(scale) + f32(shift)``, in the
    dtype of ``out``: float32, bfloat16, float16, float8_e4m3fn, float8_e5m2 or float64,
    and int32 or uint32 for words. A constant is ``out.fill_``.

    Args:
        out: on a GPU; where it is not contiguous it is drawn apart and copied.
        seed, stream: 0 to 2^64 - 1; the stream is a name's id.
        sampler: what is drawn, as the extension's ``sampler`` gives it.
        box: the part of the whole tensor that ``out`` holds, row-major; without, ``out``
            is a run of elements from ``first`` on.

    Raises:
        ValueError: where box and ``out`` have not as many elements, or the dtype does
            not hold the values.
        Differs: where the device's numbers are not the CPU's, which is looked at
            when something is first drawn there, once a process and kind.
    """
    if box is None:
        box = Box.of((first + out.numel(),), [(first, first + out.numel())])
    if box.elements != out.numel():
        needed = f"the {box.elements} of a box of {box.sizes}"
        raise ValueError(f"out: got {out.numel()} elements, needed {needed}")
    if sampler.kind == "constant":
        return out.fill_(sampler.shift)
    # PyTorch does little with uint32, so that words come in int32 too.
    dtype = "u32" if out.dtype == torch.int32 else dtype_name(out.dtype)
    check_dtype(sampler, dtype)
    if out.numel() == 0:
        return out
    _check(out.device, sampler.kind, dtype, sampler.shift != 0)
    contiguous = out.is_contiguous()
    into = out.detach() if contiguous else out.new_empty(out.shape, requires_grad=False)
    with _on(out.device):
        _launch(_bits(into).view(-1), seed, stream, sampler, box.first, box.axes(), dtype)
    return out if contiguous else out.copy_(into)


def _bits(out: torch.Tensor) -> torch.Tensor:
    """The same memory, as integers where Triton is not to know of the float."""
    width = out.element_size()
    if out.dtype in (torch.float32, torch.float64):
        return out
    return out.view({1: torch.int8, 2: torch.int16, 4: torch.int32}[width])


def _on(device: torch.device) -> AbstractContextManager[object]:
    # Triton launches on the device in use, which need not be the tensor's.
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


@cache
def _table(device: torch.device) -> torch.Tensor:
    """A row a segment: ``256 base - round + 255``, and above it ``curve << 16 | slope``.

    In whole numbers ``base - (e + 256 round >> 16)``, ``e`` being what slope and curve
    come to, is ``256 base - round + 255 - (e >> 8) >> 8``.
    """
    rows = _contract.TABLE.astype(np.uint64)
    base, rest = rows[:, 0] >> np.uint64(8), rows[:, 0] & np.uint64(0xFF)
    joined = base * np.uint64(256) - rest + np.uint64(255) | rows[:, 1] << np.uint64(32)
    return torch.from_numpy(joined.view(np.int64)).to(device)


def _signed(word: int) -> int:
    # So that Triton takes every u32 for the same type.
    return word - (1 << 32) if word >> 31 else word


def _launch(
    out: torch.Tensor,
    seed: int,
    stream: int,
    sampler: Sampler,
    first: int,
    axes: list[tuple[int, int]],
    dtype: str,
) -> None:
    if len(axes) - 1 > _OUTER:
        size, stride = axes[-1]
        for at, part in enumerate(out.view(size, -1)):
            _launch(part, seed, stream, sampler, first + at * stride, axes[:-1], dtype)
        return
    (run, _), outer = axes[0], axes[1:]
    rows = out.numel() // run
    columns = min(TILE, triton.next_power_of_2(triton.cdiv(run + 3, 4)))
    height = min(TILE // columns, triton.next_power_of_2(rows))
    (size1, stride1), (size2, stride2), (_, stride3) = outer + [(1, 0)] * (_OUTER - len(outer))
    form = FLOATS.get(dtype, _contract.Float(0, 0, 0, 0))
    _kernel[(triton.cdiv(rows, height) * triton.cdiv(run + 3, 4 * columns),)](
        out,
        _table(out.device),
        *(_signed(half) for pair in (seed, stream, first) for half in halves(pair)),
        _signed(sampler.low_word),
        0,
        sampler.scale,
        sampler.shift,
        rows,
        run,
        size1,
        stride1,
        size2,
        stride2,
        stride3,
        AXES=len(outer),
        ALIGNED=first % 4 == 0 and all(stride % 4 == 0 for _, stride in outer),
        KIND=sampler.kind,
        SHIFTED=sampler.shift != 0,
        BIAS=form.bias,
        FRACTION=form.fraction,
        END=form.end,
        WIDTH=form.width,
        R=height,
        C=columns,
        # What is fused where there is no shift is the same number.
        enable_fp_fusion=sampler.shift == 0,
    )


#: What a device was held to the contract in.
_held: set[tuple[torch.device, str, str, bool]] = set()


def _check(device: torch.device, kind: str, dtype: str, shifted: bool) -> None:
    """Holds a kernel that has not run on a device yet to the definition on the CPU."""
    key = (device, kind, dtype, shifted)
    if key in _held:
        return
    _held.add(key)
    # Numbers of 24 bits, so that no product is exact; and a cut at 2.
    scale, shift = (float(np.float32(number)) for number in (0.7 * 2.0**-24, 0.1))
    sampler = Sampler(kind, scale, shift if shifted else 0.0, 97711008)
    # Over the carry from a counter's lower half to its upper one, from the midst of a block.
    seed, stream, first, count = 0x9E3779B97F4A7C15, 0xD1B54A32D192ED03, (1 << 34) - 4099, 8195
    held = _contract.values(sampler, dtype, _contract.words(seed, stream, first, count))
    out = torch.empty(count, dtype=TORCH[dtype], device=device)
    with _on(device):
        _launch(_bits(out), seed, stream, sampler, first, [(count, 1)], dtype)
    got = _bits(out).cpu().numpy()
    differ = int((got.view(f"u{got.itemsize}") != held.view(f"u{held.itemsize}")).sum())
    if differ:
        _held.discard(key)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
        raise Differs(
            f"{name}, by Triton {triton.__version__}: {differ} of {count} {kind} elements in "
            f"{dtype} are not those of the CPU: this device does not keep fanin's contract so. "
            "Draw on the CPU and copy, and please report it"
        )


#: PyTorch's dtypes by the command line's names.
TORCH = {
    "f32": torch.float32,
    "bf16": torch.bfloat16,
    "f16": torch.float16,
    "f8_e4m3": torch.float8_e4m3fn,
    "f8_e5m2": torch.float8_e5m2,
    "f64": torch.float64,
    "u32": torch.int32,
}
