"""Packages that some tests need beside NumPy: where one is missing, its tests fail."""

from __future__ import annotations

import importlib
from types import ModuleType

#: A uniform, a normal, a truncated normal, each about 0 and not; all scales of 24 bits.
DISTRIBUTIONS = [
    "uniform:0,1",
    "uniform:-0.3,1.1",
    "uniform:0.036",
    "normal:0.02",
    "normal:0.7,0.1",
    "truncated_normal:0.02",
    "truncated_normal:0.3,-0.5,1.25",
]


def needed(module: str, extra: str) -> ModuleType:
    """The module, or what to do about it.

    A test that is skipped for want of a package hides that nothing was tried, so there
    are none: install the extra, or leave the file out.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(
            f"these tests need {module} ({error}): pip install 'fanin[{extra}]', or leave them "
            f"out: pytest --ignore=tests/test_{extra}.py"
        ) from error
