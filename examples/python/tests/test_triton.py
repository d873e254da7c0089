"""The Triton kernel: the CPU engine's bits, on a GPU where there is one, in Python else.

Without a GPU this file runs itself once more in Triton's interpreter, which has to be
chosen before Triton is imported; what a GPU would be given is compiled all the same.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from extras import DISTRIBUTIONS, needed

torch = needed("torch", "torch")
triton = needed("triton", "triton")

import fanin  # noqa: E402
from fanin import _contract  # noqa: E402
from fanin import _triton as engine  # noqa: E402
from fanin._contract import WORDS, Box, Sampler  # noqa: E402

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
runs = pytest.mark.skipif(
    DEVICE.type == "cpu" and not engine.INTERPRETED,
    reason="run by test_in_the_interpreter in a process of its own",
)
compiles = pytest.mark.skipif(engine.INTERPRETED, reason="run by the process that began this one")

#: In the midst of a block; over 2^32 elements; over 2^32 blocks; a whole block.
OFFSETS = [1, (1 << 32) - 48_770, (1 << 34) - 48_771, 1 << 33]
#: Each of 43 cases: 2^22 elements in all, and more.
COUNT = 97_543
DTYPES = ["float32", "bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "float64"]
MEAN = "normal:0.7,0.1"


@compiles
@pytest.mark.skipif(DEVICE.type != "cpu", reason="the GPU runs the kernel itself")
def test_in_the_interpreter() -> None:
    call = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(
        call, env={**os.environ, "TRITON_INTERPRET": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0 and " passed" in done.stdout, done.stdout + done.stderr
    assert "test_in_the_interpreter" not in done.stdout, "nothing was run there"


def sampler(init: str) -> Sampler:
    return WORDS if init == "words" else Sampler(*fanin._fanin.sampler(init, [1]))


def bits(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().contiguous().view(torch.uint8).numpy()


def cpu(init: str, shape: tuple[int, ...], dtype: torch.dtype, box=None) -> torch.Tensor:
    """The CPU engine's numbers, in a tensor."""
    bounds = box or [(0, size) for size in shape]
    out = torch.empty([end - start for start, end in bounds], dtype=dtype)
    fanin._fanin.draw(
        init, shape, 7, "w", _contract.dtype_name(dtype), out.data_ptr(),
        out.numel() * out.element_size(), [start for start, _ in bounds], list(out.shape),
    )  # fmt: skip
    return out


def fill(out: torch.Tensor, init: str, box: Box | None = None, first: int = 0) -> torch.Tensor:
    return engine.fill_(out, 7, _contract.stream_of("w"), sampler(init), box, first)


@runs
@pytest.mark.parametrize("init", DISTRIBUTIONS)
def test_every_dtype_at_odd_offsets_is_the_cpu_engines(init: str) -> None:
    for at, name in enumerate(DTYPES):
        dtype, first = getattr(torch, name), OFFSETS[at % len(OFFSETS)]
        got = fill(torch.empty(COUNT, dtype=dtype, device=DEVICE), init, first=first)
        wanted = cpu(init, (1 << 40,), dtype, [(first, first + COUNT)])
        assert (bits(got) == bits(wanted)).all(), name


@runs
def test_words_far_into_a_stream() -> None:
    for first in (3, (1 << 62) + 1, (1 << 63) - COUNT):
        wanted = fanin.stream(7, "w").words(first, COUNT)
        for dtype in (torch.int32, torch.uint32):
            got = fill(torch.empty(COUNT, dtype=dtype, device=DEVICE), "words", first=first)
            assert (bits(got) == wanted.view(np.uint8)).all()


@runs
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_boxes_are_cut_out_of_the_whole(dtype: torch.dtype) -> None:
    random = np.random.default_rng(3)
    for _ in range(60):
        dims = int(random.integers(1, 7))
        shape = tuple(random.integers(1, 9 if dims > 3 else 40, dims).tolist())
        starts = tuple(int(random.integers(0, size)) for size in shape)
        sizes = tuple(
            int(random.integers(1, size - start + 1)) for size, start in zip(shape, starts)
        )
        box = Box(shape, starts, sizes)
        got = fill(torch.empty(sizes, dtype=dtype, device=DEVICE), MEAN, box)
        ends = [(start, start + size) for start, size in zip(starts, sizes)]
        assert (bits(got) == bits(cpu(MEAN, shape, dtype, ends))).all(), box


@runs
def test_boxes_far_into_a_tensor() -> None:
    shape = (1 << 20, 1 << 17, 12)
    for box in (
        [(1 << 19, (1 << 19) + 40), (99_999, 100_003), (3, 10)],
        [(77, 80), (4, 40), (0, 12)],
        [(12_345, 12_346), (0, 3001), (4, 8)],
    ):
        starts, sizes = zip(*((start, end - start) for start, end in box))
        got = fill(torch.empty(sizes, device=DEVICE), MEAN, Box(shape, starts, sizes))
        assert (bits(got) == bits(cpu(MEAN, shape, torch.float32, box))).all()


