"""NumPy's arrays: the command line's bits, whole and in parts, and whatever is given wrong."""

from __future__ import annotations

import ast
import hashlib
import inspect
import random
import threading
from pathlib import Path

import numpy as np
import pytest
from conftest import stored

import fanin
from fanin import _catalogue, _fanin

#: An initializer's text, a shape that it serves, and how that is read.
CASES = [
    ("zeros", [5], {}),
    ("constant:0.3", [2, 3], {}),
    ("uniform:0.1", [7, 9], {}),
    ("uniform:-1,2", [7, 9], {}),
    ("normal:0.02", [129, 67], {}),
    ("normal:std=0.5,mean=3", [129, 67], {}),
    ("truncated_normal:1", [129, 67], {}),
    ("xavier_uniform", [24, 16], {"fan_in": 5}),
    ("he_normal:mode=fan_out,nonlinearity=gelu", [8, 4, 3, 3], {"groups": 2}),
    ("he_normal", [3, 3, 4, 8], {"layout": "in_out", "transposed": True}),
    ("torch_default", [40], {"fan_in": 25}),
    ("variance_scaling:2,fan_avg,uniform", [33, 5], {"depth": 24}),
    ("orthogonal:1.5", [48, 20], {}),
    ("orthogonal", [4, 12, 9], {"batch_dims": 1}),
    ("delta_orthogonal", [9, 6, 3, 3], {}),
    ("dirac", [6, 3, 3], {"groups": 2}),
    ("identity", [5, 7], {}),
    ("sparse:0.5", [30, 10], {}),
    ("sinusoidal", [20, 8], {}),
    ("alibi", [12], {}),
    ("dt_bias", [64], {}),
]
DTYPES = {
    "f32": "float32",
    "f64": "float64",
    "f16": "float16",
    "bf16": "bfloat16",
    "f8_e4m3": "float8_e4m3fn",
    "f8_e5m2": "float8_e5m2",
}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lines = ['name = "cases"']
    for at, (init, shape, reading) in enumerate(CASES):
        lines += ["[[tensor]]", f'name = "t.{at}"', f"shape = {shape}", f'init = "{init}"']
        for key, value in reading.items():
            written = f'"{value}"' if isinstance(value, str) else str(value).lower()
            lines.append(f"{key} = {written}")
    path = tmp_path_factory.mktemp("recipe") / "cases.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("short", DTYPES)
def test_arrays_are_the_command_lines(short, recipe, files):
    tensors = stored(files(str(recipe), "--seed", "11", "--dtype", short))
    for at, (init, shape, reading) in enumerate(CASES):
        options = {"seed": 11, "name": f"t.{at}", "dtype": DTYPES[short], **reading}
        array = fanin.init(init, shape, **options)
        assert array.shape == tuple(shape)
        assert array.tobytes() == tensors[f"t.{at}"][2], (init, short)


def test_boxes_are_parts_of_the_whole():
    chance = random.Random(1)
    for at, (init, shape, reading) in enumerate(CASES):
        options = {"seed": 3, "name": f"t.{at}", **reading}
        whole = fanin.init(init, shape, **options)
        for _ in range(8):
            box = [sorted(chance.sample(range(dim + 1), 2)) for dim in shape]
            part = fanin.init(init, shape, box=box, **options)
            want = whole[tuple(slice(*pair) for pair in box)]
            assert part.tobytes() == want.tobytes(), (init, box)
        rows = fanin.init(init, shape, rows=box[0], **options)
        assert rows.tobytes() == whole[slice(*box[0])].tobytes()


def test_a_box_far_into_a_tensor_is_drawn_alone():
    # The whole would have 2^60 bytes.
    shape, box = (1 << 30, 1 << 28), [((1 << 30) - 3, 1 << 30), (5, 12)]
    part = fanin.normal(shape, 2.0, seed=1, name="far", box=box)
    words = [
        fanin.stream(1, "far").words(row * shape[1] + 5, 7) for row in range(box[0][0], box[0][1])
    ]
    # A normal rises with its word.
    order = np.argsort(np.concatenate(words))
    assert (np.diff(part.reshape(-1)[order]) >= 0).all() and part.std() > 0.5


