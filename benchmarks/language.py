"""A language model's DAS step, full swaps and first-order effects against TransformerLens's own, and plain hooks.

    python benchmarks/language.py            SmolLM2-135M, or random weights where its package is not at hand
    python benchmarks/language.py --tiny     random weights of 4 layers, to see that it runs

All paths have the same weights, pairs and answers, and are held equal before they are timed. TransformerLens's tools
are used as their documentation does:

- interchange runs the sources in full for each site, then the bases in full; patching has one run of the sources in a
  cache and runs the bases in full for each site; both make the logits of every word at every position;
- ``fit_das`` and the plain loop collect source vectors once; then every step runs all layers forward, and the layers
  above the site backward. The plain loop is transformers' own network with its fused attention;
- attribution runs one pair after another: the source forward, the base forward and backward.
"""

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

os.environ.setdefault("TQDM_DISABLE", "1")

import pandas as pd
import torch
from bench.language import VARIABLE, Language, Sizes, found
from bench.pick import first
from bench.step import CLOSE, Das, codes, told
from bench.timing import Timed, alternate, header, publish
from jaxtyping import Float
from torch import Tensor
from transformer_lens import patching
from transformer_lens.tools.analysis import interchange
from transformer_lens.tools.analysis.attribution_patching import Node, attribution_patch

from engines.attribution import Attribution, attribute
from engines.evaluation import Sweep, full, sweep
from engines.events import drain
from engines.intervene import start_layer
from engines.site import Site
from engines.task import Problem

CLAIM = "A language model: a DAS step, full swaps and first-order effects, beside TransformerLens's own tools."
OURS, THEIRS, HOOKS = "ours", "TransformerLens", "hooks on transformers"
TINY = Sizes(layers=4, width=48, heads=3, kv_heads=1, hidden=96, vocabulary=2000, tokens=10)


@dataclass(frozen=True)
class Plan:
    """How much is run.

    Pairs of each part; steps, batch, rank and learning rate of DAS, and the depth of its site; depths and the column of
    the swaps (besides the last one). ``few`` steps are taken off, so that a step is timed without what comes before.
    """

    rounds: int = 2
    pairs: int = 32
    steps: int = 10
    few: int = 2
    batch: int = 16
    rank: int = 32
    rate: float = 5e-3
    depth: float = 22 / 30
    swapped: int = 16
    depths: tuple[float, ...] = (0.1, 0.4, 0.75)
    column: int = 9
    attributed: int = 8


def problem(language: Language, count: int, *sites: Site) -> Problem:
    """All parts have the first ``count`` pairs: nothing is chosen or scored here."""
    pairs = first(language.pairs, count)
    name, model = language.name, language.model
    return Problem(name, model, pairs.answer, VARIABLE, (VARIABLE,), sites, pairs, pairs, pairs, seed=0)


def das(language: Language, plan: Plan) -> None:
    """One row a path: what a step costs, without what comes before the first."""
    shape = language.model.shape
    site = Site(language.layer(plan.depth), "resid_post", "last")
    run = Das(language, problem(language, plan.pairs, site), site, plan.batch, plan.rank, plan.rate)
    run.check()
    paths = {OURS: run.ours, THEIRS: run.theirs, HOOKS: run.hooks}
    for path in paths.values():
        path(plan.few)
    lengths = {"many": plan.few + plan.steps, "few": plan.few}
    timed = alternate(
        {
            f"{name}, {length}": lambda path=path, steps=steps: path(steps)
            for name, path in paths.items()
            for length, steps in lengths.items()
        },
        plan.rounds,
    )
    steps = Timed({name: _step(timed, name, plan) for name in paths}, {}, {})
    above = shape.n_layers - start_layer(site)
    layers = (timed.results[f"{OURS}, many"] - timed.results[f"{OURS}, few"]) / plan.steps
    whole = plan.batch * (shape.n_layers + above)
    counts: Mapping[str, float] = {OURS: layers, THEIRS: whole, HOOKS: whole}
    rows = [
        [
            language.name,
            path,
            f"{site}, rank {plan.rank}, batch {plan.batch}",
            1000 * steps.median(path),
            steps.ratio(path, OURS),
            round(counts[path]),
            f"{counts[path] / layers:.2f}x",
            timed.peak(f"{path}, many"),
        ]
        for path in paths
    ]
    columns = [
        "network",
        "path",
        "rotation",
        "ms a step",
        "ms / ours",
        "layer evaluations a step",
        "layers / ours",
        "MiB",
    ]
    publish("language-das", columns, rows, ("transformer-lens",))


