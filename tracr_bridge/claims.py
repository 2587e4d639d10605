"""Claims: the interpretation tree of a compiled program, read off its wiring.

The program's expressions are unfolded from the output toward the tokens. Each reading of expressions from one part of
the network becomes a node: at this port, of this part, only these expressions matter. What a part writes besides is
not claimed, nor are constants (1 and BOS), which are the same on every input of a length.

    out <- L2.head0                 reversed
    out <- L2.head0.q <- L1.mlp     opposite
    out <- L2.head0.v <- embed      tokens
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engines.hypothesis import ARROW, Hypothesis, InterpNode
from tracr_bridge.network import Network
from tracr_bridge.truth import Truth
from tracr_bridge.wiring import Writer

ROOT = "loss"
"""The node of the tree, and of the graph, that stands for the behaviour."""


@dataclass(frozen=True)
class Reading:
    """Expressions that are read at a port from one part. ``port`` is that of the reader: q, k, v or in.

    ``width``: what is read is a SelectorWidth's 1 / (1 + w), which its head leaves for its MLP.
    """

    port: str
    writer: Writer
    expressions: tuple[str, ...]
    width: bool = False


def claims(network: Network) -> Hypothesis:
    """What the wiring says of a network: each part carries its expressions, and nothing else is used.

    A second copy of a head, which writes the same, is a node of its own.
    """
    nodes = [InterpNode(ROOT, (ROOT,))]
    _unfold(network, nodes, nodes[0], f"{ROOT} {ARROW} out", _answers(network.truth))
    return Hypothesis(network.name, tuple(nodes))


def _unfold(
    network: Network, nodes: list[InterpNode], parent: InterpNode, path: str, readings: Iterator[Reading]
) -> None:
    """Append a node for each reading at the end of ``path``, and all that lies below it."""
    for reading in readings:
        for part in _parts(network, reading.writer):
            name = _free("+".join(reading.expressions) + ".width" * reading.width, nodes)
            below = f"{path}.{reading.port} {ARROW} {part}"
            nodes.append(InterpNode(name, (below,), parent.name, reading.expressions))
            _unfold(network, nodes, nodes[-1], below, _readings(network.truth, reading))


def _answers(known: Truth) -> Iterator[Reading]:
    """What the unembedding reads."""
    output = known.compiled.output.name
    yield Reading("in", _writer(known, output), (output,))


def _readings(known: Truth, reading: Reading) -> Iterator[Reading]:
    """What the writer of a reading reads itself, in order to write these expressions."""
    writer = reading.writer
    if writer.part == "head":
        for port in "qkv":
            read = [
                name
                for name, variable in known.variables.items()
                if any((one.layer, one.part, one.head) == (writer.layer, port, writer.head) for one in variable.readers)
            ]
            yield from _grouped(known, port, read)
    elif writer.part == "mlp":
        neurons = {neuron for name in reading.expressions for neuron in _writer(known, name).neurons}
        read = [
            name
            for name, variable in known.variables.items()
            if any(
                (one.layer, one.part) == (writer.layer, "mlp") and not neurons.isdisjoint(one.neurons)
                for one in variable.readers
            )
        ]
        yield from _grouped(known, "in", read)
        for name in reading.expressions:
            if known.variable(name).widths:
                yield Reading("in", _width_writer(known, name), (name,), width=True)


def _grouped(known: Truth, port: str, names: list[str]) -> Iterator[Reading]:
    """One reading for each part that writes some of the expressions."""
    by_part: dict[tuple[int | None, str, int | None], list[str]] = {}
    for name in names:
        writer = _writer(known, name)
        by_part.setdefault((writer.layer, writer.part, writer.head), []).append(name)
    for together in by_part.values():
        yield Reading(port, _writer(known, together[0]), tuple(together))


def _writer(known: Truth, name: str) -> Writer:
    """The one part that writes the expression's values: of a SelectorWidth its MLP."""
    variable = known.variable(name)
    (writer,) = [one for one in variable.writers if not (variable.widths and one.part == "head")]
    return writer


def _width_writer(known: Truth, name: str) -> Writer:
    (writer,) = [one for one in known.variable(name).writers if one.part == "head"]
    return writer


def _parts(network: Network, writer: Writer) -> list[str]:
    """The nodes of the network's graph that do what the compiled part does: a head may have second copies."""
    if writer.layer is None or writer.head is None:
        return ["embed" if writer.layer is None else f"L{writer.layer}.mlp"]
    first = network.heads.get((writer.layer, writer.head), writer.head)
    again = [copy for (layer, copy), of in network.doubled.items() if (layer, of) == (writer.layer, writer.head)]
    return [f"L{writer.layer}.head{head}" for head in (first, *again)]


def _free(name: str, nodes: list[InterpNode]) -> str:
    """The name, with a number behind it where it is taken."""
    taken = {node.name for node in nodes}
    numbered = (name if number == 1 else f"{name}.{number}" for number in range(1, len(nodes) + 2))
    return next(one for one in numbered if one not in taken)
