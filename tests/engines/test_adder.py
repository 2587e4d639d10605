"""The 4-bit adder: what every network that adds must give under a swap, and where each signature finds the carries.

Whatever weights training finds, a state that is swapped whole brings the source's carry and its sum bit. So these
tables depend on the causal structure alone, and hold for every seed to the last digit.
"""

import functools
import itertools

import pytest
import torch
from torch import Tensor

from engines.costs import costs
from engines.evaluation import Sweep, full, sweep
from engines.events import drain
from engines.methods.plot_das import PlotDas
from engines.model import Ask, Batch
from engines.recurrent import END
from engines.setup import learned, problem, restored
from engines.site import Port, Site
from engines.small_model import SmallModel
from engines.task import Pair, Pairs, label_pairs
from engines.tasks.adder import ADDER, FAMILIES, INPUTS, TASK, bank, setting

SEEDS = (0, 1, 2)
STATES = tuple(Site(0, "state", f"t{step}") for step in range(4))
EVERY = {
    "C1": [(0.5, 1 / 3, 0.6), (0.375, 0.375, 0.375), (0.2051, 0, 0.3281), (0.1978, 0, 0.3164), (0.625, 0, 1)],
    "C2": [(0.2344, 0, 0.4412), (0.5, 0.3667, 0.6176), (0.375, 0.375, 0.375), (0.1743, 0, 0.3281), (0.5312, 0, 1)],
    "C3": [(0.1992, 0, 0.3923), (0.2051, 0, 0.4038), (0.5, 0.3730, 0.6231), (0.375, 0.375, 0.375), (0.5078, 0, 1)],
}
"""Exact agreement on all 65,536 pairs: all, those whose label changes, those whose label stays; t0 to t3 and no-op."""
FAMILY = {
    "C1": (0.258, [(0.616, 0.948), (0.226, 0.603), (0, 0.412), (0, 0.467)]),
    "C2": (0.382, [(0, 0.723), (0.722, 0.874), (0.254, 0.534), (0, 0.497)]),
    "C3": (0.425, [(0, 0.606), (0, 0.521), (0.700, 0.807), (0.325, 0.673)]),
}
"""The share of changed labels in the bank of 26 families, then sensitivity and invariance at t0 to t3."""


@functools.cache
def network(seed: int) -> SmallModel:
    """A trained network, made once."""
    return restored(TASK, "gru16", drain(learned(TASK, "gru16", seed))[1])


@functools.cache
def pairs(which: str) -> Pairs:
    """The bank of families over all bases, or as many random pairs as half of it."""
    if which == "families":
        return label_pairs(ADDER, [pair for a in range(16) for b in range(16) for pair in bank(a, b)])
    drawn = torch.randint(16, (3328, 4), generator=torch.Generator().manual_seed(0)).tolist()
    return label_pairs(ADDER, [Pair(setting(a, b), setting(c, d), {}, {}) for a, b, c, d in drawn])


@functools.cache
def swept(which: str, seed: int) -> Sweep:
    """Full swaps of all four states."""
    model = network(seed)
    return drain(sweep(model, pairs(which), full(model, STATES), {}))[1]


def agreement(found: Sweep, variable: str) -> list[tuple[float, float, float]]:
    """Shares of right answers at each site, and without a patch: all pairs, changed labels, unchanged labels."""
    changed = found.pairs.informative(variable)
    rows = []
    for outputs in (*found.outputs, found.base):
        right = found.pairs.answer.correct(outputs, found.pairs.labels[variable]).double()
        rows.append((float(right.mean()), float(right[changed].mean()), float(right[~changed].mean())))
    return rows


def interchanged(a: Tensor, b: Tensor, carry: Tensor, place: int) -> Tensor:
    """The sum of a and b when the carry into ``place`` is held: plain arithmetic, no causal model."""
    return (((a >> place) + (b >> place) + carry) << place) + ((a + b) & ((1 << place) - 1))


def swapped_sums(model: SmallModel, step: int | None) -> Tensor:
    """What the network answers, as a number, for every pair of inputs [source, base] with one state swapped whole."""
    numbers = torch.cartesian_prod(torch.arange(16), torch.arange(16))
    places = torch.arange(4)
    digits = (numbers[:, :1] >> places & 1) + 2 * (numbers[:, 1:] >> places & 1)
    tokens = torch.cat([digits, torch.full((256, 1), END)], 1)
    batch, state = Batch(tokens, torch.ones_like(tokens, dtype=torch.bool)), Port(0, "state")
    theirs = model.forward(batch, reads=[state]).reads[state].repeat_interleave(256, 0)
    chosen = torch.arange(5) == (-1 if step is None else step)
    run = model.forward(
        Batch(batch.tokens.repeat(256, 1), batch.mask.repeat(256, 1)),
        edits={state: lambda mine: torch.where(chosen[:, None], theirs, mine)},
        ask=Ask(torch.arange(5).expand(65536, -1), torch.tensor([0, 1])),
    )
    assert run.outputs is not None
    bits = (run.outputs[..., 1] > run.outputs[..., 0]).long()
    return (bits << torch.arange(5)).sum(1).reshape(256, 256)


