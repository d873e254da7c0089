"""Keras 3: the same bits with each of its backends."""

from __future__ import annotations

import json
import os
import subprocess
import sys

# A process has one backend, for good.
BACKEND = os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest
from extras import needed

needed({"numpy": "keras"}.get(BACKEND, BACKEND), "keras")
keras = needed("keras", "keras")

import fanin  # noqa: E402
import fanin.keras  # noqa: E402

OTHERS = [name for name in ("jax", "torch", "numpy") if name != BACKEND]


@pytest.mark.parametrize("backend", OTHERS)
def test_with_another_backend(backend: str) -> None:
    if os.environ.get("FANIN_TEST_KERAS_INNER"):
        return
    call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    env = {**os.environ, "KERAS_BACKEND": backend, "FANIN_TEST_KERAS_INNER": "1"}
    done = subprocess.run(call, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout + done.stderr


def same(got, wanted: np.ndarray) -> bool:
    if BACKEND == "torch":
        import torch

        got = got.value if isinstance(got, keras.Variable) else got
        return (
            got.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes() == wanted.tobytes()
        )
    return np.asarray(got).tobytes() == wanted.tobytes()


def drawn(init: str, shape, name: str, **options) -> np.ndarray:
    return fanin.init(init, shape, **{"seed": 7, "name": name, "layout": "in_out", **options})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    "init",
    ["he_normal", "normal:0.7,0.1", "uniform:0.3", "orthogonal", "truncated_normal:0.02", "ones"],
)
def test_the_initializer(init: str, dtype: str) -> None:
    made = fanin.keras.Initializer(init, seed=7, name="d.kernel")
    got = made((30, 20), dtype)
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    assert same(got, drawn(init, (30, 20), "d.kernel", dtype=dtype))
    if dtype == "float32":
        assert same(made((30, 20)), drawn(init, (30, 20), "d.kernel"))


def test_layers_take_it_and_files_keep_it(tmp_path) -> None:
    own = fanin.keras.Initializer("he_normal", seed=7, name="d.kernel", fan_in=99)
    config = keras.initializers.serialize(own)
    again = keras.initializers.deserialize(config)
    assert isinstance(again, fanin.keras.Initializer) and again.get_config() == own.get_config()
    model = keras.Sequential([keras.layers.Dense(6, kernel_initializer=own, name="d")])
    model.build((None, 5))
    wanted = drawn("he_normal", (5, 6), "d.kernel", fan_in=99)
    assert same(model.layers[0].kernel, wanted)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.layers[0].kernel_initializer.get_config() == own.get_config()
    assert same(loaded.layers[0].kernel, wanted)
    copied = keras.models.clone_model(model)
    copied.build((None, 5))
    assert same(copied.layers[0].kernel, wanted)


def build() -> keras.Model:
    init = keras.initializers
    layers = [
        keras.Input((9, 8, 3)),
        keras.layers.Conv2D(4, 3, name="conv", bias_initializer=init.RandomUniform(-0.3, 0.1)),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Reshape((7, 24), name="rows"),
        keras.layers.LSTM(5, return_sequences=True, name="lstm"),
        keras.layers.Dense(6, name="d", kernel_initializer=init.HeNormal(seed=3)),
        keras.layers.Dense(7, name="e", kernel_initializer=init.TruncatedNormal(0.1, 0.2)),
        keras.layers.Dense(
            8, name="f", kernel_initializer=fanin.keras.Initializer("normal:0.5", seed=1, name="x")
        ),
        keras.layers.Dropout(0.1, seed=3),
    ]
    return keras.Sequential(layers, name="m")


