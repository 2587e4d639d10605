"""A run's claims against the compiled truth, site by site and in counts; and the same of the runs beside it.

    judged = judge(site_map.read(run), truth)
    judged.verdicts["L1.mlp_out@target"], judged.precision, judged.recall

A claim of a whole vector is right where the whole vector carries the variable, a claim of a subspace where some
subspace does (``site_map.Truth.carries``). What counts as true depends on it: claims of whole vectors are counted
against all sites that carry as they are, claims of subspaces against the vectors of which some subspace carries, and
a claim within some coordinates of a vector names that vector. No array library.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engines.errors import StoreError
from engines.site import Site
from workbench import catalog, site_map
from workbench.outcome import Outcome
from workbench.site_map import SiteMap, Table, Truth
from workbench.store import Run, Store, Summary

Verdict = Literal["hit", "within", "miss", "false", "off", "mixed", "none"]
ERRORS: tuple[Verdict, ...] = ("miss", "false", "off")
ALL = 0.999
"""A mean cosine from which the smaller subspace counts as lying in the larger one."""
MEASURES = {"iia": "calibration IIA"}
"""What measures along the way are, in words; others are told by their name."""


@dataclass(frozen=True)
class Judged:
    """Claims against the truth.

    ``verdicts`` has each site's: hit (claimed, rightly), within (true, and named by a right claim of some of its
    coordinates), miss, false (claimed, wrongly), none. ``true`` is how many sites such claims can name, ``found`` how
    many of those right ones do name; ``claims`` is how many sites are claimed and ``hits`` how many of these rightly.
    """

    verdicts: Mapping[str, Verdict]
    true: int
    found: int
    claims: int
    hits: int

    @property
    def missed(self) -> int:
        """True sites that no right claim names."""
        return self.true - self.found

    @property
    def false(self) -> int:
        """Claimed sites that are not true."""
        return self.claims - self.hits

    @property
    def precision(self) -> float | None:
        """The share of claimed sites that are right; None without claims."""
        return self.hits / self.claims if self.claims else None

    @property
    def recall(self) -> float | None:
        """The share of true sites that are found; None where there is none."""
        return self.found / self.true if self.true else None

    @property
    def record(self) -> dict[str, Any]:
        """The counts as JSON-ready data."""
        counts = {"true": self.true, "found": self.found, "missed": self.missed}
        claims = {"claims": self.claims, "hits": self.hits, "false": self.false}
        return {**counts, **claims, "precision": self.precision, "recall": self.recall}


def judge(found: SiteMap, truth: Truth) -> Judged:
    """Hold what a run claims against the truth."""
    hits, missed, false = found.errors(truth)
    members = truth.whole if found.is_whole else truth.subspace
    right = {site for site in found.claims if truth.carries(site, whole=is_whole(found, site))}
    named = right if found.is_whole else {str(Site.parse(site).whole) for site in right}
    verdicts: dict[str, Verdict] = {}
    for site in found.sites | found.true(truth):
        if site in found.claims:
            verdicts[site] = "hit" if site in right else "false"
        elif site in members:
            verdicts[site] = "within" if site in named else "miss"
        else:
            verdicts[site] = "none"
    counted = Judged(verdicts, len(members), len(members & named), len(found.claims), hits)
    assert (counted.missed, counted.false) == (missed, false)
    return counted


def is_whole(found: SiteMap, site: str) -> bool:
    """Whether a claimed site is claimed as a whole vector."""
    return found.claims[site][1]["featurizer"] == "Whole"


def is_off(angles: Mapping[str, Any] | None) -> bool:
    """Whether a learned rotation lies no nearer to the true subspace than random ones do: within their 95 %.

    One that holds all of it is never off, whatever random ones of its rank hold; nor is one whose swap is right on
    every audit pair.
    """
    if not angles or angles["angles"] is None or angles["mean_cos"] > ALL or is_right(angles):
        return False
    return angles["mean_cos"] <= angles["random"]["high"]


def is_right(angles: Mapping[str, Any] | None) -> bool:
    """Whether the swap of a claim of a subspace, alone, is right on every valid audit pair."""
    found = angles and angles.get("audit")
    return bool(found and found["right"] == found["n"])


def verdict(judged: Judged, site: str, angles: Mapping[str, Mapping[str, Any]]) -> Verdict:
    """A site's verdict, ``angles`` by site taken into account.

    A hit whose rotation is off is an error, too. A claim that is right on every audit pair although no compiled block
    alone carries the variable there is mixed: not in the class, and no error.
    """
    kind, here = judged.verdicts.get(site, "none"), angles.get(site)
    if kind == "false" and is_right(here):
        return "mixed"
    return "off" if kind == "hit" and is_off(here) else kind


@dataclass(frozen=True)
class Told:
    """Who claims, of which variable, on how the truth about it stands: what a sentence about a site needs."""

    method: str
    variable: str
    found: SiteMap
    truth: Truth

    def why(self, site: str, angles: Mapping[str, Any] | None = None) -> str:
        """What truth and method say of a site, and why they differ where they do, in one sentence."""
        kind, method = judge(self.found, self.truth).verdicts.get(site, "none"), self.method
        match kind:
            case "hit":
                off = ", SUBSPACE OFF" if is_off(angles) else ""
                return f"truth {self._carries(site)}, {method} yes{off}: {self._claim(site, _overlap(angles))}"
            case "within":
                inside = [each for each in self.found.claims if str(Site.parse(each).whole) == site]
                return f"truth {self._carries(site)}, {method} yes: named by its claim of {', '.join(inside)}"
            case "false":
                measured = any(table.name in MEASURES and site in table.values for table in self.found.tables)
                claimed = self._claim(site, _audited(angles), calibrated=not measured)
                mixed = " by one block, yet by a mixture" if is_right(angles) else ""
                return f"truth {self._carries(site)}{mixed}, {method} claims it: {claimed}, {self._facts(site)}"
            case "miss":
                return f"truth {self._carries(site)}, {method} no: {self._facts(site)}, not claimed{self._least(site)}"
        return f"truth {self._carries(site)}, {method} no: {self._facts(site)}"

    def _carries(self, site: str) -> str:
        truth = self.truth
        if not truth.whole | truth.subspace:
            twin = self.variable.endswith(catalog.WRONG)
            return "no (nothing carries a wrong twin)" if twin else f"unknown (n {truth.n} informative pairs)"
        if site in truth.whole:
            part = Site.parse(site).span and not self.found.is_whole and site not in self.found.claims
            return "yes (its vector is what counts)" if part else "yes"
        if site in truth.subspace:
            whole = site in self.found.claims and is_whole(self.found, site)
            return "only in a subspace, not as a whole" if whole or self.found.is_whole else "yes, in a subspace"
        return "no"

    def _claim(self, site: str, more: str = "", *, calibrated: bool = True) -> str:
        number, part = self.found.claims[site]
        known = part["calibration_iia"]
        score = f", calibration IIA {brief(known)}" if calibrated and known is not None else ""
        return f"claim {number} {part['featurizer']} rank {part['rank']}{more}{score}"

    def _facts(self, site: str) -> str:
        """The run's numbers about a site that is not claimed."""
        facts = [entry(table, site) for table in self.found.tables if site in table.values]
        return ", ".join(facts) or "it never looked here"

    def _least(self, site: str) -> str:
        """What the claims of the run had in the last of its tables that holds this site."""
        for table in reversed(self.found.tables):
            claimed = [table.values[each] for each in self.found.claims if each in table.values]
            if site in table.values and claimed:
                low, high = brief(min(claimed)), brief(max(claimed))
                return f" (claims have {low}{'' if low == high else f' to {high}'})"
        return ""


