"""What a scrub job tells that has no scrub: how it stands and what it said, or what its adversary found."""

from collections.abc import Mapping

from workbench import scrub_text
from workbench.screens.run import log, reached
from workbench.screens.scores import bar
from workbench.scrub_jobs import Job
from workbench.watch import Watch


def answer(job: Job, watch: Watch) -> list[str]:
    """What an adversary found, or how the job stands; raises ``StoreError``."""
    searched = job.result().get("adversary") if watch.state == "done" and not watch.trouble else None
    if not isinstance(searched, Mapping):
        return history(job, watch)
    return [*scrub_text.adversary(searched, len(searched["ranked"])).splitlines(), *_torn(watch)]


def history(job: Job, watch: Watch) -> list[str]:
    """How a job stands and all that it said; raises ``StoreError``."""
    if watch.trouble:
        return [watch.trouble]
    return [*standing(job, watch), "", *watch.lines, *_torn(watch), *log(watch.run)]


def said(watch: Watch | None) -> list[str]:
    """All that a job said, if a job there was."""
    return ["no job kept this: there is no log"] if watch is None else [*watch.lines, *log(watch.run)]


def state(watch: Watch) -> str:
    """How a job stands, in one line."""
    parts = [watch.state]
    if watch.is_active:
        progress = watch.progress
        parts += [f"{progress.stage} {bar(progress.share, 5)}".strip()] if progress else []
        beat = "none" if watch.beat is None else f"{watch.beat:.0f} s ago"
        parts.append(f"heartbeat {beat}   process {watch.status.get('pid')} on {watch.status.get('host')}")
    elif watch.state == "stale":
        parts.append("its process is gone; a scrub has no pieces, R begins it anew")
    elif watch.state in ("stopped", "failed"):
        parts.append(f"{watch.status.get('error') or 'on request'}; a scrub has no pieces, R begins it anew")
    return "   ".join([*parts, f"{watch.count} events"])


def standing(job: Job, watch: Watch) -> list[str]:
    """A job that kept no scrub, in a few lines; raises ``CorruptRun``."""
    spec = job.spec
    head = [f"{spec.kind} {job.id}  {spec.name}", f"subject  {spec.hypothesis.subject}", f"state  {watch.state}"]
    return [*head, *reached(watch)]


def _torn(watch: Watch) -> list[str]:
    return [f"{watch.torn} torn lines of events.jsonl are left out"] * bool(watch.torn)