def test_every_initializer_has_a_function():
    for name, aliases, *_ in _fanin.initializers():
        for key in [name, *aliases]:
            assert (key in _catalogue.WITH_DATA) != hasattr(fanin, key), key
    same = {"seed": 7, "name": "w"}
    assert (fanin.he_normal((4, 3), **same) == fanin.init("he_normal", (4, 3), **same)).all()
    assert fanin.kaiming_normal is fanin.he_normal
    named = fanin.he_uniform((4, 3), mode="fan_out", nonlinearity="leaky_relu", slope=0.2, **same)
    text = "he_uniform:mode=fan_out,nonlinearity=leaky_relu,slope=0.2"
    assert (named == fanin.init(text, (4, 3), **same)).all()
    assert (fanin.uniform((4,), 0.5, **same) == fanin.init("uniform:0.5", (4,), **same)).all()
    assert (fanin.uniform((4,), 1, 2, **same) == fanin.init("uniform:1,2", (4,), **same)).all()
    halves = fanin.sinusoidal((4, 6), layout="halves", **same)
    assert (halves == fanin.init("sinusoidal:layout=halves", (4, 6), **same)).all()


def test_the_stubs_are_the_functions():
    tree = ast.parse((Path(fanin.__file__).parent / "__init__.pyi").read_text())
    stubs = {node.name: node.args for node in tree.body if isinstance(node, ast.FunctionDef)}
    for name, function in _catalogue.functions().items():
        parameters = inspect.signature(function).parameters.values()
        either = [own for own in parameters if own.kind is own.POSITIONAL_OR_KEYWORD]
        alone = [own for own in parameters if own.kind is own.KEYWORD_ONLY]
        stub = stubs[name]
        assert [own.arg for own in stub.args] == [own.name for own in either], name
        assert [own.arg for own in stub.kwonlyargs] == [own.name for own in alone], name
        defaults = [own.default for own in either if own.default is not own.empty]
        assert [ast.literal_eval(own) for own in stub.defaults] == defaults, name


def test_words_are_philox():
    # Random123's own answer for a counter and a key of zeros: stream (0, 0).
    words = np.frombuffer(_fanin.words(0, 0, 0, 4), dtype="<u4")
    assert [hex(word) for word in words] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    stream = fanin.stream(7, "abc")
    assert stream.id == int.from_bytes(hashlib.sha256(b"abc").digest()[:8], "little")
    assert (stream[5:9] == stream.words(0, 9)[5:]).all() and stream[8] == stream.words(8, 1)[0]
    assert stream.words((1 << 64) - 2, 2).size == 2 and stream[9:3].size == 0
    with pytest.raises(ValueError, match="2\\^64"):
        stream.words((1 << 64) - 2, 3)


def test_out_is_written_in_place():
    options = {"seed": 7, "name": "w"}
    whole = fanin.normal((6, 8), 1, **options)
    out = np.zeros((6, 8), dtype=np.float32)
    assert fanin.normal((6, 8), 1, out=out, **options) is out and (out == whole).all()
    # Not a dtype of its own: out's.
    double = np.zeros((6, 8))
    assert (fanin.normal((6, 8), 1, out=double, **options) == whole).all()
    for strided in [
        np.zeros((8, 6), dtype=np.float32).T,
        np.zeros((12, 16), dtype=np.float32)[::2, ::-2],
        np.zeros((6, 8), dtype=">f4"),
    ]:
        assert fanin.normal((6, 8), 1, out=strided, **options) is strided
        assert (strided == whole).all()
    part = np.zeros((2, 3), dtype=np.float32)
    fanin.normal((6, 8), 1, box=[(1, 3), (5, 8)], out=part, **options)
    assert (part == whole[1:3, 5:8]).all()
    # Bits, for who has no ml_dtypes.
    bits = fanin.normal((6, 8), 1, dtype="bfloat16", out=np.zeros((6, 8), "u2"), **options)
    assert bits.tobytes() == fanin.normal((6, 8), 1, dtype="bfloat16", **options).tobytes()
    guarded = np.full(50, 7, dtype=np.float32)
    fanin.normal((6, 8), 1, out=guarded[1:49].reshape(6, 8), **options)
    assert guarded[0] == guarded[-1] == 7


def test_dtypes_and_empty_shapes():
    options = {"seed": 7, "name": "w"}
    assert fanin.ones((), dtype=np.int64, **options) == 1
    assert fanin.arange((4,), dtype="int32", **options).tolist() == [0, 1, 2, 3]
    assert fanin.normal((0, 4), 1, **options).shape == (0, 4)
    assert fanin.normal((5, 4), 1, rows=(2, 2), **options).shape == (0, 4)
    assert fanin.normal(5, 1, **options).shape == (5,)
    assert fanin.normal((5,), 1, dtype=np.dtype(">f4"), **options).tobytes() == (
        fanin.normal((5,), 1, **options).tobytes()
    )


