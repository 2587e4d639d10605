"""The finite set of data that a hypothesis is tested on, with named features of a datum.

A datum carries everything: inputs, label, metadata. A feature has a name and one hashable value for each datum; what a
hypothesis says about a node is which of these may not change. Features are named, not lambdas, so that two nodes that
claim the same thing are seen to.
"""

import hashlib
import inspect
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from torch import Tensor

from engines.column import Column, Rows, combined, identities, objects
from engines.errors import InsufficientData, InvalidModel, InvalidSetting, UnknownName
from engines.hypothesis import DATUM


@dataclass(frozen=True, eq=False)
class Classes:
    """A partition of the data: ``of`` numbers each datum's class, from 0; ``count`` is how many there are."""

    of: Rows
    count: int


@dataclass(frozen=True, eq=False)
class Dataset:
    """Data in rows.

    ``columns`` are what the graph's inputs read. ``features`` give each datum's value, or a function that computes all
    of them when first asked. ``weights`` are probabilities (None: all equal; fractions keep everything exact); data of
    weight 0 are never references, but a source may name them. ``subsets`` are named rows, for sources such as
    corrupted inputs. ``show`` is how each datum is written for people. ``slices`` are features by whose values results
    are reported apart when nobody asks for others. Raises ``InvalidModel`` for columns, features or
    weights of unequal length, ``InsufficientData`` for no data.
    """

    name: str
    columns: Mapping[str, Column]
    features: Mapping[str, Sequence[Hashable] | Callable[[], Sequence[Hashable]]]
    weights: Sequence[Fraction | float] | None = None
    subsets: Mapping[str, Sequence[int]] = field(default_factory=dict)
    show: Sequence[str] | None = None
    slices: tuple[str, ...] = ()
    _known: dict[tuple[str, ...], Classes] = field(default_factory=dict, init=False, repr=False)
    _values: dict[str, Sequence[Hashable]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        lengths = {name: len(column) for name, column in self.columns.items()}
        lengths |= {name: len(given) for name, given in self.features.items() if not callable(given)}
        if self.weights is not None:
            lengths["weights"] = len(self.weights)
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise InvalidModel(f"data {self.name!r} have columns of unequal length: {told}; give each datum one value")
        if not self.columns or 0 in lengths.values():
            raise InsufficientData(f"data {self.name!r} are empty; a hypothesis needs data to be tested on")
        if DATUM in self.features:
            raise InvalidModel(f"feature {DATUM!r} is built in: it tells every datum from every other; name yours else")
        if self.weights is not None and (min(self.weights) < 0 or abs(float(sum(self.weights)) - 1) > 1e-9):
            raise InvalidModel(
                f"weights of data {self.name!r} run from {min(self.weights)} and sum to {float(sum(self.weights))}; "
                "give probabilities that sum to 1"
            )

    @staticmethod
    def of(
        name: str,
        rows: Sequence[Mapping[str, Any]],
        features: Mapping[str, Callable[..., Hashable]],
        weights: Sequence[Fraction | float] | None = None,
        subsets: Mapping[str, Sequence[int]] | None = None,
    ) -> "Dataset":
        """Data from one mapping a datum; a feature is a function whose parameters are named as the columns it reads."""
        if not rows:
            raise InsufficientData(f"data {name!r} are empty; a hypothesis needs data to be tested on")
        columns = {column: objects(row[column] for row in rows) for column in rows[0]}
        known = {column: list(values) for column, values in columns.items()}
        known |= {feature: [_called(function, row) for row in rows] for feature, function in features.items()}
        show = [" ".join(f"{key}={value}" for key, value in row.items()) for row in rows]
        return Dataset(name, columns, known, weights, subsets or {}, show)

    @property
    def n(self) -> int:
        """How many data, also those of weight 0."""
        return len(next(iter(self.columns.values())))

    @cached_property
    def probabilities(self) -> np.ndarray:
        """Each datum's probability: a column of fractions, or of floats where the weights are floats."""
        if self.weights is None:
            return objects([Fraction(1, self.n)] * self.n)
        if all(isinstance(weight, (Fraction, int)) for weight in self.weights):
            return objects(Fraction(weight) for weight in self.weights)
        return np.array([float(weight) for weight in self.weights])

    @cached_property
    def shares(self) -> np.ndarray:
        """Each datum's probability as a float."""
        return self.probabilities.astype(float)

    def values(self, feature: str) -> Sequence[Hashable]:
        """Each datum's value of a feature; raises ``UnknownName``."""
        if feature == DATUM:
            return range(self.n)
        if feature not in self.features:
            raise UnknownName(f"feature of {self.name}", feature, (*self.features, DATUM))
        if feature not in self._values:
            given = self.features[feature]
            values = given() if callable(given) else given
            if len(values) != self.n:
                raise InvalidModel(f"feature {feature!r} has {len(values)} values for {self.n} data; give one a datum")
            self._values[feature] = values
        return self._values[feature]

    def classes(self, features: Sequence[str]) -> Classes:
        """The partition by some features together; no feature: all data in one class. Raises ``UnknownName``."""
        key = tuple(sorted(set(features)))
        if key not in self._known:
            if DATUM in key:
                self._known[key] = Classes(np.arange(self.n), self.n)
            else:
                found = np.zeros(self.n, dtype=np.int64)
                for feature in key:
                    found = combined(found, identities(objects(self.values(feature))))
                self._known[key] = Classes(found, int(found.max()) + 1)
        return self._known[key]

    def subset(self, name: str) -> Rows:
        """The rows of a named subset; raises ``UnknownName``, ``InsufficientData`` when it is empty."""
        if name not in self.subsets:
            raise UnknownName(f"subset of {self.name}", name, self.subsets)
        if not len(self.subsets[name]):
            raise InsufficientData(f"subset {name!r} of {self.name} is empty; nothing can be drawn from it")
        return np.asarray(self.subsets[name], dtype=np.int64)

    def row(self, text: str) -> int:
        """The row number that ``text`` writes; raises ``InvalidSetting`` unless there is such a row."""
        if not text.isdigit() or int(text) >= self.n:
            raise InvalidSetting(f"{text!r} is no datum of {self.name}; write a row number from 0 to {self.n - 1}")
        return int(text)

    def digest(self) -> str:
        """A hash of the columns and weights."""
        digest = hashlib.sha256(self.name.encode())
        for name, column in sorted(self.columns.items()):
            digest.update(name.encode())
            digest.update(column.numpy().tobytes() if isinstance(column, Tensor) else repr(list(column)).encode())
        digest.update(repr(self.weights if self.weights is None else list(self.weights)).encode())
        return digest.hexdigest()


def _called(function: Callable[..., Hashable], row: Mapping[str, Any]) -> Hashable:
    return function(**{name: row[name] for name in inspect.signature(function).parameters})
