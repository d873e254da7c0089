"""What PyTorch predicts with a network that fanin trained: what `pytorch.json` beside this holds.

    pip install torch safetensors
    cargo build --release
    python tests/predict/pytorch.py target/release/fanin > tests/predict/pytorch.json

The lines that load the file are those of the documentation, `src/model/checkpoint.md`, as they stand there.
Training is exact, so that its weights are the same wherever the comparison runs; the table has their digest.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import torch


def houses():
    """Area, rooms, year and price of 200 houses."""
    table = []
    for row in range(200):
        area, rooms, year = 40 + row * 37 % 160, 1 + row * 11 % 7, 1900 + row * 53 % 120
        price = 1500 * area + 20000 * rooms + area * rooms * 40 + 300 * (year - 1900)
        table.append((area, rooms, year, price))
    return table


def main(program):
    root = pathlib.Path(__file__).parent.parent.parent
    page = (root / "src/model/checkpoint.md").read_text()
    lines = re.search(r"```python\n(.*?)```", page, re.S).group(1)
    with tempfile.TemporaryDirectory() as folder:
        csv, path = f"{folder}/houses.csv", f"{folder}/houses.safetensors"
        text = [",".join(map(str, row)) for row in houses()]
        pathlib.Path(csv).write_text("\n".join(["area,rooms,year,price", *text, ""]))
        train = [program, "train", "--device", "cpu", "--json", "--data", csv, "--target", "price"]
        train += ["--hidden", "16", "--epochs", "40", "--lr", "0.01", "--exact=24", "--out", path]
        run = subprocess.run(train, check=True, capture_output=True, text=True)
        rows = torch.tensor([row[:3] for row in houses()], dtype=torch.float64)
        names = {"path": path, "rows": rows}
        exec(lines, names)
    table = {
        "pytorch": torch.__version__.split("+")[0],
        "digest": json.loads(run.stdout)["runs"][0]["digest"],
        "predictions": [round(value, 3) for value in names["predictions"].flatten().tolist()],
    }
    print(json.dumps(table))


main(sys.argv[1])
