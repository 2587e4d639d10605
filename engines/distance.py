"""How far the outputs of scrubbed runs are from those of their references."""

from fractions import Fraction

import numpy as np
from torch import Tensor

from engines.column import Column, take
from engines.graph import Plain
from engines.sampling import Law


def distances(plain: Plain, law: Law) -> dict[str, np.ndarray]:
    """For each run, how far the outputs are from those of its reference, by measure.

    ``squared``: mean squared difference. ``kl``: KL(original, scrubbed) of softmaxes over the last axis, mean over the
    others, in nats. ``agreement``: share of equal top answers, or of equal values.
    """
    node = plain.graph.nodes[plain.graph.output]
    found: dict[str, np.ndarray] = {}
    for port, column in law.outputs.items():
        before = take(plain.sum(node.ports[port]), law.references)
        for name, values in _moved(before, column).items():
            found[name if len(law.outputs) == 1 else f"{port} {name}"] = values
    return found


def _moved(before: Column, after: Column) -> dict[str, np.ndarray]:
    if isinstance(before, Tensor) and isinstance(after, Tensor):
        found = {"squared": _per_row((before - after).square())}
        if before.ndim > 1 and before.shape[-1] > 1:
            old, new = before.log_softmax(-1), after.log_softmax(-1)
            found["kl"] = _per_row((old.exp() * (old - new)).sum(-1))
            found["agreement"] = _per_row((before.argmax(-1) == after.argmax(-1)).double())
        return found
    pairs = list(zip(before, after, strict=True))
    found = {"agreement": np.array([float(one == other) for one, other in pairs])}
    if all(isinstance(value, (int, float, Fraction)) for pair in pairs for value in pair):
        found["squared"] = np.array([float((one - other) ** 2) for one, other in pairs])
    return found


def _per_row(values: Tensor) -> np.ndarray:
    return values.detach().double().reshape(len(values), -1).mean(1).cpu().numpy()
