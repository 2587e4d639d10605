"""What can be asked of a cell's network: its heads, neurons and residual stream on the cell's inputs.

    inspection = Inspection(prepare(Cell.parse("rasp.reverse/compiled/opposite")))
    inspection.ask("head", {"layer": 1, "head": 0, "example": 3})

Every answer is a plain record, ready for JSON, with numbers rounded to single precision. A number about many inputs has
its n and its 95 % interval, an effect its controls.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from engines.activations import columns, read, recorded
from engines.answer import AnswerCode, Choice
from engines.errors import InvalidSetting, UnsupportedSite
from engines.site import Site
from tracr_bridge.equivalence import equivalence
from workbench import angles, catalog, effects, heads, labels, neurons, states
from workbench.asking import ask
from workbench.specimen import EXAMPLES, Specimen, alone
from workbench.store import Store


@dataclass(frozen=True, eq=False)
class Inspection:
    """Answers requests about one specimen, and about runs in ``store`` on it; what is dear is computed once."""

    specimen: Specimen
    store: Store | None = None

    def ask(self, request: str, given: Mapping[str, Any]) -> Any:
        """The answer to a request by name; raises ``UnknownName`` or ``InvalidSetting`` for what cannot be asked."""
        return plain(ask(self, REQUESTS, request, given))

    def overview(self) -> dict[str, Any]:
        """What the network is and what can be asked of it."""
        specimen, shape = self.specimen, self.specimen.model.shape
        network = specimen.network
        return {
            "cell": str(specimen.cell),
            "variable": specimen.variable,
            "layers": shape.n_layers,
            "heads": shape.n_heads,
            "neurons": shape.d_mlp,
            "width": shape.d_state or shape.d_model,
            "positions": list(specimen.pairs.base_at),
            "causal": shape.resumes,
            "pairs": specimen.pairs.n,
            "shown": specimen.shown,
            "inputs": specimen.inputs.n,
            "labelled": network is not None,
            "vocabulary": [] if network is None else list(network.truth.program.vocabulary),
            "requests": list(REQUESTS),
        }

    def examples(self, start: int = 0, count: int = 64) -> dict[str, Any]:
        """Pairs from ``start`` on: base and counterfactual with tokens, right answers and the network's."""
        specimen = self.specimen
        first = number("start", start, specimen.shown)
        last = min(first + number("count", count, EXAMPLES + 1), specimen.shown)
        return {
            "n": specimen.pairs.n,
            "shown": specimen.shown,
            "variable": specimen.variable,
            "examples": [specimen.example(row) for row in range(first, last)],
        }

    def own(self, tokens: Sequence[Any]) -> dict[str, Any]:
        """A prompt of the user's own, with the right answers and the network's."""
        return self.specimen.side(self.specimen.prompt(tokens), 0)

    def heads(self, layer: int) -> dict[str, Any]:
        """Every head of a layer: what it attends to, how much it writes, its labels, and its effects on the answers."""
        self._layer(layer, "heads")
        every = [heads.record(self.specimen, layer, head) for head in range(self.specimen.model.shape.n_heads)]
        specimen = self.specimen
        counts = {"inputs": specimen.inputs.n, "pairs": specimen.pairs.n}
        return {"layer": layer, **counts, "heads": every, "note": effects.NOTE}

    def head(self, layer: int, head: int, example: int = 0, tokens: Sequence[Any] | None = None) -> dict[str, Any]:
        """A head's record, and what it does on a base and its counterfactual, or on a prompt of the user's own.

        Of each input (``base`` and ``source``): ``pattern`` [queries][keys]; ``writes`` [queries][directions], in the
        order of ``directions``; ``answer`` is what that adds to the outputs, [queries][answers] (``answers``).
        """
        self._layer(layer, "heads")
        specimen, code = self.specimen, self.specimen.pairs.answer
        number("head", head, specimen.model.shape.n_heads)
        if tokens is not None:
            sides = {"base": specimen.prompt(tokens)}
        else:
            row, pairs = number("example", example, specimen.shown), specimen.pairs
            sides = {"base": alone(pairs.bases, row), "source": alone(pairs.sources, row)}
        named = specimen.directions
        return {
            "layer": layer,
            **heads.record(specimen, layer, head),
            "example": example if tokens is None else None,
            "directions": None if named is None else [label.record for label in named.labels],
            "answers": _answers(code),
            **{name: heads.seen(specimen, batch, layer, head) for name, batch in sides.items()},
        }

    def neurons(self, layer: int) -> dict[str, Any]:
        """Every neuron of a layer: how strong it gets, its label, and its effects on the answers."""
        self._layer(layer, "neurons")
        every = [neurons.record(self.specimen, layer, index) for index in range(self.specimen.model.shape.d_mlp)]
        return {"layer": layer, "inputs": self.specimen.inputs.n, "neurons": every, "note": effects.NOTE}

    def neuron(self, layer: int, index: int, tokens: Sequence[Any] | None = None) -> dict[str, Any]:
        """A neuron's record, where it is strong, its full swap, and what it is on a prompt of the user's own."""
        self._layer(layer, "neurons")
        specimen = self.specimen
        number("index", index, specimen.model.shape.d_mlp)
        prompt = None if tokens is None else specimen.prompt(tokens)
        return {
            "layer": layer,
            "inputs": specimen.inputs.n,
            **neurons.record(specimen, layer, index),
            "answers": _answers(specimen.pairs.answer),
            **neurons.detail(specimen, layer, index),
            "own": None if prompt is None else neurons.own(specimen, layer, index, prompt),
        }

    def residual(self, layer: int, position: str) -> dict[str, Any]:
        """The residual stream after a layer (-1: the embedding), or a recurrent state, at a position of every base.

        ``dims`` are its coordinates, ``directions`` the compiled ones wherever they stand: each with its mean over
        ``n`` bases and its value on the first ``shown`` of them.
        """
        specimen, pairs = self.specimen, self.specimen.pairs
        site = self._stream(layer, position)
        where = columns(site, pairs.base_at, pairs.bases)
        if where.shape[1] != 1:
            known = ", ".join((*pairs.base_at, "t0", "t1"))
            raise InvalidSetting(f"position {position!r} is more than one; choose one, such as {known}")
        states = read(recorded(specimen.model, pairs.bases, [site.port])[site.port], site, where)[:, 0]
        network, named = specimen.network, specimen.directions
        marks = [None] * states.shape[1] if network is None else labels.dimensions(network)
        return {
            "site": str(site),
            "n": pairs.n,
            "shown": specimen.shown,
            "dims": [
                {"dim": at, "label": None if mark is None else mark.record, **self._spread(states[:, at])}
                for at, mark in enumerate(marks)
            ],
            "directions": None
            if named is None
            else [
                {"label": label.record, **self._spread(values)}
                for label, values in zip(named.labels, named.read(states).T, strict=True)
            ],
        }

    def site(self, site: str) -> dict[str, Any]:
        """Any site as a vector: its coordinates or named directions with their means, its effects beside controls."""
        record = states.record(self.specimen, self._site(site))
        return {**record, "answers": _answers(self.specimen.pairs.answer)}

    def states(self, site: str, example: int = 0, tokens: Sequence[Any] | None = None) -> dict[str, Any]:
        """A site's vector on the examples around one, and its component at every token of that example's sides.

        With ``tokens`` it is told at every token of a prompt of the user's own instead (``base``).
        """
        specimen, where = self.specimen, self._site(site)
        row = number("example", example, specimen.shown)
        own = None if tokens is None else {"base": states.along(specimen, where, specimen.prompt(tokens))}
        return {
            "site": str(where),
            "example": None if own else row,
            "examples": states.window(specimen, where, row - row % states.WINDOW),
            "names": list(states.basis(specimen, where).names),
            "answers": _answers(specimen.pairs.answer),
            **(own or states.sides(specimen, where, row)),
        }

    def truth(self) -> dict[str, Any]:
        """The sites that carry the cell's variable, by brute force, if the network is one of which that is ``known``.

        ``whole`` sites may be swapped as they are, at those of ``subspace`` some compiled block of directions may; it
        is established on ``n`` informative pairs of the ``regime``. What nothing carries (``.wrong``) has no site.
        """
        network, cell = self.specimen.network, self.specimen.cell
        if network is None:
            return {"known": False, "whole": [], "subspace": [], "n": 0, "regime": None}
        regime = catalog.asked(cell.task)[1]
        found = equivalence(network, regime).get(cell.variable)
        sites = [] if found is None else [found.whole, found.subspace]
        whole, subspace = ([str(site) for site in sorted(each, key=Site.order)] for each in sites or ((), ()))
        n = 0 if found is None else found.n
        return {"known": True, "whole": whole, "subspace": subspace, "n": n, "regime": regime}

    def angles(self, run: str, site: str | None = None) -> dict[str, Any]:
        """Principal angles between what a run learned at each claimed site, or at ``site``, and the true subspace."""
        if not isinstance(run, str) or not isinstance(site, str | None):
            raise InvalidSetting(f"run {run!r}, site {site!r}: write a run's id, and a site such as 'L1.mlp_out@last'")
        found = (self.store or Store.default()).find(run)
        claims = angles.compare(self.specimen, found, site)
        return {"run": found.id, "variable": self.specimen.variable, "method": found.spec.method, "sites": claims}

    def _spread(self, values: Float[Tensor, " pairs"]) -> dict[str, Any]:
        return {"mean": effects.mean(values[self.specimen.firsts]), "values": values[: self.specimen.shown].tolist()}

    def _layer(self, layer: int, what: str) -> None:
        """Raise ``UnsupportedSite`` for a network without such parts, ``InvalidSetting`` for a layer out of range."""
        shape, name = self.specimen.model.shape, self.specimen.model.name
        if (shape.n_heads if what == "heads" else shape.d_mlp) == 0:
            raise UnsupportedSite(f"{name} has no {what}; ask for its residual stream or its examples")
        number("layer", layer, shape.n_layers)

    def _site(self, text: str) -> Site:
        """A site by its name; raises ``InvalidSite``, ``UnsupportedSite`` or ``InvalidSetting`` for what is none."""
        if not isinstance(text, str):
            raise InvalidSetting(f"site is {text!r}; write a name, such as 'L1.resid_post@last'")
        return states.check(self.specimen, Site.parse(text))

    def _stream(self, layer: int, position: str) -> Site:
        model = self.specimen.model
        if not isinstance(position, str):
            raise InvalidSetting(f"position is {position!r}; write a name, such as 'last' or 't1'")
        if layer == -1 and "embed" in model.components:
            return Site(None, "embed", position)
        component = "resid_post" if "resid_post" in model.components else "state"
        return Site(number("layer", layer, model.shape.n_layers), component, position)


REQUESTS: Mapping[str, Callable[..., dict[str, Any]]] = {
    one.__name__: one
    for one in (
        Inspection.overview,
        Inspection.examples,
        Inspection.own,
        Inspection.heads,
        Inspection.head,
        Inspection.neurons,
        Inspection.neuron,
        Inspection.residual,
        Inspection.site,
        Inspection.states,
        Inspection.truth,
        Inspection.angles,
    )
}
"""Everything that can be asked, by name."""


def _answers(code: AnswerCode) -> list[Any]:
    """What the outputs stand for."""
    return list(code.values) if isinstance(code, Choice) else ["number"]


def number(name: str, given: object, count: int) -> int:
    """``given`` if it counts something, from 0; raises ``InvalidSetting``."""
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < count:
        allowed = f"a whole number from 0 to {count - 1}" if count > 1 else "0, the only one there is"
        raise InvalidSetting(f"{name} is {given!r}; write {allowed}")
    return given


def plain(value: Any) -> Any:
    """``value`` as JSON takes it: numbers in single precision and as short as that is, others than finite as words."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    number = float(value)
    if not math.isfinite(number):
        return "nan" if math.isnan(number) else "inf" if number > 0 else "-inf"
    return float(str(np.float32(number))) + 0.0  # never -0
