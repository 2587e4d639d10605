"""Scores against counts by hand, sweeps against single interchanges, and the controls that a score is read against."""

import copy
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.activations import capture
from engines.decoder_model import DecoderModel
from engines.errors import InsufficientData, UnknownName
from engines.evaluation import RANDOM_SITES, estimate, full, full_swap_handle, hold_out, joint, quality, sweep
from engines.events import Advance, Piece, Stage, drain
from engines.featurize import Coordinates, Rotation, Whole
from engines.handle import Handle, Part
from engines.intervene import Jobs, start_layer, swapped
from engines.intervene import replace as full_swap
from engines.report import Claims, report
from engines.score import Cost, wilson
from engines.site import Site
from engines.task import Pair, Pairs, Problem, draw_pairs
from tests.known import BOTH, conjunction, conjunction_problem
from tests.wrapped import Spoiled

SETTINGS = [{"x0": x0, "x1": x1} for x0, x1 in itertools.product((0, 1), repeat=2)]


def every_pair() -> Pairs:
    """All 16 pairs of the conjunction, each once, bases in order and for each the sources in order."""
    _, task = conjunction()
    at = {"first": 0, "last": 1}
    every = itertools.cycle([Pair(base, source, at, at) for base, source in itertools.product(SETTINGS, repeat=2)])
    pairs = draw_pairs(replace(task, draw=lambda _rng: next(every)), "audit", quota=32, seed=0, attempts=1)
    assert pairs.n == 16
    return pairs


PAIRS = every_pair()
MODEL = conjunction()[0]


def problem(target: str = "copied", seed: int = 0) -> Problem:
    """The conjunction with all 16 pairs in every part."""
    return replace(conjunction_problem(target), fit=PAIRS, calibration=PAIRS, test=PAIRS, seed=seed)


SWAPS: dict[str, Callable[[int, int, int, int], int]] = {
    "L0.resid_pre@first": lambda _x0, x1, y0, _y1: y0 & x1,  # attention copies the source's first bit
    "L0.resid_pre@last": lambda x0, _x1, _y0, y1: x0 & y1,
    "L0.attn_out@first": lambda x0, x1, _y0, _y1: x0 & x1,  # nobody reads the first position after attention
    "L0.attn_out@last": lambda _x0, x1, y0, _y1: y0 & x1,
    "L0.mlp_out@first": lambda x0, x1, _y0, _y1: x0 & x1,
    "L0.mlp_out@last": lambda _x0, _x1, y0, y1: y0 & y1,
    "L0.resid_post@first": lambda x0, x1, _y0, _y1: x0 & x1,
    "L0.resid_post@last": lambda _x0, _x1, y0, y1: y0 & y1,
}
"""What the network answers on base x after a full swap with source y, read off its weights."""


@pytest.mark.parametrize("place", SWAPS)
def test_a_full_swap_answers_what_the_weights_say(place: str) -> None:
    _, swept = drain(sweep(MODEL, PAIRS, full(MODEL, [Site.parse(place)]), {}))
    expected = [SWAPS[place](*b.values(), *s.values()) for b, s in itertools.product(SETTINGS, repeat=2)]
    assert swept.outputs[0, :, 0].argmax(-1).tolist() == expected
    assert swept.base[:, 0].argmax(-1).tolist() == [b["x0"] & b["x1"] for b in SETTINGS for _ in SETTINGS]


