"""Principal angles between what a run learned and the true subspace, beside those of random subspaces.

At a site that carries a variable the true subspace is that of a compiled block of directions which alone carries it
there (``tracr_bridge.equivalence``): the span of differences of the block's reachable encodings, where it stands in
this network. Several blocks may carry a variable; that one counts which the learned directions come nearest to.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from engines.errors import CorruptRun, InvalidSetting, StoreError
from engines.evaluation import joint
from engines.featurize import Coordinates, Mask, Rotation
from engines.handle import Part
from engines.site import Site
from tracr_bridge.equivalence import audit, equivalence
from tracr_bridge.grading import columns as swapped
from tracr_bridge.network import Block, Network
from workbench import catalog, site_map
from workbench.specimen import Specimen
from workbench.store import Run

DRAWS, SEED = 200, 0
"""Random subspaces that are drawn as the control, and the seed of the draws."""
APART = 1e-3
"""How far a block's directions within some coordinates may be from orthonormal, and still lie in them."""


def principal_angles(a: Float[Tensor, "width p"], b: Float[Tensor, "width q"]) -> Float[Tensor, " k"]:
    """The min(p, q) principal angles between the spans of independent columns, in radians, least first.

        cos t_i = s_i(A^T B),    sin t_i = s_i(B - A A^T B)    for p >= q, A and B made orthonormal

    Small angles are taken from their sines, others from their cosines: each is exact where the other is not (Bjorck and
    Golub 1973, "Numerical Methods for Computing Angles Between Linear Subspaces", Mathematics of Computation 27).
    """
    if a.shape[1] < b.shape[1]:
        a, b = b, a
    a, b = torch.linalg.qr(a.double()).Q, torch.linalg.qr(b.double()).Q
    cosines = torch.linalg.svdvals(a.T @ b)
    sines = torch.linalg.svdvals(b - a @ (a.T @ b)).flip(0)
    by_sine = sines.clamp(max=1.0).asin()  # rounding may leave a sine or a cosine just above 1
    return torch.where(cosines.square() >= 0.5, by_sine, cosines.clamp(max=1.0).acos())


@lru_cache(maxsize=256)
def random_overlap(width: int, true: int, learned: int) -> Mapping[str, Any]:
    """The mean cosine of the principal angles of random subspaces of these ranks with a fixed one.

    ``value`` is its mean over ``n`` draws, ``low`` and ``high`` hold 95 % of them. Which subspace is fixed makes no
    difference, so that it is the first coordinates'.
    """
    generator = torch.Generator().manual_seed(SEED)
    drawn = torch.randn(DRAWS, width, learned, generator=generator, dtype=torch.float64)
    cosines = torch.linalg.svdvals(torch.linalg.qr(drawn).Q[:, :true])
    means = cosines.mean(1)
    low, high = means.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return {"value": float(means.mean()), "low": low, "high": high, "n": DRAWS, "seed": SEED}


def compare(specimen: Specimen, run: Run, site: str | None = None) -> list[dict[str, Any]]:
    """What a finished run of the specimen's cell learned at each claimed site, or at ``site``, against the truth.

    Raises ``InvalidSetting`` for a run of another cell, ``StoreError`` or ``CorruptRun`` for one that cannot be read.
    """
    cell = run.spec.cell
    if cell != specimen.cell:
        raise InvalidSetting(f"run {run.id} is one of {cell}, not of {specimen.cell}; ask the server of {cell}")
    claims = site_map.read(run).claims
    arrays: Mapping[str, Tensor] | None = None
    found = []
    for name in claims if site is None else [str(Site.parse(site))]:
        if name in claims and arrays is None and claims[name][1]["featurizer"] != "Whole":
            arrays = _arrays(run)
        found.append(_compared(specimen, name, claims.get(name), arrays))
    return found


def _compared(
    specimen: Specimen, site: str, claim: tuple[int, Mapping[str, Any]] | None, arrays: Mapping[str, Tensor] | None
) -> dict[str, Any]:
    """One site: the blocks that carry the variable there, and the angles with what is claimed."""
    blocks = {} if specimen.network is None else true_bases(specimen, Site.parse(site))
    record: dict[str, Any] = {
        "site": site,
        "claim": None if claim is None else claim[0],
        "featurizer": None if claim is None else claim[1]["featurizer"],
        "rank": None if claim is None else claim[1]["rank"],
        "true": [{"block": name, "rank": basis.shape[1]} for name, basis in blocks.items()],
        **dict.fromkeys(("block", "true_rank", "angles", "mean_cos", "share", "random", "audit", "note")),
    }
    if claim is None:
        return record | {"note": "the run claims nothing here, so that there is no rotation to compare"}
    if claim[1]["featurizer"] == "Whole":
        return record | {"note": "a full swap: the whole vector is claimed, so that there is no rotation to compare"}
    if specimen.network is None:
        return record | {"note": "no truth is known: this network was trained, not compiled"}
    assert arrays is not None
    learned = _directions(arrays, claim, _width(specimen.network, Site.parse(site)))
    if not learned.shape[1]:
        return record | {"note": "no direction is swapped: the claim is a no-op"}
    record["audit"] = _audited(specimen, Part(Site.parse(site), Rotation(learned), claim[1]["strength"]))
    if not blocks:
        return record | {"note": "no compiled block carries the variable here, so that there is no true subspace"}
    return record | _nearest(blocks, learned.double())


