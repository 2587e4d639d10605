"""How much full swaps at all sites of a language model's cell take, counted before anything is loaded."""

from engines.zoo_folder import Sizes
from workbench.preview import Sweep
from workbench.prompts import asked
from workbench.spec import Spec


def sweep(spec: Spec, sizes: Sizes) -> Sweep | None:
    """The sweep of a cell; None where the number of its rows is known only once they are read."""
    what, rows = asked(spec.cell.task), spec.terms.count(spec.cell.task, "fit")
    if rows is None:
        return None
    task, pairs = what.task, rows * len(what.protocol.sets)  # a row has a source of every counterfactual set
    if task.component == "z":  # a head's own layer runs again, a layer whose output is patched does not
        wide, run = sizes.heads, range(1, sizes.layers + 1)
    else:
        wide, run = len(task.positions), range(sizes.layers)
    return Sweep(wide * sizes.layers, pairs, pairs * (wide * sum(run) + 2 * sizes.layers))
