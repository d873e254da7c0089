"""The same work in PyTorch, NumPy and JAX, asked for a line at a time.

Reads `library op`, does the op once, and answers with the seconds it took; `-` where the library is
not installed or has no such thing. The Rust side asks in turn with its own work.
"""

import sys
import tempfile
import time
from pathlib import Path

COUNT = 1 << 24
SIZE = 1024
BATCH, WIDTHS, STEPS = 256, (784, 512, 512, 10), 16


def torch_ops():
    import torch

    torch.manual_seed(0)
    out = torch.empty(COUNT)
    a, b = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
    product = torch.empty(SIZE, SIZE)
    layers = []
    for index, (fan_in, fan_out) in enumerate(zip(WIDTHS, WIDTHS[1:])):
        layers.append(torch.nn.Linear(fan_in, fan_out))
        if index + 2 < len(WIDTHS):
            layers.append(torch.nn.ReLU())
    net = torch.nn.Sequential(*layers)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    inputs, labels = torch.randn(BATCH, WIDTHS[0]), torch.randint(0, 10, (BATCH,))
    loss = torch.nn.CrossEntropyLoss()

    def step():
        for _ in range(STEPS):
            optimizer.zero_grad(set_to_none=True)
            loss(net(inputs), labels).backward()
            optimizer.step()

    return {
        "normal": lambda: out.normal_(0.0, 0.02),
        "uniform": lambda: out.uniform_(-0.05, 0.05),
        "truncated_normal": lambda: torch.nn.init.trunc_normal_(out, std=0.02, a=-0.04, b=0.04),
        "matmul": lambda: torch.mm(a, b, out=product),
        "training_step": step,
    }


def numpy_ops():
    import numpy

    philox = numpy.random.Generator(numpy.random.Philox(0))
    out = numpy.empty(COUNT, dtype=numpy.float32)
    a = philox.standard_normal((SIZE, SIZE), dtype=numpy.float32)
    product = numpy.empty_like(a)
    return {
        "normal": lambda: philox.standard_normal(out=out, dtype=numpy.float32),
        "uniform": lambda: philox.random(out=out, dtype=numpy.float32),
        "matmul": lambda: numpy.matmul(a, a, out=product),
    }


def jax_ops():
    import jax
    import jax.numpy as jnp

    key = jax.random.key(0)
    shape = (COUNT,)
    normal = jax.jit(lambda key: 0.02 * jax.random.normal(key, shape))
    uniform = jax.jit(lambda key: jax.random.uniform(key, shape, minval=-0.05, maxval=0.05))
    truncated = jax.jit(lambda key: 0.02 * jax.random.truncated_normal(key, -2, 2, shape))
    a = jax.random.normal(key, (SIZE, SIZE))
    product = jax.jit(lambda a: jnp.matmul(a, a))
    return {
        "normal": lambda: normal(key).block_until_ready(),
        "uniform": lambda: uniform(key).block_until_ready(),
        "truncated_normal": lambda: truncated(key).block_until_ready(),
        "matmul": lambda: product(a).block_until_ready(),
    }


def gpt2(shapes):
    """Draws GPT-2's tensors as its authors do and saves them, as a script of one's own would."""
    import json

    import torch
    from safetensors.torch import save_file

    tensors = {}
    for name, shape, init, value in json.loads(Path(shapes).read_text()):
        tensor = torch.empty(shape)
        if init == "normal":
            tensor.normal_(0.0, value)
        else:
            tensor.fill_(value)
        tensors[name] = tensor
    with tempfile.TemporaryDirectory() as folder:
        save_file(tensors, str(Path(folder) / "model.safetensors"))


def main():
    if len(sys.argv) > 1:
        gpt2(sys.argv[1])
        return
    made = {}
    for line in sys.stdin:
        library, op = line.split()
        if library not in made:
            try:
                made[library] = {"torch": torch_ops, "numpy": numpy_ops, "jax": jax_ops}[library]()
            except ImportError:
                made[library] = {}
        work = made[library].get(op)
        if work is None:
            print("-", flush=True)
            continue
        start = time.perf_counter()
        work()
        print(time.perf_counter() - start, flush=True)


main()
