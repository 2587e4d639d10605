"""How much a hypothesis leaves free: the entropy of the inputs of the scrubbed network, in bits.

    H(scrubbed inputs) = H(output) + sum over inner nodes u of H(inputs of u) - H(output of u)

"a and b" of two fair bits, each claimed at its own input: H(1/4) + (2 - H(1/4)) for the two bits, and 1 + 1 for what
either datum is besides: 4. On the data 00, 01 and 11, each bit is shared by two of three: log2 3 + 2/3 + 2/3. Whether
one of two independent digits is above 3: the digits of both data are free in all, 2 log2 100. Two exact copies of 100
data have log2 100, and with nothing claimed 2 log2 100. The guessing game has a label and a model input of 3 bits each;
claims leave free 3 + 0, 3 + 1, 3 + 3/2, 3 + 2 and 3 + 3, and withhold the rest of 6.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 5.
"""

import math
from collections.abc import Callable, Sequence
from itertools import product

from engines.appendix._game import claim, game, questions
from engines.dataset import DATUM, Dataset
from engines.demo import Demo, Experiment, Scrubbing
from engines.graph import Graph, Node
from engines.hypothesis import Hypothesis, InterpNode

HUNDRED = math.log2(100)
BITS = tuple(product((0, 1), (0, 1)))
DIGITS = tuple(product(range(10), range(10)))


def _pair(
    label: str,
    rows: Sequence[tuple[int, int]],
    function: Callable[[int, int], int],
    claims: tuple[tuple[str, ...], tuple[str, ...]],
    bits: float,
) -> Experiment:
    """A function of a and b, with features claimed at its two inputs."""
    graph = Graph("pair", (Node.input("a"), Node.input("b"), Node.of("out", ("a", "b"), function)), output="out")
    above = {"a > 3": lambda a: a > 3, "b > 3": lambda b: b > 3}
    data = Dataset.of("pairs", [{"a": a, "b": b} for a, b in rows], above)
    leaves = (InterpNode(name, (f"out <- {name}",), "out", of) for name, of in zip("ab", claims, strict=True))
    hypothesis = Hypothesis("pair", (InterpNode("out", ("out",)), *leaves))
    withheld = 2 * math.log2(len(rows)) - bits
    return Experiment(label, Scrubbing(graph, data, hypothesis), {"bits": bits, "withheld": withheld})


def _both(a: int, b: int) -> int:
    return a * b


def _either(a: int, b: int) -> int:
    return int(a > 3 or b > 3)


def _game(label: str, features: tuple[str, ...], free: float) -> Experiment:
    expected = {"bits": 3 + free, "withheld": 3 - free}
    return Experiment(f"the game, {label}", Scrubbing(game(), questions(), claim(*features)), expected)


DEMO = Demo(
    name="entropy",
    title="How much is left free",
    summary="The entropy of the scrubbed inputs: all that a hypothesis does not withhold is as random as can be.",
    story="""\
Of all ways to draw inputs that a hypothesis calls equivalent, scrubbing takes the most random one. How random it is can
be worked out, node by node, or counted: it is the entropy of all the data that enter a scrubbed run. An exact
hypothesis swaps nothing, and leaves as many bits free as the data have; one that claims nothing has a fresh datum for
every input. The bits in between are what a hypothesis withholds.

They put a price on a score. A claim that withholds more has tested less, and joining a feature to it costs what the
feature adds. In the guessing game the truth, the model's output, withholds one and a half bits, and the false claim
one: by bits alone nobody can tell which is right.
""",
    experiments=(
        _pair("two fair bits", BITS, _both, (("a",), ("b",)), 4.0),
        _pair("00, 01 and 11", ((0, 0), (0, 1), (1, 1)), _both, (("a",), ("b",)), math.log2(3) + 4 / 3),
        _pair("two digits, each above 3 or not", DIGITS, _either, (("a > 3",), ("b > 3",)), 2 * HUNDRED),
        _pair("two exact copies", DIGITS, _either, ((DATUM,), (DATUM,)), HUNDRED),
        _pair("two digits, nothing claimed", DIGITS, _either, ((), ()), 2 * HUNDRED),
        _game("exact", (DATUM,), 0.0),
        _game("claimed and setting", ("claimed", "setting"), 1.0),
        _game("output", ("output",), 1.5),
        _game("claimed", ("claimed",), 2.0),
        _game("nothing", (), 3.0),
    ),
)
