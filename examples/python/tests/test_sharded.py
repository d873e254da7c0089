"""Four processes, each of which draws what it has: together they have what one draws."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

WORK = Path(__file__).with_name("sharded.py")
NAMES = re.findall(r"@case\ndef (\w+)", WORK.read_text())


@pytest.fixture(scope="module")
def found(files, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    folder = tmp_path_factory.mktemp("ranks")
    # By number, on this machine alone: a bare system knows no `localhost`.
    own = ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"]
    launch = [sys.executable, "-m", "torch.distributed.run", *own, "--nproc-per-node=4"]
    args = [folder, files("gpt2", "--seed", "7"), files("resnet50", "--seed", "7")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1"}
    environment["GLOO_SOCKET_IFNAME"] = "lo"
    call = list(map(str, [*launch, WORK, *args]))
    done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(4)]


@pytest.mark.parametrize("name", NAMES)
def test_shards_are_parts_of_the_whole(name, found):
    for rank, own in enumerate(found):
        assert own[name] == "held", f"rank {rank}: {own[name]}"
