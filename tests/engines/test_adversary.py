"""The adversary finds what a hypothesis let in or left out, on the total and on slices, and never says "true"."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from statistics import NormalDist

import pytest

from engines.adversary import TOTAL, Adversary, Joined, Search, adversary, kept
from engines.appendix import _neuron, cancellation
from engines.appendix._game import claim, game, questions
from engines.dataset import DATUM, Dataset
from engines.errors import InvalidSetting, TooLarge, UnknownName
from engines.events import Advance, Notice, Stage, drain
from engines.graph import Graph, Node
from engines.hypothesis import EXACT, Hypothesis, InterpNode, Source
from engines.scrub import Plan

GAME = ("setting", "output", DATUM, "bit", "guess", "right")
ALL = Search(injective=True)


def played(
    features: Sequence[str] = GAME, plan: Plan | None = None, search: Search = ALL, claimed: str = "claimed"
) -> Adversary:
    """The adversary of the guessing game."""
    return drain(adversary(game(), questions(), claim(claimed), features, plan, search))[1]


def read(features: Sequence[str], *slices: str, claimed: str = "claimed", samples: int | None = None) -> Adversary:
    """The adversary of the sentences whose errors cancel."""
    plan = Plan(slices=slices, samples=samples)
    steps = adversary(cancellation.network(), cancellation.sentences(), cancellation.claim(claimed), features, plan)
    return drain(steps)[1]


def moved(joined: Joined, where: str = TOTAL) -> Fraction:
    """The exact change there."""
    exact = next(change.estimate.exact for change in joined.changes if change.where == where)
    assert exact is not None
    return Fraction(exact)


def test_the_table_of_the_guessing_game_is_exact():
    found = played()
    assert found.scrubbed.exact == "21/8"
    assert {joined.feature: moved(joined) for joined in found.ranked} == {
        "setting": Fraction(-19, 8),
        "output": Fraction(-19, 8),
        DATUM: Fraction(-19, 8),
        "bit": Fraction(-25, 24),
        "guess": Fraction(-19, 24),
        "right": 0,
    }
    bits = {"setting": 1, "output": 1, DATUM: 2, "bit": 0.8112781244591328, "guess": 0.8112781244591328, "right": 1}
    assert {joined.feature: joined.bits for joined in found.ranked} == pytest.approx(bits, abs=1e-12)
    assert [joined.feature for joined in found.ranked] == ["setting", "output", "bit", DATUM, "guess", "right"]
    assert found.samples is None
    assert found.comprehensive is False
    assert found.verdict == "not comprehensive: 'setting' joined to model moves total by -2.375 for 1 bits"


def test_slices_are_searched_as_the_total_is():
    first = played(plan=Plan(slices=("setting",))).ranked[0]
    assert first.feature == "setting"
    assert first.strongest.where == "setting=HARD"
    assert (moved(first, "setting=EASY"), moved(first, "setting=HARD")) == (Fraction(1, 4), -5)


def test_errors_that_cancel_are_found_on_slices_only():
    features = ("kind", "meaning", "output", "right")
    blind, seeing = read(features), read(features, "kind")
    assert blind.comprehensive is True
    assert all(moved(joined) == 0 for joined in (*blind.ranked, *seeing.ranked))
    assert seeing.comprehensive is False
    assert [joined.feature for joined in seeing.moving] == ["output"]
    assert (moved(seeing.ranked[0], "kind=idiom"), moved(seeing.ranked[0], "kind=trap")) == (
        Fraction(-1, 2),
        Fraction(1, 2),
    )


def test_a_library_that_moves_nothing_makes_comprehensive_and_never_true():
    found = read(("kind", "meaning", "right", "claimed"), "kind", claimed="output")
    assert found.verdict == "comprehensive up to this library (features: 4, nodes: 1) at tolerance 1e-09"
    assert "true" not in found.verdict


@pytest.mark.parametrize("slices", [(), ("setting",)])
def test_sampled_changes_agree_with_exact_ones_within_four_paired_errors(slices: tuple[str, ...]):
    exact, sampled = played(plan=Plan(slices=slices)), played(plan=Plan(slices=slices, samples=8_000, seed=3))
    assert sampled.samples == 8_000
    known = {(joined.feature, change.where): change.estimate for joined in exact.ranked for change in joined.changes}
    for joined in sampled.ranked:
        for change in joined.changes:
            error = change.estimate.error
            assert error is not None
            assert abs(change.estimate.value - known[joined.feature, change.where].value) <= 4 * error + 1e-12
    assert {joined.feature for joined in sampled.ranked[:2]} == {"setting", "output"}


def test_pairing_leaves_out_what_both_hypotheses_draw_alike():
    sampled = read(("right",), claimed="output", samples=2_000)
    assert (sampled.ranked[0].changes[0].estimate.value, sampled.ranked[0].changes[0].estimate.error) == (0, 0)


def test_equal_seeds_give_equal_results():
    plan = Plan(samples=500, seed=5)
    assert played(plan=plan) == played(plan=plan)
    assert played(plan=plan) != played(plan=replace(plan, seed=6))


def test_what_is_claimed_already_is_counted_and_left_out():
    found = played(("claimed", "setting"))
    assert (found.idle, [joined.feature for joined in found.ranked]) == (1, ["setting"])
    assert "joins left out, which name what the node claims already: 1" in found.warnings


def test_near_injective_features_are_counted_and_left_out():
    found = played((DATUM, "setting"), search=Search())
    assert (found.injective, [joined.feature for joined in found.ranked]) == ((DATUM,), ["setting"])
    assert found.features == ("setting",)
    assert any(DATUM in warning for warning in found.warnings)


def test_a_datum_keeps_itself_by_the_size_of_its_class():
    assert kept(questions(), DATUM) == 1
    assert kept(questions(), "setting") == pytest.approx(1 / 4)
    assert kept(questions(), "output") == pytest.approx((1 / 2) * (1 / 2) + (1 / 2) * (1 / 4))
    weighted = Dataset.of("weighted", [{"x": x} for x in range(3)], {"low": lambda x: x < 2}, [0.25, 0.75, 0.0])
    assert kept(weighted, "low") == pytest.approx(0.25**2 + 0.75**2)


def test_the_limit_says_what_was_not_tried():
    found = played(("guess", "bit", "setting"), search=Search(limit=1))
    assert ([joined.feature for joined in found.ranked], found.untried) == (["guess"], 2)
    assert "joins above the limit, which were not tried: 2 (of the features bit, setting)" in found.warnings
    still = played(("right", "setting"), search=Search(limit=1))
    assert still.comprehensive is None
    assert "1 joins were not tried" in still.verdict


def test_samples_that_decide_nothing_say_so():
    found = played(("right",), plan=Plan(samples=500))
    assert found.comprehensive is None
    assert "draw more" in found.verdict


def test_what_does_not_fit_the_budget_is_sampled_or_refused():
    found = played(("setting",), plan=Plan(budget=5, samples=None))
    assert found.samples == 4_000
    assert "joins measured by samples, not exactly: 1 of 1" in found.warnings
    with pytest.raises(TooLarge):
        played(("setting",), plan=Plan(budget=5, exact=True))


def test_bits_of_all_drawn_data_stand_in_where_those_of_the_inputs_are_too_large(monkeypatch: pytest.MonkeyPatch):
    exact = played()

    def refused(*_: object) -> None:
        raise TooLarge("more than the budget")

    monkeypatch.setattr("engines.adversary.entropy", refused)
    found = played()
    assert [joined.bits for joined in found.ranked] == pytest.approx([joined.bits for joined in exact.ranked])
    assert "bits are those of all drawn data, not of the scrubbed inputs only: more than the budget" in found.warnings


def test_a_change_of_slices_only_has_its_bits_where_no_label_is_read():
    graph = Graph("copy", (Node.input("side"), Node.of("out", ("side",), Fraction)), "out")
    data = Dataset.of("sides", [{"side": side} for side in (0, 0, 1, 1)], {})
    nodes = (InterpNode("out", ("out",)), InterpNode("side", ("out <- side",), "out"))
    _, found = drain(adversary(graph, data, Hypothesis("copy", nodes), ("side",), Plan(slices=("side",))))
    assert (moved(found.ranked[0]), moved(found.ranked[0], "side=1")) == (0, Fraction(1, 2))
    assert (found.ranked[0].bits, found.ranked[0].per_bit) == (1, 1 / 2)
    assert any("the reference is none of them" in warning for warning in found.warnings)


def test_intervals_hold_for_all_changes_together():
    one, many = played(("right",)), played(GAME, Plan(slices=("setting",)))
    assert one.critical == pytest.approx(1.96, abs=1e-3)
    assert many.critical == pytest.approx(NormalDist().inv_cdf(1 - 0.05 / 2 / 18))


def test_unknown_features_and_no_features_are_refused():
    with pytest.raises(UnknownName, match="settin"):
        played(("settin",))
    with pytest.raises(InvalidSetting, match="setting"):
        played(())


def test_progress_is_told():
    events, _ = drain(adversary(game(), questions(), claim("claimed"), GAME))
    stage = next(event for event in events if isinstance(event, Stage) and event.name == "joins")
    assert [event.done for event in events if isinstance(event, Advance)][-1] == stage.total == 5
    assert any(isinstance(event, Notice) for event in events)


def chain() -> tuple[Graph, Dataset]:
    """The side of the input is passed on in two steps, and rewarded where it is that of the label."""
    parts = (
        Node.input("side"),
        Node.input("noise"),
        Node.of("low", ("side", "noise"), lambda side, noise: (side, noise)),
        Node.of("high", ("low",), lambda low: low),
        Node.of("reward", {"high": "high", "side": "side"}, lambda high, side: Fraction(high[0] == side)),
    )
    rows = [{"side": side, "noise": noise} for side in (0, 1) for noise in (0, 1)]
    data = Dataset.of("sides", rows, {"both": lambda side, noise: side ^ noise})
    return Graph("chain", parts, "reward", ("side",), reward=True), data


def test_a_feature_that_must_be_kept_all_the_way_is_found_by_joining_it_everywhere():
    graph, data = chain()
    nodes = (
        InterpNode("reward", ("reward",)),
        InterpNode("high", ("reward <- high",), "reward"),
        InterpNode("low", ("reward <- high <- low",), "high"),
    )
    _, found = drain(adversary(graph, data, Hypothesis("chain", nodes), ("side", "both")))
    changes = {(joined.feature, joined.nodes): moved(joined) for joined in found.ranked}
    assert changes["side", ("high",)] == changes["side", ("low",)] == 0
    assert changes["side", ("high", "low")] == Fraction(1, 2)
    assert found.ranked[0].nodes == ("high", "low")


def test_unmapped_groups_are_nodes_too():
    terms = _neuron.terms(_neuron.neuron())
    plan = Plan(slices=("example",))
    _, found = drain(adversary(terms, _neuron.inputs(), _neuron.important(*_neuron.BOTH), (DATUM,), plan, ALL))
    assert len(found.nodes) == len(found.ranked) == 1
    assert moved(found.ranked[0]) == 0
    assert moved(found.ranked[0], "example=(3, 3)") == 144 - Fraction(106, 9)


def test_exact_nodes_have_nothing_to_join_and_others_that_are_not_drawn_by_features_are_named():
    graph, data = chain()
    exact = Hypothesis("chain", (InterpNode("reward", ("reward",), other=EXACT),))
    _, found = drain(adversary(graph, data, exact, ("side",)))
    assert (found.nodes, found.ranked, found.comprehensive) == ((), (), True)
    fixed = InterpNode("high", ("reward <- high",), "reward", draw=Source("fixed", "0"))
    _, found = drain(adversary(graph, data, Hypothesis("chain", (InterpNode("reward", ("reward",)), fixed)), ("side",)))
    assert "nodes left out, which are not drawn by their features: 1 (high)" in found.warnings
