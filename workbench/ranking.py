"""By what the parts of a layer are listed: what mean ablation adds, exactly, or estimated where that is too dear.

Of small networks every part is ablated and the loss is told; of language models a part's effect on the difference of
two answers' logits is estimated to first order.
"""

from collections.abc import Mapping
from typing import Any

Record = Mapping[str, Any]
NONE: Record = {"value": 0.0, "low": None, "high": None, "n": 0}
"""The effect of a part of which nothing can be estimated: no input has two answers to tell apart."""


def effect(one: Record) -> Record:
    """A part's number with its interval and n."""
    if "estimate" in one:
        return one["estimate"] or NONE
    return one["ablations"]["mean"]["loss"]


def meaning(record: Record) -> str:
    """What the numbers of a list are, with n."""
    if "ablated" in record:
        return f"logit difference, mean ablation, 1st order, n {record['ablated']}"
    return f"loss added by mean ablation, n {record['inputs']}"
