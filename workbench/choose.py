"""What a command's options choose: programs, methods, rungs, a regime and files, each from everything there is."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from engines.errors import InvalidSetting, UnknownName
from tracr_bridge.regimes import REGIMES, VARIABLE
from workbench import catalog

DRAWN = re.compile(r"random:([1-9]\d*)")
"""So many random programs."""
SELECTION = "selection"
"""The methods that train nothing and find sites by themselves."""
SCRUB = "scrub"
"""Causal scrubbing: it tests hypotheses instead of finding sites, so that it is no method of a run."""
FIGURES = (".png", ".svg", ".pdf")
"""What a figure may be saved as."""


def named(given: str, known: Sequence[str], kind: str) -> tuple[str, ...]:
    """Names with commas between, or ``all``; raises ``UnknownName``."""
    if given == "all":
        return tuple(known)
    names = _split(given)
    for name in names or (given,):
        if name not in known:
            raise UnknownName(kind, name, known)
    return names


def programs(given: str) -> tuple[tuple[str, ...], int]:
    """Programs by name, and how many random ones; raises ``UnknownName``.

    ``all`` are those that are files; ``random:500`` asks for 500 random ones; ``random_0_17`` names one.
    """
    names: list[str] = []
    count = 0
    for part in _split(given) or (given,):
        if match := DRAWN.fullmatch(part):
            count = max(count, int(match[1]))
        elif part == "all":
            names += catalog.program_names()
        elif part in catalog.program_names() or catalog.RANDOM.fullmatch(part):
            names.append(part)
        else:
            raise UnknownName("program", part, (*catalog.program_names(), "all", "random:500", "random_0_17"))
    return tuple(dict.fromkeys(names)), count


def methods(given: str) -> tuple[str, ...]:
    """Methods by name (and ``SCRUB``), ``all``, or ``selection``; raises ``UnknownName``."""
    if given != SELECTION:
        return named(given, (*catalog.method_names(), SCRUB), "method")
    cards = [catalog.method(name) for name in catalog.method_names()]
    return tuple(card.name for card in cards if not card.fits_subspaces and not card.must_be_told)


def finding(methods: Sequence[str]) -> tuple[str, ...]:
    """The methods that find sites, which alone are examined by rung; raises ``InvalidSetting`` when there are none."""
    found = tuple(name for name in methods if name != SCRUB)
    if not found:
        raise InvalidSetting(
            f"{SCRUB} finds no sites, so that it is not examined by rung; name another method, or leave out --rungs, "
            "--regime, --figure, --table and random programs"
        )
    return found


def rungs(given: str) -> tuple[str, ...]:
    """Rungs by name, or ``all``; raises ``UnknownName``."""
    return named(given, tuple(catalog.MODELS), "model")


def regime(given: str | None) -> str:
    """A regime by name, the default where none is given; raises ``UnknownName``."""
    if given is not None and given not in REGIMES:
        raise UnknownName("regime", given, REGIMES)
    return given or VARIABLE


def outputs(figures: Iterable[Path], table: Path | None) -> None:
    """Look at where results shall go, before hours are spent on them; raises ``InvalidSetting``."""
    for file in figures:
        if file.suffix not in FIGURES:
            raise InvalidSetting(f"a figure cannot be saved as {file.name!r}; end its name in {', '.join(FIGURES)}")
    for file in (*figures, *([table] if table else [])):
        if not file.absolute().parent.is_dir():
            raise InvalidSetting(f"there is no folder {file.parent} for {file.name}; make it first, or name another")


def _split(given: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))
