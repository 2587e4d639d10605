"""Rows of a language model's cell that the model does rightly, as the specimen of its inspection.

Rows are those of the cell's test split with seed 0, looked at block by block until enough are kept.
"""

from collections import Counter
from collections.abc import Callable

from engines import prompted, sieve, zoo
from engines.errors import InsufficientData, UnknownName
from engines.prompting import SPLITS, Example, examples
from engines.sieve import Kept
from workbench import prompts, rows
from workbench.prompt_specimen import PromptSpecimen
from workbench.spec import Cell
from workbench.specimen import SEED
from workbench.store import Store
from workbench.taught import untaught
from workbench.terms import Terms, device

BLOCK, ENOUGH = 32, 24
"""Rows that are looked at together, and after how many kept ones no more are."""


def prepare(cell: Cell, store: Store, told: Callable[[str], None] = lambda _: None) -> PromptSpecimen:  # noqa: ARG001
    """The specimen of a language model's cell; nothing is trained, so that there is nothing to tell of.

    Raises ``UnknownName`` for a variable that the task does not have, ``InsufficientData`` when the model does no row
    rightly, and what looking for rows and loading the model raise.
    """
    what = prompts.asked(cell.task)
    task = what.task
    if cell.variable not in task.variables:
        raise UnknownName(f"variable of {task.name}", cell.variable, task.variables)
    parts: dict[str, list[Example]] = {}
    for split in SPLITS:
        if what.source == "mib":
            found = rows.published(task, split, prompts.PUBLISHED[split], store)
        else:
            found = rows.generated(task, split, prompts.GENERATED[split], SEED)
        parts[split], _ = examples(task, split, found.rows, what.protocol.sets)
    parts, _ = sieve.apart(parts)
    loaded = zoo.load(cell.model, device=device(), dtype=Terms.asked(cell.task, cell.model).dtype)
    parts, _ = untaught(parts, loaded.prospect.folder)
    bound = prompted.bind(task, loaded.tokenizer, [one for part in parts.values() for one in part])
    new_tokens = what.protocol.new_tokens.get(cell.model, what.protocol.new_tokens.get("", 0))
    kept: list[Example] = []
    did: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    for start in range(0, len(parts["test"]), BLOCK):
        able, counts = sieve.able(loaded.model, bound, parts["test"][start : start + BLOCK], what.protocol, new_tokens)
        if task.component == "z":
            able, _ = sieve.aligned(bound, able)
        kept += able
        did.update(one.family for one in able)
        tried.update({name: one.of for name, one in counts.items()})
        if len(kept) >= ENOUGH:
            break
    counts = {name: Kept(did[name], of) for name, of in tried.items()}
    if not kept:
        looked = ", ".join(f"{name} 0 of {one.of}" for name, one in counts.items())
        raise InsufficientData(
            f"{task.name}: {cell.model} does no test row right on both sides ({looked}), so that there is nothing to "
            "look at; choose a model that can do the task"
        )
    return PromptSpecimen(cell, loaded.model, bound, kept, prompted.pairs_of(bound, kept), counts)
