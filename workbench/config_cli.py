"""The command ``config``: what a user wants of the screen, where each value comes from, and what is wrong in the file.

Only ``keys`` and ``check`` import the places, and Textual with them.
"""

from typing import Annotated, Any

import typer

from engines.errors import InvalidSetting
from workbench import preferences, start
from workbench.command import OK, USAGE, AsJson, note, put
from workbench.preferences import OPTIONS, Preferences

Theme = Annotated[
    str | None, typer.Option("--theme", metavar="NAME", help="dark, light or high-contrast; else the user's file.")
]
Light = Annotated[bool, typer.Option("--light", help="The same as --theme light.")]
Ascii = Annotated[bool, typer.Option("--ascii", help="Draw with ASCII characters only.")]
A11y = Annotated[
    bool, typer.Option("--a11y", help="For screen readers and braille: the cursor is where the selection is.")
]

group = typer.Typer(
    help="What you want of the screen: theme, glyphs, keys; and where that comes from.",
    invoke_without_command=True,
    rich_markup_mode=None,
)


def mount(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.add_typer(group, name="config")


def flags(theme: str | None, *, light: bool, ascii: bool, a11y: bool) -> dict[str, Any]:
    """What options of the command line ask for, by the name that it has in the file; raises ``InvalidSetting``."""
    if theme is not None and light:
        raise InvalidSetting("--light is --theme light; give one of both")
    asked = {"theme": "light" if light else theme, "glyphs": "ascii" if ascii else None, "a11y": a11y or None}
    return {name: value for name, value in asked.items() if value is not None}


@group.callback()
def show(
    context: typer.Context,
    theme: Theme = None,
    light: Light = False,
    ascii: Ascii = False,
    a11y: A11y = False,
    as_json: AsJson = False,
) -> None:
    """Show what holds, and where each value comes from: default, flag, or a line of the file.

    \b
    Examples:
      workbench config
      workbench config keys
      workbench config check
    """
    if context.invoked_subcommand is not None:
        return
    wanted = preferences.read(preferences.path())
    shown = wanted.asked(flags(theme, light=light, ascii=ascii, a11y=a11y))
    _tell(shown, as_json)
    for fault in wanted.faults:
        note(fault)


def _tell(wanted: Preferences, as_json: bool) -> None:
    values = {
        one.name: {"value": wanted.values[one.name], "from": wanted.origin(one.name), "about": one.about}
        for one in OPTIONS
    }
    keys = {name: {"value": one.value, "from": f"{wanted.file}:{one.line}"} for name, one in wanted.keys.items()}
    lines = [f"file {wanted.file}" + (" (there is none)" if not wanted.file.exists() else ""), "", "[screen]"]
    rows = [(name, _toml(one["value"]), _short(wanted, one["from"]), one["about"]) for name, one in values.items()]
    lines += [f"{name:8} = {value:16} {origin:14} {about}" for name, value, origin, about in rows]
    if keys:
        rows = [(f'"{name}"', _toml(one["value"]), _short(wanted, one["from"])) for name, one in keys.items()]
        lines += ["", "[keys]", *(f"{name:28} = {value:16} {origin}" for name, value, origin in rows)]
    put({"file": str(wanted.file), "screen": values, "keys": keys}, "\n".join(lines), as_json)


def _short(wanted: Preferences, origin: str) -> str:
    """Where a value comes from, without the folder, which is told once."""
    return origin.removeprefix(f"{wanted.file.parent}/")


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else f'"{value}"'


@group.command("path")
def show_path(as_json: AsJson = False) -> None:
    """Print where the file is, or would be."""
    put(str(preferences.path()), str(preferences.path()), as_json)


@group.command("keys")
def list_keys(as_json: AsJson = False) -> None:
    """List every verb that can have other keys, with its id, its keys and what it does, by place."""
    from workbench.keymap import reaches, verbs
    from workbench.keys import named

    wanted = preferences.read(preferences.path())
    keymap, faults = start.keys_of(wanted)
    records, lines, owner = [], list[str](), ""
    found = verbs(reaches())
    owners = list(dict.fromkeys(key.owner for key in found.values()))
    for name, key in sorted(found.items(), key=lambda each: owners.index(each[1].owner)):
        keys = keymap.get(name, key.keys)
        records.append({"id": name, "keys": keys.split(","), "default": key.keys.split(","), "about": key.about})
        if key.owner != owner:
            owner = key.owner
            lines += [""] * bool(lines) + [owner]
        own = "  (yours)" * (name in keymap)
        lines.append(f"  {name:28} {named(keys):14} {key.about}{own}")
    put(records, "\n".join(lines), as_json)
    for fault in faults:
        note(fault)


@group.command()
def check(as_json: AsJson = False) -> int:
    """Say everything that is wrong in the file; exit code 2 if anything is."""
    wanted = preferences.read(preferences.path())
    _, faults = start.keys_of(wanted)
    there = "" if wanted.file.exists() else ", which is not there"
    put(list(faults), "\n".join(faults) or f"nothing is wrong in {wanted.file}{there}", as_json)
    return USAGE if faults else OK
