"""Effect signatures by hand: what costs nothing, what costs one, and what averaging over pairs destroys."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from engines.answer import NOTHING, AnswerCode, Choice, Number
from engines.costs import costs
from engines.errors import InsufficientData, UnknownName
from engines.evaluation import Sweep
from engines.featurize import Whole
from engines.handle import Part
from engines.model import Batch
from engines.score import Cost
from engines.signature import SIGNATURES, Evidence, mean, per_example, site_effects, variable_effect
from engines.site import Site
from engines.task import Pairs

PARTS = tuple(Part(Site.parse(f"L0.resid_post[{dim}:{dim + 1}]@last"), Whole(1)) for dim in range(8))
SURE = Choice(("a", "b"), (0, 1), sharpness=100.0)


def swept(
    answer: AnswerCode, base: Sequence[Sequence[object]], label: Sequence[Sequence[object]], sites: Sequence[object]
) -> Sweep:
    """A sweep whose pairs have these answers before and after interchanging ``v``, and these outputs at each site."""
    rows, width = len(base), len(base[0])
    tokens = Batch(torch.zeros(rows, width, dtype=torch.int64), torch.ones(rows, width, dtype=torch.bool))
    pairs = Pairs(
        tokens,
        tokens,
        {},
        {},
        torch.arange(width).repeat(rows, 1),
        answer.encode(base, width),  # type: ignore[arg-type]
        {"v": answer.encode(label, width)},  # type: ignore[arg-type]
        {"v": torch.ones(rows, dtype=torch.bool)},
        {"v": torch.zeros(rows, 2, dtype=torch.int64)},
        answer,
    )
    outputs = torch.stack([told(answer, site) for site in sites])  # type: ignore[arg-type]
    return Sweep(PARTS[: len(sites)], pairs, outputs, told(answer, base), Cost())


def told(answer: AnswerCode, values: Sequence[Sequence[object]]) -> torch.Tensor:
    """The outputs of a network that is sure of these answers; None: it has no opinion (all zeros)."""
    labels = answer.encode(values, len(values[0]))  # type: ignore[arg-type]
    return answer.ideal(labels) if isinstance(answer, Choice) else labels.nan_to_num()[..., None].float()


BASE = [["a"], ["a"], ["b"], ["b"]]
LABEL = [["b"], ["a"], ["a"], ["b"]]  # the first and the third pair inform
EVER = [["b"], ["b"], ["b"], ["b"]]


def test_effects_by_hand() -> None:
    found = swept(SURE, BASE, LABEL, [LABEL, BASE])
    assert variable_effect(found, "v")[:, 0].tolist() == [[-1, 1], [0, 0], [1, -1], [0, 0]]
    torch.testing.assert_close(site_effects(found)[0], variable_effect(found, "v"))
    assert not bool(site_effects(found)[1].any())


def test_a_perfect_site_costs_nothing_and_a_silent_one_costs_one() -> None:
    table = costs(swept(SURE, BASE, LABEL, [LABEL, BASE, EVER]), ("v",), "per_example")
    # |A|^2 is 2 + 0 + 2 + 0; answering b always: right on the first, 2 wrong on the second, 2 short on the third
    assert table.cost[0].tolist() == pytest.approx([0.0, 1.0, (0 + 2 + 2 + 0) / 4], abs=1e-6)
    assert table.pairs == (4,)
    assert table.silent.tolist() == [False, True, False]
    assert table.cost.dtype == torch.float64


def test_the_opposite_effect_costs_four() -> None:
    away = [["a"], ["a"], ["b"], ["b"]]
    number = Number(0, 0.25)
    found = swept(number, [[1.0], [1.0], [0.0], [0.0]], [[2.0], [1.0], [-1.0], [0.0]], [[[0.0], [1.0], [1.0], [0.0]]])
    assert costs(found, ("v",), "per_example").cost.tolist() == [[4.0]]
    assert costs(swept(SURE, BASE, LABEL, [away]), ("v",), "per_example").cost[0, 0] == pytest.approx(1.0)


def test_half_the_effect_costs_a_quarter() -> None:
    found = swept(Number(0, 0.1), [[0.0], [0.0]], [[1.0], [-1.0]], [[[0.5], [-0.5]]])
    assert costs(found, ("v",), "per_example").cost.tolist() == [[0.25]]


def test_averaging_over_pairs_loses_what_pairs_know() -> None:
    """Three pairs go from a to b, two from b to a and one stays, so that the mean effect is one step towards b.

    A site that moves only the pair that should stay, one step towards b, has the same mean: right and wrong look alike.
    """
    base = [["a"], ["a"], ["a"], ["b"], ["b"], ["a"]]
    label = [["b"], ["b"], ["b"], ["a"], ["a"], ["a"]]
    once = [["a"], ["a"], ["a"], ["b"], ["b"], ["b"]]
    found = swept(SURE, base, label, [once, label])
    exact, averaged = (costs(found, ("v",), name).cost[0] for name in ("per_example", "mean"))
    assert exact[1] == pytest.approx(0.0, abs=1e-6)
    assert exact[0] > 1
    assert averaged.tolist() == pytest.approx([0.0, 0.0], abs=1e-6)  # it cannot tell them apart


def test_the_mean_signature_by_hand() -> None:
    """Unit vectors: 0 for the same direction, 4 for the opposite, 2 for a right angle, 1 for no effect at all."""
    abstract = torch.tensor([[[2.0, 0.0]], [[0.0, 0.0]]])
    directions = [[[3.0, 0.0]], [[-1.0, 0.0]], [[0.0, 5.0]], [[0.0, 0.0]]]
    neural = torch.tensor(directions)[:, None].expand(4, 2, 1, 2)
    evidence, once = Evidence(swept(SURE, BASE, LABEL, [BASE]), "v", abstract, neural), torch.ones(1, 2)
    assert mean(evidence, once)[0].tolist() == pytest.approx([0.0, 4.0, 2.0, 1.0])
    # magnitudes count pair by pair: three for two on the first pair, and three for none on the second
    assert per_example(evidence, once)[0].tolist() == pytest.approx([(1 + 9) / 4, (9 + 1) / 4, (29 + 25) / 4, 1.0])


def test_pairs_without_a_label_do_not_count() -> None:
    found = swept(SURE, BASE, LABEL, [EVER, LABEL])
    valid = torch.tensor([True, False, True, True])  # without the pair on which answering b always is wrong
    found = replace(found, pairs=replace(found.pairs, valid={"v": valid}))
    table = costs(found, ("v",), "per_example")
    assert table.cost[0].tolist() == pytest.approx([0.5, 0.0], abs=1e-6)
    assert table.pairs == (3,)


def test_padding_beyond_a_rows_answers_does_not_count() -> None:
    base, label, noisy = [["a", None], ["b", "a"]], [["b", None], ["b", "b"]], [["b", "b"], ["b", "b"]]
    found = swept(SURE, base, label, [noisy])
    at = torch.tensor([[0, -1], [0, 1]])
    found = replace(found, pairs=replace(found.pairs, answers_at=at))
    assert costs(found, ("v",), "per_example").cost[0, 0] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("answer", [SURE, Number(0, 0.1)], ids=["choice", "number"])
def test_answers_that_the_causal_model_leaves_open_do_not_count(answer: AnswerCode) -> None:
    """As in checking and training: where either answer is open, nothing is asked of a site, whatever it does there."""
    a, b = ("a", "b") if isinstance(answer, Choice) else (1.0, 2.0)
    base, label = [[a, a], [a, None]], [[b, None], [a, b]]
    perfect, other = [[b, a], [a, a]], [[b, b], [a, b]]
    table = costs(swept(answer, base, label, [perfect, other, base]), ("v",), "per_example")
    assert table.cost[0].tolist() == pytest.approx([0.0, 0.0, 1.0], abs=1e-6)
    only_open = swept(answer, [[a, None]], [[None, b]], [perfect[:1]])
    with pytest.raises(InsufficientData, match="interchanging 'v' changes no answer on 0 pairs"):
        costs(only_open, ("v",), "per_example")


def test_a_variable_without_effect_has_no_signature() -> None:
    found = swept(SURE, BASE, BASE, [LABEL])
    for name in set(SIGNATURES) - {"per_family_mean"}:  # it asks for families first
        with pytest.raises(InsufficientData, match="interchanging 'v' changes no answer on 4 pairs; it has no signat"):
            costs(found, ("v",), name)


def test_a_wrong_signature_answers_with_the_right_ones() -> None:
    with pytest.raises(
        UnknownName, match=r"unknown signature 'means'\. Did you mean 'mean'\? Known: cosine, covariance, effect"
    ):
        costs(swept(SURE, BASE, LABEL, [LABEL]), ("v",), "means")


def test_nothing_is_an_open_answer_here_too() -> None:
    assert SURE.encode([[None]], 1).tolist() == [[NOTHING]]  # what the tests above rest on
