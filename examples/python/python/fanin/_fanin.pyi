"""The extension: the crate's numbers, into memory that Python owns."""

from collections.abc import Mapping, Sequence
from typing import Any

CONTRACT: int
__version__: str

_Sampler = tuple[str, float, float, int]

def quantile_table() -> bytes: ...
def stream_id(name: str) -> int: ...
def words(seed: int, id: int, first: int, count: int) -> bytes: ...
def check_init(text: str) -> None: ...
def initializers() -> list[tuple[str, list[str], str, str]]: ...
def sampler(
    init: str,
    shape: Sequence[int],
    layout: str | None = None,
    fan_in: int | None = None,
    fan_out: int | None = None,
    groups: int | None = None,
    transposed: bool = False,
    batch_dims: int = 0,
    depth: int | None = None,
) -> _Sampler | None: ...
def draw(
    init: str,
    shape: Sequence[int],
    seed: int,
    name: str,
    dtype: str,
    out_address: int,
    out_len_bytes: int,
    starts: Sequence[int] | None = None,
    sizes: Sequence[int] | None = None,
    layout: str | None = None,
    fan_in: int | None = None,
    fan_out: int | None = None,
    groups: int | None = None,
    transposed: bool = False,
    batch_dims: int = 0,
    depth: int | None = None,
    parts: Sequence[int] | None = None,
) -> None: ...

class Recipe:
    @staticmethod
    def read(model: str) -> Recipe: ...
    @staticmethod
    def of(tensors: Sequence[Mapping[str, Any]]) -> Recipe: ...
    def with_rules(self, rules: Sequence[str]) -> Recipe: ...
    def or_else(self, starts: Sequence[Mapping[str, Any]]) -> Recipe: ...
    def with_dtypes(self, dtypes: Mapping[str, str]) -> Recipe: ...
    def names(self) -> list[str]: ...
    def undecided(self) -> list[str]: ...
    def shape(self, name: str) -> list[int]: ...
    def dtype(self, name: str) -> str: ...
    def written(self, name: str) -> str: ...
    def samplers(
        self, name: str
    ) -> tuple[_Sampler | None, list[tuple[int, int, int, _Sampler | None]]]: ...
    def draw(
        self,
        name: str,
        seed: int,
        dtype: str,
        out_address: int,
        out_len_bytes: int,
        starts: Sequence[int] | None = None,
        sizes: Sequence[int] | None = None,
    ) -> None: ...
