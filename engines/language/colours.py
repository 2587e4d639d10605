"""Two things with a colour each, and one of them is asked: which one, and what colour it has.

    The cup is red and the ball is blue. What color is the ball?   -> blue

    pointer = which of the two things is asked
    colour  = the colour of that thing

A source asks the other thing of other colours, so that the two variables give different answers, neither of which is
the base's: the base's other colour (pointer), or a colour that the base has not (colour).

A small cousin of multiple choice: the same pointer and value, in words that small chat models understand.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from engines.causal import CausalModel, Setting, Variable
from engines.prompting import Prompted, Protocol, Reader, Row, Span

THINGS = ("cup", "ball", "box", "hat", "pen", "car", "book", "chair", "door", "bag", "lamp", "coat", "desk", "shirt")
COLOURS = ("red", "blue", "green", "black", "white", "yellow", "brown", "pink", "orange", "purple")
CHAT = "<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\nThe {asked} is"
"""The format of chats that SmolLM2 and Qwen are trained on, with the answer begun."""

CAUSAL = CausalModel(
    inputs=tuple(Variable(name) for name in ("prompt", "thing_0", "thing_1", "colour_0", "colour_1", "asked")),
    mechanisms={
        "pointer": lambda thing_0, asked: int(asked != thing_0),
        "colour": lambda colour_0, colour_1, pointer: (colour_0, colour_1)[pointer],
        "answer": lambda colour: f" {colour}",
    },
    output="answer",
)


def read(row: Reader) -> Setting:
    """The causal model's inputs of a row."""
    prompt, things, colours, asked = row.text("prompt"), row.texts("things"), row.texts("colours"), row.text("asked")
    if len(set(things)) != 2 or len(set(colours)) != 2 or asked not in things:
        raise row.refuse("two things, two colours and one of the things asked are needed, all distinct")
    if [word for word in re.findall(r"\w+", prompt) if word in colours] != list(colours):
        raise row.refuse(f"the prompt {prompt!r} does not hold {' and '.join(colours)} in this order")
    names = {"thing_0": things[0], "thing_1": things[1], "colour_0": colours[0], "colour_1": colours[1]}
    return {"prompt": prompt, "asked": asked, **names}


def _nth(run: Setting, name: str, number: int) -> Span:
    found = list(re.finditer(rf"\b{re.escape(str(run[name]))}\b", str(run["prompt"])))
    return found[number].span()


def generate(rng: np.random.Generator) -> Iterator[Row]:
    """Rows in the chat format, with two other things of other colours for the source."""
    while True:
        things, colours = rng.permutation(THINGS)[:4].tolist(), rng.permutation(COLOURS)[:4].tolist()
        pointer = int(rng.integers(2))
        base = _row(things[:2], colours[:2], pointer)
        yield {**base, "other_pair_counterfactual": _row(things[2:], colours[2:], 1 - pointer)}


def _row(things: list[str], colours: list[str], pointer: int) -> dict[str, Any]:
    stated = f"The {things[0]} is {colours[0]} and the {things[1]} is {colours[1]}."
    question = f"{stated} What color is the {things[pointer]}?"
    prompt = CHAT.format(question=question, asked=things[pointer])
    return {"prompt": prompt, "things": things, "colours": colours, "asked": things[pointer]}


SETS = ("other_pair",)
TASK = Prompted(
    name="colours",
    summary="Say the colour of one of two things: which thing is asked, and what colour it has.",
    variables=("pointer", "colour"),
    models={"smollm2": "SmolLM2-135M-Instruct, from a package", "qwen2.5": "Qwen2.5-0.5B"},
    mib="",
    hub=None,
    causal=CAUSAL,
    sets=SETS,
    read=read,
    source=lambda row, _base: read(row),
    places={
        "colour_1": lambda run: _nth(run, "colour_0", 0),
        "colour_2": lambda run: _nth(run, "colour_1", 0),
        "question": lambda run: _nth(run, "asked", 1),
        "answer_thing": lambda run: _nth(run, "asked", 2),
    },
    answer=lambda run: str(run["answer"]),
    protocols={"paper": Protocol("paper", SETS, None)},
    generate=generate,
)
