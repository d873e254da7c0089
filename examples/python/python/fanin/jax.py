"""fanin's weights in JAX, in JAX's own integer arithmetic.

Element ``i`` of a tensor is a function of (seed, name, i) alone, so under ``jit``
with shardings each device makes its own part and no device waits for another, and
the whole is the same, bit for bit, for any mesh, and equal to what ``fanin init``
and ``fanin.torch`` make of the same seed, name and shape::

    init = fanin.jax.initializer("he_normal", seed=7, name="layers.0.kernel")
    kernel = init(None, (512, 256), jnp.float32)      # as jax.nn.initializers' own

The names of initializers are the command line's (``fanin init --list``), whose
``he_normal`` is a plain normal as PyTorch's is; what JAX calls ``he_normal`` is
``he_truncated_normal`` here. Shapes are read as JAX's are, inputs before outputs,
unless ``layout="out_in"`` says otherwise. Elements are numbered in the order in
which they lie, so a kernel ``[in, out]`` is not the transpose of PyTorch's
``[out, in]`` of the same name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from . import _fanin
from ._arrays import checked_geometry, checked_shape
from ._contract import (
    FLOATS,
    TABLE,
    Arrays,
    Box,
    Sampler,
    U,
    check_dtype,
    dtype_name,
    halves,
    init_text,
    integer,
    rounded,
    stream_of,
    whole_u64,
)

__all__ = ["draw", "initializer"]


def initializer(
    init: str,
    *,
    seed: int,
    name: str,
    layout: str = "in_out",
    dtype: Any = None,
    **geometry: Any,
) -> Callable[..., jax.Array]:
    """``init(key, shape, dtype, out_sharding)``, as ``jax.nn.initializers`` have it.

    Args:
        init: an initializer of the command line, ``he_normal`` or ``normal:0.02``.
        seed: 0 to 2^64 - 1.
        name: the tensor's, which its stream is found by: another for each tensor.
        layout: ``in_out``, JAX's ``[kernel..., in, out]``, or ``out_in``, PyTorch's.
        dtype: what the initializer gives where its call names none; without it JAX's
            default float, which is float32, and float64 where x64 is enabled.
        geometry: ``fan_in``, ``fan_out``, ``groups``, ``transposed``, ``batch_dims``,
            ``depth`` and ``parts``, as :func:`fanin.init` has them.

    The key that the initializer is called with is not looked at, and may be None:
    seed and name decide.
    """
    text, seed = init_text(init), whole_u64("seed", seed)
    stream_of(name)
    # Of a function that has a name, so that it can be pickled.
    geometry = checked_geometry(layout, **geometry)
    return partial(_called, text, dtype, seed=seed, name=name, **geometry)


def _called(
    init: str,
    usual: Any,
    /,
    key: Any,
    shape: Sequence[int],
    dtype: Any = None,
    out_sharding: Any = None,
    **given: Any,
) -> jax.Array:
    del key
    dtype = usual if dtype is None else dtype
    return draw(init, shape, dtype=dtype, sharding=out_sharding, **given)


def draw(
    init: str,
    shape: Sequence[int],
    *,
    seed: int,
    name: str,
    dtype: Any = None,
    box: Sequence[tuple[int, int]] | None = None,
    sharding: Any = None,
    layout: str = "in_out",
    **geometry: Any,
) -> jax.Array:
    """A tensor of this shape; or the box of it that ``box`` says.

    What is drawn element by element is made where the array lies, under ``jit`` or
    not. What is drawn as a whole (``orthogonal``, ``identity``, tables) the host
    computes: with a ``NamedSharding`` outside of ``jit`` each device's part and no
    more; while tracing, all of it, which becomes a constant of the program, bits and
    all. A constant is held by the program for as long as it is compiled, so draw
    large ones outside of ``jit``.

    Args:
        dtype: without it JAX's default float: float32, or float64 where x64 is enabled.
        box: ``(start, end)`` in each dimension.
        sharding: a ``NamedSharding``, or a ``PartitionSpec`` of the mesh in use.

    Raises:
        TypeError, ValueError: saying what was given and what was needed.
    """
    init_text(init)
    sizes = tuple(checked_shape(shape))
    part = Box.of(sizes, box)
    seed = whole_u64("seed", seed)
    stream_of(name)
    geometry = checked_geometry(layout, **geometry)
    if 0 in sizes:
        # What is fused of nothing has no lengths that could be wrong.
        geometry["parts"] = None
    dtype = dtype_of(float if dtype is None else dtype)
    described = {
        "name": name,
        # Of a tensor without elements the rest is to be right all the same.
        "shape": [max(size, 1) for size in sizes],
        "dtype": dtype_name(dtype),
        "init": init,
        **geometry,
    }
    return drawn_of(_fanin.Recipe.of([described]), name, part, dtype, seed, sharding)


def dtype_of(dtype: Any) -> Any:
    """A dtype as JAX reads it: float64 is float32 where x64 is not enabled."""
    return jax.eval_shape(lambda: jnp.zeros((), dtype)).dtype


def drawn_of(
    tensors: _fanin.Recipe, name: str, box: Box, dtype: Any, seed: int, sharding: Any
) -> jax.Array:
    """A box of one of a recipe's tensors."""
    if box.elements == 0:
        return _placed(np.zeros(box.sizes, dtype), sharding=sharding)
    own, layers = tensors.samplers(name)
    if own is None or any(sampler is None for *_, sampler in layers):
        return _by_host(tensors, name, box, dtype, seed, sharding)

    def one(numbers: tuple[str, float, float, int]) -> jax.Array:
        sampler = Sampler(*numbers)
        if sampler.kind == "constant":
            return _full(_constant(sampler.shift, dtype), sizes=box.sizes, sharding=sharding)
        return fill(sampler, box, dtype, seed, stream_of(name), sharding)

    value = one(own)
    for axis, start, stop, sampler in reversed(layers):
        # The earlier lie over the later.
        start, stop = start - box.starts[axis], stop - box.starts[axis]
        if start < box.sizes[axis] and stop > 0:
            value = _layered(value, one(sampler), axis=axis, start=start, stop=stop)
    return value


