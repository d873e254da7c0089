"""JAX: the CPU engine's bits, whatever the sharding, under jit and not."""

from __future__ import annotations

import os

# Before JAX counts its devices.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=8"
)

import pickle
import re

import numpy as np
import pytest
from extras import DISTRIBUTIONS, needed

jax = needed("jax", "jax")
import jax.numpy as jnp  # noqa: E402
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P  # noqa: E402

import fanin  # noqa: E402
import fanin.jax  # noqa: E402
from fanin import _contract  # noqa: E402
from fanin import jax as engine  # noqa: E402

#: In the midst of a block; over 2^32 elements; over 2^32 blocks.
OFFSETS = [1, (1 << 32) - 58_253, (1 << 34) - 58_255]
#: Each of 36 cases: 2^22 elements in all, and more.
COUNT = 116_509
DTYPES = ["float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2"]
#: One number a parameter is not: rounding a product and its sum at once shows in it.
MEAN = "normal:0.7,0.1"


def same(got: object, wanted: np.ndarray) -> bool:
    found = np.asarray(got)
    return (
        found.dtype == wanted.dtype
        and found.shape == wanted.shape
        and found.tobytes() == wanted.tobytes()
    )


def drawn(init: str, shape, **options) -> np.ndarray:
    return fanin.init(init, shape, **{"seed": 7, "name": "w", "layout": "in_out", **options})


def made(init: str, shape, **options):
    return fanin.jax.draw(init, shape, **{"seed": 7, "name": "w", **options})


@pytest.mark.parametrize("init", DISTRIBUTIONS)
def test_every_dtype_at_odd_offsets_is_the_cpu_engines(init: str) -> None:
    for at, dtype in enumerate(DTYPES):
        first = OFFSETS[at % len(OFFSETS)]
        where = {"box": [(first, first + COUNT)], "dtype": dtype}
        assert same(made(init, (1 << 40,), **where), drawn(init, (1 << 40,), **where)), dtype


def test_float64_is_there_where_x64_is() -> None:
    where = {"box": [(5, 5 + COUNT)], "dtype": "float64"}
    with jax.enable_x64(True):
        assert same(made(MEAN, (1 << 40,), **where), drawn(MEAN, (1 << 40,), **where))


def test_words_are_the_streams() -> None:
    box = _contract.Box.of((1 << 62,), [((1 << 61) - 5, (1 << 61) + COUNT)])
    got = engine.fill(_contract.WORDS, box, jnp.uint32, 7, _contract.stream_of("w"))
    assert same(got, fanin.stream(7, "w").words((1 << 61) - 5, COUNT + 5))


def test_a_box_is_cut_out_of_the_whole() -> None:
    whole = drawn(MEAN, (9, 10, 11))
    box = [(2, 9), (0, 7), (3, 11)]
    assert same(made(MEAN, (9, 10, 11), box=box), np.ascontiguousarray(whole[2:, :7, 3:]))


SPECS = [
    P(),
    P("a"),
    P(None, "b"),
    P("a", "b"),
    P(("a", "b")),
    P(None, None, "a"),
    P("b", None, "a"),
]


@pytest.fixture(scope="module")
def mesh():
    assert jax.device_count() == 8
    return jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Auto,) * 2)


@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize("init", ["normal:0.7,0.1", "truncated_normal:0.02", "uniform:0,1"])
def test_each_device_makes_its_own_part(mesh, spec: P, init: str) -> None:
    shape, sharding = (64, 48, 8), NamedSharding(mesh, spec)
    init_fn = fanin.jax.initializer(init, seed=7, name="w")
    make = jax.jit(lambda: init_fn(None, shape, jnp.float32), out_shardings=sharding)
    text = make.lower().compile().as_text()
    assert not re.search("all-gather|all-reduce|all-to-all|collective", text)
    # No device has an array of more elements than are its own (but the quantile's table).
    own = int(np.prod(sharding.shard_shape(shape)))
    sizes = [
        np.prod([int(d) for d in dims.split(",")]) for dims in re.findall(r"\[([\d,]+)\]", text)
    ]
    assert max(sizes) <= max(own, 833)
    wanted = drawn(init, shape)
    for got in (make(), init_fn(None, shape, jnp.float32, sharding)):
        assert got.sharding.is_equivalent_to(sharding, len(shape))
        assert same(got, wanted)


def test_shapes_that_a_mesh_does_not_divide(mesh) -> None:
    shape = (13, 7)
    got = jax.jit(
        lambda: jax.lax.with_sharding_constraint(
            made(MEAN, shape), NamedSharding(mesh, P("a", "b"))
        )
    )()
    assert same(got, drawn(MEAN, shape))