def _step(timed: Timed, name: str, plan: Plan) -> tuple[float, ...]:
    """Seconds of a step, each round: what more steps cost more."""
    both = zip(timed.seconds[f"{name}, many"], timed.seconds[f"{name}, few"], strict=True)
    return tuple((many - few) / plan.steps for many, few in both)


def swaps(language: Language, plan: Plan) -> None:
    """Full swaps of the residual stream before some layers, at one column and the last."""
    layers = [language.layer(depth) for depth in plan.depths]
    last = language.pairs.bases.tokens.shape[1] - 1
    where = {f"t{min(plan.column, last - 1)}": min(plan.column, last - 1), "last": last}
    sites = {Site(layer, "resid_pre", at): (layer, column) for layer in layers for at, column in where.items()}
    asked = problem(language, plan.swapped, *sites)
    pairs, bridge, n = asked.fit, language.model.bridge, asked.fit.n
    labels, own, columns = pairs.labels[VARIABLE], pairs.base_labels, codes(pairs)
    table = pd.DataFrame(list(sites.values()), columns=pd.Index(["layer", "pos"]))

    def cached() -> Sweep:
        return drain(sweep(language.model, pairs, full(language.model, sites), {}))[1]

    def lead(logits: Tensor) -> Float[Tensor, " pairs"]:
        return asked.answer.lead(logits[:, -1:, columns], labels, own)

    def patching_() -> Tensor:
        names = [f"blocks.{layer}.hook_resid_pre" for layer in layers]
        with torch.no_grad():
            clean = bridge.run_with_cache(pairs.sources.tokens, names_filter=names)[1]
            return patching.generic_activation_patch(
                bridge,  # pyright: ignore[reportArgumentType]
                pairs.bases.tokens,
                clean,
                lead,
                patching.layer_pos_patch_setter,
                "resid_pre",
                index_df=table,
                reduce="none",
            ).values

    def by_site() -> Tensor:
        made = []
        for layer, column in sites.values():
            hook, at = f"blocks.{layer}.hook_resid_pre", torch.full((n,), column)
            ask = told(language, pairs)
            source = interchange.collect_activations(bridge, hook, pairs.sources.tokens, ask, positions=at)
            made.append(
                interchange.intervened_logits(
                    bridge, hook, lambda _base, source: source, pairs.bases.tokens, source, ask, positions=at
                )
            )
        return torch.stack(made)

    swept = cached()
    torch.testing.assert_close(by_site(), swept.outputs[:, :, 0], **CLOSE)
    ours = torch.stack([asked.answer.lead(outputs, labels, own) for outputs in swept.outputs])
    torch.testing.assert_close(patching_(), ours, **CLOSE)
    paths = {OURS: cached, f"{THEIRS}, patching": patching_, f"{THEIRS}, interchange": by_site}
    depth = language.model.shape.n_layers
    counts = dict(
        zip(
            paths, (swept.cost.layer_evaluations, (1 + len(sites)) * n * depth, 2 * len(sites) * n * depth), strict=True
        )
    )
    _compare("language-sweep", language, alternate(paths, plan.rounds), counts, len(sites), n)


