"""A DAS step on a language model in three ways: ours, TransformerLens's, and hooks on the network of transformers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformer_lens.tools.analysis import interchange
from transformer_lens.tools.analysis.interchange import LearnedSubspace, SubspaceInterchange

from bench.language import VARIABLE, Language
from engines.activations import capture
from engines.events import drain
from engines.intervene import Jobs, Metered, patched, start_layer
from engines.site import Site
from engines.subspace import Rotations
from engines.task import Pairs, Problem
from engines.training import Schedule, optimise

CLOSE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-3}
"""How near all paths must be before they are timed."""


def codes(pairs: Pairs) -> Tensor:
    """Columns of the answers."""
    return torch.tensor(pairs.answer.columns)


def told(language: Language, pairs: Pairs) -> Callable[[Tensor], Tensor]:
    """The answers' logits of TransformerLens's bridge."""
    columns = codes(pairs)
    return lambda tokens: language.model.bridge(tokens)[:, -1, columns]


@dataclass(frozen=True, eq=False)
class Das:
    """One rotation at one site, trained for some steps in three ways."""

    language: Language
    asked: Problem
    site: Site
    batch: int
    rank: int
    rate: float

    @property
    def hook(self) -> str:
        """TransformerLens's name of the site's component."""
        return f"blocks.{self.site.layer}.hook_resid_post"

    def ours(self, steps: int) -> int:
        """Source vectors and layer inputs cached, layers above the site, columns from the site on; counts layers."""
        pairs, meter, width = self.asked.fit, Metered(self.language.model), self.language.model.shape.d_model
        ready = capture(meter, pairs, [self.site], {start_layer(self.site)})
        start = torch.randn(1, width, self.rank, generator=torch.Generator().manual_seed(0))
        bench = Rotations((self.site,), (torch.eye(width),), (self.rank,), (start,), (), early=False)
        drain(optimise(self.asked, meter, ready, [bench], Schedule(steps, self.batch, self.rate)))
        return meter.layer_evaluations

    def theirs(self, steps: int) -> None:
        """``fit_das``, which goes through all pairs in an epoch."""
        pairs = self.asked.fit
        interchange.fit_das(
            self.language.model.bridge,
            self.hook,
            pairs.bases.tokens,
            pairs.sources.tokens,
            pairs.labels[VARIABLE][:, 0],
            told(self.language, pairs),
            rank=self.rank,
            base_positions=pairs.base_at["last"],
            source_positions=pairs.source_at["last"],
            epochs=steps * self.batch // pairs.n,
            batch_size=self.batch,
            lr=self.rate,
        )

    def hooks(self, steps: int) -> None:
        """Hooks on the network of transformers, every step in full."""
        pairs, generator = self.asked.fit, torch.Generator().manual_seed(0)
        with torch.no_grad():
            source = self.plain(pairs.sources.tokens, None)[0]
        subspace = LearnedSubspace(self.language.model.shape.d_model, self.rank)
        optimiser = torch.optim.Adam(subspace.parameters(), lr=self.rate)
        for _ in range(steps):
            index = torch.randint(pairs.n, (self.batch,), generator=generator)
            swap, theirs = SubspaceInterchange(subspace), source[index]
            _, logits = self.plain(pairs.bases.tokens[index], lambda base, swap=swap, theirs=theirs: swap(base, theirs))
            optimiser.zero_grad()
            cross_entropy(logits, pairs.labels[VARIABLE][index, 0]).backward()
            optimiser.step()

    def plain(self, tokens: Tensor, swap: Callable[[Tensor], Tensor] | None) -> tuple[Tensor, Tensor]:
        """The vectors at the site before any swap, and the answers' logits, of transformers' network."""
        kept: list[Tensor] = []

        def edit(_block: object, _inputs: object, output: Tensor) -> Tensor | None:
            kept.append(output[:, -1])
            return None if swap is None else torch.cat([output[:, :-1], swap(output[:, -1])[:, None]], 1)

        handle = self.language.plain.model.layers[self.site.layer].register_forward_hook(edit)
        try:
            logits = self.language.plain(tokens, use_cache=False).logits[:, -1, codes(self.asked.fit)]
        finally:
            handle.remove()
        return kept[0], logits

    def check(self) -> None:
        """Hold the loss of one rotation and its gradient equal in all three."""
        pairs, index = self.asked.fit, torch.arange(self.batch)
        width = self.language.model.shape.d_model
        start = interchange.random_basis(width, self.rank, seed=0)
        bases, sources, labels = pairs.bases.tokens[index], pairs.sources.tokens[index], pairs.labels[VARIABLE][index]
        ask, bridge, here = told(self.language, pairs), self.language.model.bridge, pairs.base_at["last"][index]
        source = interchange.collect_activations(
            bridge, self.hook, sources, ask, positions=pairs.source_at["last"][index]
        )
        ready = capture(self.language.model, pairs, [self.site], {start_layer(self.site)})

        def cached(basis: Tensor) -> Tensor:
            jobs = [Jobs(self.site, 1, SubspaceInterchange(basis))]
            return patched(self.language.model, ready, jobs, index)[0, :, 0]

        def theirs(basis: Tensor) -> Tensor:
            swap = SubspaceInterchange(basis)
            return interchange.run_with_intervention(bridge, self.hook, swap, bases, source, ask, positions=here)

        def hooks(basis: Tensor) -> Tensor:
            return self.plain(bases, lambda base: SubspaceInterchange(basis)(base, source))[1]

        found = []
        for run in (cached, theirs, hooks):
            basis = start.clone().requires_grad_()
            loss = cross_entropy(run(basis), labels[:, 0])
            loss.backward()
            found.append((loss.detach(), basis.grad))
        for other in found[1:]:
            torch.testing.assert_close(other, found[0], **CLOSE)
