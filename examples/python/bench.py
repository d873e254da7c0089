"""Seconds beside PyTorch's and JAX's own initializers, in pairs on this CPU: `python bench.py`.

Each pair draws with one and at once with the other, so that what else the machine does
falls on both; shown are medians, and the median of the pairs' quotients.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import torch
from torch import nn

import fanin.jax
import fanin.torch

PAIRS = 15


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def compare(name: str, mine: Callable[[], object], theirs: Callable[[], object]) -> None:
    mine(), theirs()
    pairs = [(seconds(mine), seconds(theirs)) for _ in range(PAIRS)]
    own, other = (1e3 * statistics.median(times) for times in zip(*pairs))
    quotient = statistics.median(b / a for a, b in pairs)
    print(f"{name:44} {own:9.2f} ms {other:9.2f} ms {quotient:6.1f} x")


def beside_torch() -> None:
    fill = fanin.torch.fill_
    print(f"{'':44} {'fanin':>12} {'torch':>12}  on {torch.get_num_threads()} threads")
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.empty(4096, 4096, dtype=dtype)
        named = {"seed": 7, "name": "w"}
        said = f"4096 x 4096 {str(dtype).removeprefix('torch.')}"
        compare(f"normal, {said}", lambda: fill(x, "normal:0.02", **named), lambda: nn.init.normal_(x, std=0.02))
        compare(f"uniform, {said}", lambda: fill(x, "uniform:0.02", **named), lambda: nn.init.uniform_(x, -0.02, 0.02))
        compare(
            f"truncated normal, {said}",
            lambda: fill(x, "truncated_normal:0.02", **named),
            lambda: nn.init.trunc_normal_(x, std=0.02, a=-0.04, b=0.04),
        )
    square = torch.empty(1024, 1024)
    compare(
        "orthogonal, 1024 x 1024 float32",
        lambda: fill(square, "orthogonal", seed=7, name="w"),
        lambda: nn.init.orthogonal_(square),
    )
    encoder = nn.TransformerEncoderLayer(768, 12, 3072)

    def reset() -> None:
        for module in encoder.modules():
            for method in ("reset_parameters", "_reset_parameters"):
                getattr(module, method, lambda: None)()

    compare("nn.TransformerEncoderLayer(768, 12, 3072)", lambda: fanin.torch.init_(encoder, 7), reset)


def beside_jax() -> None:
    """Both compiled, on the devices that JAX finds here."""
    print(f"{'':44} {'fanin':>12} {'jax':>12}  on {jax.devices()[0].device_kind}")
    shape, key = (4096, 4096), jax.random.key(7)
    own = jax.nn.initializers
    pairs = {
        "normal": ("normal:0.02", own.normal(0.02)),
        "uniform": ("xavier_uniform", own.xavier_uniform()),
        "truncated normal": ("he_truncated_normal", own.he_normal()),
    }
    for dtype in (jnp.float32, jnp.bfloat16):
        for name, (init, other) in pairs.items():
            drawn = fanin.jax.initializer(init, seed=7, name="w")
            mine = jax.jit(lambda key, drawn=drawn, dtype=dtype: drawn(key, shape, dtype))
            theirs = jax.jit(lambda key, other=other, dtype=dtype: other(key, shape, dtype))
            compare(
                f"{name}, 4096 x 4096 {jnp.dtype(dtype)}",
                lambda mine=mine: mine(key).block_until_ready(),
                lambda theirs=theirs: theirs(key).block_until_ready(),
            )


if __name__ == "__main__":
    beside_torch()
    beside_jax()
