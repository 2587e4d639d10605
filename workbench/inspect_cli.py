"""The command ``inspect``: what the screen shows of heads, neurons and the residual stream, as text or JSON.

It asks the cell's warm server, which it starts where there is none, or computes in this process.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from engines.errors import InvalidSetting, UnknownName
from workbench import inspect_text, own_prompt
from workbench.command import AsJson, StoreFolder, note, open_store, put
from workbench.spec import Cell
from workbench.store import Store

PLACES: Mapping[str, tuple[str, ...]] = {
    "overview": (),
    "examples": (),
    "own": (),
    "heads": ("layer",),
    "head": ("layer", "head"),
    "neurons": ("layer",),
    "neuron": ("layer", "index"),
    "residual": ("layer", "position"),
    "site": ("site",),
    "states": ("site",),
    "truth": (),
    "angles": ("run",),
}
"""What can be inspected, and the numbers and names that say where."""
NAMES = ("position", "site", "run")
"""Those that are no numbers."""


def mount(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("inspect")(inspect)


def inspect(
    cell: Annotated[str, typer.Argument(help="Whose network, such as rasp.reverse/compiled/opposite.")],
    what: Annotated[str, typer.Argument(metavar="[WHAT]", help=f"One of: {', '.join(PLACES)}.")] = "overview",
    where: Annotated[
        list[str] | None, typer.Argument(metavar="[WHERE]...", help="Layer, then head, neuron or position; or a site.")
    ] = None,
    example: Annotated[
        int | None, typer.Option("--example", min=0, help="Of head, states: which pair; of examples: the first.")
    ] = None,
    prompt: Annotated[
        str | None,
        typer.Option(
            "--prompt", metavar="TEXT", help="Of own, head, neuron, states: tokens, spaces between; a model's text."
        ),
    ] = None,
    plain: Annotated[bool, typer.Option("--plain", help="Print text, which is the default.")] = False,
    as_json: AsJson = False,
    no_server: Annotated[
        bool, typer.Option("--no-server", help="Compute in this process instead of asking a warm server.")
    ] = False,
    folder: StoreFolder = None,
) -> None:
    """Look into a network: heads, neurons, the residual stream, examples; effects stand beside their controls.

    A process of its own keeps the network warm for the next question, and ends after 15 minutes without one.

    \b
    Examples:
      workbench inspect rasp.reverse/compiled/opposite
      workbench inspect rasp.reverse/compiled/opposite heads 2
      workbench inspect rasp.reverse/compiled/opposite head 2 0 --example 3
      workbench inspect rasp.reverse/compiled/opposite head 2 0 --prompt 'a b b c'
      workbench inspect rasp.reverse/compiled/opposite neuron 1 4 --json
      workbench inspect rasp.reverse/compiled/opposite residual 1 last
      workbench inspect rasp.reverse/compiled/opposite site L1.mlp_out@target
      workbench inspect rasp.reverse/compiled/opposite states L1.resid_post@last --example 3
      workbench inspect lm.sva/smollm2/number head 20 3 --prompt 'The keys near the cabinet'
    """
    if plain and as_json:
        raise InvalidSetting("--plain and --json are two forms of one answer; choose one of them")
    asked = Cell.parse(cell)
    params = _params(what, where or [], example, None if prompt is None else own_prompt.parts(asked, prompt))
    record = _asked(asked, what, params, None if no_server else open_store(folder), open_store(folder))
    put(record, inspect_text.text(what, record), as_json)


def _params(what: str, where: Sequence[str], example: int | None, prompt: list[str] | None) -> dict[str, Any]:
    """The parameters of a request; raises ``UnknownName`` or ``InvalidSetting``."""
    if what not in PLACES:
        raise UnknownName("thing to inspect", what, PLACES)
    names = PLACES[what]
    if len(where) != len(names):
        write = " ".join((what, *(name.upper() for name in names)))
        places = f"{len(names)} place{'s' * (len(names) != 1)}"
        raise InvalidSetting(f"{what} takes {places}, not {len(where)}; write '{write}'")
    params: dict[str, Any] = {}
    for name, given in zip(names, where, strict=True):
        if name not in NAMES and not given.removeprefix("-").isdecimal():
            raise InvalidSetting(f"{name} is {given!r}; write a whole number, such as 0")
        params[name] = given if name in NAMES else int(given)
    if example is not None:
        params["start" if what == "examples" else "example"] = example
    if prompt is not None:
        params["tokens"] = prompt
    return params


def _heard(state: str) -> None:
    """Tell why it takes so long."""
    if state.startswith("training"):
        note(f"the network is trained first: {state}")


def _asked(cell: Cell, what: str, params: Mapping[str, Any], served: Store | None, store: Store) -> Any:
    if served is not None:
        from workbench.client import ask

        return ask(cell, what, store=served, heard=_heard, **params)
    from workbench import opening

    return opening.inspection(cell, store).ask(what, params)