def _nearest(blocks: Mapping[str, Tensor], learned: Float[Tensor, "width q"]) -> dict[str, Any]:
    """The block that the learned directions come nearest to, by the mean cosine."""
    by_name = {name: principal_angles(basis, learned) for name, basis in blocks.items()}
    name, angles = max(by_name.items(), key=lambda entry: float(entry[1].cos().mean()))
    true = blocks[name]
    return {
        "block": name,
        "true_rank": true.shape[1],
        "angles": angles.rad2deg().tolist(),
        "mean_cos": float(angles.cos().mean()),
        "share": float(angles.cos().square().sum() / true.shape[1]),
        "random": dict(random_overlap(learned.shape[0], true.shape[1], learned.shape[1])),
        "width": learned.shape[0],
    }


def _audited(specimen: Specimen, part: Part) -> dict[str, int] | None:
    """On how many of the valid audit pairs, informative or not, one swap alone is right; None without such pairs.

    No method has seen them, and truth is being right on all of them: a rotation that mixes compiled blocks may be right
    where no block by itself is.
    """
    network, variable = specimen.network, specimen.variable
    assert network is not None
    pairs = audit(network.truth, catalog.asked(specimen.cell.task)[1])
    if variable not in pairs.labels or not bool(pairs.valid[variable].any()):
        return None
    outputs = joint(specimen.model, pairs, [(part,)])[0][0]
    valid = pairs.valid[variable]
    right = pairs.answer.correct(outputs, pairs.labels[variable]) & valid
    return {"right": int(right.sum()), "n": int(valid.sum())}


def _width(network: Network, site: Site) -> int:
    return network.decoder.shape.d_model if site.span is None else site.span[1] - site.span[0]


def true_bases(specimen: Specimen, site: Site) -> dict[str, Float[Tensor, "width k"]]:
    """Orthonormal bases of the true subspaces at a site, by the name of the block that carries the variable.

    Empty where none does. Of a site of some coordinates those blocks count that lie in them.
    """
    network = specimen.network
    assert network is not None
    known = equivalence(network, catalog.asked(specimen.cell.task)[1]).get(specimen.variable)
    blocks = () if known is None else known.carriers.get(site.whole, ())
    found = {}
    for block in blocks:
        basis = _basis(network, block)
        if site.span is not None:
            basis = basis[site.span[0] : site.span[1]]
        gram = basis.T @ basis
        if basis.shape[1] and float((gram - torch.eye(len(gram), dtype=gram.dtype)).abs().max()) < APART:
            found[block.name or "1/(1+w)"] = basis
    return found


def _basis(network: Network, block: Block) -> Float[Tensor, "d_model k"]:
    columns = block.columns if block.name is None else network.subspace(network.truth.variable(block.name))
    return columns.double()


def _arrays(run: Run) -> Mapping[str, Tensor]:
    file = run.folder / "tensors.safetensors"
    try:
        return load(file.read_bytes())
    except OSError as error:
        raise StoreError(
            f"run {run.id} has no arrays: {file} cannot be read ({error.strerror}); compute it afresh: "
            f"workbench run {run.spec} --again"
        ) from None
    except SafetensorError as error:
        raise CorruptRun(f"{file} is damaged ({error}); compute it afresh: workbench run {run.spec} --again") from None


def _directions(
    arrays: Mapping[str, Tensor], claim: tuple[int, Mapping[str, Any]], width: int
) -> Float[Tensor, "width q"]:
    """The directions that a claim swaps, out of the run's arrays; raises ``CorruptRun`` where they are missing."""
    number, part = claim
    kind, place = part["featurizer"], part["place"]
    entry = {"Rotation": "columns", "Mask": "gates", "Coordinates": "index"}[kind]
    name = f"handles.{number - 1}." + (f"parts.{place}." if place else "") + entry
    if name not in arrays:
        raise CorruptRun(f"the run's arrays lack {name!r}, the {kind} at {part['site']}; compute the run afresh")
    tensor = arrays[name]
    featurizer = Rotation(tensor) if kind == "Rotation" else Mask(tensor) if kind == "Mask" else None
    found = swapped(featurizer or Coordinates(width, tuple(tensor.tolist())))
    if found is None or len(found) != width:
        raise CorruptRun(f"{name} of the run is {tuple(tensor.shape)}, but its site has width {width}; run it afresh")
    return found
