"""Whose the parameters of a PyTorch module are, what they are called, and what starts them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ._rules import Start

#: Modules that hold another under a name that ``state_dict`` of the bare one has not, by
#: the names of their classes: none of them is imported for this.
_WRAPPERS = {
    "_orig_mod": {"OptimizedModule"},
    "module": {"DistributedDataParallel", "DataParallel"},
    "_fsdp_wrapped_module": {"FullyShardedDataParallel"},
    "_checkpoint_wrapped_module": {"CheckpointWrapper", "OffloadWrapper", "ActivationWrapper"},
}


@dataclass
class Slot:
    """Where a module keeps a parameter."""

    owner: nn.Module
    key: str
    parent: nn.Module | None
    #: Within an ``nn.Transformer``, which starts all matrices anew.
    in_transformer: bool


@dataclass
class Weight:
    """A parameter, with every name that it has: more than one where it is tied."""

    tensor: torch.Tensor
    names: list[str] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)


def _is_a(module: nn.Module, names: set[str]) -> bool:
    return any(base.__name__ in names for base in type(module).__mro__)


def _walk(
    module: nn.Module, prefix: str, above: tuple[nn.Module, ...] = ()
) -> Iterator[tuple[str, nn.Module, tuple[nn.Module, ...]]]:
    """Each module, with what the names in it begin with, and the modules that it lies in."""
    _check_ends(module, prefix, above)
    yield prefix, module, above
    for key, child in module._modules.items():
        if child is not None:
            hidden = _is_a(module, _WRAPPERS.get(key, set()))
            inner = prefix if hidden else f"{prefix}{key}."
            yield from _walk(child, inner, (*above, module))


def _check_ends(module: nn.Module, prefix: str, above: tuple[nn.Module, ...]) -> None:
    if any(module is one for one in above):
        given = f"got {type(module).__name__}, which holds itself"
        raise ValueError(f"module `{prefix.rstrip('.')}`: {given}; needed a tree of modules")


def _parameters(module: nn.Module, prefix: str) -> Iterator[tuple[str, Slot, torch.Tensor]]:
    for at, owner, above in _walk(module, prefix):
        if _is_a(owner, {"FullyShardedDataParallel"}):
            raise ValueError(
                f"module `{at.rstrip('.') or type(owner).__name__}`: got "
                "FullyShardedDataParallel, whose parameters lie flat in pieces; needed "
                "fully_shard (FSDP2), or the module before it is wrapped"
            )
        parent = above[-1] if above else None
        in_transformer = any(isinstance(one, nn.Transformer) for one in (*above, owner))
        for key, tensor in owner._parameters.items():
            if tensor is not None:
                yield at + key, Slot(owner, key, parent, in_transformer), tensor


def weights(module: nn.Module, prefix: str = "") -> list[Weight]:
    """The parameters in ``state_dict``'s order and by its names, tied ones once.

    Raises:
        ValueError: where two have one name, or a name is empty.
    """
    found: dict[int, Weight] = {}
    seen: dict[str, torch.Tensor] = {}
    for name, slot, tensor in _parameters(module, prefix):
        if seen.setdefault(name, tensor) is not tensor:
            raise ValueError(f"parameter `{name}`: got two of this name, needed a name for each")
        weight = found.setdefault(id(tensor), Weight(tensor))
        weight.names.append(name)
        weight.slots.append(slot)
    return list(found.values())


def buffer_names(module: nn.Module) -> set[str]:
    """The names of the buffers, as ``state_dict`` of the bare module has them."""
    return {name for name, *_ in _buffers(module)}


def _buffers(module: nn.Module) -> Iterator[tuple[str, nn.Module, torch.Tensor]]:
    for at, owner, _ in _walk(module, ""):
        for key, buffer in owner._buffers.items():
            if buffer is not None:
                yield at + key, owner, buffer


def meta_buffers(module: nn.Module) -> tuple[list[nn.Module], list[str]]:
    """Whose buffers on the meta device have a usual start, and the names of those with none."""
    usual: dict[int, nn.Module] = {}
    unknown = []
    for name, owner, buffer in _buffers(module):
        if not buffer.is_meta:
            continue
        if isinstance(owner, nn.modules.batchnorm._NormBase):
            usual[id(owner)] = owner
        else:
            unknown.append(name)
    return list(usual.values()), unknown


_NORMS = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.modules.batchnorm._NormBase,
    *([nn.RMSNorm] if hasattr(nn, "RMSNorm") else []),
)
_LINEAR = (nn.Linear, nn.modules.conv._ConvNd)
_RECURRENT = (nn.RNNBase, nn.RNNCellBase)


def reading(slot: Slot) -> dict[str, Any]:
    """How a parameter's shape is read, whatever it is drawn from."""
    # Transposed, as GPT-2's layers are; what has a dimension less is read the same either way.
    return {"layout": "in_out"} if _is_conv1d(slot.owner) else {}


