"""The bytes of an MIB featurizer: an orthonormal rotation as a parametrised matrix that torch reads strictly.

The benchmark's module holds ``weight = orthogonal(original)`` [d, k] with ``torch.nn.utils.parametrizations``:

    weight = base H(original) diag(original)   k < d: H is the product of k Householder reflections, columns of tril
    weight = base expm(A - A^T), A = tril(original)    k = d

A rotation Q is written without the state of any training as ``base = [Q, Q']``, Q' any orthonormal completion, and
``original = -I`` [d, k], for which both are Q exactly. The diagonal is read as whole numbers: anything that is not 1 or
-1 there shrinks a direction to nothing. What swaps a subset of features must have it in Q, since lists of features are
not looked at.

Source: the causal variable track of Mueller et al. (2025), "MIB", arXiv 2504.13151.
"""

import io
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from engines.errors import InvalidSubmission
from engines.featurize import Coordinates, Mask, Rotation, Whole
from engines.handle import Part

SUBSPACE = ("SubspaceFeaturizerModule", "SubspaceInverseFeaturizerModule")
IDENTITY = ("IdentityFeaturizerModule", "IdentityInverseFeaturizerModule")
"""The module and its inverse: the only classes that the evaluator builds."""
ORIGINAL, BASE = "rotate.parametrizations.weight.original", "rotate.parametrizations.weight.0.base"
"""The two tensors of a subspace's state."""
EXACT = 256
"""Up to how many directions are multiplied out; more are probed with random vectors."""
PROBES = 8


def directions(part: Part, width: int) -> Float[Tensor, "width rank"] | None:
    """What a part swaps, as orthonormal columns in float64; None for the whole vector.

    ``width`` is that of the whole site. Raises ``InvalidSubmission`` for what a rotation cannot say.
    """
    site, featurizer = part.site, part.featurizer
    if part.strength != 1.0:
        raise InvalidSubmission(
            f"{site} is swapped with strength {part.strength:g}, and the benchmark's files know only full swaps; "
            "submit a run of a method that does not patch softly, such as das"
        )
    start, stop = site.span or (0, width)
    if featurizer.width != stop - start or stop > width:
        raise InvalidSubmission(
            f"{site} has a featurizer for vectors of {featurizer.width} coordinates, but {stop - start} of the {width} "
            "of the benchmark's network are at this site; submit a run on the benchmark's own network"
        )
    if featurizer.rank == 0:
        raise InvalidSubmission(
            f"{site} swaps no feature at all, and the benchmark has no file for that: an empty list is read as a full "
            "swap; leave this site out"
        )
    if isinstance(featurizer, Whole) and site.span is None:
        return None
    inner = _columns(featurizer)
    if not bool(torch.isfinite(inner).all()):
        raise InvalidSubmission(f"{site}: its directions are not finite; fit the run afresh")
    columns = torch.zeros(width, inner.shape[1], dtype=torch.float64)
    columns[start:stop] = inner
    return columns


def _columns(featurizer: Whole | Coordinates | Rotation | Mask) -> Float[Tensor, "width rank"]:
    eye = torch.eye(featurizer.width, dtype=torch.float64)
    if isinstance(featurizer, Whole):
        return eye
    if isinstance(featurizer, Coordinates):
        return eye[:, list(featurizer.index)]
    if isinstance(featurizer, Mask):
        return eye[:, featurizer.gates]
    left, _, right = torch.linalg.svd(featurizer.columns.detach().double().cpu(), full_matrices=False)
    return left @ right  # the nearest orthonormal columns


def completed(columns: Float[Tensor, "width rank"]) -> Float[Tensor, "width width"]:
    """The columns with orthonormal ones behind them that span what is left."""
    return torch.cat([columns, torch.linalg.qr(columns, mode="complete")[0][:, columns.shape[1] :]], 1)


def pack(columns: Float[Tensor, "width rank"] | None, width: int) -> tuple[bytes, bytes, bytes]:
    """The files of a site, in the order of ``SUFFIXES``; None for the whole vector of ``width`` coordinates."""
    if columns is None:
        names, rank, more, state = IDENTITY, width, {}, {}
    else:
        names, rank = SUBSPACE, columns.shape[1]
        more = {"rotation_matrix": columns.float().contiguous(), "requires_grad": False}
        state = {ORIGINAL: -torch.eye(width, rank), BASE: completed(columns).float().contiguous()}
    info = {
        "featurizer_class": names[0],
        "inverse_featurizer_class": names[1],
        "n_features": rank,
        "additional_config": more,
    }
    content = _saved({"model_info": info, "state_dict": state})
    return content, content, b"null\n"


def _saved(record: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    torch.save(record, file)
    return file.getvalue()


def off_orthonormal(original: Float[Tensor, "d k"], base: Float[Tensor, "d d"]) -> float:
    """The largest entry of ``Q^T Q - I`` of the weight; of many directions, how far random unit vectors are bent."""
    d, k = original.shape
    if k == d:  # the exponential of a skew matrix is orthogonal, whatever it is
        return _bent(lambda x: base @ x, lambda x: base.T @ x, k)
    lower, tau = _reflections(original)
    if k <= EXACT:
        columns = weight(original, base).double()
        return float((columns.T @ columns - torch.eye(k, dtype=torch.float64)).abs().max())
    sign = original.diagonal()[:, None]

    def forward(x: Tensor) -> Tensor:
        return base @ torch.ormqr(lower, tau, torch.cat([sign * x, x.new_zeros(d - k, x.shape[1])]))

    def backward(x: Tensor) -> Tensor:
        return sign * torch.ormqr(lower, tau, base.T @ x, transpose=True)[:k]

    return _bent(forward, backward, k)


def _bent(forward: Any, backward: Any, k: int) -> float:
    probes = torch.randn(k, PROBES, generator=torch.Generator().manual_seed(0))
    probes = probes / probes.norm(dim=0)
    return float((backward(forward(probes)) - probes).norm(dim=0).max())


def _reflections(original: Float[Tensor, "d k"]) -> tuple[Tensor, Tensor]:
    lower = original.tril(-1)
    return lower, 2.0 / (1.0 + (lower * lower).sum(0))


def weight(original: Float[Tensor, "d k"], base: Float[Tensor, "d d"]) -> Float[Tensor, "d k"]:
    """The rotation that the benchmark's module makes of its state."""
    d, k = original.shape
    if k == d:
        lower = original.tril()
        return base @ torch.matrix_exp(lower - lower.T)
    lower, tau = _reflections(original)
    return base @ (torch.linalg.householder_product(lower, tau) * original.diagonal().int())