@pytest.mark.parametrize("seed", SEEDS)
def test_full_swaps_on_all_pairs_are_as_the_causal_structure_says(seed: int) -> None:
    a, b = torch.cartesian_prod(torch.arange(16), torch.arange(16)).T
    for column, step in enumerate([0, 1, 2, 3, None]):
        found = swapped_sums(network(seed), step)
        for place in (1, 2, 3):
            low = (1 << place) - 1
            carry = ((a & low) + (b & low)) >> place
            label = interchanged(a, b, carry[:, None], place)
            right, changed = (found == label).double(), label != (a + b)
            shares = [float(right.mean()), float(right[changed].mean()), float(right[~changed].mean())]
            assert shares == pytest.approx(EVERY[f"C{place}"][column], abs=5.1e-5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("variable", TASK.variables)
def test_full_swaps_on_the_bank_of_families(seed: int, variable: str) -> None:
    share, expected = FAMILY[variable]
    bank_of_all = pairs("families")
    assert bank_of_all.n == 26 * 256
    assert float(bank_of_all.informative(variable).double().mean()) == pytest.approx(share, abs=5.1e-4)
    found = [row[1:] for row in agreement(swept("families", seed), variable)[:4]]
    assert found == [pytest.approx(row, abs=5.1e-4) for row in expected]


def cheapest(which: str, seed: int, signature: str) -> list[int]:
    """The step whose state each carry costs least at."""
    return costs(swept(which, seed), TASK.variables, signature).cost.argmin(1).tolist()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("which", ["random", "families"])
@pytest.mark.parametrize("signature", ["per_example", "covariance", "cosine"])
def test_signatures_that_keep_the_pairs_apart_find_every_carry(which: str, seed: int, signature: str) -> None:
    assert cheapest(which, seed, signature) == [0, 1, 2]


def published(found: Sweep, variable: str) -> Tensor:
    """The published cost of each site: mean effects of each family, concatenated and scaled to unit length."""
    drawn, express = found.pairs, found.pairs.answer.express
    assert drawn.family is not None
    abstract = drawn.answer.ideal(drawn.labels[variable]) - drawn.answer.ideal(drawn.base_labels)
    neural = express(found.outputs) - express(found.base)
    groups = [drawn.family == number for number in range(len(drawn.families))]
    mine = torch.nn.functional.normalize(torch.cat([abstract[some].mean(0).flatten() for some in groups]), dim=0)
    theirs = torch.cat([neural[:, some].mean(1).flatten(1) for some in groups], 1)
    return (torch.nn.functional.normalize(theirs, dim=1) - mine).square().sum(1)


@pytest.mark.parametrize("seed", SEEDS)
def test_averages_over_pairs_lose_carries(seed: int) -> None:
    """The mean finds none on the bank of families, the published mean by family misses C1."""
    assert all(found != step for step, found in enumerate(cheapest("families", seed, "mean")))
    found = swept("families", seed)
    assert [int(published(found, name).argmin()) for name in TASK.variables] == [1, 1, 2]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_floor_under_the_means_of_families_brings_the_carries_back(seed: int) -> None:
    """The eight families that cancel count for nothing then, where the published signature scales their noise up."""
    assert cheapest("families", seed, "per_family_mean") == [0, 1, 2]


@pytest.mark.parametrize("variable", TASK.variables)
def test_the_effects_of_flipping_one_bit_cancel_over_all_bases(variable: str) -> None:
    """So that 8 of the 26 families have nothing but sampling noise in their means."""
    drawn = pairs("families")
    assert drawn.family is not None
    effect = drawn.answer.ideal(drawn.labels[variable]) - drawn.answer.ideal(drawn.base_labels)
    for number, family in enumerate(drawn.families):
        if family in INPUTS:
            assert not effect[drawn.family == number].sum(0).any()
    assert effect.any()


def test_the_families_are_the_papers() -> None:
    assert len(FAMILIES) == 26
    for a, b in ((0, 0), (5, 11), (15, 15)):
        made = bank(a, b)
        assert [pair.family for pair in made] == list(FAMILIES)
        for pair in made:
            base, source = ADDER.causal.run(pair.base), ADDER.causal.run(pair.source)
            differing = [name for name in INPUTS if base[name] != source[name]]
            if pair.family in INPUTS:
                assert differing == [pair.family]
            else:
                carry = pair.family.split(".")[0]
                assert base[carry] != source[carry]


def test_the_causal_model_adds() -> None:
    for a, b in itertools.product(range(16), range(16)):
        run = ADDER.causal.run(setting(a, b))
        digits = [run[name] for name in ("S0", "S1", "S2", "S3", "C4")]
        assert sum(digit << place for place, digit in enumerate(digits)) == a + b  # type: ignore[operator]
        assert ADDER.tokens(setting(a, b)) == [*((a >> i & 1) + 2 * (b >> i & 1) for i in range(4)), 4]


@pytest.mark.parametrize("seed", SEEDS)
def test_plot_then_das_finds_the_state_and_the_subspace_of_every_carry(seed: int) -> None:
    combined = []
    for step, carry in enumerate(TASK.variables):
        fit = drain(PlotDas().fit(problem(TASK, network(seed), carry, seed), {}))[1]
        assert fit.handles[0].site.position == f"t{step}"
        assert fit.quality.invariance is not None
        combined.append((fit.quality.iia.value + fit.quality.invariance.value) / 2)
    assert sum(combined) / 3 >= 0.97
