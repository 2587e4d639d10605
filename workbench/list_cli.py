"""The commands ``workbench ls``: what there is to ask, whom, and what was run."""

from typing import Annotated

import typer

from workbench import catalog, text
from workbench.command import AsJson, StoreFolder, note, open_store, put

lists = typer.Typer(help="List what there is.", no_args_is_help=True, rich_markup_mode=None)


def mount(app: typer.Typer) -> None:
    """Put the commands below ``workbench ls``."""
    app.add_typer(lists, name="ls")


def _names(rows: list[tuple[str, str]], as_json: bool) -> None:
    put([{"name": name, "summary": summary} for name, summary in rows], text.columns(rows), as_json)


@lists.command("cells")
def list_cells(
    wrong: Annotated[
        bool, typer.Option("--all", help="Also the cells of wrong variables, which must be rejected.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Cells: task/model/variable, what a method can be run on."""
    cells = catalog.cell_names(wrong=wrong)
    put(list(cells), "\n".join(cells), as_json)


@lists.command("methods")
def list_methods(as_json: AsJson = False) -> None:
    """Localization methods; 'workbench show METHOD' gives the settings of one."""
    _names([(name, catalog.method(name).summary) for name in catalog.method_names()], as_json)


@lists.command("programs")
def list_programs(as_json: AsJson = False) -> None:
    """RASP programs; 'workbench show PROGRAM' gives the variables of one."""
    _names([(name, catalog.program(name).summary) for name in catalog.program_names()], as_json)


@lists.command("tasks")
def list_tasks(as_json: AsJson = False) -> None:
    """Tasks: one for each program, and those with networks of their own."""
    put(list(catalog.task_names()), "\n".join(catalog.task_names()), as_json)


@lists.command("models")
def list_models(as_json: AsJson = False) -> None:
    """Models that a task can be put to."""
    _names(list(catalog.every_model().items()), as_json)


@lists.command("runs")
def list_runs(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most, newest first.")] = 50,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> None:
    """Runs in the store, newest first."""
    listing = open_store(folder).runs()
    shown = listing.runs[:limit]
    put([run.record for run in shown], text.runs(shown), as_json)
    if len(shown) < len(listing.runs):
        note(f"{len(listing.runs) - len(shown)} older runs are not shown; --limit {len(listing.runs)} shows all")
    if listing.damaged:
        note(text.damaged(listing.damaged))
