"""Where the score is an error: what patches are trained for and chosen by, planted, by hand and against other rules."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from engines import prompted
from engines.activations import capture
from engines.aim import Aim, aim, gain, judged, told
from engines.answer import Choice, Number
from engines.decoder_model import DecoderModel
from engines.evaluation import full, joint
from engines.events import Measured, Notice, Piece, drain
from engines.interval import Z95
from engines.intervene import patched, unpatched
from engines.methods.argmax_iia import ArgmaxIia
from engines.methods.attribution import AttributionPatching
from engines.methods.full_swap import FullSwap
from engines.methods.joint_das import JointDas
from engines.methods.pca import Pca
from engines.methods.plot import Plot
from engines.methods.plot_joint import PlotJoint
from engines.methods.plot_pca import PlotPca
from engines.methods.plot_staged import PlotStaged
from engines.resample import subset
from engines.site import Site
from engines.subspace import Training, refine, rotations, train, train_joint
from engines.task import Problem
from tests.engines import test_joint as copied
from tests.engines.test_logit_difference import DIRECT, MOVER, POSITION, TELLER, TOKEN, noise, planted

POOL = (TELLER, DIRECT)
IDLE = Site(1, "z", "all", 2)
SPREAD = float(noise().square().mean())
"""The error that no swap can take off: what the names add by themselves."""


def problem(variable: str = "output_position") -> Problem:
    """IOI on the planted network, of whose heads one carries the position and one the token."""
    model, bound, parts = planted()
    every = {"fit": parts["fit"], "calibration": parts["test"], "test": parts["test"]}
    return replace(prompted.problem(bound, model, every, variable, name="planted", seed=0), sites=POOL)


def test_ioi_says_that_its_score_is_an_error() -> None:
    assert problem().by_error


@pytest.mark.parametrize(("variable", "size"), [("output_position", POSITION), ("output_token", TOKEN)])
def test_gains_by_hand(variable: str, size: float) -> None:
    """Of the no-op's error all but the names' own is taken off by the right head; the other head adds to it."""
    asked = problem(variable)
    patches = [full(asked.model, one) for one in ((TELLER,), (DIRECT,), POOL)]
    _, aimed = drain(aim(asked, patches, {}))
    assert aimed.aim is not None
    assert aimed.aim.numbers == pytest.approx((0.75 + POSITION + TOKEN, size), abs=1e-4)
    outputs, base = joint(asked.model, asked.calibration, patches)
    found = judged(asked, aimed.aim, torch.cat([base[None], outputs]), base)
    other = TOKEN if variable == "output_position" else POSITION
    missed, extra = ((2 / 3) * (2 * one) ** 2 for one in (size, other))
    nothing = SPREAD + missed
    wrong = [nothing, SPREAD, nothing + extra, SPREAD + extra]
    if variable == "output_token":
        wrong[1:3] = wrong[2:0:-1]
    both_flip = 8 / 3 * size * other  # where a set flips both, what is missed and what is too much cancel or add up
    place = 1 if variable == "output_token" else 2
    assert found[place].gain is not None
    assert found[place].value == pytest.approx(1 - (wrong[place] - both_flip) / nothing, abs=1e-3)
    for each in (0, 3 - place, 3):
        gain = found[each].gain
        assert gain is not None
        assert gain.value == found[each].value == pytest.approx(1 - wrong[each] / nothing, abs=1e-4), each
        assert gain.n == 36
        assert gain.low <= gain.value <= gain.high


def test_the_set_with_the_least_error_is_chosen_and_not_that_with_most_right_answers() -> None:
    """The token's head pushes answers further over the edge; that is another variable, and the error tells."""
    method = PlotJoint(signature="effect_error", pairs=None, pool=2, together=2)
    events, by_error = drain(method.fit(problem(), {}))
    assert [[part.site for part in handle.parts] for handle in by_error.handles] == [[TELLER]]
    assert any(
        "best: L1.head0.z@all (share of the no-op's squared error taken off 0." in note for note in by_error.notes
    )
    assert {event.metric for event in events if isinstance(event, Measured)} == {"joint gain", "held-out iia"}
    _, by_share = drain(method.fit(replace(problem(), by_error=False), {}))
    assert {part.site for part in by_share.handles[0].parts} == set(POOL)
    assert any("IIA x invariance" in note for note in by_share.notes)


