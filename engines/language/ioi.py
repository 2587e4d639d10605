"""Indirect object identification: two names, one of them again, and the other is to come.

    When Mary and John went to the store, John gave a book to      -> Mary

    output_position = 1 if the third name is the first one, else 0: which of the first two names is the answer
    output_token    = the name of the first two that is not the third

What is scored is a number, the logit of the base's indirect object less that of its subject, against a linear model:

    logit_diff = bias + token_coeff s_tok + position_coeff s_pos

s_tok is +1 where the interchanged token is the base's own answer, else -1; s_pos is +1 where the interchanged position
is the base's own, else -1. The three counterfactual sets flip the position, both, and the token.

Source: Wang et al. (2022), "Interpretability in the Wild"; Mueller et al. (2025), "MIB", task ioi.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engines.causal import CausalModel, Setting, Variable
from engines.prompting import Hub, Prompted, Reader, Row, one_token

NAMES = (
    "Adam",
    "Alice",
    "Amy",
    "Andrew",
    "Anna",
    "Ben",
    "Brian",
    "Carl",
    "Charles",
    "Chris",
    "Clara",
    "Daniel",
    "David",
    "Diana",
    "Edward",
    "Ellen",
    "Emily",
    "Emma",
    "Eric",
    "Frank",
    "George",
    "Grace",
    "Hannah",
    "Harry",
    "Helen",
    "Henry",
    "Jack",
    "Jacob",
    "James",
    "Jane",
    "Jason",
    "Jenny",
    "Jessica",
    "John",
    "Joseph",
    "Julia",
    "Karen",
    "Kate",
    "Kevin",
    "Laura",
    "Linda",
    "Lisa",
    "Lucy",
    "Luke",
    "Maria",
    "Mark",
    "Martin",
    "Mary",
    "Matt",
    "Michael",
    "Mike",
    "Nancy",
    "Nick",
    "Oliver",
    "Patrick",
    "Paul",
    "Peter",
    "Rachel",
    "Richard",
    "Robert",
    "Rose",
    "Ruth",
    "Ryan",
    "Sam",
    "Sarah",
    "Scott",
    "Simon",
    "Sophie",
    "Steve",
    "Susan",
    "Thomas",
    "Tim",
    "Tom",
    "Tony",
    "Victor",
    "William",
)
PLACES = ("store", "park", "beach", "library", "market", "station", "museum", "school")
OBJECTS = ("book", "drink", "letter", "ticket", "phone", "ring", "map", "snack")
TEMPLATES = (
    "When {a} and {b} went to the {place}, {c} gave a {object} to",
    "Then, {a} and {b} went to the {place}. {c} gave a {object} to",
    "After {a} and {b} went to the {place}, {c} decided to give a {object} to",
    "While {a} and {b} were at the {place}, {c} gave a {object} to",
)
"""Those that small language models complete well."""


def output_position(name_a: str, name_c: str) -> int:
    """Which of the first two names is the answer."""
    return int(name_c == name_a)


CAUSAL = CausalModel(
    inputs=(Variable("prompt"), Variable("name_a"), Variable("name_b"), Variable("name_c")),
    mechanisms={
        "output_position": output_position,
        "output_token": lambda name_a, name_b, output_position: (name_a, name_b)[output_position],
        "answer": lambda output_token: f" {output_token}",
    },
    output="answer",
)
"""As a choice between names: the position points at one of them."""


@dataclass(frozen=True)
class Linear:
    """The linear model of the logit difference, with the mean squared error of its own fit and the rows it rests on.

    ``intervals`` are the ends of the 95 % interval of each coefficient by its name; empty where it was not fitted.
    """

    bias: float
    token_coeff: float
    position_coeff: float
    residual: float = 0.0
    n: int = 0
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def target(self, token: int, position: int) -> float:
        """The logit difference for the signs ``token`` and ``position``, each +1 or -1."""
        return self.bias + self.token_coeff * token + self.position_coeff * position


def signs(variable: str | None, base: Setting, source: Setting) -> tuple[int, int]:
    """``(s_tok, s_pos)`` when ``variable`` is taken from the source's run; both +1 for None: no interchange."""
    token = variable == "output_token" and source["output_token"] != base["output_token"]
    position = variable == "output_position" and source["output_position"] != base["output_position"]
    return -1 if token else 1, -1 if position else 1