@pytest.mark.parametrize(
    ("place", "variable", "iia", "invariance"),
    [
        # the label of ``copied`` is y0 & x1: 4 pairs inform (x1 = 1, y0 other than x0), 12 do not
        ("L0.attn_out@last", "copied", (4, 4), (12, 12)),
        ("L0.mlp_out@last", "copied", (3, 4), (9, 12)),
        ("L0.attn_out@first", "copied", (0, 4), (12, 12)),
        # the label of ``both`` is y0 & y1: 3 pairs go from 1 to 0 and 3 from 0 to 1, 10 stay
        ("L0.mlp_out@last", "both", (6, 6), (10, 10)),
        ("L0.attn_out@last", "both", (3, 6), (9, 10)),
        ("L0.attn_out@first", "both", (0, 6), (10, 10)),
    ],
)
def test_scores_equal_counts_by_hand(
    place: str, variable: str, iia: tuple[int, int], invariance: tuple[int, int]
) -> None:
    _, swept = drain(sweep(MODEL, PAIRS, full(MODEL, [Site.parse(place)]), {}))
    [found] = swept.quality(variable)
    assert found.iia == wilson(*iia)
    assert found.invariance == wilson(*invariance)


def test_a_score_needs_informative_pairs_and_a_known_variable() -> None:
    outputs = torch.zeros(PAIRS.n, 1, 2)
    silent = replace(PAIRS, labels={**PAIRS.labels, "copied": PAIRS.base_labels})
    with pytest.raises(InsufficientData, match="a score needs at least one pair"):
        quality(outputs, silent, "copied")
    with pytest.raises(UnknownName, match=r"unknown variable 'copy'\. Did you mean 'copied'"):
        quality(outputs, PAIRS, "copy")


def test_invariance_is_unknown_when_every_valid_pair_informs() -> None:
    informs = PAIRS.informative("both")
    only = replace(PAIRS, valid={**PAIRS.valid, "both": informs})
    right = torch.nn.functional.one_hot(PAIRS.labels["both"], 2).float()
    assert quality(right, only, "both").invariance is None
    assert quality(right, only, "both").value == 1.0


def test_a_sweep_equals_interchanges_one_by_one() -> None:
    task = problem()
    events, swept = drain(sweep(MODEL, PAIRS, full(MODEL, task.sites), {}))
    assert swept.sites == task.sites  # in the order that was asked for, whatever the order of layers
    for site, outputs in zip(task.sites, swept.outputs, strict=True):
        activations = capture(MODEL, PAIRS, [site], [start_layer(site)])
        torch.testing.assert_close(outputs, swapped(MODEL, activations, [Jobs(site, 1, full_swap)])[0])
    assert events[0] == Stage("sweep", len(task.sites), "sites")
    assert [event.done for event in events if isinstance(event, Advance)][-1] == len(task.sites)


def pieces(events: Iterable[object]) -> dict[str, Mapping[str, torch.Tensor]]:
    return {event.key: event.tensors for event in events if isinstance(event, Piece)}


def test_finished_pieces_are_not_run_again_and_say_the_same() -> None:
    sites = problem().sites
    events, whole = drain(sweep(MODEL, PAIRS, full(MODEL, sites), {}))
    done = pieces(events)
    assert len(done) == len({start_layer(site) for site in sites}) == 2
    again_events, again = drain(sweep(Spoiled(MODEL, None), PAIRS, full(MODEL, sites), done))
    assert not pieces(again_events)
    assert torch.equal(again.outputs, whole.outputs)
    assert torch.equal(again.base, whole.base)
    assert again.cost == whole.cost  # seconds too: they are those of the work that was done
    first = dict(list(done.items())[:1])
    rest_events, rest = drain(sweep(MODEL, PAIRS, full(MODEL, sites), first))
    assert {**first, **pieces(rest_events)}.keys() == done.keys()
    assert torch.equal(rest.outputs, whole.outputs)
    assert (rest.cost.forward_passes, rest.cost.layer_evaluations) == (
        whole.cost.forward_passes,
        whole.cost.layer_evaluations,
    )