@runs
def test_memory_that_is_no_row() -> None:
    wanted = cpu(MEAN, (30, 20), torch.float32)
    guarded = torch.full((20, 60), 5.0, device=DEVICE)
    strided = guarded[:, 10:40].T
    assert fill(strided, MEAN, Box.of((30, 20))) is strided
    assert (bits(strided) == bits(wanted)).all()
    assert (guarded[:, :10] == 5).all() and (guarded[:, 40:] == 5).all()
    # From an address that vectors do not begin at, with a guard on either side.
    flat = torch.full((603,), 5.0, device=DEVICE)
    fill(flat[1:601].view(30, 20), MEAN, Box.of((30, 20)))
    assert (bits(flat[1:601]) == bits(wanted.view(-1))).all()
    assert flat[0] == 5 and (flat[601:] == 5).all()
    weight = torch.nn.Parameter(torch.empty(30, 20, device=DEVICE))
    with torch.no_grad():
        assert (bits(fill(weight, MEAN, Box.of((30, 20)))) == bits(wanted)).all()
    assert fill(torch.empty(0, 4, device=DEVICE), MEAN, Box.of((0, 4))).numel() == 0


@runs
def test_constants_are_pytorchs() -> None:
    for dtype in (torch.float64, torch.int64, torch.bfloat16):
        assert (fill(torch.empty(5, dtype=dtype, device=DEVICE), "ones") == 1).all()
    assert (fill(torch.empty(5, dtype=torch.float64), "constant:0.1") == 0.1).all()


@runs
def test_a_device_that_draws_otherwise_is_refused(monkeypatch) -> None:
    right = engine._table(torch.device(DEVICE))
    wrong = right.clone()
    wrong[700] += 1 << 8
    monkeypatch.setattr(engine, "_table", lambda device: wrong)
    monkeypatch.setattr(engine, "_held", set())
    with pytest.raises(engine.Differs, match=r"\d+ of 8195 normal elements in f32"):
        fill(torch.empty(4, device=DEVICE), "normal:1")
    # And once more, since nothing was drawn.
    with pytest.raises(engine.Differs):
        fill(torch.empty(4, device=DEVICE), "normal:1")
    # What looks nothing up is right still.
    fill(torch.empty(4, device=DEVICE), "uniform:1")
    monkeypatch.setattr(engine, "_table", lambda device: right)
    assert (
        bits(fill(torch.empty(9, device=DEVICE), MEAN)) == bits(cpu(MEAN, (9,), torch.float32))
    ).all()


@runs
def test_bad_input_is_told() -> None:
    out = torch.empty(12, device=DEVICE)
    with pytest.raises(ValueError, match="got 12 elements, needed the 15"):
        fill(out, MEAN, Box.of((5, 3)))
    with pytest.raises(ValueError, match="needed an end within its 4"):
        fill(out, MEAN, Box((4, 4), (2, 0), (3, 4)))
    with pytest.raises(ValueError, match="got u32, needed f32"):
        fill(out.view(torch.int32), MEAN)
    with pytest.raises(ValueError, match="got f32, needed u32"):
        fill(out, "words")
    with pytest.raises(ValueError, match="needed one that holds them"):
        fill(out.half(), "normal:1e30")
    with pytest.raises(TypeError, match="complex64"):
        fill(out.to(torch.complex64), MEAN)


def test_a_triton_that_is_too_old_says_so() -> None:
    for found in ("2.1.0", "2.3.1+git", "1.0"):
        with pytest.raises(ImportError, match=f"got {re.escape(found)}, needed 3.0 or newer"):
            engine._check_version(found)
    for found in ("3.0.0", "3.10.1", "4.0", triton.__version__):
        engine._check_version(found)


FORMS = {"float32": "fp32", "float64": "fp64", "bfloat16": "i16", "float16": "i16"}


def compiled(kind: str, dtype: str, *, shifted: bool, axes: int, aligned: bool) -> str:
    """What a launch compiles to for an NVIDIA card, which need not be there."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    names = engine._kernel.arg_names
    form = _contract.FLOATS.get(_contract.DTYPES[dtype], _contract.Float(0, 0, 0, 0))
    numbers = dict(zip(("BIAS", "FRACTION", "END", "WIDTH"), form))
    constants = {
        "AXES": axes, "ALIGNED": aligned, "KIND": kind, "SHIFTED": shifted, "R": 1, "C": 512,
        **numbers,
    }  # fmt: skip
    types = {"out": "*" + FORMS[dtype], "table": "*i64", "scale": "fp32", "shift": "fp32"}
    types.update({name: "constexpr" for name in constants})
    # As Triton has it where addresses and a run's length are multiples of 16.
    divisible = {(names.index(name),): [["tt.divisibility", 16]] for name in ("out", "run")}
    source = ASTSource(
        engine._kernel,
        {name: types.get(name, "i32") for name in names},
        constexprs={(names.index(name),): value for name, value in constants.items()},
        attrs=divisible,
    )
    # Launches forbid it where there is a shift; what is fused is not to hang on that.
    options = {"num_warps": 4, "enable_fp_fusion": True}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options).asm["ptx"]


@compiles
@pytest.mark.parametrize("kind", ["unit", "symmetric", "normal", "truncated"])
def test_what_cards_are_given_fuses_nothing_that_counts(kind: str) -> None:
    text = compiled(kind, "float32", shifted=True, axes=0, aligned=True)
    assert "mul" in text and not re.search(r"\bfma\.", text)
    # Where there is none it is fused, or the search would find nothing ever.
    assert re.search(r"\bfma\.", compiled(kind, "float32", shifted=False, axes=0, aligned=True))


@compiles
def test_what_cards_are_given_stores_vectors() -> None:
    for dtype in FORMS:
        text = compiled("normal", dtype, shifted=False, axes=0, aligned=True)
        stores = re.findall(r"st\.global\.v(\d)\.b(\d+)", text)
        assert stores and all(int(n) * int(width) == 128 for n, width in stores), dtype


@compiles
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_boxes_compile_for_cards(axes: int) -> None:
    assert "st.global" in compiled("truncated", "float16", shifted=True, axes=axes, aligned=False)
