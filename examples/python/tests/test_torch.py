"""PyTorch's modules: the command line's bits by state_dict's names, wherever tensors are."""

from __future__ import annotations

import copy
import logging
import math
import random
from pathlib import Path

import pytest
import torch
from conftest import stored
from torch import nn

import fanin
import fanin.torch
from fanin import _contract, _shards
from fanin._contract import dtype_name

torch.set_num_threads(1)

NUMPY = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.float16: "float16",
    torch.bfloat16: "bfloat16",
    torch.float8_e4m3fn: "float8_e4m3fn",
    torch.float8_e5m2: "float8_e5m2",
}


def raw(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def assert_equal(module: nn.Module, path: Path) -> None:
    tensors, names = stored(path), set()
    for name, parameter in module.named_parameters():
        names.add(name)
        assert raw(parameter) == tensors[name][2], name
    buffers = {name for name, _ in module.named_buffers()}
    assert names and set(tensors) - names <= buffers


@pytest.fixture(scope="module")
def gpt2() -> nn.Module:
    import transformers

    return transformers.GPT2Model(transformers.GPT2Config())


GPT2_RULES = [
    "*.c_proj.weight=normal:0.02 depth=24",
    "*ln_?.weight=ones",
    "*.weight=normal:0.02",
    "*.bias=zeros",
]


def test_gpt2_is_the_command_lines(gpt2, files):
    path = files("gpt2", "--seed", "7")
    fanin.torch.init_(gpt2, 7, GPT2_RULES)
    assert_equal(gpt2, path)
    fanin.torch.init_(gpt2, 8)
    fanin.torch.init_(gpt2, 7, recipe="gpt2")
    assert_equal(gpt2, path)


def test_a_config_json_is_transformers_model(tmp_path, files):
    import transformers

    config = transformers.GPT2Config(n_layer=2, n_embd=64, n_head=4, vocab_size=100)
    config.architectures = ["GPT2LMHeadModel"]
    model = transformers.GPT2LMHeadModel(config)
    config.save_pretrained(tmp_path)
    fanin.torch.init_(model, 7, recipe=tmp_path)
    assert_equal(model, files(str(tmp_path / "config.json"), "--seed", "7"))
    assert model.lm_head.weight is model.transformer.wte.weight


def test_resnet50_is_the_command_lines(files):
    from resnet50 import resnet50

    model = resnet50()
    rules = {
        "*{bn?,downsample.1}.weight": "ones",
        "*{bn?,downsample.1}.bias": "zeros",
        "fc.*": "torch_default fan_in=2048",
        "*.weight": "he_normal:mode=fan_out",
    }
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    fanin.torch.init_(model, 7, rules)
    assert_equal(model, files("resnet50", "--seed", "7"))
    # Batch norms and the last layer are PyTorch's own.
    fanin.torch.init_(model, 8)
    fanin.torch.init_(model, 7, "*conv?.weight=he_normal:mode=fan_out")
    fanin.torch.init_(model, 7, rules={"*{conv?,downsample.0}.weight": "he_normal:mode=fan_out"})
    assert_equal(model, files("resnet50", "--seed", "7"))
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_a_modules_file_is_made_anew_by_the_command_line(tmp_path, files):
    from resnet50 import resnet50
    from safetensors.torch import save_file

    model = resnet50().to(torch.bfloat16)
    rules = ["*.bias=zeros", "*=he_normal"]
    fanin.torch.init_(model, 7, rules)
    save_file(model.state_dict(), tmp_path / "mine.safetensors")
    given = [argument for rule in rules for argument in ("--rule", rule)]
    assert_equal(model, files(str(tmp_path / "mine.safetensors"), "--seed", "7", *given))


@pytest.mark.parametrize("dtype", NUMPY)
def test_each_dtype_whole_and_strided(dtype):
    want = fanin.normal((6, 8), 0.5, seed=7, name="w", dtype=NUMPY[dtype]).tobytes()
    plain = torch.zeros(6, 8).to(dtype)
    assert fanin.torch.fill_(plain, "normal:0.5", seed=7, name="w") is plain
    assert raw(plain) == want
    for strided in [torch.zeros(8, 6).to(dtype).t(), torch.zeros(12, 16).to(dtype)[::2, ::2]]:
        fanin.torch.fill_(strided, "normal:0.5", seed=7, name="w")
        assert raw(strided) == want
    around = torch.zeros(50).to(dtype)
    fanin.torch.fill_(around[1:49].view(6, 8), "normal:0.5", seed=7, name="w")
    assert raw(around[1:49]) == want and float(around[0]) == float(around[49]) == 0


def test_what_pytorch_starts_modules_from():
    """Each against the bounds and deviations of PyTorch's own reset_parameters."""
    modules = {
        "linear": nn.Linear(40, 300),
        "conv": nn.Conv2d(12, 64, 3, groups=2),
        "transposed": nn.ConvTranspose1d(20, 30, 5, groups=2),
        "bilinear": nn.Bilinear(30, 20, 50),
        "lstm": nn.LSTM(20, 36, num_layers=2, proj_size=9, bidirectional=True),
        "gru": nn.GRUCell(30, 25),
        "embedding": nn.Embedding(200, 30, padding_idx=3),
        "bag": nn.EmbeddingBag(200, 30),
        "attention": nn.MultiheadAttention(32, 4, add_bias_kv=True),
        "cross": nn.MultiheadAttention(32, 4, kdim=20, vdim=24),
        "norms": nn.ModuleList([nn.LayerNorm(9), nn.GroupNorm(3, 9), nn.BatchNorm2d(9)]),
        "rms": nn.RMSNorm(9),
        "prelu": nn.PReLU(5, init=0.1),
        "transformer": nn.Transformer(32, 4, 1, 1, 64),
    }
    module = nn.ModuleDict(modules)
    own = {name: tensor.clone() for name, tensor in module.named_parameters()}
    fanin.torch.init_(module, 7)
    for name, tensor in module.named_parameters():
        want = own[name]
        if want.std() == 0 or want.numel() == 1:
            assert torch.equal(tensor, want), name
            continue
        assert not torch.equal(tensor, want), name
        # Both spread alike: bounded samples to their bound, normal ones to a few deviations.
        count = want.numel()
        assert abs(tensor.std() / want.std() - 1) < 6 / math.sqrt(2 * count) + 0.02, name
        kurtosis = [float(((x / x.std()) ** 4).mean().detach()) for x in (tensor, want)]
        if count > 2000:
            assert abs(kurtosis[0] - kurtosis[1]) < 0.4, (name, kurtosis)
    assert (modules["embedding"].weight[3] == 0).all()
    bound = 1 / math.sqrt(40)
    for tensor in modules["linear"].parameters():
        assert 0.9 * bound < tensor.abs().max() <= bound
    said = fanin.torch.initializers(module)
    assert said["linear.bias"] == "torch_default"
    assert said["embedding.weight"] == "normal:1; constant:0 at 3"


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(3))


