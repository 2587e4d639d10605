"""Masks that are trained open where a variable is, shut by a price, and do nothing when all are shut."""

from dataclasses import replace

import pytest
import torch

from engines.activations import capture
from engines.errors import InvalidSetting
from engines.events import Notice, Piece, Trained, drain
from engines.featurize import Mask, Rotation
from engines.intervene import Jobs, exchange, swapped, unpatched
from engines.mask import HOPELESS, Masking
from engines.principal import fit_components
from engines.search import search
from engines.site import Site
from engines.training import STRETCH, Progress, Schedule
from engines.trials import Trials
from tests.known import BIT, COPIED, conjunction_problem

MID, MIXED = Site.parse("L0.resid_mid@last"), Site.parse("L0.attn_out@last")
SCHEDULE = Schedule(steps=40, batch=16, learning_rate=0.2)
PROBLEM = replace(conjunction_problem("copied"), sites=(MID,))


def masks(penalties: tuple[float, ...], site: Site = MID) -> Trials:
    return drain(search(PROBLEM, [(site,)], Masking(penalties, SCHEDULE), {}))[1]


def gates(trials: Trials, place: int = 0) -> list[int]:
    mask = trials.trials[place].handle.featurizer
    assert isinstance(mask, Mask)
    return mask.gates.nonzero()[:, 0].tolist()


def test_the_coordinate_that_carries_the_variable_is_found() -> None:
    """Both bits differ there; a swap of the second one as well is wrong, and calibration tells."""
    trials = masks((0.3,))
    assert gates(trials) == [COPIED]
    assert trials.trials[0].quality.value == 1.0
    assert [gates(trials, place) for place in range(len(trials.trials))][-1] == [BIT, COPIED]  # all that moves
    assert trials.trials[-1].quality.value < 1.0


def test_a_price_shuts_gates_and_a_high_one_shuts_all() -> None:
    counts = []
    for price in (0.0, 0.3, 30.0):
        trained = [len(gates(trials, place)) for trials in [masks((price,))] for place in range(len(trials.trials))]
        counts.append(min(trained))
    assert counts[0] >= counts[1] == 1
    dear = masks((30.0,))
    assert [gates(dear, place) for place in range(len(dear.trials))] == [[BIT, COPIED]]  # only the open one is left
    assert "1 of 1 trained patches came to nothing, no better than a no-op, and were not calibrated" in dear.notes


def test_the_penalty_by_hand() -> None:
    """Half-open gates of two moving coordinates: lambda times a half; the four others do not count."""
    plan = Masking((0.5, 4.0), SCHEDULE)
    bench = plan.bench(PROBLEM, capture(PROBLEM.model, PROBLEM.fit, [MID], [0]), (MID,))
    assert bench.moving.nonzero()[:, 0].tolist() == [BIT, COPIED]
    torch.testing.assert_close(bench.penalty(0.0), torch.tensor([0.25, 2.0]))
    bench.logits[0, COPIED] = 1.0
    warm, cold = (bench.gates(share, torch.tensor([0]))[0] for share in (0.0, 1.0))
    assert float(warm[COPIED]) == pytest.approx(0.7311, abs=1e-4)
    assert float(cold[COPIED]) == pytest.approx(1.0, abs=1e-6)  # sigmoid(1 / 0.05)
    assert float(cold[BIT]) == 0.5
    assert [int(mask.gates.sum()) for (mask,) in bench.found() if isinstance(mask, Mask)] == [1, 2]


def test_no_open_gate_is_a_no_op_to_the_bit() -> None:
    activations = capture(PROBLEM.model, PROBLEM.calibration, [MID, MIXED], [0])
    plain = unpatched(PROBLEM.model, activations)
    for site in (MID, MIXED):
        shut = Jobs(site, 1, exchange(Mask(torch.zeros(6, dtype=torch.bool))))
        none = Jobs(site, 1, exchange(Rotation(torch.zeros(6, 0))))
        for outputs in swapped(PROBLEM.model, activations, [shut, none]):
            assert torch.equal(outputs, plain)


def test_principal_components_can_be_gated() -> None:
    problem = PROBLEM
    _, (bases, _) = drain(fit_components(problem, [MID], {}))
    _, trials = drain(search(problem, [(MID,)], Masking((0.0, 0.3), SCHEDULE, bases), {}))
    whole = [trial for trial in trials.trials if trial.rank == bases[MID].shape[1]]
    assert len(whole) == 1
    featurizer = whole[0].handle.featurizer
    assert isinstance(featurizer, Rotation)
    torch.testing.assert_close(featurizer.columns, bases[MID])


def test_a_finished_layer_is_not_trained_again() -> None:
    plan = Masking((0.3, 3.0), SCHEDULE)
    events, whole = drain(search(PROBLEM, [(MID,), (MIXED,)], plan, {}))
    done = {event.key: event.tensors for event in events if isinstance(event, Piece)}
    again, resumed = drain(search(PROBLEM, [(MID,), (MIXED,)], plan, done))
    assert not [event for event in again if isinstance(event, Piece | Trained)]
    assert resumed.cost == whole.cost
    assert [gates(resumed, place) for place in range(3)] == [gates(whole, place) for place in range(3)]
    assert {event.text for event in events if isinstance(event, Notice)} == set(whole.notes)
    other, _ = drain(search(PROBLEM, [(MID,), (MIXED,)], replace(plan, penalties=(0.3, 3.1)), done))
    assert not {event.key for event in other if isinstance(event, Piece)} & set(done)


def test_wrong_penalties_are_refused() -> None:
    for penalties in ((), (-1.0,), (float("nan"),), (float("inf"),)):
        with pytest.raises(InvalidSetting, match=r"penalties \(.*\): give at least one, each 0 or more, such as"):
            Masking(penalties, SCHEDULE)


# What stops a job


def test_jobs_stop_when_they_are_hopeless_finished_or_stagnant() -> None:
    progress = Progress(4)
    for losses in ([1.0, 0.0, 0.5, 0.85], [1.0, 0.0, 0.5, 0.7]):
        for _ in range(20):
            progress.note(torch.tensor(losses)[progress.live], torch.tensor([0.0, 1.0, 1.0, 1.0])[progress.live])
        if losses[3] == 0.85:
            assert progress.review(STRETCH) == [0, 1]  # nothing gained, all gained
    assert progress.review(2 * STRETCH) == [2]  # no further
    assert progress.live.tolist() == [3]
    assert progress.felt.tolist() == [False, True, True, True]
    assert progress.useful.tolist() == [False, True, True, True]


def test_masks_are_given_longer_and_never_settle() -> None:
    progress = Progress(2, HOPELESS, settled=False)
    for _ in range(20):
        progress.note(torch.tensor([1.0, 0.0]), torch.ones(2))
    assert progress.review(HOPELESS - 1) == []
    assert progress.review(HOPELESS) == [0]
    assert progress.live.tolist() == [1]
    never = Progress(1, None, settled=False)
    assert never.review(10**6) == []
