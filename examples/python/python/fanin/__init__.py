"""One seed, the same weights everywhere: NumPy, PyTorch, JAX; a CPU or a GPU; whole or in shards.

    import fanin
    w = fanin.he_normal((512, 256), seed=7, name="layers.0.weight")

``value = f32(integer(word)) * scale + shift``, where ``word`` is a hash of the seed, the
tensor's name and the element's index: so a weight depends on nothing else, not on the
device, the threads, or how many machines share the work. They are the bits that the
command line ``fanin init`` writes and that the Rust library draws.

Each initializer is a function here, by the command line's names and other frameworks':
``he_normal`` is ``kaiming_normal`` too. ``fanin.torch``, ``fanin.jax``, ``fanin.flax`` and
``fanin.keras`` are loaded when they are asked for.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from . import _catalogue, _fanin
from ._arrays import Stream, draw
from ._fanin import CONTRACT, __version__

_functions = _catalogue.functions()
globals().update(_functions)

_MODULES = ("flax", "jax", "keras", "torch")


def init(text: str, shape: Any, *, seed: int, name: str, **options: Any) -> np.ndarray:
    """A tensor of an initializer in text: ``"he_normal"``, ``"normal:0.02"``.

    Args:
        text: the initializer, as recipes and ``fanin init --rule`` have it.
        shape: that of the whole tensor, whatever part of it is drawn.
        seed: one a model, from 0 to 2^64 - 1.
        name: the tensor's name, by which it differs from the model's others.
        dtype: float32, float64, float16; with ml_dtypes bfloat16, float8_e4m3fn and
            float8_e5m2; for constants integers too. Without it ``out``'s, or float32.
        layout: ``out_in``, as PyTorch stores weights, or ``in_out``, as JAX and Keras do.
        fan_in, fan_out: in place of counting them: a bias has its weight's ``fan_in``.
        groups: of a grouped convolution.
        transposed: whether it is a transposed convolution.
        batch_dims: how many leading dimensions are of stacked matrices (experts).
        depth: the scale is divided by its root.
        parts: lengths along the outputs of weights that are fused into one tensor.
        rows: ``(start, end)`` along the first dimension: only these are drawn.
        box: ``(start, end)`` for each dimension: only this part is drawn.
        out: the array to write into, of the part's shape; strided ones are copied to.

    Returns:
        ``out``, or an array of the part's shape.

    Raises:
        TypeError, ValueError: saying what was given and what was needed.
        MemoryError: where there is no room.
    """
    if not isinstance(text, str):
        raise TypeError(f"init: got {text!r}, needed an initializer's text, such as 'he_normal'")
    return draw(text, shape, seed=seed, name=name, **options)


def stream(seed: int, name: str) -> Stream:
    """The words that a tensor's elements are made of."""
    return Stream(seed, name)


def verify() -> dict[str, str]:
    """Whether this machine keeps the contract: each engine that is there, against known answers.

    Returns:
        What was tried and held, by engine.

    Raises:
        RuntimeError: naming the engine and the first element that is not as it has to be.
    """
    from ._verify import verify as run

    return run()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["CONTRACT", "Stream", "init", "stream", "verify", *sorted(_functions)]