def both_signs(base: Setting, source: Setting) -> tuple[int, int]:
    """``(s_tok, s_pos)`` when both variables are taken from the source: what a full swap of all heads would do."""
    return signs("output_token", base, source)[0], signs("output_position", base, source)[1]


def slots(prompt: str, names: Sequence[str]) -> tuple[str, ...]:
    """The names of a prompt in their order."""
    pattern = "|".join(re.escape(name) for name in sorted(set(names), key=len, reverse=True))
    return tuple(re.findall(rf"\b(?:{pattern})\b", prompt)) if pattern else ()


def read(row: Reader) -> Setting:
    """The causal model's inputs of a base row: its names are subject and indirect object of ``metadata``."""
    about, prompt = row.inner("metadata"), row.text("prompt")
    return _setting(row, prompt, (about.text("subject"), about.text("indirect_object")))


def source(row: Reader, base: Setting) -> Setting:
    """The inputs of a counterfactual: the same two names in other places."""
    return _setting(row, row.text("prompt"), (str(base["name_a"]), str(base["name_b"])))


def _setting(row: Reader, prompt: str, names: Sequence[str]) -> Setting:
    found = slots(prompt, names)
    if len(found) != 3 or found[0] == found[1] or found[2] not in found[:2]:
        raise row.refuse(
            f"the prompt {prompt!r} holds the names {', '.join(found) or 'none'} of {' and '.join(names)}; two, "
            "and one of them again, are needed"
        )
    return {"prompt": prompt, "name_a": found[0], "name_b": found[1], "name_c": found[2]}


def generate(rng: np.random.Generator) -> Iterator[Row]:
    """Rows whose third name is the first; the sets exchange the first two, change the third, or do both."""
    while True:
        subject, other = rng.permutation(NAMES)[:2].tolist()
        words = {
            "place": PLACES[int(rng.integers(len(PLACES)))],
            "object": OBJECTS[int(rng.integers(len(OBJECTS)))],
        }
        template = TEMPLATES[int(rng.integers(len(TEMPLATES)))]

        def row(a: str, b: str, c: str, template: str = template, words: dict[str, str] = words) -> dict[str, Any]:
            answer = b if c == a else a
            return {
                "prompt": template.format(a=a, b=b, c=c, **words),
                "choices": [answer, c],
                "answerKey": 0,
            }

        yield {
            "template": template,
            "metadata": {"indirect_object": other, "subject": subject, **words},
            **row(subject, other, subject),
            "s1_io_flip_counterfactual": row(other, subject, subject),
            "s2_io_flip_counterfactual": row(subject, other, other),
            "s1_ioi_flip_s2_ioi_flip_counterfactual": row(other, subject, other),
        }


SETS = ("s1_io_flip", "s2_io_flip", "s1_ioi_flip_s2_ioi_flip")
TASK = Prompted(
    name="ioi",
    summary="Say the name that was given once: which name it is, and in which place it stood.",
    variables=("output_token", "output_position"),
    models={
        "gpt2": "GPT-2 small",
        "qwen2.5": "Qwen2.5-0.5B",
        "gemma2": "Gemma-2-2B, which is gated",
        "llama3.1": "Llama-3.1-8B-Instruct, which is gated",
        "smollm2": "SmolLM2-135M-Instruct, from a package",
    },
    mib="ioi_task",
    hub=Hub("mib-bench/ioi", "e5f3468f"),
    causal=CAUSAL,
    sets=SETS,
    read=read,
    source=source,
    places={},
    answer=lambda run: str(run["answer"]),
    protocols=one_token(SETS),
    component="z",
    by_error=True,
    generate=generate,
)
