"""The neurons of a layer, and of the one under the cursor where it is strong and what it does to the answers."""

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from textual.widget import Widget

from workbench.keys import Key
from workbench.place import Line
from workbench.ranking import meaning
from workbench.screens import prompt_text
from workbench.screens.effect_text import Record, number, score
from workbench.screens.inspecting import AGAIN, OWN, PANES, REST, STAY, Bottom, Column, Inspecting, Pane, Question, Top
from workbench.screens.neuron_text import COLUMNS, ESTIMATED, ORDERS, about, entries, groups
from workbench.screens.sheet import Sheet, title
from workbench.widgets.chart import Chart
from workbench.widgets.histogram import Histogram
from workbench.widgets.paint import glyph, share_of, short
from workbench.widgets.rows import Rows
from workbench.widgets.tokens import Tokens

ADDRESS = re.compile(r"L(\d+)\.mlp(?:\.neuron(\d+))?")


class NeuronsPlace(Inspecting):
    """The neurons of a layer, address ``CELL:L1.mlp``, or ``CELL:L1.mlp.neuron4`` with the cursor on one."""

    ABOUT = "The neurons of a layer; loss+ is what mean ablation adds to the loss, active the share of tokens above 0."
    KEYS = (
        Key("j,k,g,G", "attend", "Move over the neurons.", "jk neuron", 5),
        Key("s", "sort", "Next order: size of effect, max, share active, number.", "s sort", 5),
        Key("slash", "filter", "Type a filter: of number, variable or token.", "/ filter", 5),
        Key("J", "example(1)", "Next example.", "J/K example", 5),
        Key("K", "example(-1)", "Example before."),
        Key("right_curly_bracket", "turn(1)", "Next layer.", "{ } layer", 3),
        Key("left_curly_bracket", "turn(-1)", "Layer before."),
        Key("N", "heads", "The heads of this layer.", "N heads", 3),
        OWN,
        PANES,
        AGAIN,
    )

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        layer, index = ADDRESS.fullmatch(address.rpartition(":")[2]).groups()  # type: ignore[union-attr]
        self.at_layer, self.index = int(layer), self.kept("neuron", int(index or -1))
        order = self.kept("order", "")
        self.order = order if order in ORDERS else next(iter(ORDERS))
        self.network: Record = {}
        self.every: Record | None = None
        self.record: Record | None = None
        self.known: dict[tuple[int, tuple[str, ...]], Record] = {}
        self.example = 0

    def body(self) -> Iterable[Widget]:
        """The list; its neuron's activations above its effects."""
        self.about = Line()
        self.rows = Rows(ESTIMATED if self.is_language else COLUMNS, self.look)
        self.chart = Chart(Histogram([], []), self.look, is_log=True)
        self.strip, self.inputs, self.effects = Tokens(self.look), Sheet(self.look), Sheet(self.look)
        self.chart.styles.height, self.strip.styles.height = 6, 2
        yield Top(self.about)
        yield Pane(self.rows)
        yield Column(Pane(self.chart, self.strip, self.inputs), Pane(self.effects), classes="aside")
        yield Bottom(self.own_prompt())

    def view(self) -> dict[str, Any]:
        """The neuron under the cursor, the order, and the own prompt."""
        return {"neuron": self.index, "order": self.order, "tokens": self.tokens}

    def cursor_address(self) -> str:
        """The neuron under the cursor."""
        return f"{self.cell}:L{self.at_layer}.mlp" + (f".neuron{self.index}" if self.index >= 0 else "")

    def asked(self) -> tuple[str, dict[str, str]]:
        """In the first pane the layer's neurons in their order, else the one under the cursor."""
        if not self.pane or self.index < 0:
            return f"{self.cell}:L{self.at_layer}.mlp", {"order": self.order}
        return self.cursor_address(), {} if self.tokens is None else {"tokens": " ".join(self.tokens)}

    def command(self) -> str:
        """The inspection that has all that is seen in the pane."""
        if not self.pane or self.index < 0:
            return shlex.join(["workbench", "inspect", self.cell, "neurons", str(self.at_layer)])
        own = [] if self.tokens is None else ["--prompt", " ".join(self.tokens)]
        return shlex.join(["workbench", "inspect", self.cell, "neuron", str(self.at_layer), str(self.index), *own])

    def on_mount(self) -> None:
        """Ask for everything."""
        self.inspect("asking the model server; the first answer waits until the network is loaded")
        self.ask("overview", Question("overview", {}, self.know))
        self.ask("layer", Question("neurons", {"layer": self.at_layer}, self.show_layer))

    def know(self, record: Record) -> None:
        """Learn how many layers there are."""
        self.network = record

    # The list

    def show_layer(self, record: Record) -> None:
        """Show the layer's neurons in the order that is asked for."""
        self.every = {**record, "neurons": sorted(record["neurons"], key=ORDERS[self.order])}
        neurons = self.every["neurons"]
        self.rows.load([entries(one) for one in neurons])
        numbers = [one["neuron"] for one in neurons]
        asked = self.index
        if asked in numbers:
            self.rows.move_to(numbers.index(asked))
        nothing = neurons[0]["controls"]["no_op"] if neurons and "controls" in neurons[0] else None
        told = f", without ablation right {score(nothing['right'])}" if nothing else ""
        if record.get("language"):
            self.about.show(f" L{self.at_layer}, {self.order}; est.: {meaning(record)}")
        else:
            self.about.show(f" L{self.at_layer} neurons by {self.order}, n {record['inputs']} inputs{told}")
        self.follow()
        if asked >= 0 and asked not in numbers:
            self.complain(
                f"L{self.at_layer} has no neuron {asked}; it has neurons 0 to {max(numbers)}"
                if numbers
                else f"L{self.at_layer} has no neurons"
            )

    def on_rows_opened(self) -> None:
        """Go to the neuron's pane."""
        self.action_pane()

    def on_rows_moved(self) -> None:
        """Follow the cursor."""
        self.follow()

    def follow(self) -> None:
        """Tell about the neuron under the cursor, and ask where it is strong."""
        if self.every is None or self.rows.index is None:
            self.inspect("no neurons")
            return
        one = self.every["neurons"][self.rows.index]
        self.index = one["neuron"]
        if self.every.get("language"):
            self.inspect(prompt_text.neuron(one))
            self.prompted()
            return
        mean, random = one["ablations"]["mean"], one["controls"]["random_neuron"]
        nothing = one["controls"]["no_op"]["loss"]["value"]
        others = f"   {random['count']} random {score(random['mean']['loss'])}" if random else ""
        self.inspect(
            f"n{self.index}  loss+ {score(mean['loss'])} n {mean['loss']['n']}{others}   nothing {number(nothing)}   "
            f"right {score(mean['right'])}   active {score(one['active'])} n {one['active']['n']}"
        )
        self.prompted()

    def prompted(self) -> None:
        """Ask for the neuron under the cursor, with the user's own prompt if there is one."""
        if self.index < 0:
            return
        self.drop("neuron")
        self.drop("effects")
        if known := self.known.get((self.index, tuple(self.tokens or ()))):
            self.show_neuron(known)
            return
        request, take = ("neuron_seen", self.show_seen) if self.is_language else ("neuron", self.learn)
        self.ask("neuron", Question(request, self._params(), take, REST))

    def _params(self) -> dict[str, Any]:
        own = {} if self.tokens is None else {"tokens": self.tokens}
        return {"layer": self.at_layer, "index": self.index, **own}

    def show_seen(self, record: Record) -> None:
        """What is known at once; its effects are asked for where it is looked at for a while."""
        self.show_neuron(record)
        self.ask("effects", Question("neuron", self._params(), self.learn, STAY))

    def learn(self, record: Record) -> None:
        """Keep a neuron's record."""
        self.known[record["neuron"], tuple(self.tokens or ())] = record
        self.show_neuron(record)

    # The neuron

    def show_neuron(self, record: Record) -> None:
        """Show a neuron's activations and effects."""
        before, self.record = self.record, record
        if before is None or any(before[name] != record[name] for name in ("neuron", "own")):
            self.example = 0
        counts, low, high = (record["histogram"][name] for name in ("counts", "low", "high"))
        edges = [low + (high - low) * place / len(counts) for place in range(len(counts) + 1)]
        self.chart.show(Histogram(counts, edges))
        self.effects.show(about(record, self.every["note"] if self.every else ""))
        self.draw()

    def draw(self) -> None:
        """Show the examples, one of them as tokens."""
        if self.record is None:
            return
        lines: list[str] = []
        chosen, examples = 0, groups(self.record)
        number_of = 0
        for name, inputs in examples:
            lines.append(title(name))
            for one in inputs:
                is_here = number_of == self.example
                if is_here:
                    chosen = len(lines)
                    self.strip.show(one["tokens"], one["activations"])
                lines.append((">" if is_here else " ") + self._line(one, self.record))
                number_of += 1
        self.inputs.top = max(0, chosen - 2)
        self.inputs.show(lines)
        self.inputs.refresh()

    def _line(self, one: Record, record: Record) -> str:
        """An input with a glyph for each activation."""
        low, high = record["histogram"]["low"], record["histogram"]["high"]
        signs = [glyph(share_of(value, low, high), self.look.glyphs) for value in one["activations"]]
        words = " ".join(f"{token}{sign}" for token, sign in zip(one["tokens"], signs, strict=True))
        return f"{short(max(one['activations'])):>5} {words}"

    # Keys

    def action_sort(self) -> None:
        """Use the next order."""
        orders = list(ORDERS)
        self.order = orders[(orders.index(self.order) + 1) % len(orders)]
        if self.every is not None:
            self.show_layer(self.every)

    def action_filter(self) -> None:
        """Type a filter."""
        self.action_attend()
        self.rows.action_filter()

    def action_example(self, step: int) -> None:
        """Go to another example of the neuron."""
        if self.record is not None:
            count = sum(len(inputs) for _, inputs in groups(self.record))
            self.example = max(0, min(self.example + step, count - 1))
            self.draw()

    def action_turn(self, step: int) -> None:
        """Go to another layer."""
        layer = max(0, min(self.at_layer + step, self.network.get("layers", 0) - 1))
        if self.network and layer == self.at_layer:
            self.inspect(f"no layer {'above' if step > 0 else 'below'} L{layer}")
        elif self.network:
            self.drop("neuron")  # a late answer would be taken for one of the other layer
            self.drop("effects")
            self.at_layer, self.index, self.known, self.record = layer, -1, {}, None
            self.address = self.cursor_address()
            self.show_header(self.bench.facts)
            self.ask("layer", Question("neurons", {"layer": layer}, self.show_layer, REST))

    def action_heads(self) -> None:
        """Go to the heads of the layer."""
        self.leave_for(f"{self.cell}:L{self.at_layer}.head0")
