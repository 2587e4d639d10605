"""The benchmark's aggregation against hand-made answers: sets, positions, layers, controls, and what they hide."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, product

import numpy as np
import pytest
import torch

from engines.answer import Choice
from engines.interval import Z95, Score
from engines.language import arithmetic, ioi
from engines.mib import OFFICIAL, Counted, Unit, normalised, unclaimed
from engines.model import pad
from engines.prompting import doing_nothing, examples
from engines.site import Site
from engines.task import Pairs

SETS = ("few", "many")
SIZES = (2, 8)
"""Pairs of each set: their means count alike, however many pairs they have."""
LAYERS, PLACES = 3, ("last", "symbol")
SITES = tuple(Site(layer, "resid_post", place) for layer in range(LAYERS) for place in PLACES)


def pairs() -> Pairs:
    """Ten pairs with distinct bases in two sets; nothing is run on them."""
    rows = pad([[number] for number in range(sum(SIZES))])
    one = torch.zeros(rows.rows, 1, dtype=torch.int64)
    family = torch.tensor([0] * SIZES[0] + [1] * SIZES[1])
    answer = Choice((0, 1), (0, 1))
    return Pairs(rows, rows, {}, {}, one, one, {}, {}, {}, answer, family=family, families=SETS)


def right(few: int, many: int) -> list[float]:
    """One patch's answers: so many right of each set."""
    return [1.0] * few + [0.0] * (SIZES[0] - few) + [1.0] * many + [0.0] * (SIZES[1] - many)


def counted(sites: Sequence[Site], protocol: str = "paper") -> Counted:
    bare = unclaimed(sites, SITES) if protocol == OFFICIAL else ()
    return Counted(protocol, "answer", pairs(), sites, bare, LAYERS)


METHOD = ((0, 2), (1, 4), (2, 4), (1, 0), (1, 8), (2, 2))
"""Right answers of the claim at every site: means over sets .125 .5, .75 .25, .75 .625."""
SWAP = ((0, 0), (2, 8), (0, 0), (0, 8), (0, 0), (0, 0))
"""Those of full swaps: 0 1, 0 .5, 0 0."""


def test_sets_then_positions_then_layers() -> None:
    """Mean over sets, best position of a layer, mean and best over layers; what is on the way from the no-op to 1."""
    rows = [right(1, 0), *(right(*one) for one in (*METHOD, *SWAP)), right(2, 0), right(0, 8), right(0, 0)]
    found = counted(SITES).report(torch.tensor(rows, dtype=torch.float64))
    means = [claim.method.mean.value for claim in found.claims]
    assert means == pytest.approx([0.125, 0.5, 0.75, 0.25, 0.75, 0.625])
    assert found.highest == SITES[2]  # of equals the first
    assert found.average is not None
    assert found.full_swap_average is not None
    assert found.average.value == pytest.approx((0.5 + 0.75 + 0.75) / 3)
    assert found.full_swap_average.value == pytest.approx((1.0 + 0.5 + 0.0) / 3)
    assert (found.average.n, found.average.low < found.average.value < found.average.high) == (sum(SIZES), True)
    shares = [found.normalised, found.normalised_average, *(claim.normalised for claim in found.claims)]
    assert found.no_op.mean.value == 0.25
    assert [None if one is None else one.value for one in shares] == pytest.approx(
        [(mean - 0.25) / 0.75 for mean in (0.75, 2 / 3, *means)]
    )
    assert all(one is not None and one.low < one.value < one.high <= 1 and one.n == sum(SIZES) for one in shares)
    assert found.random_site.mean.value == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert [unit.n for unit in found.random_site.sets.values()] == list(SIZES)  # pooled with the interval of one
    for unit in (
        found.no_op,
        found.random_site,
        *(one for each in found.claims for one in (each.method, each.full_swap)),
    ):
        assert [(name, one.n) for name, one in unit.sets.items()] == list(zip(SETS, SIZES, strict=True))
        assert all(one.low <= one.value <= one.high and one.low < one.high for one in (*unit.sets.values(), unit.mean))
        assert unit.mean.n == sum(SIZES)
    assert [claim.site for claim in found.claims if claim.identity_wins] == [SITES[1], SITES[3]]
    assert found.notes == (
        "the identity fallback (full swap) scores higher than the fitted featurizer at L0.resid_post@symbol, "
        "L1.resid_post@symbol",
    )


def test_a_layer_without_a_claim_leaves_no_average_and_the_official_evaluator_swaps_what_is_bare() -> None:
    some = (SITES[0], SITES[2], SITES[3])
    rows = torch.tensor([right(0, 0), *(right(1, 1) for _ in range(2 * len(some))), right(0, 0)], dtype=torch.float64)
    paper = counted(some).report(rows)
    given = [torch.cat([rows[:7], torch.tensor([one]), rows[7:]]) for one in (right(1, 1), right(2, 8))]
    official, beaten = (counted(some, OFFICIAL).report(one) for one in given)
    assert (paper.average, paper.full_swap_average) == (None, None)
    assert paper.notes == ("claims in 2 of 3 layers: no layer average",)
    assert official.notes[0] == paper.notes[0]
    assert official.notes[1].startswith("1 positions of the claimed layers have no claim; the official evaluator swaps")
    assert official.notes[1].endswith("which is not counted here")
    said = (
        "not counted here; the best claim of the layer has less than L0.resid_post@symbol (1.000 [0.633, 1.000] n=10)"
    )
    assert beaten.notes[1].endswith(said)
    assert {site: unit.mean.value for site, unit in beaten.bare.items()} == {"L0.resid_post@symbol": 1.0}
    assert replace(official, protocol="paper", notes=paper.notes, bare={}) == paper


