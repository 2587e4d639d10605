"""Our methods on the small networks of PLOT (arXiv 2605.06979), beside the figures of the paper and its code.

    python benchmarks/paper.py > benchmarks/PAPER.md

Three networks of each kind, trained here from seeds 0 to 2 (the trained weights are kept with the user's runs). Adder:
0.5 (IIA + invariance) as the paper's "combined". Equality: exact agreement on all test pairs.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from engines.events import drain
from engines.methods.full_das import FullDas
from engines.methods.plot_soft import PlotSoft
from engines.registry import load
from engines.report import report
from engines.score import Score, wilson
from engines.subspace import Training, claims, train
from workbench import catalog
from workbench.spec import Cell
from workbench.store import Store
from workbench.trained import networks, prepared

SEEDS = (0, 1, 2)
MORE = tuple(range(8))
"""Networks of the equality: settings were chosen on the first three, and the others say what that is worth."""
PATIENT = Training(sizes=(8, 12), steps=1000, batch=256, learning_rate=0.02, restarts=1, early=False)
"""Hundreds of steps: on equality the loss may stand still before it falls, which early stopping takes for the end."""
ADDER = {
    "full_swap": "full vector .758 (h8, mean of C1-C3)",
    "plot": "shared OT .758, anchored OT .819 (h8)",
    "plot_soft": "shared OT .758, anchored OT .819 (h8)",
    "plot_das": "guided DAS .980 (h16), 15.2 s",
    "full_das": "full DAS .983 (h16), 54.7 s",
}
MANY = PlotSoft(top_k=(4, 5, 6, 7, 8), pairs=None)
"""All fit pairs, and up to as many neurons as an equality has dimensions."""
BALANCED = replace(MANY, coupling="balanced")
"""As published for this task: WX and YZ compete for neurons."""
SETTINGS: dict[str, PlotSoft | FullDas] = {
    "plot_soft, 4 to 8 sites": MANY,
    "plot_soft, balanced, 4 to 8 sites": BALANCED,
    "full_das, batches of 128": FullDas(final_batch=128),
}
"""Methods that are not as shipped."""
EQUALITY = {
    "plot": "OT .993",
    "plot_soft": "OT .993",
    "plot_soft, 4 to 8 sites": "OT .993",
    "plot_soft, balanced, 4 to 8 sites": "OT .993",
    "full_das": "DAS .996",
    "full_das, batches of 128": "DAS .996",
    "patient DAS": "DAS .996",
}


@dataclass(frozen=True)
class Row:
    """One method on one cell in one network."""

    variable: str
    site: str
    sensitivity: Score
    invariance: Score
    seconds: float

    @property
    def combined(self) -> float:
        """The paper's score for the adder."""
        return 0.5 * (self.sensitivity.value + self.invariance.value)

    @property
    def agreement(self) -> Score:
        """Over all test pairs, whether the label changes or not."""
        right = sum(score.value * score.n for score in (self.sensitivity, self.invariance))
        return wilson(right, self.sensitivity.n + self.invariance.n)


def run(cell: Cell, method: str, seed: int) -> Row:
    """Fit and score one method; building the problem is not in its seconds, the search and the score are."""
    problem = drain(prepared(cell, seed, networks(Store.default())))[1]
    began = time.perf_counter()
    if method == "patient DAS":
        sites = [site for site in problem.sites if site.span is None]
        fit = drain(report(problem, claims(drain(train(problem, sites, PATIENT, {}))[1]), {}))[1]
    else:
        chosen = SETTINGS.get(method) or load(catalog.METHODS, method, "METHOD", "method")()
        fit = drain(chosen.fit(problem, {}))[1]
    seconds = time.perf_counter() - began
    assert fit.quality.invariance is not None  # both tasks have pairs that must not change
    return Row(cell.variable, str(fit.handles[0].site), fit.quality.iia, fit.quality.invariance, seconds)


def told(score: Score) -> str:
    """A share with its interval and size."""
    return f"{score.value:.3f} [{score.low:.3f}, {score.high:.3f}] n={score.n}"


