"""Selection: which choice calibration makes, what is left out and said, and what settings are refused."""

from dataclasses import replace

import pytest
import torch

from engines.answer import Choice
from engines.errors import InsufficientData, InvalidSetting, UnknownName
from engines.events import Event, Measured, Notice, Piece, Stage, drain
from engines.score import wilson
from engines.selection import COUPLINGS, Rule, Selection, ranking, select
from engines.signature import SIGNATURES
from engines.site import Site
from engines.table import Axis
from engines.task import Problem
from engines.transport import Coupling, Ranking
from tests.known import conjunction_problem

TRANSPORT = tuple(coupling for coupling in COUPLINGS if coupling != "ranked")
FEW = {"per_family_mean", "floored_mean", "covariance"}
"""Signatures that need families, or more pairs than four inputs have."""
RULE = Rule("per_example", "one_sided", (0.01, 0.1), 1.0, (1, 2))


def run(problem: Problem, rule: Rule = RULE) -> tuple[list[Event], Selection]:
    return drain(select(problem, rule, {}))


def among(target: str, *places: str) -> Problem:
    """The conjunction with these candidate sites only."""
    return replace(conjunction_problem(target), sites=tuple(Site.parse(place) for place in places))


@pytest.mark.parametrize("coupling", TRANSPORT)
@pytest.mark.parametrize("signature", sorted(set(SIGNATURES) - FEW))
def test_every_coupling_and_signature_runs_and_reports_its_plan(coupling: str, signature: str) -> None:
    problem = conjunction_problem("both")
    _, selection = run(problem, replace(RULE, coupling=coupling, signature=signature))
    assert isinstance(selection.coupling, Coupling)
    assert selection.coupling.converged
    tables = selection.tensors
    cost, plan = tables["transport cost"], tables["transport plan"]
    assert cost.values.shape == plan.values.shape == (2, len(selection.sites))
    assert cost.axes == plan.axes == (Axis.of("variable", ("both", "copied")), Axis.of("site", selection.sites))
    torch.testing.assert_close(plan.values.sum(), torch.tensor(1.0, dtype=torch.float64))
    assert set(selection.picks) <= set(selection.sites) <= set(problem.sites)


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("target", ["copied", "both"])
def test_the_right_sites_are_picked(coupling: str, target: str) -> None:
    right = {
        "copied": {"L0.resid_pre@first", "L0.attn_out@last"},
        "both": {"L0.mlp_out@last", "L0.resid_post@last", "L0.resid_post[5:6]@last"},
    }
    _, selection = run(conjunction_problem(target), replace(RULE, coupling=coupling, top_k=(1,)))
    assert {str(pick) for pick in selection.picks} <= right[target]
    assert selection.qualities[selection.picks[0]].value == 1.0


def test_two_rows_compete_for_one_column() -> None:
    """What coupling adds to ranking: a site that fits both rows goes to the one that has no other."""
    _, selection = run(conjunction_problem("copied"), replace(RULE, coupling="balanced", epsilons=(0.01,)))
    plan = selection.tensors["transport plan"].values
    torch.testing.assert_close(plan.sum(0), torch.full((plan.shape[1],), 1 / plan.shape[1], dtype=torch.float64))
    torch.testing.assert_close(plan.sum(1), torch.full((2,), 0.5, dtype=torch.float64))


def test_silent_sites_are_left_out_and_counted() -> None:
    problem = among("both", "L0.attn_out@first", "L0.mlp_out@last", "L0.resid_post@first", "L0.attn_out@last")
    events, selection = run(problem)
    assert [str(site) for site in selection.sites] == ["L0.mlp_out@last", "L0.attn_out@last"]
    sentence = "2 of 4 candidate sites change no answer and were left out"
    assert sentence in selection.notes
    assert Notice(sentence) in events
    assert "L0.attn_out@first" not in dict(ranking(selection))


def test_when_every_site_is_silent_nothing_can_be_selected() -> None:
    with pytest.raises(InsufficientData, match=r"conjunction: no candidate site changes any answer on \d+ fit pairs"):
        run(among("both", "L0.attn_out@first", "L0.resid_post@first"))


def test_one_variable_is_ranked_by_cost_and_says_so() -> None:
    problem = replace(conjunction_problem("copied"), variables=("copied",))
    for coupling in TRANSPORT:
        _, selection = run(problem, replace(RULE, coupling=coupling))
        assert isinstance(selection.coupling, Ranking)
        assert selection.epsilon is None
        assert "one variable only: sites are ranked by cost, since transport with one row is uniform" in selection.notes
        assert list(selection.tensors) == ["transport cost", "pick stability"]
        values = [value for _, value in ranking(selection)]
        assert values == sorted(values, reverse=True)
        assert values[0] == pytest.approx(0.0, abs=1e-6)  # minus the cost of a perfect site


@pytest.mark.parametrize("variables", [("both",), ("both", "copied")])
def test_sites_that_are_all_perfect_tie(variables: tuple[str, ...]) -> None:
    """Nothing is cheaper than cost 0: outputs so sharp that the costs are exactly 0 are no reason to fail."""
    problem = replace(among("both", "L0.mlp_out@last", "L0.resid_post@last"), variables=variables)
    sharp = Choice((0, 1), (0, 1), sharpness=1e4)
    parts = {part: replace(getattr(problem, part), answer=sharp) for part in ("fit", "calibration", "test")}
    if len(variables) == 2:  # the other row costs nothing either when it has the same labels
        for part, pairs in parts.items():
            same = {"labels": "copied", "valid": "copied"}
            parts[part] = replace(
                pairs,
                **{
                    table: {**getattr(pairs, table), name: getattr(pairs, table)["both"]}
                    for table, name in same.items()
                },
            )
    _, selection = run(replace(problem, answer=sharp, **parts))
    assert [str(pick) for pick in selection.picks] == ["L0.mlp_out@last", "L0.resid_post@last"]
    assert all(value == 0.0 for _, value in ranking(selection))
    assert any("2 tied for first" in note for note in selection.notes)