def effects(language: Language, plan: Plan) -> None:
    """First-order effects of the embedding, every MLP and every head at every column."""
    shape, width = language.model.shape, language.pairs.bases.tokens.shape[1]
    sites: dict[Node, Site] = {}
    for at in range(width):
        sites[Node("embed", at)] = Site(None, "embed", f"t{at}")
        for layer in range(shape.n_layers):
            sites[Node("mlp_out", at, layer)] = Site(layer, "mlp_out", f"t{at}")
            for head in range(shape.n_heads):
                sites[Node("attn_head_out", at, layer, head)] = Site(layer, "z", f"t{at}", head)
    asked = problem(language, plan.attributed, *sites.values())
    pairs, bridge, columns = asked.fit, language.model.bridge, codes(asked.fit)

    def ours() -> Attribution:
        return drain(attribute(asked, asked.sites, {}))[1]

    def theirs() -> Tensor:
        totals, unit = torch.zeros(len(sites), dtype=torch.float64), 0.0
        bridge.requires_grad_(True)  # as they come, and as it needs them
        try:
            for row in range(pairs.n):
                index = torch.tensor([row])
                labels, own = pairs.labels[VARIABLE][index], pairs.base_labels[index]
                leads: list[float] = []

                def lead(
                    logits: Tensor, labels: Tensor = labels, own: Tensor = own, leads: list[float] = leads
                ) -> Tensor:
                    found = asked.answer.lead(logits[:, -1:, columns], labels, own).sum()
                    leads.append(float(found.detach()))
                    return found

                clean, corrupt = pairs.sources.tokens[index], pairs.bases.tokens[index]
                scores = attribution_patch(bridge, clean, corrupt, lead).node_scores
                totals += torch.tensor([scores[node] for node in sites], dtype=torch.float64)
                unit += 2 * abs(leads[-1])
        finally:
            bridge.requires_grad_(False)
        return totals / unit

    found, expected = ours(), theirs()
    largest = float(expected.abs().max())
    torch.testing.assert_close(found.effects, expected, rtol=1e-3, atol=1e-3 * largest)
    depth, n = shape.n_layers, pairs.n
    timed = alternate({OURS: ours, f"{THEIRS}, attribution": theirs}, plan.rounds)
    counts = {OURS: found.cost.layer_evaluations, f"{THEIRS}, attribution": 3 * n * depth}
    _compare("language-attribution", language, timed, counts, len(sites), n)


def _compare(table: str, language: Language, timed: Timed, counts: Mapping[str, int], sites: int, pairs: int) -> None:
    rows = [
        [
            language.name,
            path,
            sites,
            pairs,
            timed.median(path),
            timed.ratio(path, OURS),
            count,
            f"{count / counts[OURS]:.2f}x",
            timed.peak(path),
        ]
        for path, count in counts.items()
    ]
    columns = [
        "network",
        "path",
        "sites",
        "pairs",
        "seconds",
        "seconds / ours",
        "layer evaluations",
        "layers / ours",
        "MiB",
    ]
    publish(table, columns, rows, ("transformer-lens",))


def main() -> None:
    """Three tables."""
    parser = argparse.ArgumentParser(description=CLAIM)
    parser.add_argument("--tiny", action="store_true", help="random weights of 4 layers, to see that it runs")
    parser.add_argument("--rounds", type=int, default=Plan.rounds, help="rounds of each table")
    parser.add_argument("--steps", type=int, default=Plan.steps, help="DAS steps that are timed, an even number")
    given = parser.parse_args()
    plan = replace(Plan(), rounds=given.rounds, steps=given.steps)
    if plan.steps % 2 or plan.steps < 2:
        parser.error(
            f"--steps {plan.steps}: give an even number, for {plan.pairs} pairs are two batches of {plan.batch}"
        )
    header(CLAIM)
    language = found(plan.pairs, TINY if given.tiny else None)
    das(language, plan)
    swaps(language, plan)
    effects(language, plan)


if __name__ == "__main__":
    main()
