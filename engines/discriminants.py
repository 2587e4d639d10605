"""Fisher's linear discriminants (Fisher 1936): the directions that tell the values of a variable apart."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def discriminants(
    base: Float[Tensor, "pairs positions r"], source: Float[Tensor, "pairs positions r"], values: Int[Tensor, "pairs 2"]
) -> Float[Tensor, "r directions"]:
    """Orthonormal directions that tell the variable's values apart, best first.

        maximise  u^T S_between u / u^T S_within u

    As many as the means of the values span, computed from both sides of the pairs; ridge 1e-6 of the total variance.
    """
    points = torch.cat([base, source]).flatten(0, 1).double()
    classes = values.T.flatten().repeat_interleave(base.shape[1])
    centre = points.mean(0)
    means = torch.stack([points[classes == value].mean(0) for value in classes.unique()])
    counts = torch.tensor([float((classes == value).sum()) for value in classes.unique()], dtype=torch.float64)
    within = points - means[torch.searchsorted(classes.unique(), classes)]
    spread = within.T @ within / len(points)
    ridge = 1e-6 * float((points - centre).square().mean()) + 1e-30
    between = (means - centre).T @ ((means - centre) * counts[:, None]) / len(points)
    factor = torch.linalg.cholesky(spread + ridge * torch.eye(len(spread), dtype=torch.float64))
    inverse = torch.linalg.inv(factor)
    strength, vectors = torch.linalg.eigh(inverse @ between @ inverse.T)
    kept = strength.flip(0) > 1e-9 * strength.max()
    return torch.linalg.qr(inverse.T @ vectors.flip(1)[:, kept]).Q
