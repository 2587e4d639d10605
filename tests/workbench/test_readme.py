"""The README's promises: its method in one file is listed, shown and run, and its commands are commands."""

import doctest
import re
import shlex
from pathlib import Path

import pytest

from engines import methods
from engines.registry import names
from workbench import catalog
from workbench.cli import main
from workbench.spec import Cell

FILE = Path(__file__).parent.parent.parent / "README.md"
README = FILE.read_text()


@pytest.fixture
def first_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's method, as a file among the methods."""
    (block,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "first_site.py").write_text(block)
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    assert methods.__spec__ is not None
    monkeypatch.setattr(methods.__spec__, "submodule_search_locations", [*methods.__path__])


@pytest.mark.usefixtures("first_site")
def test_a_method_is_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert "first_site" in names(catalog.METHODS)
    assert main(["ls", "methods"]) == 0
    assert "first_site" in capsys.readouterr().out
    assert main(["show", "first_site"]) == 0
    assert "skip=0" in capsys.readouterr().out
    assert main(["run", "rasp.reverse/compiled/opposite", "first_site", "--set", "skip=3"]) == 0
    assert "best handle" in capsys.readouterr().out


@pytest.mark.parametrize("line", re.findall(r"^(workbench (?:ls|show|run) [^#\n]*)", README, re.MULTILINE))
def test_the_names_in_the_readme_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [word for word in shlex.split(line)[1:] if word != "--detach"]
    if words[0] == "run":
        catalog.method(words[2])
        Cell.parse(words[1])
    else:
        assert main(words) == 0
        assert capsys.readouterr().out


def test_the_session_in_the_readme_says_what_it_shows() -> None:
    found = doctest.testfile(str(FILE), module_relative=False)
    assert found.attempted > 5
    assert found.failed == 0
