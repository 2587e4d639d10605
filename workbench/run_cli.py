"""The commands of a run: start it here, detached or queued, go on with it, follow what it says, stop it."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from engines.errors import InvalidSetting
from workbench import logout, provenance, queueing, refusal, scrub_cli, scrub_jobs, text
from workbench.command import FAILED, INTERRUPTED, OK, AsJson, Detach, StoreFolder, note, open_store, put
from workbench.detach import start as start_detached
from workbench.process import interruptible
from workbench.spec import Cell, Spec, parse_assignments
from workbench.store import ACTIVE, Run, Store, Summary
from workbench.terms import DTYPE, Terms
from workbench.work import Work

Queue = Annotated[
    bool, typer.Option("--queue", help="Wait for a free place ('workbench queue'), then run as with --detach.")
]
GO_ON = "go on where it stopped"
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of it.")]


def mount(app: typer.Typer) -> None:
    """Put the commands beside the others."""
    app.command("run")(run_spec)
    for command in (resume, log, stop, measure):
        app.command()(command)


def run_spec(
    cell: Annotated[str, typer.Argument(help="What to locate, such as rasp.reverse/compiled/opposite.")],
    method: Annotated[str, typer.Argument(help="How, such as plot_das.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the method; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the pairs and of the method.")] = 0,
    rows: Annotated[
        str, typer.Option("--rows", metavar="N|PART=N,...", help="Rows of a language model's fit, calibration, test.")
    ] = "",
    dtype: Annotated[str, typer.Option("--dtype", help="Type of a language model's numbers, such as bfloat16.")] = "",
    detach: Detach = False,
    queue: Queue = False,
    again: Annotated[
        bool, typer.Option("--again", help="Compute a finished run afresh; the old one is moved aside.")
    ] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Only tell what a run of a language model would take.")
    ] = False,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> int:
    """Run a method on a cell, or show the result if an equal run is finished.

    \b
    Examples:
      workbench run rasp.reverse/compiled/opposite plot_das
      workbench run rasp.sort/compiled/key full_das --set steps=50 --set 'sizes=[1,2]' --seed 3
      workbench run lm.sva/smollm2/number plot --rows fit=64,test=96 --preview
    """
    where = Cell.parse(cell)
    terms = Terms.asked(where.task, where.model, rows=rows, dtype=dtype)
    spec = Spec.parse(cell, method, settings=parse_assignments(settings or []), seed=seed, terms=terms)
    if preview:
        if detach or queue or again:
            raise InvalidSetting("--preview starts nothing; leave out --detach, --queue and --again")
        refusal.refuse(spec)
        return _preview(open_store(folder), spec, as_json)
    if queue:
        return _queue(open_store(folder), spec, again=again, detach=detach, as_json=as_json)
    return _start(open_store(folder), spec, again=again, detach=detach, as_json=as_json)


def _preview(store: Store, spec: Spec, as_json: bool) -> int:
    from workbench.preview import preview
    from workbench.swaps import sweep

    found = preview(spec, store.runs().runs, store, sweep)
    put(found.record, "\n".join(found.lines), as_json)
    return OK


def measure(
    model: Annotated[str, typer.Argument(help="A language model, such as smollm2.")],
    dtype: Annotated[str, typer.Option("--dtype", envvar=DTYPE, help="Type of its numbers, such as bfloat16.")] = "",
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> int:
    """Measure how fast a language model runs on this machine, for the previews of its runs."""
    from workbench import pace
    from workbench.measuring import measure as measured

    found = measured(model, dtype, f"{datetime.now(UTC):%Y-%m-%d}")
    pace.keep(found, open_store(folder))
    put(
        asdict(found),
        f"{model}: {found} of {found.tokens} tokens, {found.low * 1e3:.3g} to {found.high * 1e3:.3g} ms",
        as_json,
    )
    return OK


def resume(
    name: RunName,
    detach: Detach = False,
    queue: Queue = False,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> int:
    """Go on with a run that was stopped, killed or failed, from its finished pieces; begin a scrub job anew."""
    store = open_store(folder)
    found = scrub_jobs.find_work(store, name)
    if isinstance(found, scrub_jobs.Job):
        if queue:
            raise InvalidSetting(f"{found.id} is a scrub job, and those do not wait: workbench resume {found.id}")
        return scrub_cli.resume(store, found, as_json)
    if queue:
        return _queue(store, found.spec, again=False, detach=detach, as_json=as_json)
    return _start(store, found.spec, again=False, detach=detach, as_json=as_json)


def _start(store: Store, spec: Spec, *, again: bool, detach: bool, as_json: bool) -> int:
    _refuse(store, spec, again)
    run = store.open(spec)
    if run.done and not again:
        show_run(run, as_json)
        note("this was finished before; --again computes it afresh")
        return OK
    if not detach:
        return _work(store, spec, again=again, as_json=as_json)
    run, pid = start_detached(store, spec, again=again)
    put({"id": run.id, "pid": pid}, run.id, as_json)
    _outlives(run, pid)
    return OK


def _queue(store: Store, spec: Spec, *, again: bool, detach: bool, as_json: bool) -> int:
    """Start a run as soon as there is a place for it, perhaps now."""
    if detach:
        raise InvalidSetting("--detach starts at once and --queue waits for a free place; choose one of them")
    _refuse(store, spec, again)
    run = store.open(spec)
    if run.done and not again:
        show_run(run, as_json)
        note("this was finished before; --again computes it afresh")
        return OK
    run = store.afresh(spec)
    pid = queueing.submit(store, run)
    put({"id": run.id, "pid": pid, "place": run.place}, run.id, as_json)
    if pid is not None:
        _outlives(run, pid)
        return OK
    after = queueing.ahead(Work(store).look(), run.place or 0)
    note(f"it is queued {after}, and starts whatever happens to this terminal; see 'workbench queue'")
    return OK


def _refuse(store: Store, spec: Spec, again: bool) -> None:
    """Refuse, before the run has a folder, settings that its method would; a finished run is shown whatever it has."""
    if again or not store.at(spec).done:
        refusal.refuse(spec)


def _outlives(run: Run, pid: int) -> None:
    note(f"process {pid} works on it, whatever happens to this terminal; follow it: workbench log -f {run.id}")
    if warning := logout.warning():
        note(warning)


def _work(store: Store, spec: Spec, *, again: bool, as_json: bool) -> int:
    """Run in this process. What is told comes from the stored events, as ``log -f`` reads them."""
    from workbench.narrate import Narrator
    from workbench.session import Session

    run, offset = store.open(spec), 0
    with Narrator() as narrator:
        heard = "stopping after the present step; Ctrl-C again stops at once"
        with interruptible(lambda: narrator.say(heard)) as interrupted:
            steps = Session(store).run(spec, again=again)
            try:
                for _ in steps:
                    offset = narrator.tell(run, offset)
                    if interrupted():
                        break
            finally:
                steps.close()
                narrator.tell(run, offset)
                queueing.advance(store, ended=run.id)
    if run.done:
        show_run(run, as_json)
        return OK
    note(f"run {run.id} is stopped; go on where it stopped: workbench resume {run.id}")
    return INTERRUPTED


def _worked(store: Store, name: str) -> tuple[Run, str]:
    """The folder of a run or of a scrub job, and what resuming it does."""
    found = scrub_jobs.find_work(store, name)
    return (found.run, "begin it anew") if isinstance(found, scrub_jobs.Job) else (found, GO_ON)


def log(
    name: RunName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> int:
    """What a run said, from its first event on; --json prints the events as they are stored, one a line."""
    from workbench.narrate import Narrator, follow_run

    run, hint = _worked(open_store(folder), name)
    torn, is_silent = 0, True
    with Narrator(detailed=True, on_stdout=True) as narrator:
        for tail in follow_run(run) if follow else [run.events()]:
            torn += tail.torn
            for record in tail.records:
                if as_json:
                    print(json.dumps(record, ensure_ascii=False), flush=True)
                    is_silent = False
                elif narrator.take(record):
                    is_silent = False
    if torn:
        note(f"{torn} torn line{'s' if torn > 1 else ''} of {run.folder / 'events.jsonl'} left out")
    if is_silent and (state := run.state) != "stale":
        later = f"; follow it: workbench log -f {run.id}" if state in (*ACTIVE, "queued") else ""
        note(f"run {run.id} is {state} and has said nothing yet{later}")
    if run.state == "stale":
        note(f"nobody works on it any more; {hint}: workbench resume {run.id}")
    return FAILED if run.state in ("failed", "stale") and follow else OK


def stop(name: RunName, as_json: AsJson = False, folder: StoreFolder = None) -> None:
    """Ask a run or a scrub job to stop at its next event; what a run finished is kept."""
    run, hint = _worked(open_store(folder), name)
    state = run.state
    if state in ACTIVE:
        run.request_stop()
        later = "go on later" if hint == GO_ON else hint
        words = f"run {run.id} was asked to stop; {later}: workbench resume {run.id}"
    elif state == "queued":
        queueing.remove(open_store(folder), run.id)
        words = f"run {run.id} waits no more; queue it again: workbench resume {run.id} --queue"
    else:
        words = f"run {run.id} is {state}; there is nothing to stop"
    put({"id": run.id, "state": state, "asked": state in (*ACTIVE, "queued")}, words, as_json)


def show_run(run: Run, as_json: bool) -> None:
    """Print a run: its result, or how far it is."""
    if not run.done:
        summary = Summary.of(run)
        put(summary.record, text.unfinished(summary), as_json)
        return
    result = run.result()
    put(result, text.result(result), as_json)
    for sentence in provenance.stale(result["source"]):
        note(sentence)
