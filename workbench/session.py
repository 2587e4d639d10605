"""The session: models in memory and "run this spec", the one place where engines, the store and the clock meet."""

import dataclasses
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from engines import registry, shelf, spare
from engines.errors import InvalidSetting
from engines.events import Event, Notice, Piece, Stage, Steps, T
from engines.score import Fit
from engines.score import to_record as fit_record
from engines.task import Problem
from workbench import catalog, provenance
from workbench.pulse import Pulse
from workbench.scratch import Scratch
from workbench.spec import Cell, Spec
from workbench.store import FORMAT, Run, Store
from workbench.tensors import Finished, Memory, find_pieces, save_findings, save_piece

MEMORY = 512 * 2**20
"""Bytes of finished pieces that a session keeps for its next runs."""


def build_problem(cell: Cell, seed: int) -> Problem:
    """The problem of a compiled program. The bridge is imported here: a stored result must be shown without it."""
    from tracr_bridge.task import network, problem

    program, regime = catalog.asked(cell.task)
    return problem(network(program, cell.model), cell.variable, seed, regime=regime)


def configure(spec: Spec) -> Any:
    """The method of a spec with its settings.

    Raises ``InvalidSetting`` when the spec was stored with other settings than the method has now, or the method
    refuses a value.
    """
    now = Spec.parse(str(spec.cell), spec.method, settings=spec.settings, seed=spec.seed, terms=spec.terms)
    if now != spec:
        gained = ", ".join(sorted(set(now.settings) - set(spec.settings)))
        raise InvalidSetting(
            f"run {spec.id} was asked for before {spec.method} had the settings {gained}; ask anew: workbench run {now}"
        )
    method = registry.load(catalog.METHODS, spec.method, "METHOD", "method")
    return _set(method(), spec.settings)


def _set(default: Any, settings: Mapping[str, Any]) -> Any:
    values = {
        name: _set(getattr(default, name), value) if isinstance(value, Mapping) else value
        for name, value in settings.items()
    }
    return dataclasses.replace(default, **values)


def _nothing(fit: Fit) -> Steps[Mapping[str, Any]]:  # noqa: ARG001 - every count takes a fit
    """What is counted besides the fit of most problems."""
    yield from ()
    return {}


@dataclass(frozen=True)
class Built:
    """A problem, and what is to be counted and told with its fit: further entries of the result."""

    problem: Problem
    count: Callable[[Fit], Steps[Mapping[str, Any]]] = _nothing


class Session:
    """Runs specs into a store, one after another; finished pieces stay in memory for the runs that follow.

    ``threads`` is for torch, whose sums depend on it: one thread gives the same result on every machine.
    """

    def __init__(self, store: Store, *, memory: int = MEMORY, threads: int = 1) -> None:
        self.store = store
        self._memory = Memory(memory)
        torch.set_num_threads(threads)

    def run(self, spec: Spec, *, again: bool = False) -> Generator[Event, None, Run]:
        """Run ``spec``; yields every event after it is stored, returns the run: done, or stopped on request.

        A finished run is returned at once; ``again`` moves it aside and computes it afresh. A run that was killed or
        stopped goes on from its finished pieces. ``close()`` stops it. Whatever a method raises is noted in the run
        and raised again; ``StoreError`` when another process works on the same run.
        """
        method = configure(spec)
        run = self.store.open(spec)
        if run.done and again:
            with run.claim():
                self.store.set_aside(run)
            self._memory.clear()
            run = self.store.open(spec)
        if run.done:
            return run
        with run.claim():
            if not run.done:  # another process may have finished it meanwhile
                yield from self._attempt(run, spec, method)
        return run

    def _attempt(self, run: Run, spec: Spec, method: Any) -> Generator[Event, None, None]:
        source = provenance.source()
        spare.forget()
        with Pulse(run) as pulse, shelf.on(Scratch(self.store.root.parent / "cache" / "activations")):
            yield pulse.say(Stage("building the problem", None, ""))
            built = yield from self._drive(run, self._build(spec), pulse)
            if built is None:
                pulse.stopped()
                return
            problem = built.problem
            files, left_out = find_pieces(run, source)
            if left_out:
                yield pulse.say(
                    Notice(f"{left_out} pieces of an earlier attempt are not used: damaged, or of other code")
                )
            fit = yield from self._drive(run, method.fit(problem, finished=Finished(files, self._memory)), pulse)
            if fit is None:
                pulse.stopped()
                return
            counted = yield from self._drive(run, built.count(fit), pulse)
            if counted is None:
                pulse.stopped()
                return
            result = {
                "format": FORMAT,
                "id": run.id,
                "spec": spec.record,
                "fit": fit_record(fit),
                "tensors": save_findings(run, fit),
                "data": _hashes(problem),
                **counted,
                "versions": provenance.versions(),
                "source": source,
            }
            pulse.done(result, headline(result["fit"]), method_seconds=fit.cost.seconds)

    def _build(self, spec: Spec) -> Steps["Built"]:
        """The problem of a spec; a network that is not at hand is trained, a language model is loaded."""
        if catalog.compiled(spec.cell.task):
            return Built(build_problem(spec.cell, spec.seed))
        if catalog.prompted(spec.cell.task):
            from workbench.prompts import prepare

            found = yield from prepare(spec.cell, spec.seed, self.store, spec.terms)
            return Built(found.problem, lambda fit: found.count(fit.handles))
        from workbench.trained import networks, prepared

        return Built((yield from prepared(spec.cell, spec.seed, networks(self.store))))

    def _drive(self, run: Run, steps: Steps[T], pulse: Pulse) -> Generator[Event, None, T | None]:
        """Pass on what ``steps`` says until it returns its result, or None when somebody asked for a stop."""
        try:
            while not run.stop_requested:
                try:
                    event = next(steps)
                except StopIteration as end:
                    yield from map(pulse.say, map(Notice, spare.told()))
                    return end.value
                if isinstance(event, Piece):
                    save_piece(run, event, provenance.source())
                    self._memory.keep(event.key, event.tensors)
                yield pulse.say(event)
                yield from map(pulse.say, map(Notice, spare.told()))
            return None
        finally:
            steps.close()


def headline(record: Mapping[str, Any]) -> dict[str, Any]:
    """The few numbers of a fit's record that lists show."""
    handles = record["handles"]
    site = handles[0]["site"] if handles else None
    return {"iia": record["iia"], "invariance": record["invariance"], "believed": record["believed"], "site": site}


def _hashes(problem: Problem) -> dict[str, Any]:
    """Hashes of the pairs that were drawn, by part: equal hashes, equal exam questions."""
    return {
        part: {"n": pairs.n, "pairs": pairs.digest, "labels": pairs.labels_digest}
        for part in ("fit", "calibration", "test")
        for pairs in (getattr(problem, part),)
    }
