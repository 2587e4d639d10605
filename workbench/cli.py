"""The command ``workbench``: data on stdout, narration on stderr, an exit code that scripts can rely on.

No command has logic of its own: it parses, calls, prints. Whatever needs torch is imported inside the command that
needs it, so that ``--help`` and ``ls`` answer at once.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from engines import zoo
from engines.errors import InvalidHypothesis, InvalidSetting, InvalidSite, StoreError, UnknownName, WorkbenchError
from tracr_bridge.regimes import REGIMES
from tracr_bridge.rungs import COMPILED
from workbench import (
    catalog,
    choose,
    config_cli,
    disk,
    exports,
    inspect_cli,
    logout,
    mib_cli,
    process,
    provenance,
    queue_cli,
    queueing,
    reports,
    screens,
    scrub_cli,
    scrub_jobs,
    start,
    text,
    view,
)
from workbench.command import (
    FAILED,
    INTERRUPTED,
    OK,
    STORE,
    TERMINATED,
    USAGE,
    AsJson,
    Detach,
    StoreFolder,
    complain,
    note,
    open_store,
    put,
)
from workbench.detach import start as start_detached
from workbench.process import interruptible
from workbench.spec import Cell, Spec, parse_assignments
from workbench.store import ACTIVE, Run, Store, Summary

CODES = """\b
Exit codes:
  0    ok
  1    a run failed, or the exam, a verification or a demo was not passed
  2    wrong usage, an unknown name, a setting or a hypothesis that is not allowed
  3    the store of runs: no such run, a damaged one, a disk that refuses
  130  interrupted; what was finished is kept
  143  an exam that was ended by SIGTERM; what was finished is kept
"""
EXAMPLES = f"""\b
Examples:
  workbench ls methods
  workbench run rasp.reverse/compiled/opposite plot_das --set steps=50
  workbench run rasp.reverse/compiled/opposite full_das --detach
  workbench log -f 3f2a
  workbench show 3f2a --json
  workbench exam --programs reverse,sort --methods plot_das
  workbench demo scrub-easy-hard

{CODES}"""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
lists = typer.Typer(help="List what there is.", no_args_is_help=True, rich_markup_mode=None)
programs_app = typer.Typer(help="Work with the compiled programs.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(lists, name="ls")
app.add_typer(programs_app, name="programs")

Queue = Annotated[
    bool, typer.Option("--queue", help="Wait for a free place ('workbench queue'), then run as with --detach.")
]
GO_ON = "go on where it stopped"
RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of it.")]
ViewOptions = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="An option of the view, such as example=3; may be repeated."),
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code. Errors of the user become one line, others keep their traceback."""
    try:
        code = app(args=arguments, prog_name="workbench", standalone_mode=False) or OK
        sys.stdout.flush()
        return code
    except typer.TyperException as error:
        return _misused(error.format_message())
    except (typer.Abort, KeyboardInterrupt):
        return complain("interrupted", INTERRUPTED)
    except WorkbenchError as error:
        return refuse(error)
    except BrokenPipeError:  # the reader, such as ``head``, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def refuse(error: WorkbenchError) -> int:
    """Say an error of the user; returns its exit code."""
    if isinstance(error, StoreError):
        return complain(str(error), STORE)
    wrong = isinstance(error, UnknownName | InvalidSetting | InvalidSite | InvalidHypothesis)
    return complain(str(error), USAGE if wrong else FAILED)


def _misused(message: str) -> int:
    if message.startswith("Usage:"):  # a group without a command answers with its help
        print(message, file=sys.stderr)
        return USAGE
    return complain(f"{message.rstrip('.')}; see 'workbench --help'", USAGE)


def _names(rows: list[tuple[str, str]], as_json: bool) -> None:
    put([{"name": name, "summary": summary} for name, summary in rows], text.columns(rows), as_json)


def _say_version(asked: bool) -> None:
    if asked:
        print(f"workbench {provenance.versions()['causal-workbench']}")
        raise typer.Exit


