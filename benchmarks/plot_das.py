"""PLOT-DAS, which trains where transport points, against DAS at every site."""

from bench.pick import Size, sites
from bench.pick import problem as trained
from bench.timing import alternate, header, publish

from engines.events import drain
from engines.methods.full_das import FullDas
from engines.methods.plot_das import PlotDas
from engines.score import Fit
from engines.task import Problem
from tracr_bridge.task import network
from tracr_bridge.task import problem as compiled

CLAIM = "Finding a variable: transport selects sites and DAS trains there only, or DAS trains everywhere."
PROGRAMS = (("reverse", "opposite"), ("detect_pattern", "after_a"))
TRAINING = {"sizes": (1, 4), "steps": 24, "batch": 16}
FINAL = {"final_steps": 48, "final_batch": 16, "final_restarts": 1}
"""Settings of the trained network, where the methods' own would take minutes; compiled programs have the methods' own.
"""


def problems() -> list[tuple[str, Problem, PlotDas, FullDas]]:
    """Two compiled programs with the methods' own settings, and the trained GPT-2."""
    found = [
        (f"compiled {name}, {variable}", compiled(network(name), variable, 0), PlotDas(), FullDas())
        for name, variable in PROGRAMS
    ]
    size = Size()
    where = sites(size.layers, ("resid_post",), ("second", "question", "yes", "last"))
    ours, everywhere = PlotDas(**TRAINING), FullDas(**TRAINING, **FINAL)
    return [*found, ("GPT-2, less", trained(size, where, 48), ours, everywhere)]


def fit(asked: Problem, method: PlotDas | FullDas) -> Fit:
    """Run a method to its end."""
    return drain(method.fit(asked, {}))[1]


def row(name: str, asked: Problem, ours: PlotDas, everywhere: FullDas) -> list[object]:
    """Time both once each; scoring on test pairs is part of the seconds of both, and of the layers of neither."""
    timed = alternate({"plot_das": lambda: fit(asked, ours), "full_das": lambda: fit(asked, everywhere)}, 1)
    few, many = timed.results["plot_das"], timed.results["full_das"]
    layers = few.cost.layer_evaluations, many.cost.layer_evaluations
    return [
        name,
        len(asked.sites),
        timed.median("plot_das"),
        timed.median("full_das"),
        timed.ratio("full_das", "plot_das"),
        f"{layers[0]:,} / {layers[1]:,}",
        f"{layers[1] / layers[0]:.2f}x",
        f"{few.quality.iia.value:.3f} / {many.quality.iia.value:.3f}",
        f"{few.quality.value:.3f} / {many.quality.value:.3f}",
        f"{timed.peak('plot_das'):.0f} / {timed.peak('full_das'):.0f}",
    ]


def main() -> None:
    """Print one row a problem."""
    header(CLAIM)
    columns = ["problem", "sites", "plot_das s", "full_das s", "seconds", "layer evaluations", "layers", "IIA"]
    publish("plot-das", [*columns, "IIA x invariance", "MiB"], [row(*one) for one in problems()])


if __name__ == "__main__":
    main()
