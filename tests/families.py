"""One tiny network of every family behind each adapter, with random weights, for the laws that all of them obey.

Left alone, the random weights of transformers are so small that a wrong edit hides in rounding; these are not.
"""

import functools
import tempfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import nn
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources.native import boot as boot_native
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from engines.answer import Choice
from engines.bridge_model import BridgeModel
from engines.decoder_model import DecoderModel
from engines.model import Batch, pad
from engines.networks import Decoder, DecoderShape
from engines.task import Pairs

VOCABULARY, LAYERS, CONTEXT = 20, 2, 12
SHAPE = DecoderShape(LAYERS, 2, 16, 8, 24, VOCABULARY, VOCABULARY, CONTEXT, causal=True, layer_norm=True)
GATED: dict[str, Any] = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": CONTEXT}
ROPE: dict[str, Any] = {
    "rope_type": "llama3",
    "rope_theta": 50.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": LAYERS,
    "initializer_range": 0.4,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
NATIVE = TransformerBridgeConfig(
    n_layers=LAYERS,
    d_model=16,
    d_head=8,
    n_heads=2,
    n_ctx=CONTEXT,
    d_vocab=VOCABULARY,
    d_mlp=24,
    act_fn="gelu",
    normalization_type="LN",
    attention_dir="causal",
    seed=0,
)

GPT2_SIZES = {
    key: SIZES[key] for key in ("vocab_size", "initializer_range", "bos_token_id", "eos_token_id", "pad_token_id")
}
HUGGING: dict[str, tuple[PreTrainedConfig, type[Any]]] = {
    "gpt2": (
        GPT2Config(**GPT2_SIZES, n_embd=16, n_inner=24, n_layer=LAYERS, n_head=2, n_positions=CONTEXT),
        GPT2LMHeadModel,
    ),
    "qwen2": (Qwen2Config(**SIZES, **GATED), Qwen2ForCausalLM),
    # the rotations are scaled as those of Llama 3.1; these two frequencies are slowed down, the slow one more
    "llama": (LlamaConfig(**SIZES, **GATED, rope_parameters=ROPE), LlamaForCausalLM),
    # the window is on every other layer; d_head is not d_model / heads
    "gemma2": (
        Gemma2Config(**SIZES, **GATED, head_dim=8, sliding_window=3, query_pre_attn_scalar=8),
        Gemma2ForCausalLM,
    ),
    "neox": (
        GPTNeoXConfig(**SIZES, num_attention_heads=2, max_position_embeddings=CONTEXT),
        GPTNeoXForCausalLM,
    ),
    "neox-sequential": (
        GPTNeoXConfig(**SIZES, num_attention_heads=2, max_position_embeddings=CONTEXT, use_parallel_residual=False),
        GPTNeoXForCausalLM,
    ),
}
"""Models of transformers: their settings and their class."""


Made = Callable[[], DecoderModel | BridgeModel]


def randomise(network: nn.Module) -> None:
    """Give every parameter of a network random values, biases and norms too."""
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.3


def decoder(shape: DecoderShape) -> DecoderModel:
    """Our own decoder."""
    network = Decoder(shape)
    randomise(network)
    return DecoderModel("decoder", network)


def native(config: TransformerBridgeConfig) -> BridgeModel:
    """A bridge around TransformerLens's own network."""
    bridge = boot_native(config)
    randomise(bridge)
    return BridgeModel("native", bridge)


def save(config: PreTrainedConfig, kind: type[Any], folder: str) -> None:
    """Write a random model of transformers, with a tokenizer, as a folder that a bridge boots from."""
    torch.manual_seed(0)
    network = kind(config)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.2)
    network.save_pretrained(folder)
    words = WordLevel({f"t{token}": token for token in range(VOCABULARY)}, unk_token="t0")
    own = {"unk_token": "t0", "pad_token": "t0", "bos_token": "t1", "eos_token": "t2"}
    PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), **own).save_pretrained(folder)


def boot(config: PreTrainedConfig, kind: type[Any]) -> TransformerBridge:
    """A bridge around a model of transformers, booted from a folder: booting from a model would change it."""
    with tempfile.TemporaryDirectory() as folder:
        save(config, kind, folder)
        return TransformerBridge.boot_transformers(folder, device="cpu")


def hugging(config: PreTrainedConfig, kind: type[Any]) -> BridgeModel:
    """A model of transformers behind our protocol."""
    return BridgeModel(config.model_type, boot(config, kind))


def folded() -> BridgeModel:
    """GPT-2 as TransformerLens rewrites it in compatibility mode: norms folded into weights, weights centred."""
    bridge = boot(*HUGGING["gpt2"])
    bridge.enable_compatibility_mode()
    return BridgeModel("folded", bridge)


ROTARY = replace(
    NATIVE,
    positional_embedding_type="rotary",
    normalization_type="RMS",
    gated_mlp=True,
    n_key_value_heads=1,
    act_fn="silu",
)
MADE: dict[str, Made] = {
    "decoder": lambda: decoder(SHAPE),
    "decoder-bidirectional": lambda: decoder(replace(SHAPE, causal=False, layer_norm=False)),
    "native": lambda: native(NATIVE),
    "native-bidirectional": lambda: native(replace(NATIVE, attention_dir="bidirectional", normalization_type=None)),
    "native-rotary": lambda: native(ROTARY),
    "gpt2-folded": folded,
    **{name: functools.partial(hugging, *kind) for name, kind in HUGGING.items()},
}
FAMILIES = tuple(MADE)
BRIDGES = tuple(name for name in FAMILIES if not name.startswith("decoder"))
CAUSAL = tuple(name for name in FAMILIES if not name.endswith("bidirectional"))
SEQUENCES = ((3, 4, 5, 6, 7, 8, 9), (11, 10), (5, 14, 3, 12))
"""Inputs of three lengths; the first is longer than Gemma-2's window."""


@functools.cache
def family(name: str) -> Any:
    """The network of a family, made once: no test may change it."""
    return MADE[name]()


def mixed() -> Batch:
    """The three inputs in one batch, padded on the left."""
    return pad(SEQUENCES)


def mixed_pairs() -> Pairs:
    """The three inputs as bases, and others of the same lengths as sources; the answer is asked at the last position.

    Labels say nothing.
    """
    bases, sources = mixed(), pad([[19 - token for token in sequence] for sequence in SEQUENCES])
    last = torch.full((3,), bases.tokens.shape[1] - 1)
    at = {"last": last, "middle": torch.tensor([4, 5, 5]), "first": bases.padding}
    labels = torch.zeros(3, 1, dtype=torch.int64)
    answer = Choice(tuple(range(VOCABULARY)), tuple(range(VOCABULARY)))
    valid, values = torch.ones(3, dtype=torch.bool), torch.zeros(3, 2, dtype=torch.int64)
    return Pairs(bases, sources, at, at, last[:, None], labels, {"v": labels}, {"v": valid}, {"v": values}, answer)
