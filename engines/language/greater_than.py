"""Greater-than: the year in which something ended comes after the one in which it began.

    The war lasted from the year 1732 to the year 17 -> 3 or a later digit, and none before

    decade = the tens of the first year
    answer = the first digit with which the second year may go on

For models that write numbers digit by digit. The answer is no one token: every digit from the decade's on may follow,
the decade's own too, since the first year's ones are never 9. So an answer is a cutoff among the ten digits, and a
network gives it when its log-probability rises most from the digit before it to it, and when the digits from it on have
more probability than those before (``engines.answer.Cutoff``). A source has another decade, earlier or later, and
another noun, century and ones, so that what is swapped must move the cutoff to where the source's decade has it.

Source: Hanna et al. (2023), "How does GPT-2 compute greater-than?", arXiv 2305.00586, with its template and both of its
measures; GPT-2 writes two digits at once, so that there the cutoff is at the year and not at the decade.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from engines.causal import CausalModel, Setting, Variable
from engines.prompting import Prompted, Protocol, Reader, Row, Span

NOUNS = (
    *("war", "siege", "reign", "project", "famine", "drought", "alliance", "campaign", "dispute", "feud", "voyage"),
    *("trial", "occupation", "dynasty", "conflict", "plague", "expedition", "marriage", "construction", "rebellion"),
)
CENTURIES = tuple(range(11, 18))
TEMPLATE = "The {noun} lasted from the year {year} to the year {century}"
DIGITS = tuple("0123456789")

CAUSAL = CausalModel(
    inputs=(Variable("prompt"), Variable("noun"), Variable("year")),
    mechanisms={"decade": lambda year: year // 10 % 10, "answer": lambda decade: DIGITS[decade]},
    output="answer",
)


def read(row: Reader) -> Setting:
    """The causal model's inputs of a row."""
    prompt, noun, year = row.text("prompt"), row.text("noun"), row.number("year")
    if not 1000 <= year <= 9999 or year % 10 == 9 or not 10 <= year % 100 < 90:
        raise row.refuse(f"year is {year}; it must have four digits, tens of 1 to 8, and ones other than 9")
    if prompt != TEMPLATE.format(noun=noun, year=year, century=year // 100):
        raise row.refuse(f"the prompt {prompt!r} is not that of {noun!r} and {year}")
    return {"prompt": prompt, "noun": noun, "year": year}


def digit(run: Setting, number: int) -> Span:
    """Where a digit of the first year stands."""
    start = str(run["prompt"]).index(str(run["year"])) + number
    return start, start + 1


def generate(rng: np.random.Generator) -> Iterator[Row]:
    """Rows whose source has another decade, and all else drawn anew."""
    while True:
        first, second = (1 + int(tens) for tens in rng.permutation(8)[:2])
        yield {**_row(rng, first), "other_decade_counterfactual": _row(rng, second)}


def _row(rng: np.random.Generator, tens: int) -> dict[str, Any]:
    noun, century = NOUNS[int(rng.integers(len(NOUNS)))], CENTURIES[int(rng.integers(len(CENTURIES)))]
    year = 100 * century + 10 * tens + int(rng.integers(9))
    return {"prompt": TEMPLATE.format(noun=noun, year=year, century=century), "noun": noun, "year": year}


SETS = ("other_decade",)
TASK = Prompted(
    name="greater_than",
    summary="Let a year come after another: where is the decade before which it must not lie?",
    variables=("decade",),
    models={"smollm2": "SmolLM2-135M-Instruct, from a package", "qwen2.5": "Qwen2.5-0.5B"},
    mib="",
    hub=None,
    causal=CAUSAL,
    sets=SETS,
    read=read,
    source=lambda row, _base: read(row),
    places={
        "century": lambda run: digit(run, 1),
        "decade": lambda run: digit(run, 2),
        "ones": lambda run: digit(run, 3),
    },
    answer=lambda run: str(run["answer"]),
    protocols={"paper": Protocol("paper", SETS, None)},
    ordered=DIGITS,
    generate=generate,
)
