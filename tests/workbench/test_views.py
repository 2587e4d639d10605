"""Views of sites, heads and neurons without a screen: text, record, pictures and tables, from recorded answers."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engines.errors import InvalidSetting, StoreError
from tests.screens.hands import CELL, RECORDS, named
from workbench import exporting, screens, view
from workbench.cli import main
from workbench.drawing import TALL, figure_of
from workbench.spec import Cell
from workbench.store import Store
from workbench.view import Heat, Points, Table

RUN = f"{CELL}#d87eebcd5735:sites"
SITE = f"{CELL}:L1.mlp_out@target"
PLACES = (
    (f"{CELL}:L2.head0", {"example": "3"}),
    (f"{CELL}:L2.head0", {"tokens": "a b c"}),
    (f"{CELL}:L1.mlp", {}),
    (f"{CELL}:L1.mlp.neuron20", {"tokens": "a b c"}),
    (SITE, {"example": "3"}),
    (SITE, {"example": "3", "side": "difference"}),
    (SITE, {"tokens": "a b c"}),
    (RUN, {}),
    (RUN, {"truth": "true"}),
)


@pytest.fixture
def store(own_home: Path) -> Store:
    """The store with recorded runs."""
    shutil.copytree(Path(__file__).parents[1] / "screens" / "runs", own_home / "runs")
    return Store(own_home / "runs")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of the server, which answers from records."""
    requests: list[str] = []

    def ask(cell: Cell, request: str, /, *, store: Store, **params: Any) -> Any:
        assert (str(cell), store.root.name) == (CELL, "runs")
        requests.append(request)
        return json.loads((RECORDS / named(request, params)).read_text())

    for name in ("sites", "head", "neurons", "residual"):
        monkeypatch.setattr(f"workbench.views.{name}.ask", ask)
    return requests


def heat(found: view.View, place: int = 0) -> Heat:
    """One of a view's heat maps."""
    return [panel for panel in found.panels if isinstance(panel, Heat)][place]


