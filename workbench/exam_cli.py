"""The commands of the exam, and of the certificates of its programs."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from tracr_bridge.regimes import REGIMES
from tracr_bridge.rungs import COMPILED
from workbench import catalog, choose, disk, process, reports, text
from workbench.command import FAILED, INTERRUPTED, OK, TERMINATED, AsJson, StoreFolder, complain, open_store, put
from workbench.store import Store

programs_app = typer.Typer(help="Work with the compiled programs.", no_args_is_help=True, rich_markup_mode=None)


def mount(app: typer.Typer) -> None:
    """Put the commands beside the others."""
    app.command()(exam)
    app.add_typer(programs_app, name="programs")


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
