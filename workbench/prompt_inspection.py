"""What can be asked of a language model on a cell's rows: the requests of ``workbench.inspection``, for prompts.

Records have the same fields where they mean the same, so that screens and views are the same; nothing is compiled, so
that no label, direction or truth is known. Heads and neurons are ranked by estimates (``workbench.prompt_effects``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engines.errors import InvalidSetting
from engines.site import Site
from workbench import neurons, prompt_effects, prompt_heads, prompt_neurons, prompt_sites
from workbench.asking import ask
from workbench.inspection import number, plain
from workbench.prompt_specimen import PromptSpecimen
from workbench.specimen import alone
from workbench.states import WINDOW

NO_TRUTH = "no compiled truth for this model"


@dataclass(frozen=True, eq=False)
class PromptInspection:
    """Answers requests about a language model on one cell's rows; what is dear is computed once."""

    specimen: PromptSpecimen

    def ask(self, request: str, given: Mapping[str, Any]) -> Any:
        """The answer to a request by name; raises ``UnknownName`` or ``InvalidSetting`` for what cannot be asked."""
        return plain(ask(self, REQUESTS, request, given))

    def overview(self) -> dict[str, Any]:
        """What the model is, which rows were kept, and what can be asked."""
        specimen, shape = self.specimen, self.specimen.model.shape
        return {
            "cell": str(specimen.cell),
            "variable": specimen.variable,
            "language": True,
            "layers": shape.n_layers,
            "heads": shape.n_heads,
            "key_value_heads": shape.n_kv_heads,
            "neurons": shape.d_mlp,
            "gated": prompt_neurons.gated(specimen),
            "width": shape.d_model,
            "positions": list(specimen.pairs.base_at),
            "causal": True,
            "pairs": specimen.pairs.n,
            "shown": specimen.shown,
            "inputs": specimen.inputs.n,
            "ablated": specimen.few.n,
            "kept": {name: [one.kept, one.of] for name, one in specimen.counts.items()},
            "filtered": specimen.filtered,
            "contrast": specimen.contrast,
            "labelled": False,
            "truth": NO_TRUTH,
            "vocabulary": [],
            "requests": list(REQUESTS),
        }

    def examples(self, start: int = 0, count: int = 64) -> dict[str, Any]:
        """Kept pairs from ``start`` on: base and counterfactual with tokens, right answers and the model's."""
        specimen = self.specimen
        first = number("start", start, specimen.shown)
        last = min(first + number("count", count, specimen.shown + 65), specimen.shown)
        return {
            "n": specimen.pairs.n,
            "shown": specimen.shown,
            "variable": specimen.variable,
            "language": True,
            "filtered": specimen.filtered,
            "contrast": specimen.contrast,
            "examples": [specimen.example(row) for row in range(first, last)],
        }

    def own(self, tokens: Any) -> dict[str, Any]:
        """A prompt of the user's own, one text, with the model's likeliest next tokens."""
        return {"language": True, **self.specimen.side(self.specimen.prompt(tokens))}

    def heads(self, layer: int) -> dict[str, Any]:
        """Every head of a layer: what it attends to, how much it writes, its direct effect, its estimated effect."""
        number("layer", layer, self.specimen.model.shape.n_layers)
        return {"layer": layer, **self._about(), "heads": prompt_heads.listed(self.specimen, layer)}

    def head(self, layer: int, head: int, example: int = 0, tokens: Any = None) -> dict[str, Any]:
        """A head's record, and what it does on a base and its counterfactual, or on a prompt of the user's own."""
        seen = self.head_seen(layer, head, example, tokens)
        return {**seen, **prompt_heads.record(self.specimen, layer, head)}

    def head_seen(self, layer: int, head: int, example: int = 0, tokens: Any = None) -> dict[str, Any]:
        """Of ``head`` what is known at once: without ablations, swaps and estimates."""
        specimen = self.specimen
        number("layer", layer, specimen.model.shape.n_layers)
        number("head", head, specimen.model.shape.n_heads)
        between = None
        if tokens is not None:
            sides = {"base": specimen.prompt(tokens)}
        else:
            row, pairs = number("example", example, specimen.shown), specimen.pairs
            sides = {"base": alone(pairs.bases, row), "source": alone(pairs.sources, row)}
            between = specimen.between[row]
        return {
            "layer": layer,
            **self._about(),
            **prompt_heads.described(specimen, layer, head),
            "example": example if tokens is None else None,
            "directions": None,
            "answers": [],
            **{name: prompt_heads.seen(specimen, batch, layer, head, between) for name, batch in sides.items()},
        }

    def neurons(self, layer: int) -> dict[str, Any]:
        """Every neuron of a layer: how strong it gets, and its estimated effect."""
        number("layer", layer, self.specimen.model.shape.n_layers)
        return {"layer": layer, **self._about(), "neurons": prompt_neurons.listed(self.specimen, layer)}

    def neuron(self, layer: int, index: int, tokens: Any = None) -> dict[str, Any]:
        """A neuron's record, where it is strong, what it writes, and what it is on a prompt of the user's own."""
        seen = self.neuron_seen(layer, index, tokens)
        return {**seen, **prompt_neurons.record(self.specimen, layer, index)}

    def neuron_seen(self, layer: int, index: int, tokens: Any = None) -> dict[str, Any]:
        """Of ``neuron`` what is known at once: without ablations and swaps."""
        specimen = self.specimen
        number("layer", layer, specimen.model.shape.n_layers)
        number("index", index, specimen.model.shape.d_mlp)
        prompt = None if tokens is None else specimen.prompt(tokens)
        return {
            "layer": layer,
            **self._about(),
            **prompt_neurons.described(specimen, layer, index),
            "own": None if prompt is None else neurons.own(specimen, layer, index, prompt),
        }

    def residual(self, layer: int, position: str) -> dict[str, Any]:
        """The residual stream after a layer (-1: the embedding) at a position, in its principal components.

        ``layers`` tells the logit lens of every layer there, on the first example.
        """
        specimen = self.specimen
        shape = specimen.model.shape
        if not isinstance(position, str):
            raise InvalidSetting(f"position is {position!r}; write a name, such as 'last' or 't1'")
        if layer == -1:
            site = Site(None, "embed", position)
        else:
            site = Site(number("layer", layer, shape.n_layers), "resid_post", position)
        known = prompt_sites.basis(specimen, prompt_sites.check(specimen, site))
        values = known.read(prompt_sites.at(specimen, site, "base"))
        return {
            "site": str(site),
            "language": True,
            "n": specimen.pairs.n,
            "shown": specimen.shown,
            "dims": [
                {
                    "dim": name,
                    "label": None,
                    "mean": prompt_effects.mean(values[specimen.firsts, place].double()),
                    "values": values[:, place].tolist(),
                }
                for place, name in enumerate(known.names)
            ],
            "directions": None,
            "contrast": specimen.contrast,
            "layers": prompt_sites.sides(specimen, site, 0)["base"]["layers"],
        }

    def site(self, site: str) -> dict[str, Any]:
        """Any site as a vector: its principal components with their means, its effects beside controls."""
        return prompt_sites.record(self.specimen, self._site(site))

    def states(self, site: str, example: int = 0, tokens: Any = None) -> dict[str, Any]:
        """A site's vector on the examples around one, at every token of that example's sides, and the lens by layer.

        With ``tokens`` it is told at every token of a prompt of the user's own instead (``base``).
        """
        specimen, where = self.specimen, self._site(site)
        row = number("example", example, specimen.shown)
        own = None
        if tokens is not None:
            prompt = specimen.prompt(tokens)
            own = {"base": prompt_sites.along(specimen, where, prompt, prompt.tokens.shape[1] - 1, None)}
        return {
            "site": str(where),
            "language": True,
            "contrast": specimen.contrast,
            "example": None if own else row,
            "examples": prompt_sites.window(specimen, where, row - row % WINDOW),
            "names": list(prompt_sites.basis(specimen, where).names),
            "answers": [],
            **(own or prompt_sites.sides(specimen, where, row)),
        }

    def truth(self) -> dict[str, Any]:
        """Nothing is known of where a language model keeps a variable."""
        return {"language": True, "known": False, "why": NO_TRUTH, "whole": [], "subspace": [], "n": 0, "regime": None}

    def angles(self, run: str, site: str | None = None) -> dict[str, Any]:  # noqa: ARG002 - a request's signature
        """There is no true subspace to hold a run's against."""
        raise InvalidSetting(f"{NO_TRUTH}, so that no angle to a true subspace is defined; look at the run's scores")

    def _about(self) -> dict[str, Any]:
        specimen = self.specimen
        counts = {"inputs": specimen.inputs.n, "ablated": specimen.few.n, "pairs": specimen.swapped.n}
        about = {"language": True, "contrast": specimen.contrast, "filtered": specimen.filtered}
        return {**about, **counts, "note": prompt_effects.NOTE}

    def _site(self, text: str) -> Site:
        if not isinstance(text, str):
            raise InvalidSetting(f"site is {text!r}; write a name, such as 'L1.resid_post@last'")
        return prompt_sites.check(self.specimen, Site.parse(text))


REQUESTS: Mapping[str, Callable[..., dict[str, Any]]] = {
    one.__name__: one
    for one in (
        PromptInspection.overview,
        PromptInspection.examples,
        PromptInspection.own,
        PromptInspection.heads,
        PromptInspection.head,
        PromptInspection.head_seen,
        PromptInspection.neurons,
        PromptInspection.neuron,
        PromptInspection.neuron_seen,
        PromptInspection.residual,
        PromptInspection.site,
        PromptInspection.states,
        PromptInspection.truth,
        PromptInspection.angles,
    )
}
"""Everything that can be asked, by name: the same as of other networks, and what is known of a part at once."""