def test_pieces_of_other_work_do_not_fit() -> None:
    """A key holds the network with its weights, the pairs with their answer code, the layer and the sites."""
    sites = problem().sites
    fewer = replace(PAIRS, **halves(PAIRS))
    other = DecoderModel("another", MODEL.decoder)
    broken = DecoderModel(MODEL.name, copy.deepcopy(MODEL.decoder))
    broken.decoder.W_U.data[0, 0] += 1.0
    recoded = replace(PAIRS, answer=replace(PAIRS.answer, columns=(1, 0)))
    parts = full(MODEL, sites)
    softer = (replace(parts[0], strength=0.5), *parts[1:])
    fewer_coordinates = (Part(sites[0], Coordinates(6, (0,))), *parts[1:])
    works = [(MODEL, PAIRS, parts), (other, PAIRS, parts), (MODEL, fewer, parts), (MODEL, PAIRS, parts[1:])]
    works += [
        (broken, PAIRS, parts),
        (MODEL, recoded, parts),
        (MODEL, PAIRS, softer),
        (MODEL, PAIRS, fewer_coordinates),
    ]
    keys = [set(pieces(drain(sweep(*work, {}))[0])) for work in works]
    for one, another in itertools.combinations(keys, 2):
        assert not one & another


def halves(pairs: Pairs) -> dict[str, object]:
    """The fields of the first eight pairs."""
    index = torch.arange(8)
    tables = {name: getattr(pairs, name) for name in ("base_at", "source_at", "labels", "valid", "values", "fair")}
    return {
        "bases": pairs.bases.take(index),
        "sources": pairs.sources.take(index),
        "answers_at": pairs.answers_at[index],
        "base_labels": pairs.base_labels[index],
        "plain": None if pairs.plain is None else pairs.plain[index],
        **{name: {key: value[index] for key, value in table.items()} for name, table in tables.items()},
    }


def test_invariance_is_reported_on_pairs_as_they_were_drawn() -> None:
    """Those that were kept for other variables are harder; a choice uses them, an estimate must not."""
    kept = torch.arange(PAIRS.n) % 2 == 0
    outputs = PAIRS.answer.ideal(PAIRS.labels["copied"])
    outputs[~kept] = 1 - outputs[~kept]  # wrong on all pairs that were not kept as they came
    pairs = replace(PAIRS, plain=kept)
    chosen, reported = quality(outputs, pairs, "copied").invariance, estimate(outputs, pairs, "copied").invariance
    assert chosen is not None
    assert reported is not None
    assert chosen.value < 1.0
    assert (reported.value, reported.n) == (1.0, int((pairs.invariant("copied") & kept).sum()))


# Controls


@pytest.mark.parametrize("variable", ["copied", "both"])
def test_doing_nothing_scores_exactly_zero_and_one(variable: str) -> None:
    for site in problem().sites:
        _, controls, _ = hold_out(problem(variable), full_swap_handle(variable, site, MODEL, None), {})
        assert controls.no_op.iia.value == 0.0
        assert controls.no_op.invariance is not None
        assert controls.no_op.invariance.value == 1.0


def test_a_handle_is_scored_by_its_features_and_the_full_swap_by_the_whole_vector() -> None:
    site = Site.parse("L0.resid_post@last")
    handle = Handle("both", (Part(site, Coordinates(6, (BOTH,))),), None)
    found, controls, _ = hold_out(problem("both"), handle, {})
    assert (found.value, controls.full_swap.value) == (1.0, 1.0)
    idle = Handle("both", (Part(site, Coordinates(6, ())),), None)
    found, controls, _ = hold_out(problem("both"), idle, {})
    assert (found.iia.value, controls.full_swap.iia.value) == (0.0, 1.0)
    span = replace(site, span=(BOTH - 1, BOTH))  # COPIED: after the MLP nobody reads it
    found, controls, _ = hold_out(problem("both"), full_swap_handle("both", span, MODEL, None), {})
    assert (found.iia.value, controls.full_swap.iia.value) == (0.0, 1.0)


