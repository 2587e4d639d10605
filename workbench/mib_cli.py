"""The commands ``submit``, ``verify`` and ``score``: folders for the MIB benchmark, ours and those of others."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from engines.errors import InvalidSetting, UnknownName
from workbench.command import FAILED, OK, AsJson, StoreFolder, note, open_store, put
from workbench.spec import Cell

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A submission's folder, which holds its cells.")]


def mount(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("submit")(submit)
    app.command("verify")(verify)
    app.command("score")(score)


def submit(
    names: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of finished runs, or their beginnings.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder, or one of ours for more cells.")],
    linear: Annotated[
        Path | None,
        typer.Option("--linear", metavar="FILE", help="Parameters of IOI's linear model, JSON by model."),
    ] = None,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> int:
    """Write runs as a folder that the MIB benchmark evaluates; what its files cannot say is refused.

    It is verified before it appears, and nothing that is there is overwritten.

    \b
    Examples:
      workbench submit 3f2a --out mine
      workbench submit 3f2a 90bc --out mine
      workbench submit 77d1 --out mine --linear ioi.json
    """
    from workbench import submission, submission_folder, submission_text

    store = open_store(folder)
    planned = submission.plan([store.find(name) for name in names], None if linear is None else _linear(linear))
    verdict = submission_folder.write(planned, out)
    record = {**verdict.record, "folder": str(out), "runs": [one.record for one in planned]}
    put(record, submission_text.cells(verdict), as_json)
    for one in planned:
        for what in one.left_out:
            note(f"run {one.run.id}: left out {what}")
    note(f"wrote {out}; check it again at any time: workbench verify {out}")
    return OK


def _linear(file: Path) -> dict[str, dict[str, float]]:
    """Parameters of IOI by the names of our models, whose classes may be named instead.

    Raises ``InvalidSetting`` or ``UnknownName``.
    """
    from engines.submission_names import NETWORKS
    from workbench.submission_code import COEFFICIENTS

    known = {row.name for row in NETWORKS.values()}
    try:
        record = json.loads(file.read_bytes())
        found = {str(name): {key: float(values[key]) for key in COEFFICIENTS} for name, values in record.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidSetting(
            f"--linear {file} cannot be read ({type(error).__name__}: {error}); write JSON such as "
            '{"gpt2": {"bias": 0.3, "token_coeff": 0.6, "position_coeff": 2.2}}'
        ) from None
    given = {NETWORKS[name].name if name in NETWORKS else name: values for name, values in found.items()}
    for name in given:
        if name not in known:
            raise UnknownName("model", name, known)
    return given


def verify(root: Folder, as_json: AsJson = False) -> int:
    """Check every file of an MIB submission, anybody's, and execute none of it; exit code 0 only if all is right.

    \b
    Examples:
      workbench verify mine
      workbench verify theirs --json
    """
    from workbench import submission_check, submission_text

    verdict = submission_check.verify(root)
    put(verdict.record, submission_text.verdict(verdict), as_json)
    return OK if verdict.right else FAILED


def is_submission(address: str) -> bool:
    """Whether an address is a folder on disk: a path to one, or the name of one that holds a cell of the benchmark."""
    from engines.submission_names import FOLDERS

    root = Path(address)
    return root.is_dir() and ("/" in address or any((root / name).is_dir() for name in FOLDERS))


def show(root: Path, as_json: bool) -> None:
    """Show what a submission holds."""
    from workbench import submission_check, submission_text

    verdict = submission_check.verify(root)
    put(verdict.record, submission_text.cells(verdict), as_json)
    if verdict.faults:
        note(f"faults, and sites that have them, are not shown here ({len(verdict.faults)}): workbench verify {root}")


def score(
    root: Folder,
    cell: Annotated[
        str, typer.Option("--cell", metavar="CELL", help="On which data and model, such as mib.mcqa/qwen2.5/answer.")
    ],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of generated rows and of random sites.")] = 0,
    as_json: AsJson = False,
    folder: StoreFolder = None,
) -> int:
    """Score a submission's featurizers on a cell's test pairs, as the benchmark counts, beside every control.

    Nothing of it is executed: its rotations are read as numbers. Rows of mib-like cells are generated, those of mib
    cells are the benchmark's own.

    \b
    Examples:
      workbench score theirs --cell mib.mcqa/qwen2.5/answer_pointer
      workbench score theirs --cell mib-like.mcqa/qwen2.5/answer --seed 1 --json
    """
    from workbench import submission_score, submission_text
    from workbench.narrate import Narrator, tell_steps

    asked = Cell.parse(cell)
    claims = submission_score.claims(root, asked)
    with Narrator() as narrator:
        found = tell_steps(narrator, submission_score.score(asked, claims, seed, open_store(folder)))
    record: dict[str, Any] = {"folder": str(root), "cell": cell, "seed": seed, **found}
    put(record, submission_text.scores(record), as_json)
    return OK
