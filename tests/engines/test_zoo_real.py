"""SmolLM2-135M-Instruct from its package: the real model does what it was measured to do; skipped where it is absent.

Converted once into ``build/zoo``, which takes about half a minute and 0.54 GB.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close
from transformers import AutoModelForCausalLM

from engines.model import PAST, Ask, Start, pad
from engines.site import Port
from engines.zoo import Places, load, look
from engines.zoo_table import MODELS, WHEEL

BUILD = Path(__file__).parent.parent.parent / "build" / "zoo"
PLACES = Places(None, BUILD, BUILD / "hub", offline=True)
CLOSE: dict[str, Any] = {"rtol": 0, "atol": 1e-4}
NAMES = ("Mary", "John", "Tom", "Anna", "James", "Sarah")

missing = look("smollm2", places=PLACES).missing
pytestmark = [
    pytest.mark.skipif(bool(missing), reason=f"{WHEEL} or gguf is not installed: {missing}"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def loaded() -> Any:
    return load("smollm2", places=PLACES)


def best(loaded: Any, texts: list[str], among: list[str] | None = None) -> list[str]:
    """The most likely next token of each text, of all or of some, as text."""
    tokens = loaded.tokenizer
    batch = pad([tokens(text)["input_ids"] for text in texts])
    columns = (
        torch.arange(len(tokens)) if among is None else torch.tensor([tokens(one)["input_ids"][0] for one in among])
    )
    ask = Ask(torch.full((len(texts), 1), batch.tokens.shape[1] - 1), columns)
    with torch.no_grad():
        outputs: Tensor = loaded.model.forward(batch, ask=ask).outputs
    return [tokens.decode([int(columns[place])]) for place in outputs[:, 0].argmax(-1)]


def test_it_is_the_model_of_the_table(loaded: Any) -> None:
    row, prospect = MODELS["smollm2"], loaded.prospect
    assert (prospect.source, prospect.parameters, prospect.sizes) == ("wheel", row.parameters, row.sizes)
    assert loaded.model.narrow
    assert loaded.model.pads
    assert loaded.model.shape.resumes
    assert len(loaded.model.components) == 16


def test_text_is_cut_as_the_model_was_trained(loaded: Any) -> None:
    """Every digit is one token, and spaces before a digit are not part of it; nothing is put before the text."""
    for text, pieces in {
        "+ 45": ["+", "Ġ", "4", "5"],
        "a  45": ["a", "ĠĠ", "4", "5"],
        "Q:\n\n5. x": ["Q", ":", "ĊĊ", "5", ".", "Ġx"],
        "1990's": ["1", "9", "9", "0", "'s"],
    }.items():
        assert loaded.tokenizer.tokenize(text) == pieces
        assert loaded.tokenizer.decode(loaded.tokenizer(text)["input_ids"]) == text
    assert len(loaded.tokenizer("hello")["input_ids"]) == 1
    chat = loaded.tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert chat.endswith("<|im_start|>user\nhi<|im_end|>\n")


def test_it_knows_what_it_was_measured_to_know(loaded: Any) -> None:
    assert best(loaded, ["The capital of France is", "The capital of Japan is"]) == [" Paris", " Tokyo"]
    pairs = [(a, b) for a in NAMES for b in NAMES if a != b]
    texts = [f"When {a} and {b} went to the store, {a} gave a drink to" for a, b in pairs]
    found = best(loaded, texts, [f" {name}" for name in NAMES])
    assert sum(one == f" {b}" for one, (_, b) in zip(found, pairs, strict=True)) >= 0.95 * len(pairs)


def test_logits_are_those_of_transformers_padded_or_resumed(loaded: Any) -> None:
    folder, model = loaded.prospect.folder, loaded.model
    theirs = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32)
    texts = ["When Mary and John went to the store, Mary gave a drink to", "The capital of France is", "12 + 45 ="]
    batch = pad([loaded.tokenizer(text)["input_ids"] for text in texts])
    last = batch.tokens.shape[1] - 1
    columns = torch.tensor([260, 17, 30000])
    ask = Ask(torch.full((3, 1), last), columns)
    past = [Port(layer, PAST) for layer in range(30)]
    streams = [Port(layer, "resid_pre") for layer in (0, 15, 29)]
    with torch.no_grad():
        positions = (batch.mask.long().cumsum(1) - 1).clamp(min=0)
        expected = theirs(batch.tokens, attention_mask=batch.mask.long(), position_ids=positions).logits[
            :, -1:, columns
        ]
        assert_close(model.forward(batch, ask=ask).outputs, expected, **CLOSE)
        kept = model.forward(batch, reads=[*past, *streams]).reads
        for stream in streams:
            layer = stream.layer or 0
            whole = Start(layer, kept[stream])
            rest = Start(layer, kept[stream][:, last:], {n: kept[past[n]][:, :last] for n in range(layer, 30)})
            for start in (whole, rest):
                assert_close(model.forward(batch, start=start, ask=ask).outputs, expected, rtol=0, atol=5e-4)
