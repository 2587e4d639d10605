"""Drawing pairs from pairs: rows stay together, halves are kept, and a bootstrap moves bases, not pairs."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.resample import bootstrap, screening, subset
from tests.known import conjunction_problem


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.lists(st.integers(0, 8), min_size=1, max_size=9, unique=True))
@settings(deadline=None, max_examples=20)
def test_a_subset_holds_the_rows_of_its_index(index: list[int]) -> None:
    pairs = conjunction_problem("both").fit
    family = torch.arange(pairs.n)
    pairs = replace(pairs, family=family, families=tuple(map(str, range(pairs.n))), change=torch.randn(pairs.n, 3))
    some = subset(pairs, torch.tensor(index))
    assert some.n == len(index)
    assert some.family is not None
    assert some.family.tolist() == index
    assert torch.equal(some.bases.tokens, pairs.bases.tokens[index])
    assert torch.equal(some.sources.tokens, pairs.sources.tokens[index])
    assert torch.equal(some.input_change, pairs.input_change[index])
    assert torch.equal(some.answers_at, pairs.answers_at[index])
    for name in pairs.labels:
        assert torch.equal(some.labels[name], pairs.labels[name][index])
        assert torch.equal(some.informative(name), pairs.informative(name)[index])
        assert torch.equal(some.invariant_as_drawn(name), pairs.invariant_as_drawn(name)[index])


@pytest.mark.parametrize("count", [2, 4, 5])
def test_screening_keeps_halves(count: int) -> None:
    pairs = conjunction_problem("both").fit
    some = screening(pairs, "both", count, generator())
    assert some.n == count
    assert int(some.informative("both").sum()) == count - count // 2
    assert int(some.invariant("both").sum()) == count // 2


def test_where_one_half_is_short_the_other_fills_up() -> None:
    pairs = conjunction_problem("both").fit
    informative, invariant = (int(kind.sum()) for kind in (pairs.informative("both"), pairs.invariant("both")))
    assert informative > invariant
    some = screening(pairs, "both", informative + invariant - 1, generator())
    assert (some.n, int(some.invariant("both").sum())) == (informative + invariant - 1, invariant)
    assert screening(pairs, "both", 10**6, generator()).n == informative + invariant


def test_screening_draws_by_its_generator_only() -> None:
    pairs = conjunction_problem("both").fit
    one, same, other = (screening(pairs, "both", 4, generator(seed)).digest for seed in (0, 0, 3))
    assert one == same != other


def test_a_bootstrap_draws_bases_with_all_their_pairs() -> None:
    pairs = conjunction_problem("both").fit
    weights = bootstrap(pairs, 50, seed=0)
    assert weights.shape == (50, pairs.n)
    alike = (pairs.bases.tokens[:, None] == pairs.bases.tokens[None]).all(-1)
    assert bool(alike.fill_diagonal_(False).any())  # some pairs share a base
    for one in range(pairs.n):
        for other in alike[one].nonzero()[:, 0].tolist():
            assert torch.equal(weights[:, one], weights[:, other])
    first = [int((pairs.bases.tokens == row).all(1).nonzero()[0, 0]) for row in pairs.bases.tokens.unique(dim=0)]
    assert weights[:, first].sum(1).tolist() == [float(len(first))] * 50  # as many bases as there are
    assert weights.std(0).min() > 0


def test_a_bootstrap_is_a_function_of_its_seed() -> None:
    pairs = conjunction_problem("both").fit
    assert torch.equal(bootstrap(pairs, 5, seed=1), bootstrap(pairs, 5, seed=1))
    assert not torch.equal(bootstrap(pairs, 5, seed=1), bootstrap(pairs, 5, seed=2))
