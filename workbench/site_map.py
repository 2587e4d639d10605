"""What a finished run says of sites, by site: its ranking, what it measured, what it claims. No array library.

found = read(store.find("b6671f92cb99"))
found.tables[0].values["L1.mlp_out@target"]
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from engines.errors import InvalidSite
from engines.interval import Score, wilson
from engines.site import Site
from workbench.store import Run

ADDRESS = re.compile(r"(.+):([\w.]+(?:\[\d+:\d+\])?@\w+)")
EXAMPLE = "rasp.reverse/compiled/opposite:L1.resid_post@last"
HELD_OUT = "held-out "
"""How measures on test pairs begin: they are the result's scores, and stand beside their controls there."""

SHARES = {"iia": "pairs", "stability": "draws"}
"""How measures end that are shares, and of what."""


@dataclass(frozen=True)
class Table:
    """A number by site; ``n`` says on how many pairs (or draws) each was measured, where the run says so."""

    name: str
    values: Mapping[str, float]
    n: Mapping[str, int]

    @property
    def unit(self) -> str | None:
        """What ``n`` counts where the numbers are shares of it; None where they are no shares."""
        return next((unit for end, unit in SHARES.items() if self.name.endswith(end)), None)

    def score(self, site: str) -> Score | None:
        """A site's share with its Wilson interval over ``n``; None where it is no share, or was not counted.

        Over pairs it is narrower than one that counts a base once: which base a pair has is kept of test pairs only.
        Nor does it know that of several trials at a site the best counts.
        """
        if self.unit is None or site not in self.n:
            return None
        return wilson(self.values[site] * self.n[site], self.n[site])


@dataclass(frozen=True)
class Truth:
    """The sites that carry a variable: as whole vectors, and in some subspace; ``n`` informative pairs established it.

    ``regime`` is how pairs are drawn: truth is a function of it.
    """

    whole: frozenset[str]
    subspace: frozenset[str]
    n: int
    regime: str

    @staticmethod
    def of(record: Mapping[str, Any]) -> "Truth | None":
        """The truth that the model server tells; None where none is known."""
        if not record["known"]:
            return None
        return Truth(frozenset(record["whole"]), frozenset(record["subspace"]), record["n"], record["regime"])

    def carries(self, site: str, *, whole: bool) -> bool:
        """Whether a claim is right: a full swap at a site that carries as a whole, a rotation where a subspace does."""
        return site in (self.whole if whole or Site.parse(site).span else self.subspace)


@dataclass(frozen=True)
class SiteMap:
    """Everything that one run says of sites.

    ``claims`` has for each claimed site the handle's number and itself with its part there, the one at ``place``.
    ``torn`` is how many lines of the run's events could not be read: what was measured there is in no table.
    """

    tables: tuple[Table, ...]
    claims: Mapping[str, tuple[int, Mapping[str, Any]]]
    fit: Mapping[str, Any]
    torn: int = 0

    @property
    def sites(self) -> frozenset[str]:
        """Every site of which the run says anything."""
        return frozenset(self.claims).union(*(table.values for table in self.tables))

    @property
    def is_whole(self) -> bool:
        """Whether all claims are of whole vectors."""
        return all(_whole(part) for _, part in self.claims.values())

    def true(self, truth: Truth) -> frozenset[str]:
        """The sites at which such claims as the run's are right."""
        return truth.whole if self.is_whole else truth.subspace | truth.whole

    def right(self, truth: Truth) -> frozenset[str]:
        """The claimed sites that are true."""
        return frozenset(site for site, (_, part) in self.claims.items() if truth.carries(site, whole=_whole(part)))

    def missed(self, truth: Truth) -> frozenset[str]:
        """The true sites that no right claim names; a rotation names the whole vector in which it lies."""
        right, members = self.right(truth), truth.whole if self.is_whole else truth.subspace
        return members - {site if self.is_whole else str(Site.parse(site).whole) for site in right}

    def named(self, site: str, truth: Truth) -> tuple[str, ...]:
        """The right claims of some coordinates of a true vector that is not claimed itself: it is not missed."""
        if self.is_whole or site in self.claims or site not in truth.subspace:
            return ()
        return tuple(sorted(each for each in self.right(truth) if str(Site.parse(each).whole) == site))

    def marks(self, truth: Truth) -> frozenset[str]:
        """The true sites that a map marks: with those that are claimed it shows as many as ``errors`` counts."""
        return self.right(truth) | self.missed(truth)

    def errors(self, truth: Truth) -> tuple[int, int, int]:
        """How many claims are hits, how many true sites are not claimed, how many claims are false."""
        right = len(self.right(truth))
        return right, len(self.missed(truth)), len(self.claims) - right


