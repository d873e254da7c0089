"""Which part of a tensor this process holds, found without asking any other."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import torch

#: Stretches ``start .. stop`` of indices along a dimension.
Stretches = list[tuple[int, int]]


@dataclass
class Piece:
    """A box of the whole tensor, and where the local one has it."""

    starts: tuple[int, ...]
    sizes: tuple[int, ...]
    within: tuple[slice, ...]


def local(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in this process's memory."""
    return tensor._local_tensor if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def is_sharded(tensor: torch.Tensor) -> bool:
    """Whether it is a DTensor."""
    if not torch.distributed.is_available():
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def pieces(name: str, tensor: torch.Tensor) -> list[Piece]:
    """The boxes of the whole tensor that the local one consists of.

    One where it is a block. Those of ``_StridedShard``, which FSDP2 makes over tensor
    parallelism, are several where the parts of a dimension lie apart.

    Raises:
        ValueError: for a tensor of which each process holds a summand.
    """
    stretches = [[(0, size)] if size else [] for size in tensor.shape]
    if is_sharded(tensor):
        mesh, coordinate = tensor.device_mesh, tensor.device_mesh.get_coordinate()  # type: ignore[attr-defined]
        if coordinate is None:
            return []
        for at, placement in _in_order(name, tensor):
            dim = placement.dim
            stretches[dim] = _share(stretches[dim], placement, mesh.size(at), coordinate[at])
    sizes = tuple(sum(stop - start for start, stop in own) for own in stretches)
    if sizes != tuple(local(tensor).shape):
        raise ValueError(
            f"tensor `{name}`: got a local part of {tuple(local(tensor).shape)}, needed {sizes}, "
            f"by its placements"
        )
    return [_piece(own) for own in itertools.product(*map(_placed, stretches))]


def _in_order(name: str, tensor: Any) -> list[tuple[int, Any]]:
    """The placements that shard, each with its dimension of the mesh, in the order that they do."""
    found = []
    for at, placement in enumerate(tensor.placements):
        if placement.is_partial():
            raise ValueError(
                f"tensor `{name}`: got the placement {placement}, a summand of its values, "
                "needed shards or replicas"
            )
        if hasattr(placement, "dim"):
            found.append((at, placement))
    # A dimension may be shared out over the mesh's in another order than theirs.
    order = getattr(tensor._spec, "shard_order", None) or ()
    ranks = {at: rank for entry in order for rank, at in enumerate(entry.mesh_dims)}
    return sorted(found, key=lambda own: (ranks.get(own[0], own[0]), own[0]))


def _share(stretches: Stretches, placement: Any, count: int, rank: int) -> Stretches:
    factor = getattr(placement, "split_factor", 1)
    parts = [_chunk(part, count) for part in _chunk(stretches, factor)]
    return [stretch for part in parts for stretch in part[rank]]


def _chunk(stretches: Stretches, count: int) -> list[Stretches]:
    """As ``torch.chunk`` does, but for those at the end that have nothing."""
    size = sum(stop - start for start, stop in stretches)
    length = -(-size // count)
    return [_cut(stretches, at * length, min((at + 1) * length, size)) for at in range(count)]


def _cut(stretches: Stretches, begin: int, end: int) -> Stretches:
    found, passed = [], 0
    for start, stop in stretches:
        own = (max(start, start + begin - passed), min(stop, start + end - passed))
        if own[0] < own[1]:
            found.append(own)
        passed += stop - start
    return found


def _placed(stretches: Stretches) -> list[tuple[int, int, slice]]:
    """Start, size and place in the local tensor of each; those that touch are one."""
    found: list[tuple[int, int, slice]] = []
    at = 0
    for start, stop in stretches:
        size = stop - start
        if found and found[-1][0] + found[-1][1] == start:
            before = found.pop()
            start, size = before[0], before[1] + size
            at = before[2].start
        found.append((start, size, slice(at, at + size)))
        at += size
    return found


def _piece(own: tuple[tuple[int, int, slice], ...]) -> Piece:
    starts, sizes, within = zip(*own) if own else ((), (), ())
    return Piece(tuple(starts), tuple(sizes), tuple(within))
