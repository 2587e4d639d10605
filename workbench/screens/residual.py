"""Any site as a vector: what is in it on examples or along an input, and what it does to the answers."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from textual.widget import Widget

from workbench.keys import Key
from workbench.place import Line
from workbench.screens import prompt_text
from workbench.screens.effect_text import Record, score
from workbench.screens.inspecting import AGAIN, OWN, PANES, REST, Bottom, Inspecting, Pane, Question, Top
from workbench.screens.sheet import Sheet
from workbench.screens.site_text import known, says, tokens
from workbench.site_map import Truth, split
from workbench.widgets.grid import Grid
from workbench.widgets.matrix import Matrix
from workbench.widgets.paint import Said, exact

LAYER = re.compile(r"(?:L(\d+)\.)?([^@]+)@(\w+)")
SIDES = ("base", "source", "difference")
NAMES = {"base": "base", "source": "counterfactual", "difference": "base minus counterfactual"}
FORMS = ("examples", "tokens")
"""What columns are: the site on some examples, or its component at every token of one."""


class Values(Grid):
    """A grid whose columns and whose truth are the place's."""

    KEYS = (Key("v", "turn", "Other columns."), Key("z", "zoom", "Next zoom."))

    class Turned(Said["Values"]):
        """Other columns are wanted."""

    class Overlaid(Said["Values"]):
        """The truth is wanted."""

    def action_turn(self) -> None:
        """Ask for other columns."""
        self.post_message(self.Turned(self))

    def action_truth(self) -> None:
        """Ask for the truth."""
        self.post_message(self.Overlaid(self))