def _by_host(
    tensors: _fanin.Recipe, name: str, box: Box, dtype: Any, seed: int, sharding: Any
) -> jax.Array:
    def part(inner: Box) -> np.ndarray:
        out, short = np.empty(inner.sizes, dtype), dtype_name(dtype)
        bounds = list(inner.starts), list(inner.sizes)
        tensors.draw(name, seed, short, out.ctypes.data, out.nbytes, *bounds)
        return out

    tracing = isinstance(jnp.zeros(()), jax.core.Tracer)
    if isinstance(sharding, jax.sharding.NamedSharding) and not tracing:
        return jax.make_array_from_callback(
            box.sizes, sharding, lambda index: part(box.within(index))
        )
    return _placed(part(box), sharding=sharding)


def _constant(value: float, dtype: Any) -> np.ndarray:
    # The extension knows how a constant becomes each dtype, integers too.
    out = np.empty((1,), dtype)
    short = dtype_name(dtype)
    _fanin.draw(f"constant:{value!r}", [1], 0, "constant", short, out.ctypes.data, out.nbytes)
    return out


def fill(
    sampler: Sampler, box: Box, dtype: Any, seed: int, stream: int, sharding: Any = None
) -> jax.Array:
    """A box of a tensor, or of a stream as long as ``box.shape``, element by element."""
    short = dtype_name(dtype)
    check_dtype(sampler, short)
    if any(size > 1 << 32 for size in box.sizes):
        raise ValueError(f"shape: got {box.sizes}, needed dimensions of at most 2^32")
    last = box.first + sum((size - 1) * stride for size, stride in zip(box.sizes, box.strides))
    scale, shift = np.array([sampler.scale, sampler.shift], np.float32).view(U)
    pairs = [*halves(seed), *halves(stream), *halves(box.first)]
    return _fill(
        np.array([*pairs, scale, shift, sampler.low_word], U),
        sizes=box.sizes,
        strides=box.strides,
        wide=last >= 1 << 32,
        kind=sampler.kind,
        shifted=sampler.shift != 0,
        dtype=short,
        sharding=sharding,
    )


