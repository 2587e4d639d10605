"""A scrub, or a search by its adversary, in a process of its own.

    python -m workbench.scrub_worker JOB_FOLDER RUNS_FOLDER

What it kept or found is named by the job's ``result.json``. It looks for a request to stop between events; a stopped
one leaves nothing behind. ``workbench.scrub_jobs`` starts it, and its last act is to start the next run that waits.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench import process
from workbench.scrub_jobs import Job
from workbench.scrub_spec import ADVERSARY, FORMAT, JobSpec
from workbench.scrubs import Scrubs
from workbench.store import Run, Store
from workbench.worker import serve, start_next


def main(folder: str, runs: str) -> int:
    """Work on the job in ``folder``, then start the next of the ``runs``; returns the exit code: 0 done or stopped, 1
    failed."""
    job = Job(Run(Path(folder)))
    try:
        return serve(job.run, lambda: work(job))
    finally:
        start_next(Store(Path(runs)), job.run)


def work(job: Job) -> None:
    """Do what the job asks, or note why that cannot be done; raises what that raises."""
    from workbench.pulse import Pulse  # torch comes with it: only after the sign of life

    with job.run.claim(), Pulse(job.run) as pulse:
        spec, began = job.spec, process.now()
        steps = _steps(spec, Scrubs(job.run.folder.parent.with_name("scrubs")))
        try:
            while not job.run.stop_requested:
                try:
                    pulse.say(next(steps))
                except StopIteration as end:
                    headline, found = end.value
                    result = {"format": FORMAT, "id": job.id, "kind": spec.kind, **found}
                    pulse.done(result, headline, method_seconds=process.now() - began)
                    return
        finally:
            steps.close()
        pulse.stopped()


def _steps(spec: JobSpec, scrubs: Scrubs) -> Any:
    """The events of a job; they return its headline and what its result says."""
    from engines.scrub import Plan
    from workbench.scrubbing import run, search

    slices = spec.plan["slices"]
    plan = Plan(**{**spec.plan, "slices": None if slices is None else tuple(slices)})
    if spec.kind == ADVERSARY:
        assert spec.search is not None
        found = yield from search(spec.hypothesis, plan, **spec.search)
        return {"verdict": found["verdict"]}, {"adversary": found}
    record, known = yield from run(spec.hypothesis, plan, scrubs, again=spec.again)
    return headline(record), {"scrub": record["id"], "known": known}


def headline(record: Mapping[str, Any]) -> dict[str, Any]:
    """The few numbers of a scrub that lists show."""
    total = record["total"]
    shares = {name: total[name] for name in ("recovered", "against_constant")}
    return {"scrub": record["id"], "n": total["n"], "exact": record["exact"], "samples": record["samples"], **shares}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
