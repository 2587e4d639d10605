"""Pairs drawn from pairs: fewer, to look at many sites cheaply, and bootstrap counts, to see what chance moves."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from engines.answer import Labels
from engines.task import Pairs


def subset(pairs: Pairs, index: Int[Tensor, " kept"]) -> Pairs:
    """The pairs ``index``, in that order; why others were skipped is no longer counted."""

    def rows(table: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor[index] for name, tensor in table.items()}

    labels: Mapping[str, Labels] = rows(pairs.labels)
    whole, among = (pairs.digest, index) if pairs.part_of is None else (pairs.part_of[0], pairs.part_of[1][index])
    return replace(
        pairs,
        bases=pairs.bases.take(index),
        sources=pairs.sources.take(index),
        base_at=rows(pairs.base_at),
        source_at=rows(pairs.source_at),
        answers_at=pairs.answers_at[index],
        base_labels=pairs.base_labels[index],
        labels=labels,
        valid=rows(pairs.valid),
        values=rows(pairs.values),
        fair=rows(pairs.fair),
        plain=None if pairs.plain is None else pairs.plain[index],
        family=None if pairs.family is None else pairs.family[index],
        change=None if pairs.change is None else pairs.change[index],
        skipped={},
        part_of=(whole, among),
    )


def screening(pairs: Pairs, variable: str, count: int, generator: torch.Generator) -> Pairs:
    """At most ``count`` pairs, half of them informative on the variable and half invariant where there are as many.

    Invariant pairs that inform on other variables are invariant the hard way, and are drawn like the others. Pairs that
    a family holds are spread over families by chance alone.
    """
    halves = [
        _drawn(kept.nonzero()[:, 0], generator) for kept in (pairs.informative(variable), pairs.invariant(variable))
    ]
    first = halves[0][: max(count - count // 2, count - len(halves[1]))]
    rest = halves[1][: count - len(first)]
    return subset(pairs, torch.cat([first, rest]).sort().values)


def _drawn(index: Int[Tensor, " some"], generator: torch.Generator) -> Int[Tensor, " some"]:
    return index[torch.randperm(len(index), generator=generator)]


def bootstrap(pairs: Pairs, draws: int, seed: int) -> Float[Tensor, "draws pairs"]:
    """How often each of ``draws`` resamples holds each pair: bases are drawn with replacement, each with its pairs.

    Pairs of one base err alike, so that resampling them one by one would make every pick look too stable. Source:
    cluster bootstrap (Davison and Hinkley 1997, Bootstrap Methods and their Application, section 3.8).
    """
    marked = torch.where(pairs.bases.mask, pairs.bases.tokens, -1)
    _, base = torch.unique(marked, dim=0, return_inverse=True)
    clusters = int(base.max()) + 1
    counts = np.random.default_rng(seed).multinomial(clusters, np.full(clusters, 1 / clusters), size=draws)
    return torch.tensor(counts, dtype=torch.float64)[:, base]
