"""Counts pieces of work, so that sessions can be watched, stopped, killed and resumed."""

import time
from dataclasses import dataclass, field

import torch

from engines.errors import InsufficientData, InvalidSetting
from engines.events import Advance, Measured, Notice, Piece, Pieces, Stage, Steps, Trained
from engines.featurize import Rotation
from engines.handle import Handle, Part
from engines.score import Controls, Cost, Fit, Quality, wilson
from engines.site import Site
from engines.table import Axis, Table
from engines.task import Problem


@dataclass(frozen=True)
class Inner:
    """Settings of a part."""

    sizes: tuple[int, ...] = (1, 2)
    rate: float = 0.5


@dataclass(frozen=True)
class Count:
    """Count pieces. Slowly, if asked."""

    pieces: int = 4
    """How many pieces of work."""
    pause: float = 0.0
    """Seconds that each piece takes."""
    trouble: str = "none"
    part: Inner = field(default_factory=lambda: Inner(rate=0.25))

    def __post_init__(self) -> None:
        if self.pieces < 0:
            raise InvalidSetting(f"pieces is {self.pieces}: give 0 or more")

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Draw one number a piece, and claim their mean."""
        drawn = []
        yield Stage("count", self.pieces, "pieces")
        for index in range(self.pieces):
            key = f"count {problem.seed} {index}"
            if key not in finished:
                time.sleep(self.pause)
                value = torch.rand(3, generator=torch.Generator().manual_seed(1000 * problem.seed + index))
                yield Piece(key, {"value": value})
            else:
                value = finished[key]["value"]
            drawn.append(value)
            yield Advance(index + 1)
            if index == 1 and self.trouble == "data":
                raise InsufficientData("too few pairs; draw more")
            if index == 1 and self.trouble == "defect":
                raise ZeroDivisionError("a defect")
        yield Trained("toy", 1, float("nan"))
        yield Measured("L0.mlp_out@last", "iia", 0.5, 10)
        yield Notice("counted")
        return self._claim(torch.stack(drawn))

    def _claim(self, drawn: torch.Tensor) -> Fit:
        mean = float("nan") if self.trouble == "nan" else float(drawn.mean())
        handle = Handle("left", (Part(Site.parse("L0.mlp_out@last"), Rotation(torch.eye(3)[:, :1])),), mean)
        good, bad = Quality(wilson(9, 10), None), Quality(wilson(0, 10), wilson(10, 10))
        controls = Controls(no_op=bad, full_swap=good, random_site=bad, chance=None)
        axes = Axis("piece", None), Axis.of("number", "abc")
        return Fit("left", (handle,), good, controls, Cost(7, 8, 0.1), tensors={"drawn": Table(drawn, axes)})


METHOD = Count
