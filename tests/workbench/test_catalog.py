"""The catalogue, on the fakes for its texts and on the real plug-ins for its promise."""

import dataclasses
from pathlib import Path

import pytest

from engines import registry
from engines.errors import InvalidModel, InvalidProgram
from workbench import catalog
from workbench.spec import complete


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
    assert catalog.cell_names() == ("rasp.toy/compiled/left", "rasp.toy/compiled/right")
    assert len(catalog.cell_names(wrong=True)) == 4
    assert catalog.task_names() == ("rasp.toy",)


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


def _plug_in(folder: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    package = folder / "plugged"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "mine.py").write_text(source)
    monkeypatch.syspath_prepend(str(folder))
