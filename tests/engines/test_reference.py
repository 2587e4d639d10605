"""PLOT as published: its solver's clamp, its picks by hand, and where they are wrong and ours are not."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.answer import Number
from engines.costs import costs, moving
from engines.errors import InsufficientData
from engines.events import drain
from engines.methods.argmax_iia import ArgmaxIia
from engines.methods.plot import Plot
from engines.methods.plot_reference import PlotReference
from engines.reference import pick
from engines.resample import subset
from engines.transport import reference_float32
from tests.engines.test_signature import swept
from tests.known import conjunction_problem

CLAMP = {0.003: 0.207, 0.01: 0.691, 0.03: 2.07, 0.1: 6.9}
"""Costs above which the published kernel is clamped, by absolute epsilon."""


@pytest.mark.parametrize(("epsilon", "clamped"), CLAMP.items())
def test_costs_above_the_clamp_count_as_equal(epsilon: float, clamped: float) -> None:
    assert clamped == pytest.approx(69.08 * epsilon, rel=2e-3)
    worse = np.array([[clamped * 1.01, clamped * 1.3], [clamped * 1.2, clamped * 1.02]])
    plan = reference_float32(worse, epsilon_absolute=epsilon)
    np.testing.assert_allclose(plan, 0.25, rtol=1e-6)
    better = np.array([[clamped * 0.9, clamped * 1.3], [clamped * 1.3, clamped * 0.9]])
    assert reference_float32(better, epsilon_absolute=epsilon).argmax(1).tolist() == [0, 1]


def test_where_every_cost_is_clamped_the_first_site_is_picked() -> None:
    """Three sites, the last one right for v. Unit means at a right angle or worse cost 2 or more, beyond the clamp.

    At epsilon 0.01 even 1 is clamped, so that the silent sites tie; there the first one is picked.
    """
    number = Number(0, 0.25)
    base, label = [[0.0]] * 4, [[1.0]] * 4
    found = swept(number, base, label, [base, base, label])
    labels = {**found.pairs.labels, "w": number.encode([[-1.0]] * 4, 1)}
    valid = {**found.pairs.valid, "w": found.pairs.valid["v"]}
    found = replace(found, pairs=replace(found.pairs, labels=labels, valid=valid))
    picked = pick(found, ("v", "w"), (0.01,), (0.01,))
    assert picked.cost.tolist() == [[1.0, 1.0, 0.0], [1.0, 1.0, 4.0]]
    assert picked.iia.tolist() == [0.0, 0.0, 1.0]
    assert picked.sites == (2, 0)  # the pick of the other row is claimed too


def test_a_layer_is_the_mean_of_its_normalised_sites() -> None:
    """Layer 0 has a perfect and an opposite site, which cancel; layer 1 one twice as large, and a silent one.

    So v, which goes up, costs (1, 0) by layer and picks the second, and w, which goes down, costs (1, 4).
    """
    number = Number(0, 0.25)
    up, down, twice, none = ([[value]] * 2 for value in (1.0, -1.0, 2.0, 0.0))
    found = swept(number, none, up, [up, down, twice, none])
    labels = {**found.pairs.labels, "w": number.encode(down, 1)}
    valid = {**found.pairs.valid, "w": found.pairs.valid["v"]}
    layers = (0, 0, 1, 1)
    parts = tuple(
        replace(part, site=replace(part.site, layer=layer)) for part, layer in zip(found.parts, layers, strict=True)
    )
    found = replace(found, parts=parts, pairs=replace(found.pairs, labels=labels, valid=valid))
    picked = pick(found, ("v", "w"), (0.1,), (0.1,))
    assert picked.cost.tolist() == [[0.0, 4.0, 0.0, 1.0], [4.0, 0.0, 4.0, 1.0]]
    assert sorted(picked.sites) == [1, 2]


def test_a_layers_mean_is_scaled_to_unit_length() -> None:
    """A layer of two perfect sites and one of a perfect and a silent site cost the same: the first is picked."""
    number = Number(0, 0.25)
    up, none = ([[value]] * 2 for value in (1.0, 0.0))
    found = swept(number, none, up, [up, up, up, none])
    labels = {**found.pairs.labels, "w": number.encode([[-1.0]] * 2, 1)}
    valid = {**found.pairs.valid, "w": found.pairs.valid["v"]}
    parts = tuple(
        replace(part, site=replace(part.site, layer=layer))
        for part, layer in zip(found.parts, (0, 0, 1, 1), strict=True)
    )
    found = replace(found, parts=parts, pairs=replace(found.pairs, labels=labels, valid=valid))
    assert pick(found, ("v", "w"), (0.1,), (0.1,)).sites == (0,)


def test_the_published_setting_is_wrong_where_plot_is_right() -> None:
    problem = conjunction_problem("both")
    _, published = drain(PlotReference().fit(problem, {}))
    _, ours = drain(Plot().fit(problem, {}))
    assert published.quality.value < 1.0 == ours.quality.value


def test_plot_claims_more_of_the_sites_than_argmax_iia_for_no_more() -> None:
    """Three sites carry ``both`` alike: the MLP's output, the stream, and its coordinate."""
    problem = conjunction_problem("both")
    _, brute = drain(ArgmaxIia().fit(problem, {}))
    _, ours = drain(Plot(pairs=4, shortlist=3).fit(problem, {}))
    right = {"L0.mlp_out@last", "L0.resid_post@last", "L0.resid_post[5:6]@last"}
    assert {str(one.site) for one in brute.handles} < {str(one.site) for one in ours.handles} == right
    assert ours.cost.layer_evaluations <= brute.cost.layer_evaluations


def test_raw_iia_rewards_doing_nothing() -> None:
    """The more pairs a variable leaves alone, the better a silent site does, whatever it is silent about."""
    problem = conjunction_problem("both")
    invariant = problem.fit.invariant("both").nonzero()[:, 0]
    informative = problem.fit.informative("both").nonzero()[:, 0]
    fit = subset(problem.fit, torch.cat([invariant, informative[:1]]))
    sites = tuple(site for site in problem.sites if str(site) in ("L0.attn_out@first", "L0.resid_pre@last"))
    _, brute = drain(ArgmaxIia().fit(replace(problem, fit=fit, sites=sites), {}))
    values = dict(brute.ranking)
    assert values["L0.attn_out@first"] == len(invariant) / fit.n


def test_a_row_without_a_signature_is_left_out_as_its_costs_would_be() -> None:
    number = Number(0, 0.25)
    base, label = [[0.0]] * 4, [[1.0]] * 4
    found = swept(number, base, label, [base, label])
    labels = {**found.pairs.labels, "idle": number.encode(base, 1), "w": number.encode(label, 1)}
    valid = {**dict.fromkeys(labels, found.pairs.valid["v"]), "w": torch.tensor([False] * 3 + [True])}
    found = replace(found, pairs=replace(found.pairs, labels=labels, valid=valid))
    assert moving(found, ("v", "idle", "w"), "mean") == costs(found, ("v", "idle", "w"), "mean").variables == ("v", "w")
    for asked in (moving, costs):
        with pytest.raises(InsufficientData, match="interchanging 'idle' changes no answer on 4 pairs"):
            asked(found, ("idle", "v"), "mean")