def test_single_sites_are_chosen_by_their_error_too() -> None:
    asked = replace(problem("output_token"), sites=(TELLER, DIRECT, MOVER))
    _, fit = drain(Plot(signature="effect_error", pairs=None, draws=0).fit(asked, {}))
    assert fit.handles[0].site == MOVER
    assert any("mean share of the no-op's squared error taken off" in note for note in fit.notes)
    _, trials = drain(train(asked, [TELLER, MOVER], Training((1,), 4, 8, 0.05, 1), {}))
    assert trials.trials[0].sites == (MOVER,)
    assert trials.trials[0].quality.gain is not None


METHODS = (
    FullSwap(),
    ArgmaxIia(),
    AttributionPatching(verify=3),
    Pca(sizes=(2,)),
    PlotPca(draws=0),
    PlotStaged(draws=0),
)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_every_method_chooses_by_error_where_that_is_the_score(method: Any) -> None:
    """The position's head takes all of the no-op's error off but the names' own, though not all answers are right."""
    asked = replace(problem(), sites=(IDLE, TELLER, DIRECT))
    events, fit = drain(method.fit(asked, {}))
    assert [handle.site for handle in fit.handles] == [TELLER]
    assert "gain" in {event.metric.removeprefix("joint ") for event in events if isinstance(event, Measured)}
    gains = dict(fit.ranking)
    if not isinstance(method, PlotStaged):  # whose ranking is by mass
        missed = (2 / 3) * (2 * POSITION) ** 2
        assert gains[str(TELLER)] == pytest.approx(missed / (SPREAD + missed), abs=1e-4)
        other = (8 / 3 * POSITION * TOKEN - (2 / 3) * (2 * TOKEN) ** 2) / (SPREAD + missed)  # moves some pairs rightly
        assert gains.get(str(DIRECT), other) == pytest.approx(other, abs=1e-4)
    _, by_share = drain(method.fit(replace(asked, by_error=False), {}))
    assert dict(by_share.ranking)[str(TELLER)] < gains[str(TELLER)] or isinstance(method, PlotStaged)
    assert fit.cost.layer_evaluations >= by_share.cost.layer_evaluations


def test_a_second_training_is_held_against_the_linear_model_of_the_first() -> None:
    """The sites that are trained again move the answer by less than those that were tried: gains would not compare."""
    asked = problem()
    _, trials = drain(train(asked, POOL, Training((1,), 4, 8, 0.05, 1), {}))
    some = replace(trials, trials=tuple(one for one in trials.trials if one.sites == (DIRECT,)))
    _, finer = drain(refine(asked, some, 1, Training((1,), 8, 8, 0.05, 1), {}))
    assert len(finer.trials) > len(some.trials)
    assert all(one.quality.gain is not None for one in finer.trials)
    whole = [one.quality.gain for one in finer.trials if one.rank == max(trial.rank for trial in finer.trials)]
    assert whole == [whole[0]] * len(whole)
    assert finer.aimed == trials.aimed
    assert (finer.no_op, finer.notes[: len(some.notes)]) == (trials.no_op, some.notes)


def test_the_interval_of_a_gain_is_that_of_a_ratio_with_bases_drawn_anew() -> None:
    """Against a bootstrap over bases: each is in all three sets, and the no-op's error is of the same pairs."""
    asked = problem()
    pairs = asked.calibration
    assert pairs.family is not None
    generator = torch.Generator().manual_seed(0)
    own = torch.rand(12, generator=generator).double()[pairs.base_numbers]  # what a base has in every set
    idle = 1 + own + 0.2 * torch.rand(pairs.n, generator=generator).double()
    made = 0.4 * idle * torch.rand(12, generator=generator).double()[pairs.base_numbers]
    found = gain(made, idle, pairs, asked.target)
    picks = torch.randint(12, (4000, 12), generator=generator)
    weights = torch.zeros(4000, 12).scatter_add_(1, picks, torch.ones(4000, 12)).double()[:, pairs.base_numbers]
    shares = 1 - (weights @ made) / (weights @ idle)
    assert found.value == pytest.approx(1 - float(made.sum() / idle.sum()))
    assert found.high - found.low == pytest.approx(2 * Z95 * float(shares.std()) * (12 / 11) ** 0.5, rel=0.1)