def test_a_score_against_a_no_op_that_is_always_right_is_none() -> None:
    rows = torch.tensor([right(2, 8)] * 4, dtype=torch.float64)
    assert counted(SITES[:1]).report(rows).normalised is None
    worse = share(right(0, 4), right(2, 0))
    assert worse is not None
    assert worse.value == -0.5  # of which the interval has no end at 0
    assert worse.low < worse.value


def share(own: list[float], idle: list[float], of: Pairs | None = None) -> Score | None:
    return normalised(torch.tensor(own), torch.tensor(idle), of or pairs())


def test_a_normalised_score_has_the_widths_of_both_means_and_what_they_share() -> None:
    """One set of ten bases. Where the no-op is right of none only the method's width is left, and where both are right
    of the same pairs Tango's interval of ten pairs that do not differ."""
    one = replace(pairs(), family=None, families=("",))
    five = [1.0, 0.0] * 5
    own = Unit.of(five, one).mean
    none = Unit.of([0.0] * 10, one).mean
    found = share(five, [0.0] * 10, one)
    assert found is not None
    low, high = (0.5**2 - none.low**2, (0.5 * none.high) ** 2)
    assert low == 0.25
    assert found.value == 0.5
    assert found.low == pytest.approx(0.5 - ((0.5 - own.low) ** 2 + high) ** 0.5)
    assert found.high == pytest.approx(own.high)
    same = share(five, five, one)
    assert same is not None
    tango = Z95**2 / (10 + Z95**2) / 0.5
    assert (same.value, same.low, same.high) == pytest.approx((0.0, -tango, tango))
    apart = share(five, [0.0, 1.0] * 5, one)  # each is right where the other is not: the widths add up
    assert apart is not None
    assert apart.high == pytest.approx(min(1.0, 2 * (2 * (own.high - 0.5))))
    perfect = share([1.0] * 10, five, one)
    assert perfect is not None
    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert perfect.low == pytest.approx(1 - (1 - Unit.of([1.0] * 10, one).mean.low) / 0.5)


def test_a_normalised_score_counts_a_base_once() -> None:
    rows, own, idle = [[number] for number in range(5)], [1.0, 0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0, 0.0]
    both = replace(pairs(), bases=pad(rows * 2), family=torch.arange(2).repeat_interleave(5))
    five = torch.zeros(5, 1, dtype=torch.int64)
    plain = replace(both, bases=pad(rows), sources=pad(rows), answers_at=five, base_labels=five, family=None)
    one = replace(plain, families=("",))
    twice, once = share(own * 2, idle * 2, both), share(own, idle, one)
    assert twice is not None
    assert once is not None
    assert (twice.value, twice.low, twice.high) == pytest.approx((once.value, once.low, once.high))


def test_the_mean_over_sets_counts_a_base_once() -> None:
    """Each row is in every set: what is right of it in both tells as much as one set does."""
    rows, answers = [[number] for number in range(5)], [1.0, 0.0, 1.0, 1.0, 0.0]
    both = replace(pairs(), bases=pad(rows * 2), family=torch.arange(2).repeat_interleave(5))
    one = Unit.of(answers * 2, both)
    assert (one.mean.low, one.mean.high) == pytest.approx((one.sets["few"].low, one.sets["few"].high))
    apart = Unit.of(answers * 2, replace(both, bases=pairs().bases))
    assert (apart.mean.high - apart.mean.value) * 2**0.5 == pytest.approx(one.mean.high - one.mean.value)
    perfect = Unit.of([1.0] * 10, both)  # where nothing tells whether its sets go together, a base counts once too
    assert perfect.mean.low == pytest.approx(perfect.sets["few"].low)
    assert Unit.of([1.0] * 10, replace(both, bases=pairs().bases)).mean.low > perfect.mean.low


# What doing nothing scores, from causal models alone: the rates that the published result files have


def test_a_random_carry_is_the_bases_own_in_half_of_all_pairs() -> None:
    """.45 of the 100 pairs of digits carry, so that two independent sums agree in .45^2 + .55^2 = .505 of all pairs."""
    model = arithmetic.CAUSAL
    digits = [{"prompt": "", "a1": 3, "b1": 5, "a0": a0, "b0": b0} for a0, b0 in product(range(10), repeat=2)]
    runs = [model.run(one) for one in digits]
    answer = arithmetic.TASK.answer
    revised = [{carry: answer(model.revise(run, {"ones_carry": carry})) for carry in (False, True)} for run in runs]
    same = [
        of[bool(other["ones_carry"])] == answer(run) for run, of in zip(runs, revised, strict=True) for other in runs
    ]
    assert sum(same) / len(same) == pytest.approx(0.505)


def test_in_ioi_each_variable_flips_in_two_of_three_sets() -> None:
    """Position, both, token: where the variable stays, doing nothing is right."""
    rng = np.random.default_rng(0)
    assert ioi.TASK.generate is not None
    found = examples(ioi.TASK, "test", list(islice(ioi.TASK.generate(rng), 20)), ioi.SETS)[0]
    rates = {name: doing_nothing(ioi.TASK, name, found, ioi.TASK.protocol("paper")) for name in ioi.TASK.variables}
    assert rates == {
        "output_token": {"s1_io_flip": 1.0, "s2_io_flip": 0.0, "s1_ioi_flip_s2_ioi_flip": 0.0},
        "output_position": {"s1_io_flip": 0.0, "s2_io_flip": 0.0, "s1_ioi_flip_s2_ioi_flip": 1.0},
    }
