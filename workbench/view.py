"""What an address shows, without a screen: one record that is printed as text or JSON, drawn, or written as a table.

    view = build("rasp.reverse/compiled/opposite", store, {})
    view.record, view.text, view.panels

Every place of the screen has a view of the same address; ``workbench show`` and ``workbench export`` are made of it.
No array library is needed to build one from files, and none is imported here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any

from engines.errors import InvalidSetting
from workbench import screens
from workbench.store import Store

YES = {"true": True, "false": False}
Entry = str | int | float | bool | None


@dataclass(frozen=True)
class Table:
    """Rows of entries below named columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]


@dataclass(frozen=True)
class Heat:
    """Numbers by row and column, row after row; None where there is none. ``marks`` are cells by what is said of them.

    ``signed`` asks for colours that meet at zero. ``down``, ``across`` and ``unit`` name rows, columns and numbers.
    """

    title: str
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[float | None, ...]
    marks: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    signed: bool = False
    down: str = ""
    across: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Point:
    """A named number with its 95 % interval and how many observations it rests on; None where there is none."""

    name: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Points:
    """Numbers with intervals on one axis, which ``x`` names."""

    title: str
    points: tuple[Point, ...]
    x: str = ""


@dataclass(frozen=True)
class Series:
    """Numbers at places, None where undefined."""

    name: str
    x: tuple[float, ...]
    y: tuple[float | None, ...]


@dataclass(frozen=True)
class Lines:
    """Series on one pair of axes; ``steps`` are drawn as bars of a histogram without gaps."""

    title: str
    x: str
    series: tuple[Series, ...]
    y: str = ""
    steps: bool = False


Panel = Table | Heat | Points | Lines


@dataclass(frozen=True)
class View:
    """``record`` is JSON-ready, ``text`` is plain lines without colour or boxes, ``panels`` are what can be drawn.

    ``notes`` are sentences about the view that belong to no data, such as what could not be read.
    """

    record: Any
    text: str
    panels: tuple[Panel, ...] = ()
    notes: tuple[str, ...] = ()


def build(address: str, store: Store, options: Mapping[str, str]) -> View:
    """The view of an address.

    A view is a function ``view(address, store, *, ...)`` whose keyword-only parameters (``int``, ``str`` or ``bool``,
    with defaults) are what ``options`` may say. Raises ``InvalidSetting`` for an address or an option that is none.
    """
    function = screens.view(address)
    known = {one.name: one for one in signature(function).parameters.values() if one.kind is Parameter.KEYWORD_ONLY}
    takes = ", ".join(f"{one.name}={one.default}" for one in known.values()) or "none"
    given: dict[str, Any] = {}
    for name, text in options.items():
        if name not in known:
            raise InvalidSetting(f"{address} has no option {name!r}; it takes: {takes}")
        given[name] = _read(name, text, type(known[name].default))
    return function(address, store, **given)


def _read(name: str, text: str, kind: type) -> Any:
    if kind is bool and text in YES:
        return YES[text]
    if kind is int and text.removeprefix("-").isdecimal():
        return int(text)
    if kind is str:
        return text
    raise InvalidSetting(f"{name} is {text!r}; write {'true or false' if kind is bool else 'a whole number'}")
