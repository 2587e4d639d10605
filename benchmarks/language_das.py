"""PLOT-DAS against DAS at every site of a language model, by the workbench's own runs, kept in a folder.

    python benchmarks/language_das.py                                        the table of what is in the folder
    python benchmarks/language_das.py full_swap plot plot_das full_das       run these first; what is finished is taken

``full_das`` takes about five minutes of one core, so that nothing is run unless it is named. A run that was
broken off goes on where it stopped. The model is looked for as the workbench does (CAUSAL_WORKBENCH_MODELS), and the
runs are those that ``workbench run`` makes: ``--store`` takes them from any folder of runs.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.timing import BUILD, header, publish

from engines.errors import WorkbenchError
from engines.events import Advance, Notice, Stage
from workbench import provenance
from workbench.session import Session
from workbench.spec import Spec
from workbench.store import Run, Store

CLAIM = "A language model: transport selects sites and DAS trains there only, or DAS trains everywhere."
CELL = "lm.sva/smollm2/number"
METHODS = ("full_swap", "plot", "plot_das", "full_das")
SETTINGS: dict[str, dict[str, Any]] = {"plot_das": {"sizes": [8], "steps": 24}, "full_das": {"sizes": [8]}}
"""One rank and as many steps of a first pass for both; ``full_das`` then trains its four best sites again, longer."""
COLUMNS = (
    "method",
    "IIA",
    "n",
    "invariance",
    "best site",
    "rank",
    "full swap there",
    "random site",
    "no-op",
    "layer evaluations",
)
SECONDS = ("layers / plot_das", "seconds", "seconds / plot_das")


def specs(cell: str, seed: int, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Spec]:
    """What is asked of each method."""
    return {name: Spec.parse(cell, name, settings=settings.get(name, {}), seed=seed) for name in METHODS}


def compute(session: Session, spec: Spec) -> None:
    """Run a spec to its end, or take what is stored; tell stages and how far they are."""
    began, told = time.perf_counter(), 0.0
    print(f"{spec.method}: {spec}", flush=True)
    for event in session.run(spec):
        now = time.perf_counter() - began
        if isinstance(event, Stage):
            print(f"  {now:6.0f} s  {event.name}{f', {event.total} {event.unit}' if event.total else ''}", flush=True)
        elif isinstance(event, Notice):
            print(f"  {now:6.0f} s  {event.text}", flush=True)
        elif isinstance(event, Advance) and now - told > 30:
            told = now
            print(f"  {now:6.0f} s  {event.done} done", flush=True)


def share(score: Mapping[str, Any] | None, interval: bool = False) -> str:
    """A share, with its 95 % interval where it is asked for; none where no pair tells it."""
    if score is None:
        return "no such pair"
    shown = f"{score['value']:.3f}"
    return f"{shown} [{score['low']:.3f}, {score['high']:.3f}]" if interval else shown


def row(run: Run, least: Mapping[str, float]) -> list[object]:
    """A finished run's numbers; ``least`` are the layers and seconds of ``plot_das``, empty where it is not run."""
    result = run.result()
    fit, seconds = result["fit"], float(result["run"]["method_seconds"])
    best, controls, layers = fit["handles"][0], fit["controls"], int(fit["cost"]["layer_evaluations"])
    ratios = [f"{one / least[key]:.2f}x" if least else "" for key, one in (("layers", layers), ("seconds", seconds))]
    return [
        run.spec.method,
        share(fit["iia"], interval=True),
        fit["iia"]["n"],
        share(fit["invariance"]),
        best["site"],
        best["rank"],
        *(share(controls[name]["iia"]) for name in ("full_swap", "random_site", "no_op")),
        layers,
        ratios[0],
        seconds,
        ratios[1],
    ]


def table(store: Store, asked: Mapping[str, Spec]) -> list[list[object]]:
    """A row a method; those that are not run say so."""
    runs = {name: Run(store.root / spec.id) for name, spec in asked.items()}
    least: dict[str, float] = {}
    if runs["plot_das"].done:
        result = runs["plot_das"].result()
        least = {"layers": result["fit"]["cost"]["layer_evaluations"], "seconds": result["run"]["method_seconds"]}
    width = len(COLUMNS) + len(SECONDS)
    return [row(run, least) if run.done else [name, "not run", *[""] * (width - 2)] for name, run in runs.items()]


def main(given: Sequence[str] | None = None) -> None:
    """Run what is named, then print the table of what is stored."""
    parser = argparse.ArgumentParser(description=CLAIM)
    parser.add_argument("methods", nargs="*", help=f"to run: {', '.join(METHODS)}")
    parser.add_argument("--cell", default=CELL, help="task/model/variable")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--settings", type=json.loads, default=SETTINGS, help="settings by method, as JSON")
    parser.add_argument("--store", type=Path, default=BUILD / "language" / "runs", help="the folder of runs")
    options = parser.parse_args(given)
    if unknown := [name for name in options.methods if name not in METHODS]:
        parser.error(f"{unknown[0]!r} is none of the methods compared; name some of {', '.join(METHODS)}")
    header(f"{CLAIM} {options.cell}")
    try:
        asked, store = specs(options.cell, options.seed, options.settings), Store(options.store)
        session = Session(store)
        for name in dict.fromkeys(options.methods):
            compute(session, asked[name])
    except WorkbenchError as error:
        parser.error(str(error))
    rows = table(store, asked)
    done = [Run(store.root / spec.id) for spec in asked.values() if Run(store.root / spec.id).done]
    if not done:
        print(f"{store.root} has none of these runs; name what to run: {' '.join(METHODS)}")
        return
    if any(run.result()["source"] != provenance.source() for run in done):
        print("some of these runs are of other code than this")
    publish("language-plot-das", [*COLUMNS, *SECONDS], rows)


if __name__ == "__main__":
    main()
