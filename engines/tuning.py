"""A language model that is trained for a few steps on a task which it cannot do, the same for the same seed.

    minimise  mean over tokens of the answer of -log p(token | prompt, the answer before it),  by AdamW

(Loshchilov & Hutter 2019). Embeddings keep their values, so that what a word is stays what it was, and dropout is off.
Nothing here knows a disk or a task: who calls gives texts as tokens, and keeps the network.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from engines.errors import InvalidSetting, Untrained
from engines.events import Advance, Stage, Steps, Trained
from engines.model import pad
from engines.zoo_folder import Sizes

DECAY = 0.01
"""Weight decay of AdamW, which is PyTorch's own default."""
FAST = frozenset({"amx_bf16", "avx512_bf16"})
"""What a processor says of itself that multiplies bfloat16 faster than float32."""
PROCESSOR = Path("/proc/cpuinfo")
Text = tuple[Sequence[int], Sequence[int]]
"""A prompt and its answer, as tokens."""


@dataclass(frozen=True)
class Recipe:
    """How a model is tuned: optimiser steps, prompts a step, and the learning rate, which stays what it is."""

    steps: int = 25
    batch: int = 16
    learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise InvalidSetting(f"{self.steps} steps of {self.batch} prompts train nothing; give 1 or more of each")
        if not 0 < self.learning_rate < 1:
            raise InvalidSetting(f"learning rate {self.learning_rate} must be above 0 and below 1, such as 0.0001")

    @property
    def prompts(self) -> int:
        """How many prompts are trained on, each once."""
        return self.steps * self.batch


def fast_bfloat16(device: str) -> bool:
    """Whether products in bfloat16 are faster than in float32 on a device: a fact of the machine, not a timing."""
    if device != "cpu":
        return torch.cuda.is_bf16_supported()
    if not PROCESSOR.is_file():
        return False
    flags = (line.partition(":")[2].split() for line in PROCESSOR.read_text().splitlines() if line.startswith("flags"))
    return bool(FAST & set(next(flags, ())))


def need(parameters: int, sizes: Sizes, batch: int, tokens: int) -> int:
    """Bytes of memory that tuning takes: weights in float32, their gradients and two moments, and what a step keeps.

    A step keeps of every layer what its backward pass needs: some twelve vectors of the residual stream's width, four
    of the MLP's, and attention scores three times; and the logits of a few positions.
    """
    frozen = sizes.vocabulary * sizes.width
    kept = batch * tokens * (12 * sizes.width + 4 * sizes.mlp + 3 * sizes.heads * tokens)
    return 4 * (parameters + 3 * max(parameters - frozen, 0) + sizes.layers * kept + 12 * batch * sizes.vocabulary)


def freeze(network: Any) -> list[nn.Parameter]:
    """Let every parameter but embeddings be trained, those of the output too; returns what is trained."""
    network.requires_grad_(True)
    output = network.get_output_embeddings()
    for module in (*network.modules(), *([] if output is None else [output])):
        if isinstance(module, nn.Embedding) or module is output:
            module.requires_grad_(False)
    return [each for each in network.parameters() if each.requires_grad]


def tune(network: Any, texts: Sequence[Text], recipe: Recipe, *, low: bool = False) -> Steps[list[float]]:
    """Train a model of transformers in place on each text once, in their order; returns every step's loss in nats.

    ``low`` has products taken in bfloat16; weights and their moments stay in float32. Raises ``InvalidSetting`` unless
    there are as many texts as the recipe takes, ``Untrained`` for a loss that is no number. However it ends, no
    parameter takes a gradient afterwards.
    """
    if len(texts) != recipe.prompts:
        raise InvalidSetting(f"{recipe.steps} steps of {recipe.batch} take {recipe.prompts} texts, not {len(texts)}")
    network.eval()
    optimiser = torch.optim.AdamW(freeze(network), lr=recipe.learning_rate, weight_decay=DECAY)
    losses: list[float] = []
    yield Stage("tuning", recipe.steps, "steps")
    try:
        for step in range(recipe.steps):
            optimiser.zero_grad()
            value = loss(network, texts[step * recipe.batch : (step + 1) * recipe.batch], low=low)
            losses.append(float(value.detach()))
            if not math.isfinite(losses[-1]):
                raise Untrained(
                    f"the loss of step {step + 1} is {losses[-1]}; choose a learning rate below {recipe.learning_rate}"
                )
            value.backward()
            optimiser.step()
            yield Trained("tuning", step + 1, losses[-1])
            yield Advance(step + 1)
    finally:
        optimiser.zero_grad()
        network.requires_grad_(False)
    return losses


def loss(network: Any, texts: Sequence[Text], *, low: bool = False) -> Float[Tensor, ""]:
    """Cross-entropy of the answers' tokens in nats, each answer's mean first; prompts are padded on the left."""
    device = next(network.parameters()).device
    batch = pad([[*prompt, *answer[:-1]] for prompt, answer in texts])
    longest = max(len(answer) for _, answer in texts)
    labels = torch.full((len(texts), longest), -100)
    for row, (_, answer) in enumerate(texts):
        labels[row, longest - len(answer) :] = torch.tensor(list(answer))
    with torch.autocast(device.type, torch.bfloat16, enabled=low):
        logits = network(
            input_ids=batch.tokens.to(device),
            attention_mask=batch.mask.long().to(device),
            position_ids=(batch.mask.long().cumsum(1) - 1).clamp(min=0).to(device),
            logits_to_keep=longest,
            use_cache=False,
        ).logits
    each = nn.functional.cross_entropy(
        logits.float().transpose(1, 2), labels.to(device), reduction="none", ignore_index=-100
    )
    return (each.sum(1) / (labels != -100).sum(1).to(device)).mean()