class Own(nn.Linear):
    """Starts its weights in a way of its own."""

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)


def test_unknown_modules_are_named():
    module = nn.Sequential(nn.Linear(2, 3), Scale(), Own(3, 2))
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(ValueError, match="1.gain of Scale, 2.weight of Own, 2.bias of Own.*1.gain=one"):
        fanin.torch.init_(module, 7)
    assert all(torch.equal(before[name], own) for name, own in module.state_dict().items())
    fanin.torch.init_(module, 7, ["1.gain=ones", "2.*=zeros"])
    assert (module[1].gain == 1).all() and (module[2].weight == 0).all()
    # A rule for some rows alone leaves the others undecided.
    with pytest.raises(ValueError, match="1.gain of Scale"):
        fanin.torch.init_(module, 7, ["1.gain=ones rows=1..", "2.*=zeros"])


def test_tied_weights_are_drawn_once(caplog):
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wte = nn.Embedding(50, 8)
            self.head = nn.Linear(8, 50, bias=False)
            self.head.weight = self.wte.weight

    module = Tied()
    with caplog.at_level(logging.INFO, logger="fanin"):
        fanin.torch.init_(module, 7)
    assert "head.weight is tied to wte.weight" in caplog.text
    assert list(fanin.torch.initializers(module)) == ["wte.weight"]
    assert raw(module.head.weight) == fanin.normal((50, 8), 1, seed=7, name="wte.weight").tobytes()
    meta = Tied().to("meta")
    meta.head.weight = meta.wte.weight
    fanin.torch.materialize_(meta, 7)
    assert meta.head.weight is meta.wte.weight and torch.equal(meta.wte.weight, module.wte.weight)


def test_wrappers_leave_names_alone():
    from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import checkpoint_wrapper

    def make() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 5), nn.Sequential(nn.Linear(5, 3)))

    plain = fanin.torch.init_(make(), 7)
    want = plain.state_dict()
    compiled = torch.compile(make(), backend="eager")
    compiled(torch.zeros(1, 4))
    wrapped = make()
    wrapped[1] = checkpoint_wrapper(wrapped[1])
    parallel = nn.DataParallel(make())
    # A module whose own name is `module` keeps it.
    named = nn.ModuleDict({"module": make()})
    for one in (compiled, wrapped, parallel):
        fanin.torch.init_(one, 7)
        own = list(one.parameters())
        assert all(torch.equal(a, b) for a, b in zip(own, want.values(), strict=True))
    assert list(fanin.torch.initializers(named))[0] == "module.0.weight"
    x = torch.ones(2, 4)
    assert torch.equal(compiled(x), plain(x))
    doubled = type("OptimizedModule", (nn.Linear,), {})(4, 5)
    doubled._modules["_orig_mod"] = nn.Linear(4, 5)
    with pytest.raises(ValueError, match="`weight`: got two of this name"):
        fanin.torch.init_(doubled, 7)
    flat = nn.Sequential(type("FullyShardedDataParallel", (nn.Linear,), {})(4, 5))
    with pytest.raises(ValueError, match="module `0`: got FullyShardedDataParallel.*fully_shard"):
        fanin.torch.init_(flat, 7)
    part = fanin.torch.init_(make()[1], 7, prefix="1.")
    assert torch.equal(part[0].weight, plain[1][0].weight)


