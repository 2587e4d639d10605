"""Answer codes: labels, checks, losses and what signatures compare."""

import math

import pytest
import torch

from engines.answer import NOTHING, Choice, Cutoff, Number
from engines.errors import InvalidModel

LETTERS = Choice(("a", "b", "c"), (5, 7, 9), sharpness=2.0)
SHARE = Number(0, 0.02)


def test_labels_and_padding() -> None:
    assert LETTERS.encode([["b", None], ["c"]], 3).tolist() == [[1, NOTHING, NOTHING], [2, NOTHING, NOTHING]]
    numbers = SHARE.encode([[0.5, None]], 3)
    assert numbers[0, 0] == 0.5
    assert numbers[0, 1:].isnan().all()


def test_an_answer_without_a_code_is_refused() -> None:
    with pytest.raises(InvalidModel, match="answer 'd' is none of \\('a', 'b', 'c'\\)"):
        LETTERS.encode([["d"]], 1)


def test_colliding_columns_are_refused() -> None:
    with pytest.raises(InvalidModel, match="3 answers on 2 distinct output columns"):
        Choice(("a", "b", "c"), (5, 7, 5))


def test_every_answered_position_must_be_right() -> None:
    outputs = torch.tensor([[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]])
    assert LETTERS.correct(outputs, torch.tensor([[1, 0]])).tolist() == [True]
    assert LETTERS.correct(outputs, torch.tensor([[1, 2]])).tolist() == [False]
    assert LETTERS.correct(outputs, torch.tensor([[1, NOTHING]])).tolist() == [True]


def test_a_number_is_right_within_its_tolerance() -> None:
    outputs = torch.tensor([[[0.51]], [[0.53]]])
    assert SHARE.correct(outputs, torch.tensor([[0.5], [0.5]], dtype=torch.float64)).tolist() == [True, False]


def test_labels_differ_only_where_both_answer() -> None:
    one, other = torch.tensor([[1, NOTHING], [1, 2]]), torch.tensor([[1, 2], [1, 0]])
    assert LETTERS.differs(one, other).tolist() == [False, True]
    nan = float("nan")
    assert SHARE.differs(torch.tensor([[nan], [0.5]]), torch.tensor([[1.0], [0.9]])).tolist() == [False, True]


def test_cross_entropy_by_hand() -> None:
    outputs = torch.tensor([[[1.0, 0.0, 0.0], [9.0, 9.0, 9.0]]])
    loss = LETTERS.loss(outputs, torch.tensor([[0, NOTHING]]))
    assert float(loss) == pytest.approx(math.log(math.e**2 + 2) - 2, rel=1e-6)


def test_a_right_number_has_no_loss_and_nothing_has_no_gradient() -> None:
    outputs = torch.tensor([[[0.5], [7.0]]], requires_grad=True)
    loss = SHARE.loss(outputs, torch.tensor([[0.5, float("nan")]], dtype=torch.float64))
    loss.sum().backward()
    assert float(loss.detach()) == 0.0
    assert outputs.grad is not None
    assert outputs.grad.tolist() == [[[0.0], [0.0]]]


def test_a_sure_network_expresses_the_ideal() -> None:
    labels = torch.tensor([[2, NOTHING]])
    sure = torch.tensor([[[0.0, 0.0, 40.0], [0.0, 0.0, 0.0]]])
    torch.testing.assert_close(LETTERS.express(sure)[0, 0], LETTERS.ideal(labels)[0, 0])
    assert LETTERS.ideal(labels)[0, 1].tolist() == [0.0, 0.0, 0.0]


def test_a_tie_and_nan_answer_nothing() -> None:
    """An argmax would give the first value the credit for every tie; compiled networks do tie when patched wrongly."""
    for outputs in ([0.0, 0.0, 0.0], [1.0, 1.0, 0.0], [math.nan, math.nan, math.nan], [math.nan, 0.0, 0.0]):
        for label in range(3):
            assert LETTERS.correct(torch.tensor([[outputs]]), torch.tensor([[label]])).tolist() == [False]
    assert SHARE.correct(torch.tensor([[[math.nan]]]), torch.tensor([[0.5]], dtype=torch.float64)).tolist() == [False]


