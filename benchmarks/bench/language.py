"""A language model for benchmarks: SmolLM2-135M where its package is at hand, else random weights of the same sizes.

Prompts are those of indirect object identification, all of one length, because TransformerLens's patching takes one
column for all rows; on random weights they are random tokens, as many.
"""

import copy
import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from engines import zoo
from engines.answer import Choice
from engines.bridge_model import BridgeModel
from engines.language.ioi import TASK
from engines.model import Batch
from engines.prompted import bind, pairs_of
from engines.prompting import examples
from engines.task import Pairs
from workbench import rows

os.environ.setdefault("HF_HUB_OFFLINE", "1")

VARIABLE, SET, ROWS = "output_token", "s2_io_flip", 400
"""The variable that is asked for, the counterfactual set that changes it, and the rows of which some are taken."""
ANSWERS = 76
"""Answers that random weights are asked for: as many as there are names."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of the random network, those of SmolLM2-135M, and how many tokens its prompts have."""

    layers: int = 30
    width: int = 576
    heads: int = 9
    kv_heads: int = 3
    hidden: int = 1536
    vocabulary: int = 49152
    tokens: int = 14

    @property
    def config(self) -> LlamaConfig:
        """As transformers wants it; weights large enough that a wrong edit does not hide in rounding."""
        return LlamaConfig(
            vocab_size=self.vocabulary,
            hidden_size=self.width,
            intermediate_size=self.hidden,
            num_hidden_layers=self.layers,
            num_attention_heads=self.heads,
            num_key_value_heads=self.kv_heads,
            max_position_embeddings=max(64, self.tokens),
            initializer_range=0.05,
            tie_word_embeddings=True,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )


@dataclass(frozen=True, eq=False)
class Language:
    """One network twice, behind our protocol and as transformers has it, and pairs of one length."""

    name: str
    model: BridgeModel
    plain: Any
    pairs: Pairs

    def layer(self, share: float) -> int:
        """The layer at so much of the depth."""
        return min(int(share * self.model.shape.n_layers), self.model.shape.n_layers - 1)


def found(count: int, tiny: Sizes | None = None) -> Language:
    """The network with ``count`` pairs; ``tiny`` asks for random weights of these sizes."""
    prospect = zoo.look("smollm2")
    if tiny is not None or prospect.obstacle:
        why = "" if tiny else f"SmolLM2 is not here ({prospect.obstacle}); random weights of its sizes stand in\n"
        print(why, end="")
        return drawn(tiny or Sizes(), count)
    loaded = zoo.load("smollm2")
    folder = loaded.prospect.folder
    assert folder is not None  # it was loaded from there
    plain = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    every, _ = examples(TASK, "train", rows.generated(TASK, "train", ROWS, 0).rows, (SET,))
    bound = bind(TASK, loaded.tokenizer, every)
    lengths = [tuple(len(bound.encoder.ids(str(run["prompt"]))) for run in (one.base, one.source)) for one in every]
    usual = Counter(lengths).most_common(1)[0][0]
    alike = [one for one, length in zip(every, lengths, strict=True) if length == usual]
    return Language("SmolLM2-135M", loaded.model, plain.eval().requires_grad_(False), pairs_of(bound, alike[:count]))


def drawn(sizes: Sizes, count: int) -> Language:
    """Random weights and random tokens from seed 0; labels say nothing."""
    torch.manual_seed(0)
    plain = LlamaForCausalLM(sizes.config).eval().requires_grad_(False)
    words = WordLevel({f"t{token}": token for token in range(8)}, unk_token="t0")
    own = {"unk_token": "t0", "pad_token": "t0", "bos_token": "t1", "eos_token": "t2"}
    with tempfile.TemporaryDirectory() as folder:  # a bridge takes only a tokenizer that was loaded from somewhere
        PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), **own).save_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        bridge = TransformerBridge.boot_transformers(
            "random", hf_model=copy.deepcopy(plain), tokenizer=tokenizer, device="cpu"
        )
    generator = torch.Generator().manual_seed(0)

    def prompts() -> Batch:
        tokens = torch.randint(3, sizes.vocabulary, (count, sizes.tokens), generator=generator)
        return Batch(tokens, torch.ones_like(tokens, dtype=torch.bool))

    last = torch.full((count,), sizes.tokens - 1)
    codes = torch.randperm(sizes.vocabulary - 3, generator=generator)[:ANSWERS] + 3
    labels = torch.randint(ANSWERS // 2, (count, 1), generator=generator)
    pairs = Pairs(
        bases=prompts(),
        sources=prompts(),
        base_at={"last": last},
        source_at={"last": last},
        answers_at=last[:, None],
        base_labels=labels + ANSWERS // 2,
        labels={VARIABLE: labels},
        valid={VARIABLE: torch.ones(count, dtype=torch.bool)},
        values={VARIABLE: torch.randint(3, (count, 2), generator=generator)},
        answer=Choice(tuple(codes.tolist()), tuple(codes.tolist())),
    )
    parameters = sum(parameter.numel() for parameter in plain.parameters())
    name = f"random weights, {sizes.layers} layers, d {sizes.width}, {parameters / 1e6:.0f}M"
    return Language(name, BridgeModel(name, bridge), plain, pairs)