def test_explicit_meshes() -> None:
    mesh = jax.make_mesh((4, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2)
    with jax.set_mesh(mesh):
        for init in (MEAN, "zeros", "orthogonal"):
            wanted = drawn(init, (64, 48))
            for make in (made, jax.jit(made, static_argnums=(0, 1), static_argnames="sharding")):
                got = make(init, (64, 48), sharding=P("b", "a"))
                assert jax.typeof(got).sharding.spec == P("b", "a")
                assert same(got, wanted)


def test_nothing_is_fused_whatever_follows() -> None:
    @jax.jit
    def used():
        w = made(MEAN, (1 << 18,))
        return w, w * 3.0 + 1.0, jnp.tanh(w)

    assert same(used()[0], drawn(MEAN, (1 << 18,)))


def test_products_of_integers_are_f32s_products() -> None:
    random = np.random.default_rng(0)
    whole = random.integers(-(1 << 24) + 1, 1 << 24, 1 << 20, dtype=np.int32)
    whole >>= random.integers(0, 24, whole.shape, dtype=np.int32)
    whole[:4] = [0, 1, -1, (1 << 24) - 1]
    for scale in np.float32([1.0, 0.1, 0.7 * 2**-21, 2**-126, 1.9999999, 3.3e-31, 1e31]):
        got = jax.jit(engine._product)(whole, scale.view(np.uint32))
        assert same(got, (whole.astype(np.float32) * scale).view(np.uint32)), scale
    # Ties, both ways: of 24 bits and 2, odd multiples of half a unit.
    odd = np.arange((1 << 24) - 4095, 1 << 24, 2, dtype=np.int32)
    scale = np.float32(1.5)
    got = jax.jit(engine._product)(odd, scale.view(np.uint32))
    assert same(got, (odd.astype(np.float32) * scale).view(np.uint32))


def test_upper_halves_of_products() -> None:
    random = np.random.default_rng(1)
    a, b = random.integers(0, 1 << 32, (2, 1 << 16), dtype=np.uint32)
    a[:2], b[:2] = 0xFFFFFFFF, [0xFFFFFFFF, 1]
    wanted = (a.astype(np.uint64) * b >> np.uint64(32)).astype(np.uint32)
    for mulhi in (engine._mulhi, engine._mulhi_of_halves):
        assert same(jax.jit(mulhi)(a, b), wanted)
        # Traced in one place and carried out in another.
        traced = jax.make_jaxpr(mulhi)(a, b)
        assert same(jax.core.eval_jaxpr(traced.jaxpr, traced.consts, a, b)[0], wanted)
        assert same(jax.jit(jax.vmap(mulhi))(a, b), wanted)
        assert same(jax.lax.map(lambda pair: mulhi(*pair), (a[:99], b[:99])), wanted[:99])


def test_without_u64_it_is_the_same(monkeypatch) -> None:
    monkeypatch.delattr(jax, "enable_x64")
    jax.clear_caches()
    shape = (1 << 34,)
    box = [((1 << 33) - 501, (1 << 33) + 500)]
    assert same(
        made("truncated_normal:0.02", shape, box=box),
        drawn("truncated_normal:0.02", shape, box=box),
    )
    monkeypatch.undo()
    jax.clear_caches()


def test_the_initializers_signature_is_jaxs_own() -> None:
    own = fanin.jax.initializer("he_normal", seed=7, name="w")
    wanted = drawn("he_normal", (30, 20))
    for key in (None, jax.random.key(0), jax.random.PRNGKey(3)):
        assert same(own(key, (30, 20)), wanted)
        assert same(own(key, (30, 20), jnp.float32), wanted)
    half = fanin.jax.initializer("he_normal", seed=7, name="w", dtype=jnp.bfloat16)
    assert same(half(None, [30, 20]), drawn("he_normal", (30, 20), dtype="bfloat16"))
    # Fans as JAX counts them: a kernel [taps, in, out].
    conv = fanin.jax.initializer("lecun_normal", seed=7, name="w")
    assert same(conv(None, (3, 3, 16, 8)), drawn("normal:" + repr(1 / 12), (3, 3, 16, 8)))


def test_initializers_can_be_pickled_and_vectors_have_one_number() -> None:
    own = fanin.jax.initializer("he_normal", seed=7, name="w", dtype="bfloat16", fan_in=np.int64(9))
    again = pickle.loads(pickle.dumps(own))
    wanted = drawn("he_normal", (30, 20), fan_in=9, dtype="bfloat16")
    assert same(own(None, (30, 20)), wanted) and same(again(key=None, shape=(30, 20)), wanted)
    assert same(again(None, (30, 20), jnp.float32), drawn("he_normal", (30, 20), fan_in=9))
    assert same(made(MEAN, 5), drawn(MEAN, 5))


@pytest.mark.parametrize("init", ["orthogonal", "identity:2", "sinusoidal", "sparse:0.3"])
def test_what_is_drawn_as_a_whole(mesh, init: str) -> None:
    wanted = drawn(init, (64, 32))
    sharding = NamedSharding(mesh, P("a", "b"))
    assert same(made(init, (64, 32)), wanted)
    assert same(jax.jit(lambda: made(init, (64, 32)))(), wanted)
    assert same(jax.jit(lambda: made(init, (64, 32), sharding=sharding))(), wanted)
    got = made(init, (64, 32), sharding=sharding)
    assert got.sharding == sharding and same(got, wanted)


def test_constants_in_every_dtype() -> None:
    for dtype in ["float32", "bfloat16", "float8_e5m2", "int32", "uint8", "bool"]:
        assert same(made("ones", (3, 2), dtype=dtype), drawn("ones", (3, 2), dtype=dtype))
    assert same(made("constant:0.1", (3,)), drawn("constant:0.1", (3,)))


def test_weights_that_are_fused_into_one() -> None:
    parts = {"parts": [10, 20], "layout": "out_in"}
    assert same(made("xavier_normal", (30, 8), **parts), drawn("xavier_normal", (30, 8), **parts))


def test_shapes_without_elements_and_without_dimensions() -> None:
    assert made(MEAN, (0, 4)).shape == (0, 4)
    for init in (MEAN, "constant:0.25"):
        assert same(made(init, ()), drawn(init, ()))


def test_another_seed_or_name_is_another_tensor() -> None:
    base = np.asarray(made(MEAN, (64,)))
    assert not (base == np.asarray(made(MEAN, (64,), seed=8))).any()
    assert not (base == np.asarray(made(MEAN, (64,), name="v"))).any()
    assert not (base == np.asarray(made(MEAN, (64,), seed=7 + (1 << 32)))).any()


def own(init: str, **options):
    return fanin.jax.initializer(init, seed=7, name="w", **options)


WRONG = [
    (TypeError, "name", lambda: made(MEAN, (2,), name=3)),
    (ValueError, "empty", lambda: made(MEAN, (2,), name="")),
    (TypeError, "seed", lambda: made(MEAN, (2,), seed=0.5)),
    (ValueError, "2\\^64", lambda: made(MEAN, (2,), seed=-1)),
    (TypeError, "seed", lambda: fanin.jax.initializer(MEAN, seed="1", name="w")),
    (ValueError, "he_normal", lambda: made("he_normall", (2, 2))),
    (ValueError, "two dimensions", lambda: made("he_normal", (2,))),
    (ValueError, "box", lambda: made(MEAN, (4, 4), box=[(0, 5), (0, 4)])),
    (TypeError, "box", lambda: made(MEAN, (4, 4), box=[1, 2])),
    (ValueError, "i32", lambda: made(MEAN, (4,), dtype="int32")),
    (ValueError, "at most", lambda: made("normal:1e30", (4,), dtype="float16")),
    (TypeError, "complex64", lambda: made(MEAN, (4,), dtype="complex64")),
    (TypeError, "init: got 3", lambda: made(3, (4,))),
    (TypeError, "keyword argument 'fan_inn'", lambda: made(MEAN, (4,), fan_inn=3)),
    (TypeError, "keyword argument 'rows'", lambda: made(MEAN, (4,), rows=(0, 1))),
    (TypeError, "keyword argument 'ranges'", lambda: made(MEAN, (4,), ranges=[])),
    (TypeError, "keyword argument 'out'", lambda: made(MEAN, (4,), out=np.zeros(4))),
    (TypeError, "keyword argument 'foo'", lambda: own(MEAN, foo=3)),
    (ValueError, "unknown initializer", lambda: own("he_normall")),
    (ValueError, "fan_in: got -1", lambda: own(MEAN, fan_in=-1)),
    (TypeError, "fan_in: got 1.5", lambda: made(MEAN, (4,), fan_in=1.5)),
    (TypeError, "parts: got 3", lambda: made(MEAN, (4,), parts=3)),
    (TypeError, "transposed: got 2", lambda: made(MEAN, (4,), transposed=2)),
    (TypeError, "layout: got 1", lambda: made(MEAN, (4,), layout=1)),
    (TypeError, "shape: got 'ab'", lambda: made(MEAN, "ab")),
    (ValueError, "half of a surrogate pair", lambda: made(MEAN, (4,), name="\ud800")),
]


@pytest.mark.parametrize("kind, said, wrong", WRONG)
def test_bad_input_is_told(kind: type[Exception], said: str, wrong) -> None:
    with pytest.raises(kind, match=said):
        wrong()
