"""Keras 3: an ``Initializer``, and all of a model's weights by their paths.

    keras.layers.Dense(64, kernel_initializer=fanin.keras.Initializer(
        "he_normal", seed=7, name="dense_1.kernel"))
    fanin.keras.init_(model, seed=7)          # or every weight of a built model

With the JAX backend elements are made by JAX, where they lie; with PyTorch's by
``fanin.torch`` (on a GPU by its kernel), with TensorFlow's and NumPy's by the extension,
on the CPU. The bits are the same.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from . import _fanin
from ._contract import Box, dtype_name, init_text, stream_of, whole_u64
from ._rules import Rules, described, listed, planned, written

__all__ = ["Initializer", "init_"]


@keras.saving.register_keras_serializable(package="fanin")
class Initializer(keras.initializers.Initializer):
    """An initializer of the command line, as Keras calls for one.

    Args:
        init: ``he_normal``, ``normal:0.02``; by the command line's names, whose
            ``he_normal`` is a plain normal. Keras' own is ``he_truncated_normal``.
        seed: from 0 to 2^64 - 1.
        name: the tensor's, which its stream is found by. Two layers that share one
            initializer start alike: give each its own.
        layout: ``in_out``, as Keras stores kernels, or ``out_in``.
        geometry: ``fan_in``, ``fan_out``, ``groups``, ``transposed``, ``batch_dims``,
            ``depth`` and ``parts``, as :func:`fanin.init` has them.
    """

    def __init__(
        self, init: str, *, seed: int, name: str, layout: str = "in_out", **geometry: Any
    ) -> None:
        self.init = init_text(init)
        self.seed = whole_u64("seed", seed)
        stream_of(name)
        self.name = name
        self.geometry = {"layout": layout, **geometry}

    def __call__(self, shape: Sequence[int], dtype: Any = None, layout: Any = None) -> Any:
        """A tensor of the backend's; ``layout`` is how Keras distributes it, in JAX."""
        dtype = keras.backend.standardize_dtype(dtype or keras.config.floatx())
        tensor = {
            "name": self.name,
            "shape": [max(size, 1) for size in shape],
            "dtype": dtype_name(dtype),
            "init": self.init,
            **self.geometry,
        }
        tensors = _fanin.Recipe.of([tensor])
        return _drawn(tensors, self.name, tuple(shape), dtype, self.seed, layout)

    def get_config(self) -> dict[str, Any]:
        """What it was made from: ``from_config`` makes it again."""
        return {"init": self.init, "seed": self.seed, "name": self.name, **self.geometry}


def init_(
    model: Any,
    seed: int,
    rules: Rules = (),
    *,
    recipe: str | os.PathLike[str] | None = None,
    prefix: str = "",
) -> Any:
    """Draws every trainable and frozen weight of a built model, in place, by its path.

    Names are the variables' paths with dots: ``dense_1.kernel``. Keras numbers layers that
    have no name through the whole session, so give layers names. Without rules each
    starts from the layer's own initializer where that is one of Keras' that fanin has
    (``glorot_uniform``, ``he_normal``, ``zeros``, ...; read from the layer), and from a
    rule else. What a layer counts itself (running statistics, seeds) stays.

    Returns:
        The model.

    Raises:
        ValueError: for a model that is not built, and a weight of which neither rules nor
            its layer say anything.
        TypeError: for what is no layer or model, no rule.
    """
    if not isinstance(model, keras.layers.Layer):
        raise TypeError(f"model: got {type(model).__name__}, needed a keras.Model or a layer")
    if not model.built:
        raise ValueError("model: got one that is not built, needed model.build(shape) first")
    seed, texts = whole_u64("seed", seed), written(rules)
    variables: dict[str, Any] = {}
    starts: dict[str, dict[str, Any] | None] = {}
    for layer in [model, *model._flatten_layers(include_self=False)]:
        for variable in layer._trainable_variables:
            name = prefix + variable.path.replace("/", ".")
            if variables.setdefault(name, variable) is not variable:
                raise ValueError(f"weight `{name}`: got two of this name, needed a name for each")
            starts[name] = starts.get(name) or _start(layer, variable)
    own = [
        described(name, variable.shape, variable.dtype, starts[name])
        for name, variable in variables.items()
        if math.prod(variable.shape)
    ]
    tensors = planned(own, texts, recipe)
    if undecided := tensors.undecided():
        raise ValueError(
            f"weights: got {listed(undecided)}, whose layers say nothing that fanin has; needed "
            f"a rule for each, such as '{undecided[0]}=ones', or a recipe"
        )
    if set(tensors.names()) != set(variables):
        odd = sorted(set(tensors.names()) ^ set(variables))
        raise ValueError(f"recipe: got other names ({listed(odd)}), needed the model's own")
    for name, variable in variables.items():
        variable.assign(_drawn(tensors, name, tuple(variable.shape), variable.dtype, seed, None))
    return model


