"""Rotations inside a support, and rotations at several sites together where no single one decides."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from engines.answer import Choice
from engines.causal import CausalModel, Setting, Variable
from engines.decoder_model import DecoderModel
from engines.errors import InvalidSetting
from engines.evaluation import hold_out
from engines.events import Piece, drain
from engines.featurize import Rotation
from engines.networks import Block, Decoder, DecoderShape
from engines.site import Site
from engines.subspace import Training, train, train_joint
from engines.task import Pair, Problem, Task, draw_pairs
from tests.engines.test_subspace import MID, TRAINING, planted, turn
from tests.known import BIT, COPIED

HEADS = tuple(Site.parse(f"L0.head{head}.result@last") for head in range(2))
A, B, FIRST, CONSTANT, COPY_A, COPY_B = 0, 1, 2, 3, (4, 6), (5, 7)
JOINT = Training(sizes=(1,), steps=40, batch=16, learning_rate=0.05, restarts=1)


def copies() -> Problem:
    """Two heads each copy both bits of the first token, 2a + b, to coordinates of their own; the answer is (a, b).

        logit(a, b) = (2a - 1)(a1 + a2 - 1) + (2b - 1)(b1 + b2 - 1)

    With the a of one head only swapped, a1 + a2 = 1 and both values of a tie: no single head carries it. With both
    heads swapped whole, b moves too. Only a rotation of rank 1 in each, together, is right.
    """
    decoder = Decoder(
        DecoderShape(n_layers=1, n_heads=2, d_model=8, d_head=2, d_mlp=1, d_vocab=4, d_vocab_out=4, n_ctx=2)
    )
    for token in range(4):
        decoder.W_E.data[token, [A, B, CONSTANT]] = torch.tensor([float(token // 2), float(token % 2), 1.0])
    decoder.W_pos.data[0, FIRST] = 1.0
    block = decoder.blocks[0]
    assert isinstance(block, Block)
    for head in range(2):
        block.attn.W_Q.data[head, CONSTANT, 0], block.attn.W_K.data[head, FIRST, 0] = 100.0, 1.0
        block.attn.W_V.data[head, A, 0] = block.attn.W_V.data[head, B, 1] = 1.0
        block.attn.W_O.data[head, 0, COPY_A[head]] = block.attn.W_O.data[head, 1, COPY_B[head]] = 1.0
    for answer in range(4):
        signs = torch.tensor([2.0 * (answer // 2) - 1, 2.0 * (answer % 2) - 1])
        for head in range(2):
            decoder.W_U.data[[COPY_A[head], COPY_B[head]], answer] = signs
        decoder.W_U.data[CONSTANT, answer] = -signs.sum()
    causal = CausalModel(
        inputs=(Variable("token", (0, 1, 2, 3)), Variable("other", (0, 1))),
        mechanisms={
            "a": lambda token: token // 2,
            "b": lambda token: token % 2,
            "answer": lambda a, b: 2 * a + b,
        },
        output="answer",
    )

    def draw(rng: np.random.Generator) -> Pair:
        return Pair(causal.sample(rng), causal.sample(rng), {"last": 1}, {"last": 1})

    def counterfactual(variable: str, pair: Pair, _base: Setting, source: Setting) -> Setting:
        return causal.intervene(pair.base, {variable: source[variable]})

    task = Task(
        "copies",
        causal,
        Choice((0, 1, 2, 3), (0, 1, 2, 3), sharpness=2.0, margin=0.1),
        ("a",),
        ("last",),
        lambda setting: [int(str(setting["token"])), int(str(setting["other"]))],
        draw,
        lambda variable, run, _at: run[variable],
        counterfactual,
        lambda run: [run["answer"]],
        lambda _run: [1],
    )
    parts = [draw_pairs(task, "audit", quota=16, seed=seed) for seed in range(3)]
    return Problem("copies", DecoderModel("copies", decoder), task.answer, "a", ("a",), HEADS, *parts, seed=0)


def columns(rotation: object) -> Tensor:
    assert isinstance(rotation, Rotation)
    return rotation.columns


def test_no_single_copy_carries_the_variable_and_both_together_do() -> None:
    problem = copies()
    _, alone = drain(train(problem, HEADS, JOINT, {}))
    assert all(trial.quality.iia.value == 0.0 for trial in alone.trials)
    _, trials = drain(train_joint(problem, [HEADS], JOINT, {}))
    best = trials.trials[0]
    assert best.name == "L0.head0.result@last + L0.head1.result@last"
    assert [part.featurizer.rank for part in best.handle.parts] == [1, 1]
    assert best.quality.value == 1.0
    for head, part in enumerate(best.handle.parts):
        assert float(columns(part.featurizer)[COPY_A[head], 0].square()) > 0.99
    whole = next(trial for trial in trials.trials if trial.rank == 4)
    assert whole.quality.value < 1.0  # b moves too
    found, controls, _ = hold_out(problem, best.handle, {})
    assert found.value == 1.0
    assert controls.full_swap.value < 1.0


def test_joint_work_is_resumed_and_its_keys_name_who_is_together() -> None:
    problem = copies()
    events, whole = drain(train_joint(problem, [HEADS], JOINT, {}))
    done = {event.key: event.tensors for event in events if isinstance(event, Piece)}
    again, resumed = drain(train_joint(problem, [HEADS], JOINT, done))
    assert not [event for event in again if isinstance(event, Piece)]
    assert [trial.quality for trial in resumed.trials] == [trial.quality for trial in whole.trials]
    for mine, theirs in zip(resumed.trials, whole.trials, strict=True):
        for part, other in zip(mine.handle.parts, theirs.handle.parts, strict=True):
            assert torch.equal(columns(part.featurizer), columns(other.featurizer))
    apart, _ = drain(train_joint(problem, [(site,) for site in HEADS], JOINT, done))
    assert not {event.key for event in apart if isinstance(event, Piece)} & set(done)


def test_a_group_of_nothing_or_of_one_site_twice_is_refused() -> None:
    for group in ((), (HEADS[0], HEADS[0])):
        with pytest.raises(InvalidSetting, match="to train together: give at least one, each once"):
            drain(train_joint(copies(), [group], JOINT, {}))


# Supports


def test_a_rotation_stays_inside_its_support() -> None:
    problem, basis = planted("copied"), turn().float()
    narrow = basis[[COPIED]].T  # the truth itself
    wide = basis[[COPIED, BIT]].T @ torch.tensor([[1.0, 1.0], [1.0, -2.0]])  # any columns that span it
    for support in (narrow, wide):
        _, trials = drain(train(problem, [MID], TRAINING, {}, supports={MID: support}))
        assert trials.trials[0].quality.value == 1.0
        inside = torch.linalg.qr(support).Q
        for trial in trials.trials:
            found = columns(trial.handle.featurizer)
            torch.testing.assert_close(inside @ (inside.T @ found), found, atol=1e-5, rtol=0)
    _, elsewhere = drain(train(problem, [MID], TRAINING, {}, supports={MID: basis[[BIT]].T}))
    assert all(trial.quality.value < 1.0 for trial in elsewhere.trials)


def test_supports_are_part_of_what_work_depends_on() -> None:
    problem, basis = planted("copied"), turn().float()
    keys = []
    for supports in ({}, {MID: basis[[COPIED]].T}, {MID: basis[[BIT]].T}, {MID: torch.eye(6)}):
        events, _ = drain(train(problem, [MID], replace(TRAINING, steps=1), {}, supports=supports))
        keys += [event.key for event in events if isinstance(event, Piece)]
    assert len(set(keys)) == 4
    with pytest.raises(InvalidSetting, match=r"the support of L0\.resid_mid@last has 5 rows; give columns of 6"):
        drain(train(problem, [MID], TRAINING, {}, supports={MID: torch.eye(5)}))