def test_a_single_live_site_is_picked() -> None:
    for coupling in COUPLINGS:
        _, selection = run(among("copied", "L0.attn_out@last"), replace(RULE, coupling=coupling, top_k=(1, 4)))
        assert [str(pick) for pick in selection.picks] == ["L0.attn_out@last"]


def test_of_equally_good_choices_the_one_with_most_picks_is_made() -> None:
    """Two perfect sites and two counts: both counts have mean quality 1, and the larger claim is as true."""
    problem = among("both", "L0.mlp_out@last", "L0.resid_post@last", "L0.attn_out@last")
    _, selection = run(problem, replace(RULE, top_k=(1, 2)))
    assert {str(pick) for pick in selection.picks} == {"L0.mlp_out@last", "L0.resid_post@last"}
    assert selection.epsilon == 0.01  # of equal epsilons the first
    _, selection = run(problem, replace(RULE, top_k=(2, 1), epsilons=(0.1, 0.01)))
    assert len(selection.picks) == 2
    assert selection.epsilon == 0.1


def test_a_worse_pick_is_not_made_for_the_sake_of_count() -> None:
    problem = among("both", "L0.mlp_out@last", "L0.attn_out@last", "L0.resid_pre@last")
    _, selection = run(problem, replace(RULE, top_k=(1, 2, 3)))
    assert [str(pick) for pick in selection.picks] == ["L0.mlp_out@last"]
    mean = sum(selection.qualities[site].value for site in problem.sites) / 3
    assert mean < 1.0  # the other counts were looked at, and were worse


def test_more_picks_than_sites_are_all_sites() -> None:
    _, selection = run(among("both", "L0.mlp_out@last", "L0.attn_out@last"), replace(RULE, top_k=(9,)))
    assert len(selection.picks) == 2


def test_calibration_pairs_decide() -> None:
    """The same fit pairs with calibration labels of another variable choose another count or quality."""
    problem = among("both", "L0.mlp_out@last", "L0.attn_out@last")
    calibration = problem.calibration
    swapped = replace(
        calibration,
        labels={**calibration.labels, "both": calibration.labels["copied"]},
        valid={**calibration.valid, "both": calibration.valid["copied"]},
    )
    plain, turned = run(problem)[1], run(replace(problem, calibration=swapped))[1]
    assert plain.coupling.ranking.tolist() == turned.coupling.ranking.tolist()
    assert plain.qualities != turned.qualities
    site = Site.parse("L0.attn_out@last")
    assert turned.qualities[site].value == 1.0 > plain.qualities[site].value


def test_what_was_looked_at_is_said() -> None:
    problem = conjunction_problem("both")
    events, selection = run(problem)
    measured = {
        event.site: (event.value, event.n) for event in events if isinstance(event, Measured) and event.metric == "iia"
    }
    assert measured == {str(site): (found.iia.value, found.iia.n) for site, found in selection.qualities.items()}
    assert set(selection.picks) <= set(selection.qualities)
    assert [event.text for event in events if isinstance(event, Notice)] == list(selection.notes)
    assert Stage("calibration", 4, "choices") in events
    n = int(problem.calibration.informative("both").sum())
    assert selection.qualities[selection.picks[0]].iia == wilson(n, n)
    assert any("picked" in note and "marginal residual" in note for note in selection.notes)
    stable = {event.site: event.value for event in events if isinstance(event, Measured) and event.metric != "iia"}
    assert stable == {str(site): selection.stability[site] for site in selection.picks}


def test_a_resumed_selection_is_the_same_and_costs_the_same() -> None:
    problem = conjunction_problem("both")
    events, selection = run(problem)
    done = {event.key: event.tensors for event in events if isinstance(event, Piece)}
    for count in range(len(done) + 1):
        _, again = drain(select(problem, RULE, dict(list(done.items())[:count])))
        assert (again.picks, again.qualities, again.notes) == (selection.picks, selection.qualities, selection.notes)
        assert torch.equal(again.tensors["transport plan"].values, selection.tensors["transport plan"].values)
        assert again.cost.forward_passes == selection.cost.forward_passes > 0
    _, again = drain(select(problem, RULE, done))
    assert again.cost == selection.cost  # seconds too: they are those of the work that was done


def test_wrong_settings_are_refused_before_anything_runs() -> None:
    with pytest.raises(UnknownName, match=r"unknown coupling 'onesided'\. Did you mean 'one_sided'\? Known: balanced"):
        replace(RULE, coupling="onesided")
    with pytest.raises(UnknownName, match=r"unknown signature 'per_pair'\. Did you mean 'per_example'\?"):
        replace(RULE, signature="per_pair")
    for epsilons in ((), (0.0,), (0.1, -1.0), (float("nan"),), (float("inf"),)):
        with pytest.raises(
            InvalidSetting, match=r"epsilons .*: give at least one, in units of the median cost, each ab"
        ):
            replace(RULE, epsilons=epsilons)
    for top_k in ((), (0,), (2, -1)):
        with pytest.raises(InvalidSetting, match=r"top_k .*: give at least one count of picks, each 1 or more"):
            replace(RULE, top_k=top_k)
    for beta in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidSetting, match=r"beta is .*: give a positive number"):
            replace(RULE, beta=beta)
    for wrong in ({"draws": -1}, {"draws": 0, "stable": 0.5}):
        with pytest.raises(InvalidSetting, match=r"draws is .*: give a number of bootstrap draws"):
            replace(RULE, **wrong)