def read_options(given: Sequence[str] | None) -> dict[str, str]:
    """Options of a view; raises ``InvalidSetting``."""
    options = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not equals or name in options:
            raise InvalidSetting(f"--set {one!r} is no option; write NAME=VALUE, each name once, such as example=3")
        options[name] = value
    return options


@app.callback(epilog=EXAMPLES)
def workbench(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Put localization methods to the test on compiled programs whose circuit is known."""


@lists.command("cells")
def list_cells(
    wrong: Annotated[
        bool, typer.Option("--all", help="Also the cells of wrong variables, which must be rejected.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Cells: task/model/variable, what a method can be run on."""
    cells = catalog.cell_names(wrong=wrong)
    put(list(cells), "\n".join(cells), as_json)


@lists.command("methods")
def list_methods(as_json: AsJson = False) -> None:
    """Localization methods; 'workbench show METHOD' gives the settings of one."""
    _names([(name, catalog.method(name).summary) for name in catalog.method_names()], as_json)


@lists.command("programs")
def list_programs(as_json: AsJson = False) -> None:
    """RASP programs; 'workbench show PROGRAM' gives the variables of one."""
    _names([(name, catalog.program(name).summary) for name in catalog.program_names()], as_json)


@lists.command("tasks")
def list_tasks(as_json: AsJson = False) -> None:
    """Tasks: one for each program, and those with networks of their own."""
    put(list(catalog.task_names()), "\n".join(catalog.task_names()), as_json)


@lists.command("models")
def list_models(as_json: AsJson = False) -> None:
    """Models that a task can be put to."""
    _names(list(catalog.every_model().items()), as_json)


@lists.command("runs")
def list_runs(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most, newest first.")] = 50,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> None:
    """Runs in the store, newest first."""
    listing = open_store(folder).runs()
    shown = listing.runs[:limit]
    put([run.record for run in shown], text.runs(shown), as_json)
    if len(shown) < len(listing.runs):
        note(f"{len(listing.runs) - len(shown)} older runs are not shown; --limit {len(listing.runs)} shows all")
    if listing.damaged:
        note(text.damaged(listing.damaged))


@app.command("run")
def run_spec(
    cell: Annotated[str, typer.Argument(help="What to locate, such as rasp.reverse/compiled/opposite.")],
    method: Annotated[str, typer.Argument(help="How, such as plot_das.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A setting of the method; may be repeated.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the pairs and of the method.")] = 0,
    detach: Detach = False,
    queue: Queue = False,
    again: Annotated[
        bool, typer.Option("--again", help="Compute a finished run afresh; the old one is moved aside.")
    ] = False,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> int:
    """Run a method on a cell, or show the result if an equal run is finished.

    \b
    Examples:
      workbench run rasp.reverse/compiled/opposite plot_das
      workbench run rasp.sort/compiled/key full_das --set steps=50 --set 'sizes=[1,2]' --seed 3
    """
    spec = Spec.parse(cell, method, settings=parse_assignments(settings or []), seed=seed)
    if queue:
        return _queue(open_store(folder), spec, again=again, detach=detach, as_json=as_json)
    return _start(open_store(folder), spec, again=again, detach=detach, as_json=as_json)


@app.command()
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
        return scrub_cli.resume(found, as_json)
    if queue:
        return _queue(store, found.spec, again=False, detach=detach, as_json=as_json)
    return _start(store, found.spec, again=False, detach=detach, as_json=as_json)


def _start(store: Store, spec: Spec, *, again: bool, detach: bool, as_json: bool) -> int:
    run = store.open(spec)
    if run.done and not again:
        _show_run(run, as_json)
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
    run = store.open(spec)
    if run.done and not again:
        _show_run(run, as_json)
        note("this was finished before; --again computes it afresh")
        return OK
    run = store.afresh(spec)
    pid = queueing.submit(store, run)
    put({"id": run.id, "pid": pid, "place": run.place}, run.id, as_json)
    if pid is not None:
        _outlives(run, pid)
        return OK
    listing = store.runs()
    after = queueing.ahead(listing, run.place or 0)
    note(f"it is queued {after}, and starts whatever happens to this terminal; see 'workbench queue'")
    return OK


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
        _show_run(run, as_json)
        return OK
    note(f"run {run.id} is stopped; go on where it stopped: workbench resume {run.id}")
    return INTERRUPTED


def _worked(store: Store, name: str) -> tuple[Run, str]:
    """The folder of a run or of a scrub job, and what resuming it does."""
    found = scrub_jobs.find_work(store, name)
    return (found.run, "begin it anew") if isinstance(found, scrub_jobs.Job) else (found, GO_ON)


@app.command()
def log(
    name: RunName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run ends.")] = False,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> int:
    """What a run said, from its first event on; --json prints the events as they are stored, one a line."""
    from workbench.narrate import Narrator, follow_run

    run, hint = _worked(open_store(folder), name)
    torn = 0
    with Narrator(detailed=True, on_stdout=True) as narrator:
        for tail in follow_run(run) if follow else [run.events()]:
            torn += tail.torn
            for record in tail.records:
                if as_json:
                    print(json.dumps(record, ensure_ascii=False), flush=True)
                else:
                    narrator.take(record)
    if torn:
        note(f"{torn} torn line{'s' if torn > 1 else ''} of {run.folder / 'events.jsonl'} left out")
    if run.state == "stale":
        note(f"nobody works on it any more; {hint}: workbench resume {run.id}")
    return FAILED if run.state in ("failed", "stale") and follow else OK


@app.command()
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


@app.command()
def tui(
    address: Annotated[
        str | None, typer.Argument(help="Where to start, such as cells [default: where you were].")
    ] = None,
    plain_output: Annotated[
        bool, typer.Option("--plain-output", help="Let Textual write by itself, should the screen look wrong.")
    ] = False,
    theme: config_cli.Theme = None,
    light: config_cli.Light = False,
    ascii: config_cli.Ascii = False,
    a11y: config_cli.A11y = False,
) -> int:
    """Open the screen; 'workbench' without a command does, too. Quitting or losing the terminal stops no run.

    Options go before the user's file: 'workbench config' shows what holds, and 'workbench config path' where it is.
    """
    return start.open_screen(
        address, plain_output=plain_output, flags=config_cli.flags(theme, light=light, ascii=ascii, a11y=a11y)
    )


@app.command()
def show(
    address: Annotated[
        str,
        typer.Argument(
            help="An address of the screen, a task, a program, a method, an id of a run or a scrub, or an MIB folder."
        ),
    ],
    truth: Annotated[
        bool, typer.Option("--truth", help="Of a program: what is known about its circuit, and the certificate.")
    ] = False,
    options: ViewOptions = None,
    plain: Annotated[bool, typer.Option("--plain", help="Print text, which is the default.")] = False,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> None:
    """Show what an address of the screen shows, a task, a program, a method with its settings, a run or a scrub.

    \b
    Examples:
      workbench show rasp.reverse/compiled/opposite
      workbench show rasp.reverse/compiled/opposite:L2.head0 --set example=3
      workbench show reverse --truth
      workbench show plot_das
      workbench show gemma2
      workbench show 3f2a --json
    """
    if plain and as_json:
        raise InvalidSetting("--plain and --json are two forms of one answer; choose one of them")
    if truth:
        task = Cell.parse(address).task if "/" in address else f"rasp.{address.removeprefix('rasp.')}"
        _show_truth(catalog.asked(task)[0], open_store(folder), as_json)
    elif mib_cli.is_submission(address):
        mib_cli.show(Path(address), as_json)
    elif options or screens.known(address):
        found = view.build(address, open_store(folder), read_options(options))
        put(found.record, found.text, as_json)
        for sentence in found.notes:
            note(sentence)
    elif "/" in address and ":" not in address:
        Cell.parse(address)  # which it is not: it would have an address
    elif "/" in address:
        screens.route(address)  # which has none, and says what addresses look like
    else:
        _show_named(address, open_store(folder), as_json)


def _show_named(name: str, store: Store, as_json: bool) -> None:
    """Show what has no address: a program, a task, a method, a language model and what it takes, a scrub or a run."""
    if name in catalog.program_names() or catalog.RANDOM.fullmatch(name):
        program = catalog.program(name)
        put(text.record(program), text.program(program), as_json)
    elif name in catalog.task_names() or name.startswith("rasp.") or catalog.PROMPTED.fullmatch(name):
        card = catalog.card(name)
        put(text.record(card), text.card(card), as_json)
    elif name in catalog.method_names():
        method = catalog.method(name)
        put(text.record(method), text.method(method), as_json)
    elif zoo.knows(name):
        prospect = zoo.look(name)
        put(disk.named(prospect.record), "\n".join(prospect.lines()), as_json)
    elif scrub_cli.kept(name, store):
        scrub_cli.show(name, store, as_json)
    else:
        _show_run(store.find(name), as_json)


def _show_truth(program: str, store: Store, as_json: bool) -> None:
    from workbench.truth_card import truth_card

    card = truth_card(program, store.certificates)
    put(card.record, card.text, as_json)


def _show_run(run: Run, as_json: bool) -> None:
    if not run.done:
        summary = Summary.of(run)
        put(summary.record, text.unfinished(summary), as_json)
        return
    result = run.result()
    put(result, text.result(result), as_json)
    if result["source"] != provenance.source():
        note(f"other code computed this ({result['source']}, now {provenance.source()}); --again computes it afresh")


@app.command()
def export(
    address: Annotated[str, typer.Argument(help="An address of the screen, such as a cell or CELL#RUN:sites.")],
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="As their names end: .png, .svg, .pdf, .csv, .json, .txt.")
    ],
    options: ViewOptions = None,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> None:
    """Write what an address shows to files: figures, one tidy table, or the record.

    \b
    Examples:
      workbench export rasp.reverse/compiled/opposite scores.png scores.csv
      workbench export rasp.reverse/compiled/opposite#3f2a:sites sites.svg
    """
    from workbench import exporting

    for file in files:
        exports.check(file)
    found = view.build(address, open_store(folder), read_options(options))
    for file in files:
        exporting.write(found, file)
        note(f"wrote {file}")
    put([str(file) for file in files], "\n".join(map(str, files)), as_json)


@app.command()
def exam(
    programs: Annotated[
        str, typer.Option("--programs", help="all, names, or random:COUNT, with commas between.")
    ] = "all",
    methods: Annotated[
        str,
        typer.Option(
            "--methods",
            help="all, selection (those that fit no subspace), or names with commas between; scrub: causal scrubbing.",
        ),
    ] = "all",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds for each cell, from 0 on.")] = 1,
    rungs: Annotated[
        str | None, typer.Option("--rungs", help="all, or names with commas between: 'workbench ls models'.")
    ] = None,
    regime: Annotated[
        str | None, typer.Option("--regime", help=f"How pairs are drawn: {', '.join(REGIMES)}; variable if not given.")
    ] = None,
    random_seed: Annotated[int, typer.Option("--random-seed", min=0, help="Seed of random programs.")] = 0,
    figures: Annotated[
        list[Path] | None,
        typer.Option("--figure", metavar="FILE", help="Draw it: .png, .svg or .pdf; may be repeated."),
    ] = None,
    table: Annotated[Path | None, typer.Option("--table", metavar="FILE", help="Write its tables as Markdown.")] = None,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> int:
    """Put methods through the exam: find the true site of every variable, and reject every wrong variable.

    Causal scrubbing sits it too: a program's true hypothesis must recover all of its loss, and a wrong one must not.

    Without more, every run is stored, and the exam is passed or not. A random program, --rungs, --regime, --figure or
    --table asks for the exam by rung instead: many programs and networks, no runs, rates with intervals. It goes on
    where it stopped, and has failed (exit code 1) only where something could not be examined.

    \b
    Examples:
      workbench exam
      workbench exam --programs reverse,sort --methods plot_das,full_das --seeds 3
      workbench exam --programs all,random:500 --rungs all --methods selection --figure exam.png
    """
    listed, count = choose.programs(programs)
    candidates = choose.methods(methods)
    if (
        count
        or any(map(catalog.RANDOM.fullmatch, listed))
        or figures
        or any(one is not None for one in (rungs, regime, table))
    ):
        choose.outputs(figures or (), table)
        finding = choose.finding(candidates)
        question = finding, choose.rungs(rungs or COMPILED), choose.regime(regime), seeds
        return _exam_by_rung(
            question, (listed, count, random_seed), (figures or [], table), as_json, open_store(folder)
        )
    from workbench.exam import run_exam
    from workbench.narrate import Narrator, tell_steps
    from workbench.session import Session

    try:
        with Narrator() as narrator, process.ended_by_sigterm():
            steps = run_exam(Session(open_store(folder)), listed, candidates, seeds=seeds)
            with closing(steps):
                report = tell_steps(narrator, steps)
    except process.Terminated:
        return complain("ended by SIGTERM; finished runs are kept: give the same command again to go on", TERMINATED)
    put(report.record, report.text, as_json)
    reports.keep(open_store(folder), report.kept)
    return OK if report.passed else FAILED


def _exam_by_rung(
    question: tuple[tuple[str, ...], tuple[str, ...], str, int],
    programs: tuple[tuple[str, ...], int, int],
    outputs: tuple[Sequence[Path], Path | None],
    as_json: bool,
    store: Store,
) -> int:
    from workbench import rung_text
    from workbench.ladder import Question, climb, random_names, so_far
    from workbench.narrate import Narrator, tell_steps
    from workbench.rung_report import report

    listed, count, seed = programs
    asked = Question.of(*question)
    try:
        with Narrator() as narrator, process.ended_by_sigterm():
            names = (*listed, *tell_steps(narrator, random_names(count, seed, store.exams)))
    except process.Terminated:
        return complain("ended by SIGTERM before anything was examined; give the same command again", TERMINATED)
    try:
        with Narrator() as narrator, process.ended_by_sigterm(), closing(climb(asked, names, store)) as steps:
            found = report(tell_steps(narrator, steps))
    except process.Terminated:
        return complain(f"ended by SIGTERM; {so_far(asked, names, store)}", TERMINATED)
    except KeyboardInterrupt:
        return complain(f"interrupted; {so_far(asked, names, store)}", INTERRUPTED)
    figures, table = outputs
    for file in figures:
        from workbench.figures import draw

        draw(found, file)
    if table is not None:
        disk.replace(table, rung_text.markdown(found).encode())
    put(found.record, rung_text.text(found), as_json)
    reports.keep(store, found.kept)
    return FAILED if found.failures else OK


@programs_app.command("verify")
def verify_programs(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Programs; all when none is named.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Check also what has a certificate.")] = False,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> int:
    """Check that compiled networks compute what their RASP says, on every input or on a large sample.

    A certificate is kept for each, until its weights, its inputs or the packages change.
    """
    chosen = choose.named(",".join(names or ["all"]), catalog.program_names(), "program")
    records = []
    for record, words in _verified(chosen, open_store(folder), again):
        records.append(record)
        if not as_json:
            print(words, flush=True)
    if as_json:
        put(records, "", as_json)
    return OK if all(record["verified"] for record in records) else FAILED


def _verified(names: Sequence[str], store: Store, again: bool) -> Iterator[tuple[dict[str, Any], str]]:
    from workbench.verification import certify

    for name, outcome in zip(names, certify(names, store.certificates, again=again), strict=True):
        if isinstance(outcome, str):
            record = {"program": name, "verified": False, "error": outcome}
            yield record, f"FAILED    {name}: {text.safe(outcome)}"
        else:
            record = {**outcome.to_record(), "verified": outcome.verified}
            yield record, f"verified  {text.certificate(record)}"


scrub_cli.mount(app, lists)
inspect_cli.mount(app)
config_cli.mount(app)
queue_cli.mount(app)
mib_cli.mount(app)

if __name__ == "__main__":
    sys.exit(main())