@pytest.mark.parametrize(("address", "options"), PLACES)
def test_each_has_text_json_table_and_picture(
    address: str,
    options: dict[str, str],
    store: Store,
    asked: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    found = view.build(address, store, options)
    assert json.loads(json.dumps(found.record, allow_nan=False)) == found.record
    assert not set(found.text) & set("│─┌\x1b\t")
    exporting.write(found, tmp_path / "a.csv")
    rows = list(csv.DictReader((tmp_path / "a.csv").read_text().splitlines()))
    assert {row["panel"] for row in rows} == {panel.title for panel in found.panels}
    drawn = [panel for panel in found.panels if not isinstance(panel, Table)]
    figure = figure_of(found)
    axes = [axis for axis in figure.axes if axis.get_title(loc="left")]
    assert len(axes) == len(drawn)
    for axis, panel in zip(axes, drawn, strict=True):
        assert axis.get_xlabel().removeprefix("lines are 95 % intervals"), panel.title
        assert axis.get_ylabel() or isinstance(panel, Points), panel.title
    assert figure.get_size_inches()[1] <= TALL
    words = [word for name, value in options.items() for word in ("--set", f"{name}={value}")]
    assert main(["show", address, *words]) == 0
    assert capsys.readouterr().out == f"{found.text}\n"
    assert main(["show", address, *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found.record
    assert len(set(asked)) <= 2


@pytest.mark.parametrize("route", [one for one in screens.ROUTES if one.view], ids=lambda one: one.example)
def test_each_route_has_its_view(route: screens.Route) -> None:
    assert callable(screens.view(route.example))


def test_a_run_to_be_is_the_spec_of_what_is_typed(store: Store) -> None:
    address = f"launch:{CELL}:plot_das"
    found = view.build(address, store, {"changes": "steps=50", "seed": "3"})
    assert found.record["command"] == f"workbench run {CELL} plot_das --set steps=50 --seed 3 --queue"
    assert found.record["spec"]["settings"]["steps"] == 50
    assert json.loads(json.dumps(found.record, allow_nan=False)) == found.record
    assert f"run   {found.record['command']}" in found.text
    (table,) = found.panels
    assert isinstance(table, Table)
    assert [row[1:3] for row in table.rows if row[0] == "steps"] == [("50", "48")]
    methods = {row["method"]: row for row in view.build(f"launch:{CELL}", store, {}).record}
    assert (methods["plot"]["done"], methods["das"]["done"]) == (1, 0)
    assert methods["plot"]["seconds"] > 0
    for options, sentence in (
        ({"changes": "stepz=50"}, "Did you mean 'steps'"),
        ({"changes": "steps='50"}, "write key=value with spaces between"),
        ({"rows": "48"}, "--rows 48 is for tasks of language models"),
    ):
        with pytest.raises(InvalidSetting, match=sentence):
            view.build(address, store, options)


def test_the_site_map_reads_files_and_asks_for_the_truth_alone(store: Store, asked: list[str]) -> None:
    found = view.build(RUN, store, {})
    assert asked == []
    ranking = heat(found)
    assert ranking.title == "ranking"
    claimed = {(ranking.rows[row], ranking.columns[column]) for row, column in ranking.marks["claimed"]}
    assert claimed == {("L1.mlp_out", "target"), ("L1.res[13:23]", "target")}
    row, column = ranking.rows.index("L1.mlp_out"), ranking.columns.index("target")
    assert ranking.values[row * len(ranking.columns) + column] == pytest.approx(0.096, abs=1e-3)
    (scores,) = (panel for panel in found.panels if isinstance(panel, Points))
    assert [(one.name, one.n) for one in scores.points] == [
        ("plot", 64), ("no op", 64), ("full swap", 64), ("random site", 64), ("chance", 62)
    ]  # fmt: skip
    assert "L1.mlp_out@target" in found.text.splitlines()[3]
    known = view.build(RUN, store, {"truth": "true"})
    assert asked == ["truth"]
    assert sorted(heat(known).marks["truth"]) == sorted(ranking.marks["claimed"])
    assert "truth  2 hit, 0 missed, 0 false, by brute force n=48" in known.text
    assert known.record["truth"]["hits"] == 2
    with pytest.raises(StoreError, match=f"is one of {CELL}, not of rasp.sort_unique/compiled/moved; write {CELL}#"):
        view.build(RUN.replace(CELL, "rasp.sort_unique/compiled/moved"), store, {})


def test_a_pattern_is_the_record_and_a_difference_that_is_none_is_told(store: Store, asked: list[str]) -> None:  # noqa: ARG001
    record = json.loads((RECORDS / named("head", {"layer": 2, "head": 0, "example": 3})).read_text())
    found = view.build(f"{CELL}:L2.head0", store, {"example": "3", "side": "source"})
    assert heat(found).values == tuple(weight for line in record["source"]["pattern"] for weight in line)
    assert heat(found).rows == tuple(f"{at} {token}" for at, token in enumerate(record["source"]["tokens"]))
    both = view.build(f"{CELL}:L2.head0", store, {"example": "3", "side": "difference"})
    assert both.notes == ("no difference: the two inputs have 4 and 5 tokens; both are drawn",)
    assert len([panel for panel in both.panels if isinstance(panel, Heat)]) == 2
    loss = next(panel for panel in found.panels if panel.title.endswith("added to the loss"))
    assert isinstance(loss, Points)
    assert loss.points[0].value == record["ablations"]["mean"]["loss"]["value"]
    assert loss.points[-1].name == "nothing ablated"


def test_a_site_is_drawn_by_its_rows(store: Store, asked: list[str]) -> None:
    record = json.loads((RECORDS / named("states", {"site": "L1.mlp_out@target", "example": 3})).read_text())
    found = view.build(SITE, store, {"example": "3"})
    assert asked == ["site", "states"]
    examples = record["examples"]["base"]
    assert heat(found).rows == tuple(record["names"])
    assert heat(found).values == tuple(line[row] for row in range(len(record["names"])) for line in examples)
    assert {heat(found).rows[row].partition("=")[0] for row, _ in heat(found).marks["of opposite"]} == {"opposite"}
    assert "on examples\n\nBASE" in found.text
    assert "TOKENS" not in found.text
    along = view.build(SITE, store, {"example": "3", "form": "tokens"})
    assert "example 3\n\nBASE" in along.text
    figure = figure_of(found)
    first, bar = figure.axes[0], figure.axes[-1]
    assert (first.get_ylabel(), first.get_xlabel(), bar.get_ylabel()) == ("directions", "example", "component")
    (mark,) = first.get_legend().get_texts()
    assert mark.get_text() == f"of opposite ({sum(name.startswith('opposite') for name in record['names'])} rows)"
    shares = [axis.get_xlim() for axis in figure.axes if axis.get_title(loc="left").endswith(("IIA", "still right"))]
    assert shares == [(-0.02, 1.02)] * len(shares)
    minus = heat(view.build(SITE, store, {"example": "3", "side": "difference"}))
    assert minus.signed
    assert minus.values[0] == examples[0][0] - record["examples"]["source"][0][0]
    own = heat(view.build(SITE, store, {"tokens": "a b c"}))
    assert own.columns == ("0 BOS", "1 a", "2 b", "3 c")


@pytest.mark.parametrize(
    ("address", "options", "sentence"),
    [
        (f"{CELL}:head0", {}, f"'head0' is no part of {CELL}; write a head, .*: {CELL}:L0.head0, or L0.mlp"),
        (f"{CELL}:L2.head0", {"side": "both"}, "side is 'both'; choose one of base, source, difference"),
        (f"{CELL}:L1.mlp", {"order": "x"}, "order is 'x'; choose one of size of effect, max, share active, number"),
        (f"{CELL}:L1.mlp", {"tokens": "a"}, "tokens are shown on one neuron; write .*:L1.mlp.neuron0"),
        (SITE, {"form": "x"}, "form is 'x'; choose one of examples, tokens"),
        (SITE, {"colour": "x"}, "has no option 'colour'; it takes: example=0, side=base, form=examples, tokens="),
    ],
)
def test_mistakes(address: str, options: dict[str, str], sentence: str, store: Store, asked: list[str]) -> None:
    with pytest.raises(InvalidSetting, match=sentence):
        view.build(address, store, options)
    assert asked == []
