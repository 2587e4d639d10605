"""The catalogue, on the fakes for its texts and on the real plug-ins for its promise."""

import dataclasses
from pathlib import Path

import pytest

from engines import registry
from engines.errors import InvalidModel, InvalidProgram, InvalidSetting, UnknownName
from tracr_bridge.rungs import RUNGS
from workbench import catalog
from workbench.spec import Cell, complete


@pytest.mark.usefixtures("fakes")
def test_a_method_is_read_from_its_source() -> None:
    card = catalog.method("count")
    assert card.summary == "Count pieces."
    assert [(each.name, each.kind, each.default) for each in card.settings] == [
        ("pieces", "int", 4),
        ("pause", "float", 0.0),
        ("trouble", "str", "none"),
        ("part", "Inner", {}),
    ]
    assert card.settings[0].about == "How many pieces of work."
    assert [(each.name, each.default) for each in card.settings[3].nested] == [("sizes", (1, 2)), ("rate", 0.25)]


@pytest.mark.usefixtures("fakes")
def test_a_program_spans_cells_and_their_wrong_twins() -> None:
    assert catalog.program("toy").facts == {"vocabulary": ("a", "b"), "length": 3}
    assert catalog.cell_names()[:3] == ("rasp.toy/compiled/left", "rasp.toy/compiled/right", "rasp.toy/rotated/left")
    assert len(catalog.cell_names()) == 2 * len(RUNGS)
    assert len(catalog.cell_names(wrong=True)) == 4 * len(RUNGS)
    assert catalog.task_names() == ("rasp.toy",)


def test_a_task_may_name_a_regime_and_a_program_that_is_drawn() -> None:
    assert catalog.asked("rasp.reverse") == ("reverse", "variable")
    assert catalog.asked("rasp.reverse:fixed") == ("reverse", "fixed")
    assert catalog.variables("rasp.reverse:fixed") == catalog.variables("rasp.reverse")
    assert catalog.asked("rasp.random_0_17:set") == ("random_0_17", "set")
    assert catalog.variables("rasp.random_0_17")[:2] == ("v1", "v1.wrong")
    assert catalog.program("random_3_17").summary.startswith("Program 17 of seed 3, drawn at random")
    assert str(Cell.parse("rasp.random_0_17:cross/compiled/v2")) == "rasp.random_0_17:cross/compiled/v2"


@pytest.mark.parametrize(
    ("task", "error", "sentence"),
    [
        ("rasp.reserve", UnknownName, "unknown task 'rasp.reserve'. Did you mean 'rasp.reverse'?"),
        ("rasp.random_0_017", UnknownName, "unknown task 'rasp.random_0_017'"),
        ("rasp.reverse:fix", UnknownName, "unknown regime 'fix'. Did you mean 'fixed'?"),
        ("rasp.reverse:variable", InvalidSetting, "has the default regime, which is not written; write 'rasp.reverse'"),
    ],
)
def test_a_task_that_does_not_exist(task: str, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error) as caught:
        catalog.asked(task)
    assert sentence in str(caught.value)


@pytest.mark.parametrize("name", catalog.method_names())
def test_the_card_of_every_method_is_what_its_class_says(name: str) -> None:
    card = catalog.method(name)
    method = registry.load(catalog.METHODS, name, "METHOD", "method")
    assert [each.name for each in card.settings] == [field.name for field in dataclasses.fields(method)]
    assert card.summary
    plain = {each.name: each.default for each in card.settings if not each.nested}
    assert plain == {key: getattr(method(), key) for key in plain}
    complete(card.settings, {}, name)  # every default is of its own kind


@pytest.mark.parametrize("name", catalog.program_names())
def test_the_card_of_every_program_is_what_it_says(name: str) -> None:
    card = catalog.program(name)
    program = registry.load(catalog.PROGRAMS, name, "PROGRAM", "program")
    assert (card.name, card.summary, card.variables) == (program.name, program.summary, program.variables)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("x = 1\n", "has no METHOD; write 'METHOD = YourClass'"),
        ("METHOD = Other\n", "has no class 'Other' at its top level"),
        ("class M:\n    steps: int = 2 * 3 ** n\nMETHOD = M\n", "setting 'steps' of M needs a literal default"),
        ("class M:\n    steps: int\nMETHOD = M\n", "setting 'steps' of M needs a literal default"),
    ],
)
def test_a_file_that_is_no_method(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, sentence: str) -> None:
    _plug_in(tmp_path, monkeypatch, source)
    monkeypatch.setattr(catalog, "METHODS", "plugged")
    with pytest.raises(InvalidModel) as caught:
        catalog.method("mine")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("x = 1\n", "has no PROGRAM"),
        ("PROGRAM = Program(variables=NAMES)\n", "variables must be written out"),
        ("PROGRAM = Program(name='other', variables=('a',))\n", "the program's name must be that of its file"),
    ],
)
def test_a_file_that_is_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, sentence: str) -> None:
    _plug_in(tmp_path, monkeypatch, source)
    monkeypatch.setattr(catalog, "PROGRAMS", "plugged")
    with pytest.raises(InvalidProgram) as caught:
        catalog.program("mine")
    assert sentence in str(caught.value)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("x = 1\n", "has no DEMO; write 'DEMO = Demo(name='mine', ...)'"),
        ("DEMO = Demo(name='mine', title=TITLE)\n", "title must be written out, as in 'title=\"...\"'"),
        ("DEMO = Demo(name='mine', title='Mine')\n", "summary must be written out"),
    ],
)
def test_a_file_that_is_no_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, sentence: str) -> None:
    _plug_in(tmp_path, monkeypatch, source)
    monkeypatch.setattr(catalog, "DEMOS", "plugged")
    assert catalog.demo_names() == ("scrub-mine",)
    with pytest.raises(InvalidModel) as caught:
        catalog.demo("scrub-mine")
    assert sentence in str(caught.value)


def _plug_in(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    package = folder / "plugged"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "mine.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