def table(title: str, model: str, variables: Sequence[str], *, paper: dict[str, str], seeds: Sequence[int]) -> None:
    """One Markdown table, a line for each method and network."""
    print(f"## {title}\n\n| method | network | sites | by variable | mean | s, all variables | paper |")
    print("|---|---|---|---|---|---|---|")
    for method, figure in paper.items():
        for seed in seeds:
            rows = [run(Cell.parse(f"{model}/{name}"), method, seed) for name in variables]
            adder = model.startswith("adder")
            values = [row.combined if adder else row.agreement.value for row in rows]
            each = "; ".join(
                f"{row.variable}: sens. {told(row.sensitivity)}, inv. {told(row.invariance)}"
                if adder
                else f"{row.variable}: {told(row.agreement)}"
                for row in rows
            )
            sites, seconds = ", ".join(row.site for row in rows), sum(row.seconds for row in rows)
            mean = sum(values) / len(values)
            print(f"| {method} | {seed} | {sites} | {each} | {mean:.4f} | {seconds:.1f} | {figure} |", flush=True)
    print()


def main() -> None:
    """Both tables, and what they do not say by themselves."""
    torch.set_num_threads(1)
    print(
        "# Small networks, beside the paper\n\nMade by `python benchmarks/paper.py`; see there for what is measured.\n"
    )
    table("4-bit adder, 16 units, mean of C1 to C3", "adder/gru16", ("C1", "C2", "C3"), paper=ADDER, seeds=SEEDS)
    table("Hierarchical equality", "equality/mlp", ("WX", "YZ"), paper=EQUALITY, seeds=MORE)
    print(REMARKS, end="")


REMARKS = """## How to read it

- Networks, pairs and hardware are not the paper's: ours are trained here, with test bases apart from fit and
  calibration, on one thread of a shared machine. Its figures are from its code's documents; its tables are not public.
- Without training, whole states and blocks are swapped, and a state holds a sum bit too: what `full_swap`, `plot` and
  `plot_soft` reach on the adder is bounded by that, in the paper as here. Only a subspace can be right on every pair.
- Equality is held in the first layer, by five or six neurons at once that are swapped in full. Which ones is what soft
  PLOT must find, and there the coupling decides: with one-sided coupling, where sites may refuse mass, network 0 takes
  a neuron of the second layer for the fifth of WX and ends at .892; with balanced coupling, as published for this task,
  WX and YZ compete for neurons, and networks 0 to 2 reach .999, 1.000 and 1.000 (the bar is .99). That setting was
  chosen with the scores of these three in view. On the five others it reaches .99 three times; network 3 ends at .988
  and network 4, on which DAS is worst too, at .883. It needs all fit pairs: on 32 it ends between .88 and .92.
- Strength does not replace neurons. With the limit on strengths lifted to 8, one to four neurons of the one-sided
  ranking, each count with the strength that is best on calibration pairs, end on networks 0 to 2 at .57 to .59 (one
  neuron, driven 5 to 8 times), .69 to .81 (two), .85 to .89 (three) and .92 to .96 (four, at 1.5 to 2.5), by variable.
  Among 1 to 12 neurons of the balanced ranking and strengths up to 8, networks 0 to 3 end where they did with 4 to 8
  neurons and strengths up to 1, and network 4 at .941. The paper reports .990 for
  one neuron at strength 6.2, on one network and on a bank of its own ("shared_balanced_wx_yz_only"), which we do not
  have: the figures are not measured on like pairs. That neurons can be right is sure for networks 0 to 2: of all 65,535
  sets of the first layer, the best on calibration pairs is right on .998 or more of the test pairs.
- `full_das` trains its finalists on batches of 32 pairs and ends at .994 to .999 on networks 0 to 2. With batches of
  128 at equal steps it passes .995 on all three, and on seven of eight (network 4: .965 as shipped, .979 so), for 2.2
  times the layers. More steps alone (400) reach .9953, .9980 and .9957 for 5 % more, within rounding of the bar.
- `patient DAS` is DAS of ranks 8 and 12 on all three layers for 1,000 steps, without early stopping; `full_das` is as
  shipped.
- Weight decay in the training of the equality networks is ours. Without it DAS ends between .78 and .997, by network.
"""


if __name__ == "__main__":
    main()
