"""Rules as users write them, as the extension takes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from . import _fanin
from ._contract import unicode

#: ``'*.bias=zeros'``, several of them, pairs, or a mapping, in order.
Rules = str | Iterable[str | tuple[str, str]] | Mapping[str, str]


def written(rules: Rules) -> list[str]:
    """``pattern=initializer``, each.

    Raises:
        TypeError, ValueError: for what is no rule.
    """
    if isinstance(rules, str):
        rules = [rules]
    pairs = rules.items() if isinstance(rules, Mapping) else rules
    needed = "needed 'pattern=initializer', such as '*.bias=zeros', or such pairs"
    try:
        found = list(pairs)
    except TypeError:
        raise TypeError(f"rules: got {rules!r}, {needed}") from None
    texts = []
    for rule in found:
        if isinstance(rule, str):
            texts.append(unicode("rules", rule))
        elif isinstance(rule, tuple) and len(rule) == 2 and all(isinstance(x, str) for x in rule):
            if "=" in rule[0]:
                without = rule[0].replace("=", "?")
                raise ValueError(
                    f"rules: got the pattern {rule[0]!r}, which would end at its `=`; needed one "
                    f"without, such as {without!r}"
                )
            texts.append(unicode("rules", "=".join(rule)))
        else:
            raise TypeError(f"rules: got {rule!r}, {needed}")
    return texts


def checked_prefix(prefix: Any) -> str:
    """What stands before names.

    Raises:
        TypeError: for what is no text.
    """
    if not isinstance(prefix, str):
        raise TypeError(f"prefix: got {prefix!r}, needed a str, such as 'decoder.'")
    return prefix


#: What a tensor is drawn from, as the extension takes it: ``init`` and whatever goes with it.
Start = dict[str, Any]


@dataclass
class Tensor:
    """A parameter, before rules have it."""

    name: str
    shape: tuple[int, ...]
    #: ``f32``.
    dtype: str
    #: What its module starts it from, where no rule does; None where nobody knows.
    start: Start | None
    #: Whose it is, for messages.
    owner: str
    #: How its shape is read whoever starts it: ``layout``, ``batch_dims``.
    reading: dict[str, Any] = field(default_factory=dict)

    def described(self, start: Start | None) -> dict[str, Any]:
        """As the extension takes it, with this start."""
        own = {"name": self.name, "shape": list(self.shape), "dtype": self.dtype, "init": None}
        return {**own, **self.reading, **(start or {})}

    def usual(self) -> Start | None:
        """What the command line starts vectors from that the rules that match them cannot serve."""
        ends = [end for end in _USUAL if self.name.endswith(end) and len(self.shape) < 2]
        return {"init": _USUAL[ends[0]]} if ends else None


_USUAL = {
    **dict.fromkeys(["num_batches_tracked", "running_mean", "bias", "beta"], "zeros"),
    **dict.fromkeys(["running_var", "weight", "gamma", "scale"], "ones"),
}


def planned(
    tensors: Sequence[Tensor],
    rules: list[str],
    recipe: str | os.PathLike[str] | None,
    modules: str,
    ties: Sequence[tuple[str, str]] = (),
) -> _fanin.Recipe:
    """What each of these tensors, or of a recipe's in their place, is drawn from.

    The first rule that serves a tensor says all of it: nothing of its module's own start goes
    into it. What rules match and none serves starts as the command line has it, where it has a
    start for it; all else starts as ``modules`` do. ``ties`` are other names that tensors have,
    each with the one that it is drawn by.

    Raises:
        ValueError: for rules that match nothing or do not fit, and tensors without a start.
    """
    try:
        return _planned(tensors, rules, recipe, modules)
    except ValueError:
        _check_ties(tensors, rules, ties)
        raise


def _check_ties(
    tensors: Sequence[Tensor], rules: list[str], ties: Sequence[tuple[str, str]]
) -> None:
    """Whether a rule that matches no tensor matches another name of one."""
    of = {tensor.name: tensor for tensor in tensors}

    def matches(rule: str, names: Iterable[Tensor]) -> bool:
        try:
            _fanin.Recipe.of([own.described(None) for own in names]).with_rules([rule])
        except ValueError:
            return False
        return True

    for rule in rules if ties else []:
        if matches(rule, tensors):
            continue
        for name, first in ties:
            if first in of and matches(rule, [replace(of[first], name=name)]):
                raise ValueError(
                    f"rule `{rule}`: got one for {name}, which is tied to {first}; needed it for "
                    f"{first}, by whose name both are drawn"
                )


def _planned(
    tensors: Sequence[Tensor],
    rules: list[str],
    recipe: str | os.PathLike[str] | None,
    modules: str,
) -> _fanin.Recipe:
    if recipe is not None:
        if not isinstance(recipe, (str, os.PathLike)):
            raise TypeError(f"recipe: got {type(recipe).__name__}, needed a name or a path")
        plan = _fanin.Recipe.read(os.fspath(recipe))
        return plan.with_rules(rules) if rules else plan
    if not tensors:
        if rules:
            given = f"got `{rules[0]}` for a module without parameters"
            raise ValueError(f"rules: {given}, needed none")
        nothing = Tensor("nothing", (1,), "f32", {"init": "zeros"}, "")
        return _fanin.Recipe.of([nothing.described(nothing.start)])
    bare = _fanin.Recipe.of([tensor.described(None) for tensor in tensors])
    plan = bare.with_rules(rules) if rules else bare
    undecided = set(plan.undecided())
    passed = undecided & _matched(bare, rules) if undecided else set()
    starts = []
    for tensor in tensors:
        if tensor.name in undecided:
            start = (tensor.usual() if tensor.name in passed else None) or tensor.start
            starts += [tensor.described(start)] if start else []
    plan = plan.or_else(starts)
    if undecided := plan.undecided():
        of = {tensor.name: tensor for tensor in tensors}
        said = listed([f"{name} of {of[name].owner}" for name in undecided])
        if odd := next((of[name] for name in undecided if name in passed), None):
            said += f" (no rule that matches {odd.name} serves {list(odd.shape)} of {odd.dtype})"
        raise ValueError(
            f"parameters: got {said}, which no rule serves and none of {modules} starts; needed a "
            f"rule for each, such as '{undecided[0]}=ones', or a recipe"
        )
    return plan


def _matched(bare: _fanin.Recipe, rules: list[str]) -> set[str]:
    """The names that rules for whole tensors match, whether or not they can serve them."""
    probes = []
    for rule in rules:
        pattern, _, rest = rule.partition("=")
        keys = rest.split()
        if not any(key.startswith("rows=") for key in keys):
            kept = [key for key in keys if key.startswith(("dims=", "shape="))]
            # Zeros serve whatever they match.
            probes.append(" ".join([f"{pattern}=zeros", *kept]))
    undecided = bare.with_rules(probes).undecided() if probes else bare.undecided()
    return set(bare.names()).difference(undecided)


def listed(names: list[str]) -> str:
    """The first three, and how many more."""
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
