"""Rotations trained side by side from cached activations against one at a time from two full runs a step.

Both train every (site, size) from the same start, on the same minibatches, with the same Adam and learning rates, for
the same number of steps, and score each rotation on the calibration pairs. What differs:

- the starts (a span and discriminants a site) are part of the time of the cached path only;
- the cached path also calibrates the untrained starts, which are trials of their own;
- early stopping, which DAS has, is switched off; "layers early" counts layer evaluations with it, at fewer steps.

Networks take no gradients, so that both paths go back only through the layers above the site.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from unittest.mock import patch

import torch
from bench.naive import Naive
from bench.networks import VARIABLE, random_decoder, random_pairs, random_sites
from bench.timing import alternate, header, table
from jaxtyping import Float
from torch import Tensor

from engines import subspace
from engines.activations import capture
from engines.evaluation import quality
from engines.events import drain
from engines.featurize import Rotation
from engines.model import DecoderModel
from engines.score import Cost
from engines.site import Site
from engines.subspace import Training, Trials, train
from engines.task import Problem
from tracr_bridge.task import known, problem

CLAIM = "Training rotations at many sites and sizes: side by side from cached activations, or one by one in full runs."
PROBLEMS = (("reverse", "opposite"), ("detect_pattern", "after_a"))
COMPONENTS = ("attn_out", "resid_post")
ROUNDS = 3
NEVER = 10**9
CHECKED = 4
"""Steps after which both paths must have the same rotations; later, rounding grows into different trajectories."""
Start = tuple[Site, Float[Tensor, "width r"], Float[Tensor, "r size"]]


@dataclass(frozen=True)
class Case:
    """What is trained where."""

    problem: Problem
    sites: tuple[Site, ...]
    training: Training


def cached(case: Case) -> Trials:
    """As DAS trains, but every job to its last step."""
    with patch.multiple(subspace, STRETCH=NEVER, HOPELESS=-NEVER):
        return shipped(case)


def shipped(case: Case) -> Trials:
    """As DAS trains: jobs that are hopeless, finished or on a plateau stop early."""
    return drain(train(case.problem, case.sites, case.training, {}))[1]


def starts(case: Case) -> list[Start]:
    """For every (site, size) the span and the parameters from which the cached path starts."""
    found: list[Start] = []
    fit = capture(case.problem.model, case.problem.fit, case.sites, ())
    for site in case.sites:
        bench = subspace._bench(case.problem, fit, site, case.training)
        found += [(site, bench.span, raw[:, :size]) for raw, size in zip(bench.raw, bench.sizes, strict=True)]
    return found


def naive(case: Case, given: Sequence[Start]) -> tuple[list[tuple[Site, Float[Tensor, "width size"]]], Cost]:
    """Train and calibrate one (site, size) after the other; the trained rotations and what they cost."""
    model = case.problem.model
    assert isinstance(model, DecoderModel)
    plain, found = Naive(model), []
    for site, span, raw in given:
        rotation = alone(case, plain, site, span, raw)
        calibrate(case.problem, plain, site, rotation)
        found.append((site, rotation))
    return found, plain.meter.cost(0.0)


def alone(
    case: Case, plain: Naive, site: Site, span: Float[Tensor, "width r"], raw: Float[Tensor, "r size"]
) -> Float[Tensor, "width size"]:
    """Train one rotation; every step runs a minibatch of sources and bases in full."""
    pairs, target, training = case.problem.fit, case.problem.target, case.training
    raw = raw.clone().requires_grad_()
    optimiser = torch.optim.Adam([raw], lr=training.learning_rate)
    generator = torch.Generator().manual_seed(case.problem.seed)
    for step in range(training.steps):
        optimiser.param_groups[0]["lr"] = training.learning_rate * max(0.05, 1 - step / training.steps)
        index = subspace._minibatch(pairs, target, training.batch, generator)
        rotation = span @ torch.linalg.qr(raw).Q
        outputs = plain.patched(pairs, site, lambda base, source, q=rotation: base + (source - base) @ q @ q.T, index)
        loss = case.problem.answer.loss(outputs, pairs.labels[target][index]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return span @ torch.linalg.qr(raw.detach()).Q


def calibrate(problem: Problem, plain: Naive, site: Site, rotation: Float[Tensor, "width size"]) -> float:
    """The rotation's IIA on the calibration pairs, from two full runs."""
    pairs = problem.calibration
    with torch.no_grad():
        outputs = plain.patched(
            pairs, site, lambda base, source: base + (source - base) @ rotation @ rotation.T, torch.arange(pairs.n)
        )
    return quality(outputs, pairs, problem.target).iia.value


