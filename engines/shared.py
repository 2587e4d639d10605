"""Sweeps of full swaps that many questions about one network share: those of fewer sites or pairs are taken from them.

What is taken equals what would have been run up to rounding, and is accounted for as if it had been run; its seconds
are the shared sweep's, in proportion to the layers computed. A single run never shares: its numbers do not depend on
what else was asked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from engines.activations import kept_columns
from engines.handle import Part
from engines.intervene import start_layer
from engines.model import Batch, Model
from engines.score import Cost
from engines.site import Site
from engines.task import Pairs

Result = TypeVar("Result")


@dataclass(frozen=True)
class Taken:
    """Outputs of every pair under each part's swap and without a patch, and what running them would have cost."""

    outputs: Float[Tensor, "parts pairs answers codes"]
    base: Float[Tensor, "pairs answers codes"]
    cost: Cost


@dataclass(frozen=True)
class _Known:
    rows: Mapping[Site, int]
    taken: Taken

    @property
    def pace(self) -> float:
        """Seconds a layer evaluation."""
        return self.taken.cost.seconds / max(self.taken.cost.layer_evaluations, 1)


class Shared(dict[str, Mapping[str, Tensor]]):
    """Finished pieces, whole sweeps that others may be taken from, and what several methods ask alike."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[str, str], _Known] = {}
        self._once: dict[tuple[int, str], tuple[object, Any]] = {}

    def once(self, asked: object, name: str, make: Callable[[], Result]) -> Result:
        """What ``make`` gave when this was first called with this name and this very object, which is kept."""
        key = (id(asked), name)
        if key not in self._once:
            self._once[key] = (asked, make())
        return self._once[key][1]

    def share(self, model: Model, pairs: Pairs, sites: Sequence[Site], swept: Taken) -> None:
        """Share the full swaps at ``sites`` on ``pairs``."""
        rows = {site: place for place, site in enumerate(sites)}
        self._known[model.digest(), pairs.digest] = _Known(rows, swept)

    def swept(self, model: Model, pairs: Pairs, sites: Iterable[Site]) -> dict[Site | None, Tensor]:
        """Outputs of just these pairs by full-swapped site, None for no patch, as far as they are shared."""
        known = self._known.get((model.digest(), pairs.digest))
        if known is None:
            return {}
        held = {site: known.taken.outputs[known.rows[site]] for site in sites if site in known.rows}
        return {None: known.taken.base, **held}

    def completed(self, model: Model, pairs: Pairs, ran: Cost, whole: Cost) -> Cost:
        """The cost of ``whole``, of which ``ran`` was run and the rest taken from what is shared of these pairs."""
        taken = whole.layer_evaluations - ran.layer_evaluations
        return replace(whole, seconds=ran.seconds + self._known[model.digest(), pairs.digest].pace * taken)

    def taken(self, model: Model, pairs: Pairs, parts: Sequence[Part]) -> Taken | None:
        """The sweep of ``parts`` on ``pairs`` from a shared one of these pairs or of more; None where there is none."""
        if not all(part.full for part in parts):
            return None
        known, index = self._known.get((model.digest(), pairs.digest)), None
        if known is None and pairs.part_of is not None:
            parent, index = pairs.part_of
            known = self._known.get((model.digest(), parent))
        if known is None or not all(part.site in known.rows for part in parts):
            return None
        places = torch.tensor([known.rows[part.site] for part in parts])
        outputs, base = known.taken.outputs[places], known.taken.base
        if index is not None:
            outputs, base = outputs[:, index], base[index]
        cost = sweep_cost(model, pairs, [part.site for part in parts])
        return Taken(
            outputs, base, Cost(cost.forward_passes, cost.layer_evaluations, known.pace * cost.layer_evaluations)
        )


def sweep_cost(model: Model, pairs: Pairs, sites: Sequence[Site]) -> Cost:
    """What sweeping ``sites`` one by one runs; see ``patches_cost``."""
    return patches_cost(model, pairs, [[site] for site in sites])


def patches_cost(model: Model, pairs: Pairs, patches: Sequence[Sequence[Site]]) -> Cost:
    """What patches of some sites each run: distinct inputs once, the unpatched bases, every pair under every patch.

    Seconds are left at 0. See ``engines.activations.capture`` and ``engines.intervene``.
    """
    last = model.shape.n_layers
    sites = list(dict.fromkeys(site for patch in patches for site in patch))
    starts = [min(start_layer(site) for site in patch) for patch in patches]
    read = 1 + max(-1 if site.layer is None else site.layer for site in sites)
    stream = max(min(start, last - 1) + 1 for start in starts)
    if kept_columns(model.shape, pairs, sites) and min(starts) < last:
        stream = last  # what patched runs read of the columns that they leave out
    sources, bases = _distinct(pairs.sources), _distinct(pairs.bases)
    return Cost(
        sources + bases + pairs.n + pairs.n * len(patches),
        sources * read
        + bases * max(read, stream)
        + pairs.n * (last - max(starts))
        + pairs.n * sum(last - start for start in starts),
    )


def _distinct(batch: Batch) -> int:
    rows = torch.where(batch.mask, batch.tokens, -1).numpy()
    return len({row.tobytes() for row in rows})  # a fifth of the time of unique rows, for the hundreds of a sweep
