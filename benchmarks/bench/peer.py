"""pyvene as its own documentation uses it, on the same weights in the same process.

It is no dependency of the project: `make bench` installs it, with the few packages that it needs to be imported, into a
folder that only benchmarks put on their path, beside the project's own torch and transformers.
"""

import contextlib
import importlib
import io
import logging
import sys
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import GPT2LMHeadModel

from bench.timing import BUILD
from engines.intervene import start_layer
from engines.site import Site
from engines.task import Pairs

COMPONENTS = {"resid_post": "block_output", "attn_out": "attention_output", "mlp_out": "mlp_output"}


def pyvene() -> ModuleType:
    """Import pyvene from the folder of peers."""
    folder = str(BUILD / "peers")
    if folder not in sys.path:
        sys.path.append(folder)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints that an optional backend is missing
        found = importlib.import_module("pyvene")
    logging.getLogger().setLevel(logging.ERROR)
    return found


@dataclass
class Peer:
    """A network of transformers with pyvene's interventions.

    ``layers`` counts layers computed for one sequence as ``engines.intervene.Metered`` does. They are counted here and
    not by hooks on the blocks, because pyvene removes every hook of the network after each call.
    """

    network: GPT2LMHeadModel
    layers: int = 0
    library: Any = field(default_factory=pyvene)

    def swap(self, site: Site) -> Any:
        """A full swap at one site."""
        return self._intervenable(site, self.library.VanillaIntervention, None)

    def rotation(self, site: Site, size: int) -> Any:
        """A trainable rotation of which ``size`` dimensions are swapped."""
        return self._intervenable(site, self.library.LowRankRotatedSpaceIntervention, size)

    def _intervenable(self, site: Site, kind: Any, size: int | None) -> Any:
        where = self.library.RepresentationConfig(
            site.layer, COMPONENTS[site.component], "pos", 1, low_rank_dimension=size
        )
        config = self.library.IntervenableConfig([where], intervention_types=kind)
        intervenable = self.library.IntervenableModel(config, self.network)
        intervenable.set_device("cpu")
        return intervenable

    def outputs(
        self, intervenable: Any, pairs: Pairs, site: Site, index: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch words"]:
        """Logits of every word at the answer; pyvene runs the sources in full, then the bases in full."""
        _, found = intervenable(
            {"input_ids": pairs.bases.tokens[index]},
            [{"input_ids": pairs.sources.tokens[index]}],
            {
                "sources->base": (
                    [pairs.source_at[site.position][index, None].tolist()],
                    [pairs.base_at[site.position][index, None].tolist()],
                )
            },
            use_cache=False,
        )
        logits, depth = (
            found.logits[torch.arange(len(index)), pairs.answers_at[index, 0]],
            len(self.network.transformer.h),
        )
        self.layers += 2 * depth * len(index)
        if logits.requires_grad:  # backward reaches down to the site only
            self.layers += (depth - start_layer(site)) * len(index)
        return logits
