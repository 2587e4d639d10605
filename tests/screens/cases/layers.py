"""Two layers over pairs of numbers."""

from engines.dataset import Dataset
from engines.demo import Demo, Experiment, Scrubbing
from engines.graph import Graph, Node
from engines.hypothesis import Hypothesis, InterpNode


def summed(*parts: int) -> int:
    return sum(parts)


def case(name: str, *, reads: tuple[str, ...] = ()) -> Demo:
    """The case; ``reads`` are further inputs of the output, of which the data know nothing."""
    graph = Graph(
        "two layers",
        (
            *map(Node.input, ("x", "y", *reads)),
            Node.of("low", ("x", "y"), summed),
            Node("mid", {"q": ("low", "x"), "k": ("low", "y")}, lambda q, k: q + k, kind="head"),
            Node("top", {"in": ("mid", "low")}, lambda total: total, kind="mlp"),
            Node("loss", {"out": ("top", "mid", *reads), "label": ("y",)}, lambda out, label: (out - label) ** 2),
        ),
        output="loss",
        labels=("label",),
    )
    data = Dataset.of(
        "pairs",
        [{"x": x, "y": y} for x in (0, 1, 2) for y in (0, 1)],
        {"parity": lambda x: x % 2, "both": lambda x, y: (x, y)},
        subsets={"even": [0, 1]},
    )
    root = InterpNode("root", ("loss",))
    claim = Hypothesis("", (root, InterpNode("a", ("loss <- top",), "root", ("parity",))))
    told = Experiment("the claim", Scrubbing(graph, data, claim), {})
    return Demo(name, "Two layers", "A case.", "Two layers.\n", (told,))


DEMO = case("layers")
