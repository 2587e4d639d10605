"""How the cost of a sweep over all layers and positions grows with layers, positions and pairs."""

import math
from dataclasses import dataclass, replace

import torch
from bench.naive import Naive
from bench.networks import random_decoder, random_pairs, random_sites
from bench.timing import Timed, alternate, header, publish

from engines.evaluation import full, sweep
from engines.events import drain
from engines.intervene import replace as source
from engines.score import Cost

CLAIM = "A full swap of resid_post at every layer and position: what doubling one size costs, cached and naive."
WIDTH, VOCABULARY = 64, 100
PLAIN = 16
"""The naive path runs this many sites, evenly spread, and its seconds and layers are scaled up to all of them."""
ROUNDS = 3


@dataclass(frozen=True)
class Case:
    """One sweep's sizes."""

    layers: int = 6
    positions: int = 8
    pairs: int = 16


def measure(case: Case) -> tuple[Timed, Cost, int, float]:
    """Time a sweep; its cost, the naive path's layer evaluations, and how many times more sites than it runs."""
    model = random_decoder(n_layers=case.layers, d_model=WIDTH, n_ctx=case.positions, d_vocab=VOCABULARY)
    pairs = random_pairs(model, case.pairs, seed=0)
    where = random_sites(model, ("resid_post",), tuple(f"t{place}" for place in range(case.positions)))
    some, plainly = where[:: max(1, len(where) // PLAIN)], Naive(model, VOCABULARY)

    def naive() -> None:
        with torch.no_grad():
            for site in some:
                plainly.patched(pairs, site, source, torch.arange(pairs.n))

    cost = drain(sweep(model, pairs, full(model, where), {}))[1].cost
    naive()
    scale = len(where) / len(some)
    layers = round(plainly.meter.layer_evaluations * scale)
    paths = {"cached": lambda: drain(sweep(model, pairs, full(model, where), {}))[1], "naive": naive}
    return alternate(paths, ROUNDS), cost, layers, scale


def rows(name: str, smallest: Case) -> list[list[object]]:
    """Double one size twice; the exponents are of the growth since the row before."""
    found: list[list[object]] = []
    before: tuple[float, int] | None = None
    for double in (1, 2, 4):
        case = replace(smallest, **{name: getattr(smallest, name) * double})
        timed, cost, plain_layers, scale = measure(case)
        now = timed.median("cached"), cost.layer_evaluations
        growth = ["", ""] if before is None else [f"{math.log2(b / a):.2f}" for a, b in zip(before, now, strict=True)]
        naive_seconds = timed.median("naive") * scale
        found.append(
            [
                f"{case.layers} layers, {case.positions} positions, {case.pairs} pairs",
                case.layers * case.positions,
                now[0],
                growth[0],
                now[1],
                growth[1],
                f"{naive_seconds / now[0]:.3g}x",
                f"{plain_layers / now[1]:.2f}x",
                timed.peak("cached"),
            ]
        )
        before = now
    return found


def main() -> None:
    """Print three rows a size that is doubled."""
    header(CLAIM)
    columns = ["sizes", "sites", "cached s", "exponent", "layer evaluations", "exponent", "naive s / cached"]
    made = [row for name in ("layers", "positions", "pairs") for row in rows(name, Case())]
    publish("growth", [*columns, "naive layers / cached", "MiB"], made)


if __name__ == "__main__":
    main()
