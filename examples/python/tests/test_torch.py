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


def bits_of(init: str, shape, name: str, **options) -> bytes:
    return fanin.init(init, shape, **{"seed": 7, "name": name, **options}).tobytes()


def test_a_rule_says_all_of_what_it_serves():
    """Nothing of what a module starts from by itself goes into it."""
    module = nn.ModuleDict(
        {
            "lstm": nn.LSTM(100, 5),
            "bilinear": nn.Bilinear(30, 20, 4),
            "conv": nn.ConvTranspose2d(6, 4, 3),
            "embedding": nn.Embedding(6, 4, padding_idx=2),
        }
    )
    fanin.torch.init_(module, 7, ["*weight*=he_normal", "*=zeros"])
    for name, tensor in module.named_parameters():
        if "weight" in name:
            assert raw(tensor) == bits_of("he_normal", tuple(tensor.shape), name), name
        else:
            assert (tensor == 0).all(), name
    fanin.torch.init_(module, 7, ["embedding.weight=ones"])
    assert (module["embedding"].weight == 1).all()
    # Over rows alone it lies over what the module starts the others from.
    fanin.torch.init_(module, 7, ["embedding.weight=ones rows=1"])
    want = fanin.normal((6, 4), 1, seed=7, name="embedding.weight")
    want[1], want[2] = 1, 0
    assert (module["embedding"].weight.detach().numpy() == want).all()


