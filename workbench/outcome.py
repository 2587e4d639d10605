"""What a finished run found and what it cost, as runs are compared; and what a run like them may cost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any

from engines.errors import CorruptRun, StoreError
from workbench.spec import Spec
from workbench.store import Run, Store, Summary

UNKNOWN = "not known: no such run yet"
ROUNDING = 1e-9
ANSWERED = ("no_op", "full_swap")
"""Controls with one answer a pair: random sites are pooled over sites, and chance over other pairs' labels."""


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval over ``n`` pairs."""

    value: float
    low: float
    high: float
    n: int

    @staticmethod
    def of(record: Mapping[str, Any] | None) -> "Share | None":
        """A share as a result or a headline holds it; None if it holds none. Raises ``KeyError`` or ``TypeError``."""
        if record is None:
            return None
        return Share(float(record["value"]), float(record["low"]), float(record["high"]), int(record["n"]))

    @property
    def interval(self) -> str:
        """The ends of the interval."""
        return f"{self.low:.2f} - {self.high:.2f}"

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] n={self.n}"


@dataclass(frozen=True)
class Answers:
    """Which informative test pairs were answered right, by patch ("handle", "no_op", "full_swap"), in pair order.

    ``base`` numbers each pair's base, equal ones alike.
    """

    base: tuple[int, ...]
    right: Mapping[str, tuple[bool, ...]]

    @staticmethod
    def of(record: Mapping[str, Any], shares: Mapping[str, Share | None]) -> "Answers":
        """The answers as a result holds them; raises ``ValueError`` if they are not those behind the ``shares``."""
        base = tuple(int(number) for number in record["base"])
        right = {name: tuple(one == "1" for one in record[name]) for name in shares}
        for name, share in shares.items():
            if share is None or len(base) != share.n or set(record[name]) - {"0", "1"} or len(record[name]) != share.n:
                raise ValueError(f"answers of {name} that are not those of its {share and share.n} pairs")
            if abs(sum(right[name]) / share.n - share.value) > ROUNDING:
                raise ValueError(f"answers of {name} that are not its share of {share.value}")
        return Answers(base, right)


@dataclass(frozen=True)
class Outcome:
    """A result's numbers; ``pairs`` is the hash of its test pairs, so that equal ones were asked the same.

    ``answers`` is None in results of versions that kept none.
    """

    iia: Share | None
    controls: Mapping[str, Share | None]
    is_believed: bool
    site: str
    sites: int
    seconds: float
    layers: int
    passes: int
    pairs: str
    answers: Answers | None

    @staticmethod
    def of(run: Run) -> "Outcome":
        """The outcome of a finished run; raises ``StoreError``, or ``CorruptRun`` for a result that is none."""
        try:
            stamp = (run.folder / "result.json").stat().st_mtime_ns
        except FileNotFoundError:
            raise StoreError(f"run {run.id} has no result yet: it is {run.state}") from None
        return _read(run, stamp)


@lru_cache(maxsize=2048)
def _read(run: Run, stamp: int) -> Outcome:  # noqa: ARG001 - another stamp, another result
    result = run.result()
    try:
        fit, cost = result["fit"], result["fit"]["cost"]
        handles = fit["handles"]
        controls = {name: Share.of(one["iia"]) if one else None for name, one in fit["controls"].items()}
        iia, test = Share.of(fit["iia"]), result["data"]["test"]
        told, answered = fit.get("answers", {}).get("iia"), {name: controls.get(name) for name in ANSWERED}
        return Outcome(
            iia=iia,
            controls=controls,
            is_believed=fit["believed"] is True,
            site=str(handles[0]["site"]) if handles else "none",
            sites=len(handles),
            seconds=float(result["run"]["seconds"]),
            layers=int(cost["layer_evaluations"]),
            passes=int(cost["forward_passes"]),
            pairs=f"{test['pairs']} {test['labels']}",
            answers=None if told is None else Answers.of(told, {"handle": iia, **answered}),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptRun(
            f"{run.folder / 'result.json'} holds no result ({error!r}); move its folder away, then run its spec again"
        ) from None


@dataclass(frozen=True)
class Price:
    """Medians over ``n`` finished runs of one method, and where those runs were."""

    seconds: float
    layers: float
    n: int
    where: str

    def __str__(self) -> str:
        runs = f"{self.n} finished run{'s' * (self.n > 1)}"
        return f"about {length(self.seconds)} and {self.layers:,.0f} layer evaluations (median of {runs} {self.where})"


def price(spec: Spec, runs: Iterable[Summary], store: Store) -> Price | None:
    """What a run of ``spec`` may cost, from finished runs of its method, the nearest there are; None without any.

    Nearest are those of the same spec but for the seed, then of the same cell on the same terms, of the same cell, and
    of the same task on the same model.
    """
    found = [run for run in runs if run.state == "done" and run.spec.method == spec.method]
    same = [run for run in found if run.spec.cell == spec.cell]
    agreed = [run for run in same if run.spec.terms == spec.terms]
    alike = [run for run in agreed if run.spec.settings == spec.settings]
    near = [run for run in found if (run.spec.cell.task, run.spec.cell.model) == (spec.cell.task, spec.cell.model)]
    wheres = (
        "with these settings on this cell",
        "on this cell with other settings",
        "on this cell with other rows, or numbers of another type",
        "on this task and model",
    )
    for group, where in zip((alike, agreed, same, near), wheres, strict=True):
        outcomes = []
        for run in group:
            try:
                outcomes.append(Outcome.of(Run(store.root / run.id)))
            except (StoreError, OSError):  # it is listed as damaged, and costs nothing to leave out
                continue
        if outcomes:
            seconds, layers = (median(getattr(one, name) for one in outcomes) for name in ("seconds", "layers"))
            return Price(seconds, layers, len(outcomes), where)
    return None


def best(done: Iterable[Summary]) -> tuple[Share | None, bool]:
    """The best score of finished runs and whether it is believed; any that is goes before all that are not."""
    found = []
    for run in done:
        try:
            score = Share.of(run.headline.get("iia"))
        except (KeyError, TypeError, ValueError):  # a status that somebody wrote to: no score
            score = None
        if score is not None:
            found.append((run.headline.get("believed") is True, score.value, score))
    if not found:
        return None, False
    is_believed, _, score = max(found, key=lambda one: one[:2])
    return score, is_believed


def length(seconds: float) -> str:
    """A length of time in words: ``0.6 s``, ``41 s``, ``12 min``, ``3.1 h``, ``2 d``."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} d"
