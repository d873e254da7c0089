"""PyTorch: a module's parameters where they are, by their names.

    fanin.torch.init_(model, seed=7)

Each is drawn from what PyTorch itself would start it from, or from what rules or a
recipe say, by its name in ``state_dict`` alone: so on one process or many, on a CPU or a
GPU, whole or in shards (DTensor, FSDP2, tensor parallelism), the bits are those that
``fanin init`` writes for the same names. Shards are drawn where they lie; nothing is
sent, no whole tensor is made, and PyTorch's generators are left alone.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from . import _fanin, _modules, _shards
from ._arrays import checked_geometry
from ._contract import (
    Box,
    Sampler,
    dtype_name,
    init_text,
    is_overlapping,
    stream_of,
    unicode,
    whole_u64,
)
from ._rules import Rules, Tensor, checked_prefix, listed, planned, written

__all__ = ["fill_", "init_", "initializers", "materialize_"]

Module = TypeVar("Module", bound=nn.Module)

#: A built-in recipe's name, or a path: a recipe's TOML, a config.json of Hugging Face's.
Source = str | os.PathLike[str]

_log = logging.getLogger("fanin")


def init_(
    module: Module,
    seed: int,
    rules: Rules = (),
    *,
    recipe: Source | None = None,
    prefix: str = "",
) -> Module:
    """Draws every parameter of a module, in place.

    Names are ``state_dict``'s of the bare module: what ``torch.compile``, DDP and
    checkpointing put in front is left away. A tied weight is drawn once, by the first of
    its names (or the one that the recipe has). Buffers stay as they are.

    Without rules parameters start as PyTorch's own modules start them: ``Linear`` and
    convolutions from ``kaiming_uniform(a=sqrt 5)``, ``Embedding`` from ``normal(0, 1)``
    with zeros at ``padding_idx``, norms from ones and zeros, LSTM and GRU from
    ``uniform(1 / sqrt(hidden))``, attention from Xavier's.

    Args:
        module: on any device but meta, sharded or whole.
        seed: from 0 to 2^64 - 1.
        rules: the first that serves a parameter says all of it, as with ``fanin init --rule``:
            ``["*.bias=zeros", "*=he_normal"]``, ``{"*.c_proj.weight": "normal:0.02 depth=24"}``.
            Vectors that rules match and cannot serve start as there, biases from zeros and
            norms from ones; only transformers' ``Conv1D`` is read as ``in_out``.
        recipe: what says all of it in place of PyTorch's own: ``"gpt2"``, a recipe's
            .toml, a config.json; rules lie over it.
        prefix: what stands before the names, where the module is a part of a model.

    Returns:
        The module.

    Raises:
        ValueError: for a parameter of which neither rules nor PyTorch say anything, a
            rule that matches none, one that does not fit, a parameter on meta, one that
            cannot be written to (expanded, freed, traced). Nothing is drawn then.
        TypeError: for what is no module, no rule.
    """
    seed = whole_u64("seed", seed)
    weights, tensors = _planned(module, rules, recipe, prefix)
    for name, weight in weights.items():
        if _shards.local(weight.tensor).is_meta:
            raise ValueError(
                f"parameter `{name}`: got one on the meta device, which holds no values; needed "
                "another device: fanin.torch.materialize_(module, seed, device=...)"
            )
    for part in module.modules():
        # What a forward pass has gathered would go with the next one.
        reshard = getattr(part, "reshard", None)
        if callable(reshard) and any(base.__name__ == "FSDPModule" for base in type(part).__mro__):
            reshard()
    # Resharding gives parameters back in pieces.
    weights = _weights(module, prefix, tensors)
    for name, weight in weights.items():
        _check(name, weight.tensor)
    for name, weight in weights.items():
        _fill(weight.tensor, name, tensors, seed)
    return module


def materialize_(
    module: Module,
    seed: int,
    device: torch.device | str = "cpu",
    rules: Rules = (),
    *,
    recipe: Source | None = None,
    prefix: str = "",
) -> Module:
    """Gives a module on the meta device memory on ``device``, and draws its parameters there.

    Of a module that was sharded on meta (``fully_shard``, ``parallelize_module``) each
    process gets its own shards alone. Running statistics start as PyTorch starts them;
    what is not on meta stays where it is, and parameters are drawn all the same.

    Args, returns and raises are those of :func:`init_`; and

    Raises:
        ValueError: for other buffers on meta, whose values nobody knows any more.
    """
    seed, rules = whole_u64("seed", seed), written(rules)
    device = torch.device(device)
    if device.type == "meta":
        raise ValueError("device: got meta, needed one that holds values")
    weights, _ = _planned(module, rules, recipe, prefix)
    normalized, unknown = _modules.meta_buffers(module)
    if unknown:
        raise ValueError(
            f"buffers on the meta device: got {listed(unknown)}, whose values are lost; needed "
            "buffers that were made elsewhere: leave them out of torch.device('meta')"
        )
    made: dict[int, torch.Tensor] = {}

    def real(tensor: torch.Tensor) -> torch.Tensor:
        if not _shards.local(tensor).is_meta:
            return tensor
        if id(tensor) not in made:
            made[id(tensor)] = torch.empty_like(tensor, device=device)
        return made[id(tensor)]

    with torch.no_grad():
        module._apply(real)  # type: ignore[no-untyped-call]
    for weight in weights.values():
        # What was one is one again.
        first = weight.slots[0].owner._parameters[weight.slots[0].key]
        for slot in weight.slots[1:]:
            slot.owner._parameters[slot.key] = first
    for owner in normalized:
        owner.reset_running_stats()  # type: ignore[operator]
    return init_(module, seed, rules, recipe=recipe, prefix=prefix)


def initializers(
    module: nn.Module, rules: Rules = (), *, recipe: Source | None = None, prefix: str = ""
) -> dict[str, str]:
    """What :func:`init_` would draw each parameter from, by name; nothing is drawn."""
    weights, tensors = _planned(module, rules, recipe, prefix)
    return {name: tensors.written(name) for name in weights}


def fill_(
    tensor: torch.Tensor, init: str, *, seed: int, name: str, **geometry: Any
) -> torch.Tensor:
    """Draws one tensor in place, or the shards of it that this process has.

    Args:
        tensor: of a float dtype, or of any that holds the initializer's constant.
        init: the initializer, ``"he_normal"``, ``"normal:0.02"``.
        seed, name: which numbers.
        geometry: ``layout``, ``fan_in``, ``fan_out``, ``groups``, ``transposed``,
            ``batch_dims``, ``depth``, ``parts``, as :func:`fanin.init` has them.

    Returns:
        The tensor.

    Raises:
        ValueError, TypeError: saying what was given and what was needed, also for a tensor
            that is traced, or whose elements share memory.
    """
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(f"tensor: got {type(tensor).__name__}, needed a torch.Tensor")
    init_text(init)
    seed = whole_u64("seed", seed)
    stream_of(name)
    geometry = checked_geometry(**geometry)
    described = _described(name, tensor)
    if _shards.local(tensor).is_meta:
        raise ValueError(f"tensor `{name}`: got one on the meta device, needed one with values")
    _check(name, tensor)
    # Of a tensor without elements the rest is to be right all the same.
    described.shape = tuple(max(size, 1) for size in tensor.shape)
    if tensor.numel() == 0:
        geometry["parts"] = None
    tensors = _fanin.Recipe.of([described.described({"init": init, **geometry})])
    if tensor.numel():
        _fill(tensor, name, tensors, seed)
    return tensor


def _planned(
    module: nn.Module, rules: Rules, recipe: Source | None, prefix: str
) -> tuple[dict[str, _modules.Weight], _fanin.Recipe]:
    """The parameters by the names that they are drawn by, and what from."""
    if not isinstance(module, nn.Module):
        raise TypeError(f"module: got {type(module).__name__}, needed a torch.nn.Module")
    texts = written(rules)
    found = _modules.weights(module, checked_prefix(prefix))
    described = []
    for weight in found:
        slot, name = weight.slots[0], unicode("parameter", weight.names[0])
        tensor = _described(name, weight.tensor)
        tensor.start, tensor.reading = _modules.start(slot, weight.tensor), _modules.reading(slot)
        tensor.owner = type(slot.owner).__name__
        if weight.tensor.numel():
            described.append(tensor)
    ties = [(name, weight.names[0]) for weight in found for name in weight.names[1:]]
    tensors = planned(described, texts, recipe, "PyTorch's own modules", ties)
    weights = _weights(module, prefix, tensors)
    if recipe is not None:
        buffers = {prefix + name for name in _modules.buffer_names(module)}
        known = buffers.union(*(weight.names for weight in weights.values()))
        extra = [name for name in tensors.names() if name not in known]
        if extra:
            raise ValueError(
                f"recipe {os.fspath(recipe)}: got {listed(extra)}, which the module has not; "
                "needed a recipe of the module's own names"
            )
        dtypes = {name: _dtype(name, weight.tensor) for name, weight in weights.items()}
        tensors = tensors.with_dtypes(dtypes)
    return weights, tensors


def _weights(
    module: nn.Module, prefix: str, tensors: _fanin.Recipe
) -> dict[str, _modules.Weight]:
    known = set(tensors.names())
    weights, missing = {}, []
    for weight in _modules.weights(module, prefix):
        name = next((name for name in weight.names if name in known), None)
        if weight.tensor.numel() == 0:
            continue
        if name is None:
            missing.append(weight.names[0])
            continue
        shape, own = tensors.shape(name), list(weight.tensor.shape)
        if shape != own:
            raise ValueError(
                f"parameter `{name}`: got shape {own}, needed {shape}, as the recipe or rule has it"
            )
        for other in weight.names:
            if other != name:
                _log.info("%s is tied to %s, by whose name both are drawn", other, name)
        weights[name] = weight
    if missing:
        raise ValueError(
            f"parameters: got {listed(missing)}, which the recipe has not; needed a recipe of the "
            "module's own names"
        )
    return weights


def _described(name: str, tensor: torch.Tensor) -> Tensor:
    if not name:
        needed = "a tensor's name: its stream is found by it"
        raise ValueError(f"name: got an empty one, needed {needed}")
    if nn.parameter.is_lazy(tensor):
        raise ValueError(
            f"parameter `{name}`: got one whose shape is not known yet, needed a forward pass "
            "through the lazy module first"
        )
    if tensor.is_nested:
        raise ValueError(f"tensor `{name}`: got a nested one, needed one with a shape")
    if tensor.layout != torch.strided:
        raise ValueError(f"tensor `{name}`: got the layout {tensor.layout}, needed torch.strided")
    return Tensor(name, tuple(tensor.shape), _dtype(name, tensor), None, type(tensor).__name__)


def _check(name: str, tensor: torch.Tensor) -> None:
    """Whether a tensor can be written to, which is told before any is."""
    own = _shards.local(tensor)
    if own.is_meta:
        return
    _check_is_real(name, own)
    pieces = _shards.pieces(name, tensor)
    if is_overlapping(own.shape, own.stride()):
        raise ValueError(
            f"tensor `{name}`: got one whose elements share memory, as expand makes them; needed "
            "memory for each: tensor.contiguous()"
        )
    if pieces and type(own) in _PLAIN and own.numel():
        last = sum((size - 1) * stride for size, stride in zip(own.shape, own.stride()))
        needed = (own.storage_offset() + last + 1) * own.element_size()
        held = own.untyped_storage().nbytes()
        if held < needed:
            raise ValueError(
                f"tensor `{name}`: got a storage of {held} bytes, needed {needed}, as many as its "
                "elements have: it was resized or freed"
            )


#: Modes in which operations are recorded, by the names of their classes.
_RECORDING = {"FakeTensorMode", "FunctionalTensorMode", "ProxyTorchDispatchMode"}


def _check_is_real(name: str, tensor: torch.Tensor) -> None:
    """Whether a tensor has values: numbers are written, of which traces would know nothing."""
    modes = [type(mode).__name__ for mode in _get_current_dispatch_mode_stack()]
    functorch = getattr(torch._C, "_functorch", None)
    given = next((mode for mode in modes if mode in _RECORDING), None)
    if type(tensor).__name__ in ("FakeTensor", "FunctionalTensor"):
        given = type(tensor).__name__
    elif torch._is_functional_tensor(tensor):
        given = "functionalize"
    elif functorch is not None and functorch.is_functorch_wrapped_tensor(tensor):
        given = "a transform of torch.func"
    elif torch.jit.is_tracing():
        given = "torch.jit.trace"
    if given is not None:
        raise ValueError(
            f"tensor `{name}`: got one within {given}, which records operations and would not see "
            "what is drawn; needed a tensor with values, outside of it"
        )


def _dtype(name: str, tensor: torch.Tensor) -> str:
    try:
        return dtype_name(tensor.dtype)
    except TypeError as error:
        raise TypeError(f"tensor `{name}`: {error}") from None


def _fill(tensor: torch.Tensor, name: str, tensors: _fanin.Recipe, seed: int) -> None:
    own, dtype = _shards.local(tensor), _dtype(name, tensor)
    with torch.no_grad():
        for piece in _shards.pieces(name, tensor):
            target = own if piece.sizes == tuple(own.shape) else own[piece.within]
            if target.numel() == 0:
                continue
            if target.device.type == "cuda" and _on_gpu(target, name, tensors, seed, tensor, piece):
                continue

            def draw(memory: torch.Tensor, piece: _shards.Piece = piece) -> None:
                size = memory.numel() * memory.element_size()
                starts, sizes = list(piece.starts), list(piece.sizes)
                tensors.draw(name, seed, dtype, memory.data_ptr(), size, starts, sizes)

            _write(target, draw)
    # Memory was written that PyTorch's own operations have not: who keeps the old values for
    # a backward pass has to be told, and both of a DTensor's tensors count.
    for changed in [tensor] if own is tensor else [tensor, own]:
        if not changed.is_inference():
            torch.autograd.graph.increment_version(changed)


_PLAIN = (torch.Tensor, nn.Parameter, getattr(nn, "Buffer", nn.Parameter))


def _write(target: torch.Tensor, draw: Callable[[torch.Tensor], None]) -> None:
    is_plain = type(target) in _PLAIN and not (target.is_neg() or target.is_conj())
    if target.device.type == "cpu" and is_plain and target.is_contiguous():
        # A tensor of its own holds the memory, should another thread give the parameter another.
        draw(target.detach())
        return
    memory = torch.empty(target.shape, dtype=target.dtype, device="cpu")
    draw(memory)
    target.copy_(memory)


def _on_gpu(
    target: torch.Tensor,
    name: str,
    tensors: _fanin.Recipe,
    seed: int,
    whole: torch.Tensor,
    piece: _shards.Piece,
) -> bool:
    """Draws a box on the GPU, if each of its elements is drawn by itself."""
    own, over = tensors.samplers(name)
    layers = [(at, a, b, Sampler(*sampler)) for at, a, b, sampler in over if sampler is not None]
    if own is None or len(layers) < len(over):
        return False
    engine = _engine()
    if engine is None:
        return False
    shape, stream = tuple(whole.shape), stream_of(name)
    engine.fill_(target, seed, stream, Sampler(*own), Box(shape, piece.starts, piece.sizes))
    # The earlier lie over the later.
    for axis, start, stop, sampler in reversed(layers):
        first, size = piece.starts[axis], piece.sizes[axis]
        start, stop = max(start, first), min(stop, first + size)
        if start >= stop:
            continue
        starts, sizes = list(piece.starts), list(piece.sizes)
        starts[axis], sizes[axis] = start, stop - start
        part = target.narrow(axis, start - first, stop - start)
        box = Box(shape, tuple(starts), tuple(sizes))
        engine.fill_(part, seed, stream, sampler, box)
    return True


@cache
def _engine() -> ModuleType | None:
    try:
        from . import _triton
    except ImportError as error:
        warnings.warn(
            f"fanin draws on the CPU and copies to the GPU: its kernel asks for Triton ({error})",
            stacklevel=2,
        )
        return None
    return _triton
