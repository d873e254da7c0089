"""Does this machine keep the contract? Every engine that is there, held to recorded digests."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from . import _contract, _fanin
from ._contract import DTYPES, WORDS, Box, Sampler

SEED, NAME = 7, "verify"
#: From the midst of a block, over the carry from a counter's lower half to its upper one.
FIRST, COUNT = (1 << 34) - 4099, 65539
#: A vector that has those elements.
SHAPE = (1 << 40,)

#: Random123's known answer for the counter and key of zeros.
PHILOX = (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)

#: The beginnings of the SHA-256 of those elements, as ``fanin sample --format raw
#: --seed 7 --name verify --offset 17179865085 --count 65539`` writes them.
DIGESTS = {
    "words": {
        "u32": "8036bd89eca70b177356fcb5aa753a3b",
    },
    "uniform:0,1": {
        "f32": "7ed4641eb4d3c917b13273aca78f6400",
        "bf16": "8ce7a227c9aa25e4a9e4c506d22c9bb2",
        "f16": "d3b44b48f8e7985be4053f441f802f91",
        "f8_e4m3": "978123cdbad3052b354ea7a39b901d14",
        "f8_e5m2": "11127a66b8248306f6b2513574d40402",
        "f64": "d0eeae58097e0413bf63deb1cf89898e",
    },
    "uniform:-0.3,1.1": {
        "f32": "4aa8d7fcd907fb5cbda87e0db9f4d53d",
        "bf16": "da5d0e96ff9bd43c57cf609eff0b3de8",
        "f16": "8cdd0ef754081d7ea01c69946e9d6622",
        "f8_e4m3": "efd4f23468c7b6f618969e7ae5f4f2c4",
        "f8_e5m2": "55c0797ed180d0695eacaa216fc77bbc",
        "f64": "96445e5a449dd92e916e8e262e37fd23",
    },
    "uniform:0.036": {
        "f32": "f1500d3b460b460e68b31257b10dc613",
        "bf16": "ca705e6a3cd5ac4ea9124f6373c2f6d3",
        "f16": "6fc6646aa2cd4526db60ec06cc5306b2",
        "f8_e4m3": "3760969cdb465b6f5f3ab59ced1ce44e",
        "f8_e5m2": "4672354fd084fdae52fab36f9169e567",
        "f64": "984dfd82e1089a8e89a9c354bc8c23cf",
    },
    "normal:0.02": {
        "f32": "8a8ab7929384de5de967362b71dfc476",
        "bf16": "edf1a7c0dfc506eefb4cbf6a5db18511",
        "f16": "b40865dc5a3d786f81288d5e75fa60ec",
        "f8_e4m3": "4010bab862abc972c27135036fda518b",
        "f8_e5m2": "9bb4b6e876902ea3a21fb21c4e4136de",
        "f64": "89229c5b2cbdae1e557c942daa447cd9",
    },
    "normal:0.7,0.1": {
        "f32": "7662f27ce83ecb48e07edf0e66f06afc",
        "bf16": "dada9e707d9999ab98ff7e8bcb063a62",
        "f16": "571a4a33aecb3955ab2c992ca160eada",
        "f8_e4m3": "8315e58d2be6cfbb857d1199de0e7d7a",
        "f8_e5m2": "8884a8290ea491c67b2993e1aa6ebca5",
        "f64": "b1a5bf32aa297cb7fb16eec1a737ff4e",
    },
    "truncated_normal:0.02": {
        "f32": "04f93de123c424288d3ce4a37e2ed98a",
        "bf16": "23b50863e9b2bc39b58606b2fdc3fb52",
        "f16": "91888d64487935c09fd16ec3a701063a",
        "f8_e4m3": "876a7149078c88a66cd9e9c39764877a",
        "f8_e5m2": "cf3df792b4c24a09bf9a8578a1a56671",
        "f64": "ac83a68f37c77162b0cf538236b86bab",
    },
    "truncated_normal:0.3,-0.5,1.25": {
        "f32": "78985c3f94396654e73778a6eba10d48",
        "bf16": "ffbf9bdf7c06cb7ffd6c850bb496e988",
        "f16": "c50717667f5f6763d13785af335fc906",
        "f8_e4m3": "4ace0c5875d67dc57bd221d629e0df67",
        "f8_e5m2": "c52fad49b2eb14c6d1fb1dd718d84a50",
        "f64": "7bd61e6c1c316caf08d88a47c19c255b",
    },
}

#: Draws those elements: an initializer in text, its sampler, a dtype.
Draw = Callable[[str, Sampler, str], bytes]


class Engine(NamedTuple):
    """A way to numbers."""

    name: str
    draw: Draw
    #: Those of the digests' that it has.
    dtypes: frozenset[str]


def verify() -> dict[str, str]:
    """Holds each engine that is there to the contract: the CPU's, JAX's, Triton's.

    Returns:
        What was tried and held, by engine.

    Raises:
        RuntimeError: naming the engine and the first element that is not as it has to be.
    """
    known = tuple(int(word) for word in _contract.words(0, 0, 0, 4))
    if known != PHILOX:
        raise RuntimeError(f"CPU: Philox of zeros: got {known}, needed {PHILOX}")
    return {engine.name: hold(engine) for engine in engines()}


def hold(engine: Engine) -> str:
    """Draws every case of an engine's dtypes, and says how many there were.

    Raises:
        RuntimeError: for the first that is not the recorded one.
    """
    tried = 0
    for init, digests in DIGESTS.items():
        sampler = WORDS if init == "words" else Sampler(*_fanin.sampler(init, [1]))
        for dtype in sorted(digests.keys() & engine.dtypes):
            got = engine.draw(init, sampler, dtype)
            if not _right(got, init, dtype):
                raise RuntimeError(f"{engine.name}: {_first_wrong(init, sampler, dtype, got)}")
            tried += 1
    return f"{tried} of {tried} digests of {COUNT} elements"


def _right(got: bytes, init: str, dtype: str) -> bool:
    return hashlib.sha256(got).hexdigest().startswith(DIGESTS[init][dtype])


def _first_wrong(init: str, sampler: Sampler, dtype: str, got: bytes) -> str:
    stream = _contract.stream_of(NAME)
    held = _contract.values(sampler, dtype, _contract.words(SEED, stream, FIRST, COUNT))
    bits = np.dtype(f"u{held.itemsize}")
    if len(got) != held.nbytes:
        return f"{init} in {dtype}: got {len(got)} bytes, needed {held.nbytes}"
    differ = np.flatnonzero(np.frombuffer(got, bits) != held.view(bits))
    if not len(differ):
        return f"{init} in {dtype}: another digest than recorded, and NumPy's numbers are the same"
    at = int(differ[0])
    return (
        f"{init} in {dtype}: element {FIRST + at} (of {len(differ)} that differ): got bits "
        f"{int(np.frombuffer(got, bits)[at]):#x}, needed {int(held.view(bits)[at]):#x}"
    )


def engines() -> Iterator[Engine]:
    """Those that can run here."""
    every = frozenset(dtype for digests in DIGESTS.values() for dtype in digests)
    yield Engine("CPU", _by_extension, every)
    yield Engine("NumPy", _by_definition, every)
    if importlib.util.find_spec("jax"):
        yield from _jax(every)
    if importlib.util.find_spec("torch") and importlib.util.find_spec("triton"):
        yield from _triton(every)


def _by_extension(init: str, sampler: Sampler, dtype: str) -> bytes:
    if init == "words":
        return _fanin.words(SEED, _contract.stream_of(NAME), FIRST, COUNT)
    width = {"f32": 4, "f64": 8}.get(dtype) or _contract.FLOATS[dtype].width // 8
    out = np.empty(COUNT * width, np.uint8)
    address = out.ctypes.data, out.nbytes
    _fanin.draw(init, SHAPE, SEED, NAME, dtype, *address, [FIRST], [COUNT])
    return out.tobytes()


def _by_definition(init: str, sampler: Sampler, dtype: str) -> bytes:
    words = _contract.words(SEED, _contract.stream_of(NAME), FIRST, COUNT)
    return _contract.values(sampler, dtype, words).tobytes()


def _jax(every: frozenset[str]) -> Iterator[Engine]:
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    from .jax import fill

    box = Box.of(SHAPE, [(FIRST, FIRST + COUNT)])
    full = {short: name for name, short in DTYPES.items()}
    # One program for all devices, each of which draws everything.
    devices = jax.local_devices()
    everywhere = NamedSharding(Mesh(np.array(devices), ("devices",)), PartitionSpec())

    def draw(init: str, sampler: Sampler, dtype: str) -> bytes:
        made = fill(sampler, box, full[dtype], SEED, _contract.stream_of(NAME), everywhere)
        first, *rest = (np.asarray(shard.data).tobytes() for shard in made.addressable_shards)
        # One device that differs from another is wrong, or that one is.
        return next((one for one in rest if not _right(one, init, dtype)), first)

    # JAX has float64 where x64 is enabled alone.
    has = every if jax.config.jax_enable_x64 else every - {"f64"}
    name = f"JAX on {devices[0].device_kind} (devices: {len(devices)})"
    yield Engine(name, draw, has)


def _triton(every: frozenset[str]) -> Iterator[Engine]:
    import torch

    devices = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    names = {device: torch.cuda.get_device_name(device) for device in devices}
    try:
        from . import _triton as engine
    except ImportError:
        # Too old: PyTorch's tensors are drawn by the CPU's engine then.
        return
    if engine.INTERPRETED:
        names = {torch.device("cpu"): "its interpreter"}

    def on(device: torch.device) -> Draw:
        def draw(init: str, sampler: Sampler, dtype: str) -> bytes:
            out = torch.empty(COUNT, dtype=engine.TORCH[dtype], device=device)
            engine.fill_(out, SEED, _contract.stream_of(NAME), sampler, first=FIRST)
            return out.cpu().view(torch.uint8).numpy().tobytes()

        return draw

    for device, name in names.items():
        yield Engine(f"Triton on {name} ({device})", on(device), every)
