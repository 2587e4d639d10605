"""Tensors with named axes, as findings are kept: so that a reader who has only the files knows what each entry is."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from engines.errors import InvalidModel


@dataclass(frozen=True)
class Axis:
    """What an axis counts ("site"), and the name of each entry; ``entries`` is None where they have no names."""

    name: str
    entries: tuple[str, ...] | None

    @staticmethod
    def of(name: str, entries: Iterable[object]) -> "Axis":
        """An axis whose entries are written as text."""
        return Axis(name, tuple(map(str, entries)))


@dataclass(frozen=True, eq=False)
class Table:
    """A tensor with an ``Axis`` for each of its dimensions; raises ``InvalidModel`` when these do not fit."""

    values: Tensor
    axes: tuple[Axis, ...]

    def __post_init__(self) -> None:
        named = [None if axis.entries is None else len(axis.entries) for axis in self.axes]
        sizes = list(self.values.shape)
        fits = len(named) == len(sizes) and all(n in (None, size) for n, size in zip(named, sizes, strict=True))
        if not fits:
            raise InvalidModel(
                f"a table of {sizes} has the axes {[axis.name for axis in self.axes]} of {named} names; "
                "name as many axes as the tensor has, and every entry of an axis or none"
            )
