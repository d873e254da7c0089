"""Flax: names from paths, Flax's own starts, and the bits of the command line."""

from __future__ import annotations

import os

# Before JAX counts its devices.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)

import numpy as np
import pytest
from conftest import stored
from extras import needed

jax = needed("jax", "jax")
nnx = needed("flax.nnx", "flax")
nn = needed("flax.linen", "flax")
import jax.numpy as jnp  # noqa: E402
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P  # noqa: E402

import fanin  # noqa: E402
import fanin.flax  # noqa: E402
import fanin.jax  # noqa: E402

LECUN = "variance_scaling:scale=1"


class Model(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Embed(40, 16, rngs=rngs)
        self.layers = nnx.List([nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 16, rngs=rngs)])
        self.attention = nnx.MultiHeadAttention(4, 16, rngs=rngs, decode=False)
        self.conv = nnx.Conv(4, 8, (3,), feature_group_count=2, rngs=rngs)
        self.up = nnx.ConvTranspose(3, 8, (3, 3), rngs=rngs)
        self.cell = nnx.OptimizedLSTMCell(4, 5, rngs=rngs)
        self.norm, self.batch_norm = nnx.LayerNorm(16, rngs=rngs), nnx.BatchNorm(16, rngs=rngs)
        self.act, self.lora = nnx.PReLU(), nnx.LoRA(16, 4, 8, rngs=rngs)
        self.drop = nnx.Dropout(0.1, rngs=rngs)
        self.head = self.embed


def parameters(model: nnx.Module) -> dict[str, np.ndarray]:
    flat = nnx.to_flat_state(nnx.state(model, nnx.Param))
    return {".".join(map(str, path)): np.asarray(leaf[...]) for path, leaf in flat}


