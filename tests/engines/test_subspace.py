"""DAS on planted subspaces, the discriminants that it starts from, and what a resumed or hopeless training leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from engines import subspace
from engines import training as schedule
from engines.answer import Choice
from engines.decoder_model import DecoderModel
from engines.discriminants import discriminants
from engines.errors import InsufficientData, InvalidSetting
from engines.evaluation import full, hold_out, sweep
from engines.events import Advance, Event, Measured, Notice, Piece, Stage, Trained, drain
from engines.featurize import Rotation
from engines.methods.das import Das
from engines.networks import Block
from engines.site import Site
from engines.subspace import Training, refine, train
from engines.task import Problem
from engines.trials import Trials, claims
from tests.known import BOTH, COPIED, ONE, conjunction_decoder, conjunction_problem

TRAINING = Training(sizes=(1, 2), steps=24, batch=8, learning_rate=0.05, restarts=1)
MID, POST = Site.parse("L0.resid_mid@last"), Site.parse("L0.resid_post@last")
WIDTH = 6


def turn(seed: int = 0) -> Tensor:
    """A random orthogonal basis of the residual stream; row i is where coordinate i of the plain network lies."""
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)).Q


def planted(target: str, seed: int = 0, dtype: torch.dtype = torch.float32) -> Problem:
    """The conjunction in a rotated basis: the same answers, but no coordinate means anything."""
    decoder, basis = conjunction_decoder().double(), turn(seed)
    block = decoder.blocks[0]
    assert isinstance(block, Block)
    for written in (decoder.W_E, decoder.W_pos, block.attn.W_O, block.mlp.W_out):
        written.data = written.data @ basis
    for reading in (decoder.W_U, block.attn.W_Q, block.attn.W_K, block.attn.W_V, block.mlp.W_in):
        reading.data = basis.T @ reading.data
    return replace(
        conjunction_problem(target), model=DecoderModel(f"planted {seed} {dtype}", decoder.to(dtype)), sites=(MID, POST)
    )


def pieces(events: Sequence[Event]) -> dict[str, Mapping[str, Tensor]]:
    return {event.key: event.tensors for event in events if isinstance(event, Piece)}


def columns(trials: Trials, place: int = 0) -> Tensor:
    featurizer = trials.trials[place].handle.featurizer
    assert isinstance(featurizer, Rotation)
    return featurizer.columns


def same(one: Trials, other: Trials) -> bool:
    """Bit for bit, but for the seconds."""
    if len(one.trials) != len(other.trials) or one.notes != other.notes:
        return False
    costs = [(trials.cost.forward_passes, trials.cost.layer_evaluations) for trials in (one, other)]
    entries = [[(str(trial.handle.site), trial.quality) for trial in trials.trials] for trials in (one, other)]
    return (
        costs[0] == costs[1]
        and entries[0] == entries[1]
        and all(torch.equal(columns(one, place), columns(other, place)) for place in range(len(one.trials)))
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("target", "site", "coordinate"), [("copied", MID, COPIED), ("both", POST, BOTH)])
def test_a_planted_direction_is_recovered(target: str, site: Site, coordinate: int, seed: int) -> None:
    problem = planted(target, seed)
    _, trials = drain(train(problem, [site], TRAINING, {}))
    best = trials.trials[0]
    assert best.handle.featurizer.rank == 1  # of equally good ones the smallest
    assert best.quality.value == 1.0
    truth = turn(seed)[coordinate].float()
    assert float((truth @ columns(trials)).square()) > 0.99
    found, controls, _ = hold_out(problem, best.handle, {})
    assert found.value == 1.0
    if target == "copied":  # the full swap moves the second bit too
        assert controls.full_swap.value < 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_both_precisions_train(dtype: torch.dtype) -> None:
    _, trials = drain(train(planted("copied", dtype=dtype), [MID], TRAINING, {}))
    assert trials.trials[0].quality.value == 1.0
    assert columns(trials).dtype == dtype


@pytest.mark.parametrize("seed", [0, 4])
def test_gradients_alone_find_the_direction(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without saturation training needs no help: from a start that is no better than random it finds the truth."""

    def useless(base: Tensor, _source: Tensor, _values: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.linalg.qr(torch.randn(base.shape[-1], 1, generator=generator, dtype=torch.float64)).Q

    monkeypatch.setattr(subspace, "discriminants", useless)
    problem, soft = planted("copied"), Choice((0, 1), (0, 1), sharpness=4.0)
    parts = {part: replace(getattr(problem, part), answer=soft) for part in ("fit", "calibration", "test")}
    problem = replace(problem, answer=soft, **parts)
    training = Training(sizes=(1,), steps=160, batch=16, learning_rate=0.1, restarts=1)
    events, trials = drain(train(problem, [MID], training, {}))
    losses = [event.loss for event in events if isinstance(event, Trained)]
    assert losses[-1] < 0.7 * losses[0]
    ranks = [(trial.handle.featurizer.rank, trial.quality.value) for trial in trials.trials]
    assert ranks[0] == (1, 1.0)
    assert sorted(rank for rank, _ in ranks) == [1, 1, 2]  # trained, start, full
    assert any(rank == 1 and value < 1.0 for rank, value in ranks)  # the start
    assert float((turn()[COPIED].float() @ columns(trials)).square()) > 0.99


def test_a_start_from_the_discriminants_is_a_trial_of_its_own() -> None:
    """Calibration may prefer it to what training made of it: with a hopeless learning rate it is all there is."""
    _, trials = drain(train(planted("copied"), [MID], replace(TRAINING, steps=1, learning_rate=1e-9), {}))
    assert (trials.trials[0].quality.value, trials.trials[0].handle.featurizer.rank) == (1.0, 1)


def test_the_full_rank_is_the_full_swap() -> None:
    problem = planted("copied")
    sites = [MID, POST, Site.parse("L0.attn_out@last"), Site.parse("L0.resid_pre@first")]
    _, trials = drain(train(problem, sites, TRAINING, {}))
    _, swept = drain(sweep(problem.model, problem.calibration, full(problem.model, sites), {}))
    whole = dict(zip(swept.sites, swept.quality("copied"), strict=True))
    rank = {MID: 2, POST: 3, sites[2]: 1, sites[3]: 1}  # of the differences that occur there
    found = {
        trial.handle.site: trial.quality
        for trial in trials.trials
        if trial.handle.featurizer.rank == rank[trial.handle.site]
    }
    assert found == whole


def test_sites_trained_side_by_side_are_as_trained_alone() -> None:
    """Sites of one layer share their mini-batches and nothing else; rounding aside, company makes no difference."""
    problem = planted("copied")
    training = replace(TRAINING, sizes=(1,), restarts=3, steps=64)
    sites = [MID, Site.parse("L0.resid_mid@all"), Site.parse("L0.attn_out@last")]
    _, together = drain(train(problem, sites, training, {}))
    for site in sites:
        _, alone = drain(train(problem, [site], training, {}))
        mine = [place for place, trial in enumerate(together.trials) if trial.handle.site == site]
        assert len(mine) == len(alone.trials)
        for place, other in zip(mine, range(len(alone.trials)), strict=True):
            torch.testing.assert_close(columns(together, place), columns(alone, other), atol=1e-4, rtol=0)
            assert together.trials[place].quality == alone.trials[other].quality


def test_sizes_that_start_at_discriminants_do_not_see_each_other() -> None:
    """Every size has its own parameters; only the random columns that fill up a start are drawn for all at once."""
    problem = planted("copied")
    _, one = drain(train(problem, [POST], replace(TRAINING, sizes=(1,)), {}))
    _, two = drain(train(problem, [POST], replace(TRAINING, sizes=(1, 2)), {}))
    narrow = [
        sorted(
            (trial.quality.value, float((columns(trials, place)[0, 0]).abs()))
            for place, trial in enumerate(trials.trials)
            if trial.handle.featurizer.rank == 1
        )
        for trials in (one, two)
    ]
    assert len(narrow[0]) == len(narrow[1]) > 0
    np.testing.assert_allclose(narrow[0], narrow[1], atol=1e-4)


def test_a_rotation_that_stops_stays_as_it_was_however_long_others_train_on() -> None:
    """The first restart starts at the discriminants, alone or not; it is finished long before the random ones."""

    def first_column(trials: Trials) -> Tensor:
        return torch.stack([columns(trials, place)[:, 0] for place in range(len(trials.trials))])

    problem, training = replace(planted("copied"), seed=1), replace(TRAINING, sizes=(1,), steps=64)
    events, alone = drain(train(problem, [MID], training, {}))
    longer, company = drain(train(problem, [MID], replace(training, restarts=3), {}))
    steps = [max(event.step for event in run if isinstance(event, Trained)) for run in (events, longer)]
    assert steps[0] < steps[1]
    ranks = [trial.handle.featurizer.rank for trial in alone.trials]
    assert ranks == [1, 1, 2]  # the start and what training made of it
    start, trained = first_column(alone)[:2]
    assert float((start - trained).abs().max()) > 1e-2
    for mine in (start, trained):
        assert float((first_column(company) - mine).abs().amax(1).min()) < 1e-5


def test_training_is_deterministic_and_seeded() -> None:
    training = replace(TRAINING, restarts=2, steps=8)
    runs = [drain(train(replace(planted("both"), seed=seed), [POST], training, {}))[1] for seed in (0, 0, 1)]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_finished_pieces_are_not_trained_again_and_say_the_same() -> None:
    problem = planted("both")
    events, whole = drain(train(problem, [MID, POST], TRAINING, {}))
    done = pieces(events)
    assert len(done) == 2  # one a start layer
    resumed_events, resumed = drain(train(problem, [MID, POST], TRAINING, done))
    assert not pieces(resumed_events)
    assert not [event for event in resumed_events if isinstance(event, Trained)]
    assert same(resumed, whole)
    assert resumed.cost == whole.cost  # seconds too: they are those of the work that was done
    for key, tensors in done.items():
        assert same(drain(train(problem, [MID, POST], TRAINING, {key: tensors}))[1], whole)


def test_pieces_of_other_work_do_not_fit() -> None:
    problem = planted("both")
    works = [
        (problem, [POST], TRAINING),
        (replace(problem, seed=1), [POST], TRAINING),
        (problem, [MID], TRAINING),
        (problem, [POST], replace(TRAINING, steps=25)),
        (replace(problem, target="copied", variables=("copied", "both")), [POST], TRAINING),
        (replace(problem, calibration=problem.test), [POST], TRAINING),
        (replace(problem, model=planted("both", 1).model), [POST], TRAINING),
    ]
    keys = [next(iter(pieces(drain(train(*work, {}))[0]))) for work in works]
    assert len(set(keys)) == len(keys)


def test_hopeless_rotations_are_counted_and_not_calibrated() -> None:
    """Only pairs whose base is their source inform, so that no swap can make anything right: sizes 1 and 2 give up."""
    problem = planted("copied")
    fit = problem.fit
    alike = (fit.bases.tokens == fit.sources.tokens).all(1)
    assert 0 < int(alike.sum()) < fit.n
    flipped = torch.where(alike[:, None], 1 - fit.base_labels, fit.base_labels)
    hopeless = replace(problem, fit=replace(fit, labels={**fit.labels, "copied": flipped}))
    events, trials = drain(train(hopeless, [POST], replace(TRAINING, steps=40), {}))
    sentence = "2 of 2 trained patches came to nothing, no better than a no-op, and were not calibrated"
    assert sentence in trials.notes
    assert Notice(sentence) in events
    assert max(event.step for event in events if isinstance(event, Trained)) == schedule.STRETCH  # not all 40
    assert len(trials.trials) == len({trial.handle.featurizer.rank for trial in trials.trials})  # the starts only


def test_a_finished_rotation_trains_no_further() -> None:
    events, _ = drain(train(planted("copied"), [MID], replace(TRAINING, sizes=(1,), steps=400), {}))
    assert max(event.step for event in events if isinstance(event, Trained)) < 100


def test_sites_that_never_differ_are_said_and_not_trained() -> None:
    problem, constant = conjunction_problem("both"), Site.parse(f"L0.resid_post[{ONE}:{ONE + 1}]@last")
    events, trials = drain(train(problem, [constant, POST], TRAINING, {}))
    assert {trial.handle.site for trial in trials.trials} == {POST}
    assert trials.notes[0] == f"1 sites never differ between base and source and were not trained: {constant}"
    assert Notice(trials.notes[0]) in events
    _, none = drain(train(problem, [constant], TRAINING, {}))
    with pytest.raises(InsufficientData, match="base and source differ at none of the sites, so that no subspace can"):
        claims(none)


def test_claims_are_one_handle_a_site_and_only_the_best_sites() -> None:
    problem = planted("both")
    _, trials = drain(train(problem, [POST, Site.parse("L0.attn_out@last"), MID], TRAINING, {}))
    claimed = claims(trials)
    assert len(claimed.ranking) == 3
    values = [value for _, value in claimed.ranking]
    assert values == sorted(values, reverse=True)
    assert claimed.handles[0] == trials.trials[0].handle
    sites = [handle.site for handle in claimed.handles]
    assert len(set(sites)) == len(sites)
    assert {POST, MID} <= set(sites)  # at MID the full rank swaps both inputs of the MLP
    assert claimed.cost == trials.cost


def test_refinement_stops_at_a_perfect_trial_and_else_adds_trials() -> None:
    problem = planted("both")
    finer = replace(TRAINING, restarts=2)
    _, perfect = drain(train(problem, [POST], TRAINING, {}))
    events, refined = drain(refine(problem, perfect, 1, finer, {}))
    assert (events, refined) == ([], perfect)
    attention = Site.parse("L0.attn_out@last")
    _, poor = drain(train(problem, [attention, Site.parse("L0.resid_pre@last")], TRAINING, {}))
    events, refined = drain(refine(problem, poor, 1, finer, {}))
    assert poor.trials[0].quality.value < 1.0
    assert len(refined.trials) > len(poor.trials)
    assert refined.cost.forward_passes > poor.cost.forward_passes
    assert "1 sites refined in 24 steps" in refined.notes
    assert events[0] == Stage("das", 1, "sites")


def test_events_tell_the_work() -> None:
    events, trials = drain(train(planted("both"), [MID, POST, MID], TRAINING, {}))
    assert events[0] == Stage("das", 2, "sites")  # a site that is named twice is trained once
    assert [event.done for event in events if isinstance(event, Advance)] == [1, 2]
    assert sum(isinstance(event, Measured) for event in events) == len(trials.trials)


# Discriminants


def test_discriminants_by_hand() -> None:
    """Two classes with means (0, 0) and (1, 0) and offsets +-(1, 1), +-(1, 0) within:

    S_within = [[1, 1/2], [1/2, 1/2]], its inverse [[2, -2], [-2, 4]], so that the direction is (2, -2) / |.|:
    not the difference of the means, along which the classes overlap.
    """
    offsets = torch.tensor([[1.0, 1.0], [-1.0, -1.0], [1.0, 0.0], [-1.0, 0.0]])
    base, source = offsets[:, None], (offsets + torch.tensor([1.0, 0.0]))[:, None]
    values = torch.tensor([[3, 7]]).repeat(4, 1)  # any numbers name classes
    found = discriminants(base, source, values)
    assert found.shape == (2, 1)
    expected = torch.tensor([[2.0], [-2.0]], dtype=torch.float64) / 8**0.5
    torch.testing.assert_close(found * found[0].sign(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("positions", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_discriminants_are_the_generalised_eigenvectors(seed: int, positions: int) -> None:
    """Against scipy: S_between u = lambda (S_within + ridge) u; the leading k directions span what its leading k do."""
    rng, classes, width = np.random.default_rng(seed), 4, 6
    values = rng.integers(classes, size=(60, 2))
    means, mixing = rng.normal(size=(classes, width)) * [3, 2, 1, 1, 1, 1], rng.normal(size=(width, width))
    sides = [(means[values[:, side]][:, None] + rng.normal(size=(60, positions, width))) @ mixing for side in range(2)]
    found = discriminants(torch.tensor(sides[0]), torch.tensor(sides[1]), torch.tensor(values)).numpy()
    assert found.shape == (width, classes - 1)
    np.testing.assert_allclose(found.T @ found, np.eye(classes - 1), atol=1e-9)
    points = np.concatenate(sides).reshape(-1, width)
    labels = np.concatenate([values[:, 0], values[:, 1]]).repeat(positions)
    total = np.cov(points.T, bias=True)
    within = sum(np.cov(points[labels == label].T, bias=True) * (labels == label).mean() for label in range(classes))
    _, vectors = scipy.linalg.eigh(total - within, within + 1e-6 * np.diag(total).mean() * np.eye(width))
    for count in range(1, classes):
        leading = np.linalg.qr(vectors[:, ::-1][:, :count])[0]
        np.testing.assert_allclose(found[:, :count] @ found[:, :count].T, leading @ leading.T, atol=1e-7)


def test_a_direction_without_spread_within_the_values_is_found() -> None:
    """A compiled network's own encoding has no spread within a value: S_within is singular, and that is the point."""
    rng = np.random.default_rng(0)
    values = torch.tensor(rng.integers(2, size=(40, 2)))
    noise = torch.tensor(rng.normal(size=(2, 40, 1, 3)))
    noise[..., 1] = 0.01 * values.T[..., None].double()
    found = discriminants(noise[0], noise[1], values)
    assert float(found[1, 0].abs()) > 0.9999


def test_one_value_has_no_discriminant() -> None:
    points = torch.randn(2, 10, 1, 3, generator=torch.Generator().manual_seed(0))
    found = discriminants(points[0], points[1], torch.zeros(10, 2, dtype=torch.int64))
    assert found.shape == (3, 0)


# Settings


def test_wrong_trainings_are_refused() -> None:
    for sizes in ((), (0,), (2, -1)):
        with pytest.raises(
            InvalidSetting, match=r"sizes \(.*\): give at least one, each 1 or more, such as \(1, 2, 4\)"
        ):
            replace(TRAINING, sizes=sizes)
    for name in ("steps", "batch", "restarts"):
        with pytest.raises(InvalidSetting, match=f"{name} is 0: give 1 or more"):
            replace(TRAINING, **{name: 0})
    for rate in (0.0, -0.1, float("nan"), float("inf")):
        with pytest.raises(InvalidSetting, match=r"learning_rate is .*: give a positive number, such as 0\.05"):
            replace(TRAINING, learning_rate=rate)


def test_das_needs_sites() -> None:
    with pytest.raises(
        InvalidSetting, match=r"das needs sites: --set sites='\[\"L1\.resid_post@last\"\]', or use full"
    ):
        drain(Das().fit(planted("both"), {}))