def brief(value: float) -> str:
    """A share in four cells at most: ``.964``, ``1.00``; and what is small, as ``3e-05``."""
    if 0 < abs(value) < 0.0005:
        return f"{value:.0e}"
    return f"{value:.2f}" if abs(value) >= 0.9995 else f"{value:.3f}".replace("0.", ".", 1) if value else "0"


def entry(table: Table, site: str) -> str:
    """A table's number for a site of it, with its n and its rank among all."""
    value = table.values[site]
    rank = 1 + sum(other > value for other in table.values.values())
    n = f" n {table.n[site]}" if site in table.n else ""
    return f"{MEASURES.get(table.name, table.name)} {brief(value)}{n} #{rank}/{len(table.values)}"


def _audited(angles: Mapping[str, Any] | None) -> str:
    """What the swap of a claim alone does on pairs that no method has seen: a mixture of blocks may be right."""
    found = angles and angles.get("audit")
    return f", right on {found['right']} of {found['n']} audit pairs" if found else ""


def _overlap(angles: Mapping[str, Any] | None) -> str:
    if not angles or angles["angles"] is None:
        return _audited(angles)
    return f", {overlap(angles)}, random {control(angles)}{_audited(angles)}"


def overlap(angles: Mapping[str, Any]) -> str:
    """The mean cosine of the principal angles, and how many there are of the true subspace's directions."""
    return f"mean cos {brief(angles['mean_cos'])} (k {len(angles['angles'])} of {angles['true_rank']})"


