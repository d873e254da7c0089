"""What the tests share: the command line, whose files Python's arrays are held to."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def command() -> Path:
    """The program `fanin`: that of the environment's FANIN, or the crate's, which is built."""
    given = os.environ.get("FANIN")
    if given is None:
        subprocess.run(["cargo", "build", "--release", "--locked"], cwd=ROOT, check=True)
    return Path(given or ROOT / "target/release/fanin")


@pytest.fixture(scope="session")
def files(command: Path, tmp_path_factory: pytest.TempPathFactory):
    """Makes a model's file with `fanin init`, once for all who ask for the same."""
    made: dict[tuple[str, ...], Path] = {}

    def make(*args: str) -> Path:
        if args not in made:
            path = tmp_path_factory.mktemp("files") / "model.safetensors"
            # Written out, so that no default of the program is leaned on.
            call = [command, "init", *args, "--device", "cpu", "--out", path]
            subprocess.run(list(map(str, call)), check=True, capture_output=True)
            made[args] = path
        return made[args]

    return make


def stored(path: Path) -> dict[str, tuple[str, list[int], bytes]]:
    """A safetensors file's tensors: dtype, shape, bytes."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    body = memoryview(data)[8 + length :]
    return {
        name: (own["dtype"], own["shape"], bytes(body[slice(*own["data_offsets"])]))
        for name, own in header.items()
    }
