"""Counterfactual pairs: quotas, parts that share no input, labels, and what is refused."""

import contextlib
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from engines.answer import NOTHING, Choice
from engines.causal import CausalModel, Setting, Variable
from engines.errors import InsufficientData, InvalidModel, Undefined, UnknownName, UnsupportedSite
from engines.site import Site
from engines.task import GIVE_UP, PARTS, Pair, Pairs, Task, draw_pairs
from tests.known import conjunction_problem

CAUSAL = CausalModel(
    inputs=(Variable("a", tuple(range(12))), Variable("b", tuple(range(12)))),
    mechanisms={
        "third": lambda a: a % 3,
        "deaf": lambda a: a % 5,  # nothing reads it
        "answer": lambda third, b: (third + b) % 3,
    },
    output="answer",
)


def tokens(setting: Setting) -> Sequence[int]:
    """``a`` as so many tokens, so that inputs differ in length, then ``b``."""
    return [1] * int(str(setting["a"])) + [int(str(setting["b"])), 0]


def draw(rng: np.random.Generator) -> Pair:
    base, source = CAUSAL.sample(rng), CAUSAL.sample(rng)
    at = [{"b": int(str(setting["a"])), "last": int(str(setting["a"])) + 1} for setting in (base, source)]
    return Pair(base, source, at[0], at[1])


def counterfactual(variable: str, _pair: Pair, base: Setting, source: Setting) -> Setting:
    if variable == "third" and source["a"] == 11:
        raise Undefined("eleven is not defined for 3 sources", "the source is eleven")
    return CAUSAL.intervene(base, {variable: source[variable]})


TASK = Task(
    "thirds",
    CAUSAL,
    Choice((0, 1, 2), (0, 1, 2)),
    ("third", "deaf"),
    ("b", "last"),
    tokens,
    draw,
    lambda variable, run, _at: run[variable],
    counterfactual,
    lambda run: [run["answer"]],
    lambda run: [int(str(run["a"])) + 1],
)