def test_heads_that_move_nothing_leave_no_error_to_choose_by() -> None:
    asked = replace(problem(), sites=(IDLE,))
    events, aimed = drain(aim(asked, [full(asked.model, (IDLE,))], {}))
    assert aimed.aim is None
    (note,) = aimed.notes
    assert note == next(event.text for event in events if isinstance(event, Notice))
    assert "the best coefficient is 0): there is no error to choose by, and IIA x invariance chooses" in note
    outputs, base = joint(asked.model, asked.calibration, [full(asked.model, (IDLE,))])
    assert judged(asked, aimed.aim, outputs, base)[0].gain is None


def test_an_aim_is_a_piece_and_costs_nothing_where_the_score_is_a_share() -> None:
    asked = problem()
    patches = [full(asked.model, POOL)]
    events, first = drain(aim(asked, patches, {}))
    pieces = {event.key: event.tensors for event in events if isinstance(event, Piece)}
    again, second = drain(aim(asked, patches, pieces))
    assert second == first
    assert not any(isinstance(event, Piece) for event in again)
    assert first.cost.forward_passes > 0
    events, none = drain(aim(replace(asked, by_error=False), patches, {}))
    assert (events, none.aim, none.cost.forward_passes) == ([], None, 0)


def test_numbers_and_one_of_two_values_have_origins_of_their_own() -> None:
    asked = problem()
    pairs = asked.fit
    number = replace(
        pairs,
        answer=Number(0, 0.5),
        base_labels=torch.full((pairs.n, 1), 2.0, dtype=torch.float64),
        labels={"v": torch.full((pairs.n, 1), 5.0, dtype=torch.float64)},
        valid={"v": torch.ones(pairs.n, dtype=torch.bool)},
    )
    outputs = torch.full((1, pairs.n, 1, 1), 4.0)
    assert Aim(()).errors(outputs, number, "v")[0, 0] == pytest.approx(1.0)
    assert Aim(()).missed(outputs, torch.ones(pairs.n, 1, 1), number, "v")[0, 0] == pytest.approx(0.0)
    two = replace(
        number,
        answer=Choice((0, 1), (0, 1)),
        base_labels=torch.zeros(pairs.n, 1, dtype=torch.int64),
        labels={"v": torch.ones(pairs.n, 1, dtype=torch.int64)},
    )
    outputs = torch.tensor([0.0, 2.5]).expand(1, pairs.n, 1, 2)
    assert Aim((-3.0, 4.0)).errors(outputs, two, "v")[0, 0] == pytest.approx(1.5**2)
    assert told(two, "v").all()


# Joint training


def slope(loss: Callable[[], Tensor], entry: Tensor, place: tuple[int, ...]) -> float:
    """The central difference of a loss in one number."""
    values = []
    for step in (1e-5, -1e-5):
        entry.data[place] += step
        values.append(float(loss().detach()))
        entry.data[place] -= step
    return (values[0] - values[1]) / 2e-5


