"""Places by address: one file each, imported when somebody goes there.

A new place is a subclass of ``workbench.place.Place`` in a file of its own, a view of the same address without a screen
(``workbench.view``), and a line in ``ROUTES``.
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from engines.errors import InvalidSetting
from workbench import catalog

if TYPE_CHECKING:
    from workbench.place import Place

HOME = "cells"
"""Where a first start leads."""


@dataclass(frozen=True)
class Route:
    """Addresses of one kind, the class that shows them and the function that views them without a screen, both as
    ``module:name``, and an example to type. What is only about the screen, such as its keys, has no view."""

    address: re.Pattern[str]
    place: str
    example: str
    view: str = ""


ROUTES: tuple[Route, ...] = (
    Route(re.compile("cells"), "workbench.screens.cells:Cells", "cells", "workbench.views.cells:view"),
    Route(re.compile("exam"), "workbench.screens.exam:ExamPlace", "exam", "workbench.views.exam:view"),
    Route(re.compile("jobs"), "workbench.screens.jobs:Jobs", "jobs", "workbench.views.jobs:view"),
    Route(
        re.compile(r"[^#]+/[^#]+/[^#:]+#[0-9a-f]+:sites"),
        "workbench.screens.sites:SitesPlace",
        "rasp.reverse/compiled/opposite#b6671f92cb99:sites",
        "workbench.views.sites:view",
    ),
    Route(
        re.compile(r"[^#]+/[^#]+/[^#:]+#[0-9a-f]+:compare"),
        "workbench.screens.compare:ComparePlace",
        "rasp.reverse/compiled/opposite#b6671f92cb99:compare",
        "workbench.views.compare:view",
    ),
    Route(
        re.compile(r"launch:[^#/]+/[^#/]+/[^#/:]+"),
        "workbench.screens.launch:Launch",
        "launch:rasp.reverse/compiled/opposite",
        "workbench.views.launch:methods",
    ),
    Route(
        re.compile(r"launch:[^#/]+/[^#/]+/[^#/:]+:[^#/:]+"),
        "workbench.screens.settings:Settings",
        "launch:rasp.reverse/compiled/opposite:plot_das",
        "workbench.views.launch:settings",
    ),
    Route(
        re.compile(r"(?!launch:)[^#/]+/[^#/]+/[^#/:]+"),
        "workbench.screens.cell:CellPlace",
        "rasp.reverse/compiled/opposite",
        "workbench.views.cell:view",
    ),
    Route(
        re.compile(r"[^#]+/[^#]+/[^#:]+:L\d+\.mlp(\.neuron\d+)?"),
        "workbench.screens.neurons:NeuronsPlace",
        "rasp.reverse/compiled/opposite:L1.mlp",
        "workbench.views.neurons:view",
    ),
    Route(
        re.compile(r"[^#]+/[^#]+/[^#:]+:L\d+\.head\d+"),
        "workbench.screens.head:HeadPlace",
        "rasp.reverse/compiled/opposite:L2.head0",
        "workbench.views.head:view",
    ),
    Route(
        re.compile(r"(?!launch:)[^#/]+/[^#/]+/[^#/:]+#[0-9a-f]+"),
        "workbench.screens.run:RunPlace",
        "rasp.reverse/compiled/opposite#b6671f92cb99",
        "workbench.views.run:view",
    ),
    Route(re.compile("scrubs"), "workbench.screens.scrubs:ScrubList", "scrubs", "workbench.views.scrubs:view"),
    Route(
        re.compile(r"scrub:[0-9a-f]+"),
        "workbench.screens.scrub:ScrubPlace",
        "scrub:5c4d71431d3f",
        "workbench.views.scrub:view",
    ),
    Route(
        re.compile("hypotheses"),
        "workbench.screens.hypothesis_list:HypothesisList",
        "hypotheses",
        "workbench.views.hypothesis_list:view",
    ),
    Route(
        re.compile(r"hypothesis:[A-Za-z0-9][A-Za-z0-9._-]*"),
        "workbench.screens.hypothesis:HypothesisPlace",
        "hypothesis:sort-v2",
        "workbench.views.hypothesis:view",
    ),
    Route(
        re.compile(r"(?!launch:)[^#/]+/[^#/]+/[^#/:]+(#[0-9a-f]+)?:[A-Za-z0-9_.]+(\[\d+:\d+\])?@\w+"),
        "workbench.screens.residual:ResidualPlace",
        "rasp.reverse/compiled/opposite:L1.resid_post@last",
        "workbench.views.residual:view",
    ),
    Route(re.compile("command"), "workbench.screens.command:Command", "command"),
    Route(re.compile("help"), "workbench.screens.help:Help", "help"),
)


def route(address: str) -> Route:
    """The route of an address; raises ``InvalidSetting`` when there is none."""
    for one in ROUTES:
        if one.address.fullmatch(address):
            return one
    cell, colon, part = address.rpartition(":")
    if colon and re.fullmatch(r"[^#/]+/[^#/]+/[^#/:]+(#[0-9a-f]+)?", cell):
        like = f"{cell.partition('#')[0]}:L0.head0, or L0.mlp or L0.resid_post@last behind the colon"
        raise InvalidSetting(f"{part!r} is no part of {cell}; write a head, a layer's neurons or a site: {like}")
    if re.fullmatch("#?[0-9a-f]{3,12}", address):
        run = address.removeprefix("#")
        raise InvalidSetting(
            f"{address!r} names a run at most, which is seen behind its cell: CELL#{run}, such as "
            f"rasp.reverse/compiled/opposite#{run}; 'workbench show {run}' tells the cell"
        )
    if found := near(address):
        raise InvalidSetting(f"no screen shows {address!r}; nearest: {', '.join(found)}")
    cell = " or a cell: rasp.reverse/compiled/opposite" if known("rasp.reverse/compiled/opposite") else ""
    raise InvalidSetting(f"no screen shows {address!r}; write {', '.join(places())}{cell}")


def places() -> tuple[str, ...]:
    """The addresses that are one word: the same whatever there is to look at."""
    return tuple(one.example for one in ROUTES if one.address.pattern == one.example and one.example != "command")


def near(address: str, most: int = 3) -> tuple[str, ...]:
    """The addresses that are spelled most like this; the name of a task stands for the first of its cells."""
    meant = {name: name for name in places()}
    for cell in catalog.cell_names():
        task = cell.partition("/")[0]
        meant |= {name: cell for name in (cell, task, task.partition(".")[2]) if name not in meant and known(cell)}
    found = difflib.get_close_matches(address, meant, n=most)
    return tuple(dict.fromkeys(meant[name] for name in found))


def known(address: str) -> bool:
    """Whether something shows this address."""
    return any(one.address.fullmatch(address) for one in ROUTES)


def find(address: str) -> "type[Place]":
    """The class that shows an address; raises ``InvalidSetting`` when nothing does."""
    return _load(route(address).place)


def view(address: str) -> Callable[..., Any]:
    """The function that views an address without a screen; raises ``InvalidSetting`` when there is none."""
    if found := route(address).view:
        return _load(found)
    raise InvalidSetting(f"{address!r} is about the screen alone; open it there: workbench tui {address}")


def _load(name: str) -> Any:
    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)
