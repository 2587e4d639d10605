"""Sweeps that are taken from larger ones: the same outputs and the same cost as if they had been run."""

import pytest
import torch

from engines.evaluation import full, share, sweep
from engines.events import drain
from engines.remembered import Remembered
from engines.resample import screening
from engines.score import Cost
from engines.shared import Shared, sweep_cost
from engines.site import Site
from tests.families import family, mixed_pairs
from tracr_bridge.task import network, problem


@pytest.mark.parametrize("rung", ["compiled", "embedded"])
def test_a_sweep_of_fewer_sites_and_pairs_is_taken_from_a_larger_one(rung: str) -> None:
    asked = problem(network("histogram", rung), "count", 0)
    shared = Shared()
    _, large = drain(share(asked.model, asked.fit, asked.sites, shared))
    assert sweep_cost(asked.model, asked.fit, asked.sites) == Cost(
        large.cost.forward_passes, large.cost.layer_evaluations
    )
    few = screening(asked.fit, "count", 16, torch.Generator().manual_seed(0))
    for sites in (asked.sites[::3], asked.sites[:1], asked.sites[-2:]):
        _, taken = drain(sweep(asked.model, few, full(asked.model, sites), shared))
        _, run = drain(sweep(asked.model, few, full(asked.model, sites), {}))
        assert torch.allclose(taken.outputs, run.outputs, atol=1e-3)
        assert torch.allclose(taken.base, run.base, atol=1e-3)
        assert (taken.cost.forward_passes, taken.cost.layer_evaluations) == (
            run.cost.forward_passes,
            run.cost.layer_evaluations,
        )


@pytest.mark.parametrize("sites", [("L0.mlp_out@last",), ("L1.resid_post@last",), ("L0.z@last", "L1.z@last")])
@pytest.mark.parametrize("name", ["decoder", "decoder-bidirectional", "gpt2"])
def test_the_cost_of_a_sweep_is_known_before_it_where_columns_are_left_out(name: str, sites: tuple[str, ...]) -> None:
    model = family(name)
    where = [Site.parse(site.replace(".z", ".head0.z")) for site in sites]
    ran = drain(sweep(model, mixed_pairs(), full(model, where), {}))[1].cost
    assert sweep_cost(model, mixed_pairs(), where) == Cost(ran.forward_passes, ran.layer_evaluations)


def test_a_sweep_is_not_taken_from_other_pairs_or_another_network() -> None:
    asked, other = (problem(network("histogram", rung), "count", 0) for rung in ("compiled", "rotated"))
    shared = Shared()
    drain(share(asked.model, asked.fit, asked.sites, shared))
    parts = full(asked.model, asked.sites[:1])
    assert shared.taken(asked.model, asked.fit, parts) is not None
    assert shared.taken(asked.model, asked.test, parts) is None
    assert shared.taken(other.model, asked.fit, parts) is None


def test_a_remembered_model_gives_and_counts_the_same() -> None:
    asked = problem(network("histogram"), "count", 0)
    once = Remembered(asked.model)
    ports = sorted({site.port for site in asked.sites if site.layer in (0, 1)}, key=str)
    for reads in (ports[:2], ports, ports[1:]):
        mine, theirs = (model.forward(asked.fit.bases, reads=reads) for model in (once, asked.model))
        assert mine.layers == theirs.layers
        assert all(torch.equal(mine.reads[port], theirs.reads[port]) for port in reads)
    assert once.digest() == asked.model.digest()
