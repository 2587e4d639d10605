"""Random programs: how many a second are drawn, verified on every input and kept, and where the time goes.

The rate counts everything: the drafts that are not kept, the check of the network on every input, and the other routes.
It is processor time, of which others who use the machine take less away; seconds on the clock stand beside it.
"""

import functools
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from tracr_bridge import generate

CLAIM = "From nothing to verified random programs: drafts, tables, Tracr's passes, the network and its check."
PROGRAMS = 300
STAGES = {
    "draft": "draw operations",
    "read": "build in RASP, infer values",
    "tables": "functions as tables",
    "run": "all inputs by tables",
    "_variables": "answers, variables, interchanges",
    "compile": "Tracr's passes with remedies",
    "lower": "weights into a decoder",
    "agreement": "network against program",
    "weight_hash": "hash of the weights",
}
"""The functions that ``tracr_bridge.generate`` calls, one after the other, and what they do."""


@contextmanager
def watched(spent: dict[str, float], calls: Counter[str]) -> Iterator[None]:
    """Time each stage while the block runs."""

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any) -> Any:
            began = time.process_time()
            try:
                return function(*arguments)
            finally:
                spent[name] += time.process_time() - began
                calls[name] += 1

        return call

    replaced = {name: timed(name, getattr(generate, name)) for name in STAGES}
    with mock.patch.multiple(generate, **replaced):
        yield


def main(count: int) -> None:
    """Print the rate, the time of each stage a kept program, and the counts of rejections."""
    print(CLAIM, "\n")
    generate.manifest(3, seed=1)  # Tracr is imported before the clock starts
    spent: dict[str, float] = defaultdict(float)
    calls: Counter[str] = Counter()
    clock, processor = time.perf_counter(), time.process_time()
    generate.manifest(count, seed=2)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    print(
        f"{count} distinct programs: {count / processor:.1f} a second of processor time, {count / clock:.1f} by clock\n"
    )
    generate.forget()
    with watched(spent, calls):
        found = generate.manifest(count, seed=2)
    print(f"{'stage':34} {'calls':>6} {'ms a call':>10} {'ms a program':>13}")
    for name, what in STAGES.items():
        print(f"{what:34} {calls[name]:6} {1e3 * spent[name] / calls[name]:10.3g} {1e3 * spent[name] / count:13.3g}")
    print("\ndrafts that were not kept:")
    for reason, number in found.rejections.items():
        print(f"{number:6}  {generate.REASONS[reason]}")
    print(f"\n{len(found.duplicates)} programs repeated an earlier one")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else PROGRAMS)