def control(angles: Mapping[str, Any]) -> str:
    """The mean cosine of random subspaces of the same ranks, where 95 % of them lie, and how many were drawn."""
    random = angles["random"]
    return f"{brief(random['value'])} [{brief(random['low'])} {brief(random['high'])}] n {random['n']}"


# The runs of a cell beside each other


@dataclass(frozen=True)
class Rival:
    """A finished run of the cell, with what it claims and its score; ``trouble`` says why it cannot be read."""

    run: str
    method: str
    seed: int
    found: SiteMap | None = None
    outcome: Outcome | None = None
    trouble: str = ""

    @property
    def has_rotation(self) -> bool:
        """Whether some claim is of a subspace that has directions to compare."""
        return self.found is not None and any(not is_whole(self.found, site) for site in self.found.claims)


def rivals(store: Store, runs: Iterable[Summary], cell: str, always: Iterable[str] = ()) -> tuple[Rival, ...]:
    """The newest finished run of each method on a cell, newest first, and the runs ``always`` besides."""
    kept, wanted, methods = [], set(always), set()
    for run in runs:
        if run.state != "done" or str(run.spec.cell) != cell:
            continue
        if run.spec.method not in methods or run.id in wanted:
            kept.append(run)
        methods.add(run.spec.method)
    return tuple(_rival(store, run) for run in kept)


def _rival(store: Store, run: Summary) -> Rival:
    folder = Run(store.root / run.id)
    try:
        found, outcome = site_map.read(folder), Outcome.of(folder)
    except (StoreError, OSError) as error:
        return Rival(run.id, run.spec.method, run.spec.seed, trouble=str(error))
    return Rival(run.id, run.spec.method, run.spec.seed, found, outcome)


COLUMNS = (
    *("run", "method", "seed", "true", "found", "missed", "claims", "hits", "false", "precision", "recall"),
    *("mean_cos", "k", "true_rank", "IIA", "low", "high", "n", "believed", "verdict"),
)


def row(rival: Rival, truth: Truth | None, angles: Iterable[Mapping[str, Any]] | None) -> dict[str, Any]:
    """One run as a row of the table: None for what is not known; ``angles`` are those of its claims, best first."""
    found: dict[str, Any] = dict.fromkeys(COLUMNS)
    found |= {"run": rival.run, "method": rival.method, "seed": rival.seed, "verdict": rival.trouble or "truth unknown"}
    if rival.found is None or rival.outcome is None:
        return found
    iia = rival.outcome.iia
    if iia is not None:
        found |= {"IIA": iia.value, "low": iia.low, "high": iia.high, "n": iia.n}
    found["believed"] = rival.outcome.is_believed
    by_site = {} if angles is None else {each["site"]: each for each in angles}
    best = next((each for each in by_site.values() if each["angles"] is not None), None)
    if best is not None:
        found |= {"mean_cos": best["mean_cos"], "k": len(best["angles"]), "true_rank": best["true_rank"]}
    if truth is not None:
        judged = judge(rival.found, truth)
        kinds = [verdict(judged, site, by_site) for site in judged.verdicts]
        found |= {**judged.record, "verdict": summary(judged, kinds.count("off"), kinds.count("mixed"))}
    return found


def summary(judged: Judged, off: int = 0, mixed: int = 0) -> str:
    """Counts as a verdict: exact, or what is wrong; of the false claims some may be right on every audit pair."""
    parts = ((judged.missed, "miss"), (judged.false - mixed, "false"), (off, "off"), (mixed, "mix"))
    return " ".join(f"{count} {word}" for count, word in parts if count) or "exact"
