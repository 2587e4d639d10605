"""One attention head: its pattern on an example, what it writes, and what it does to the answers."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from textual.widget import Widget

from workbench.keys import Key
from workbench.place import Line
from workbench.screens import prompt_text
from workbench.screens.effect_text import Record
from workbench.screens.head_text import about, attended, minus, right, strip, words, writes
from workbench.screens.inspecting import AGAIN, OWN, PANES, REST, STAY, Bottom, Column, Inspecting, Pane, Question, Top
from workbench.screens.sheet import Sheet, title
from workbench.widgets.grid import Grid
from workbench.widgets.matrix import Matrix
from workbench.widgets.paint import exact

ADDRESS = re.compile(r"L(\d+)\.head(\d+)")
SIDES = ("base", "source", "difference")
NAMES = {"base": "base", "source": "counterfactual", "difference": "base minus counterfactual"}


class HeadPlace(Inspecting):
    """A head, address ``CELL:L0.head1``."""

    ABOUT = "One attention head: rows of the pattern are queries, columns keys; effects stand beside their controls."
    KEYS = (
        Key("h,j,k,l", "attend", "Move over the pattern.", "hjkl cell", 5),
        Key("J", "example(1)", "Next example.", "J/K example", 6),
        Key("K", "example(-1)", "Example before."),
        Key("L", "head(1)", "Next head of the layer.", "H/L head", 5),
        Key("H", "head(-1)", "Head before."),
        Key("right_curly_bracket", "layer(1)", "Next layer.", "{ } layer", 4),
        Key("left_curly_bracket", "layer(-1)", "Layer before."),
        Key("b", "side", "Base, counterfactual, or base minus counterfactual.", "b side", 5),
        Key("N", "neurons", "The neurons of this layer.", "N neurons", 4),
        OWN,
        PANES,
        AGAIN,
    )

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        layer, head = ADDRESS.fullmatch(address.rpartition(":")[2]).groups()  # type: ignore[union-attr]
        self.at_layer, self.at_head = int(layer), int(head)
        self.example, side = self.kept("example", 0), self.kept("side", "")
        self.side = side if side in SIDES else "base"
        self.network: Record = {}
        self.record: Record | None = None
        self.pair: Record | None = None
        self.strip_record: Record | None = None
        self._start = self.kept("row", 0), self.kept("column", 0)

    def body(self) -> Iterable[Widget]:
        """The strip of heads; the pattern above what its row tells; effects."""
        self.grid = Grid(Matrix([], [], []), self.look, scale="signed" if self.side == "difference" else "unit")
        self.strip, self.about, self.other = Line(), Line(), Line()
        self.told, self.effects = Sheet(self.look), Sheet(self.look)
        yield Top(self.strip, self.about, self.other)
        yield Column(Pane(self.grid), Pane(self.told))
        yield Pane(self.effects, classes="aside")
        yield Bottom(self.own_prompt())

    def view(self) -> dict[str, Any]:
        """Which example, which side of it, and the cell."""
        at = {"row": self.grid.row, "column": self.grid.column}
        return {"example": self.example, "side": self.side, "tokens": self.tokens, **at}

    def asked(self) -> tuple[str, dict[str, str]]:
        """The head on the example, or on the own prompt."""
        if self.tokens is not None:
            return self.address, {"tokens": " ".join(self.tokens)}
        return self.address, {"example": str(self.example), "side": self.side}

    def command(self) -> str:
        """The inspection that has all that is seen."""
        where = ["head", str(self.at_layer), str(self.at_head)]
        which = ["--example", str(self.example)] if self.tokens is None else ["--prompt", " ".join(self.tokens)]
        return shlex.join(["workbench", "inspect", self.cell, *where, *which])

    def on_mount(self) -> None:
        """Ask for everything."""
        self.inspect("asking the model server; the first answer waits until the network is loaded")
        self.ask("overview", Question("overview", {}, self.know))
        self.prompted()
        self.look_at_layer()

    def know(self, record: Record) -> None:
        """Learn how many layers, heads and examples there are, and whether queries see later keys."""
        self.network = record
        self.draw()

    # Asking

    def look_at_layer(self) -> None:
        """Ask for the heads of the layer."""
        self.ask("strip", Question("heads", {"layer": self.at_layer}, self.show_strip, REST))

    def prompted(self) -> None:
        """Ask what the head does on the example, or on the user's own prompt."""
        params: dict[str, Any] = {"layer": self.at_layer, "head": self.at_head}
        if self.tokens is None:
            params["example"] = self.example
            pair = Question("examples", {"start": self.example, "count": 1}, self.show_pair, REST)
        else:
            params["tokens"] = self.tokens
            pair = Question("own", {"tokens": self.tokens}, self.show_own, REST)
        self.drop("effects")
        request, take = ("head_seen", self.show_seen) if self.is_language else ("head", self.show_head)
        self.ask("head", Question(request, params, take, REST))
        self.ask("pair", pair)

    def action_example(self, step: int) -> None:
        """Go to another example."""
        example = max(0, self.example + step)
        if self.network:
            example = min(example, self.network["shown"] - 1)
        if self.tokens is None and example == self.example:
            self.inspect(f"no example {'after' if step > 0 else 'before'} {example + 1} can be shown")
            return
        self.tokens, self.example = None, example
        self.prompted()

    def action_head(self, step: int) -> None:
        """Go to another head of the layer."""
        if self.network.get("heads") == 1 and self.at_head == 0:
            self.inspect(f"L{self.at_layer} has one head only")
        elif heads := self.network.get("heads"):
            self._turn(self.at_layer, (self.at_head + step) % heads)

    def action_layer(self, step: int) -> None:
        """Go to the same head of another layer."""
        if not (layers := self.network.get("layers")):
            return
        layer = max(0, min(self.at_layer + step, layers - 1))
        if layer == self.at_layer:
            self.inspect(f"no layer {'above' if step > 0 else 'below'} L{layer}")
        else:
            self._turn(layer, self.at_head)

    def _turn(self, layer: int, head: int) -> None:
        if (layer, head) == (self.at_layer, self.at_head):
            return
        is_other, self.at_layer, self.at_head = layer != self.at_layer, layer, head
        self.address = f"{self.cell}:L{layer}.head{head}"
        self.show_header(self.bench.facts)
        self.prompted()
        if is_other:
            self.look_at_layer()
        elif self.strip_record is not None:
            self.show_strip(self.strip_record)

    def action_side(self) -> None:
        """Show the other side of the example."""
        if self.record is not None and "source" not in self.record:
            self.inspect("an own prompt has no counterfactual; J and K go back to the examples")
            return
        self.side = SIDES[(SIDES.index(self.side) + 1) % len(SIDES)]
        self.grid.scale = "signed" if self.side == "difference" else "unit"
        self.draw()

    def action_neurons(self) -> None:
        """Go to the neurons of the layer."""
        self.leave_for(f"{self.cell}:L{self.at_layer}.mlp")

    # Showing

    def show_strip(self, record: Record) -> None:
        """Each head of the layer with its effect, as a glyph and a number."""
        self.strip_record = record
        self.strip.show(strip(record, self.at_head, self.app.size.width, self.look.glyphs))

    def show_pair(self, record: Record) -> None:
        """The example's texts and answers."""
        self.pair = one = record["examples"][0]
        if record.get("language"):
            first, second = prompt_text.pair(record, one, self.app.size.width)
            self.about.show(first)
            self.other.show(second)
            self.tell()
            return
        base, source = one["base"], one["source"]
        at = f" ({' '.join(f'{name} {place}' for name, place in base['at'].items())})" if base["at"] else ""
        self.about.show(
            f" example {one['example'] + 1} of {record['n']}   base {words(base['tokens'])}{at} gives "
            f"{words(base['given'])}{right(base)}"
        )
        self.other.show(
            f" counterfactual {words(source['tokens'])} gives {words(source['given'])}   "
            f"{record['variable']} from there makes {words(one['label'])}"
        )

    def show_own(self, record: Record) -> None:
        """The own prompt and its answers."""
        if record.get("language"):
            self.about.show(prompt_text.own(record, self.app.size.width))
            self.other.show("")
            return
        self.about.show(
            f" own prompt {words(record['tokens'])} gives {words(record['given'])}{right(record)}   "
            "J/K: back to examples"
        )
        self.other.show("")

    def show_seen(self, record: Record) -> None:
        """What is known at once; its effects are asked for where it is looked at for a while."""
        self.show_head(record)
        params: dict[str, Any] = {"layer": self.at_layer, "head": self.at_head}
        own = {"example": self.example} if self.tokens is None else {"tokens": self.tokens}
        self.ask("effects", Question("head", {**params, **own}, self.show_head, STAY))

    def show_head(self, record: Record) -> None:
        """Everything about the head."""
        is_first, self.record = self.record is None, record
        self.effects.show(about(record))
        self.draw()
        if any(self._start):
            self.grid.move_to(*self._start)
            self._start = 0, 0
        elif is_first and record.get("language"):  # there the answer comes, and whom it attends to matters
            last = record["base"]["pattern"][-1]
            self.grid.move_to(len(last) - 1, last.index(max(last)))

    def draw(self) -> None:
        """The pattern of the side that is looked at."""
        if self.record is None:
            return
        if self.side != "base" and "source" not in self.record:
            self.side, self.grid.scale = "base", "unit"
        base, source = self.record["base"], self.record.get("source")
        tokens, pattern = base["tokens"], base["pattern"]
        if self.side == "source" and source:
            tokens, pattern = source["tokens"], source["pattern"]
        elif self.side == "difference" and source:
            if len(tokens) != len(source["tokens"]):
                pattern = [[None] * len(tokens)] * len(tokens)
            else:
                pattern = minus(pattern, source["pattern"])
                tokens = [a if a == b else f"{a}/{b}" for a, b in zip(tokens, source["tokens"], strict=True)]
        labels = [f"{place} {token}" for place, token in enumerate(tokens)]
        places = range(len(tokens))
        later = bytes(2 * (key > query) for query in places for key in places) if self.network.get("causal") else b""
        self.grid.show(Matrix([each for line in pattern for each in line], labels, tokens, later))
        self.tell()

    def tell(self) -> None:
        """Tell about the row and the cell under the cursor."""
        if self.record is None:
            return
        matrix, query, key = self.grid.matrix, self.grid.row, self.grid.column
        tokens = matrix.columns
        side = self.record["source" if self.side == "source" else "base"]
        self.told.show(self._row(query, side, tokens))
        value = matrix.at(query, key)
        if not matrix.exists(query, key):
            self.inspect(f"query {query} sees no later key")
            return
        if value is None:
            lengths = " and ".join(str(len(self.record[name]["tokens"])) for name in ("base", "source"))
            self.inspect(f"no difference: the two inputs have {lengths} tokens")
            return
        across, down = (1 + sum(one > value for one in each if one) for each in (matrix.row(query), matrix.column(key)))
        count = len(tokens)
        self.inspect(
            f'query {query} "{tokens[query]}"  key {key} "{tokens[key]}"  weight {exact(value)}   '
            f"rank {across} of {count} in row, {down} of {count} in column   {NAMES[self.side]}"
        )

    def _row(self, query: int, side: Record, tokens: Sequence[str]) -> list[str]:
        """What the row under the cursor tells: whom the query attends to, and what is written there."""
        weights = [(weight, key) for key, weight in enumerate(self.grid.matrix.row(query)) if weight is not None]
        weights.sort(key=lambda each: (-abs(each[0]), each[1]))
        bar = "#" if self.look.glyphs == "ascii" else "█"
        lines = [title(f'attends to, from "{tokens[query]}" (query {query}), {NAMES[self.side]}')]
        none = ["  none: the two inputs differ in length"] * (not weights)
        if "keys" in side:
            lines += [*prompt_text.attended(weights, tokens, self._named(), bar), *none]
            if self.side != "difference" and self.record is not None:
                lines += prompt_text.head_row(side, self.record, query, self.grid.column)
            return lines
        lines += [*attended(weights, tokens, bar), *none]
        if self.side != "difference" and self.record is not None:
            lines += writes(self.record, side, query)
        return lines

    def _named(self) -> Mapping[str, int]:
        """The named positions of the prompt that is shown."""
        if self.tokens is not None or self.pair is None or self.pair["example"] != self.example:
            return {}
        return self.pair["source" if self.side == "source" else "base"]["at"]

    def on_grid_moved(self) -> None:
        """Follow the cursor."""
        self.tell()
