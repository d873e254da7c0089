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
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from . import _fanin
from ._arrays import checked_geometry, checked_shape
from ._contract import Box, dtype_name, init_text, stream_of, unicode, whole_u64
from ._rules import Rules, Start, Tensor, checked_prefix, listed, planned, written

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
        # In numbers of Python's, which files of JSON have.
        checked = checked_geometry(layout, **geometry)
        self.geometry = {key: checked[key] for key in ["layout", *geometry]}

    def __call__(self, shape: Sequence[int], dtype: Any = None, layout: Any = None) -> Any:
        """A tensor of the backend's; ``layout`` is how Keras distributes it, in JAX."""
        sizes = tuple(checked_shape(shape))
        dtype = keras.backend.standardize_dtype(dtype or keras.config.floatx())
        # Of a tensor without elements the rest is to be right all the same.
        least = tuple(max(size, 1) for size in sizes)
        tensor = Tensor(self.name, least, dtype_name(dtype), None, "the initializer")
        parts = {"parts": None} if 0 in sizes else {}
        start = {"init": self.init, **self.geometry, **parts}
        tensors = _fanin.Recipe.of([tensor.described(start)])
        return _drawn(tensors, self.name, sizes, dtype, self.seed, layout)

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

    Names are those of the layers below the model, and the weight's, joined by dots:
    ``dense_1.kernel``, ``encoder.attention.query.kernel``; of a layer by itself ``kernel``.
    The model's own name is no part of them, nor where a layer was built. Keras numbers
    layers that were given no name through the whole session, so name layers, or call
    ``keras.utils.clear_session()`` before the model is made: a model whose numbers show
    that others were made before it is warned of.

    Without rules each starts from the layer's own initializer where that is one of Keras'
    that fanin has (``glorot_uniform``, ``he_normal``, ``zeros``, ...; read from the layer),
    and from a rule else. What a layer counts itself (running statistics, seeds) stays.

    Args:
        model: a built model or layer.
        seed: from 0 to 2^64 - 1.
        rules: the first that serves a weight says all of it, as with ``fanin init --rule``:
            ``["*.bias=zeros", "*.kernel=he_normal"]``; kernels are read as ``in_out``.
        recipe: what says all of it in place of the layers' own: a recipe's .toml.
        prefix: what stands before the names, where the model is a part of another.

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
    variables = _variables(model, checked_prefix(prefix))
    filled = [own for own in variables.values() if math.prod(own[1].shape)]
    tensors = planned([tensor for _, tensor in filled], texts, recipe, "the model's layers")
    known = {tensor.name: tensor.dtype for _, tensor in filled}
    if known or recipe is not None:
        if odd := sorted(set(tensors.names()) ^ set(known)):
            raise ValueError(f"recipe: got other names ({listed(odd)}), needed the model's own")
        for variable, tensor in filled:
            if list(tensor.shape) != tensors.shape(tensor.name):
                raise ValueError(
                    f"weight `{tensor.name}`: got shape {list(tensor.shape)}, needed "
                    f"{tensors.shape(tensor.name)}, as the recipe or rule has it"
                )
        tensors = tensors.with_dtypes(known)
    _warn_of_numbers(model)
    for variable, tensor in filled:
        shape = tensor.shape
        variable.assign(_drawn(tensors, tensor.name, shape, variable.dtype, seed, None))
    return model


def _variables(model: Any, prefix: str) -> dict[int, tuple[Any, Tensor]]:
    """A model's weights, each once, by the name that the layers below the model give it."""
    found: dict[int, tuple[Any, Tensor]] = {}
    seen: set[str] = set()
    for path, layer in _layers(model):
        for variable in layer._trainable_variables:
            if id(variable) in found:
                tensor = found[id(variable)][1]
                tensor.start = tensor.start or _start(layer, variable)
                continue
            name = unicode("weight", prefix + ".".join([*path, variable.name]))
            if name in seen:
                raise ValueError(f"weight `{name}`: got two of this name, needed a name for each")
            seen.add(name)
            try:
                dtype = dtype_name(variable.dtype)
            except TypeError as error:
                raise TypeError(f"weight `{name}`: {error}") from None
            shape, start, owner = tuple(variable.shape), _start(layer, variable), type(layer)
            reading = {"layout": "in_out"}
            tensor = Tensor(name, shape, dtype, start, owner.__name__, reading)
            found[id(variable)] = variable, tensor
    return found


def _layers(
    layer: Any, path: tuple[str, ...] = (), seen: set[int] | None = None
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """A layer and those in it, each once, by the names on the way to it.

    Inner ones first: a wrapper, as SpectralNormalization is, has the weights of what it
    wraps for its own too.
    """
    seen = set() if seen is None else seen
    seen.add(id(layer))
    for inner in layer._layers:
        if id(inner) not in seen:
            # Keras names a part by its layer, wherever it is kept.
            yield from _layers(inner, (*path, inner.name.replace("/", ".")), seen)
    yield path, layer


def _warn_of_numbers(model: Any) -> None:
    """Warns of names that tell how many layers were made before in this session."""
    try:
        from keras.src.backend.common.global_state import get_global_attribute
    except ImportError:
        return
    #: How many names of each stem Keras has given in this session, itself.
    given = get_global_attribute("object_name_uids") or {}
    first: dict[str, tuple[int, str]] = {}
    for path, layer in _layers(model):
        stem, _, number = layer.name.rpartition("_")
        if not number.isdecimal():
            stem, number = layer.name, "0"
        if path and layer.trainable_variables and int(number) < given.get(stem, 0):
            first[stem] = min(first.get(stem, (1 << 64, "")), (int(number), layer.name))
    if late := [name for number, name in first.values() if number]:
        warnings.warn(
            f"layers: got {listed(late)}, numbered by how many were made before in this session, "
            "and weights go by names; needed names of their own, or keras.utils.clear_session() "
            "before the model is made, for the same weights in another session",
            stacklevel=3,
        )


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


def _start(layer: Any, variable: Any) -> Start | None:
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


def _said(initializer: Any, shape: tuple[int, ...]) -> Start | None:
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
        return {"init": f"{kind.__name__.lower()}:{config['gain']!r}"}
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
