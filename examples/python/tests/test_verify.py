"""fanin.verify: every engine that is there, and what it says of one that is wrong."""

from __future__ import annotations

import subprocess

import pytest
from extras import needed

needed("jax", "jax")

import fanin  # noqa: E402
from fanin import _verify  # noqa: E402


def test_this_machine_keeps_the_contract() -> None:
    found = fanin.verify()
    assert found["CPU"] == found["NumPy"] == "43 of 43 digests of 65539 elements"
    assert any(engine.startswith("JAX on") for engine in found)


def test_the_digests_are_the_command_lines(command) -> None:
    import hashlib

    call = [command, "sample", "--dist", "normal", "--std", "0.7", "--mean", "0.1", "--seed", "7"]
    call += ["--name", "verify", "--offset", str(_verify.FIRST), "--count", str(_verify.COUNT)]
    raw = [*map(str, call), "--dtype", "f16", "--format", "raw", "--device", "cpu"]
    made = subprocess.run(raw, capture_output=True, check=True).stdout
    assert hashlib.sha256(made).hexdigest().startswith(_verify.DIGESTS["normal:0.7,0.1"]["f16"])


def test_an_engine_that_is_wrong_is_named_with_its_first_wrong_element() -> None:
    def wrong(init, sampler, dtype) -> bytes:
        found = bytearray(_verify._by_extension(init, sampler, dtype))
        if init == "normal:0.02":
            found[4 * 1000] ^= 1
        return bytes(found)

    engine = _verify.Engine("mine", wrong, frozenset(["f32"]))
    with pytest.raises(
        RuntimeError, match=rf"^mine: normal:0.02 in f32: element {_verify.FIRST + 1000} "
    ):
        _verify.hold(engine)
    short = _verify.Engine("mine", lambda *_: b"", frozenset(["u32"]))
    with pytest.raises(RuntimeError, match="got 0 bytes, needed 262156"):
        _verify.hold(short)