def check(case: Case) -> float:
    """Train both ways for a few steps; the largest difference between their projections, which must be rounding."""
    given = case.training
    few = Case(
        case.problem,
        case.sites,
        Training(given.sizes, CHECKED, given.batch, given.learning_rate, given.restarts),
    )
    theirs: dict[tuple[Site, int], list[Tensor]] = {}
    for trial in cached(few).trials:
        featurizer = trial.handle.featurizer
        assert isinstance(featurizer, Rotation)
        columns = featurizer.columns
        theirs.setdefault((trial.handle.site, columns.shape[1]), []).append(columns @ columns.T)
    worst = 0.0
    for site, rotation in naive(few, starts(few))[0]:
        own = rotation @ rotation.T
        worst = max(worst, min(float((own - other).abs().max()) for other in theirs[site, rotation.shape[1]]))
    assert worst < 1e-3, f"{case.problem.name}: after {CHECKED} steps projections differ by {worst:.1e}"
    return worst


def cases() -> list[Case]:
    """Two compiled programs and a larger decoder with random labels; each layer's outputs, whole, at one position."""
    found = []
    for name, variable in PROBLEMS:
        asked = problem(known(name), variable, 0)
        whole = [site for site in asked.sites if site.component in COMPONENTS and site == site.whole]
        sites = tuple(site for site in whole if site.position == "target")
        found.append(Case(asked, sites, Training((1, 2), 24, 32, 0.05, 1)))
    model = random_decoder(n_layers=6, d_model=64, n_ctx=12, d_vocab=200)
    sites = random_sites(model, COMPONENTS, "last")
    parts = {part: random_pairs(model, 32, seed) for seed, part in enumerate(("fit", "calibration", "test"))}
    code = parts["fit"].answer
    asked = Problem(model.name, model, code, VARIABLE, (VARIABLE,), sites, **parts, seed=0)
    return [*found, Case(asked, sites, Training((1, 4), 8, 16, 0.05, 1))]


def row(case: Case) -> list[object]:
    """Check that both paths train the same (which also warms them up), then time them."""
    worst, given = check(case), starts(case)
    timed = alternate({"cached": lambda: cached(case), "naive": lambda: naive(case, given)}, ROUNDS)
    ours, plain, early = timed.results["cached"].cost, timed.results["naive"][1], shipped(case).cost
    return [
        case.problem.name.removeprefix("rasp."),
        len(case.sites),
        len(given),
        case.training.steps,
        timed.median("cached"),
        timed.median("naive"),
        timed.ratio("naive", "cached"),
        f"{ours.forward_passes:,} / {plain.forward_passes:,}",
        f"{ours.layer_evaluations:,} / {plain.layer_evaluations:,}",
        f"{plain.layer_evaluations / ours.layer_evaluations:.2f}x",
        f"{plain.layer_evaluations / early.layer_evaluations:.2f}x",
        worst,
    ]


def main() -> None:
    """Print one row a problem."""
    header(CLAIM)
    columns = ["problem", "sites", "jobs", "steps", "cached s", "naive s", "seconds", "sequences"]
    table([*columns, "layer evaluations", "layers", "layers early", "max diff"], [row(case) for case in cases()])


if __name__ == "__main__":
    main()
