"""Rules as users write them, as the extension takes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from . import _fanin
from ._contract import dtype_name

#: ``'*.bias=zeros'``, several of them, pairs, or a mapping, in order.
Rules = str | Iterable[str | tuple[str, str]] | Mapping[str, str]


def written(rules: Rules) -> list[str]:
    """``pattern=initializer``, each.

    Raises:
        TypeError: for what is no rule.
    """
    if isinstance(rules, str):
        return [rules]
    pairs = rules.items() if isinstance(rules, Mapping) else rules
    needed = "needed 'pattern=initializer', such as '*.bias=zeros', or such pairs"
    try:
        found = list(pairs)
    except TypeError:
        raise TypeError(f"rules: got {rules!r}, {needed}") from None
    texts = []
    for rule in found:
        if isinstance(rule, str):
            texts.append(rule)
        elif isinstance(rule, tuple) and len(rule) == 2 and all(isinstance(x, str) for x in rule):
            texts.append("=".join(rule))
        else:
            raise TypeError(f"rules: got {rule!r}, {needed}")
    return texts


def described(
    name: str, shape: Iterable[int], dtype: Any, start: Mapping[str, Any] | None
) -> dict[str, Any]:
    """A tensor as JAX and Keras read it: inputs before outputs, unless its start says otherwise."""
    own = {"name": name, "shape": list(shape), "dtype": dtype_name(dtype), "init": None}
    return {**own, "layout": "in_out", **(start or {})}


def planned(
    tensors: Iterable[dict[str, Any]], rules: list[str], recipe: str | os.PathLike[str] | None
) -> _fanin.Recipe:
    """These tensors, or those of a recipe in their place, and what rules make of them."""
    if recipe is None:
        plan = _fanin.Recipe.of(list(tensors))
    else:
        plan = _fanin.Recipe.read(os.fspath(recipe))
    return plan.with_rules(rules) if rules else plan


def listed(names: list[str]) -> str:
    """The first three, and how many more."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
