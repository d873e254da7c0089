"""fanin beside PyTorch CUDA and cuRAND on a machine with an NVIDIA card, in turns; a few minutes.

    pip install torch cupy-cuda13x safetensors numpy
    cargo build --release
    python3 benches/peers/on_cuda.py                   # all of it
    python3 benches/peers/on_cuda.py fills products    # some: fills, products, units, kernels, step, init
    python3 benches/peers/on_cuda.py --save runs.json  # what was measured, as well
    python3 benches/peers/on_cuda.py --from runs.json  # the table of that, on any machine
    python3 benches/peers/on_cuda.py --dry-run --device cpu   # fanin alone, where there is no card

In each round each has its turn: `fanin bench` on some cases by the device's clock, then the peers on the
same ones by CUDA's. A ratio is theirs over ours within a round, in seconds; the median over the rounds is
printed, and the medians of both.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WIDTHS, BATCH = (784, 512, 512, 10), 256
# Products by matrix units, which `fanin bench` takes where it is told to.
UNITS = "matmul_nt, matrix units"
# The cases of `fanin bench` by their names' parts, and more arguments.
GROUPS = {
    "fills": ["--only", "uniform,normal"],
    "products": ["--only", "matmul_nt"],
    "units": ["--only", "matmul_nt", "--cooperative"],
    "kernels": ["--only", "relu,tanh,gelu,summary,column_sums,layer_norm,cross_entropy,clip,adam"],
    "step": ["--only", "training_step"],
    "init": [],
}


def fail(message):
    sys.exit(f"on_cuda.py: {message}")


def find_driver():
    """Where a container's NVIDIA driver is, if the Vulkan loader does not look there."""
    icd = "/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json"
    if "VK_DRIVER_FILES" not in os.environ and Path(icd).is_file():
        os.environ["VK_DRIVER_FILES"] = icd
    os.environ.setdefault("XDG_RUNTIME_DIR", "/dev/null")


