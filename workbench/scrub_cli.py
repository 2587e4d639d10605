"""The commands of causal scrubbing: scrub, adversary, demo; ``mount`` adds them and those of hypotheses.

Whatever needs torch is imported inside the command that needs it.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench import catalog, demo_text, hypothesis_cli, scrub_jobs, scrub_list, scrub_spec, scrub_text, view
from workbench.command import FAILED, OK, AsJson, Detach, StoreFolder, note, open_store, put
from workbench.hypothesis_cli import HypothesisFile
from workbench.scrubs import Scrubs
from workbench.store import Run, Store

Exact = Annotated[bool, typer.Option("--exact", help="Enumerate every run, or fail if the budget is too small.")]
Samples = Annotated[
    int | None, typer.Option("--samples", metavar="N", min=2, help="Sample N runs instead of enumerating.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of what is sampled.")]
Slices = Annotated[
    list[str] | None,
    typer.Option(
        "--slice",
        metavar="FEATURE",
        help="Report apart by the values of a feature; may be repeated [default: as the data say].",
    ),
]
Budget = Annotated[
    int | None,
    typer.Option(
        "--budget",
        metavar="ROWS",
        min=1,
        help="Rows that enumeration may compute [default: 2000000 with --exact, else 200000].",
    ),
]


def mount(app: typer.Typer, lists: typer.Typer) -> None:
    """Add the commands to the command line, and their lists to ``ls``."""
    app.command("scrub")(scrub)
    hypothesis_cli.mount(app)
    app.command("adversary")(adversary)
    app.command("demo")(demo)
    lists.command("demos")(list_demos)
    lists.command("scrubs")(list_scrubs)


def kept(address: str, store: Store) -> bool:
    """Whether ``address`` is the beginning of the id of a finished scrub or of a scrub job."""
    known = (*Scrubs(store.scrubs).ids, *scrub_jobs.ids(store))
    return bool(address) and any(name.startswith(address) for name in known)


def show(address: str, store: Store, as_json: bool) -> None:
    """Show a finished scrub, or how a scrub job stands."""
    found = view.build(f"scrub:{address}", store, {})
    put(found.record, found.text, as_json)
    for sentence in found.notes:
        note(sentence)


def scrub(
    file: HypothesisFile,
    exact: Exact = False,
    samples: Samples = None,
    seed: Seed = 0,
    slices: Slices = None,
    budget: Budget = None,
    no_ablations: Annotated[
        bool, typer.Option("--no-ablations", help="Leave out what zero and mean ablation would have said.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Compute a finished scrub afresh.")] = False,
    detach: Detach = False,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> int:
    """Test a hypothesis by causal scrubbing: resample whatever it says does not matter, and see what is left.

    Exact where enumeration fits the budget, else sampled, with 95 % intervals. 'Recovered' is the share of the way from
    the randomised loss to the original one that is left; it is not clipped, and undefined where these are equal. Read
    it beside the best constant answer, the slices, and how few swaps the hypothesis allows.

    The result is kept beside the store of runs; an equal scrub that is finished is shown again. --detach prints the id
    of a job: 'workbench log -f ID' follows it, 'workbench stop ID' stops it, 'workbench show ID' shows what it found.

    \b
    Examples:
      workbench hypothesis from-truth rasp.sort -o sort.toml
      workbench scrub sort.toml --slice answer@0
      workbench scrub sort.toml --samples 10000 --seed 1 --json
    """
    if detach:
        asked = _asked(exact, samples, seed, slices, budget, ablations=not no_ablations)
        return _detached(open_store(folder), file, asked, again=again, as_json=as_json)
    from workbench.narrate import Narrator, tell_steps
    from workbench.scrubbing import run
    from workbench.subjects import load

    plan = _plan(exact, samples, seed, slices, budget, ablations=not no_ablations)
    scrubs = Scrubs(open_store(folder).scrubs)
    with Narrator() as narrator:
        record, known = tell_steps(narrator, run(load(file), plan, scrubs, again=again))
    put(record, scrub_text.report(record), as_json)
    if known:
        note("this was finished before; --again computes it afresh")
    return OK


def _asked(
    exact: bool,
    samples: int | None,
    seed: int,
    slices: Sequence[str] | None,
    budget: int | None,
    *,
    ablations: bool,
) -> dict[str, Any]:
    """How to scrub, as a job keeps it."""
    given = {"exact": exact, "samples": samples, "seed": seed, "budget": budget, "ablations": ablations}
    return {**given, "slices": None if slices is None else list(slices)}


def _detached(
    store: Store,
    file: Path,
    plan: dict[str, Any],
    *,
    search: dict[str, Any] | None = None,
    again: bool = False,
    as_json: bool = False,
) -> int:
    """Start a job, or say that an equal one is at work or finished."""
    words = scrub_jobs.words(file)
    job = scrub_jobs.Job(Run(scrub_jobs.folder(store) / scrub_spec.ask(words, plan, search=search).id))
    before = job.run.state if job.run.folder.exists() else "new"
    scrub_jobs.start(store, words, plan, name=file.stem, search=search, again=again)
    pid = job.run.status().get("pid")
    put({"id": job.id, "pid": pid}, job.id, as_json)
    if before == "done" and not again:
        note(f"this was finished before: workbench show {job.id}; --again computes it afresh")
    else:
        note(f"process {pid} works on it, whatever happens to this terminal; follow it: workbench log -f {job.id}")
    return OK


def resume(store: Store, job: scrub_jobs.Job, as_json: bool) -> int:
    """Begin a job anew, in a process of its own; a finished one is shown by 'show'."""
    if job.run.done:
        note(f"this is finished: workbench show {job.id}")
    else:
        scrub_jobs.restart(store, job)
        note(f"process {job.run.status().get('pid')} begins it anew; follow it: workbench log -f {job.id}")
    put({"id": job.id, "pid": job.run.status().get("pid")}, job.id, as_json)
    return OK


def _plan(
    exact: bool,
    samples: int | None,
    seed: int,
    slices: Sequence[str] | None,
    budget: int | None,
    *,
    ablations: bool,
) -> Any:
    from engines.scrub import Plan

    asked = _asked(exact, samples, seed, slices, budget, ablations=ablations)
    return Plan(**{**asked, "slices": None if slices is None else tuple(slices)})


def adversary(
    file: HypothesisFile,
    features: Annotated[
        str | None,
        typer.Option("--features", metavar="A,B,..", help="The library to search [default: all that the data have]."),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="How many joins are shown.")] = 10,
    eps: Annotated[float, typer.Option("--eps", min=0.0, help="A change up to this is none.")] = 1e-9,
    injective: Annotated[
        bool, typer.Option("--injective", help="Also features that nearly tell every datum from every other.")
    ] = False,
    exact: Exact = False,
    samples: Samples = None,
    seed: Seed = 0,
    slices: Slices = None,
    budget: Budget = None,
    detach: Detach = False,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> int:
    """Look for what a hypothesis left out: features that move its estimate when they may not change either.

    Each feature is joined to each node and to all at once; joins are ranked by how far they move the estimate, in total
    or on a slice, for each bit that they withhold. A hypothesis that no feature moves is comprehensive up to this
    library, which is not to say that it is true. --detach searches in a process of its own and keeps what it found:
    'workbench log -f ID' follows it, 'workbench show ID' shows it.

    \b
    Examples:
      workbench adversary sort.toml
      workbench adversary sort.toml --features answer,tokens --top 5
    """

    named = None if features is None else features.split(",")
    if detach:
        sought = {"features": named, "tolerance": eps, "injective": injective}
        asked = _asked(exact, samples, seed, slices, budget, ablations=False)
        return _detached(open_store(folder), file, asked, search=sought, as_json=as_json)
    from workbench.narrate import Narrator, tell_steps
    from workbench.scrubbing import search
    from workbench.subjects import load

    plan = _plan(exact, samples, seed, slices, budget, ablations=False)
    with Narrator() as narrator:
        steps = search(load(file), plan, features=named, tolerance=eps, injective=injective)
        record = tell_steps(narrator, steps)
    put(record, scrub_text.adversary(record, top), as_json)
    return OK


def demo(
    name: Annotated[
        str | None, typer.Argument(help="A worked case, such as scrub-easy-hard; without it: a list.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Tell a worked case of causal scrubbing, and measure its numbers anew beside those worked out by hand.

    The exit code is 1 if one of them disagrees.
    """
    if name is None:
        return list_demos(as_json)
    card = catalog.demo(name)
    from engines import demo as demos
    from engines import registry
    from workbench.scrubbing import demo_record

    case = registry.load(catalog.DEMOS, card.file, "DEMO", "demo")
    record = demo_record(name, case, demos.run(case))
    put(record, demo_text.demo(record), as_json)
    return OK if record["agrees"] else FAILED


def list_demos(as_json: AsJson = False) -> int:
    """Worked cases of causal scrubbing; 'workbench demo NAME' tells one."""
    cards = [asdict(catalog.demo(name)) for name in catalog.demo_names()]
    put(cards, demo_text.demos(cards), as_json)
    return OK


def list_scrubs(as_json: AsJson = False, folder: StoreFolder = None) -> int:
    """Scrubs, newest first, and jobs that are at work, stopped or failed; 'workbench show ID' shows one."""
    found, damaged = scrub_list.entries(open_store(folder))
    records = [one.record for one in found]
    put(records, scrub_text.scrubs(records), as_json)
    if damaged:
        note(f"{len(damaged)} scrubs cannot be read and are not listed: {', '.join(damaged)}; see 'workbench show ID'")
    return OK
