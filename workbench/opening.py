"""Opening a cell's network for inspection: a compiled or small one, or a language model.

Only the modules of the kind that is asked for are imported: those of language models take seconds.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from workbench import catalog
from workbench.spec import Cell
from workbench.store import Store

if TYPE_CHECKING:
    from workbench.inspection import Inspection
    from workbench.prompt_inspection import PromptInspection


def inspection(
    cell: Cell, store: Store | None = None, told: Callable[[str], None] = lambda _: None
) -> "Inspection | PromptInspection":
    """What answers requests about the cell; raises what preparing its specimen raises.

    Small networks run on one thread; a language model on all cores, unless ``OMP_NUM_THREADS`` says how many.
    """
    import torch

    if catalog.prompted(cell.task):
        from workbench import prompt_rows
        from workbench.prompt_inspection import PromptInspection

        if "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(os.cpu_count() or 1)
        return PromptInspection(prompt_rows.prepare(cell, store or Store.default(), told))
    from workbench.inspection import Inspection
    from workbench.specimen import prepare

    torch.set_num_threads(1)
    return Inspection(prepare(cell, store, told), store)
