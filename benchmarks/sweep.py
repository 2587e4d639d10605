"""The cached sweep over all sites against two full runs a site."""

import torch
from bench.naive import Naive
from bench.networks import random_decoder, random_pairs, random_sites
from bench.timing import alternate, header, table
from jaxtyping import Float
from torch import Tensor

from engines.evaluation import Sweep, sweep
from engines.events import drain
from engines.intervene import replace
from engines.model import DecoderModel
from engines.score import Cost
from engines.site import Site
from engines.task import Pairs
from tracr_bridge.task import candidate_sites, drawn, known
from tracr_bridge.task import model as compiled_model

CLAIM = "A full swap at every site: source vectors and layer inputs cached, sites of a layer in one batch."
PROGRAMS = ("reverse", "detect_pattern")
ROUNDS = 5
Case = tuple[str, DecoderModel, Pairs, tuple[Site, ...]]


def cached(model: DecoderModel, pairs: Pairs, sites: tuple[Site, ...]) -> Sweep:
    """The sweep as methods run it."""
    return drain(sweep(model, pairs, sites, {}))[1]


def naive(
    model: DecoderModel, pairs: Pairs, sites: tuple[Site, ...]
) -> tuple[Float[Tensor, "sites pairs answers codes"], Cost]:
    """For each site the sources in full and the bases in full, all pairs in one batch."""
    plain, whole = Naive(model), torch.arange(pairs.n)
    with torch.no_grad():
        outputs = torch.stack([plain.patched(pairs, site, replace, whole) for site in sites])
    return outputs, plain.meter.cost(0.0)


def cases() -> list[Case]:
    """Compiled programs on the pairs of the exam, and a larger decoder on random prompts."""
    found: list[Case] = []
    for name in PROGRAMS:
        truth = known(name)
        found.append((f"compiled {name}", compiled_model(truth), drawn(truth, "fit", 0), candidate_sites(truth)))
    model = random_decoder(n_layers=8, d_model=128, n_ctx=12, d_vocab=1000)
    sites = random_sites(model, ("attn_out", "mlp_out", "resid_post", "result"), "last")
    return [*found, (model.name, model, random_pairs(model, 16, seed=1), sites)]


def row(case: Case) -> list[object]:
    """Check that both paths agree (which also warms them up), then time them."""
    name, model, pairs, sites = case
    ours, (theirs, plain) = cached(model, pairs, sites), naive(model, pairs, sites)
    torch.testing.assert_close(ours.outputs, theirs, rtol=1e-4, atol=1e-4)
    timed = alternate(
        {"cached": lambda: cached(model, pairs, sites), "naive": lambda: naive(model, pairs, sites)}, ROUNDS
    )
    return [
        name,
        len(sites),
        pairs.n,
        timed.median("cached"),
        timed.median("naive"),
        timed.ratio("naive", "cached"),
        f"{ours.cost.forward_passes:,} / {plain.forward_passes:,}",
        f"{ours.cost.layer_evaluations:,} / {plain.layer_evaluations:,}",
        f"{plain.layer_evaluations / ours.cost.layer_evaluations:.2f}x",
        float((ours.outputs - theirs).abs().max()),
    ]


def main() -> None:
    """Print one row a network."""
    header(CLAIM)
    columns = ["network", "sites", "pairs", "cached s", "naive s", "seconds", "sequences", "layer evaluations"]
    table([*columns, "layers", "max diff"], [row(case) for case in cases()])


if __name__ == "__main__":
    main()
