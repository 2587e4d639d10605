"""Sweeps that are taken from larger ones: the same outputs and the same cost as if they had been run."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from engines.activations import Activations
from engines.evaluation import full, full_swap_handle, hold_out, joint, share, sweep
from engines.events import drain
from engines.intervene import Jobs, swapped
from engines.joint import calibrate, subsets
from engines.model import Model
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


@pytest.mark.parametrize("rung", ["compiled", "embedded"])
def test_full_swaps_among_joint_patches_are_taken_and_counted_as_run(
    rung: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = problem(network("histogram", rung), "count", 0)
    shared = Shared()
    drain(share(asked.model, asked.calibration, asked.sites, shared))
    patches = subsets(asked.model, asked.sites[1::9], 2)
    _, run = drain(calibrate(asked, patches, {}))
    rows: list[int] = []

    def counted(model: Model, activations: Activations, jobs: Sequence[Jobs]) -> Tensor:
        rows.append(len(jobs))
        return swapped(model, activations, jobs)

    monkeypatch.setattr("engines.evaluation.swapped", counted)
    _, taken = drain(calibrate(asked, patches, shared))
    assert sum(rows) == sum(len(patch) > 1 for patch in patches) < len(patches)
    assert taken.patches == run.patches
    assert taken.qualities == run.qualities
    assert taken.no_op == run.no_op
    assert replace(taken.cost, seconds=0.0) == replace(run.cost, seconds=0.0)
    assert taken.cost.seconds > 0


def test_a_sweep_is_not_taken_from_other_pairs_or_another_network() -> None:
    asked, other = (problem(network("histogram", rung), "count", 0) for rung in ("compiled", "rotated"))
    shared = Shared()
    drain(share(asked.model, asked.fit, asked.sites, shared))
    parts = full(asked.model, asked.sites[:1])
    assert shared.taken(asked.model, asked.fit, parts) is not None
    assert shared.taken(asked.model, asked.test, parts) is None
    assert shared.taken(other.model, asked.fit, parts) is None


def test_a_claim_is_scored_once_for_all_who_make_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, other = (problem(network("histogram"), "count", seed) for seed in (0, 1))
    shared, runs = Shared(), []
    for each in (asked, other):
        drain(share(each.model, each.test, each.sites, shared))
    claims = [full_swap_handle("count", site, asked.model, None) for site in asked.sites[-2:]]

    def counted(*given: Any) -> tuple[Tensor, Tensor]:
        runs.append(given)
        return joint(*given)

    monkeypatch.setattr("engines.evaluation.joint", counted)
    for _ in range(2):
        for each in (asked, other):
            for handle in (*claims, replace(claims[0], calibration=0.5)):
                assert hold_out(each, handle, shared) == hold_out(each, handle, dict(shared))
    assert len(runs) == 2 * len(claims) + 2 * 2 * 3


def test_a_remembered_model_gives_and_counts_the_same() -> None:
    asked = problem(network("histogram"), "count", 0)
    once = Remembered(asked.model)
    ports = sorted({site.port for site in asked.sites if site.layer in (0, 1)}, key=str)
    for reads in (ports[:2], ports, ports[1:]):
        mine, theirs = (model.forward(asked.fit.bases, reads=reads) for model in (once, asked.model))
        assert mine.layers == theirs.layers
        assert all(torch.equal(mine.reads[port], theirs.reads[port]) for port in reads)
    assert once.digest() == asked.model.digest()
