"""No text from data reaches a stock widget but through ``workbench.tok``: read from the source of whatever draws.

Every file below ``workbench`` that imports Textual is checked, so a new screen is found by itself. A stock widget takes
a plain string for markup, so it gets a literal without brackets, or ``content(...)`` of ``workbench.tok``, or a
``Content`` or ``Text`` of pieces, each of which is a literal or ``tok(...)``, ``fit(...)`` or ``content(...)``.
"""

import ast
from pathlib import Path

import pytest

import workbench

ROOT = Path(workbench.__file__).parent
SHOWS = {"Static", "Label", "Button", "Link", "notify", "Option", "add_leaf", "add_row", "add_column", "Tab"}
"""Calls that put their first argument on the screen."""
MAKES = {"Content", "Text", "assemble", "styled"}
SAFE = {"tok", "fit", "content", "words", "inspect"}
"""The last two are the widgets' own and give ``Content``."""
MARKUP = {"from_markup", "render_markup"}


def called(call: ast.Call) -> str:
    """The last name of what is called."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def is_safe(shown: ast.expr) -> bool:
    """Whether a string made by this expression holds no text of data that has not been through ``tok``."""
    match shown:
        case ast.Constant(value=str(text)):
            return "[" not in text
        case ast.Constant():
            return True
        case ast.Starred(value=value):
            return is_safe(value)
        case ast.Tuple(elts=[text, *_]):  # a piece with its style
            return is_safe(text)
        case ast.IfExp(body=body, orelse=orelse):
            return is_safe(body) and is_safe(orelse)
        case ast.Call() if called(shown) in SAFE:
            return True
        case ast.Call() if called(shown) in MAKES:
            return all(is_safe(piece) for piece in shown.args[: None if called(shown) == "assemble" else 1])
    return False


def guilty(source: str) -> list[str]:
    """Each call that shows text of data as it is, or reads markup."""
    found = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        name, shown = called(call), call.args[:1]
        flags = {keyword.arg: keyword.value for keyword in call.keywords}
        bad = name in MARKUP or getattr(flags.get("markup"), "value", False) is True
        if name == "notify":
            plain = getattr(flags.get("markup"), "value", True) is False
            bad = bad or not plain or not all(map(is_safe, [*shown, *(flags[k] for k in ("title",) if k in flags)]))
        elif name in SHOWS or name in MAKES:
            bad = bad or not all(map(is_safe, call.args if name == "assemble" else shown))
        elif name == "update" and shown:  # of a dictionary as well, hence only what is surely made text
            bad = bad or isinstance(shown[0], ast.JoinedStr | ast.BinOp) or called_on_text(shown[0])
        if bad:
            found.append(f"line {call.lineno}: {ast.unparse(call)}")
    return found


def called_on_text(shown: ast.expr) -> bool:
    """Whether an expression is a string made on the spot."""
    return isinstance(shown, ast.Call) and called(shown) in {"str", "repr", "join", "format"}


def drawing() -> list[Path]:
    """Every file that imports Textual."""
    return [file for file in sorted(ROOT.rglob("*.py")) if imports_textual(file.read_text())]


def imports_textual(source: str) -> bool:
    """Whether a file imports Textual, anywhere."""
    for each in ast.walk(ast.parse(source)):
        names = [alias.name for alias in each.names] if isinstance(each, ast.Import) else []
        names += [each.module or ""] if isinstance(each, ast.ImportFrom) else []
        if any(name.partition(".")[0] == "textual" for name in names):
            return True
    return False


@pytest.mark.parametrize("file", drawing(), ids=lambda file: file.relative_to(ROOT).as_posix())
def test_text_from_data_goes_through_tok(file: Path) -> None:
    if file != ROOT / "tok.py":  # where it is done
        assert not guilty(file.read_text()), f"use content(...) of workbench.tok in {file}"


@pytest.mark.parametrize(
    "bad",
    [
        "Static(name)",
        "Static(f'{name}')",
        "Label('[bold]x')",
        "app.notify(tok(name))",
        "app.notify(name, markup=False)",
        "app.notify(tok(a), title=name, markup=False)",
        "self.query_one(Static).update(f'{name}')",
        "Content(name)",
        "Static(Content.assemble('x', (name, 'bold')))",
        "Text.from_markup(tok(name))",
        "Static(content(name), markup=True)",
        "tree.root.add_leaf(name)",
    ],
)
def test_the_check_sees(bad: str) -> None:
    assert guilty(bad)


@pytest.mark.parametrize(
    "good",
    [
        "Static()",
        "Static('plain')",
        "Static(content(name))",
        "Label(content(name) if name else 'none')",
        "app.notify(tok(name), title='failed', markup=False)",
        "self.query_one(Static).update(content(f'{a} {b}'))",
        "Static(Content.assemble('x ', (tok(name), 'bold')))",
        "counts.update(other)",
    ],
)
def test_the_check_lets_pass(good: str) -> None:
    assert not guilty(good)