def _sharded(make: Callable[..., jax.Array], sharding: Any) -> Callable[..., jax.Array]:
    """``make``, its result laid out so from the start."""
    if sharding is None:
        return make
    mesh = getattr(sharding, "mesh", None) or jax.sharding.get_abstract_mesh()
    if explicit := getattr(mesh, "explicit_axes", ()):
        return jax.sharding.auto_axes(make, axes=explicit, out_sharding=sharding)
    return lambda *given: lax.with_sharding_constraint(make(*given), sharding)


@partial(jax.jit, static_argnames=("sharding",))
def _placed(value: Any, *, sharding: Any) -> jax.Array:
    return _sharded(jnp.asarray, sharding)(value)


@partial(jax.jit, static_argnames=("sizes", "sharding"))
def _full(value: Any, *, sizes: tuple[int, ...], sharding: Any) -> jax.Array:
    return _sharded(lambda value: jnp.broadcast_to(value[0], sizes), sharding)(value)


@partial(jax.jit, static_argnames=("axis", "start", "stop"))
def _layered(value: Any, over: Any, *, axis: int, start: int, stop: int) -> jax.Array:
    # Chosen element by element, so that each device chooses among its own.
    place = lax.broadcasted_iota(jnp.int32, value.shape, axis)
    return jnp.where((place >= start) & (place < stop), over, value)


@partial(
    jax.jit,
    static_argnames=("sizes", "strides", "wide", "kind", "shifted", "dtype", "sharding"),
)
def _fill(
    numbers: Any,
    *,
    sizes: tuple[int, ...],
    strides: tuple[int, ...],
    wide: bool,
    kind: str,
    shifted: bool,
    dtype: str,
    sharding: Any,
) -> jax.Array:
    # What differs from tensor to tensor is data, so that those of one shape share a program.
    def made(numbers: jax.Array) -> jax.Array:
        seed, stream, first = numbers[0:2], numbers[2:4], numbers[4:6]
        scale, shift, low_word = numbers[6], numbers[7], numbers[8]
        word = _words(seed, stream, _places(sizes, strides, first, wide))
        if kind == "words":
            return word
        whole = integer(ARRAYS, kind, low_word, word)
        if shifted:
            bits = _bits(_value(_product(whole, scale)) + _value(shift))
        else:
            bits = _bits(whole.astype(jnp.float32) * _value(scale))
        if dtype in FLOATS:
            width = FLOATS[dtype].width
            short = rounded(ARRAYS, dtype, bits).astype(f"uint{width}")
            return lax.bitcast_convert_type(short, _LONG[dtype])
        return _value(bits).astype(_LONG[dtype])

    return _sharded(made, sharding)(numbers)


def _places(
    sizes: tuple[int, ...], strides: tuple[int, ...], first: jax.Array, wide: bool
) -> tuple[jax.Array, jax.Array]:
    """The indices of a box's elements in the whole, as halves of 64 bits.

    A sum over dimensions, so that however an array is sharded each device counts its
    own alone.
    """
    low, high = jnp.broadcast_to(first[0], sizes), first[1]
    for at, stride in enumerate(strides):
        along = lax.broadcasted_iota(jnp.uint32, sizes, at)
        step_low, step_high = halves(stride)
        sum_low = low + along * U(step_low)
        if wide:
            high = high + (sum_low < low).astype(jnp.uint32) + along * U(step_high)
            high = high + _mulhi(along, U(step_low))
        low = sum_low
    return low, high


