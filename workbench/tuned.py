"""A language model that is tuned to a task with generated rows, as a folder of its own that says how it was made.

    tune("smollm2", "mib-like.mcqa", Path("models/smollm2-mcqa"), Recipe(), seed=0)

The rows are a split of their own, ``tune``, which no run draws; the folder's ``tuned.json`` remembers every prompt that
was trained on, and a run on the folder leaves out rows that hold one, whatever its seed. Accuracies are of a further
split, before and after, with the model loaded as runs load it. The folder is whole or absent, and none is overwritten.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engines import prompted, sieve, tuning, zoo, zoo_boot
from engines.errors import InvalidSetting, TooLarge, UnknownName
from engines.events import Notice, Stage, Steps
from engines.interval import wilson
from engines.prompted import Encoder
from engines.prompting import Example, Reader
from engines.score import Score
from engines.tuning import Recipe, Text
from engines.zoo import Prospect
from engines.zoo_boot import Loaded
from engines.zoo_room import room
from workbench import catalog, disk, prompts, provenance, rows
from workbench.prompts import Asked
from workbench.taught import MANIFEST, mark, prompts_of
from workbench.terms import device

LESSONS, EXAM = "tune", "tune-exam"
"""The splits that are trained on and that accuracies are of."""
EXAMINED = 200
"""Rows that accuracies are of."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def tune(model: str, task: str, out: Path, recipe: Recipe, *, seed: int) -> Steps[Mapping[str, Any]]:
    """Train ``model`` on generated rows of ``task`` and write the result to the new folder ``out``; its manifest.

    Raises ``InvalidSetting`` for a folder that is there, or whose name cannot be a model's, or a task without generated
    rows; ``UnknownName``, ``MissingModel``, ``TooLarge``; ``InsufficientData`` when there are too few rows.
    """
    what, out = _asked(task), out.expanduser().absolute()
    _check_folder(out)
    if not zoo.knows(model) and not Path(model).is_dir():
        raise UnknownName("model", model, catalog.every_model())
    started = time.monotonic()
    lessons, lesson_rows = _drawn(what, LESSONS, recipe.prompts, seed, frozenset())
    yield Stage(f"loading {model}", None, "")
    loaded = zoo.load(model, device=device(), dtype="float32")
    prospect, folder = loaded.prospect, loaded.prospect.folder
    assert folder is not None  # it has been loaded
    known = prompts_of(folder) | {mark(str(one.base["prompt"])) for one in lessons}
    exam, exam_rows = _drawn(what, EXAM, EXAMINED, seed, known)
    texts = _texts(lessons, what, Encoder(loaded.tokenizer))
    need = _check_room(prospect, recipe, texts, out)
    low = tuning.fast_bfloat16(prospect.device)
    products = "bfloat16" if low else "float32"
    yield Notice(
        f"tuning takes some {need / 1e9:.1f} GB of memory on {prospect.device} and {4 * prospect.parameters / 1e9:.2f} "
        f"GB of disk at {out}; {recipe.prompts} prompts, products in {products}"
    )
    yield Stage(f"accuracy before, {len(exam)} rows", None, "")
    before = _accuracy(loaded, what, exam, model)
    tokenizer = loaded.tokenizer
    del loaded
    network = zoo_boot.network(prospect)
    trained = sum(each.numel() for each in tuning.freeze(network))
    losses = yield from tuning.tune(network, texts, recipe, low=low)
    manifest: dict[str, Any] = {
        "model": {"name": prospect.name, "parameters": prospect.parameters, "sha256": _digest(folder)},
        "licence": "" if prospect.row is None else prospect.row.licence,
        "task": task,
        "variables": list(what.task.variables),
        "protocol": what.protocol.name,
        "seed": seed,
        "recipe": {**asdict(recipe), "optimiser": "AdamW", "weight_decay": tuning.DECAY, "products": products},
        "parameters": {"trained": trained, "frozen": prospect.parameters - trained},
        "losses": losses,
        "rows": {LESSONS: lesson_rows, EXAM: exam_rows},
        "accuracy": {"before": asdict(before)},
        "versions": dict(provenance.versions()),
        "prompts": sorted(known),
    }
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with disk.writing(out):
            draft.mkdir(parents=True)
            with zoo_boot.quiet():
                network.save_pretrained(draft)
                tokenizer.save_pretrained(draft)
        del network
        yield Stage(f"accuracy after, {len(exam)} rows", None, "")
        after = _accuracy(zoo.load(str(draft), device=device(), dtype="float32"), what, exam, out.name)
        manifest["accuracy"]["after"] = asdict(after)
        manifest["seconds"] = round(time.monotonic() - started, 1)
        disk.replace(draft / MANIFEST, disk.encode(manifest, indent=1))
        _check_folder(out)
        with disk.writing(out):
            draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def _asked(name: str) -> Asked:
    what = prompts.asked(name)
    if what.source == "mib" or what.task.generate is None:
        raise InvalidSetting(
            f"{name} has no generated rows, and what the benchmark scores is not trained on; write mib-like.mcqa, or "
            "another task with generated rows"
        )
    return what


