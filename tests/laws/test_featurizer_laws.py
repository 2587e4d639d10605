"""Laws of featurizers: they lose nothing, a full rank is a full swap, an empty index is a no-op."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import InvalidModel
from engines.featurize import Coordinates, Featurizer, Mask, Rotation, Whole, basis, swap

WIDTH = 6


def draw(seed: int, *size: int) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def featurizers(seed: int, rank: int) -> list[Featurizer]:
    chosen = torch.randperm(WIDTH, generator=torch.Generator().manual_seed(seed))[:rank]
    gates = torch.zeros(WIDTH, dtype=torch.bool)
    gates[chosen] = True
    rotation = torch.linalg.qr(draw(seed, WIDTH, WIDTH)).Q[:, :rank].contiguous()
    return [Whole(WIDTH), Coordinates(WIDTH, tuple(chosen.tolist())), Rotation(rotation), Mask(gates)]


SEEDS, RANKS = st.integers(0, 10**6), st.integers(0, WIDTH)


@given(SEEDS, RANKS)
def test_inverse_undoes_featurize(seed: int, rank: int) -> None:
    x = draw(seed + 1, 3, WIDTH)
    for featurizer in featurizers(seed, rank):
        torch.testing.assert_close(featurizer.inverse(*featurizer.featurize(x)), x)


@given(SEEDS, RANKS)
def test_swapping_a_vector_with_itself_changes_nothing(seed: int, rank: int) -> None:
    x = draw(seed + 1, 3, WIDTH)
    for featurizer in featurizers(seed, rank):
        torch.testing.assert_close(swap(featurizer, x, x), x)


@given(SEEDS)
def test_full_rank_is_a_full_swap(seed: int) -> None:
    base, source = draw(seed + 1, 3, WIDTH), draw(seed + 2, 3, WIDTH)
    for featurizer in featurizers(seed, WIDTH):
        torch.testing.assert_close(swap(featurizer, base, source), source)


@given(SEEDS, RANKS)
def test_no_index_is_all_and_an_empty_one_is_none(seed: int, rank: int) -> None:
    base, source = draw(seed + 1, 3, WIDTH), draw(seed + 2, 3, WIDTH)
    for featurizer in featurizers(seed, rank):
        everything = list(range(featurizer.rank))
        torch.testing.assert_close(swap(featurizer, base, source, everything), swap(featurizer, base, source))
        torch.testing.assert_close(swap(featurizer, base, source, []), base)


@given(SEEDS)
def test_an_empty_mask_and_empty_coordinates_are_no_ops(seed: int) -> None:
    base, source = draw(seed + 1, 3, WIDTH), draw(seed + 2, 3, WIDTH)
    for featurizer in featurizers(seed, 0)[1:]:
        torch.testing.assert_close(swap(featurizer, base, source), base)


@given(SEEDS)
def test_disjoint_subspaces_commute(seed: int) -> None:
    base, one, two = draw(seed + 1, 3, WIDTH), draw(seed + 2, 3, WIDTH), draw(seed + 3, 3, WIDTH)
    columns = torch.linalg.qr(draw(seed, WIDTH, WIDTH)).Q
    left, right = Rotation(columns[:, :2].contiguous()), Rotation(columns[:, 2:5].contiguous())
    torch.testing.assert_close(swap(right, swap(left, base, one), two), swap(left, swap(right, base, two), one))


@given(SEEDS, st.integers(1, 4))
def test_basis_spans_its_directions(seed: int, count: int) -> None:
    directions = draw(seed, WIDTH, count) @ draw(seed + 1, count, count + 2)
    found = basis(directions)
    assert found.rank == count
    torch.testing.assert_close(found.columns @ (found.columns.T @ directions), directions, atol=1e-7, rtol=1e-7)


def test_basis_of_nothing_is_empty() -> None:
    assert basis(torch.zeros(4, 3)).rank == 0


def test_directions_that_are_not_orthonormal_are_refused() -> None:
    with pytest.raises(InvalidModel, match=r"off orthonormal by 2\.0e\+00; orthonormalise them first"):
        Rotation(torch.ones(2, 2) * 1.0)


def test_coordinates_out_of_range_are_refused() -> None:
    with pytest.raises(InvalidModel, match="each once, from 0 to 5"):
        Coordinates(6, (0, 6))