WRONG = [
    (ValueError, "name: got an empty one", {"name": ""}),
    (TypeError, "name: got 3", {"name": 3}),
    (ValueError, "seed: got -1", {"seed": -1}),
    (ValueError, "seed: got 18446744073709551616", {"seed": 1 << 64}),
    (TypeError, "seed: got 1.5", {"seed": 1.5}),
    (ValueError, "sizes of at least 0", {"shape": (-1, 4)}),
    (ValueError, "2\\^63 - 1 elements", {"shape": (1 << 62, 4)}),
    (TypeError, "shape: got 'ab'", {"shape": "ab"}),
    (TypeError, "shape: got None", {"shape": None}),
    (ValueError, "unknown initializer `he_norm`", {"text": "he_norm"}),
    (ValueError, "needed two dimensions or more", {"text": "he_normal", "shape": (4,)}),
    (ValueError, "std", {"text": "normal:-1"}),
    (ValueError, "takes forward passes over data", {"text": "lsuv"}),
    (TypeError, "name: got \\[\\]", {"name": []}),
    (ValueError, "name: got.*half of a surrogate pair", {"name": "\ud800"}),
    (ValueError, "init: got.*half of a surrogate pair", {"text": "normal:\ud800"}),
    (TypeError, "dtype: got 'i8'.*needed int8 or int64", {"text": "ones", "dtype": "i8"}),
    (TypeError, "dtype: got 'u8'.*needed uint8 or uint64", {"text": "ones", "dtype": "u8"}),
    (TypeError, "dtype: got 'f16'.*needed float16", {"dtype": "f16"}),
    (TypeError, "dtype: got 'complex64'", {"dtype": "complex64"}),
    (ValueError, "dtype: got i32", {"dtype": "int32"}),
    (ValueError, "unknown layout", {"layout": "oi"}),
    (TypeError, "layout: got 1", {"layout": 1}),
    (ValueError, "groups: got 3", {"text": "he_normal", "groups": 3}),
    (ValueError, "depth", {"depth": 0}),
    (ValueError, "batch_dims", {"text": "he_normal", "batch_dims": 9}),
    (ValueError, "parts", {"text": "he_normal", "parts": [3, 3]}),
    (ValueError, "box of", {"box": [(0, 5), (0, 5)]}),
    (ValueError, "box of", {"box": [(3, 1), (0, 5)]}),
    (ValueError, "box: got", {"box": [(0, 1)]}),
    (TypeError, "box: got 5", {"box": 5}),
    (TypeError, "got both", {"box": [(0, 1), (0, 1)], "rows": (0, 1)}),
    (ValueError, "rows: got a scalar's", {"shape": (), "rows": (0, 1)}),
    (TypeError, "out: got list", {"out": [0.0]}),
    (ValueError, "out: got an array of shape", {"out": np.zeros(3, dtype=np.float32)}),
    (TypeError, "out: got an array of int32", {"out": np.zeros((4, 6), "i4"), "dtype": "float32"}),
    (
        ValueError,
        "out: got an array whose elements share memory",
        {"out": np.lib.stride_tricks.as_strided(np.zeros(64, "f4"), (4, 6), (4, 4))},
    ),
    (ValueError, "read-only", {"out": np.broadcast_to(np.float32(0), (4, 6))}),
    (TypeError, "unexpected keyword argument 'colour', needed layout", {"colour": 3}),
]


@pytest.mark.parametrize("kind, said, given", WRONG)
def test_what_is_wrong_is_said(kind, said, given):
    given = {"text": "normal:1", "shape": (4, 6), "seed": 7, "name": "w", **given}
    with pytest.raises(kind, match=said):
        fanin.init(given.pop("text"), given.pop("shape"), **given)


def test_functions_say_what_they_take():
    with pytest.raises(TypeError, match="std"):
        fanin.normal((3,), seed=1, name="w")
    with pytest.raises(TypeError, match="seed"):
        fanin.normal((3,), 1, name="w")
    with pytest.raises(TypeError, match="std: got"):
        fanin.normal((3,), [1], seed=1, name="w")
    with pytest.raises(ValueError, match="std"):
        fanin.normal((3,), float("nan"), seed=1, name="w")
    whole = fanin.constant((2,), 1 << 60, seed=1, name="w", dtype="uint64")
    assert whole.tolist() == [1 << 60] * 2
    for odd in ((1 << 53) + 1, 1 << 1024):
        with pytest.raises(ValueError, match="value: got.*that a float64 holds"):
            fanin.constant((2,), odd, seed=1, name="w", dtype="uint64")


def test_dtypes_by_names_are_numpys():
    for name in ("f4", "f8", "f2", "i4", "u2", "i2", "<f4", "b1", "d", "half"):
        made = fanin.ones((2,), seed=1, name="w", dtype=name)
        assert made.dtype == np.dtype(name) and (made == 1).all()


def test_streams_are_equal_by_seed_and_name():
    assert fanin.stream(7, "a") == fanin.stream(7, "a") != fanin.stream(7, "b")
    assert len({fanin.stream(7, "a"), fanin.stream(7, "a"), fanin.stream(8, "a")}) == 2
    assert fanin.stream(7, "a") != 7