class Everything(nn.Module):
    """Vectors by every usual name, and some by none."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.conv = nn.Linear(6, 5), nn.Conv1d(4, 3, 2)
        self.norm, self.batch_norm = nn.LayerNorm(5), nn.BatchNorm1d(3)
        self.prelu, self.attention = nn.PReLU(4), nn.MultiheadAttention(8, 2)
        self.bilinear = nn.Bilinear(3, 4, 5)


@pytest.mark.parametrize("rule", ["*=he_normal", "*=orthogonal", "*=normal:0.5"])
def test_vectors_that_a_rule_cannot_serve_are_the_command_lines(rule, tmp_path, files):
    from safetensors.torch import save_file

    module = fanin.torch.init_(Everything(), 7, rule)
    save_file(module.state_dict(), tmp_path / "mine.safetensors")
    assert_equal(module, files(str(tmp_path / "mine.safetensors"), "--seed", "7", "--rule", rule))


def test_vectors_that_no_rule_serves_and_the_command_line_has_no_start_for_are_pytorchs():
    module = fanin.torch.init_(nn.LSTM(100, 5), 7, "*=he_normal")
    want = bits_of("torch_default", (20,), "bias_ih_l0", fan_in=5)
    assert raw(module.bias_ih_l0) == want
    # Nor does a rule that does not match say anything.
    module = fanin.torch.init_(nn.Linear(6, 5), 7, "weight=he_normal")
    assert raw(module.bias) == bits_of("torch_default", (5,), "bias", fan_in=6)


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


def test_what_no_rule_can_serve_is_said():
    counted = nn.Parameter(torch.ones(3, 2, dtype=torch.int64), False)
    module = nn.ParameterDict({"n": counted, "w": nn.Parameter(torch.ones(3))})
    said = r"n of ParameterDict \(no rule that matches n serves \[3, 2\] of i64\), which no rule"
    with pytest.raises(ValueError, match=said):
        fanin.torch.init_(module, 7, "*=normal:1")
    normed = nn.utils.weight_norm(nn.Linear(3, 2))
    with pytest.raises(ValueError, match="weight_g of Linear.*none of PyTorch's own"):
        fanin.torch.init_(normed, 7)


def test_a_rule_for_another_name_of_a_tied_weight_is_told_which():
    module = nn.ModuleDict({"wte": nn.Embedding(5, 4), "head": nn.Linear(4, 5, bias=False)})
    module["head"].weight = module["wte"].weight
    for rule in ("head.weight=zeros", "head.*=zeros"):
        with pytest.raises(ValueError, match="for head.weight, which is tied to wte.weight"):
            fanin.torch.init_(module, 7, rule)
    with pytest.raises(ValueError, match="`tail.*` matches no tensor"):
        fanin.torch.init_(module, 7, "tail.*=zeros")
    fanin.torch.init_(module, 7, "*.weight=zeros")


def test_what_is_wrong_is_told_before_anything_is_drawn():
    expanded = nn.Linear(3, 4)
    expanded.bias = nn.Parameter(torch.zeros(1).expand(4))
    freed = nn.Linear(3, 4)
    freed.bias.data.untyped_storage().resize_(0)
    for module, said in ((expanded, "`bias`: got one whose elements"), (freed, "storage of 0")):
        before = module.weight.clone()
        with pytest.raises(ValueError, match=said):
            fanin.torch.init_(module, 7)
        assert torch.equal(module.weight, before)


def test_a_recipes_dtypes_are_told_before_anything_is_drawn(tmp_path):
    recipe = tmp_path / "r.toml"
    tables = [f'[[tensor]]\nname = "{name}"\nshape = [3]\ninit = "normal:1"\n' for name in "ab"]
    recipe.write_text("".join(tables))
    counted = nn.Parameter(torch.ones(3, dtype=torch.int64), False)
    module = nn.ParameterDict({"a": nn.Parameter(torch.zeros(3)), "b": counted})
    with pytest.raises(ValueError, match="`b`"):
        fanin.torch.init_(module, 7, recipe=recipe)
    assert (module["a"] == 0).all()


def test_views_that_negate_read_as_what_was_drawn():
    want = bits_of("he_normal", (4, 6), "w")
    negated = torch._neg_view(torch.zeros(4, 6))
    imaginary = torch.zeros(4, 6, dtype=torch.complex64).conj().imag
    for tensor in (negated, imaginary):
        assert tensor.is_neg()
        fanin.torch.fill_(tensor, "he_normal", seed=7, name="w")
        assert raw(tensor.resolve_neg()) == want


def test_tensors_without_elements():
    for shape in ((4, 0), (0, 4), (0,)):
        tensor = torch.zeros(shape)
        assert fanin.torch.fill_(tensor, "normal:1", seed=7, name="w") is tensor
    with pytest.raises(ValueError, match="unknown initializer"):
        fanin.torch.fill_(torch.zeros(0), "normall:1", seed=7, name="w")


def test_parametrizations_are_not_evaluated():
    class Drops(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return nn.functional.dropout(x, 0.5)

    normed = nn.utils.parametrizations.spectral_norm(nn.Linear(30, 40))
    dropped = nn.Conv2d(4, 6, 3, groups=2)
    nn.utils.parametrize.register_parametrization(dropped, "weight", Drops())
    module = nn.ModuleDict({"normed": normed, "dropped": dropped}).train()
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    state = torch.get_rng_state()
    assert buffers
    fanin.torch.initializers(module, "*original=he_normal")
    fanin.torch.init_(module, 7, "*original=he_normal")
    for name, buffer in module.named_buffers():
        assert torch.equal(buffer, buffers[name]), name
    assert torch.equal(state, torch.get_rng_state())
    # Within the bound that the weight's fan_in gives.
    assert raw(normed.bias) == bits_of("torch_default", (40,), "normed.bias", fan_in=30)
    assert raw(dropped.bias) == bits_of("torch_default", (6,), "dropped.bias", fan_in=18)


def test_traces_that_would_not_see_the_numbers_are_refused():
    from torch._subclasses import FakeTensorMode
    from torch.fx.experimental.proxy_tensor import make_fx

    def filled(x: torch.Tensor) -> torch.Tensor:
        return fanin.torch.fill_(x.clone(), "ones", seed=7, name="w")

    traces = [make_fx(filled, tracing_mode=mode) for mode in ("real", "fake", "symbolic")]
    traces += [torch.func.functionalize(filled), torch.func.vmap(filled)]
    traces += [lambda x: torch.jit.trace(filled, x)]
    for trace in traces:
        with pytest.raises(ValueError, match="`w`: got one within"):
            trace(torch.zeros(2, 3))
    with FakeTensorMode(), pytest.raises(ValueError, match="`w`: got one within Fake"):
        filled(torch.zeros(2, 3))


def test_memory_is_held_while_it_is_written(monkeypatch):
    """A parameter may be given other memory by another thread: that which is drawn to stays."""
    parameter = nn.Parameter(torch.zeros(1 << 12))
    draw = fanin.torch._write

    def write(target, draw_into) -> None:
        def drawn(memory: torch.Tensor) -> None:
            weak = torch.multiprocessing.reductions.StorageWeakRef(memory.untyped_storage())
            parameter.data = torch.zeros(1 << 12)
            assert not weak.expired()
            draw_into(memory)

        draw(target, drawn)

    monkeypatch.setattr(fanin.torch, "_write", write)
    fanin.torch.fill_(parameter, "normal:1", seed=7, name="w")
    assert (parameter == 0).all()


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


def nested() -> torch.Tensor:
    return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])


def holding_itself() -> nn.Module:
    module = nn.Sequential()
    module._modules["a"] = module
    return module


def resized(size: int) -> torch.Tensor:
    tensor = torch.zeros(3)
    tensor.untyped_storage().resize_(size)
    return tensor


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
    (ValueError, "`w`: got one whose elements share memory",
     lambda: fanin.torch.fill_(torch.ones(1).expand(3), "normal:1", seed=7, name="w")),
    (ValueError, "forward pass through the lazy module",
     lambda: fanin.torch.init_(nn.LazyLinear(3), 7)),
    (ValueError, "`w`: got one whose shape is not known yet",
     lambda: fanin.torch.fill_(nn.UninitializedParameter(), "normal:1", seed=7, name="w")),
    (ValueError, "`w`: got a nested one",
     lambda: fanin.torch.fill_(nested(), "normal:1", seed=7, name="w")),
    (TypeError, "prefix: got None", lambda: fanin.torch.initializers(linear(), prefix=None)),
    (TypeError, "prefix: got 3", lambda: fanin.torch.init_(nn.Linear(2, 3), 7, prefix=3)),
    (TypeError, "unexpected keyword argument 'rows'",
     lambda: fanin.torch.fill_(torch.ones(3), "normal:1", seed=7, name="w", rows=(0, 1))),
    (ValueError, "parameter: got .* half of a surrogate pair",
     lambda: fanin.torch.init_(nn.ParameterDict({"\ud800": nn.Parameter(torch.ones(3))}), 7)),
    (ValueError, "rules: got the pattern 'a=b'.*needed one without, such as 'a\\?b'",
     lambda: fanin.torch.init_(linear(), 7, {"a=b": "ones"})),
    (ValueError, "rules: got .* half of a surrogate pair",
     lambda: fanin.torch.init_(linear(), 7, "\ud800=ones")),
    (ValueError, "module `a`: got Sequential, which holds itself",
     lambda: fanin.torch.init_(holding_itself(), 7)),
    (ValueError, "`w`: got a storage of 0 bytes, needed 12",
     lambda: fanin.torch.fill_(resized(0), "normal:1", seed=7, name="w")),
    (ValueError, "`w`: got a storage of 8 bytes, needed 12",
     lambda: fanin.torch.fill_(resized(8), "normal:1", seed=7, name="w")),
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
