"""Columns: one value a row, as a tensor (batched networks) or as a NumPy array of Python objects (exact examples).

What causal scrubbing needs of values is little: to take rows, to add, to know which rows are equal. Written here once
for both kinds, so that fractions and activations go through one engine.
"""

from collections.abc import Callable, Iterable, Sequence
from numbers import Number
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from engines.errors import InvalidModel

Column: TypeAlias = np.ndarray | Tensor
"""Rows first. A NumPy column has one axis and holds objects: fractions, tuples, strings."""
Rows: TypeAlias = Int[np.ndarray, " _"]
"""Row numbers, of any count: fields of one dataclass need not agree."""
GRID = 1e-9
"""Floating-point values closer than about this count as equal when equal values are merged."""


def objects(values: Iterable[Any]) -> np.ndarray:
    """A column of Python objects; tuples stay tuples."""
    listed = list(values)
    column = np.empty(len(listed), dtype=object)
    column[:] = [None] * len(listed)
    for row, value in enumerate(listed):
        column[row] = value
    return column


def lift(function: Callable[..., Any]) -> Callable[..., Column]:
    """The function of columns that applies ``function`` to each row's values.

    It raises ``InvalidModel`` for values on which ``function`` is not defined, such as the mean of some symbols.
    """

    def called(values: tuple[Any, ...]) -> Any:
        try:
            return function(*values)
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            given = ", ".join(map(repr, values))
            raise InvalidModel(f"a node's function is not defined on ({given}): {error!r}") from error

    def rowwise(*ports: Column) -> Column:
        return objects(called(values) for values in zip(*ports, strict=True))

    return rowwise


def take(column: Column, rows: Rows) -> Column:
    """These rows, in this order."""
    return column[torch.from_numpy(rows)] if isinstance(column, Tensor) else column[rows]


def stacked(columns: Sequence[Column]) -> Column:
    """The rows of all columns, one after another; raises ``InvalidModel`` when their kinds differ."""
    if len(columns) == 1:
        return columns[0]
    if all(isinstance(column, Tensor) for column in columns):
        return torch.cat([column for column in columns if isinstance(column, Tensor)])
    if any(isinstance(column, Tensor) for column in columns):
        raise InvalidModel("a column of tensors cannot go on with Python objects; give every node values of one kind")
    return np.concatenate([np.asarray(column) for column in columns])


def identities(column: Column) -> Rows:
    """A number for each row, the same for equal values: exactly equal objects, tensors equal to within ``GRID``."""
    if isinstance(column, Tensor):
        flat = column.detach().cpu().reshape(len(column), -1)
        if flat.is_floating_point():
            flat = torch.round(flat.double() / GRID) * GRID + 0.0
        table = np.ascontiguousarray(flat.numpy())
        packed = table.view(np.dtype((np.void, table.dtype.itemsize * table.shape[1]))).reshape(-1)
        return np.unique(packed, return_inverse=True)[1].reshape(-1).astype(np.int64)
    seen: dict[Any, int] = {}
    return np.fromiter((seen.setdefault(value, len(seen)) for value in column), dtype=np.int64, count=len(column))


def combined(first: Rows, second: Rows) -> Rows:
    """A number for each row, the same where both numbers are."""
    pairs = first.astype(np.int64) * (int(second.max(initial=0)) + 1) + second
    return np.unique(pairs, return_inverse=True)[1].reshape(-1).astype(np.int64)


def zeros(column: Column) -> Column:
    """Zero in every row; raises ``InvalidModel`` where the values are no numbers."""
    if isinstance(column, Tensor):
        return torch.zeros_like(column)
    return objects(_number(value) * 0 for value in column)


def mean(column: Column, weights: np.ndarray) -> Column:
    """The weighted mean as a column of one row; raises ``InvalidModel`` where the values are no numbers."""
    if isinstance(column, Tensor):
        if not column.is_floating_point():
            raise InvalidModel(f"values of type {column.dtype} are codes, so that they have no mean; resample instead")
        scale = torch.from_numpy(weights.astype(float)).to(column.dtype)
        return torch.einsum("r,r...->...", scale / scale.sum(), column)[None]
    return objects([sum(weight * _number(value) for weight, value in zip(weights, column, strict=True)) / sum(weights)])


def _number(value: Any) -> Any:
    if not isinstance(value, Number):
        raise InvalidModel(f"{value!r} is no number, so that it has no zero and no mean; resample it instead")
    return value


def scalars(column: Column) -> np.ndarray:
    """One number a row: floats of a tensor, exact objects as they are; raises ``InvalidModel`` for wider tensors."""
    if not isinstance(column, Tensor):
        return column
    if column.numel() != len(column):
        raise InvalidModel(
            f"the output has {tuple(column.shape[1:])} numbers a row; a behaviour is one number: end in a loss"
        )
    return column.detach().reshape(-1).double().cpu().numpy()


def width(column: Column) -> int:
    """Bytes that one row takes, roughly for objects."""
    if isinstance(column, Tensor):
        return max(column.element_size() * (column.numel() // max(len(column), 1)), 1)
    return 64
