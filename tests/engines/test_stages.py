"""Stages and bands: which sites stand for a layer, what is saved, and components cut by hand."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.bands import equal_bands, prefixes, select_bands
from engines.errors import InsufficientData, InvalidSetting, UnknownName
from engines.evaluation import full, sweep
from engines.events import drain
from engines.featurize import Rotation
from engines.methods.plot_das import PlotDas
from engines.methods.plot_pca import PlotPca
from engines.selection import Rule, select
from engines.site import Site
from engines.stages import LAYER_COSTS, Staging, pick_layers, representatives, select_in_stages
from tests.known import conjunction_problem

RULE = Rule("per_example", "one_sided", (0.1,), 1.0, (12,))


def sites(*names: str) -> tuple[Site, ...]:
    return tuple(map(Site.parse, names))


def test_whole_sites_outside_heads_stand_for_their_layer() -> None:
    given_sites = sites("embed@t0", "L0.resid_post@t0", "L0.resid_post[0:2]@t0", "L0.head1.z@t0", "L0.mlp_out@t0")
    assert [str(site) for site in representatives(given_sites)] == ["embed@t0", "L0.resid_post@t0", "L0.mlp_out@t0"]


def test_where_there_are_heads_or_spans_only_they_stand_for_their_layer() -> None:
    heads, spans = sites("L0.head1.z@t0", "L0.head1.z[0:1]@t0"), sites("L1.mlp.neuron3@t0", "L1.mlp.neuron4@t0")
    assert representatives((*heads, *spans)) == (heads[0], *spans)


def test_the_best_site_or_the_mean_is_what_a_layer_costs() -> None:
    table = torch.tensor([[0.0, 1.0, 0.5], [0.9, 0.3, 0.6]])
    assert LAYER_COSTS["best"](table).tolist() == pytest.approx([0.0, 0.3])
    assert LAYER_COSTS["mean"](table).tolist() == pytest.approx([0.5, 0.6])


def test_one_layer_is_selected_from_like_all_sites_and_costs_what_both_stages_do() -> None:
    problem = conjunction_problem("both")
    _, plain = drain(select(problem, RULE, {}))
    _, staged = drain(select_in_stages(problem, RULE, Staging(1, "best"), {}))
    assert staged.equals == plain.equals
    swept = drain(sweep(problem.model, problem.fit, full(problem.model, representatives(problem.sites)), {}))[1]
    extra = staged.cost.layer_evaluations - plain.cost.layer_evaluations
    assert extra == swept.cost.layer_evaluations
    assert staged.notes[0] == "layers picked by 8 of 14 sites, by the best of each: L0 of 1 that change an answer"


def test_layers_without_an_effect_are_no_choice() -> None:
    problem = replace(conjunction_problem("both"), sites=sites("L0.attn_out@first"))
    with pytest.raises(InsufficientData, match="conjunction: no layer changes any answer on 9 fit pairs"):
        drain(pick_layers(problem, RULE, Staging(1, "best"), {}))


def test_wrong_stagings_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="layers is 0: give 1 or more"):
        Staging(0, "best")
    with pytest.raises(UnknownName, match=r"unknown layer cost 'min'\..* Known: best, mean"):
        Staging(1, "min")


@given(st.integers(0, 12), st.integers(1, 20))
@settings(deadline=None)
def test_bands_partition_the_components_and_prefixes_nest(rank: int, count: int) -> None:
    columns = torch.eye(12)[:, :rank]
    bands = equal_bands(columns, count)
    assert len(bands) == min(count, rank)
    assert sum(band.shape[1] for band in bands) == rank
    assert all(band.shape[1] >= 1 for band in bands)
    assert max((band.shape[1] for band in bands), default=0) - min((band.shape[1] for band in bands), default=0) <= 1
    if rank:
        assert torch.equal(torch.cat(bands, 1), columns)
    nested = prefixes(columns)
    assert [part.shape[1] for part in nested] == sorted(
        {*(2**power for power in range(4) if 2**power < rank), rank} - {0}
    )


def test_a_band_that_carries_the_variable_is_swapped_and_no_more() -> None:
    """The stream's last coordinate alone carries ``both``; its components at the last position mix bits and copies."""
    problem = conjunction_problem("both")
    (site,) = sites("L0.mlp_out@last")
    _, banded = drain(select_bands(problem, [site], 8, replace(RULE, top_k=(1, 2)), {}))
    ((part, *_), *_) = banded.calibrated.patches
    assert isinstance(part.featurizer, Rotation)
    assert (part.site, part.featurizer.rank, banded.components[site].shape[1]) == (site, 1, 1)
    assert part.featurizer.columns.abs()[:, 0].tolist() == pytest.approx([0, 0, 0, 0, 0, 1], abs=1e-6)
    assert banded.calibrated.qualities[0].value == 1.0
    assert list(banded.supports) == [site]


def test_wrong_counts_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="top_sites is 0 and bands is 8: give 1 or more of each"):
        drain(PlotPca(top_sites=0).fit(conjunction_problem("both"), {}))


def test_training_stays_within_the_best_bands() -> None:
    problem = conjunction_problem("both")
    _, fit = drain(PlotDas(support="pca", steps=8).fit(problem, {}))
    assert fit.quality.value == 1.0
    assert all(handle.site.span is None for handle in fit.handles)
    with pytest.raises(UnknownName, match=r"unknown support 'pcs'\. Did you mean 'pca'"):
        drain(PlotDas(support="pcs").fit(problem, {}))