def equal(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> bool:
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


def test_each_parameter_is_that_of_its_name_and_start() -> None:
    model = Model(nnx.Rngs(0))
    mean = np.asarray(model.batch_norm.mean[...])
    assert fanin.flax.init_(model, 7) is model
    got = parameters(model)

    def own(name: str, init: str, **fans) -> None:
        wanted = fanin.init(init, got[name].shape, seed=7, name=name, layout="in_out", **fans)
        assert got.pop(name).tobytes() == wanted.tobytes(), name

    own("embed.embedding", LECUN + ",distribution=normal", fan_in=16)
    for name in ("layers.0", "layers.1"):
        own(f"{name}.kernel", LECUN)
        own(f"{name}.bias", "zeros")
    for name in ("query", "key", "value"):
        own(f"attention.{name}.kernel", LECUN, fan_in=16)
        own(f"attention.{name}.bias", "zeros")
    own("attention.out.kernel", LECUN, fan_in=16)
    own("attention.out.bias", "zeros")
    own("conv.kernel", LECUN, fan_in=6)
    own("up.kernel", LECUN, fan_in=27)
    own("cell.dense_i.kernel", LECUN)
    own("cell.dense_h.kernel", "orthogonal")
    own("lora.lora_a", "he_uniform")
    own("act.negative_slope", "constant:0.01")
    for name in ("conv.bias", "up.bias", "cell.dense_h.bias", "lora.lora_b"):
        own(name, "zeros")
    for name in ("norm", "batch_norm"):
        own(f"{name}.scale", "ones")
        own(f"{name}.bias", "zeros")
    assert not got, "tied and counted ones are not drawn again"
    assert (np.asarray(model.batch_norm.mean[...]) == mean).all()


def test_the_starts_are_flaxs_own() -> None:
    """As wide as what Flax draws, over layers wide enough to tell."""

    class Wide(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.linear = nnx.Linear(300, 500, rngs=rngs)
            self.general = nnx.LinearGeneral((20, 15), (25, 20), axis=(-2, -1), rngs=rngs)
            self.conv = nnx.Conv(40, 60, (5, 3), rngs=rngs)
            self.embed = nnx.Embed(600, 200, rngs=rngs)
            self.attention = nnx.MultiHeadAttention(8, 320, rngs=rngs, decode=False)
            self.lora = nnx.LoRA(500, 64, 8, rngs=rngs)

    flaxs, ours = Wide(nnx.Rngs(0)), fanin.flax.init_(Wide(nnx.Rngs(0)), 3)
    for (name, a), b in zip(parameters(flaxs).items(), parameters(ours).values()):
        assert abs(a.std() - b.std()) <= 0.02 * a.std(), name
        assert abs(np.abs(a).max() - np.abs(b).max()) <= 0.2 * np.abs(a).max(), name


def test_abstract_traced_and_sharded_models_are_the_same() -> None:
    wanted = parameters(fanin.flax.init_(Model(nnx.Rngs(0)), 7))
    abstract = nnx.eval_shape(lambda: Model(nnx.Rngs(0)))
    assert equal(parameters(fanin.flax.init_(abstract, 7)), wanted)
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)

    @nnx.jit
    def make() -> Model:
        model = fanin.flax.init_(Model(nnx.Rngs(0)), 7)
        state = nnx.state(model, nnx.Param)

        def sharding(leaf: jax.Array) -> NamedSharding:
            return NamedSharding(mesh, P("a") if leaf.ndim and leaf.shape[0] % 4 == 0 else P())

        spread = jax.tree.map(sharding, state)
        nnx.update(model, jax.lax.with_sharding_constraint(state, spread))
        return model

    model = make()
    assert equal(parameters(model), wanted)
    kernel = model.layers[0].kernel
    assert kernel[...].sharding.spec == P("a")
    # A module that lies in shards is drawn so, and stays so.
    for one in jax.tree.leaves(nnx.state(model, nnx.Param)):
        assert len(one.sharding.device_set) == 8
    fanin.flax.init_(model, 8)
    assert kernel[...].sharding.spec == P("a")
    assert equal(parameters(model), parameters(fanin.flax.init_(Model(nnx.Rngs(0)), 8)))


def test_a_rule_says_all_of_what_it_serves() -> None:
    model = Model(nnx.Rngs(0))
    fanin.flax.init_(model, 7, "*=he_normal")
    got = parameters(model)
    for name in ("embed.embedding", "attention.query.kernel", "layers.0.kernel", "conv.kernel"):
        wanted = fanin.init("he_normal", got[name].shape, seed=7, name=name, layout="in_out")
        assert got[name].tobytes() == wanted.tobytes(), name
    assert (got["norm.scale"] == 1).all() and (got["norm.bias"] == 0).all()
    assert got["act.negative_slope"] == np.float32(0.01)


def test_a_rule_for_another_path_to_what_is_shared_is_told_which() -> None:
    for path in ("head.embedding", "head.*"):
        with pytest.raises(ValueError, match="for head.embedding, which is tied to embed.embed"):
            fanin.flax.init_(Model(nnx.Rngs(0)), 7, f"{path}=zeros")
    with pytest.raises(ValueError, match="`tail.*` matches no tensor"):
        fanin.flax.initializers(Model(nnx.Rngs(0)), "tail.*=zeros")


class Layers(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.linear = nnx.Linear(64, 48, rngs=rngs)
        self.conv = nnx.Conv(6, 8, (3, 3), rngs=rngs)
        self.attention = nnx.MultiHeadAttention(4, 64, rngs=rngs, decode=False)
        self.cell = nnx.OptimizedLSTMCell(4, 5, rngs=rngs)
        self.norm, self.lora = nnx.LayerNorm(16, rngs=rngs), nnx.LoRA(64, 4, 8, rngs=rngs)
        self.embed, self.act = nnx.Embed(40, 16, rngs=rngs), nnx.PReLU()


@nnx.split_rngs(splits=16)
@nnx.vmap
def stacked(rngs: nnx.Rngs) -> Layers:
    return Layers(rngs)


def test_layers_that_are_stacked_are_as_wide_as_one() -> None:
    model, one = stacked(nnx.Rngs(0)), Layers(nnx.Rngs(0))
    flaxs = parameters(model)
    got, single = parameters(fanin.flax.init_(model, 7)), parameters(fanin.flax.init_(one, 7))
    for name, value in got.items():
        assert value.shape == (16, *single[name].shape), name
        if flaxs[name].std() == 0 or "act" in name:
            assert (value == flaxs[name]).all(), name
        elif "kernel" in name or "lora" in name:
            assert abs(value.std() - flaxs[name].std()) <= 0.06 * flaxs[name].std(), name
    wanted = {"seed": 7, "layout": "in_out", "batch_dims": 1}
    for name, init in (("linear.kernel", LECUN), ("cell.dense_h.kernel", "orthogonal")):
        value = fanin.init(init, got[name].shape, name=name, **wanted)
        assert got[name].tobytes() == value.tobytes(), name
    # Rules too count the inputs of one, and pass over what is a vector in one.
    got = parameters(fanin.flax.init_(stacked(nnx.Rngs(0)), 7, ["*=he_normal"]))
    value = fanin.init("he_normal", (16, 64, 48), name="linear.kernel", **wanted)
    assert got["linear.kernel"].tobytes() == value.tobytes()
    assert (got["linear.bias"] == 0).all() and (got["norm.scale"] == 1).all()

    @nnx.split_rngs(splits=16)
    @nnx.vmap(out_axes=1)
    def aside(rngs: nnx.Rngs) -> nnx.Linear:
        return nnx.Linear(64, 48, rngs=rngs)

    with pytest.raises(ValueError, match="kernel of Linear.*a rule for each"):
        fanin.flax.init_(aside(nnx.Rngs(0)), 7)


class Cell(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        y = nn.Dense(8)(x)
        y = nn.MultiHeadDotProductAttention(num_heads=2)(y)
        y = nn.Conv(8, (3,))(y)
        return nn.LayerNorm()(y), None


class Bare(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return nn.MultiHeadDotProductAttention(num_heads=2, use_bias=False)(x), None


def test_what_linen_scans_is_as_wide_as_one_layer() -> None:
    def scanned(cell: type[nn.Module]):
        layers = nn.scan(cell, {"params": 0}, split_rngs={"params": True}, length=16)(name="layers")
        x = jnp.ones((2, 5, 8))
        return jax.eval_shape(lambda: layers.init(jax.random.key(0), x, None))["params"]

    leaves = jax.tree_util.tree_flatten_with_path(fanin.flax.init(scanned(Cell), 7))[0]
    got = {".".join(key.key for key in path): np.asarray(value) for path, value in leaves}
    for name, fan_in in [
        ("Dense_0.kernel", 8),
        ("Conv_0.kernel", 24),
        ("MultiHeadDotProductAttention_0.query.kernel", 8),
        ("MultiHeadDotProductAttention_0.out.kernel", 8),
    ]:
        wanted = fanin.init(LECUN, got[name].shape, seed=7, name=name, fan_in=fan_in)
        assert got[name].shape[0] == 16 and got[name].tobytes() == wanted.tobytes(), name
    # Without a bias nobody can tell, and where the name says nothing either.
    with pytest.raises(ValueError, match="query.kernel of the tree.*a rule for each"):
        fanin.flax.init(scanned(Bare), 7)
    conv = {"stem": {"kernel": jnp.zeros((3, 3, 4, 8))}, "out": {"kernel": jnp.zeros((2, 2, 8))}}
    assert fanin.flax.initializers(conv) == {"stem.kernel": LECUN, "out.kernel": LECUN}


def test_the_command_line_makes_a_models_file_again(files, tmp_path) -> None:
    from safetensors.numpy import save_file

    class Some(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.embed, self.norm = nnx.Embed(9, 6, rngs=rngs), nnx.LayerNorm(6, rngs=rngs)
            self.conv = nnx.Conv(6, 8, (3,), rngs=rngs)
            self.attention = nnx.MultiHeadAttention(2, 8, rngs=rngs, decode=False)

    got = parameters(fanin.flax.init_(Some(nnx.Rngs(0)), 7, "*=he_normal"))
    save_file(got, tmp_path / "mine.safetensors")
    rule = "*=he_normal layout=in_out"
    file = stored(files(str(tmp_path / "mine.safetensors"), "--seed", "7", "--rule", rule))
    assert {name: one.tobytes() for name, one in got.items()} == {
        name: data for name, (_, _, data) in file.items()
    }


class Block(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.Dense(8)(x)
        x = nn.MultiHeadDotProductAttention(num_heads=2)(x)
        x = nn.LayerNorm()(x)
        x = nn.RNN(nn.LSTMCell(8))(x)
        return nn.Conv(4, (3,))(x)


def test_linens_trees() -> None:
    x = jnp.ones((2, 3, 8))
    tree = jax.eval_shape(Block().init, jax.random.key(0), x)["params"]
    got = fanin.flax.init(tree, 5)
    assert jax.tree.structure(got) == jax.tree.structure(tree)
    for layer, name, init, fans in [
        ("Dense_0", "Dense_0.kernel", LECUN, {}),
        ("Conv_0", "Conv_0.kernel", LECUN, {}),
    ]:
        leaf = got[layer]["kernel"]
        wanted = fanin.init(init, leaf.shape, seed=5, name=name, layout="in_out", **fans)
        assert np.asarray(leaf).tobytes() == wanted.tobytes()
    attention = got["MultiHeadDotProductAttention_0"]
    for name, fan_in in (("query", 8), ("out", 8)):
        leaf = attention[name]["kernel"]
        full = f"MultiHeadDotProductAttention_0.{name}.kernel"
        wanted = fanin.init(LECUN, leaf.shape, seed=5, name=full, fan_in=fan_in)
        assert np.asarray(leaf).tobytes() == wanted.tobytes()
    said = fanin.flax.initializers(tree)
    assert said["LSTMCell_0.hf.kernel"] == "orthogonal" and said["LSTMCell_0.if.kernel"] == LECUN
    # It goes through the model, and under jit with shardings it is the same.
    Block().apply({"params": got}, x)
    mesh = jax.make_mesh((8,), ("a",), axis_types=(AxisType.Auto,))
    lay = jax.tree.map(lambda one: NamedSharding(mesh, P("a") if one.shape[0] == 8 else P()), tree)
    for spread in (
        fanin.flax.init(tree, 5, shardings=lay),
        jax.jit(lambda: fanin.flax.init(tree, 5), out_shardings=lay)(),
    ):
        assert spread["Dense_0"]["kernel"].sharding.spec == P("a")
        assert all(
            np.asarray(a).tobytes() == np.asarray(b).tobytes()
            for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(spread))
        )


def test_boxes_around_leaves_are_no_part_of_names() -> None:
    class Boxed(nn.Module):
        @nn.compact
        def __call__(self, x):
            init = nn.with_partitioning(nn.initializers.lecun_normal(), ("a", None))
            return nn.Dense(4, kernel_init=init)(x)

    tree = jax.eval_shape(Boxed().init, jax.random.key(0), jnp.ones((2, 3)))["params"]
    got = fanin.flax.init(tree, 5)["Dense_0"]["kernel"]
    assert isinstance(got, nn.Partitioned) and got.names == ("a", None)
    wanted = fanin.init(LECUN, (3, 4), seed=5, name="Dense_0.kernel", layout="in_out")
    assert np.asarray(got.value).tobytes() == wanted.tobytes()
    state = nnx.state(Model(nnx.Rngs(0)), nnx.Param)
    assert "layers.0.kernel" in fanin.flax.initializers(state, ["*=ones"])


def test_jaxs_initializers_serve_in_flaxs_place() -> None:
    init = fanin.jax.initializer("he_normal", seed=7, name="q.kernel")
    for layer in (
        nnx.Linear(12, 8, kernel_init=init, rngs=nnx.Rngs(0)),
        nnx.LinearGeneral(12, (4, 2), kernel_init=init, rngs=nnx.Rngs(0)),
    ):
        got = np.asarray(layer.kernel[...]).reshape(12, 8)
        wanted = fanin.init("he_normal", (12, 8), seed=7, name="q.kernel", layout="in_out")
        assert got.tobytes() == wanted.tobytes()


def test_a_checkpoint_of_the_command_line_is_made_again(files, tmp_path) -> None:
    recipe = tmp_path / "r.toml"
    recipe.write_text(
        """name = "r"
[[tensor]]
name = "layers.{0..2}.kernel"
shape = [24, 24]
layout = "in_out"
init = "orthogonal:gain=relu"
[[tensor]]
name = "layers.{0..2}.bias"
shape = [24]
init = "uniform:-0.3,0.1"
"""
    )
    file = stored(files(str(recipe), "--seed", "11"))

    class Stack(nnx.Module):
        def __init__(self, rngs: nnx.Rngs) -> None:
            self.layers = nnx.List([nnx.Linear(24, 24, rngs=rngs) for _ in range(2)])

    for model in (
        fanin.flax.init_(Stack(nnx.Rngs(0)), 11, recipe=recipe),
        fanin.flax.init_(
            Stack(nnx.Rngs(0)), 11, {"*.bias": "uniform:-0.3,0.1", "*": "orthogonal:gain=relu"}
        ),
    ):
        got = parameters(model)
        assert {name: value.tobytes() for name, value in got.items()} == {
            name: data for name, (_, _, data) in file.items()
        }


def test_bad_input_is_told() -> None:
    class Own(nnx.Module):
        def __init__(self) -> None:
            self.w = nnx.Param(jnp.zeros((3, 4)))

    class Holds(nnx.Module):
        def __init__(self, value) -> None:
            self.w = nnx.Param(value)

    assert fanin.flax.initializers(Holds(None)) == {}
    with pytest.raises(TypeError, match="leaf `w`: got float"):
        fanin.flax.init_(Holds(1.5), 1)
    with pytest.raises(TypeError, match="leaf `w`: dtype: got.*complex64"):
        fanin.flax.init_(Holds(jnp.zeros(3, jnp.complex64)), 1)
    with pytest.raises(TypeError, match="tree: got ArrayImpl.*leaves with names"):
        fanin.flax.init(jnp.zeros(3), 1)
    for prefix in (None, 3):
        with pytest.raises(TypeError, match="prefix: got"):
            fanin.flax.init({"bias": jnp.zeros(3)}, 1, prefix=prefix)
        with pytest.raises(TypeError, match="prefix: got"):
            fanin.flax.init_(Own(), 1, prefix=prefix)
    assert fanin.flax.init({}, 1) == {}
    dropout = nnx.Dropout(0.5)
    assert fanin.flax.init_(dropout, 1) is dropout
    with pytest.raises(ValueError, match="without parameters"):
        fanin.flax.init_(dropout, 1, "*=ones")
    with pytest.raises(ValueError, match="got w of Own.*'w=ones'"):
        fanin.flax.init_(Own(), 1)
    ruled = fanin.flax.init_(Own(), 1, "w=he_normal")
    wanted = fanin.init("he_normal", (3, 4), seed=1, name="w", layout="in_out")
    assert np.asarray(ruled.w[...]).tobytes() == wanted.tobytes()
    with pytest.raises(ValueError, match="matches no tensor"):
        fanin.flax.init_(Own(), 1, ["w=zeros", "v=zeros"])
    with pytest.raises(TypeError, match="needed 'pattern=initializer'"):
        fanin.flax.init_(Own(), 1, [3])
    with pytest.raises(TypeError, match="fanin.flax.init draws trees"):
        fanin.flax.init_({"w": jnp.zeros(3)}, 1)
    with pytest.raises(TypeError, match="leaf `w`: got str"):
        fanin.flax.init({"w": "x"}, 1)
    with pytest.raises(ValueError, match="DenseGeneral_0.kernel"):
        fanin.flax.init({"DenseGeneral_0": {"kernel": jnp.zeros((2, 3, 4))}}, 1)
    with pytest.raises(ValueError, match="2\\^64"):
        fanin.flax.init({"kernel": jnp.zeros((2, 3))}, -1)
    with pytest.raises(ValueError, match="model's own names"):
        fanin.flax.init({"kernel": jnp.zeros((2, 3))}, 1, recipe="mlp")
