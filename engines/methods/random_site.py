"""A candidate site drawn at random: what a method must beat."""

from dataclasses import dataclass

import torch

from engines.evaluation import full_swap_handle
from engines.events import Pieces, Steps
from engines.report import Claims, report
from engines.score import Cost, Fit
from engines.task import Problem


@dataclass(frozen=True)
class RandomSite:
    """Claim one candidate site, drawn uniformly with the problem's seed."""

    def fit(self, problem: Problem, finished: Pieces) -> Steps[Fit]:
        """Draw, then score on test pairs."""
        generator = torch.Generator().manual_seed(problem.seed + 1)
        site = problem.sites[int(torch.randint(len(problem.sites), (), generator=generator))]
        handle = full_swap_handle(problem.target, site, problem.model, None)
        return (yield from report(problem, Claims((handle,), (), Cost()), finished))


METHOD = RandomSite