def run_fanin(binary, arguments):
    command = [str(binary), *arguments]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        fail(f"`{' '.join(command)}` ended with {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def check_fanin(binary, device):
    if not Path(binary).is_file():
        fail(f"no fanin at {binary}: `cargo build --release`, or --fanin PATH")
    if device != "vulkan:nvidia":
        return
    adapters = json.loads(run_fanin(binary, ["devices", "--json"]))["adapters"]
    own = [a for a in adapters if a["backend"] == "vulkan" and "nvidia" in a["name"].lower()]
    if not [a for a in own if not a.get("unusable")]:
        fail("fanin sees no NVIDIA card by Vulkan: it needs libvulkan1 and the driver's nvidia_icd.json "
             "(VK_DRIVER_FILES may name it), or --device for another adapter")


def key(row):
    return f"{row['op']} {row['dtype']} {row['size']}"


# --- the peers


class Cuda:
    """PyTorch and cuRAND, by what a row of `fanin bench` asks for."""

    def __init__(self):
        try:
            import torch
        except ImportError:
            fail("no PyTorch here: `pip install torch`, or --dry-run for fanin alone")
        if not torch.cuda.is_available():
            fail("PyTorch sees no NVIDIA card (torch.cuda.is_available() is false); --dry-run for fanin alone")
        try:
            import cupy
        except ImportError:
            fail("no CuPy here, by which cuRAND is called: `pip install cupy-cuda13x` (or 12x), or --dry-run")
        try:
            import safetensors.torch  # noqa: F401, what a script saves by
        except ImportError:
            fail("no safetensors here: `pip install safetensors`, or --dry-run")
        self.torch, self.cupy = torch, cupy
        torch.backends.cuda.matmul.allow_tf32 = False
        self.name = f"{torch.cuda.get_device_name(0)}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}"

    def seconds(self, work, runs=10):
        torch = self.torch
        for _ in range(3):
            work()
        events = [(torch.cuda.Event(True), torch.cuda.Event(True)) for _ in range(runs)]
        torch.cuda.synchronize()
        # The card waits while all is queued, so that launches from Python are in no time.
        torch.cuda._sleep(50_000_000)
        for first, last in events:
            first.record()
            work()
            last.record()
        torch.cuda.synchronize()
        return statistics.median(first.elapsed_time(last) / 1e3 for first, last in events)

    def try_times(self, row):
        """As `times`; a peer that cannot do it is told of, and has no time."""
        try:
            return self.times(row)
        except (RuntimeError, NotImplementedError) as error:
            print(f"{key(row)}: no peer: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
            self.torch.cuda.empty_cache()
            return {}

    def times(self, row):
        """The seconds of each peer that does what the row does."""
        torch, op = self.torch, row["op"]
        dtypes = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
        dtype = dtypes[row["dtype"]]
        found = {}
        if op in ("uniform", "normal", "truncated_normal"):
            out = torch.empty(int(row["size"]), device="cuda", dtype=dtype)
            work = {
                "uniform": lambda: out.uniform_(-0.05, 0.05),
                "normal": lambda: out.normal_(0.0, 0.02),
                "truncated_normal": lambda: torch.nn.init.trunc_normal_(out, std=0.02, a=-0.04, b=0.04),
            }[op]
            found["PyTorch"] = self.seconds(work)
            if row["dtype"] == "f32" and op != "truncated_normal":
                found["cuRAND Philox"] = self.curand(op, out)
        elif op in ("matmul_nt", UNITS):
            m, n, k = (int(size) for size in row["size"].split(" x "))
            a = torch.randn(m, k, device="cuda", dtype=dtype)
            b = torch.randn(n, k, device="cuda", dtype=dtype)
            found["PyTorch (cuBLAS)"] = self.seconds(lambda: a @ b.T)
        elif op == "training_step":
            eager, graph = self.step()
            found["PyTorch, CUDA graph"], found["PyTorch, eager"] = graph, eager
        else:
            work = self.kernel(op, row["size"])
            if work is not None:
                found["PyTorch"] = self.seconds(work)
        torch.cuda.empty_cache()
        return found

    def curand(self, op, out):
        from cupy.cuda import curand

        generator = curand.createGenerator(curand.CURAND_RNG_PSEUDO_PHILOX4_32_10)
        at, count = out.data_ptr(), out.numel()
        # CuPy's calls go to its current stream: PyTorch's, by whose events they are timed.
        with self.cupy.cuda.ExternalStream(self.torch.cuda.current_stream().cuda_stream):
            if op == "normal":
                seconds = self.seconds(lambda: curand.generateNormal(generator, at, count, 0.0, 0.02))
            else:
                seconds = self.seconds(lambda: curand.generateUniform(generator, at, count))
        curand.destroyGenerator(generator)
        return seconds

    def kernel(self, op, size):
        torch = self.torch
        functions = torch.nn.functional
        sizes = [int(part) for part in size.split(" x ")]
        x = torch.randn(*sizes, device="cuda")
        name, _, way = op.rpartition("_")
        if way in ("forward", "backward"):
            f = {"relu": functions.relu, "tanh": torch.tanh, "gelu": functions.gelu}[name]
            if way == "forward":
                return lambda: f(x)
            x.requires_grad_()
            y, above = f(x), torch.randn(*sizes, device="cuda")
            return lambda: torch.autograd.grad(y, x, above, retain_graph=True)
        if op == "summary":
            return lambda: (torch.aminmax(x), torch.std_mean(x))
        if op == "column_sums":
            return lambda: x.sum(0)
        if op == "layer_norm":
            norm = torch.nn.LayerNorm(sizes[1]).cuda()
            return lambda: norm(x)
        if op == "cross_entropy":
            labels = torch.randint(0, sizes[1], (sizes[0],), device="cuda")
            x.requires_grad_()
            return lambda: torch.autograd.grad(functions.cross_entropy(x, labels), x)
        if op == "clip":
            return lambda: torch.linalg.vector_norm(x)
        if op == "adam":
            weight = torch.nn.Parameter(x)
            weight.grad = torch.randn(*sizes, device="cuda")
            optimizer = torch.optim.Adam([weight], fused=True)
            return optimizer.step
        return None

    def step(self):
        """A step of training, as it is written and as a CUDA graph, by the wall's clock."""
        torch = self.torch
        layers = []
        for index, (fan_in, fan_out) in enumerate(zip(WIDTHS, WIDTHS[1:])):
            layers.append(torch.nn.Linear(fan_in, fan_out))
            if index + 2 < len(WIDTHS):
                layers.append(torch.nn.ReLU())
        net = torch.nn.Sequential(*layers).cuda()
        optimizer = torch.optim.Adam(net.parameters(), fused=True, capturable=True)
        x = torch.randn(BATCH, WIDTHS[0], device="cuda")
        labels = torch.randint(0, WIDTHS[-1], (BATCH,), device="cuda")

        def step():
            optimizer.zero_grad(set_to_none=False)
            torch.nn.functional.cross_entropy(net(x), labels).backward()
            optimizer.step()

        def wall(work, count=200):
            for _ in range(10):
                work()
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(count):
                work()
            torch.cuda.synchronize()
            return (time.perf_counter() - start) / count

        eager = wall(step)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        return eager, wall(graph.replay)


def draw_gpt2(document):
    """GPT-2's tensors by PyTorch on the card, saved: what a script of one's own would do."""
    import torch
    from safetensors.torch import save_file

    tensors = {}
    for tensor in json.loads(Path(document).read_text())["tensors"]:
        out = torch.empty(tensor["shape"], device="cuda")
        if tensor["expected_std"]:
            out.normal_(tensor["expected_mean"], tensor["expected_std"])
        else:
            out.fill_(tensor["expected_mean"])
        tensors[tensor["name"]] = out.cpu()
    save_file(tensors, str(Path(document).with_name("theirs.safetensors")))


# --- rounds


def whole_process(command):
    start = time.perf_counter()
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        fail(f"`{' '.join(map(str, command))}` ended with {result.returncode}: {result.stderr.strip()}")
    return time.perf_counter() - start, result.stdout


def init_rows(binary, device, cuda, folder):
    ours, theirs = [], {}
    out = Path(folder) / "ours.safetensors"
    for engine in dict.fromkeys([device, "cpu"]):
        command = [binary, "init", "gpt2", "--seed", "7", "--device", engine, "--force", "--out", str(out)]
        # --json takes a digest of the whole file, which a run of its own is for.
        _, document = whole_process([*command, "--json"])
        seconds, _ = whole_process(command)
        row = {"op": f"init on {engine}", "dtype": "f32", "size": "gpt2", "median_s": seconds}
        row["throughput"], row["unit"] = 124_439_808 / seconds, "elements/s"
        ours.append(row)
        if cuda is not None:
            path = Path(folder) / "gpt2.json"
            path.write_text(document)
            seconds, _ = whole_process([sys.executable, __file__, "--draw-gpt2", str(path)])
            theirs[key(row)] = {"PyTorch, a script": seconds}
    return ours, theirs


def measure(options, cuda):
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            ours, theirs = [], {}
            for group in options.groups:
                print(f"round {number + 1} of {options.rounds}: {group}", file=sys.stderr, flush=True)
                if group == "init":
                    own, other = init_rows(options.fanin, options.device, cuda, folder)
                    ours += own
                    theirs.update(other)
                    continue
                arguments = ["bench", "--device", options.device, "--json", *GROUPS[group]]
                arguments += ["--quick"] if options.quick else ["--seconds", "0.1"]
                document = json.loads(run_fanin(options.fanin, arguments))
                rows = document["rows"]
                if group == "units":
                    # The others are among the products.
                    rows = [{**row, "op": UNITS} for row in rows if row.get("limit") == "matrix_units"]
                ours += rows
                for skipped in document.get("skipped", []):
                    if number == 0:
                        print(f"{key(skipped)} did not run: {skipped['reason']}", file=sys.stderr)
                for row in rows if cuda is not None else []:
                    theirs[key(row)] = cuda.try_times(row)
            rounds.append({"ours": ours, "theirs": theirs})
            # Each round: what comes after may fail.
            if options.save:
                kept = {"device": getattr(cuda, "name", ""), "rounds": rounds}
                Path(options.save).write_text(json.dumps(kept))
    return rounds


# --- the table


def duration(seconds):
    for scale, unit in ((1, "s"), (1e3, "ms"), (1e6, "us")):
        if seconds * scale >= 1 or unit == "us":
            return f"{seconds * scale:.3g} {unit}"


def rate(row, seconds):
    unit = row["unit"].replace("elements", "").replace("steps", "")
    value = row["throughput"] * row["median_s"] / seconds
    for scale, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:.3g} {prefix}{unit}"
    return f"{value:.3g} {unit}"


def table(rounds):
    lines = [("work", "ours", "", "peer", "theirs", "", "ratio")]
    for first in rounds[0]["ours"]:
        name = key(first)
        own = [row["median_s"] for one in rounds for row in one["ours"] if key(row) == name]
        ours = statistics.median(own)
        mine = (name, duration(ours), rate(first, ours))
        peers = [peer for one in rounds for peer in one["theirs"].get(name, {})]
        for peer in dict.fromkeys(peers) or ["-"]:
            pairs = []
            for one in rounds:
                theirs = one["theirs"].get(name, {}).get(peer)
                own = next((row["median_s"] for row in one["ours"] if key(row) == name), None)
                if theirs is not None and own is not None:
                    pairs.append((own, theirs))
            if not pairs:
                lines.append((*mine, peer, "", "", ""))
                continue
            theirs = statistics.median(pair[1] for pair in pairs)
            ratio = statistics.median(pair[1] / pair[0] for pair in pairs)
            lines.append((*mine, peer, duration(theirs), rate(first, theirs), f"{ratio:.2f}"))
            mine = ("", "", "")
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    right = (1, 2, 4, 5, 6)
    cells = (
        [cell.rjust(width) if at in right else cell.ljust(width)
         for at, (cell, width) in enumerate(zip(line, widths))]
        for line in lines
    )
    return "\n".join("  ".join(line).rstrip() for line in cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    parser.add_argument("--fanin", default=str(ROOT / "target/release/fanin"), help="the binary")
    parser.add_argument("--device", default="vulkan:nvidia", help="what fanin draws on")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer cases")
    parser.add_argument("--save", metavar="FILE", help="keep what was measured")
    parser.add_argument("--from", dest="recorded", metavar="FILE", help="the table of what was kept")
    parser.add_argument("--dry-run", action="store_true", help="fanin alone, without its peers")
    parser.add_argument("--draw-gpt2", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.draw_gpt2:
        draw_gpt2(options.draw_gpt2)
        return
    if options.recorded:
        try:
            rounds = json.loads(Path(options.recorded).read_text())["rounds"]
            text = table(rounds)
        except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
            fail(f"{options.recorded} holds nothing that --save wrote ({error!r})")
        print(text)
        return
    unknown = [group for group in options.groups if group not in GROUPS]
    if unknown or options.rounds < 1:
        fail(f"groups are {', '.join(GROUPS)}, rounds at least 1; got {unknown or options.rounds}")
    options.groups = options.groups or list(GROUPS)
    find_driver()
    check_fanin(options.fanin, options.device)
    cuda = None if options.dry_run else Cuda()
    start = time.perf_counter()
    rounds = measure(options, cuda)
    print(cuda.name if cuda else "fanin alone")
    print(f"{options.rounds} rounds in {time.perf_counter() - start:.0f} s\n")
    print(table(rounds))


main()
