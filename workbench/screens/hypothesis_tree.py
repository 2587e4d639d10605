"""``Tree``: the nodes of a hypothesis in lines, each with what it is mapped to and what it claims, and a cursor."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.segment import Segment
from textual.content import Content

from engines.hypothesis import AGREE, ARROW, RESAMPLE, Hypothesis, InterpNode
from workbench.display import Display
from workbench.keys import Key
from workbench.widgets.paint import BOLD, CURSOR, DIM, PLAIN, Canvas, Latest, Line, Said, nearest, window

HEAD = 1
"""Lines above the nodes: the statement."""
NAMES = 26
"""The most cells of a node's branches and name."""
MAPPED = 22
"""The most cells of what it is mapped to."""


@dataclass(frozen=True)
class Twig:
    """A node with the branches before its name."""

    node: InterpNode
    branches: str


def twigs(hypothesis: Hypothesis, *, ascii: bool = False) -> list[Twig]:
    """The nodes depth first, each with its branches."""
    bar, fork, end = ("| ", "+ ", "` ") if ascii else ("│ ", "├ ", "└ ")
    found: list[Twig] = []
    waiting = [(hypothesis.root, "", "")]
    while waiting:
        node, branches, under = waiting.pop()
        found.append(Twig(node, branches))
        children = hypothesis.children(node.name)
        rows = [
            (child, under + (fork if place < len(children) else end), under + (bar if place < len(children) else "  "))
            for place, child in enumerate(children, 1)
        ]
        waiting += reversed(rows)
    return found


def mapped(node: InterpNode) -> str:
    """The last step of a node's path, and how many others it has."""
    first, *others = node.paths
    return first.rpartition(ARROW)[2].strip() + (f" +{len(others)}" if others else "")


def claim(node: InterpNode) -> str:
    """What a node claims, and what is unusual in how its inputs and its datum are drawn."""
    said = [f"phi = {', '.join(node.feature)}" if node.feature else "no claim"] if node.parent is not None else []
    said += [f"draw {node.draw}"] * (node.draw != AGREE)
    said += [f"others {node.other}"] * (node.other != RESAMPLE)
    said += [f"groups {len(node.groups)}"] * bool(node.groups)
    said += [f"via {', '.join(node.via)}"] * bool(node.via)
    return "  ".join(said)


class Tree(Canvas):
    """A hypothesis' nodes. ``marks`` are those that a broken rule names, ``counts`` are the classes known of some."""

    KEYS = (
        Key("j,down", "move(1)", "Next node.", "jk node", 7),
        Key("k,up", "move(-1)", "Node before."),
        Key("g,home", "move(-999)", "First node."),
        Key("G,end", "move(999)", "Last node."),
        Key("enter", "open", "Edit what the node claims.", "enter edit", 6),
    )

    class Moved(Latest["Tree"]):
        """The cursor is on another node."""

    class Opened(Said["Tree"]):
        """What the node claims shall be edited."""

    def __init__(self, look: Display, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.twigs: Sequence[Twig] = ()
        self.marks: frozenset[str] = frozenset()
        self.counts: Mapping[str, int] = {}
        self.cursor = self._top = 0
        self.state = ""

    def load(self, hypothesis: Hypothesis, here: str | None = None) -> None:
        """Show a hypothesis, with the cursor on the node ``here``, or where it was."""
        name = here if here is not None else (self.node.name if self.node else None)
        self.twigs = twigs(hypothesis, ascii=self.look.glyphs == "ascii")
        names = [twig.node.name for twig in self.twigs]
        self.cursor = names.index(name) if name in names else nearest(self.cursor, len(names))
        self.refresh()

    def become(self, state: str) -> None:
        """Show whether what is seen is saved."""
        if state != self.state:
            self.state = state
            self.repaint(0)

    def learn(self, marks: frozenset[str], counts: Mapping[str, int]) -> None:
        """Show what is known of the nodes."""
        if (marks, counts) != (self.marks, self.counts):
            self.marks, self.counts = marks, dict(counts)
            self.refresh()

    @property
    def node(self) -> InterpNode | None:
        """What is under the cursor."""
        return self.twigs[self.cursor].node if self.twigs else None

    def line(self, y: int, width: int, height: int) -> Line:
        """The statement, or a node."""
        if y == 0:
            said = [
                f"{len(self.twigs)} node{'s' * (len(self.twigs) != 1)}",
                *([self.state] if self.state else []),
                "a node is an input of the one above it",
            ]
            if self.marks:
                said.insert(1, f"{len(self.marks)} marked !")
            return [Segment(self.say(said, width), DIM)]
        self._top = window(self._top, self.cursor, max(1, height - HEAD), len(self.twigs))
        place = self._top + y - HEAD
        return self._node(place, width) if place < len(self.twigs) else []

    def _node(self, place: int, width: int) -> Line:
        twig, is_here = self.twigs[place], place == self.cursor
        sign = CURSOR[self.look.glyphs] if is_here else " "
        mark = "!" if twig.node.name in self.marks else " "
        names = max(cell_len(each.branches) + cell_len(self.tok(each.node.name, NAMES)) for each in self.twigs)
        names = min(names, NAMES)
        room = max(1, names - cell_len(twig.branches))
        line = [
            Segment(f"{sign}{mark}", BOLD),
            Segment(twig.branches, DIM),
            Segment(self.fit(twig.node.name, room), self.cursor_style if is_here else PLAIN),
        ]
        left = width - 2 - cell_len(twig.branches) - room
        places = min(MAPPED, max(cell_len(self.tok(mapped(each.node), MAPPED)) for each in self.twigs))
        if left > places + 4:
            line.append(Segment(f" -> {self.fit(mapped(twig.node), places)}", PLAIN))
            left -= places + 4
        count = self.counts.get(twig.node.name)
        told = "" if count is None else f"  {count:,} class{'es' * (count != 1)}"
        if left > 12:
            said = self.fit(claim(twig.node), left - 2 - len(told)) if left - 2 > len(told) + 8 else ""
            line.append(Segment(f"  {said}{told if said else ''}", DIM if not twig.node.feature else PLAIN))
        return line

    def inspect(self) -> Content:
        """The node in full."""
        node = self.node
        return self.words(["no nodes"] if node is None else [node.name, *node.paths, claim(node)])

    def cursor_lines(self) -> tuple[int, ...]:
        """The line of the cursor."""
        return (HEAD + self.cursor - self._top,)

    def action_move(self, down: int) -> None:
        """Move by some nodes."""
        before, top = self.cursor, self._top
        self.cursor = nearest(self.cursor + down, len(self.twigs))
        if self.cursor != before:
            self._top = window(top, self.cursor, max(1, self.size.height - HEAD), len(self.twigs))
            if self._top != top:
                self.refresh()
            else:
                self.repaint(HEAD + before - top, HEAD + self.cursor - top)
            self.post_message(self.Moved(self))

    def action_open(self) -> None:
        """Edit the claim."""
        self.post_message(self.Opened(self))