def test_memory_is_held_while_it_is_written(monkeypatch):
    """Another thread that would give it back is refused; else the interpreter crashes."""
    out, draw = np.zeros(100, np.float32), _fanin.draw

    def drawn_meanwhile(*given, **options) -> None:
        with pytest.raises(ValueError, match="cannot resize"):
            out.resize(10, refcheck=False)
        draw(*given, **options)

    monkeypatch.setattr(_fanin, "draw", drawn_meanwhile)
    fanin.normal((100,), 1, seed=1, name="w", out=out)
    monkeypatch.undo()
    assert (out == fanin.normal((100,), 1, seed=1, name="w")).all()
    out.resize(10, refcheck=False)


def test_no_more_threads_are_started_than_there_are_cores():
    import os
    import subprocess
    import sys

    text = "import fanin; print(fanin.ones((3,), seed=1, name='w'))"
    environment = {**os.environ, "RAYON_NUM_THREADS": "20000"}
    call = [sys.executable, "-c", text]
    subprocess.run(call, env=environment, check=True, timeout=60)


def test_whatever_is_given_nothing_breaks():
    """Some thousand calls at random: an array of the shape asked for, or an error of Python's."""
    chance = random.Random(5)
    texts = [name for name, *_ in _fanin.initializers()]
    odd = [None, -1, 0, 1, 1.5, 1 << 40, 1 << 63, 1 << 64, "", "w", "é\0", "\ud800", [], (2,), {}]
    odd += [True, b"w", float("nan"), object(), np.float32(2), np.int64(3), [[1]], (0, 1 << 70)]
    keys = ["seed", "name", "dtype", "layout", "fan_in", "fan_out", "groups", "transposed"]
    keys += ["batch_dims", "depth", "parts", "rows", "box", "out", "shape", "text"]
    usual = [
        ("dtype", list(DTYPES.values()) + ["int8", "bool", "uint32"]),
        ("layout", ["in_out", "out_in"]),
        ("fan_in", [1, 7]),
        ("groups", [1, 2]),
        ("transposed", [True]),
        ("batch_dims", [1, 2]),
        ("depth", [1, 9]),
        ("parts", [[1, 2], [2, 2, 2]]),
        ("rows", [(0, 1), (1, 1), (1, 9)]),
        ("box", [[(0, 1)] * 2, [(0, 2), (1, 3), (0, 1)], [(1, 0)]]),
        ("out", [np.zeros((2, 3), "f4"), np.zeros((3, 2), "f8").T, np.zeros(4, "u2")]),
    ]
    drawn = 0
    for _ in range(6000):
        init = chance.choice(texts)
        if chance.random() < 0.6:
            init += ":" + ",".join(chance.choices(["0.5", "1", "2", "1e-9", "nan", "relu"], k=2))
        shape = [chance.choice([0, 1, 2, 3, 4, 6, 8]) for _ in range(chance.randrange(5))]
        given = {"text": init, "shape": shape, "seed": chance.randrange(1 << 64), "name": "w"}
        for key, values in usual:
            if chance.random() < 0.15:
                given[key] = chance.choice(values)
        if chance.random() < 0.3:
            given[chance.choice(keys)] = chance.choice(odd)
        try:
            array = fanin.init(given.pop("text"), given.pop("shape"), **given)
        except (TypeError, ValueError, MemoryError):
            continue
        assert isinstance(array, np.ndarray)
        drawn += 1
    assert drawn > 400


def test_other_threads_go_on_meanwhile():
    started, ticks = threading.Event(), [0]

    def draw() -> None:
        started.set()
        fanin.normal((1 << 24,), 1, seed=1, name="w")
        ticks.append(-1)

    thread = threading.Thread(target=draw)
    thread.start()
    started.wait()
    while ticks[-1] != -1:
        ticks[0] += 1
    thread.join()
    assert ticks[0] > 100


def test_a_forked_child_draws(tmp_path):
    """A child has its parent's pool of threads without the threads."""
    import os

    whole = fanin.normal((1 << 18,), 1, seed=1, name="w")
    child = os.fork()
    if child == 0:
        (tmp_path / "drawn").write_bytes(fanin.normal((1 << 18,), 1, seed=1, name="w").tobytes())
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (tmp_path / "drawn").read_bytes() == whole.tobytes()


def test_an_interrupt_ends_a_long_draw():
    import signal
    import time

    # A shell's job in the background is started deaf to it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.3, signal.raise_signal, [signal.SIGINT])
    begun = time.monotonic()
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        fanin.orthogonal((4096, 4096), seed=1, name="w")
    signal.signal(signal.SIGINT, before)
    assert time.monotonic() - begun < 20