class ResidualPlace(Inspecting):
    """A site, address ``CELL:L1.resid_post@last``; a run may stand behind the cell."""

    ABOUT = (
        "One site as a vector: rows are named directions or coordinates, columns examples or an input's tokens; * is "
        "the cell's variable."
    )
    KEYS = (
        Key("h,j,k,l", "attend", "Move over the values.", "hjkl cell", 5),
        Key("J", "example(1)", "Next example.", "J/K example", 6),
        Key("K", "example(-1)", "Example before."),
        Key("v", "turn", "Columns: examples, or the tokens of one.", "v columns", 4),
        Key("b", "side", "Base, counterfactual, or base minus counterfactual.", "b side", 5),
        Key("right_curly_bracket", "layer(1)", "The same site a layer above.", "{ } layer", 5),
        Key("left_curly_bracket", "layer(-1)", "The same site a layer below; the embedding is below the first."),
        Key("L", "position(1)", "Next position that has a name.", "H/L position", 3),
        Key("H", "position(-1)", "Position before."),
        Key("T", "truth", "Tell whether the site carries the variable, by brute force.", "T truth", 6),
        Key("d", "train", "Train DAS here: its settings and its cost are shown first.", "d train", 6),
        Key("enter", "attend", "Tell what the row stands for.", "", 1),
        Key("S", "attend", "Next scale.", "", 1),
        Key("z", "attend", "Next zoom.", "", 1),
        Key("N", "parts", "The layer's neurons, or its heads where the site is of attention.", "N parts", 2),
        OWN,
        PANES,
        AGAIN,
    )

    def __init__(self, address: str, view: Mapping[str, Any] | None = None) -> None:
        super().__init__(address, view)
        self.example, side, form = self.kept("example", 0), self.kept("side", ""), self.kept("form", "")
        self.side = side if side in SIDES else "base"
        self.form = form if form in FORMS else "examples"
        self.network: Record = {}
        self.record: Record | None = None
        self.values: Record | None = None
        self.truth = "not asked (T)"
        self._start: int | None = self.kept("row", -1)

    @property
    def site(self) -> str:
        """The site's name."""
        return split(self.address)[1]

    @property
    def cell(self) -> str:
        """The cell's name."""
        return split(self.address)[0].partition("#")[0]

    def body(self) -> Iterable[Widget]:
        """The values, and beside them what is known of the site."""
        self.grid = Values(Matrix([], [], []), self.look, scale="signed" if self.side == "difference" else "global")
        self.about, self.told = Line(), Line()
        self.sheet = Sheet(self.look)
        yield Top(self.about, self.told)
        yield Pane(self.grid)
        yield Pane(self.sheet, classes="aside")
        yield Bottom(self.own_prompt())

    def view(self) -> dict[str, Any]:
        """Which example, which side of it, what the columns are, and the row."""
        at = {"example": self.example, "side": self.side, "form": self.form, "tokens": self.tokens}
        return {**at, "row": self.grid.row}

    def asked(self) -> tuple[str, dict[str, str]]:
        """The view of the values that are seen."""
        options = {"form": self.form, "side": self.side, "example": str(self.example)}
        if self.tokens is not None:
            options = {"form": "tokens", "tokens": " ".join(self.tokens)}
        return f"{self.cell}:{self.site}", options

    def command(self) -> str:
        """In the first pane the values are seen, else what is known of the site."""
        if self.pane:
            return shlex.join(["workbench", "inspect", self.cell, "site", self.site])
        return super().command()

    # Asking

    def on_mount(self) -> None:
        """Ask for everything."""
        self.inspect("asking the model server; the first answer waits until the network is loaded")
        self.ask("overview", Question("overview", {}, self.know))
        self.look_at()

    def know(self, record: Record) -> None:
        """Learn how many layers, positions and examples there are."""
        self.network = record

    def look_at(self) -> None:
        """Ask for the site."""
        self.record = self.values = None
        self.ask("site", Question("site", {"site": self.site}, self.show_site, REST))
        self.prompted()

    def prompted(self) -> None:
        """Ask for the values on the example, or on the user's own prompt."""
        params: dict[str, Any] = {"site": self.site, "example": self.example}
        if self.tokens is not None:
            params, self.form = {"site": self.site, "tokens": self.tokens}, "tokens"
        self.ask("states", Question("states", params, self.show_values, REST))

    def action_example(self, step: int) -> None:
        """Go to another example."""
        self._to_example(self.example + step)

    def _to_example(self, example: int) -> None:
        last = self.network.get("shown", 1 + example) - 1
        example = max(0, min(example, last))
        if (example, self.tokens) != (self.example, None):
            self.example, self.tokens = example, None
            self.prompted()

    def action_layer(self, step: int) -> None:
        """Go to the same component of another layer; below the first layer's residual stream is the embedding."""
        layer, component, position = LAYER.fullmatch(self.site).groups()  # type: ignore[union-attr]
        last = self.network.get("layers", 0) - 1
        at = (-1 if layer is None else int(layer)) + step
        stream = component.partition("[")[0] in ("embed", "resid_post")
        if not self.network or at > last or at < (-1 if stream and self.network.get("heads") else 0):
            self.inspect(f"no layer {'above' if step > 0 else 'below'} {self.site}")
            return
        span = component[component.index("[") :] if "[" in component else ""
        part = f"embed{span}" if at < 0 else f"resid_post{span}" if stream else component
        self._turn(f"{part}@{position}" if at < 0 else f"L{at}.{part}@{position}")

    def action_position(self, step: int) -> None:
        """Go to another position that has a name."""
        part, _, position = self.site.partition("@")
        positions = list(self.network.get("positions", ()))
        if position in positions:
            self._turn(f"{part}@{positions[(positions.index(position) + step) % len(positions)]}")
        elif (number_of := re.fullmatch(r"t(\d+)", position)) and int(number_of[1]) + step >= 0:
            self._turn(f"{part}@t{int(number_of[1]) + step}")

    def _turn(self, site: str) -> None:
        self.address = f"{split(self.address)[0]}:{site}"
        self.show_header(self.bench.facts)
        self.truth = "not asked (T)"
        self.look_at()

    def action_truth(self) -> None:
        """Ask whether the site carries the variable."""
        self.truth = "asking"
        self.draw_about()
        self.ask("truth", Question("truth", {}, self.learn))

    def learn(self, record: Record) -> None:
        """Tell whether the site carries the variable."""
        truth, asked = Truth.of(record), self.network.get("variable", "the variable")
        if truth is None:
            self.truth = record.get("why") or "none is known: this network was trained, not compiled"
        else:
            how = [name for name, some in (("whole", truth.whole), ("subspace", truth.subspace)) if self.site in some]
            said = {"whole": f"carries {asked} whole", "subspace": f"carries {asked} in a subspace"}
            told = said[how[0]] if how else f"does not carry {asked}"
            self.truth = f"{told}, by brute force, n {truth.n}"
        self.draw_about()

    def on_values_turned(self) -> None:
        """Show other columns."""
        self.action_turn()

    def on_values_overlaid(self) -> None:
        """Ask for the truth."""
        self.action_truth()

    def action_train(self) -> None:
        """Go to the launch of DAS at this site."""
        self.leave_for(f"launch:{self.cell}:das", {"changes": [f"sites={json.dumps([self.site])}"]})

    def action_parts(self) -> None:
        """Go to the parts of the layer."""
        layer, component, _ = LAYER.fullmatch(self.site).groups()  # type: ignore[union-attr]
        part = "head0" if component.startswith(("attn_out", "head")) else "mlp"
        if not self.network.get("heads" if part == "head0" else "neurons"):
            self.inspect("this network has no such parts")
            return
        self.leave_for(f"{self.cell}:L{layer or 0}.{part}")

    def action_side(self) -> None:
        """Show the other side."""
        self.side = SIDES[(SIDES.index(self.side) + 1) % len(SIDES)]
        self.grid.scale = "signed" if self.side == "difference" else "global"
        self.draw()

    def action_turn(self) -> None:
        """Show the site on examples, or along one input."""
        self.form = FORMS[(FORMS.index(self.form) + 1) % len(FORMS)]
        self.draw()

    # Showing

    def show_site(self, record: Record) -> None:
        """What is known of the site."""
        self.record = record
        self.sheet.show(prompt_text.site(record) if record.get("language") else known(record))
        self.draw()

    def show_values(self, record: Record) -> None:
        """The values."""
        self.values = record
        self.draw()

    def draw_about(self) -> None:
        """The lines above: the site with its truth, and what the columns are."""
        if self.record is None or self.values is None:
            return
        record, own = self.record, self.values["example"] is None
        truth = self.network.get("truth", self.truth)
        told = f"{len(record['rows'])} {record['kind']}   truth: {truth}"
        whole = f" {record['site']}  {told}"
        self.about.show(whole if len(whole) <= self.app.size.width else f" {told}")  # the header tells the site
        self.told.show(f" own prompt {self._text('base')}" if own else self._columns(record))

    def _columns(self, record: Record) -> str:
        """What the columns are."""
        assert self.values is not None
        if self.form == "examples":
            first, count = self.values["examples"]["start"], len(self.values["examples"]["base"])
            told = f"examples {first + 1} to {first + count} of {record['n']}, {record['shown']} can be shown"
        else:
            sides = (f"{NAMES[name]} {self._text(name)}" for name in ("base", "source"))
            told = f"tokens of example {self.values['example'] + 1} of {record['n']}: {', '.join(sides)}"
        return f" {NAMES[self.side]}, {told}"

    def _text(self, side: str) -> str:
        """The tokens of a side; a language model's have their own spaces."""
        assert self.values is not None
        return ("" if self.network.get("language") else " ").join(self.values[side]["tokens"])

    def draw(self) -> None:
        """The values of the side that is looked at."""
        if self.record is None or self.values is None:
            return
        columns, lines = self._chosen(self.values)
        if self.record.get("language"):
            self.sheet.show([*prompt_text.lens(self.values, self.side), *prompt_text.site(self.record)])
        rows = [f"{'*' if one['asked'] else ' '}{one['name']}" for one in self.record["rows"]]
        flat = [None if line is None else line[row] for row in range(len(rows)) for line in lines]
        matrix = Matrix(flat, rows, columns)
        self.draw_about()
        self.grid.show(matrix)
        if self._start is not None:  # where the user was, or at the cell's variable
            asked = [at for at, one in enumerate(self.record["rows"]) if one["asked"]]
            self.grid.move_to(self._start if self._start >= 0 else next(iter(asked), 0), self.grid.column)
            self._start = None
        if self.form == "examples" and self.values["example"] is not None:
            self.grid.move_to(self.grid.row, self.values["example"] - self.values["examples"]["start"])
        self.tell()

    def _chosen(self, values: Record) -> tuple[list[str], Sequence[Sequence[float] | None]]:
        """Columns and their numbers."""
        own, side = values["example"] is None, self.side
        if self.form == "examples" and not own:
            window = values["examples"]
            columns = [str(window["start"] + at + 1) for at in range(len(window["base"]))]
            return columns, _side(side, window["base"], window["source"])
        base = values["base"]
        if own or side == "base":
            return tokens(base, None), base["values"]
        source = values["source"]
        if side == "source":
            return tokens(source, None), source["values"]
        if len(base["tokens"]) != len(source["tokens"]):
            return tokens(base, None), [None] * len(base["tokens"])
        return tokens(base, source), _side(side, base["values"], source["values"])

    def tell(self) -> None:
        """Tell about the row and the value under the cursor."""
        if self.record is None or self.values is None or not self.record["rows"]:
            return
        one = self.record["rows"][self.grid.row]
        column = self.grid.matrix.columns[self.grid.column]
        value = self.grid.matrix.at(self.grid.row, self.grid.column)
        if value is None:
            lengths = " and ".join(str(len(self.values[name]["tokens"])) for name in ("base", "source"))
            self.inspect(f"no difference: the two inputs have {lengths} tokens")
            return
        own = self.values["example"] is None
        what = "example" if self.form == "examples" and not own else "token"
        side = "own prompt" if own else NAMES[self.side]
        mean = one["mean"]
        room, says, lens = self.app.size.width - 2, self._says(one), f"   lens here: {self._lens()}"
        first = f"{one['name']}  {exact(value)} at {what} {column}, {side}   mean {score(mean)} n {mean['n']} bases   "
        if self.record.get("language") and len(first) + len(says) > room:
            says = "writes: w"  # it is too long for a line, and stands in the other pane
        address = self.cursor_address()
        if len(address) + len(lens) > room:
            address = self.site  # the header tells the cell
        self.inspect(f"{first}{says}", f"{address}{lens}")

    def _says(self, one: Record) -> str:
        """What a row says to the answers, or to a language model's vocabulary."""
        assert self.record is not None
        return prompt_text.component(one) if "writes" in one else says(one["says"], self.record["answers"])

    def _lens(self) -> str:
        """The logit lens of the column under the cursor."""
        assert self.values is not None
        values = self.values
        if self.form == "examples" and values["example"] is not None:
            return "in the columns of tokens (v)"
        if self.side == "difference" and values["example"] is not None:
            return "of one side only (b)"
        lens = values["source" if self.side == "source" and "source" in values else "base"]["lens"]
        if self.network.get("language"):
            side = values["source" if self.side == "source" and "source" in values else "base"]
            return prompt_text.likely(side["top"] and side["top"][self.grid.column])
        if lens is None:
            return "none: the unembedding does not read this vector"
        return says(lens[self.grid.column], values["answers"])

    def on_grid_moved(self) -> None:
        """Follow the cursor; in columns of examples it is the example."""
        if self.form == "examples" and self.values is not None and self.values["example"] is not None:
            self._to_example(self.values["examples"]["start"] + self.grid.column)
        self.tell()

    def on_grid_opened(self) -> None:
        """Tell a row's label in full."""
        if self.record is None:
            return
        one = self.record["rows"][self.grid.row]
        label = one["label"]
        if label is None:
            told = "no label: not known, or it means nothing by itself"
        else:
            of = f"variable {label['variable']}" if label["variable"] is not None else "no variable"
            told = f"{label['role']} of {of}, value {label['value']}"
        self.complain(f"{one['name']}: {told}; {self._says(one)}")


def _side(
    side: str, base: Sequence[Sequence[float]], source: Sequence[Sequence[float]]
) -> Sequence[Sequence[float] | None]:
    if side == "difference":
        return [[x - y for x, y in zip(p, q, strict=True)] for p, q in zip(base, source, strict=True)]
    return base if side == "base" else source
