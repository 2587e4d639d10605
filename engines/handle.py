"""Claims about a network: which parts of which vectors carry a variable of the causal model."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from engines.featurize import Featurizer, Whole, swap
from engines.site import Site


@dataclass(frozen=True)
class Part:
    """One swap: the features of a featurizer at a site, in full or, below 1, only a ``strength`` of the way.

        h' = h + strength * (swap(h, source) - h)

    Source: PLOT (arXiv 2605.06979) patches softly, with lambda times a site's weight; that product is the strength.
    """

    site: Site
    featurizer: Featurizer
    strength: float = 1.0

    @property
    def full(self) -> bool:
        """Whether the whole vector is swapped, all of the way."""
        return isinstance(self.featurizer, Whole) and self.strength == 1.0

    def exchange(self, base: Float[Tensor, "*rows width"], source: Float[Tensor, "*rows width"]) -> Tensor:
        """The patched vectors."""
        patched = swap(self.featurizer, base, source)
        return patched if self.strength == 1.0 else base + self.strength * (patched - base)


def full_site(parts: Sequence[Part]) -> Site | None:
    """The one site that a patch swaps in full; None for any other patch."""
    first, *rest = parts
    return first.site if not rest and first.full else None


@dataclass(frozen=True)
class Handle:
    """A claim: these parts, swapped together, carry this variable.

    ``calibration`` is their IIA on calibration pairs, None when the method did not look.
    """

    variable: str
    parts: tuple[Part, ...]
    calibration: float | None

    @property
    def site(self) -> Site:
        """Where the first part is; most claims have one."""
        return self.parts[0].site

    @property
    def featurizer(self) -> Featurizer:
        """What the first part swaps."""
        return self.parts[0].featurizer