def _drawn(
    tensors: _fanin.Recipe, name: str, shape: tuple[int, ...], dtype: str, seed: int, layout: Any
) -> Any:
    backend = keras.backend.backend()
    if backend == "jax":
        from .jax import drawn_of, dtype_of

        sharding = getattr(layout, "backend_layout", layout)
        return drawn_of(tensors, name, Box.of(shape), dtype_of(dtype), seed, sharding)
    if backend == "torch":
        import torch
        from keras.src.backend.torch.core import get_device

        from .torch import _fill

        tensor = torch.empty(shape, dtype=getattr(torch, dtype), device=get_device())
        if tensor.numel():
            _fill(tensor, name, tensors, seed)
        return tensor
    out = np.empty(shape, np.dtype(dtype))
    if out.size:
        bounds = [0] * len(shape), list(shape)
        tensors.draw(name, seed, dtype_name(dtype), out.ctypes.data, out.nbytes, *bounds)
    return keras.ops.convert_to_tensor(out)


def _start(layer: Any, variable: Any) -> dict[str, Any] | None:
    """What a layer starts one of its weights from, where fanin has it too."""
    key = variable.name
    if key == "bias" and getattr(layer, "unit_forget_bias", False):
        # Keras' LSTM, whose second quarter is the forget gate's.
        units = layer.units
        return {"init": "zeros", "ranges": [(0, units, 2 * units, "ones")]}
    for stem in (key, key.removesuffix("_kernel")):
        initializer = getattr(layer, f"{stem}_initializer", None)
        if initializer is not None:
            return _said(initializer, tuple(variable.shape))
    return None


def _said(initializer: Any, shape: tuple[int, ...]) -> dict[str, Any] | None:
    """One of Keras' initializers as fanin has it."""
    of = keras.initializers
    if isinstance(initializer, Initializer):
        return {"init": initializer.init, **initializer.geometry}
    kind = type(initializer)
    if kind is of.Zeros:
        return {"init": "zeros"}
    if kind is of.Ones:
        return {"init": "ones"}
    config = initializer.get_config() if isinstance(initializer, of.Initializer) else {}
    if kind is of.Constant and isinstance(config["value"], (int, float)):
        return {"init": f"constant:{config['value']!r}"}
    if kind is of.RandomNormal:
        return {"init": f"normal:std={config['stddev']!r},mean={config['mean']!r}"}
    if kind is of.TruncatedNormal:
        return {"init": f"truncated_normal:std={config['stddev']!r},mean={config['mean']!r}"}
    if kind is of.RandomUniform:
        return {"init": f"uniform:{config['minval']!r},{config['maxval']!r}"}
    if kind in (of.Orthogonal, of.Identity):
        return {"init": f"{kind.__name__.lower()}:{config['gain']!r}", "layout": "in_out"}
    if isinstance(initializer, of.VarianceScaling) and kind.__module__.startswith("keras."):
        scale, mode, family = initializer.scale, initializer.mode, initializer.distribution
        family = {"untruncated_normal": "normal"}.get(family, family)
        fans = _fans(shape, initializer)
        text = f"variance_scaling:scale={scale!r},mode={mode},distribution={family}"
        return {"init": text, "fan_in": fans[0], "fan_out": fans[1]}
    return None


def _fans(shape: tuple[int, ...], initializer: Any) -> tuple[int, int]:
    """Inputs and outputs as Keras counts them."""
    inputs, outputs = (getattr(initializer, f"{end}_axes", None) for end in ("input", "output"))
    if inputs is not None and outputs is not None:
        return math.prod(shape[axis] for axis in inputs), math.prod(shape[axis] for axis in outputs)
    if len(shape) < 2:
        return math.prod(shape), math.prod(shape)
    taps = math.prod(shape[:-2])
    return taps * shape[-2], taps * shape[-1]
