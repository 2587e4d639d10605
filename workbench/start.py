"""How ``workbench`` starts: the screen at once, everything else through the command line.

The screen must be there in the blink of an eye, and reading a command line properly costs 80 ms, so only what is
plainly a call of the screen is recognized here.
"""

import os
import sys
from collections.abc import Mapping, MutableMapping, Sequence

from engines.errors import InvalidSetting, StoreError, WorkbenchError
from workbench.display import Display

SWITCHES = {"--plain-output": "plain_output", "--ascii": "ascii"}
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
        return open_screen(asked.get("address"), plain_output="plain_output" in asked, ascii="ascii" in asked)
    except WorkbenchError as error:
        from workbench import cli

        return cli.refuse(error)


def read(arguments: Sequence[str]) -> Mapping[str, str] | None:
    """The arguments of ``tui`` by name; None when they need a closer look."""
    names = ["address" if not each.startswith("-") else SWITCHES.get(each) for each in arguments]
    if None in names or len(set(names)) < len(names):
        return None
    return dict(zip((name for name in names if name), arguments, strict=True))


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


def open_screen(address: str | None, *, plain_output: bool = False, ascii: bool = False) -> int:
    """Show the screen until the user quits; returns the exit code.

    Raises ``InvalidSetting`` without a terminal or for an address that is none, ``StoreUnwritable`` when the log
    cannot be written.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InvalidSetting(
            "the screen needs a terminal on stdin and on stdout; without one: 'workbench ls', 'workbench show'"
        )
    display = Display.of(os.environ, sys.stdout.encoding, ascii=ascii)
    prepare(display, os.environ)
    from workbench import remembered, screens
    from workbench.app import WorkbenchApp
    from workbench.input import ending, own_terminal
    from workbench.remembered import Visit
    from workbench.store import Store

    state, log = remembered.folder() / "screen.json", remembered.folder() / "screen.log"
    notice = ""
    if address is not None:
        screens.find(address)
        visits: tuple[Visit, ...] = (Visit(address),)
    else:
        try:
            visits = remembered.load(state)
            notice = "this is where you were; 1 leads to the cells" if visits else ""
        except StoreError as error:
            visits, notice = (), str(error)
    app = WorkbenchApp(Store.default(), display, state=state, visits=visits, plain=plain_output)
    if notice:
        app.notices.append(notice)
    with own_terminal(log, sys.stdout.encoding) as app.tty, ending(app.tty, app.remember):
        app.run(mouse=not over_ssh(os.environ))
    if app.failure is not None:
        raise WorkbenchError(f"the screen failed ({app.failure!r}); this is a defect: report it with {log}")
    return app.return_code or 0
