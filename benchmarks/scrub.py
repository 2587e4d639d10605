"""Causal scrubbing over cached activations against the treeified graph run as it is written."""

import functools

import numpy as np
import torch
from bench.timing import alternate, header, publish
from bench.treeified import Literal

from engines.answer import Choice
from engines.circuit import circuit
from engines.column import scalars
from engines.dataset import Dataset
from engines.execute import Execution
from engines.graph import Graph, Plain
from engines.hypothesis import Hypothesis, InterpNode
from engines.kernels import draw
from engines.networks import Decoder, DecoderShape
from engines.sampling import references
from engines.treeify import Treeified, treeify

CLAIM = "A hypothesis of 16 nodes, 9 of them interior, on a decoder of 4 layers and 4 heads."
DATA, SAMPLES, ROUNDS = 300, 600, 5
POSITIONS, VOCABULARY, CLASSES = 12, 50, 10
TREE = (
    ("out", None, "loss <- out"),
    ("a", "out", "L3.mlp"),
    ("b", "a", "L3.head0"),
    ("c", "b.q", "L2.head1"),
    ("d", "b.k", "L1.mlp"),
    ("e", "d", "L1.head2"),
    ("f", "e.v", "L0.mlp"),
    ("g", "f", "L0.head3"),
    ("h", "out", "L2.head3"),
    ("i", "h.v", "L1.head2"),
    ("j", "c.v", "L0.head0"),
    ("k", "c.k", "embed"),
    ("l", "e.q", "embed"),
    ("m", "i.k", "L0.mlp"),
    ("n", "h.q", "L0.head1"),
)
"""Nodes below the root: name, parent (with the port that reads it, where one is named), end of the path."""


def network() -> Graph:
    """A random causal decoder in float64 with layer norm, answered at the last position."""
    shape = DecoderShape(
        4, 4, 64, 16, 256, VOCABULARY, CLASSES, POSITIONS, causal=True, activation="gelu", layer_norm=True
    )
    decoder, generator = Decoder(shape, torch.float64), torch.Generator().manual_seed(0)
    for name, parameter in decoder.named_parameters():
        if "ln" not in name and ".b_" not in name:
            parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 64**-0.5
    answer = Choice(tuple(range(CLASSES)), tuple(range(CLASSES)))
    return circuit(decoder, answer, (POSITIONS - 1,), name="random decoder")


def prompts() -> Dataset:
    """Random prompts with random labels; each node's feature splits them at random into classes of about ten."""
    generator = torch.Generator().manual_seed(1)
    tokens = torch.randint(VOCABULARY, (DATA, POSITIONS), generator=generator)
    label = torch.randint(CLASSES, (DATA, 1), generator=generator)
    rng = np.random.default_rng(2)
    features = {name: rng.integers(DATA // 10, size=DATA).tolist() for name, _, _ in TREE}
    return Dataset("random prompts", {"tokens": tokens, "label": label}, features)


def hypothesis() -> Hypothesis:
    """The tree of ``TREE`` below its root."""
    nodes, paths = [InterpNode("root", ("loss",))], {"root": "loss"}
    for name, above, end in TREE:
        parent, _, port = (above or "root").partition(".")
        paths[name] = end if above is None else f"{paths[parent]}{'.' + port if port else ''} <- {end}"
        nodes.append(InterpNode(name, (paths[name],), parent, (name,)))
    return Hypothesis("random decoder", tuple(nodes))


def cached(tree: Treeified, data: Dataset, plain: Plain | None) -> tuple[np.ndarray, int]:
    """Our path: values and component evaluations; without ``plain``, its plain run is part of it."""
    ids = draw(tree.slots, data, references(data, SAMPLES, 0)[0], 0)
    fresh = Plain(tree.graph, data.columns) if plain is None else plain
    execution = Execution(fresh, data)
    values = scalars(execution.run(tree.root, ids)[tree.root].full)
    return values, execution.evaluations + (fresh.evaluations if plain is None else 0)


def literal(tree: Treeified, data: Dataset, *, pruned: bool) -> tuple[np.ndarray, int]:
    """The naive path: values and component evaluations."""
    ids = draw(tree.slots, data, references(data, SAMPLES, 0)[0], 0)
    run = Literal(tree, data.columns, pruned)
    return scalars(run.run(ids)), run.evaluations


def main() -> None:
    """Check that the paths agree, then time them."""
    header(CLAIM)
    data, tree = prompts(), treeify(network(), hypothesis())
    plain = Plain(tree.graph, data.columns)
    cached(tree, data, plain)  # fills the plain run
    paths = {
        "cached": functools.partial(cached, tree, data, plain),
        "cached, with the plain run": functools.partial(cached, tree, data, None),
        "treeified": functools.partial(literal, tree, data, pruned=False),
        "treeified, only what is read": functools.partial(literal, tree, data, pruned=True),
    }
    found = {name: path() for name, path in paths.items()}
    worst = {name: float(np.abs(values - found["treeified"][0]).max()) for name, (values, _) in found.items()}
    assert max(worst.values()) < 1e-10
    timed = alternate(paths, ROUNDS)
    evaluations = {name: count for name, (_, count) in found.items()}
    rows = [
        [
            name,
            timed.median(name),
            timed.ratio("treeified", name),
            f"{evaluations[name]:,}",
            f"{evaluations['treeified'] / evaluations[name]:.1f}x",
            f"{worst[name]:.1e}",
            timed.peak(name),
        ]
        for name in paths
    ]
    columns = ["path", "seconds", "treeified / own", "component evaluations", "treeified / own", "largest difference"]
    publish("scrub", [*columns, "MiB"], rows, ("torch", "numpy"))


if __name__ == "__main__":
    main()
