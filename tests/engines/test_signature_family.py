"""The family of signatures: each by hand, their laws, their floors, and what averaging over pairs cannot see."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.answer import Choice, Number
from engines.costs import costs, coverage, tables
from engines.errors import InsufficientData, InvalidModel, InvalidSetting
from engines.evaluation import Sweep
from engines.resample import subset
from engines.signature import SIGNATURES
from tests.engines.test_signature import BASE, LABEL, SURE, swept

ROUNDING = {False: 1e-6, True: 1e-3}
"""What costs may differ by; the mean scales even rounding, where effects cancel, towards unit length."""


def random_sweep(seed: int, pairs: int = 12, sites: int = 3, families: int = 2) -> Sweep:
    """Two-valued answers at random, a site that is right on most pairs, and others that are noise."""
    generator = torch.Generator().manual_seed(seed)

    def letters() -> list[list[str]]:
        return [["ab"[int(bit)]] for bit in torch.randint(2, (pairs,), generator=generator)]

    base, label = letters(), letters()
    base[0], label[0] = ["a"], ["b"]
    found = swept(SURE, base, label, [label, *(letters() for _ in range(sites - 1))])
    noise = 0.3 * torch.rand(found.outputs.shape, generator=generator)
    family = torch.arange(pairs) % families
    change = torch.randn(pairs, 4, generator=generator)
    more = {"family": family, "families": tuple(map(str, range(families))), "change": change}
    answer = Choice(("a", "b"), (0, 1), sharpness=2.0)
    return replace(found, outputs=found.outputs + noise, pairs=replace(found.pairs, answer=answer, **more))


def repeated(found: Sweep, index: list[int]) -> Sweep:
    """The sweep of the pairs ``index``, some of them several times."""
    kept = torch.tensor(index)
    return Sweep(found.parts, subset(found.pairs, kept), found.outputs[:, kept], found.base[kept], found.cost)


@pytest.mark.parametrize("name", sorted(SIGNATURES))
@given(st.integers(0, 10_000), st.lists(st.integers(0, 11), min_size=6, max_size=16))
@settings(deadline=None, max_examples=12)
def test_a_weight_is_how_often_a_pair_is_there(name: str, seed: int, index: list[int]) -> None:
    found, held = random_sweep(seed), [0, *index]
    weights = torch.bincount(torch.tensor(held), minlength=12).double()[None]
    if name == "effect_error":  # its unit is taken from the bases that there are, not from how often they are drawn
        held = [*range(12), *held]
        weights = weights + 1
        found = replace(found, base=torch.where(found.base > 0.5, 1.0, 0.0))
    weighted = tables(found, ("v",), name, weights)
    counted = tables(repeated(found, held), ("v",), name, torch.ones(1, len(held)))
    torch.testing.assert_close(weighted, counted, atol=ROUNDING[name == "mean"], rtol=1e-5, equal_nan=True)


@pytest.mark.parametrize("name", sorted(SIGNATURES))
def test_draws_know_nothing_of_each_other(name: str) -> None:
    found = random_sweep(1)
    weights = torch.stack([torch.ones(12), 1 + torch.arange(12) % 3]).double()
    together = tables(found, ("v",), name, weights)
    apart = torch.cat([tables(found, ("v",), name, draw[None]) for draw in weights])
    torch.testing.assert_close(together, apart, equal_nan=True)
    assert not torch.equal(together[0], together[1]) or bool(together.isnan().any())


@pytest.mark.parametrize("name", sorted(SIGNATURES))
@given(st.integers(0, 10_000))
@settings(deadline=None, max_examples=8)
def test_costs_follow_their_sites_and_forget_the_order_of_pairs(name: str, seed: int) -> None:
    found = random_sweep(seed)
    plain = tables(found, ("v",), name, torch.ones(1, 12))
    shuffled = repeated(found, torch.randperm(12, generator=torch.Generator().manual_seed(seed)).tolist())
    shuffled = replace(shuffled, outputs=shuffled.outputs.flip(0))
    again = tables(shuffled, ("v",), name, torch.ones(1, 12))
    torch.testing.assert_close(again, plain.flip(2), atol=ROUNDING[name == "mean"], rtol=1e-5, equal_nan=True)
    assert bool((plain[~plain.isnan()] >= 0).all())


def test_a_silent_site_costs_one_and_a_perfect_one_nothing() -> None:
    """Random labels: 20 pairs each way, so that averages are nothing; only what knows each pair can tell."""
    base, label = [["a"]] * 20 + [["b"]] * 20, [["b"]] * 20 + [["a"]] * 20
    found = swept(SURE, base, label, [label, base])
    change = torch.tensor([[1.0]] * 20 + [[-1.0]] * 20)
    found = replace(found, pairs=replace(found.pairs, change=change))
    for name in ("per_example", "covariance", "cosine", "iia"):
        assert costs(found, ("v",), name).cost[0].tolist() == pytest.approx([0.0, 1.0], abs=1e-6), name
    assert costs(found, ("v",), "mean").cost[0].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)  # both are zero vectors
    with pytest.raises(InsufficientData, match="the floored_mean signature of 'v' is within 2 standard errors of noth"):
        costs(found, ("v",), "floored_mean")


def test_noise_is_blown_up_by_the_mean_and_dropped_by_its_floor() -> None:
    """The variable moves all answers by 1. A site adds noise of either sign whose mean happens to be 1 / 100."""
    n = 100
    base, label = [[0.0]] * n, [[1.0]] * n
    noise = [[1.0] if place % 2 else [-0.98] for place in range(n)]
    found = swept(Number(0, 0.1), base, label, [noise, label])
    assert costs(found, ("v",), "mean").cost[0].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    assert costs(found, ("v",), "floored_mean").cost[0].tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    assert costs(found, ("v",), "per_example").cost[0, 0] > 1


def test_the_floor_is_at_two_standard_errors() -> None:
    """n effects of 1 or 0, m of them 1: |s|^2 = (m/n)^2 and the squared error is m/n (1 - m/n) / n."""
    n = 20
    for m in range(1, 8):
        some = [[1.0]] * m + [[0.0]] * (n - m)
        found = swept(Number(0, 0.1), [[0.0]] * n, [[1.0]] * n, [some])
        share = m / n
        floored = share**2 <= 4 * share * (1 - share) / n
        assert costs(found, ("v",), "floored_mean").cost[0, 0].item() == pytest.approx(1.0 if floored else 0.0), m
    assert 4 * 0.15 * 0.85 / n > 0.15**2  # both cases occur


def test_families_keep_what_their_union_cancels() -> None:
    """One family moves answers up, one down: means over all are nothing, and within families everything."""
    base, label = [[0.0]] * 16, [[1.0]] * 8 + [[-1.0]] * 8
    wrong = [[-1.0]] * 8 + [[1.0]] * 8
    found = swept(Number(0, 0.1), base, label, [label, wrong, base])
    family = torch.tensor([0] * 8 + [1] * 8)
    found = replace(found, pairs=replace(found.pairs, family=family, families=("up", "down")))
    assert costs(found, ("v",), "per_family_mean").cost[0].tolist() == pytest.approx([0.0, 4.0, 1.0])
    with pytest.raises(InsufficientData, match="within 2 standard errors of nothing"):
        costs(found, ("v",), "floored_mean")


def test_a_family_that_cancels_is_left_out() -> None:
    """A third family flips both ways, so that its mean is exactly 0; sites may do there what they like on average."""
    base, label = [[0.0]] * 24, [[1.0]] * 8 + [[-1.0]] * 8 + [[1.0], [-1.0]] * 4
    noisy = label[:16] + [[1.0], [-1.0], [1.0], [-0.9]] * 2
    found = swept(Number(0, 0.1), base, label, [label, noisy])
    family = torch.tensor([0] * 8 + [1] * 8 + [2] * 8)
    found = replace(found, pairs=replace(found.pairs, family=family, families=("up", "down", "both")))
    assert costs(found, ("v",), "per_family_mean").cost[0].tolist() == pytest.approx([0.0, 0.0])


def test_one_family_has_no_means_within_families() -> None:
    with pytest.raises(InsufficientData, match=r"all pairs are of one: choose floored_mean .* or per_example"):
        costs(swept(SURE, BASE, LABEL, [LABEL]), ("v",), "per_family_mean")


def test_covariance_knows_what_the_input_did() -> None:
    """Answers follow the first feature. A site that moves them alike but by the second one is at a right angle."""
    change = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]] * 8)
    base = [[0.0]] * 32
    first, second = ([[float(row[column])] for row in change] for column in range(2))
    found = swept(Number(0, 0.1), base, first, [first, second, base, [[-value[0]] for value in first]])
    found = replace(found, pairs=replace(found.pairs, change=change))
    assert costs(found, ("v",), "covariance").cost[0].tolist() == pytest.approx([0.0, 2.0, 1.0, 4.0], abs=1e-6)


def test_effect_error_of_numbers_by_hand() -> None:
    """Effects 2 and -1 are asked for. The sites miss by (0, 0), by (1, 1) and by doing nothing."""
    found = swept(Number(0, 0.1), [[1.0], [1.0]], [[3.0], [0.0]], [[[3.0], [0.0]], [[4.0], [1.0]], [[1.0], [1.0]]])
    assert costs(found, ("v",), "effect_error").cost[0].tolist() == [0.0, 1.0, (4 + 1) / 2]


def test_effect_error_weighs_families_alike() -> None:
    """Three pairs of one family are missed by 1, one pair of the other by 3: (1 + 9) / 2, not 12 / 4."""
    found = swept(Number(0, 0.1), [[0.0]] * 4, [[1.0]] * 4, [[[2.0], [2.0], [2.0], [4.0]]])
    assert costs(found, ("v",), "effect_error").cost[0, 0].item() == 3.0
    found = replace(found, pairs=replace(found.pairs, family=torch.tensor([0, 0, 0, 1]), families=("f", "g")))
    assert costs(found, ("v",), "effect_error").cost[0, 0].item() == 5.0


def test_effect_error_of_two_values_is_in_logits() -> None:
    """Bases that answer a have logits (3, 0), those that answer b (0, 1): from a to b the difference moves by 4."""
    found = swept(SURE, [["a"], ["b"]], [["b"], ["b"]], [[["a"], ["b"]]])
    logits = torch.tensor([[[3.0, 0.0]], [[0.0, 1.0]]])
    patched = torch.tensor([[[1.0, 0.0]], [[0.0, 2.0]]])  # moved by 2 of 4, and by 1 where nothing was asked
    found = replace(found, base=logits, outputs=patched[None])
    assert costs(found, ("v",), "effect_error").cost[0].tolist() == [(4 + 1) / 2]


def test_effect_error_is_refused_for_many_values() -> None:
    three = Choice(("a", "b", "c"), (0, 1, 2))
    found = swept(three, [["a"], ["a"]], [["b"], ["b"]], [[["b"], ["b"]]])
    third = {**found.pairs.labels, "w": three.encode([["c"], ["b"]], 1)}
    found = replace(found, pairs=replace(found.pairs, labels=third, valid={name: torch.ones(2) > 0 for name in third}))
    with pytest.raises(
        InvalidSetting, match="one of 3 values, of which 1 of 2 pairs are not about just two: choose per_example"
    ):
        costs(found, ("v",), "effect_error")
    with pytest.raises(InsufficientData, match="no base answers 'b', so that the effect of changing to it has no size"):
        costs(swept(SURE, [["a"]], [["b"]], [[["b"]]]), ("v",), "effect_error")


def test_cosine_does_not_see_how_far_and_iia_not_how_surely() -> None:
    found = swept(Number(0, 0.1), [[0.0], [0.0]], [[1.0], [-1.0]], [[[0.5], [-0.5]], [[1.05], [-0.95]]])
    assert costs(found, ("v",), "cosine").cost[0].tolist() == pytest.approx([0.0, 1 - 2 / (4.01**0.5)], abs=1e-3)
    assert costs(found, ("v",), "iia").cost[0].tolist() == [1.0, 0.0]
    found = swept(SURE, BASE, LABEL, [BASE, LABEL])
    assert costs(found, ("v",), "iia").cost[0].tolist() == [0.5, 0.0]  # doing nothing is right on half of the pairs


def test_coverage_is_counted_said_and_asked_for() -> None:
    pairs = swept(SURE, BASE, LABEL, [LABEL]).pairs
    assert coverage(pairs, ("v",), 1.0) == ()
    valid = torch.tensor([True, False, True, False])
    some = replace(pairs, valid={"v": valid}, skipped={"v": {"the source is tired": 2}})
    note = "2 of 4 fit pairs have no label for v and were skipped: 2 x the source is tired"
    assert coverage(some, ("v",), 0.5) == (note,)
    with pytest.raises(
        InsufficientData, match=r"a share of 0.50 is left and coverage asks for 0.6: draw pairs on which"
    ):
        coverage(some, ("v",), 0.6)
    wholly_open = replace(pairs, labels={"v": SURE.encode([["b"], [None], ["a"], ["b"]], 1)})
    assert coverage(wholly_open, ("v",), 0.5) == ("1 of 4 fit pairs have no label for v and were skipped",)


def test_a_row_without_effect_is_left_out_and_said() -> None:
    found = swept(SURE, BASE, LABEL, [LABEL])
    pairs = found.pairs
    labels, more = {**pairs.labels, "w": pairs.base_labels}, {"w": pairs.valid["v"]}
    found = replace(found, pairs=replace(pairs, labels=labels, valid={**pairs.valid, **more}))
    table = costs(found, ("v", "w"), "per_example")
    assert (table.variables, tuple(table.cost.shape)) == (("v",), (1, 1))
    assert table.notes == (
        "interchanging 'w' changes no answer on 4 pairs; it has no signature; it is no row of the transport problem",
    )
    with pytest.raises(InsufficientData, match="interchanging 'w' changes no answer"):
        costs(found, ("w", "v"), "per_example")


def test_values_that_encode_alike_are_refused() -> None:
    with pytest.raises(InvalidModel, match=r"values True and 1 are equal.*one label"):
        Choice((1, True), (0, 1))
