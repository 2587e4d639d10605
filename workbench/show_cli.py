"""The commands that show: the screen, an address of it without the screen, and files of what an address shows."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from engines import zoo
from engines.errors import InvalidSetting, UnknownName
from workbench import catalog, config_cli, disk, exports, mib_cli, screens, scrub_cli, start, text, view
from workbench.command import AsJson, StoreFolder, note, open_store, put
from workbench.run_cli import show_run
from workbench.spec import Cell
from workbench.store import Store

ViewOptions = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="An option of the view, such as example=3; may be repeated."),
]


def mount(app: typer.Typer) -> None:
    """Put the commands beside the others."""
    for command in (tui, show, export):
        app.command()(command)


def read_options(given: Sequence[str] | None) -> dict[str, str]:
    """Options of a view; raises ``InvalidSetting``."""
    options = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not equals or name in options:
            raise InvalidSetting(f"--set {one!r} is no option; write NAME=VALUE, each name once, such as example=3")
        options[name] = value
    return options


def tui(
    address: Annotated[
        str | None, typer.Argument(help="Where to start, such as cells [default: where you were].")
    ] = None,
    plain_output: Annotated[
        bool, typer.Option("--plain-output", help="Let Textual write by itself, should the screen look wrong.")
    ] = False,
    theme: config_cli.Theme = None,
    light: config_cli.Light = False,
    ascii: config_cli.Ascii = False,
    a11y: config_cli.A11y = False,
) -> int:
    """Open the screen; 'workbench' without a command does, too. Quitting or losing the terminal stops no run.

    Options go before the user's file: 'workbench config' shows what holds, and 'workbench config path' where it is.
    """
    return start.open_screen(
        address, plain_output=plain_output, flags=config_cli.flags(theme, light=light, ascii=ascii, a11y=a11y)
    )


def show(
    address: Annotated[
        str,
        typer.Argument(
            help="An address of the screen, a task, a program, a method, an id of a run or a scrub, or an MIB folder."
        ),
    ],
    truth: Annotated[
        bool, typer.Option("--truth", help="Of a program: what is known about its circuit, and the certificate.")
    ] = False,
    options: ViewOptions = None,
    plain: Annotated[bool, typer.Option("--plain", help="Print text, which is the default.")] = False,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> None:
    """Show what an address of the screen shows, a task, a program, a method with its settings, a run or a scrub.

    \b
    Examples:
      workbench show rasp.reverse/compiled/opposite
      workbench show rasp.reverse/compiled/opposite:L2.head0 --set example=3
      workbench show reverse --truth
      workbench show plot_das
      workbench show gemma2
      workbench show 3f2a --json
    """
    if plain and as_json:
        raise InvalidSetting("--plain and --json are two forms of one answer; choose one of them")
    if not address:
        raise InvalidSetting("the address is empty; write one, such as cells, or a name: 'workbench ls methods'")
    if truth:
        _show_truth(_program(address), open_store(folder), as_json)
    elif mib_cli.is_submission(address):
        mib_cli.show(Path(address), as_json)
    elif options or screens.known(address):
        found = view.build(address, open_store(folder), read_options(options))
        put(found.record, found.text, as_json)
        for sentence in found.notes:
            note(sentence)
    elif address.startswith(("/", "./", "../", "~")):
        raise InvalidSetting(f"there is no folder {address}; give the one that holds an MIB submission's cells")
    elif "/" in address and ":" not in address:
        Cell.parse(address)  # which it is not: it would have an address
    elif "/" in address:
        screens.route(address)  # which has none, and says what addresses look like
    else:
        _show_named(address, open_store(folder), as_json)


def _show_named(name: str, store: Store, as_json: bool) -> None:
    """Show what has no address: a program, a task, a method, a language model and what it takes, a scrub or a run."""
    if name in catalog.program_names() or catalog.RANDOM.fullmatch(name):
        program = catalog.program(name)
        put(text.record(program), text.program(program), as_json)
    elif name in catalog.task_names() or name.startswith("rasp.") or catalog.PROMPTED.fullmatch(name):
        card = catalog.card(name)
        put(text.record(card), text.card(card), as_json)
    elif name in catalog.method_names():
        method = catalog.method(name)
        put(text.record(method), text.method(method), as_json)
    elif zoo.knows(name):
        prospect = zoo.look(name)
        put(disk.named(prospect.record), "\n".join(prospect.lines()), as_json)
    elif scrub_cli.kept(name, store):
        scrub_cli.show(name, store, as_json)
    else:
        near = difflib.get_close_matches(name, (*catalog.method_names(), *catalog.program_names()), 1)
        if near and not re.fullmatch("[0-9a-f]+", name):
            lists = "'workbench ls methods', 'workbench ls programs', 'workbench ls tasks', 'workbench ls runs'"
            raise InvalidSetting(f"nothing is called {name!r}. Did you mean {near[0]!r}? What there is: {lists}")
        show_run(store.find(name), as_json)


def _program(address: str) -> str:
    """The program of a name or of a cell; raises ``UnknownName``."""
    if "/" in address:
        task = Cell.parse(address).task
        if not task.startswith("rasp."):
            raise InvalidSetting(f"{task} is no compiled program, so that no truth is known; --truth is for programs")
        return catalog.asked(task)[0]
    name = address.removeprefix("rasp.")
    if name not in catalog.program_names() and not catalog.RANDOM.fullmatch(name):
        raise UnknownName("program", name, catalog.program_names())
    return name


def _show_truth(program: str, store: Store, as_json: bool) -> None:
    from workbench.truth_card import truth_card

    card = truth_card(program, store.certificates)
    put(card.record, card.text, as_json)


def export(
    address: Annotated[str, typer.Argument(help="An address of the screen, such as a cell or CELL#RUN:sites.")],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="As their names end: .png, .svg, .pdf, .csv, .json, .txt.")
    ],
    options: ViewOptions = None,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> None:
    """Write what an address shows to files: figures, one tidy table, or the record.

    \b
    Examples:
      workbench export rasp.reverse/compiled/opposite scores.png scores.csv
      workbench export rasp.reverse/compiled/opposite#3f2a:sites sites.svg
    """
    from workbench import exporting

    for file in files:
        exports.check(file)
    found = view.build(address, open_store(folder), read_options(options))
    for file in files:
        exporting.write(found, file)
        note(f"wrote {file}")
    put([str(file) for file in files], "\n".join(map(str, files)), as_json)
