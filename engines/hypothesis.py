"""Claims about a network: which part of which vector carries a variable of the causal model."""

from dataclasses import dataclass

from engines.featurize import Featurizer
from engines.site import Site


@dataclass(frozen=True)
class Handle:
    """A claim: this featurizer at this site carries this variable; ``calibration`` is its IIA on
    calibration pairs, None when the method did not look."""

    variable: str
    site: Site
    featurizer: Featurizer
    calibration: float | None