def test_answers_are_those_behind_the_scores_pair_by_pair_with_their_bases() -> None:
    site = Site.parse("L0.mlp_out@last")
    found, controls, answers = hold_out(problem("copied"), full_swap_handle("copied", site, MODEL, None), {})
    each = list(itertools.product(SETTINGS, repeat=2))
    label = [s["x0"] & b["x1"] for b, s in each]
    right = [SWAPS[str(site)](*b.values(), *s.values()) == one for (b, s), one in zip(each, label, strict=True)]
    informs = [b["x0"] & b["x1"] != one for (b, _), one in zip(each, label, strict=True)]
    for name, among in (("iia", informs), ("invariance", [not one for one in informs])):
        told, places = answers[name], [place for place, is_there in enumerate(among) if is_there]
        assert told.handle == told.full_swap == "".join("01"[right[place]] for place in places)
        assert told.no_op == "01"[name == "invariance"] * len(places)
        bases = [SETTINGS.index(each[place][0]) for place in places]
        assert len({*zip(told.base, bases, strict=True)}) == len(set(bases)) == len(set(told.base))
    score = answers["iia"]
    assert wilson(score.handle.count("1"), len(score.handle), independent=len(set(score.base))) == found.iia
    assert wilson(score.no_op.count("1"), len(score.no_op), independent=len(set(score.base))) == controls.no_op.iia


def test_without_pairs_to_leave_alone_there_are_no_answers_on_them() -> None:
    asked = problem("both")
    informs = PAIRS.informative("both")
    asked = replace(asked, test=replace(PAIRS, valid={**PAIRS.valid, "both": informs}))
    handle = full_swap_handle("both", Site.parse("L0.mlp_out@last"), MODEL, None)
    assert list(hold_out(asked, handle, {})[2]) == ["iia"]


def test_random_sites_are_drawn_by_the_seed_alone() -> None:
    def pooled(site: str, seed: int) -> object:
        handle = full_swap_handle("copied", Site.parse(site), MODEL, None)
        return hold_out(problem(seed=seed), handle, {})[1].random_site

    assert len(problem().sites) > RANDOM_SITES  # else there is nothing to draw
    assert pooled("L0.attn_out@last", 0) == pooled("L0.mlp_out@last", 0)
    assert len({pooled("L0.attn_out@last", seed) for seed in range(8)}) > 1


def test_random_sites_are_pooled_with_the_interval_of_one() -> None:
    """With eight candidates all are drawn, so that the control is the mean of the counts by hand."""
    eight = tuple(Site.parse(place) for place in SWAPS)
    assert len(eight) == RANDOM_SITES
    asked = replace(problem("copied"), sites=eight)
    handle = full_swap_handle("copied", eight[0], MODEL, None)
    pooled = hold_out(asked, handle, {})[1].random_site
    # informative: resid_pre@first and attn_out@last 4 of 4, resid_pre@last 1, mlp_out@last and resid_post@last 3
    # the four pairs have two distinct bases, (0, 1) and (1, 1)
    assert pooled.iia == wilson((4 + 4 + 1 + 3 + 3) / 8, 4, independent=2)
    counts = []
    for answer in SWAPS.values():
        kept = [(*b.values(), *s.values()) for b, s in itertools.product(SETTINGS, repeat=2)]
        kept = [(x0, x1, y0, y1) for x0, x1, y0, y1 in kept if (y0 & x1) == (x0 & x1)]
        counts.append(sum(answer(*pair) == pair[0] & pair[1] for pair in kept))
    assert pooled.invariance is not None
    assert pooled.invariance.value == pytest.approx(sum(counts) / 8 / 12)
    assert pooled.invariance.n == 12


