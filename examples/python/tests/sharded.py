"""What each of four processes does for `test_sharded.py`: run by torchrun.

Each case gives a model or tensors that are shared out, which `fanin.torch` fills, and
what they have to be; PyTorch's own `distribute_tensor` says which part of that is whose.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.distributed as dist
from conftest import stored
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
from torch.distributed.tensor.debug import CommDebugMode
from torch.distributed.tensor.parallel import (
    ColwiseParallel,
    RowwiseParallel,
    parallelize_module,
)
from torch.distributed.tensor.placement_types import _StridedShard

import fanin
import fanin.torch

GPT2, RESNET = Path(sys.argv[2]), Path(sys.argv[3])
CASES: dict[str, Callable[[], None]] = {}


def case(function: Callable[[], None]) -> Callable[[], None]:
    CASES[function.__name__] = function
    return function


def one() -> DeviceMesh:
    return init_device_mesh("cpu", (4,))


def two() -> DeviceMesh:
    return init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))


def quietly(work: Callable[[], object]) -> None:
    """Does some work that may send nothing."""
    with CommDebugMode() as sent:
        work()
    assert sent.get_total_counts() == 0, sent.get_comm_counts()


def check(tensor: torch.Tensor, whole: torch.Tensor, name: str) -> None:
    if isinstance(tensor, DTensor):
        mine = distribute_tensor(whole, tensor.device_mesh, tensor.placements, src_data_rank=None)
        tensor, whole = tensor._local_tensor, mine._local_tensor
    assert torch.equal(tensor.detach(), whole), name


def check_file(module: nn.Module, path: Path) -> None:
    tensors = stored(path)
    sharded = 0
    for name, parameter in module.named_parameters():
        _, shape, data = tensors[name.replace("_orig_mod.", "")]
        whole = torch.frombuffer(bytearray(data), dtype=torch.float32).view(shape)
        check(parameter, whole, name)
        sharded += isinstance(parameter, DTensor)
    assert sharded > 100, sharded


def share(module: nn.Module, mesh: DeviceMesh, dim: int) -> None:
    """Shares a module's matrices out along a dimension, as tensor parallelism does."""
    for key, parameter in list(module.named_parameters(recurse=False)):
        placement = Shard(dim) if parameter.dim() > 1 else Replicate()
        shared = distribute_tensor(parameter, mesh, [placement], src_data_rank=None)
        module.register_parameter(key, nn.Parameter(shared))


def gpt2(tensor_mesh: DeviceMesh | None, data_mesh: DeviceMesh | None) -> nn.Module:
    from transformers import GPT2Config, GPT2Model

    with torch.device("meta"):
        model = GPT2Model(GPT2Config())
    for block in model.h:
        if tensor_mesh is not None:
            for part, dim in [
                (block.attn.c_attn, 1),
                (block.attn.c_proj, 0),
                (block.mlp.c_fc, 1),
                (block.mlp.c_proj, 0),
            ]:
                share(part, tensor_mesh, dim)
        if data_mesh is not None:
            fully_shard(block, mesh=data_mesh)
    if tensor_mesh is not None:
        share(model.wpe, tensor_mesh, 0)
    if data_mesh is not None:
        fully_shard(model, mesh=data_mesh)
    return model


@case
def gpt2_fsdp2() -> None:
    model = gpt2(None, one())
    quietly(lambda: fanin.torch.materialize_(model, 7, recipe="gpt2"))
    check_file(model, GPT2)
    # Drawn anew, what is there is drawn over; compiled, names are what they were.
    compiled = torch.compile(model, backend="eager")
    fanin.torch.init_(compiled, 8, recipe="gpt2")
    quietly(lambda: fanin.torch.init_(compiled, 7, recipe="gpt2"))
    check_file(compiled, GPT2)


@case
def gpt2_tensor_parallel() -> None:
    model = gpt2(one(), None)
    share(model.wte, one(), 0)  # 50257 rows, which four do not divide.
    share(model.ln_f, one(), 0)
    for block in model.h:
        share(block.ln_1, one(), 0)
        share(block.ln_2, one(), 0)
    quietly(lambda: fanin.torch.materialize_(model, 7, recipe="gpt2"))
    check_file(model, GPT2)


@case
def gpt2_both() -> None:
    mesh = two()
    model = gpt2(mesh["tp"], mesh["dp"])
    quietly(lambda: fanin.torch.materialize_(model, 7, recipe="gpt2"))
    strided = [
        name
        for name, parameter in model.named_parameters()
        if any(isinstance(own, _StridedShard) for own in parameter.placements)
    ]
    assert strided, "nothing is strided"
    check_file(model, GPT2)


def resnet50(mesh: DeviceMesh | None, tensor_mesh: DeviceMesh | None = None) -> nn.Module:
    from resnet50 import resnet50 as make

    with torch.device("meta"):
        model = make()
    if tensor_mesh is not None:
        for module in model.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                share(module, tensor_mesh, 0)
    if mesh is None:
        return model
    for layer in [model.layer1, model.layer2, model.layer3, model.layer4]:
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


@case
def resnet50_fsdp2() -> None:
    model = resnet50(one())
    quietly(lambda: fanin.torch.materialize_(model, 7, recipe="resnet50"))
    check_file(model, RESNET)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.running_mean == 0).all() and (module.running_var == 1).all()


