"""Agreement of a verb with its subject's number, past another noun.

    The keys near the cabinet -> are

    number = whether the subject is singular or plural
    answer = " is" or " are"

The counterfactual exchanges the subject for a noun of the other number; the noun in between, the attractor, stays.

Source: Linzen et al. (2016), "Assessing the Ability of LSTMs to Learn Syntax-Sensitive Dependencies"; the task is part
of the circuit literature (Marks et al. 2024, "Sparse Feature Circuits").
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from engines.causal import CausalModel, Setting, Variable
from engines.prompting import Prompted, Protocol, Reader, Row, Span

NOUNS = tuple(
    (noun, noun + "s")
    for noun in (
        *("key", "dog", "teacher", "car", "author", "picture", "chair", "doctor", "letter", "farmer", "cat", "painter"),
        *("window", "bird", "student", "bottle", "driver", "flower", "table", "singer", "lamp", "pilot", "ticket"),
    )
)
"""Singular and plural."""
PLACES = tuple(noun for one in ("cabinet", "house", "garden", "bridge", "station", "tree") for noun in (one, one + "s"))
TEMPLATES = ("The {noun} near the {place}", "The {noun} behind the {place}", "The {noun} by the {place}")
VERBS = (" is", " are")

CAUSAL = CausalModel(
    inputs=(Variable("prompt"), Variable("noun"), Variable("plural", (0, 1))),
    mechanisms={"number": lambda plural: plural, "answer": lambda number: VERBS[number]},
    output="answer",
)


def read(row: Reader) -> Setting:
    """The causal model's inputs of a row."""
    prompt, noun, plural = row.text("prompt"), row.text("noun"), row.number("plural")
    if plural not in (0, 1) or f" {noun} " not in f"{prompt} ":
        raise row.refuse(f"plural is {plural} and {noun!r} must be a word of {prompt!r}; plural is 0 or 1")
    return {"prompt": prompt, "noun": noun, "plural": plural}


def subject(run: Setting) -> Span:
    """Where the subject stands."""
    start = str(run["prompt"]).index(f" {run['noun']} ") + 1
    return start, start + len(str(run["noun"]))


def generate(rng: np.random.Generator) -> Iterator[Row]:
    """Rows whose source has another subject of the other number."""
    while True:
        first, second = rng.permutation(len(NOUNS))[:2]
        plural = int(rng.integers(2))
        place, template = PLACES[int(rng.integers(len(PLACES)))], TEMPLATES[int(rng.integers(len(TEMPLATES)))]

        def row(noun: str, plural: int, place: str = place, template: str = template) -> dict[str, Any]:
            return {"prompt": template.format(noun=noun, place=place), "noun": noun, "plural": plural}

        base, source = NOUNS[int(first)][plural], NOUNS[int(second)][1 - plural]
        yield {**row(base, plural), "other_number_counterfactual": row(source, 1 - plural)}


SETS = ("other_number",)
TASK = Prompted(
    name="sva",
    summary="Let the verb agree with a subject past another noun: where is the subject's number?",
    variables=("number",),
    models={"smollm2": "SmolLM2-135M-Instruct, from a package", "gpt2": "GPT-2 small", "qwen2.5": "Qwen2.5-0.5B"},
    mib="",
    hub=None,
    causal=CAUSAL,
    sets=SETS,
    read=read,
    source=lambda row, _base: read(row),
    places={"subject": subject},
    answer=lambda run: str(run["answer"]),
    protocols={"paper": Protocol("paper", SETS, None)},
    generate=generate,
)
