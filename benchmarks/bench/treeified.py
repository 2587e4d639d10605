"""The treeified graph run as it is written: each copy of the input goes through the network anew."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engines.column import Column, Rows, take
from engines.graph import Graph, Plain, applied
from engines.treeify import Apply, Gather, Treeified, distinct


@dataclass
class Literal:
    """A treeified hypothesis on samples with given data; ``evaluations`` counts components times samples.

    Each slot's datum is run through the whole network, as hooks on a network do (``pruned``: only through components on
    which something read depends), then the claimed paths are computed.
    """

    tree: Treeified
    columns: Mapping[str, Column]
    pruned: bool = False
    evaluations: int = 0
    _slots: dict[int, Plain] = field(default_factory=dict)

    def run(self, ids: Mapping[int, Rows]) -> Column:
        """The behaviour of every sample."""
        graph: Graph = self.tree.graph
        self._slots = {
            slot: Plain(graph, {name: take(column, rows) for name, column in self.columns.items()})
            for slot, rows in ids.items()
            if slot in self.tree.copies
        }
        if not self.pruned:
            for plain in self._slots.values():
                plain.value(graph.output)
        values: dict[object, Column] = {}
        for term in distinct(self.tree.root):
            if isinstance(term, Gather):
                values[term] = self._slots[term.slot].value(term.node)
            elif isinstance(term, Apply):
                ports = [_sum([values[inner] for inner in port]) for port in term.inputs]
                values[term] = applied(graph.nodes[term.node], ports)
                self.evaluations += 0 if graph.nodes[term.node].free else len(values[term])
        self.evaluations += sum(plain.evaluations for plain in self._slots.values())
        return values[self.tree.root]


def _sum(parts: Sequence[Column]) -> Column:
    return parts[0] if len(parts) == 1 else sum(parts[1:], start=parts[0])