@case
def resnet50_tensor_parallel() -> None:
    model = resnet50(None, one())
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            share(module, one(), 0)
    quietly(lambda: fanin.torch.materialize_(model, 7, recipe="resnet50"))
    check_file(model, RESNET)


@case
def resnet50_both() -> None:
    mesh = two()
    model = resnet50(mesh["dp"], mesh["tp"])
    quietly(lambda: fanin.torch.materialize_(model, 7, recipe="resnet50"))
    check_file(model, RESNET)


class Small(nn.Module):
    """Sizes that four processes do not divide, a tied weight, a row of padding."""

    def __init__(self) -> None:
        super().__init__()
        self.wte = nn.Embedding(11, 6, padding_idx=9)
        self.up = nn.Linear(6, 10)
        self.down = nn.Linear(10, 6)
        self.norm = nn.LayerNorm(6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.wte.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.down(self.up(self.wte(x)).relu())))


RULES = ["up.weight=orthogonal", "down.weight=he_normal"]


def check_small(model: nn.Module, *, tied: bool) -> None:
    want = dict(fanin.torch.init_(Small(), 7, RULES).named_parameters(remove_duplicate=False))
    assert (want["wte.weight"][9] == 0).all() and (want["wte.weight"] == 0).sum() == 6
    for name, parameter in model.named_parameters(remove_duplicate=False):
        check(parameter, want[name].detach(), name)
    assert not tied or model.head.weight is model.wte.weight


@case
def small_fsdp2_after_steps() -> None:
    model = fully_shard(Small(), mesh=one(), reshard_after_forward=False)
    quietly(lambda: fanin.torch.init_(model, 7, RULES))
    check_small(model, tied=True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.arange(8)).square().sum().backward()
    optimizer.step()
    # The forward pass has left whole parameters behind.
    model(torch.arange(8))
    assert not isinstance(model.up.weight, DTensor)
    fanin.torch.init_(model, 7, RULES)
    model.reshard()
    assert isinstance(model.up.weight, DTensor)
    check_small(model, tied=True)
    whole = fanin.torch.init_(Small(), 7, RULES)
    # What is computed with is what was drawn.
    assert torch.allclose(model(torch.arange(8)), whole(torch.arange(8)), atol=1e-6)


@case
def small_data_parallel() -> None:
    model = nn.parallel.DistributedDataParallel(Small())
    quietly(lambda: fanin.torch.init_(model, 7, RULES))
    check_small(model.module, tied=True)


@case
def small_meta() -> None:
    with torch.device("meta"):
        model = Small()
    fully_shard(model, mesh=one())
    quietly(lambda: fanin.torch.materialize_(model, 7, "cpu", RULES))
    check_small(model, tied=True)
    whole = fanin.torch.init_(Small(), 7, RULES)
    assert torch.allclose(model(torch.arange(8)), whole(torch.arange(8)), atol=1e-6)


@case
def small_parallel_plans() -> None:
    plan = {"up": ColwiseParallel(), "down": RowwiseParallel()}
    for mesh, data in [(one(), None), (two()["tp"], two()["dp"])]:
        model = parallelize_module(Small(), mesh, plan)
        if data is not None:
            fully_shard(model, mesh=data)
        quietly(lambda: fanin.torch.init_(model, 7, RULES))
        check_small(model, tied=True)


@case
def every_placement() -> None:
    line, grid = one(), two()
    strided = _StridedShard(0, split_factor=2)
    meshes: Iterable[tuple[DeviceMesh, list]] = [
        (line, [Shard(0)]),
        (line, [Shard(1)]),
        (line, [Shard(2)]),
        (line, [Replicate()]),
        (line, [_StridedShard(0, split_factor=3)]),
        (line, [_StridedShard(1, split_factor=2)]),
        (grid, [Shard(0), Shard(0)]),
        (grid, [Shard(1), Shard(0)]),
        (grid, [Shard(2), Shard(1)]),
        (grid, [Replicate(), Shard(1)]),
        (grid, [Shard(1), Replicate()]),
        (grid, [strided, Shard(0)]),
        (grid, [strided, Shard(1)]),
        (grid, [Shard(0), _StridedShard(0, split_factor=2)]),
    ]
    for mesh, placements in meshes:
        for shape in [(8, 12, 4), (7, 5, 9), (3, 1, 2), (13, 6, 3)]:
            for init in ["normal:0.5", "orthogonal", "arange"]:
                for dtype in [torch.float32, torch.bfloat16]:
                    whole = torch.empty(shape, dtype=dtype)
                    fanin.torch.fill_(whole, init, seed=7, name="w")
                    zeros = torch.zeros(shape, dtype=dtype)
                    tensor = distribute_tensor(zeros, mesh, placements, src_data_rank=None)
                    quietly(lambda: fanin.torch.fill_(tensor, init, seed=7, name="w"))
                    check(tensor, whole, f"{placements} {shape} {init} {dtype}")


@case
def summands_are_refused() -> None:
    tensor = DTensor.from_local(torch.zeros(4, 4), one(), [Partial()], run_check=False)
    try:
        fanin.torch.fill_(tensor, "zeros", seed=7, name="w")
    except ValueError as error:
        assert "a summand" in str(error), error
    else:
        raise AssertionError("summands were drawn")


def main() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    found = {}
    for name, work in CASES.items():
        try:
            work()
            found[name] = "held"
        except Exception:
            found[name] = traceback.format_exc()
        dist.barrier()
    path = Path(sys.argv[1]) / f"{dist.get_rank()}.json"
    path.write_text(json.dumps(found))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