def test_models_by_paths_and_keras_own_starts() -> None:
    model = build()
    counted = [np.asarray(keras.ops.convert_to_numpy(one)) for one in model.non_trainable_weights]
    assert fanin.keras.init_(model, 7) is model
    after = [np.asarray(keras.ops.convert_to_numpy(one)) for one in model.non_trainable_weights]
    assert all((a == b).all() for a, b in zip(counted, after, strict=True))
    got = {one.path.removeprefix("m/").replace("/", "."): one for one in model.trainable_weights}

    def own(name: str, init: str, **fans) -> None:
        variable = got.pop(name)
        assert same(variable, drawn(init, tuple(variable.shape), name, **fans)), name

    glorot = "variance_scaling:scale=1,mode=fan_avg,distribution=uniform"
    own("conv.kernel", glorot, fan_in=27, fan_out=36)
    own("conv.bias", "uniform:-0.3,0.1")
    own("norm.gamma", "ones")
    own("norm.beta", "zeros")
    own("lstm.lstm_cell.kernel", glorot, fan_in=24, fan_out=20)
    own("lstm.lstm_cell.recurrent_kernel", "orthogonal")
    forget = np.zeros(20, np.float32)
    forget[5:10] = 1
    assert same(got.pop("lstm.lstm_cell.bias"), forget)
    own("d.kernel", "variance_scaling:scale=2,distribution=truncated_normal", fan_in=5)
    own("e.kernel", "truncated_normal:std=0.2,mean=0.1")
    own("f.kernel", "normal:0.5")
    for name in "def":
        own(f"{name}.bias", "zeros")
    assert not got
    # Rules go before what layers say, as with the command line.
    fanin.keras.init_(model, 8, ["*.bias=ones", "d.kernel=normal:2"])
    wanted = drawn("normal:2", (5, 6), "d.kernel", seed=8)
    assert same(model.get_layer("d").kernel, wanted)
    assert same(model.get_layer("f").bias, np.ones(8, np.float32))


def test_the_starts_are_keras_own() -> None:
    model = keras.Sequential(
        [
            keras.Input((300,)),
            keras.layers.Dense(500, name="a"),
            keras.layers.Dense(400, "relu", kernel_initializer="he_uniform", name="b"),
        ]
    )
    before = [keras.ops.convert_to_numpy(layer.kernel) for layer in model.layers]
    fanin.keras.init_(model, 7)
    for layer, a in zip(model.layers, before):
        b = keras.ops.convert_to_numpy(layer.kernel)
        assert abs(a.std() - b.std()) <= 0.02 * a.std()
        assert abs(abs(a).max() - abs(b).max()) <= 0.02 * abs(a).max()


def names(model) -> list[str]:
    return sorted(tensor.name for _, tensor in fanin.keras._variables(model, "").values())


def test_names_are_those_below_the_model() -> None:
    """However many models were made before, and wherever a part was built."""

    class Block(keras.layers.Layer):
        def __init__(self, **options) -> None:
            super().__init__(**options)
            self.first = keras.layers.Dense(4, name="first")
            self.rest = {"x": [keras.layers.Dense(4, name="second", use_bias=False)]}
            self.scale = self.add_weight(shape=(4,), name="scale")

        def call(self, x):
            return self.rest["x"][0](self.first(x)) * self.scale

    class Subclassed(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block(name="block")
            self.inner = keras.Sequential([keras.layers.Dense(4, name="last")], name="inner")

        def call(self, x):
            return self.inner(self.block(x))

    def subclassed() -> keras.Model:
        model = Subclassed()
        model(np.zeros((1, 4), np.float32))
        return model

    def sequential() -> keras.Model:
        return keras.Sequential(
            [keras.Input((4,)), Block(name="block"), keras.layers.Dense(3, name="a")]
        )

    def functional() -> keras.Model:
        inputs = keras.Input((6, 8))
        x = keras.layers.Bidirectional(
            keras.layers.GRU(4, return_sequences=True, name="gru"), name="both"
        )(inputs)
        x = keras.layers.MultiHeadAttention(2, 4, name="attention")(x, x)
        x = keras.layers.SpectralNormalization(keras.layers.Dense(4, name="d"), name="normed")(x)
        return keras.Model(inputs, Block(name="block")(x))

    block = ["block.first.bias", "block.first.kernel", "block.scale", "block.second.kernel"]
    for make, wanted in [
        (subclassed, [*block, "inner.last.bias", "inner.last.kernel"]),
        (sequential, ["a.bias", "a.kernel", *block]),
        (functional, None),
    ]:
        one, two = make(), make()
        assert names(one) == names(two) and wanted in (None, names(one))
        for model in (one, two):
            fanin.keras.init_(model, 7, "*=normal:1")
        for a, b in zip(one.trainable_weights, two.trainable_weights, strict=True):
            assert same(a, keras.ops.convert_to_numpy(b)), a.path
    for name in ("both.forward_gru.gru_cell.kernel", "attention.query.kernel", "normed.d.kernel"):
        assert name in names(functional())
    # A part that was built elsewhere, and a model of another's layers.
    inner = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, name="last")], name="inner")
    outer = keras.Sequential([keras.Input((4,)), inner], name="outer")
    assert names(outer) == ["inner.last.bias", "inner.last.kernel"]
    assert names(keras.Model(inner.inputs, inner.outputs)) == ["last.bias", "last.kernel"]
    assert names(inner.layers[0]) == ["bias", "kernel"]
    assert fanin.keras.init_(inner, 7, "x.last.kernel=ones", prefix="x.") is inner
    assert same(inner.layers[0].kernel, np.ones((4, 4), np.float32))