def test_a_lead_must_exceed_the_margin() -> None:
    strict = Choice(("a", "b"), (0, 1), margin=0.1)
    outputs = torch.tensor([[[0.05, 0.0]], [[0.2, 0.0]]])
    assert strict.correct(outputs, torch.tensor([[0], [0]])).tolist() == [False, True]
    assert Choice(("a", "b"), (0, 1)).correct(outputs, torch.tensor([[0], [0]])).tolist() == [True, True]


TENS = Cutoff(tuple(range(10)), tuple(range(20, 30)))


@pytest.mark.parametrize("cutoff", range(1, 10))
def test_a_cutoff_is_read_from_what_is_ruled_out(cutoff: int) -> None:
    """Digits from the cutoff on share the probability, in whatever way; of nine labels this one is right."""
    generator = torch.Generator().manual_seed(cutoff)
    allowed = torch.arange(10) >= cutoff
    outputs = torch.where(allowed, torch.rand(50, 1, 10, generator=generator), -8.0)
    every = TENS.encode([[digit] for digit in range(1, 10)], 1)
    right = torch.stack([TENS.correct(outputs, label.expand(50, 1)) for label in every], 1)
    assert right.tolist() == [[digit == cutoff for digit in range(1, 10)]] * 50
    shifted = torch.stack([TENS.correct(outputs + 3.0, label.expand(50, 1)) for label in every], 1)
    assert torch.equal(shifted, right)


def test_a_sharp_cutoff_below_which_most_lies_a_tie_and_nan_are_no_answer() -> None:
    label = TENS.encode([[6]], 1)
    sharp = torch.full((1, 1, 10), -6.0).index_fill(-1, torch.arange(6, 10), -1.0)
    assert TENS.correct(sharp, label).tolist() == [True]
    assert TENS.correct(sharp.index_fill(-1, torch.tensor([0]), 9.0), label).tolist() == [False]  # says 0
    last = torch.zeros(1, 1, 10).index_fill(-1, torch.tensor([9]), 9.0)
    assert TENS.correct(last, label).tolist() == [False]  # that alone has all probability after any cutoff
    assert TENS.correct(torch.zeros(1, 1, 10), label).tolist() == [False]
    assert TENS.correct(torch.full((1, 1, 10), math.nan), label).tolist() == [False]
    assert TENS.correct(torch.zeros(1, 1, 10), torch.tensor([[NOTHING]])).tolist() == [True]


def test_cutoffs_are_trained_led_and_expressed_as_a_choice_between_steps() -> None:
    labels, base = TENS.encode([[3]], 1), TENS.encode([[7]], 1)
    outputs = torch.linspace(0, 1, 10).square().expand(1, 1, 10)
    step = outputs[0, 0].diff()
    assert float(TENS.lead(outputs, labels, base)) == pytest.approx(float(step[2] - step[6]))
    assert float(TENS.loss(outputs, labels)) == pytest.approx(float(-step.log_softmax(0)[2]))
    torch.testing.assert_close(TENS.express(outputs)[0, 0], step.softmax(0))
    assert TENS.ideal(labels)[0, 0].tolist() == [float(digit == 3) for digit in range(1, 10)]
    assert TENS.differs(labels, base).tolist() == [True]


def test_options_that_leave_no_cutoff_are_refused() -> None:
    with pytest.raises(InvalidModel, match="2 options have no two cutoffs between them; give at least three"):
        Cutoff((0, 1), (0, 1))
    with pytest.raises(InvalidModel, match="3 answers on 2 distinct output columns"):
        Cutoff((0, 1, 2), (0, 1, 1))
    with pytest.raises(InvalidModel, match="answer 0 is none of"):
        TENS.encode([[0]], 1)
