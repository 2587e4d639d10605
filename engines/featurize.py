"""Featurizers: what part of a vector a handle is about.

A featurizer splits a vector into features and an error, and puts them together again. A swap takes the source's
features and keeps the BASE's error, so that everything outside the features stays as it was:

    swap(base, source) = inverse(f(source), error(base))

Source: the featurizer contract of Mueller et al. (2025), "MIB", section 4; DAS rotations from Geiger et al. (2024),
"Finding Alignments Between Interpretable Causal Variables and Distributed Neural Representations", section 3.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from engines.errors import InvalidModel


@dataclass(frozen=True)
class Whole:
    """Every coordinate is a feature: a full swap."""

    width: int

    @property
    def rank(self) -> int:
        """How many features."""
        return self.width

    def featurize(self, x: Float[Tensor, "*rows width"]) -> tuple[Tensor, Tensor]:
        """All of ``x``, and an error of zero."""
        return x, torch.zeros_like(x)

    def inverse(self, features: Float[Tensor, "*rows width"], error: Float[Tensor, "*rows width"]) -> Tensor:
        """Features plus error."""
        return features + error


@dataclass(frozen=True)
class Coordinates:
    """Some coordinates are the features. An empty tuple is a no-op, never a full swap."""

    width: int
    index: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(set(self.index)) != len(self.index) or any(not 0 <= entry < self.width for entry in self.index):
            raise InvalidModel(
                f"coordinates {self.index} of a vector of {self.width}: each once, from 0 to {self.width - 1}"
            )

    @property
    def rank(self) -> int:
        """How many features."""
        return len(self.index)

    @property
    def _index(self) -> Int[Tensor, " rank"]:
        return torch.tensor(self.index, dtype=torch.int64)

    def featurize(self, x: Float[Tensor, "*rows width"]) -> tuple[Tensor, Tensor]:
        """The coordinates, and ``x`` with zeros there."""
        error = x.clone()
        error[..., self._index] = 0
        return x[..., self._index], error

    def inverse(self, features: Float[Tensor, "*rows rank"], error: Float[Tensor, "*rows width"]) -> Tensor:
        """The error with the features at their coordinates."""
        x = error.clone()
        x[..., self._index] = features
        return x


@dataclass(frozen=True)
class Rotation:
    """Orthonormal directions are the features: a DAS subspace, PCA components, or a compiled truth.

    ``columns`` is [width, rank] with orthonormal columns; raises ``InvalidModel`` when they are not (tolerance 1e-4).
    They follow the device and type of the vectors.
    """

    columns: Float[Tensor, "width rank"]

    def __post_init__(self) -> None:
        gram = self.columns.T @ self.columns
        off = float((gram - torch.eye(self.rank, dtype=gram.dtype)).abs().max()) if self.rank else 0.0
        if not off <= 1e-4:
            raise InvalidModel(
                f"directions are off orthonormal by {off:.1e}; orthonormalise them first (torch.linalg.qr)"
            )

    @property
    def width(self) -> int:
        """Length of the vectors."""
        return self.columns.shape[0]

    @property
    def rank(self) -> int:
        """How many features."""
        return self.columns.shape[1]

    def featurize(self, x: Float[Tensor, "*rows width"]) -> tuple[Tensor, Tensor]:
        """Coordinates along the directions, and what is orthogonal to them."""
        columns = self.columns.to(x)
        features = x @ columns
        return features, x - features @ columns.T

    def inverse(self, features: Float[Tensor, "*rows rank"], error: Float[Tensor, "*rows width"]) -> Tensor:
        """The features along their directions, plus the error."""
        return features @ self.columns.to(error).T + error


@dataclass(frozen=True)
class Mask:
    """Coordinates whose gate is on are the features (DBM at test time); no gate on is a no-op."""

    gates: Bool[Tensor, " width"]

    @property
    def width(self) -> int:
        """Length of the vectors."""
        return self.gates.shape[0]

    @property
    def rank(self) -> int:
        """How many gates are on."""
        return int(self.gates.sum())

    def featurize(self, x: Float[Tensor, "*rows width"]) -> tuple[Tensor, Tensor]:
        """The gated coordinates, and ``x`` with zeros there."""
        gates = self.gates.to(x.device)
        return x[..., gates], x.masked_fill(gates, 0.0)

    def inverse(self, features: Float[Tensor, "*rows rank"], error: Float[Tensor, "*rows width"]) -> Tensor:
        """The error with the features at their gates."""
        x = error.clone()
        x[..., self.gates.to(x.device)] = features
        return x


Featurizer = Whole | Coordinates | Rotation | Mask


def swap(
    featurizer: Featurizer,
    base: Float[Tensor, "*rows width"],
    source: Float[Tensor, "*rows width"],
    index: Sequence[int] | None = None,
) -> Float[Tensor, "*rows width"]:
    """``base`` with the source's features and its own error; ``index`` restricts the features: None all, empty none."""
    features, error = featurizer.featurize(base)
    theirs = featurizer.featurize(source)[0]
    if index is not None:
        chosen = features.clone()
        chosen[..., list(index)] = theirs[..., list(index)]
        theirs = chosen
    return featurizer.inverse(theirs, error)


def basis(directions: Float[Tensor, "width any"], tolerance: float = 1e-8) -> Rotation:
    """A rotation onto the span of ``directions``, by SVD; ``tolerance`` is relative to the largest singular value."""
    left, values, _ = torch.linalg.svd(directions.to(torch.float64), full_matrices=False)
    kept = left[:, values > tolerance * values.max()] if len(values) and values.max() > 0 else left[:, :0]
    return Rotation(kept.to(directions.dtype))