def _check_folder(out: Path) -> None:
    """Raise ``InvalidSetting`` unless a model of this name can be put there."""
    if out.exists():
        raise InvalidSetting(f"{out} is there, and nothing is overwritten; give a new folder")
    if NAME.fullmatch(out.name) is None or zoo.find(out.name) is not None:
        raise InvalidSetting(
            f"{out.name!r} cannot be the name of a tuned model; give a folder whose name is of letters, digits and -, "
            "and no known model's, such as smollm2-mcqa"
        )


def _drawn(
    what: Asked, split: str, n: int, seed: int, apart: frozenset[str]
) -> tuple[list[Example], Mapping[str, Any]]:
    """``n`` generated bases, less those whose marks are in ``apart``, each as a pair with itself; and which rows."""
    made = rows.generated(what.task, split, n, seed)
    runs = [
        what.task.causal.run(what.task.read(Reader(row, f"{split} row {number}")))
        for number, row in enumerate(made.rows)
    ]
    fresh = (run for run in runs if mark(str(run["prompt"])) not in apart and what.task.answer(run))
    kept = [Example(run, run, split, "") for run in fresh]
    return kept, {**made.manifest, "left_out": len(runs) - len(kept)}


def _texts(lessons: Sequence[Example], what: Asked, encoder: Encoder) -> list[Text]:
    """Prompts and answers as tokens."""
    return [
        (
            encoder.ids(str(one.base["prompt"])),
            encoder.tokenizer.encode(what.task.answer(one.base), add_special_tokens=False),
        )
        for one in lessons
    ]


def _check_room(prospect: Prospect, recipe: Recipe, texts: Sequence[Text], out: Path) -> int:
    """Bytes of memory that tuning needs; raises ``TooLarge`` when they, or those of disk, are not there."""
    longest = max(len(prompt) + len(answer) for prompt, answer in texts)
    need, there = tuning.need(prospect.parameters, prospect.sizes, recipe.batch, longest), room(prospect.device)
    if there is not None and need > there:
        raise TooLarge(
            f"tuning {prospect.name} takes {need / 1e9:.2f} GB of memory on {prospect.device} and {there / 1e9:.2f} GB "
            "are free; free some, give a smaller --batch, or take a smaller model"
        )
    size = 4 * prospect.parameters
    parent = next(each for each in out.absolute().parents if each.exists())
    if size > (free := shutil.disk_usage(parent).free):
        raise TooLarge(f"{out} takes {size / 1e9:.2f} GB of disk and {free / 1e9:.2f} GB are free; free some")
    return need


def _accuracy(loaded: Loaded, what: Asked, exam: Sequence[Example], model: str) -> Score:
    """The share of prompts that a model does rightly by the task's protocol, with its 95 % interval."""
    protocol = what.protocol
    new = protocol.new_tokens.get(model, protocol.new_tokens.get("", 0))
    bound = prompted.bind(what.task, loaded.tokenizer, exam)
    kept, _ = sieve.able(loaded.model, bound, exam, protocol, new)
    return wilson(len(kept), len(exam))


def _digest(folder: Path) -> str:
    """The beginning of a hash of all weight files."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]
