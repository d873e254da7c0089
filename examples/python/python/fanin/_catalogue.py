"""A function for each initializer of the command line, made from its list."""

from __future__ import annotations

import inspect
import numbers
import re
from collections.abc import Callable
from typing import Any

from . import _fanin
from ._arrays import draw

_KEYWORD = inspect.Parameter.KEYWORD_ONLY
_EITHER = inspect.Parameter.POSITIONAL_OR_KEYWORD

#: What every function takes beside the initializer's own parameters.
COMMON = inspect.signature(
    lambda *, seed, name, dtype=None, layout="out_in", fan_in=None, fan_out=None, groups=1,
    transposed=False, batch_dims=0, depth=None, parts=None, rows=None, box=None, out=None: None
).parameters

#: These ask for data, which an array by itself has none of.
WITH_DATA = {"lsuv"}


def functions() -> dict[str, Callable[..., Any]]:
    """The functions by their names, other frameworks' names for the same among them."""
    found: dict[str, Callable[..., Any]] = {}
    for name, aliases, parameters, formula in _fanin.initializers():
        if name not in WITH_DATA:
            made = _function(name, _own(parameters), formula)
            found.update({key: made for key in [name, *aliases]})
    return found


def _own(parameters: str) -> dict[str, Any]:
    """The parameters of ``"std, mean=0"`` with their defaults; what may be left out has None."""
    found: dict[str, Any] = {}
    for written in re.sub(r",\s*(?=[^()]*\))", " ", parameters).split(","):
        bare = re.sub(r"\(.*\)", "", written).strip()
        key, given, default = bare.partition("=")
        if not key:
            continue
        if not given:
            found[key] = None if "(" in written else inspect.Parameter.empty
        elif default == "none":
            found[key] = None
        else:
            try:
                found[key] = int(default) if default.lstrip("-").isdigit() else float(default)
            except ValueError:
                found[key] = default
    return found


def _function(init: str, own: dict[str, Any], formula: str) -> Callable[..., Any]:
    shape = inspect.Parameter("shape", _EITHER)
    parameters = [inspect.Parameter(key, _EITHER, default=own[key]) for key in own]
    # A table's own layout is none of a matrix's.
    common = [parameter for key, parameter in COMMON.items() if key not in own]
    signature = inspect.Signature([shape, *parameters, *common])

    def function(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        values = {key: given.pop(key) for key in own}
        # A default may be of what the others leave nothing to: leaky_relu's slope.
        values = {key: value for key, value in values.items() if not _is(value, own[key])}
        return draw(text(init, values), given.pop("shape"), **given)

    function.__name__ = function.__qualname__ = init
    function.__module__ = "fanin"
    function.__doc__ = f"{formula}\n\n    See :func:`fanin.init` for what all initializers take.\n    "
    function.__signature__ = signature  # type: ignore[attr-defined]
    return function


def _is(value: Any, default: Any) -> bool:
    return type(value) is type(default) and value == default


def text(init: str, values: dict[str, Any]) -> str:
    """``normal:std=0.02,mean=0``: an initializer as recipes and the command line write it.

    Raises:
        TypeError: for a parameter that is neither a number nor a word.
    """
    written = []
    for key, value in values.items():
        if value is None:
            continue
        if isinstance(value, str):
            if "," in value or "=" in value:
                raise ValueError(f"{init}: {key}: got {value!r}, needed one name")
        elif isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise TypeError(f"{init}: {key}: got {value!r}, needed a number or a name")
        elif isinstance(value, numbers.Integral):
            value = int(value)
            # The crate computes with f64s, which would silently be another number.
            if value.bit_length() > 1023 or int(float(value)) != value:
                needed = "a number that a float64 holds"
                raise ValueError(f"{init}: {key}: got {value}, needed {needed}")
        else:
            value = repr(float(value))
        written.append(f"{key}={value}")
    return f"{init}:{','.join(written)}" if written else init
