"""Principal components in the activations' own units, and only as many as there are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from engines.activations import capture
from engines.errors import InvalidSetting
from engines.evaluation import full, sweep
from engines.events import Piece, drain
from engines.featurize import Rotation
from engines.handle import Part
from engines.methods.pca import Pca
from engines.model import Batch
from engines.principal import components, fit_components, points
from engines.site import Site
from tests.engines.test_intervene import random_model, random_pairs
from tests.known import conjunction_problem


def cloud(count: int = 200) -> Tensor:
    """Points whose first coordinate varies most and whose other two vary together."""
    rng = np.random.default_rng(0)
    big, small = rng.normal(size=(2, count))
    return torch.tensor(np.stack([10 * big + 5, small, small + 0.1 * rng.normal(size=count)], 1))


def test_components_are_the_eigenvectors_of_the_covariance() -> None:
    found = components(cloud()).numpy()
    values, vectors = np.linalg.eigh(np.cov(cloud().numpy().T))
    assert np.all(np.diff(values) > 0)
    np.testing.assert_allclose(np.abs(vectors[:, ::-1].T @ found), np.eye(3), atol=1e-9)


def test_coordinates_keep_their_units() -> None:
    """Scaled to unit variance, the pair of small coordinates would come first: 2 of 3 units of variance."""
    scaled = cloud() / cloud().std(0)
    assert float(components(scaled)[0, 0].abs()) < 0.2
    assert float(components(cloud())[0, 0].abs()) > 0.999


@pytest.mark.parametrize(("count", "width", "rank"), [(3, 5, 2), (1, 4, 0), (50, 4, 4)])
def test_the_rank_is_honest(count: int, width: int, rank: int) -> None:
    """N points span N - 1 directions about their mean; the mean itself is none of them."""
    some = torch.randn(count, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 100
    found = components(some)
    assert found.shape == (width, rank)
    torch.testing.assert_close(found.T @ found, torch.eye(rank, dtype=torch.float64))


def test_rounding_is_no_component() -> None:
    some = torch.full((20, 3), 1e3) + torch.randn(20, 3, generator=torch.Generator().manual_seed(0)) * 1e-5
    assert components(some).shape == (3, 0)


def test_padding_is_no_point() -> None:
    model, pairs = random_model(True), random_pairs(same_length=True)
    sides = [
        Batch(torch.nn.functional.pad(side.tokens, (2, 0)), torch.nn.functional.pad(side.mask, (2, 0)))
        for side in (pairs.bases, pairs.sources)
    ]
    padded = replace(pairs, bases=sides[0], sources=sides[1])
    site = Site.parse("L1.resid_post@all")
    real = 2 * pairs.n * pairs.bases.tokens.shape[1]
    assert len(points(capture(model, pairs, [site], ()), site)) == real
    assert len(points(capture(model, padded, [site], ()), site)) == real


def test_all_components_are_the_full_swap_and_the_rest_stays_the_bases_own() -> None:
    problem = conjunction_problem("both")
    sites = [site for site in problem.sites if site.span is None]
    events, (found, cost) = drain(fit_components(problem, sites, {}))
    parts = [Part(site, Rotation(found[site])) for site in sites]
    _, swept = drain(sweep(problem.model, problem.calibration, parts, {}))
    _, whole = drain(sweep(problem.model, problem.calibration, full(problem.model, sites), {}))
    torch.testing.assert_close(swept.outputs, whole.outputs, atol=1e-5, rtol=0)
    assert cost.forward_passes > 0
    done = {event.key: event.tensors for event in events if isinstance(event, Piece)}
    again, _ = drain(fit_components(problem, sites, done))
    assert not [event for event in again if isinstance(event, Piece)]


def test_sizes_are_checked() -> None:
    with pytest.raises(InvalidSetting, match=r"sizes \(0,\): give at least one, each 1 or more, such as \(1, 2, 4\)"):
        drain(Pca(sizes=(0,)).fit(conjunction_problem("both"), {}))
