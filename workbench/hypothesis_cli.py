"""The commands of hypotheses: check, draw, make and join them; ``mount`` adds them to the command line.

Whatever needs torch is imported inside the command that needs it.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from engines.errors import InvalidSetting, StoreUnwritable
from workbench import disk, scrub_text, text
from workbench.command import OK, AsJson, note, put

hypothesis_app = typer.Typer(
    help="Hypotheses of causal scrubbing as TOML files: check, draw, make and join them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

HypothesisFile = Annotated[
    Path, typer.Argument(metavar="HYPOTHESIS", exists=True, dir_okay=False, help="A hypothesis, as a TOML file.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write it to a file instead of stdout.")
]


def mount(app: typer.Typer) -> None:
    """Put the commands below ``workbench hypothesis``."""
    app.add_typer(hypothesis_app, name="hypothesis")


@hypothesis_app.command("check")
def check_hypothesis(file: HypothesisFile, as_json: AsJson = False) -> int:
    """Hold a hypothesis to its graph and data without running it.

    Rewrites are done and checked to keep the function, paths are followed, features and sources are looked up. A
    hypothesis whose features are no function of those below them is a sampler only: it can be scrubbed, but is no
    computation graph.
    """
    from engines.admissibility import check
    from engines.consistency import inconsistencies, vacuities
    from workbench.scrubbing import inconsistency_records, vacuity_records
    from workbench.subjects import load, subject

    hypothesis = load(file)
    graph, data = subject(hypothesis)
    tree = check(hypothesis, graph, data)
    record = {
        "subject": hypothesis.subject,
        "admissible": True,
        "n": data.n,
        "copies": len(tree.copies),
        "nodes": vacuity_records(vacuities(tree, data), data),
        "inconsistencies": inconsistency_records(inconsistencies(tree, data), data),
        "hashes": {"hypothesis": hypothesis.digest(), "graph": tree.graph.digest(), "data": data.digest()},
    }
    put(record, f"{text.safe(str(file))} is admissible\n{scrub_text.admitted(record)}", as_json)
    return OK


@hypothesis_app.command("draw")
def draw_hypothesis(
    file: HypothesisFile,
    datum: Annotated[
        int | None, typer.Option("--datum", metavar="ROW", min=0, help="The reference [default: the first datum].")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the swaps that are shown.")] = 0,
    as_json: AsJson = False,
) -> int:
    """Draw a hypothesis as a tree: what each node may not change, how many data that leaves, and one swap.

    A line of more than 80 columns is cut after the last word that fits, and ends in an ellipsis; --json has all of it.
    """
    from engines.admissibility import check
    from engines.tree_text import branches, picture
    from workbench.scrubbing import plain
    from workbench.subjects import load, subject

    hypothesis = load(file)
    graph, data = subject(hypothesis)
    found = branches(check(hypothesis, graph, data), data, reference=datum, seed=seed)
    put(plain(found), "\n".join(map(text.safe, picture(found).split("\n"))), as_json)
    return OK


@hypothesis_app.command("from-truth")
def hypothesis_from_truth(
    name: Annotated[
        str, typer.Argument(metavar="SUBJECT", help="A compiled program, such as rasp.sort or rasp.sort/rotated.")
    ],
    wrong: Annotated[
        bool, typer.Option("--wrong", help="Instead a false one: two values of one variable are merged.")
    ] = False,
    output: Output = None,
    as_json: AsJson = False,
) -> int:
    """Write what is known to be true of a compiled program, as a hypothesis to scrub or to edit.

    Of a worked case (appendix.NAME) it is the first claim that the case tries.
    """
    from workbench.subjects import falsehood, truth

    return _written(falsehood(name) if wrong else truth(name), output, as_json)


@hypothesis_app.command("join")
def join_hypotheses(
    first: Annotated[Path, typer.Argument(metavar="A", exists=True, dir_okay=False, help="A hypothesis.")],
    second: Annotated[Path, typer.Argument(metavar="B", exists=True, dir_okay=False, help="Another, of one subject.")],
    output: Output = None,
    as_json: AsJson = False,
) -> int:
    """Join two hypotheses: the one that allows a swap only where both do."""
    from workbench.subjects import joined, load

    return _written(joined(load(first), load(second)), output, as_json)


def _written(hypothesis: Any, output: Path | None, as_json: bool) -> int:
    """Print a hypothesis, or write it to a file."""
    from engines.hypothesis_text import write

    toml = write(hypothesis)
    record = {
        "subject": hypothesis.subject,
        "digest": hypothesis.digest(),
        "nodes": len(hypothesis.nodes),
        "toml": toml,
    }
    if output is None:
        put(record, toml.rstrip("\n"), as_json)
        return OK
    if output.is_dir():
        raise InvalidSetting(f"cannot write {output}: it is a folder; name a file, such as {output / 'mine.toml'}")
    if output.exists() and output.read_bytes() != toml.encode():
        raise InvalidSetting(f"{output} is there and holds something else, which would be lost; write to another file")
    if not output.parent.is_dir():
        make = f"make it with 'mkdir -p {output.parent}', or write to another file with -o FILE"
        raise InvalidSetting(f"cannot write {output}: there is no folder {output.parent}; {make}")
    try:
        disk.replace(output, toml.encode())
    except StoreUnwritable as error:
        why = error.__cause__.strerror if isinstance(error.__cause__, OSError) else error
        raise StoreUnwritable(f"cannot write {output}: {why}; write to another file with -o FILE") from None
    if as_json:
        put({**record, "file": str(output)}, "", as_json)
    note(f"wrote {output}: {len(hypothesis.nodes)} nodes; try it: workbench scrub {output}")
    return OK