@dataclass(frozen=True)
class Layout:
    """Sites by row and column: rows are ports and spans in forward order, columns positions, by head where there is."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    places: Mapping[str, tuple[int, int]]

    @staticmethod
    def of(sites: Collection[str]) -> "Layout":
        """The layout of some sites."""
        parsed = sorted(map(Site.parse, sites), key=Site.order)
        rows = list(dict.fromkeys(map(_row, parsed)))
        columns = [name for _, name in sorted({(-1 if s.head is None else s.head, _column(s)) for s in parsed})]
        places = {str(site): (rows.index(_row(site)), columns.index(_column(site))) for site in parsed}
        return Layout(tuple(rows), tuple(columns), places)

    def site(self, row: int, column: int) -> str | None:
        """The site of a cell, None where there is none."""
        return next((site for site, place in self.places.items() if place == (row, column)), None)

    def values(self, table: Table) -> tuple[list[float | None], bytes]:
        """A table's numbers row by row, and the mask of cells that are no sites."""
        values: list[float | None] = [None] * (len(self.rows) * len(self.columns))
        mask = bytearray([2] * len(values))
        for site, (row, column) in self.places.items():
            place = row * len(self.columns) + column
            values[place] = table.values.get(site)
            mask[place] = site not in table.values
        return values, bytes(mask)


def read(run: Run) -> SiteMap:
    """The site map of a finished run; raises ``StoreError`` when it has no result, ``CorruptRun``."""
    fit = run.result()["fit"]
    ranking = Table("ranking", {site: value for site, value in fit["ranking"] if _is_site(site)}, {})
    claims: dict[str, tuple[int, Mapping[str, Any]]] = {}
    for number, handle in enumerate(fit["handles"], 1):
        for place, part in enumerate(handle["parts"]):
            claims.setdefault(part["site"], (number, {**handle, **part, "place": place}))
    told = run.events()
    tables = (ranking, *_measured(told.records))
    return SiteMap(tuple(table for table in tables if table.values), claims, fit, told.torn)


def _measured(records: Iterable[Mapping[str, Any]]) -> list[Table]:
    """What was measured along the way, a table for each measure; of several trials at a site the best counts."""
    found: dict[str, tuple[dict[str, float], dict[str, int]]] = {}
    for event in records:
        match event:
            case {"event": "Measured", "site": str(site), "metric": str(name), "value": int() | float() as value}:
                if _is_site(site) and not name.startswith(HELD_OUT):
                    values, n = found.setdefault(name, ({}, {}))
                    if value >= values.get(site, value):
                        values[site], n[site] = float(value), event["n"]
    return [Table(name, *both) for name, both in found.items()]


def split(address: str) -> tuple[str, str]:
    """The cell, perhaps with a run, and the site of an address; a span has a colon, too. Raises ``InvalidSite``."""
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise InvalidSite(f"{address!r} is no address of a site; write CELL:SITE, such as {EXAMPLE}")
    return found[1], found[2]


def _whole(part: Mapping[str, Any]) -> bool:
    return part["featurizer"] == "Whole"


def _is_site(text: str) -> bool:
    try:
        return bool(Site.parse(text))
    except InvalidSite:
        return False


def _row(site: Site) -> str:
    """The part's name without its position, ``resid_post`` as ``res`` so that layer and span have room."""
    return str(site if site.head is None else site.port).partition("@")[0].replace("resid_post", "res")


def _column(site: Site) -> str:
    return site.position if site.head is None else f"h{site.head} {site.position}"