def test_autograd_sees_the_change_and_generators_do_not():
    module = nn.Linear(4, 3)
    state = torch.get_rng_state()
    for parameter in (module.weight, module.weight.t()):
        hidden = nn.functional.linear(torch.ones(2, 4, requires_grad=True), module.weight)
        loss = (hidden * 1).sum()
        version = module.weight._version
        fanin.torch.fill_(parameter, "normal:1", seed=7, name="w")
        assert module.weight._version > version
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
    assert torch.equal(state, torch.get_rng_state())
    assert module.weight.is_leaf and module.weight.requires_grad
    with torch.inference_mode():
        frozen = torch.empty(3, 4)
        fanin.torch.fill_(frozen, "normal:1", seed=7, name="w")
    assert frozen.numpy().tobytes() == fanin.normal((3, 4), 1, seed=7, name="w").tobytes()


def test_meta_modules_are_made_real():
    def make() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 4))

    with torch.device("meta"):
        meta = make()
    with pytest.raises(ValueError, match="`0.weight`: got one on the meta device.*materialize_"):
        fanin.torch.init_(meta, 7)
    fanin.torch.materialize_(meta, 7, "cpu", ["0.weight=he_normal"])
    want = fanin.torch.init_(make(), 7, ["0.weight=he_normal"]).state_dict()
    for name, tensor in meta.state_dict().items():
        assert torch.equal(tensor, want[name]), name
    with torch.device("meta"):
        meta = make()
        meta.register_buffer("angles", torch.ones(3))
    with pytest.raises(ValueError, match="got angles, whose values are lost"):
        fanin.torch.materialize_(meta, 7)
    assert meta[0].weight.is_meta
    with pytest.raises(ValueError, match="got meta"):
        fanin.torch.materialize_(make(), 7, "meta")


def linear() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3))


WRONG = [
    (TypeError, "module: got list", lambda: fanin.torch.init_([], 7)),
    (TypeError, "seed: got '7'", lambda: fanin.torch.init_(linear(), "7")),
    (ValueError, "seed: got -1", lambda: fanin.torch.init_(linear(), -1)),
    (TypeError, "rules: got 5", lambda: fanin.torch.init_(linear(), 7, 5)),
    (TypeError, "rules: got 5", lambda: fanin.torch.init_(linear(), 7, [5])),
    (ValueError, "matches no tensor", lambda: fanin.torch.init_(linear(), 7, "1.*=zeros")),
    (ValueError, "unknown initializer", lambda: fanin.torch.init_(linear(), 7, "*=zeroes")),
    (ValueError, "keep", lambda: fanin.torch.init_(linear(), 7, "0.weight=keep")),
    (ValueError, "got shape \\[3, 4\\], needed \\[4, 4\\]",
     lambda: fanin.torch.init_(linear(), 7, "0.weight=zeros shape=[4,4]")),
    (ValueError, "unknown recipe", lambda: fanin.torch.init_(linear(), 7, recipe="gpt3")),
    (OSError, "no.toml", lambda: fanin.torch.init_(linear(), 7, recipe="no.toml")),
    (TypeError, "recipe: got int", lambda: fanin.torch.init_(linear(), 7, recipe=3)),
    (ValueError, "0.weight, 0.bias, which the recipe has not",
     lambda: fanin.torch.init_(linear(), 7, recipe="gpt2")),
    (TypeError, "tensor: got list", lambda: fanin.torch.fill_([], "zeros", seed=7, name="w")),
    (ValueError, "empty", lambda: fanin.torch.fill_(torch.ones(3), "zeros", seed=7, name="")),
    (ValueError, "meta", lambda: fanin.torch.fill_(torch.ones(3, device="meta"), "zeros", seed=7, name="w")),
    (TypeError, "complex64",
     lambda: fanin.torch.fill_(torch.ones(3, dtype=torch.complex64), "zeros", seed=7, name="w")),
    (ValueError, "dtype", lambda: fanin.torch.fill_(torch.ones(3).int(), "normal:1", seed=7, name="w")),
    (ValueError, "layout torch.sparse_coo",
     lambda: fanin.torch.fill_(torch.ones(3, 3).to_sparse(), "normal:1", seed=7, name="w")),
    (RuntimeError, "single memory location",
     lambda: fanin.torch.fill_(torch.ones(1).expand(3), "normal:1", seed=7, name="w")),
    (ValueError, "forward pass through the lazy module",
     lambda: fanin.torch.init_(nn.LazyLinear(3), 7)),
    (ValueError, "without parameters", lambda: fanin.torch.init_(nn.ReLU(), 7, "*=zeros")),
]


