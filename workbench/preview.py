"""What a run of a language model would take, told before it starts: layers, memory and time, and what these rest on.

Nothing is loaded. Layers are those that finished runs of the method took; time is these layers at the pace that was
measured on this machine (``workbench.pace``). What nobody knows yet is said to be unknown, with what would tell.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from engines import zoo
from engines.errors import InvalidSetting, WorkbenchError
from engines.zoo_folder import Sizes
from workbench import catalog, pace
from workbench.outcome import Price, length, price
from workbench.spec import Spec
from workbench.store import Store, Summary
from workbench.terms import DTYPE, check, device

ASSUMES = "that time grows with layers; loading, the filter of rows and scoring on test pairs come on top"


@dataclass(frozen=True)
class Preview:
    """What a run would take, each in words; ``price`` is what finished runs took, ``seconds`` an estimate."""

    layers: str
    memory: str
    time: str
    price: Price | None
    seconds: tuple[float, float, float] | None

    @property
    def lines(self) -> tuple[str, ...]:
        """The preview, a line each."""
        head = (f"layers  {self.layers}", f"memory  {self.memory}", f"time    {self.time}")
        return head if self.seconds is None else (*head, f"assumes {ASSUMES}")

    @property
    def record(self) -> dict[str, Any]:
        """The preview as JSON-ready data; ``seconds`` are the middle and both ends."""
        layers = None if self.price is None else self.price.layers
        told = {"layers": self.layers, "memory": self.memory, "time": self.time}
        return {"layer_evaluations": layers, "seconds": self.seconds and list(self.seconds), **told}


@dataclass(frozen=True)
class Sweep:
    """A full swap at every candidate site, for every fit pair: what a method that knows nothing yet may begin with."""

    sites: int
    pairs: int
    layers: int

    def __str__(self) -> str:
        return (
            f"full swaps at all {self.sites} sites on all {self.pairs} fit pairs are {self.layers:,} layer evaluations "
            "at most, before any training"
        )


Counting = Callable[[Spec, Sizes], Sweep | None]


def preview(spec: Spec, runs: Iterable[Summary], store: Store, sweep: Counting | None = None) -> Preview:
    """What ``spec`` would take, and where no run is finished what ``sweep`` tells of full swaps at all sites.

    Raises ``InvalidSetting`` for a cell that is none of a language model, and for terms on which it would not run.
    """
    if not catalog.prompted(spec.cell.task):
        raise InvalidSetting(
            f"{spec.cell.task} is no task of a language model, and costs little; run it without --preview"
        )
    check(spec.cell.task, spec.terms)
    cost = price(spec, runs, store)
    if cost is not None:
        many = f"{cost.n} finished run{'s' * (cost.n > 1)}"
        took = f"median of {many} {cost.where}, which took {length(cost.seconds)}"
        layers = f"about {cost.layers:,.0f} layer evaluations ({took})"
    else:
        layers = f"not known: no run of {spec.method} on this task and model is finished yet"
    try:
        found = zoo.look(spec.cell.model, device=device(), dtype=spec.terms.dtype)
    except (WorkbenchError, OSError) as error:
        return Preview(layers, f"not known: {error}", "not known: the model cannot be looked at", cost, None)
    bound = sweep(spec, found.sizes) if cost is None and sweep is not None else None
    if bound is not None:
        layers = f"{layers}; {bound}"
    there = "unknown" if found.room is None else f"{found.room / 1e9:.2f} GB"
    memory = f"{found.need / 1e9:.2f} GB needed on {found.device} in {found.dtype}, {there} there"
    return Preview(layers, memory, *_time(spec, (found.device, found.dtype), (cost, bound), store))


def _time(
    spec: Spec, on: tuple[str, str], known_layers: tuple[Price | None, Sweep | None], store: Store
) -> tuple[str, Price | None, tuple[float, float, float] | None]:
    cost, bound = known_layers
    try:
        known = pace.read(spec.cell.model, *on, store)
    except (WorkbenchError, OSError) as error:
        return f"not known: {error}", cost, None
    if known is None:
        return f"not known: nothing is measured on this machine yet: {command(spec)}", cost, None
    if cost is None:
        swaps = "" if bound is None else f"; these full swaps take {known.about(bound.layers)}"
        return f"not known without layers; for prompts of {known.tokens} tokens it is {known}{swaps}", None, None
    seconds = known.seconds * cost.layers, known.low * cost.layers, known.high * cost.layers
    return known.times(cost.layers), cost, seconds


def time_of(spec: Spec, cost: Price | None, store: Store) -> str:
    """How long a run may take, in words, without a look at the model's files: for one that the table has."""
    dtype = spec.terms.dtype or zoo.own_dtype(spec.cell.model)
    if not dtype:
        return f"not told here: workbench run {spec} --preview"
    try:
        known = pace.read(spec.cell.model, device(), dtype, store)
    except (WorkbenchError, OSError) as error:
        return f"not known: {error}"
    if known is None:
        return f"not measured on this machine: {command(spec)}"
    return "not known: no such run yet" if cost is None else f"{known.about(cost.layers)}, as of {known.when}"


def command(spec: Spec) -> str:
    """The command that measures what is not known."""
    usual = spec.terms.dtype == os.environ.get(DTYPE, "")
    return f"workbench measure {spec.cell.model}" + ("" if usual else f" --dtype {spec.terms.dtype or 'float32'}")