def rows(pairs: Pairs) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The unpadded tokens of every base and source."""
    sides = []
    for batch in (pairs.bases, pairs.sources):
        sides.append([tuple(row[mask].tolist()) for row, mask in zip(batch.tokens, batch.mask, strict=True)])
    return list(zip(*sides, strict=True))


def settings(pairs: Pairs) -> list[tuple[Setting, Setting]]:
    """Bases and sources as settings again, read off their tokens."""
    return [({"a": len(b) - 2, "b": b[-2]}, {"a": len(s) - 2, "b": s[-2]}) for b, s in rows(pairs)]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return draw_pairs(TASK, "fit", quota=20, seed=0)


@pytest.mark.parametrize("part", PARTS)
def test_the_quota_is_reached_and_some_pairs_are_kept_as_they_come(part: str) -> None:
    drawn = draw_pairs(TASK, part, quota=40, seed=3)
    assert int(drawn.informative("third").sum()) >= 40
    # a third of random pairs is invariant; were only informative ones kept, none would be
    assert int(drawn.invariant("third").sum()) >= 4


@pytest.mark.parametrize("seed", range(4))
def test_parts_share_no_base_whatever_their_seeds(seed: int) -> None:
    bases = {
        (part, number): {base for base, _ in rows(draw_pairs(TASK, part, quota=24, seed=number))}
        for part in ("fit", "calibration", "test")
        for number in (seed, seed + 1)
    }
    for (one, _), mine in bases.items():
        for (other, _), theirs in bases.items():
            assert one == other or not mine & theirs


def test_fit_calibration_and_test_divide_all_inputs_between_them() -> None:
    everything = itertools.cycle(CAUSAL.enumerate())

    def in_turn(rng: np.random.Generator) -> Pair:
        base = next(everything)
        at = {"b": int(str(base["a"])), "last": int(str(base["a"])) + 1}
        return replace(TASK.draw(rng), base=base, base_at=at)

    seen: Counter[tuple[int, ...]] = Counter()
    for part in ("fit", "calibration", "test"):
        drawn = draw_pairs(replace(TASK, draw=in_turn), part, quota=300, seed=0)
        seen.update({base for base, _ in rows(drawn)})
    assert set(seen) == {tuple(tokens(setting)) for setting in CAUSAL.enumerate()}
    assert set(seen.values()) == {1}


def test_pairs_are_distinct(pairs: Pairs) -> None:
    assert len(set(rows(pairs))) == pairs.n
    crowded = draw_pairs(TASK, "calibration", quota=150, seed=0)
    assert len(set(rows(crowded))) == crowded.n


def test_labels_are_the_causal_models_interchanges(pairs: Pairs) -> None:
    for number, (base, source) in enumerate(settings(pairs)):
        assert pairs.base_labels[number].tolist() == [CAUSAL.run(base)["answer"]]
        assert pairs.labels["deaf"][number].tolist() == [CAUSAL.run(base)["answer"]]
        assert bool(pairs.valid["third"][number]) == (source["a"] != 11)
        if source["a"] != 11:
            expected = CAUSAL.interchange(base, {"third": source})["answer"]
            assert pairs.labels["third"][number].tolist() == [expected]


def test_positions_count_in_the_padded_batch(pairs: Pairs) -> None:
    width = pairs.bases.tokens.shape[1]
    assert pairs.bases.padding.max() > 0  # else nothing is tested
    assert torch.equal(pairs.answers_at, torch.full((pairs.n, 1), width - 1))
    assert torch.equal(pairs.base_at["last"], pairs.answers_at[:, 0])
    for at, batch, side in ((pairs.base_at, pairs.bases, 0), (pairs.source_at, pairs.sources, 1)):
        found = batch.tokens[torch.arange(pairs.n), at["b"]].tolist()
        assert found == [pair[side]["b"] for pair in settings(pairs)]


def test_informative_and_invariant_divide_the_valid_pairs(pairs: Pairs) -> None:
    for variable in TASK.variables:
        informative, invariant = pairs.informative(variable), pairs.invariant(variable)
        assert torch.equal(informative | invariant, pairs.valid[variable])
        assert not bool((informative & invariant).any())
    assert not bool(pairs.informative("deaf").any())
    changed = [CAUSAL.run(b)["third"] != CAUSAL.run(s)["third"] and s["a"] != 11 for b, s in settings(pairs)]
    assert pairs.informative("third").tolist() == changed


def test_pairs_without_a_label_are_counted_by_reason() -> None:
    drawn = draw_pairs(TASK, "audit", quota=100, seed=0)
    eleven = sum(source["a"] == 11 for _, source in settings(drawn))
    assert eleven > 0
    assert drawn.skipped == {"third": {"the source is eleven": eleven}, "deaf": {}}
    assert int((~drawn.valid["third"]).sum()) == eleven


def test_equal_values_have_equal_numbers(pairs: Pairs) -> None:
    for variable in TASK.variables:
        taken = [value for pair in settings(pairs) for value in (CAUSAL.run(side)[variable] for side in pair)]
        numbers = pairs.values[variable].flatten().tolist()
        assert len(set(zip(taken, numbers, strict=True))) == len(set(taken)) == len(set(numbers))


def test_a_seed_is_a_draw() -> None:
    one, same, other = (draw_pairs(TASK, "test", quota=10, seed=seed) for seed in (1, 1, 2))
    assert (one.digest, one.labels_digest) == (same.digest, same.labels_digest)
    assert one.digest != other.digest
    assert draw_pairs(TASK, "fit", quota=10, seed=1).digest != one.digest


def test_a_digest_sees_tokens_positions_and_labels(pairs: Pairs) -> None:
    moved = replace(pairs, base_at={**pairs.base_at, "b": pairs.base_at["b"] - 1})
    assert moved.digest != pairs.digest
    other = replace(pairs, labels={**pairs.labels, "third": (pairs.labels["third"] + 1) % 3})
    assert other.digest == pairs.digest
    assert other.labels_digest != pairs.labels_digest


def counted(task: Task) -> tuple[Task, list[int]]:
    """The task with a count of its draws."""
    draws = [0]

    def counting(rng: np.random.Generator) -> Pair:
        draws[0] += 1
        return task.draw(rng)

    return replace(task, draw=counting), draws


def test_a_variable_that_never_informs_is_given_up() -> None:
    task, draws = counted(TASK)
    drawn = draw_pairs(task, "audit", quota=10, seed=0)
    assert int(drawn.informative("third").sum()) >= 10
    assert draws[0] == GIVE_UP * 10  # not the 400 x 10 that a quota out of reach would take
    alone, draws = counted(replace(TASK, variables=("third",)))
    draw_pairs(alone, "audit", quota=10, seed=0)
    assert draws[0] < 10 * 10


def test_a_rare_variable_is_drawn_until_its_quota() -> None:
    """A variable that informs sometimes is no hopeless one, also after ``GIVE_UP * quota`` draws."""

    def rarely(variable: str, pair: Pair, base: Setting, source: Setting) -> Setting:
        if pair.base["a"] != 4 or pair.base["b"] not in (4, 5, 6):
            raise Undefined("only three bases")
        return counterfactual(variable, pair, base, source)

    task, draws = counted(replace(TASK, counterfactual=rarely))
    drawn = draw_pairs(task, "audit", quota=10, seed=0)
    assert int(drawn.informative("third").sum()) == 10
    assert draws[0] > GIVE_UP * 10


def test_pairs_that_are_kept_for_another_variable_do_not_inform_on_a_full_one() -> None:
    """Bases of a rare variable are unlike others: a share among pairs that were kept for it would be theirs."""

    def rarely(variable: str, pair: Pair, base: Setting, source: Setting) -> Setting:
        if variable == "deaf":  # here as effective as ``third``, but for few bases only
            return counterfactual("third", pair, base, source) if pair.base["a"] == 4 else base
        return counterfactual(variable, pair, base, source)

    drawn = draw_pairs(replace(TASK, counterfactual=rarely), "audit", quota=10, seed=0)
    rare = torch.tensor([base["a"] == 4 for base, _ in settings(drawn)])
    differs = TASK.answer.differs(drawn.labels["third"], drawn.base_labels) & drawn.valid["third"]
    full = int(differs.cumsum(0).eq(10).nonzero()[0])
    assert bool(rare[full + 1 :].all())
    assert bool(differs[full + 1 :].any())  # else nothing is tested
    assert not bool(drawn.informative("third")[full + 1 :].any())
    assert int(drawn.informative("third").sum()) == 10
    assert int(drawn.informative("deaf").sum()) == 10


@pytest.mark.parametrize(("part", "plain"), [("fit", 20), ("calibration", 20), ("test", 40), ("audit", 20)])
def test_the_first_pairs_are_kept_as_they_come(part: str, plain: int) -> None:
    drawn = draw_pairs(TASK, part, quota=40, seed=1)
    assert drawn.plain is not None
    assert drawn.plain.tolist() == [row < plain for row in range(drawn.n)]
    assert torch.equal(drawn.invariant_as_drawn("third"), drawn.invariant("third") & drawn.plain)
    assert int(drawn.invariant_as_drawn("third").sum()) > 0


def test_an_answer_that_only_the_label_gives_neither_informs_nor_stays() -> None:
    def open_at_zero(run: Setting) -> list[object]:
        return [None if run["third"] == 0 else run["answer"]]

    drawn = draw_pairs(replace(TASK, answers=open_at_zero), "audit", quota=20, seed=0)
    thirds = [(CAUSAL.run(base)["third"], CAUSAL.run(source)["third"]) for base, source in settings(drawn)]
    valid, informative, invariant = drawn.valid["third"], drawn.informative("third"), drawn.invariant("third")
    opened = torch.tensor([base == 0 and source != 0 for base, source in thirds])
    left_open = torch.tensor([source == 0 for _, source in thirds])  # the label asks nothing: any output is right
    assert bool((opened & valid).any())
    assert bool((left_open & valid).any())
    assert not bool((informative | invariant)[opened].any())
    assert torch.equal(invariant & left_open, valid & left_open)
    assert torch.equal(informative, valid & ~opened & ~left_open & torch.tensor([a != b for a, b in thirds]))


def test_draws_end_when_a_quota_is_out_of_reach() -> None:
    one = TASK.draw(np.random.default_rng(0))

    def same_base(rng: np.random.Generator) -> Pair:
        a = int(rng.integers(12))
        return Pair(one.base, {"a": a, "b": 0}, one.base_at, {"b": a, "last": a + 1})

    task, draws = counted(replace(TASK, variables=("third",), draw=same_base))
    drawn = draw_pairs(task, "audit", quota=8, seed=0)
    assert draws[0] == 400 * 8
    assert CAUSAL.run(one.base)["third"] == 1
    assert int(drawn.informative("third").sum()) == 7  # the sources 0, 2, 3, 5, 6, 8 and 9


def test_answers_beyond_a_rows_end_are_no_answers() -> None:
    """Answers at every position: rows of different lengths are padded with nothing, which is never informative."""

    def everywhere(run: Setting) -> list[object]:
        return [None, *[run["answer"]] * int(str(run["a"]))]

    task = replace(TASK, answers=everywhere, answer_positions=lambda run: range(int(str(run["a"])) + 1))
    drawn = draw_pairs(task, "audit", quota=20, seed=0)
    lengths = torch.tensor([base["a"] + 1 for base, _ in settings(drawn)])  # type: ignore[operator]
    assert torch.equal(drawn.answered.sum(1), lengths)
    assert drawn.answers_at.shape[1] == lengths.max() > lengths.min()
    first = torch.where(drawn.answered, drawn.answers_at, 99).amin(1)
    assert torch.equal(first, drawn.bases.padding)
    assert bool((drawn.base_labels[:, 0] == NOTHING).all())
    assert bool((drawn.base_labels[~drawn.answered] == NOTHING).all())


def test_a_wrong_part_answers_with_the_right_ones() -> None:
    with pytest.raises(UnknownName, match=r"unknown part 'tests'\. Did you mean 'test'\? Known: audit, calibration"):
        draw_pairs(TASK, "tests", quota=4, seed=0)


def test_too_few_inputs_to_split() -> None:
    only = Pair({"a": 1, "b": 1}, {"a": 2, "b": 0}, {"b": 1, "last": 2}, {"b": 2, "last": 3})
    single = replace(TASK, draw=lambda _rng: only)
    refused = []
    for part in ("fit", "calibration", "test"):
        with contextlib.suppress(InsufficientData):
            assert draw_pairs(single, part, quota=2, seed=0).n == 1
            continue
        refused.append(part)
    assert len(refused) == 2  # the one input belongs to exactly one part
    for part in refused:
        with pytest.raises(
            InsufficientData, match=f"thirds: no pair could be drawn for '{part}'; the task has too few"
        ):
            draw_pairs(single, part, quota=2, seed=0)


@pytest.mark.parametrize("count", ["informative", "invariant"])
def test_a_wrong_variable_answers_with_the_nearest(pairs: Pairs, count: str) -> None:
    with pytest.raises(UnknownName, match=r"unknown variable 'thirds'\. Did you mean 'third'\? Known: deaf, third"):
        getattr(pairs, count)("thirds")


def test_a_problem_names_its_target_first() -> None:
    problem = conjunction_problem()
    with pytest.raises(InvalidModel, match=r"target 'both' must be the first of the variables \('copied', 'both'\)"):
        replace(problem, target="both")
    with pytest.raises(InvalidModel, match="target 'neither' must be the first"):
        replace(problem, target="neither")


def test_a_problem_needs_candidate_sites_that_the_model_has() -> None:
    problem = conjunction_problem()
    with pytest.raises(UnsupportedSite, match=r"L1\.resid_post@last: this model has layers 0 to 0"):
        replace(problem, sites=(*problem.sites, Site.parse("L1.resid_post@last")))
    with pytest.raises(InvalidModel, match="conjunction has no candidate site"):
        replace(problem, sites=())


@pytest.mark.parametrize("part", ["fit", "calibration", "test"])
def test_a_problem_needs_informative_pairs_in_every_part(part: str) -> None:
    problem = conjunction_problem()
    pairs: Pairs = getattr(problem, part)
    silent = replace(pairs, labels={**pairs.labels, "copied": pairs.base_labels})
    sentence = f"conjunction: none of {pairs.n} {part} pairs informs on 'copied'; a score would only measure doing"
    with pytest.raises(InsufficientData, match=sentence):
        replace(problem, **{part: silent})
    nowhere = replace(
        pairs,
        valid={**pairs.valid, "copied": torch.zeros(pairs.n, dtype=torch.bool)},
        skipped={"copied": {"the moon is full": pairs.n}},
    )
    with pytest.raises(InsufficientData, match=f"without a label: {pairs.n} because the moon is full"):
        replace(problem, **{part: nowhere})