def test_numbers_of_the_session_are_warned_of(recwarn) -> None:
    def make(**names) -> keras.Model:
        layers = [keras.Input((4,)), keras.layers.Dense(3, **names), keras.layers.ReLU()]
        return keras.Sequential(layers)

    keras.utils.clear_session()
    fanin.keras.init_(make(), 7)
    fanin.keras.init_(make(name="dense_7"), 7)
    fanin.keras.init_(make(name="d"), 7)
    assert not [one for one in recwarn if "session" in str(one.message)]
    with pytest.warns(UserWarning, match="layers: got dense_1, numbered by how many"):
        fanin.keras.init_(make(), 7)
    keras.utils.clear_session()
    first = fanin.keras.init_(make(), 7)
    assert same(first.layers[0].kernel, drawn("xavier_uniform", (4, 3), "dense.kernel"))
    assert not [one for one in recwarn if "session" in str(one.message)]


def test_a_rule_says_all_of_what_it_serves() -> None:
    own = fanin.keras.Initializer("he_normal", seed=1, name="x", layout="out_in", fan_in=99)
    layers = [
        keras.Input((9, 8)),
        keras.layers.LSTM(5, return_sequences=True, name="l"),
        keras.layers.Dense(6, name="d", kernel_initializer=own),
    ]
    model = keras.Sequential(layers)
    fanin.keras.init_(model, 7, ["l.lstm_cell.bias=zeros", "d.kernel=he_normal"])
    by_name = {tensor.name: one for one, tensor in fanin.keras._variables(model, "").values()}
    assert same(by_name["l.lstm_cell.bias"], np.zeros(20, np.float32))
    assert same(by_name["d.kernel"], drawn("he_normal", (5, 6), "d.kernel"))
    # A vector that a rule matches and cannot serve starts as the command line starts it.
    fanin.keras.init_(model, 7, "*=he_normal")
    assert same(by_name["l.lstm_cell.bias"], np.zeros(20, np.float32))


def test_bad_input_is_told() -> None:
    with pytest.raises(ValueError, match="unknown initializer"):
        fanin.keras.Initializer("he_normall", seed=1, name="x")
    with pytest.raises(TypeError, match="keyword argument 'foo'"):
        fanin.keras.Initializer("zeros", seed=1, name="x", foo=3)
    with pytest.raises(ValueError, match="fan_in: got -1"):
        fanin.keras.Initializer("zeros", seed=1, name="x", fan_in=-1)
    with pytest.raises(TypeError, match="shape: got \\(None, 4\\)"):
        fanin.keras.Initializer("zeros", seed=1, name="x")((None, 4))
    assert fanin.keras.Initializer("zeros", seed=1, name="x")(5).shape == (5,)
    config = fanin.keras.Initializer("zeros", seed=7, name="x", fan_in=np.int64(3)).get_config()
    assert json.loads(json.dumps(config)) == config
    with pytest.raises(TypeError, match="prefix: got None"):
        built = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
        fanin.keras.init_(built, 1, prefix=None)
    with pytest.raises(TypeError, match="needed an initializer's text"):
        fanin.keras.Initializer(3, seed=1, name="x")
    with pytest.raises(ValueError, match="empty"):
        fanin.keras.Initializer("zeros", seed=1, name="")
    with pytest.raises(TypeError, match="seed"):
        fanin.keras.Initializer("zeros", seed="1", name="x")
    with pytest.raises(ValueError, match="two dimensions"):
        fanin.keras.Initializer("he_normal", seed=1, name="x")((3,))
    with pytest.raises(TypeError, match="needed a keras.Model or a layer"):
        fanin.keras.init_("model", 1)
    with pytest.raises(ValueError, match="not built"):
        fanin.keras.init_(keras.Sequential([keras.layers.Dense(3)]), 1)
    odd = keras.layers.Dense(
        3, kernel_initializer=lambda shape, dtype: keras.ops.ones(shape, dtype), name="odd"
    )
    model = keras.Sequential([keras.Input((2,)), odd], name="n")
    with pytest.raises(ValueError, match="odd.kernel of Dense.*a rule for each"):
        fanin.keras.init_(model, 1)
    fanin.keras.init_(model, 1, "*.kernel=normal:1")
