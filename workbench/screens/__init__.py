"""Places by address: one file each, imported when somebody goes there.

A new place is a subclass of ``workbench.place.Place`` in a file of its own, and a line in ``ROUTES``.
"""

import re
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from engines.errors import InvalidSetting

if TYPE_CHECKING:
    from workbench.place import Place

HOME = "cells"
"""Where a first start leads."""


@dataclass(frozen=True)
class Route:
    """Addresses of one kind, the class that shows them as ``module:Class``, and an example to type."""

    address: re.Pattern[str]
    place: str
    example: str


ROUTES: tuple[Route, ...] = (
    Route(re.compile("cells"), "workbench.screens.cells:Cells", "cells"),
    Route(re.compile("jobs"), "workbench.screens.jobs:Jobs", "jobs"),
    Route(
        re.compile(r"[^#]+/[^#]+/[^#:]+#[0-9a-f]+:sites"),
        "workbench.screens.sites:SitesPlace",
        "rasp.reverse/compiled/opposite#b6671f92cb99:sites",
    ),
    Route(
        re.compile(r"launch:[^#/]+/[^#/]+/[^#/:]+"),
        "workbench.screens.launch:Launch",
        "launch:rasp.reverse/compiled/opposite",
    ),
    Route(
        re.compile(r"launch:[^#/]+/[^#/]+/[^#/:]+:[^#/:]+"),
        "workbench.screens.launch:Settings",
        "launch:rasp.reverse/compiled/opposite:plot_das",
    ),
    Route(
        re.compile(r"(?!launch:)[^#/]+/[^#/]+/[^#/:]+"),
        "workbench.screens.cell:CellPlace",
        "rasp.reverse/compiled/opposite",
    ),
    Route(
        re.compile(r"[^#]+/[^#]+/[^#:]+:L\d+\.mlp(\.neuron\d+)?"),
        "workbench.screens.neurons:NeuronsPlace",
        "rasp.reverse/compiled/opposite:L1.mlp",
    ),
    Route(
        re.compile(r"[^#]+/[^#]+/[^#:]+:L\d+\.head\d+"),
        "workbench.screens.head:HeadPlace",
        "rasp.reverse/compiled/opposite:L2.head0",
    ),
    Route(
        re.compile(r"(?!launch:)[^#/]+/[^#/]+/[^#/:]+#[0-9a-f]+"),
        "workbench.screens.run:RunPlace",
        "rasp.reverse/compiled/opposite#b6671f92cb99",
    ),
    Route(re.compile("command"), "workbench.screens.command:Command", "command"),
    Route(re.compile("help"), "workbench.screens.help:Help", "help"),
)


def find(address: str) -> "type[Place]":
    """The class that shows an address; raises ``InvalidSetting`` when nothing does."""
    for route in ROUTES:
        if route.address.fullmatch(address):
            module, _, name = route.place.partition(":")
            return getattr(import_module(module), name)
    examples = ", ".join(route.example for route in ROUTES)
    raise InvalidSetting(f"no screen shows {address!r}; these are addresses: {examples}")
