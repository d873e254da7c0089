"""Flax: a model's parameters by their names, in NNX and in linen.

    fanin.flax.init_(model, seed=7)                             # nnx.Module, in place
    params = fanin.flax.init(variables["params"], seed=7)       # linen's, a new tree

Names are the paths, joined by dots: ``layers.0.kernel``. What is drawn is that of
``fanin init`` for the same names, shapes and initializers. Arrays that lie in shards are
drawn in shards, each device its own; and under ``jit`` everything is traced, so that a
model too large for one device is made where it is to lie::

    @nnx.jit
    def make():
        model = Model(rngs=nnx.Rngs(0))
        fanin.flax.init_(model, seed=7)       # what Rngs drew is never computed
        state = nnx.state(model)
        nnx.update(model, jax.lax.with_sharding_constraint(state, shardings))
        return model
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

import jax
from flax import nnx

from . import _fanin, _rules
from ._contract import Box, whole_u64
from ._rules import Rules, listed, planned, written
from .jax import drawn_of

__all__ = ["init", "init_", "initializers"]

Module = TypeVar("Module", bound=nnx.Module)
Start = dict[str, Any]


class _Tensor(NamedTuple):
    shape: tuple[int, ...]
    dtype: Any
    sharding: Any
    #: What Flax itself starts it from; None where nothing is known of it.
    start: Start | None
    #: Whose it is, for messages.
    owner: str


def init_(
    module: Module,
    seed: int,
    rules: Rules = (),
    *,
    recipe: str | os.PathLike[str] | None = None,
    prefix: str = "",
) -> Module:
    """Draws every ``nnx.Param`` of a module, in place; a shared one once, by its first path.

    Without rules parameters start as Flax's own modules start them where nothing is
    asked: kernels from ``lecun_normal`` (cut at 2), biases from zeros, scales from ones,
    embeddings from ``normal(1 / sqrt(features))``, recurrent kernels from ``orthogonal``.
    Flax does not keep which initializer a layer was given, so a rule has to say it again.
    Of a module made by ``nnx.eval_shape`` the parameters become arrays.

    Args:
        module: whole, sharded, or abstract; in or outside of ``nnx.jit``.
        seed: from 0 to 2^64 - 1.
        rules: the first that matches a name wins, as with ``fanin init --rule``:
            ``["*.bias=zeros", "*.kernel=he_normal layout=in_out"]``.
        recipe: what says all of it in place of Flax's own: a recipe's .toml, a built-in's
            name; rules lie over it.
        prefix: what stands before the names, where the module is a part of a model.

    Returns:
        The module.

    Raises:
        ValueError: for a parameter of which neither rules nor Flax say anything, and a
            rule that matches none or does not fit.
        TypeError: for what is no module, no rule.
    """
    if not isinstance(module, nnx.Module):
        raise TypeError(
            f"module: got {type(module).__name__}, needed a flax.nnx.Module; "
            "fanin.flax.init draws trees, such as linen's"
        )
    variables = _variables(module, prefix)
    described = {name: tensor for name, (_, tensor) in variables.items()}
    drawn = _drawn(described, seed, rules, recipe)
    for name, (variable, _) in variables.items():
        variable.set_value(drawn[name])
    return module


def init(
    tree: Any,
    seed: int,
    rules: Rules = (),
    *,
    recipe: str | os.PathLike[str] | None = None,
    prefix: str = "",
    shardings: Any = None,
) -> Any:
    """A tree of drawn arrays like ``tree``: linen's ``variables["params"]``, or any other.

    Leaves are arrays or ``jax.ShapeDtypeStruct``, as ``jax.eval_shape(model.init, ...)``
    gives them, of which only shape, dtype and sharding are looked at. Without rules,
    what each starts from is told by Flax's own names (``kernel``, ``bias``, ``scale``,
    ``embedding``); a kernel of three dimensions is a convolution's if its layer is called
    ``Conv``, attention's if it is ``query``, ``key``, ``value`` or ``out``, and wants a
    rule else.

    Args:
        tree: nested dicts of leaves.
        seed, rules, recipe, prefix: as :func:`init_` has them.
        shardings: a tree like ``tree`` of shardings; without, each leaf's own.

    Raises:
        ValueError, TypeError: as :func:`init_`.
    """
    leaves, shape = jax.tree_util.tree_flatten_with_path(tree)
    laid = [None] * len(leaves) if shardings is None else shape.flatten_up_to(shardings)
    described: dict[str, _Tensor] = {}
    for (path, leaf), sharding in zip(leaves, laid):
        name = prefix + _name(path)
        if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
            given = type(leaf).__name__
            raise TypeError(f"leaf `{name}`: got {given}, needed an array or its shape")
        if name in described:
            raise ValueError(f"leaf `{name}`: got two of this name, needed a name for each")
        start = _by_name(name, tuple(leaf.shape))
        own = _sharding(leaf) if sharding is None else sharding
        described[name] = _Tensor(tuple(leaf.shape), leaf.dtype, own, start, "the tree")
    drawn = _drawn(described, seed, rules, recipe)
    return jax.tree_util.tree_unflatten(shape, [drawn[name] for name in described])


def initializers(
    model: Any,
    rules: Rules = (),
    *,
    recipe: str | os.PathLike[str] | None = None,
    prefix: str = "",
) -> dict[str, str]:
    """What :func:`init_` or :func:`init` would draw each parameter from; nothing is drawn."""
    if isinstance(model, nnx.Module):
        variables = _variables(model, prefix)
        described = {name: tensor for name, (_, tensor) in variables.items()}
    else:
        described = {}
        for path, leaf in jax.tree_util.tree_flatten_with_path(model)[0]:
            name, shape = prefix + _name(path), tuple(leaf.shape)
            described[name] = _Tensor(shape, leaf.dtype, None, _by_name(name, shape), "the tree")
    tensors = _planned(described, rules, recipe)
    return {name: tensors.written(name) for name in described if name in tensors.names()}


def _drawn(
    described: dict[str, _Tensor],
    seed: int,
    rules: Rules,
    recipe: str | os.PathLike[str] | None,
) -> dict[str, jax.Array]:
    seed = whole_u64("seed", seed)
    tensors = _planned(described, rules, recipe)
    return {
        name: drawn_of(tensors, name, Box.of(one.shape), one.dtype, seed, one.sharding)
        for name, one in described.items()
    }


def _planned(
    described: dict[str, _Tensor], rules: Rules, recipe: str | os.PathLike[str] | None
) -> _fanin.Recipe:
    own = [
        _rules.described(name, one.shape, one.dtype, one.start)
        for name, one in described.items()
        if math.prod(one.shape)
    ]
    tensors = planned(own, written(rules), recipe)
    if undecided := tensors.undecided():
        said = [f"{name} of {described[name].owner}" for name in undecided if name in described]
        raise ValueError(
            f"parameters: got {listed(said)}, whose start Flax's own modules do not tell; needed "
            f"a rule for each, such as '{undecided[0]}=ones', or a recipe"
        )
    own, known = set(described), set(tensors.names())
    filled = [name for name, one in described.items() if math.prod(one.shape)]
    missing = [name for name in filled if name not in known]
    if missing or known - own:
        extra = sorted(known - own)
        said = f"{listed(missing)} not in it" if missing else f"{listed(extra)} of its own"
        raise ValueError(f"recipe: got one with {said}; needed one of the model's own names")
    for name in known:
        if list(described[name].shape) != tensors.shape(name):
            raise ValueError(
                f"parameter `{name}`: got shape {list(described[name].shape)}, needed "
                f"{tensors.shape(name)}, as the recipe or rule has it"
            )
    return tensors


def _variables(module: nnx.Module, prefix: str) -> dict[str, tuple[Any, _Tensor]]:
    """The parameters, in the order of their paths."""
    nodes: dict[tuple[Any, ...], Any] = {}
    found: dict[str, tuple[Any, _Tensor]] = {}
    for path, node in nnx.iter_graph(module, graph=True):
        nodes[path] = node
    for path, variable in nodes.items():
        if not isinstance(variable, nnx.Param):
            continue
        name = prefix + ".".join(map(str, path))
        value = variable.get_value()
        owner = nodes[path[:-1]]
        start = _start(owner, str(path[-1]), path, nodes, tuple(value.shape))
        tensor = _Tensor(
            tuple(value.shape), value.dtype, _sharding(value), start, type(owner).__name__
        )
        found[name] = variable, tensor
    return found


def _sharding(value: Any) -> Any:
    """How an array lies, where it is more than one device that it lies on."""
    if isinstance(value, jax.core.Tracer):
        return None
    sharding = getattr(value, "sharding", None)
    return sharding if isinstance(sharding, jax.sharding.NamedSharding) else None


def _name(path: Sequence[Any]) -> str:
    keys = [jax.tree_util.keystr((key,), simple=True) for key in path]
    # A box around a leaf (linen's Partitioned, NNX's Variable) is no part of its name.
    if isinstance(path[-1], jax.tree_util.GetAttrKey) and keys[-1] == "value":
        keys.pop()
    return ".".join(keys)


_LECUN: Start = {"init": "variance_scaling:scale=1", "layout": "in_out"}
_COMMON: dict[str, Start] = {
    "bias": {"init": "zeros"},
    "scale": {"init": "ones"},
    "negative_slope": {"init": "constant:0.01"},
}


def _embedding(shape: tuple[int, ...]) -> Start:
    return {"init": "variance_scaling:scale=1,distribution=normal", "fan_in": shape[-1]}


def _start(
    owner: Any,
    key: str,
    path: tuple[Any, ...],
    nodes: dict[tuple[Any, ...], Any],
    shape: tuple[int, ...],
) -> Start | None:
    """What Flax starts a parameter of one of its own modules from."""
    if not any(base.__module__.startswith("flax.nnx.nn.") for base in type(owner).__mro__):
        return None
    if isinstance(owner, nnx.LoRA) and key == "lora_a":
        return {"init": "he_uniform", "layout": "in_out"}
    if isinstance(owner, nnx.LoRA) and key == "lora_b":
        return {"init": "zeros"}
    if key == "kernel":
        if isinstance(owner, nnx.LinearGeneral):
            within = math.prod(shape[: len(shape) - len(owner.out_features)])
            return {**_LECUN, "fan_in": within}
        cell = nodes.get(path[:-2])
        if isinstance(cell, nnx.RNNCellBase) and re.match("h|dense_h", str(path[-2])):
            return {"init": "orthogonal", "layout": "in_out"}
        return _LECUN
    if key == "embedding":
        return _embedding(shape)
    return _COMMON.get(key)


def _by_name(name: str, shape: tuple[int, ...]) -> Start | None:
    """What linen starts a parameter of its own modules from, as far as names tell."""
    *layers, key = name.split(".")
    layer = layers[-1] if layers else ""
    if key == "embedding" and len(shape) == 2:
        return _embedding(shape)
    if key != "kernel":
        return _COMMON.get(key)
    if re.fullmatch("h[ifgornz]", layer) and len(shape) == 2 and shape[0] == shape[1]:
        return {"init": "orthogonal", "layout": "in_out"}
    if len(shape) == 3 and layer in ("query", "key", "value"):
        return {**_LECUN, "fan_in": shape[0]}
    if len(shape) == 3 and layer == "out":
        return {**_LECUN, "fan_in": shape[0] * shape[1]}
    if len(shape) == 2 or layer.startswith("Conv"):
        return _LECUN
    # Of DenseGeneral nobody can tell which dimensions are inputs.
    return _LECUN if len(shape) > 3 and not layer.startswith("DenseGeneral") else None