@pytest.mark.parametrize("by_error", [True, False])
def test_the_gradient_of_rotations_at_two_heads_is_exact(by_error: bool) -> None:
    """Each rotation's gradient through the runs in which both are swapped, against central differences."""
    asked = replace(problem("output_token"), by_error=by_error)
    assert isinstance(asked.model, DecoderModel)
    asked = replace(asked, model=DecoderModel("exact", copy.deepcopy(asked.model.decoder).double()))
    heads = (DIRECT, MOVER)  # names, of more than one direction
    _, aimed = drain(aim(asked, [full(asked.model, heads)], {}))
    fit = capture(asked.model, asked.fit, heads, {0})
    idle, index = unpatched(asked.model, fit), torch.arange(6)
    bench = rotations(asked, fit, heads, Training((1, 2), 4, 8, 0.05, 1))
    some, labels = subset(asked.fit, index), asked.fit.labels[asked.target][index]
    for raw in bench.raw:
        raw.requires_grad_()

    def loss() -> Tensor:
        outputs = patched(asked.model, fit, [bench.training(0.0)], index)
        if aimed.aim is None:
            return asked.answer.loss(outputs, labels.expand(len(outputs), -1, -1)).sum()
        return aimed.aim.missed(outputs, idle[index], some, asked.target).sum()

    loss().backward()
    for raw in bench.raw:
        assert raw.grad is not None
        assert bool(raw.grad.any())
        for place in ((0, 0, 0), (1, 1, 1)):
            assert float(raw.grad[place]) == pytest.approx(slope(loss, raw, place), rel=1e-4, abs=1e-7)


def test_what_two_heads_carry_between_them_is_found_by_training_them_together() -> None:
    """No head alone carries it, nor do both whole, for they carry another variable too."""
    asked = copied.copies()
    _, fit = drain(JointDas(pool=2, sizes=(1,), steps=24).fit(asked, {}))
    (claim,) = fit.handles
    assert [part.site for part in claim.parts] == list(copied.HEADS)
    assert [part.featurizer.rank for part in claim.parts] == [1, 1]
    assert fit.quality.value == 1.0
    assert fit.controls.full_swap.value < 1.0
    _, named = drain(JointDas(group=tuple(map(str, copied.HEADS)), sizes=(1,), steps=24).fit(asked, {}))
    assert named.quality.value == 1.0
    _, alone = drain(JointDas(group=(str(copied.HEADS[0]),), sizes=(1,), steps=24).fit(asked, {}))
    assert alone.quality.iia.value == 0.0


def test_rotations_are_trained_for_the_logit_difference() -> None:
    """Of heads swapped whole one adds error; trained rotations find directions of it that do not."""
    asked = problem()
    _, trials = drain(train_joint(asked, [POOL], Training((1, 2), 24, 16, 0.05, 1), {}))
    best, whole = trials.trials[0], max(trials.trials, key=lambda trial: trial.rank)
    assert best.quality.gain is not None
    assert best.quality.value > whole.quality.value + 0.02
    assert trials.no_op is not None
    assert trials.no_op.value == 0.0


def test_pairs_without_a_label_are_no_error() -> None:
    """Two names that begin with one token cannot be told apart, and then nothing says what the other answer is.

    Where only one of the variables would move the answer, the other still has a label: the base's own answer.
    """
    asked = problem()
    valid = torch.arange(asked.fit.n) % 7 != 0
    lacking = {part: getattr(asked, part) for part in ("fit", "calibration")}
    lacking = {
        part: replace(of, valid={name: valid | ~of.informative(name) for name in of.valid})
        for part, of in lacking.items()
    }
    patches = [full(asked.model, (TELLER,))]
    _, aimed = drain(aim(replace(asked, **lacking), patches, {}))
    assert aimed.aim is not None
    assert aimed.aim.numbers[1] == pytest.approx(POSITION, abs=1e-4)
    outputs, base = joint(asked.model, asked.calibration, patches)
    errors = aimed.aim.errors(torch.cat([base[None], outputs]), lacking["calibration"], asked.target)
    assert errors.shape == (2, asked.calibration.n)
    assert not bool(errors[:, ~valid].any())
    (found,) = judged(replace(asked, **lacking), aimed.aim, outputs, base)
    assert found.gain is not None
    assert found.gain.n == int(valid.sum())
    trained = drain(train(replace(asked, **lacking), [TELLER], Training((1,), 4, 32, 0.05, 1), {}))[1]
    assert trained.trials[0].quality.gain == found.gain
