"""Rotations trained side by side from cached activations against pyvene, which trains one at a time in full runs.

Both train one rotation a site on the same weights and pairs, of the same size, with as many Adam steps on batches of as
many pairs, half of them informative, at the same falling learning rate. What differs:

- pyvene starts at random, ours at the variable's discriminants, whose computation is part of our time;
- ours also tries the untrained starts on calibration pairs;
- pyvene's loss is the cross-entropy over all words, ours over the ten answers.

For both alike the best site is chosen on calibration pairs and scored on test pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from bench.peer import Peer
from bench.pick import Size, plain, problem, sites
from bench.timing import alternate, header, publish
from jaxtyping import Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from engines.evaluation import estimate, joint, quality
from engines.events import drain
from engines.score import Quality
from engines.site import Site
from engines.subspace import Training, Trials, train
from engines.task import Pairs, Problem

CLAIM = "Training a rotation at every site, at equal steps: side by side from cached activations, or one by one."
QUOTA = 64
"""Informative pairs of each part."""
CASES = {"all layers, last": ("last",), "all layers, question and last": ("question", "last")}
TRAINING = Training(sizes=(4,), steps=32, batch=32, learning_rate=0.05, restarts=1, early=False)
ROUNDS = 1


@dataclass(frozen=True)
class Found:
    """The best site with its quality on test pairs, and how many layers were computed for one sequence."""

    site: Site
    test: Quality
    layers: int


def cached(asked: Problem, where: Sequence[Site], training: Training) -> Trials:
    """As DAS trains."""
    return drain(train(asked, where, training, {}))[1]


def best(asked: Problem, trials: Trials) -> Found:
    """The best trial, scored."""
    handle = trials.trials[0].handle
    outputs, _ = joint(asked.model, asked.test, [handle.parts])
    return Found(handle.site, estimate(outputs[0], asked.test, asked.target), trials.cost.layer_evaluations)


def one_by_one(asked: Problem, where: Sequence[Site], training: Training, peer: Peer) -> list[tuple[Site, object]]:
    """Train pyvene's rotation at every site and calibrate it; best first."""
    found = []
    for site in where:
        torch.manual_seed(asked.seed)
        rotation = peer.rotation(site, training.sizes[0])
        alone(asked, site, training, peer, rotation)
        value = quality(answers(asked.calibration, site, peer, rotation), asked.calibration, asked.target).value
        found.append((value, site, rotation))
    found.sort(key=lambda one: -one[0])
    return [(site, rotation) for _, site, rotation in found]


def alone(asked: Problem, site: Site, training: Training, peer: Peer, rotation: object) -> None:
    """Train one of pyvene's rotations, in the loop of its tutorials."""
    pairs, words = asked.fit, torch.tensor(asked.answer.columns)
    labels = words[pairs.labels[asked.target][:, 0]]
    optimiser = torch.optim.Adam(rotation.get_trainable_parameters(), lr=training.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: max(0.05, 1 - step / training.steps))
    generator = torch.Generator().manual_seed(asked.seed)
    for _ in range(training.steps):
        index = minibatch(pairs, asked.target, training.batch, generator)
        loss = cross_entropy(peer.outputs(rotation, pairs, site, index), labels[index])
        loss.backward()
        optimiser.step()
        schedule.step()
        rotation.set_zero_grad()


def answers(pairs: Pairs, site: Site, peer: Peer, rotation: object) -> Tensor:
    """Outputs of the answer code for all pairs under a trained rotation."""
    with torch.no_grad():
        outputs = peer.outputs(rotation, pairs, site, torch.arange(pairs.n))
    return outputs[:, None, torch.tensor(pairs.answer.columns)]


def minibatch(pairs: Pairs, variable: str, size: int, generator: torch.Generator) -> Int[Tensor, " batch"]:
    """Half informative, half invariant pairs, drawn with replacement."""
    halves = []
    for among, count in ((pairs.informative(variable), (size + 1) // 2), (pairs.invariant(variable), size // 2)):
        rows = among.nonzero()[:, 0]
        halves.append(rows[torch.randint(len(rows), (count,), generator=generator)])
    return torch.cat(halves)


def rows(name: str, positions: tuple[str, ...]) -> list[list[object]]:
    """Warm both up with two steps, then time them; and ours as shipped, with early stopping."""
    size = Size()
    where = sites(size.layers, ("resid_post",), positions)
    asked, peer = problem(size, where, QUOTA), Peer(plain(size))
    few = replace(TRAINING, steps=2)
    cached(asked, where[:2], few)
    one_by_one(asked, where[:2], few, peer)
    peer.layers = 0
    timed = alternate(
        {
            "ours": lambda: cached(asked, where, TRAINING),
            "pyvene": lambda: one_by_one(asked, where, TRAINING, peer),
            "ours, stopping early": lambda: cached(asked, where, replace(TRAINING, early=True)),
        },
        ROUNDS,
    )
    site, rotation = timed.results["pyvene"][0]
    layers = peer.layers // ROUNDS
    theirs = Found(site, estimate(answers(asked.test, site, peer, rotation), asked.test, asked.target), layers)
    found = {path: theirs if path == "pyvene" else best(asked, timed.results[path]) for path in timed.results}
    return [
        [
            name,
            path,
            len(where),
            TRAINING.steps if path != "ours, stopping early" else f"at most {TRAINING.steps}",
            timed.median(path),
            timed.ratio("pyvene", path),
            one.layers,
            f"{layers / one.layers:.2f}x",
            f"{one.test.iia.value:.3f} (n {one.test.iia.n}) at {one.site}",
            timed.peak(path),
        ]
        for path, one in found.items()
    ]


def main() -> None:
    """Print three rows a set of sites."""
    header(CLAIM)
    columns = ["sites", "path", "n", "steps", "seconds", "pyvene's / own", "layer evaluations", "pyvene's / own"]
    made = [row for name, positions in CASES.items() for row in rows(name, positions)]
    publish("das", [*columns, "held-out IIA of the best site", "MiB"], made, ("pyvene",))


if __name__ == "__main__":
    main()
