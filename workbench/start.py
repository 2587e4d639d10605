"""How ``workbench`` starts: the screen at once, everything else through the command line.

The screen must be there in the blink of an eye, and reading a command line properly costs 80 ms, so only what is
plainly a call of the screen is recognized here.
"""

import gc
import os
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from engines.errors import InvalidSetting, WorkbenchError
from workbench import preferences
from workbench.display import Display
from workbench.preferences import Preferences

SWITCHES: Mapping[str, tuple[str, Any]] = {
    "--plain-output": ("plain_output", True),
    "--ascii": ("glyphs", "ascii"),
    "--a11y": ("a11y", True),
    "--light": ("theme", "light"),
}
"""Options without a value, as what they ask for."""
NO_FLAGS: Mapping[str, Any] = MappingProxyType({})
QUIET = {"TEXTUAL_ANIMATIONS": "none", "TEXTUAL_SMOOTH_SCROLL": "0", "TEXTUAL_DISABLE_KITTY_KEY": "1"}
"""What Textual shall not do unless the user says so: animate, and ask for the kitty keyboard protocol, which breaks
dead keys and input methods in some terminals."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command ``workbench``; returns the exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    bare = not given and sys.stdout.isatty() and sys.stdin.isatty()
    asked = {} if bare else read(given[1:]) if given[:1] == ["tui"] else None
    if asked is None:
        from workbench import cli

        return cli.main(given)
    try:
        return open_screen(asked.pop("address", None), plain_output=asked.pop("plain_output", False), flags=asked)
    except WorkbenchError as error:
        from workbench import cli

        return cli.refuse(error)


def read(arguments: Sequence[str]) -> dict[str, Any] | None:
    """The arguments of ``tui`` by name; None when they need a closer look."""
    found: dict[str, Any] = {}
    words = iter(arguments)
    for word in words:
        if word == "--theme":
            name, value = "theme", next(words, None)
        else:
            name, value = SWITCHES.get(word, ("", None)) if word.startswith("-") else ("address", word)
        if value is None or name in found:
            return None
        found[name] = value
    return found


def over_ssh(environ: Mapping[str, str]) -> bool:
    """Whether the terminal is at the other end of an ssh connection."""
    return bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))


def prepare(display: Display, environ: MutableMapping[str, str]) -> None:
    """Set the variables that Textual reads when it is imported.

    A key is answered in two frames, the cursor and then the inspector, and the second waits for one period; since
    frames are small, the period is short.
    """
    for name, value in {**QUIET, "TEXTUAL_FPS": "60" if over_ssh(environ) else "120"}.items():
        environ.setdefault(name, value)
    for name, value in display.environment.items():
        if value is None:
            environ.pop(name, None)
        else:
            environ[name] = value


def keys_of(wanted: Preferences) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """The keys that the user's file gives, by the verb's id, and all that is wrong in the file."""
    if not wanted.keys:
        return {}, wanted.faults
    from workbench import keymap

    found, faults = keymap.check(wanted.keys, wanted.file, keymap.reaches())
    return found, preferences.in_order((*wanted.faults, *faults), wanted.file)


def keys_and_notices(wanted: Preferences) -> tuple[Mapping[str, str], tuple[str, ...]]:
    """The keys that the user's file gives, and what the screen tells of all that is wrong in it."""
    keymap, faults = keys_of(wanted)
    more = (f"{len(faults) - 1} more: 'workbench config check'",) if faults[1:] else ()
    return keymap, (*faults[:1], *more)


def open_screen(address: str | None, *, plain_output: bool = False, flags: Mapping[str, Any] = NO_FLAGS) -> int:
    """Show the screen until the user quits; ``flags`` go before the user's file. Returns the exit code.

    Raises ``InvalidSetting`` without a terminal, for an address that is none or a flag that asks for what there is not,
    ``StoreUnwritable`` when the log cannot be written.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidSetting(
            "the screen needs a terminal on stdin and on stdout; without one: 'workbench ls', 'workbench show'"
        )
    wanted = preferences.read(preferences.path()).asked(flags)
    display = wanted.display(os.environ, sys.stdout.encoding)
    prepare(display, os.environ)
    gc.disable()  # what is imported stays: to look through it for garbage takes 5 % of the start, and then of every key
    from workbench import remembered, screens
    from workbench.app import Wishes, WorkbenchApp
    from workbench.input import ending, own_terminal
    from workbench.remembered import Visit
    from workbench.store import Store

    state, log = remembered.folder() / "screen.json", remembered.folder() / "screen.log"
    memory, forgotten = remembered.recall(state)
    notices = [forgotten] * bool(forgotten)
    if (address := address or str(wanted.values["start"]) or None) is not None:
        screens.find(address)
        memory = replace(memory, visits=(Visit(address),))
    elif memory.visits:
        notices.append("this is where you were; 1 leads to the cells")
    wishes = Wishes(exports=wanted.exports, plain=plain_output)
    app = WorkbenchApp(Store.default(), display, state=state, memory=memory, wishes=wishes)
    app.notices += notices
    app.keys_of_the_user = partial(keys_and_notices, wanted)
    gc.freeze()
    gc.enable()
    with own_terminal(log, sys.stdout.encoding) as app.tty, ending(app.tty, app.remember):
        app.run(mouse=not over_ssh(os.environ) if wanted.mouse == "auto" else wanted.mouse)
    if app.failure is not None:
        raise WorkbenchError(f"the screen failed ({app.failure!r}); this is a defect: report it with {log}")
    return app.return_code or 0
