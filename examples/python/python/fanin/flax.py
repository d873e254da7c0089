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
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax
from flax import nnx

from . import _fanin
from ._contract import Box, dtype_name, unicode, whole_u64
from ._rules import Rules, Start, Tensor, checked_prefix, listed, planned, written
from .jax import drawn_of

__all__ = ["init", "init_", "initializers"]

Module = TypeVar("Module", bound=nnx.Module)
Shape = tuple[int, ...]


class _Leaf(NamedTuple):
    tensor: Tensor
    #: JAX's own.
    dtype: Any
    sharding: Any


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
    Layers that ``nnx.vmap`` stacked along the first axes start as one of them by itself.
    Of a module made by ``nnx.eval_shape`` the parameters become arrays.

    Args:
        module: whole, sharded, or abstract; in or outside of ``nnx.jit``.
        seed: from 0 to 2^64 - 1.
        rules: the first that serves a parameter says all of it, as with ``fanin init --rule``:
            ``["*.bias=zeros", "*.kernel=he_normal"]``; shapes are read as ``in_out``.
            Vectors that rules match and cannot serve start as there.
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
    leaves = [leaf for _, leaf in variables]
    drawn = _drawn(leaves, seed, rules, recipe, _ties(module, leaves, prefix))
    for variable, leaf in variables:
        variable.set_value(drawn[leaf.tensor.name])
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
    rule else. Layers that ``nn.scan`` stacked are known by their biases, which have the
    stack's axis too; without a bias attention wants a rule, and so does a convolution,
    which is taken for one of more dimensions: ``batch_dims=1``.

    Args:
        tree: nested dicts of leaves.
        seed, rules, recipe, prefix: as :func:`init_` has them.
        shardings: a tree like ``tree`` of shardings; without, each leaf's own.

    Raises:
        ValueError, TypeError: as :func:`init_`.
    """
    leaves, structure = _leaves(tree, prefix)
    if shardings is not None:
        laid = structure.flatten_up_to(shardings)
        leaves = [leaf._replace(sharding=own) for leaf, own in zip(leaves, laid)]
    drawn = _drawn(leaves, seed, rules, recipe)
    return jax.tree_util.tree_unflatten(structure, [drawn[leaf.tensor.name] for leaf in leaves])


def initializers(
    model: Any,
    rules: Rules = (),
    *,
    recipe: str | os.PathLike[str] | None = None,
    prefix: str = "",
) -> dict[str, str]:
    """What :func:`init_` or :func:`init` would draw each parameter from; nothing is drawn."""
    if isinstance(model, nnx.Module):
        leaves = [leaf for _, leaf in _variables(model, prefix)]
        ties = _ties(model, leaves, prefix)
    else:
        leaves, ties = _leaves(model, prefix)[0], []
    tensors = _planned(leaves, rules, recipe, ties)
    return {own.tensor.name: tensors.written(own.tensor.name) for own in _filled(leaves)}


def _drawn(
    leaves: list[_Leaf],
    seed: int,
    rules: Rules,
    recipe: str | os.PathLike[str] | None,
    ties: Sequence[tuple[str, str]] = (),
) -> dict[str, jax.Array]:
    seed = whole_u64("seed", seed)
    tensors = _planned(leaves, rules, recipe, ties)
    drawn = {}
    for tensor, dtype, sharding in leaves:
        box = Box.of(tensor.shape)
        drawn[tensor.name] = drawn_of(tensors, tensor.name, box, dtype, seed, sharding)
    return drawn


def _filled(leaves: list[_Leaf]) -> list[_Leaf]:
    return [leaf for leaf in leaves if math.prod(leaf.tensor.shape)]


def _planned(
    leaves: list[_Leaf],
    rules: Rules,
    recipe: str | os.PathLike[str] | None,
    ties: Sequence[tuple[str, str]],
) -> _fanin.Recipe:
    filled = {leaf.tensor.name: leaf.tensor for leaf in _filled(leaves)}
    tensors = planned(list(filled.values()), written(rules), recipe, "Flax's own modules", ties)
    if recipe is None and not filled:
        return tensors
    known = set(tensors.names())
    missing = [name for name in filled if name not in known]
    extra = known.difference(leaf.tensor.name for leaf in leaves)
    if missing or extra:
        said = f"{listed(missing)} not in it" if missing else f"{listed(sorted(extra))} of its own"
        raise ValueError(f"recipe: got one with {said}; needed one of the model's own names")
    for name, tensor in filled.items():
        if list(tensor.shape) != tensors.shape(name):
            raise ValueError(
                f"parameter `{name}`: got shape {list(tensor.shape)}, needed "
                f"{tensors.shape(name)}, as the recipe or rule has it"
            )
    return tensors.with_dtypes({name: tensor.dtype for name, tensor in filled.items()})


def _variables(module: nnx.Module, prefix: str) -> list[tuple[Any, _Leaf]]:
    """The parameters, in the order of their paths."""
    checked_prefix(prefix)
    nodes: dict[tuple[Any, ...], Any] = {}
    found: list[tuple[Any, _Leaf]] = []
    for path, node in nnx.iter_graph(module, graph=True):
        nodes[path] = node
    for path, variable in nodes.items():
        # Flax has had none for a bias that a layer does without.
        if not isinstance(variable, nnx.Param) or variable.get_value() is None:
            continue
        leaf = _leaf(prefix + ".".join(map(str, path)), variable.get_value())
        owner = nodes[path[:-1]]
        leaf.tensor.owner = type(owner).__name__
        leaf.tensor.start, stack = _start(owner, str(path[-1]), path, nodes, leaf.tensor.shape)
        leaf.tensor.reading["batch_dims"] = stack
        found.append((variable, leaf))
    return found


def _ties(module: nnx.Module, leaves: list[_Leaf], prefix: str) -> list[tuple[str, str]]:
    """The other paths to what is shared, each with the name that it is drawn by."""
    ties = []
    names = [leaf.tensor.name for leaf in leaves]
    for paths in nnx.find_duplicates(module):
        shared = [prefix + ".".join(map(str, path)) for path in paths]
        for name in names:
            # Of a module that is shared all that is in it is.
            first = next((one for one in shared if f"{name}.".startswith(f"{one}.")), None)
            if first is not None:
                rest = name.removeprefix(first)
                ties += [(other + rest, name) for other in shared if other != first]
    return ties


def _leaves(tree: Any, prefix: str) -> tuple[list[_Leaf], Any]:
    """The leaves of a tree, in order, and its structure."""
    checked_prefix(prefix)
    paths, structure = jax.tree_util.tree_flatten_with_path(tree)
    leaves: dict[str, _Leaf] = {}
    for path, value in paths:
        if not path:
            given = type(tree).__name__
            needed = "leaves with names, such as a dict of arrays"
            raise TypeError(f"tree: got {given}, needed {needed}")
        name = prefix + _name(path)
        if name in leaves:
            raise ValueError(f"leaf `{name}`: got two of this name, needed a name for each")
        leaves[name] = _leaf(name, value)
    shapes = {name: leaf.tensor.shape for name, leaf in leaves.items()}
    for name, leaf in leaves.items():
        leaf.tensor.start, leaf.tensor.reading["batch_dims"] = _by_name(name, shapes)
    return list(leaves.values()), structure


def _leaf(name: str, value: Any) -> _Leaf:
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        given = type(value).__name__
        raise TypeError(f"leaf `{name}`: got {given}, needed an array or its shape")
    unicode("leaf", name)
    try:
        dtype = dtype_name(value.dtype)
    except TypeError as error:
        raise TypeError(f"leaf `{name}`: {error}") from None
    tensor = Tensor(name, tuple(value.shape), dtype, None, "the tree", {"layout": "in_out"})
    return _Leaf(tensor, value.dtype, _sharding(value))


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


_LECUN: Start = {"init": "variance_scaling:scale=1"}
_COMMON: dict[str, Start] = {
    "bias": {"init": "zeros"},
    "scale": {"init": "ones"},
    "negative_slope": {"init": "constant:0.01"},
}


def _embedding(shape: Shape) -> Start:
    return {"init": "variance_scaling:scale=1,distribution=normal", "fan_in": shape[-1]}


def _start(
    owner: Any, key: str, path: tuple[Any, ...], nodes: dict[tuple[Any, ...], Any], shape: Shape
) -> tuple[Start | None, int]:
    """What Flax starts a parameter of its own modules from, and how many axes are of a stack.

    Layers that ``nnx.vmap`` made are stacked along axes before their own.
    """
    if not any(base.__module__.startswith("flax.nnx.nn.") for base in type(owner).__mro__):
        return None, 0
    own = _own_shape(owner, key, shape)
    stack = 0 if own is None else max(len(shape) - len(own), 0)
    odd = own is not None and stack > 0 and shape[stack:] != own
    if isinstance(owner, nnx.LoRA) and key == "lora_a":
        return (None, 0) if odd else ({"init": "he_uniform"}, stack)
    if isinstance(owner, nnx.LoRA) and key == "lora_b":
        return {"init": "zeros"}, stack
    if key == "kernel":
        if odd:
            # Stacked along other axes, which the command line has no word for.
            return None, 0
        if isinstance(owner, nnx.LinearGeneral):
            within = math.prod(shape[stack : len(shape) - len(owner.out_features)])
            return {**_LECUN, "fan_in": within}, stack
        cell = nodes.get(path[:-2])
        if isinstance(cell, nnx.RNNCellBase) and re.match("h|dense_h", str(path[-2])):
            return {"init": "orthogonal"}, stack
        return _LECUN, stack
    if key == "embedding":
        return _embedding(shape), stack
    return _COMMON.get(key), stack


def _own_shape(owner: Any, key: str, shape: Shape) -> Shape | None:
    """The shape that a parameter has in one layer."""
    if isinstance(owner, nnx.LinearGeneral):
        batch, out = tuple(owner.batch_axis.values()), tuple(owner.out_features)
        return {"kernel": (*batch, *owner.in_features, *out), "bias": (*batch, *out)}.get(key)
    if isinstance(owner, nnx.LoRA):
        # It does not keep its rank.
        ends = {"lora_a": (owner.in_features, shape[-1]), "lora_b": (shape[-2], owner.out_features)}
        return ends.get(key)
    if isinstance(owner, nnx.Embed):
        return (owner.num_embeddings, owner.features)
    if isinstance(owner, nnx.PReLU):
        return ()
    if key == "kernel":
        if isinstance(owner, nnx.Linear):
            return (owner.in_features, owner.out_features)
        return getattr(owner, "kernel_shape", None)
    # Of norms, of linear layers and convolutions.
    features = getattr(owner, "num_features", getattr(owner, "out_features", None))
    return (features,) if isinstance(features, int) else None


def _by_name(name: str, shapes: Mapping[str, Shape]) -> tuple[Start | None, int]:
    """What linen starts a parameter of its own modules from, as far as names and shapes tell.

    And how many axes are of a stack, which ``nn.scan`` and ``nn.vmap`` make: those that the
    layer's bias has too.
    """
    *layers, key = name.split(".")
    layer, shape = layers[-1] if layers else "", shapes[name]
    bias = shapes.get(".".join([*layers, "bias"]))
    if key == "embedding" and len(shape) == 2:
        return _embedding(shape), 0
    if key != "kernel":
        return _COMMON.get(key), 0
    if re.fullmatch("h[ifgornz]", layer) and len(shape) == 2 and shape[0] == shape[1]:
        return {"init": "orthogonal"}, 0
    if layer in ("query", "key", "value", "out") and len(shape) > 2:
        stack, outputs = len(shape) - 3, 1 if layer == "out" else 2
        if stack == 0 or bias == (*shape[:stack], *shape[-outputs:]):
            return {**_LECUN, "fan_in": math.prod(shape[stack:-outputs])}, stack
        if bias is None:
            # Attention's, stacked, or a convolution's of that name.
            return None, 0
    if len(shape) == 2:
        return _LECUN, 0
    is_dense = layer.startswith("Dense")
    if layer.startswith("DenseGeneral") or not (is_dense or layer.startswith("Conv")):
        # Of DenseGeneral nobody can tell which dimensions are inputs.
        if layer.startswith("DenseGeneral") or len(shape) < 4:
            return None, 0
    stack = 0 if bias is None else len(bias) - 1
    fits = bias is None or bias == (*shape[:stack], shape[-1])
    if not fits or (is_dense and len(shape) != stack + 2):
        return None, 0
    return _LECUN, stack
