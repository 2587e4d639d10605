"""Problems that cost nothing to build."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Pairs:
    """As much of pairs as a result records."""

    n: int = 10
    digest: str = "0123456789abcdef"
    labels_digest: str = "fedcba9876543210"


@dataclass(frozen=True)
class Toy:
    """As much of a problem as the method of the fakes asks for."""

    seed: int
    fit: Pairs = field(default_factory=Pairs)
    calibration: Pairs = field(default_factory=Pairs)
    test: Pairs = field(default_factory=Pairs)


def network(program: str, rung: str) -> str:
    """A network in place of the bridge's."""
    return f"{program}/{rung}"


def toy(network: str, variable: str, seed: int, *, regime: str) -> Toy:  # noqa: ARG001 - the bridge's signature
    """A problem in place of the bridge's."""
    return Toy(seed)