def _words(seed: jax.Array, stream: jax.Array, places: tuple[jax.Array, jax.Array]) -> jax.Array:
    """Philox4x32-10 of each element's block, and of its four words the element's own."""
    low, high = places
    block = (low >> U(2)) | (high << U(30))
    c0, c1, c2, c3 = block, high >> U(2), stream[0], stream[1]
    k0, k1 = seed[0], seed[1]
    for _ in range(10):
        high0, low0 = _mulhi(c0, U(0xD2511F53)), c0 * U(0xD2511F53)
        high1, low1 = _mulhi(c2, U(0xCD9E8D57)), c2 * U(0xCD9E8D57)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + U(0x9E3779B9), k1 + U(0xBB67AE85)
    even = jnp.where(low & U(2) == 0, c0, c2)
    odd = jnp.where(low & U(2) == 0, c1, c3)
    return jnp.where(low & U(1) == 0, even, odd)


def _mulhi(a: Any, b: Any) -> jax.Array:
    """The upper half of the product of u32s."""
    # Through one product of u64s, which compilers know as one instruction, whether or
    # not x64 is enabled. `lax.mulhi` would be that, but XLA cannot partition it yet.
    if (enabled := getattr(jax, "enable_x64", None)) is not None:
        with enabled(True):
            product = _long(a) * _long(b)
            if product.dtype == np.uint64:
                return lax.convert_element_type(product >> np.uint64(32), np.uint32)
    return _mulhi_of_halves(a, b)


def _long(x: Any) -> jax.Array:
    return lax.convert_element_type(x, np.uint64)


def _mulhi_of_halves(a: Any, b: Any) -> jax.Array:
    """The same by halves of 16 bits, no product or sum of which needs more than 32."""
    a_low, a_high, b_low, b_high = a & U(0xFFFF), a >> U(16), b & U(0xFFFF), b >> U(16)
    middle = a_high * b_low + ((a_low * b_low) >> U(16))
    carry = a_low * b_high + (middle & U(0xFFFF))
    return a_high * b_high + (middle >> U(16)) + (carry >> U(16))


def _product(whole: jax.Array, scale: jax.Array) -> jax.Array:
    """The bits of ``f32(whole) * scale``, rounded to nearest, ties to even, by integers.

    Where a sum follows a product, compilers may fuse the two and round once; of a
    product that is made of integers there is nothing to fuse. ``scale`` is the bits of
    a number above 0, and by the contract no product is subnormal or infinite.
    """
    size = jnp.abs(whole).astype(jnp.uint32)
    zeros = lax.clz(size) & U(31)
    a, b = size << zeros, (scale << U(8)) | U(1 << 31)
    high, low = _mulhi(a, b), a * b
    # The leading bit of the product is the highest or the one below it.
    short = U(1) - (high >> U(31))
    high, low = (high << short) | ((low >> U(31)) & short), low << short
    kept = high >> U(8)
    rest = ((high & U(0xFF)) << U(1)) | (low != 0).astype(jnp.uint32)
    up = (rest + (kept & U(1)) > U(0x100)).astype(jnp.uint32)
    exponent = (scale >> U(23)) + U(32) - zeros - short
    # `kept` has the leading bit, which a float leaves out, so it counts one exponent.
    bits = ((exponent - U(1)) << U(23)) + kept + up
    sign = jnp.where(whole < 0, U(1 << 31), U(0))
    return jnp.where(size == 0, U(0), bits | sign)


def _value(bits: jax.Array) -> jax.Array:
    return lax.bitcast_convert_type(bits, jnp.float32)


def _bits(value: jax.Array) -> jax.Array:
    return lax.bitcast_convert_type(value, jnp.uint32)


ARRAYS = Arrays(
    where=jnp.where,
    minimum=jnp.minimum,
    mulhi=_mulhi,
    leading_zeros=lax.clz,
    look_up=lambda column, index: (
        jnp.asarray(TABLE[:, column]).at[index].get(mode="promise_in_bounds")
    ),
    signed=lambda x: lax.bitcast_convert_type(x, jnp.int32),
)

_LONG = {
    "f32": jnp.float32,
    "f64": jnp.float64,
    "bf16": jnp.bfloat16,
    "f16": jnp.float16,
    "f8_e4m3": jnp.float8_e4m3fn,
    "f8_e5m2": jnp.float8_e5m2,
}