@pytest.mark.parametrize("answer", [0, 1])
@pytest.mark.parametrize("variable", ["copied", "both"])
def test_a_patch_that_always_answers_alike_is_not_believed(variable: str, answer: int) -> None:
    """Its chance is the share of that answer among the labels of the other 15 pairs."""
    stuck = Spoiled(MODEL, answer)
    asked = replace(problem(variable), model=stuck)
    handle = full_swap_handle(variable, Site.parse("L0.mlp_out@last"), MODEL, None)
    _, fit = drain(report(asked, Claims((handle,), (), Cost()), {}))
    labels, chance = PAIRS.labels[variable][:, 0], fit.controls.chance
    assert chance is not None
    others = [(int((labels == answer).sum()) - int(label == answer)) / 15 for label in labels]
    informative, invariant = PAIRS.informative(variable), PAIRS.invariant(variable)
    assert chance.iia.value == pytest.approx(float(np.mean([others[row] for row in informative.nonzero()[:, 0]])))
    assert chance.invariance is not None
    assert chance.invariance.value == pytest.approx(float(np.mean([others[row] for row in invariant.nonzero()[:, 0]])))
    assert not fit.believed


def test_chance_of_a_right_patch_is_far_below_it() -> None:
    handle = full_swap_handle("both", Site.parse("L0.mlp_out@last"), MODEL, None)
    found, controls, _ = hold_out(problem("both"), handle, {})
    assert found.value == 1.0
    # labels: 4 ones, 12 zeros; three informative pairs of each: (3 x 3/15 + 3 x 11/15) / 6
    assert controls.chance is not None
    assert controls.chance.iia.value == pytest.approx((3 * 3 + 3 * 11) / 15 / 6)


def test_chance_is_unknown_with_a_single_valid_pair() -> None:
    alone = torch.zeros(16, dtype=torch.bool)
    alone[int(PAIRS.informative("both").nonzero()[0])] = True
    asked = replace(problem("both"), test=replace(PAIRS, valid={**PAIRS.valid, "both": alone}))
    handle = full_swap_handle("both", Site.parse("L0.mlp_out@last"), MODEL, None)
    assert hold_out(asked, handle, {})[1].chance is None


def test_a_finished_sweep_of_test_pairs_saves_running_them_again() -> None:
    asked = problem("both")
    events, _ = drain(sweep(MODEL, asked.test, full(MODEL, asked.sites), {}))
    handle = full_swap_handle("both", Site.parse("L0.mlp_out@last"), MODEL, None)
    spoiled = replace(asked, model=Spoiled(MODEL, None))
    assert hold_out(spoiled, handle, pieces(events)) == hold_out(asked, handle, {})
    rotated = Handle("both", (Part(handle.site, Rotation(torch.eye(6)[:, :1])),), None)
    with pytest.raises(AssertionError):
        hold_out(spoiled, rotated, pieces(events))


def test_parts_are_swapped_together() -> None:
    """``both`` reads x1 at its own position and what attention copied: only together do they carry the answer."""
    one, other = full(MODEL, map(Site.parse, ("L0.attn_out@last", "L0.resid_pre@last")))
    outputs, base = joint(MODEL, PAIRS, [(one,), (other,), (one, other), (other, one)])
    _, swept = drain(sweep(MODEL, PAIRS, (one, other), {}))
    torch.testing.assert_close(outputs[:2], swept.outputs)
    torch.testing.assert_close(base, swept.base)
    torch.testing.assert_close(outputs[2], outputs[3])
    right = PAIRS.answer.correct(outputs, PAIRS.labels["both"].expand(4, -1, -1)).double().mean(1)
    assert right[2] == 1.0
    assert right[:2].max() < 1.0


def test_a_strength_of_a_half_goes_half_the_way() -> None:
    site = Site.parse("L0.mlp_out@last")
    soft = Part(site, Whole(6), 0.5)
    base, source = torch.zeros(2, 6), torch.ones(2, 6)
    assert soft.exchange(base, source).tolist() == [[0.5] * 6] * 2
    outputs, idle = joint(MODEL, PAIRS, [(soft,), (Part(site, Whole(6)),)])
    torch.testing.assert_close(outputs[0], (outputs[1] + idle) / 2)  # the unembedding is linear