@pytest.mark.parametrize("kind, said, call", WRONG)
def test_what_is_wrong_is_said(kind, said, call):
    with pytest.raises(kind, match=said):
        call()


def test_modules_without_parameters_and_empty_ones():
    assert isinstance(fanin.torch.init_(nn.ReLU(), 7), nn.ReLU)
    fanin.torch.init_(nn.ModuleList([nn.Linear(0, 3), nn.Linear(3, 2)]), 7)


class Engine:
    """What the GPU's engine is asked for, by the definition."""

    @staticmethod
    def fill_(out, seed, stream, sampler, box):
        words = _contract.words(seed, stream, 0, math.prod(box.shape))
        whole = _contract.values(sampler, dtype_name(out.dtype), words).reshape(box.shape)
        ends = zip(box.starts, box.sizes, strict=True)
        part = whole[tuple(slice(start, start + size) for start, size in ends)]
        out.copy_(torch.from_numpy(part.copy()))


def test_what_gpus_are_asked_for_is_what_the_cpu_draws(monkeypatch):
    module = nn.ModuleDict(
        {"wte": nn.Embedding(9, 4, padding_idx=5), "up": nn.Linear(4, 6), "norm": nn.LayerNorm(6)}
    )
    rules = ["wte.weight=ones rows=4..", "up.weight=xavier_uniform parts=[4,2]"]
    rules += ["up.bias=normal:std=1,mean=2"]
    weights, tensors = fanin.torch._planned(module, rules, None, "")
    want = {name: tensor.clone() for name, tensor in fanin.torch.init_(module, 7, rules).named_parameters()}
    monkeypatch.setattr(fanin.torch, "_engine", lambda: Engine)
    for name, weight in weights.items():
        whole = weight.tensor.detach()
        for first in range(whole.shape[0]):
            own = torch.zeros_like(whole[first:])
            starts = (first, *[0] * (whole.dim() - 1))
            piece = _shards.Piece(starts, tuple(own.shape), ())
            assert fanin.torch._on_gpu(own, name, tensors, 7, whole, piece)
            assert torch.equal(own, want[name][first:]), name
    # Matrices are the CPU's.
    orthogonal = fanin.torch._planned(module, "up.weight=orthogonal", None, "")[1]
    assert not fanin.torch._on_gpu(own, "up.weight", orthogonal, 7, whole, piece)


def test_whatever_is_given_nothing_breaks():
    chance = random.Random(3)
    inits = ["zeros", "normal:1", "he_normal", "orthogonal", "normal:1 depth=4", "ones rows=1..", "x"]
    odd = [None, -1, 1 << 64, 1.5, "", b"w", [], {}, object(), torch.ones(2), "\ud800", "*=zeros"]
    dtypes = [*NUMPY, torch.int8, torch.int64, torch.bool, torch.complex64, torch.uint16]
    drawn = 0
    for _ in range(3000):
        shape = [chance.choice([0, 1, 2, 3, 5]) for _ in range(chance.randrange(4))]
        tensor = torch.empty(shape, device=chance.choice(["cpu", "cpu", "meta"]))
        tensor = tensor.to(chance.choice(dtypes))
        if shape and chance.random() < 0.5:
            tensor = tensor.transpose(0, -1)[:: chance.choice([1, 2])]
        module = nn.ParameterDict({"w": nn.Parameter(tensor, requires_grad=False)})
        rules = [f"{chance.choice(['w', '*', 'v', '?'])}={chance.choice(inits)}"]
        rules += chance.choice([[], [], ["*=zeros"]])
        given = [module, chance.randrange(1 << 64), rules]
        if chance.random() < 0.3:
            given[chance.randrange(3)] = chance.choice(odd)
        call = chance.choice([fanin.torch.init_, fanin.torch.materialize_, fanin.torch.fill_])
        try:
            if call is fanin.torch.materialize_:
                call(given[0], given[1], rules=given[2])
            elif call is fanin.torch.init_:
                call(*given)
            else:
                options = {"seed": given[1], "name": chance.choice(["w", odd[chance.randrange(9)]])}
                call(given[0]["w"] if given[0] is module else given[0], chance.choice(inits), **options)
        except (TypeError, ValueError):
            continue
        drawn += 1
    assert drawn > 200