def start(slot: Slot, tensor: torch.Tensor) -> Start | None:
    """What PyTorch itself starts a parameter from; None of what it has no class for."""
    found = _start(slot)
    if found is not None and slot.in_transformer and tensor.dim() > 1:
        return {"init": "xavier_uniform"}
    return found


def _is_conv1d(owner: nn.Module) -> bool:
    return type(owner).__name__ == "Conv1D" and type(owner).__module__.startswith("transformers.")


def _start(slot: Slot) -> Start | None:
    # What a class has, the type checker does not follow through the tuples of classes.
    owner: Any = slot.owner
    key = slot.key
    if _is_from(owner, _LINEAR):
        if key == "bias" and isinstance(slot.parent, nn.MultiheadAttention):
            return {"init": "zeros"}
        return _by_weight(key, _fan_in(owner))
    if _is_from(owner, (nn.Bilinear,)):
        return _by_weight(key, owner.in1_features)
    if _is_from(owner, (nn.Embedding, nn.EmbeddingBag)) and key == "weight":
        found: Start = {"init": "normal:1"}
        padding = owner.padding_idx
        if padding is not None:
            found["ranges"] = [(0, padding, padding + 1, "zeros")]
        return found
    if _is_from(owner, _NORMS):
        return {"weight": {"init": "ones"}, "bias": {"init": "zeros"}}.get(key)
    if _is_from(owner, _RECURRENT):
        return {"init": "torch_default", "fan_in": owner.hidden_size}
    if _is_from(owner, (nn.MultiheadAttention,), "_reset_parameters"):
        if key.endswith("proj_weight"):
            return {"init": "xavier_uniform"}
        return {"init": "zeros"} if key == "in_proj_bias" else {"init": "xavier_normal"}
    if _is_from(owner, (nn.PReLU,)) and key == "weight":
        return {"init": f"constant:{owner.init}"}
    if _is_conv1d(owner):
        return {"weight": {"init": "normal:0.02"}, "bias": {"init": "zeros"}}.get(key)
    return None


def _by_weight(key: str, fan_in: int) -> Start | None:
    """kaiming_uniform with a = sqrt 5 and the bias beside it: both within 1 / sqrt(fan_in)."""
    if key not in ("weight", "bias"):
        return None
    # Without inputs a bias is all that there is of an output.
    return {"init": "torch_default", "fan_in": fan_in} if fan_in else {"init": "zeros"}


def _fan_in(owner: Any) -> int:
    """As PyTorch counts it: transposed convolutions as others, groups not at all."""
    weight = owner._parameters.get("weight")
    if weight is not None:
        return math.prod(weight.shape[1:])
    # A weight that is computed is not asked for: that may change buffers and generators.
    if isinstance(owner, nn.Linear):
        return owner.in_features
    inputs = owner.out_channels if owner.transposed else owner.in_channels
    return inputs // owner.groups * math.prod(owner.kernel_size)


def _is_from(owner: nn.Module, classes: tuple[type, ...], reset: str = "reset_parameters") -> bool:
    """Whether a module is of one of the classes, and starts its parameters as that does."""
    if not isinstance(owner, classes):
        return False
    mine = getattr(type(owner), reset, None)
    bases = [base for base in type(owner).__mro__ if base.__module__.startswith("torch.nn.")]
    return any(getattr(base, reset, None) is mine for base in bases)
