"""Indirect object identification in the residual stream: in which place the answer stood, and which name it is.

    When Mary and John went to the store, John gave a book to      -> Mary

    position = which of the first two names is the answer
    token    = the name in that place

A source has other names and the answer in the other place, so that the two variables give different answers, neither of
which is the base's: the base's other name (position), or a name that the base has not (token).

Source: Wang et al. (2022), "Interpretability in the Wild": duplicate token and S-inhibition heads carry the position
from the second mention of the subject to the end, name movers copy the name.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from engines.causal import CausalModel, Setting, Variable
from engines.language.ioi import NAMES, OBJECTS, PLACES, TEMPLATES, output_position
from engines.prompting import Prompted, Protocol, Reader, Row, Span, contains

CAUSAL = CausalModel(
    inputs=tuple(Variable(name) for name in ("prompt", "name_a", "name_b", "name_c")),
    mechanisms={
        "position": output_position,
        "token": lambda name_a, name_b, position: (name_a, name_b)[position],
        "answer": lambda token: f" {token}",
    },
    output="answer",
)


def read(row: Reader) -> Setting:
    """The causal model's inputs of a row."""
    names, prompt = row.texts("names"), row.text("prompt")
    if len(names) != 3 or names[0] == names[1] or names[2] not in names[:2]:
        raise row.refuse(f"the names {', '.join(names)} are not two, and one of them again")
    found = [match[0] for match in re.finditer("|".join(rf"\b{re.escape(name)}\b" for name in set(names)), prompt)]
    if found != list(names):
        raise row.refuse(f"the prompt {prompt!r} does not hold {', '.join(names)} in this order")
    return {"prompt": prompt, "name_a": names[0], "name_b": names[1], "name_c": names[2]}


def mention(run: Setting, number: int) -> Span:
    """Where the first, second or third name stands."""
    names = [str(run[f"name_{letter}"]) for letter in "abc"]
    found = list(re.finditer("|".join(rf"\b{re.escape(name)}\b" for name in set(names)), str(run["prompt"])))
    return found[number].span()


def generate(rng: np.random.Generator) -> Iterator[Row]:
    """Rows with names in all their orders; sources with two other names and the answer in the other place."""
    while True:
        a, b, x, y = rng.permutation(NAMES)[:4].tolist()
        words = {
            "place": PLACES[int(rng.integers(len(PLACES)))],
            "object": OBJECTS[int(rng.integers(len(OBJECTS)))],
        }
        template, first = TEMPLATES[int(rng.integers(len(TEMPLATES)))], int(rng.integers(2))

        def row(names: tuple[str, str], again: int, words: Any = words, template: str = template) -> dict[str, Any]:
            three = (*names, names[again])
            prompt = template.format(a=three[0], b=three[1], c=three[2], **words)
            return {"prompt": prompt, "names": list(three)}

        yield {**row((a, b), first), "other_names_counterfactual": row((x, y), 1 - first)}


SETS = ("other_names",)
TASK = Prompted(
    name="names",
    summary="Say the name that was given once: in which place it stood, and which name it is, token by token.",
    variables=("position", "token"),
    models={"smollm2": "SmolLM2-135M-Instruct, from a package", "gpt2": "GPT-2 small", "qwen2.5": "Qwen2.5-0.5B"},
    mib="",
    hub=None,
    causal=CAUSAL,
    sets=SETS,
    read=read,
    source=lambda row, _base: read(row),
    places={
        "name_1": lambda run: mention(run, 0),
        "name_2": lambda run: mention(run, 1),
        "name_3": lambda run: mention(run, 2),
    },
    answer=lambda run: str(run["answer"]),
    protocols={"paper": Protocol("paper", SETS, contains, {"": 1})},
    generate=generate,
)
