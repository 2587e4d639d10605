"""The sum of two numbers of two digits: where the carry out of the ones is.

    ones_carry = [a0 + b0 > 9]                     a = 10 a1 + a0, b = 10 b1 + b0
    tens_out   = (a1 + b1 + ones_carry) mod 10     hundreds_out = [a1 + b1 + ones_carry > 9]
    ones_out   = (a0 + b0) mod 10

Two counterfactual sets say two things: another sum altogether (a patch that swaps the whole answer fails), and the same
tens and the same ones of the answer with the other carry (doing nothing fails). Either alone is won by a trivial patch.

Where a tokenizer splits numbers into digits, only the first digit of the sum is at hand at the prompt's last position.

Source: Mueller et al. (2025), "MIB", task arithmetic.
"""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from engines.causal import CausalModel, Setting, Variable
from engines.prompting import Hub, Prompted, Protocol, Reader, Row, Span, contains

CAUSAL = CausalModel(
    inputs=(Variable("prompt"), *(Variable(name, tuple(range(10))) for name in ("a1", "a0", "b1", "b0"))),
    mechanisms={
        "ones_carry": lambda a0, b0: a0 + b0 > 9,
        "ones_out": lambda a0, b0: (a0 + b0) % 10,
        "tens_out": lambda a1, b1, ones_carry: (a1 + b1 + ones_carry) % 10,
        "hundreds_out": lambda a1, b1, ones_carry: int(a1 + b1 + ones_carry > 9),
        "answer": lambda hundreds_out, tens_out, ones_out: f"{hundreds_out}{tens_out}{ones_out}",
    },
    output="answer",
)
NUMBER = re.compile(r"\d+")
TEMPLATES = ("Q: How much is {a} plus {b}? A: ", "The sum of {a} and {b} is ", "{a} plus {b} equals ", "{a} + {b} = ")
LARGEST = 99


def read(row: Reader) -> Setting:
    """The causal model's inputs of a row."""
    numbers = {}
    for column, letter in (("operand1", "a"), ("operand2", "b")):
        value = row.number(column)
        if not 0 <= value <= LARGEST:
            raise row.refuse(f"{column} is {value}; this task adds numbers of at most two digits")
        numbers |= {f"{letter}1": value // 10, f"{letter}0": value % 10}
    prompt = row.text("prompt")
    written = [int(found) for found in NUMBER.findall(prompt)]
    if written[-2:] != [row.number("operand1"), row.number("operand2")]:
        raise row.refuse(f"the last numbers of {prompt!r} are not operand1 and operand2")
    return {"prompt": prompt, **numbers}


def second(run: Setting) -> Span:
    """The last number of the prompt."""
    return [match.span() for match in NUMBER.finditer(str(run["prompt"]))][-1]


def answer(run: Setting) -> str:
    """The sum as it is written after the prompt; after a prompt that ends in a space, without one of its own."""
    number = str(int(str(run["answer"])))
    return number if str(run["prompt"]).endswith(" ") else f" {number}"


def first_number(generated: str, run: Setting) -> bool:
    """Whether the first number of the generated text is the sum in three digits, or that without one leading zero."""
    found, wanted = NUMBER.search(generated), str(run["answer"])
    return found is not None and found[0] in (wanted, wanted.removeprefix("0"))


def outside(row: Row) -> str | None:
    """Sums of numbers with more digits are another task."""
    return None if row.get("num_digit") == 2 else f"num_digit is {row.get('num_digit')!r}, not 2"


def generate(rng: np.random.Generator) -> Iterator[Row]:
    """Rows whose base's ones do not sum to nine, so that another carry can have the same ones of the answer."""
    while True:
        template = TEMPLATES[int(rng.integers(len(TEMPLATES)))]
        a1, a0, b1, b0 = (int(digit) for digit in rng.integers(10, size=4))
        if a0 + b0 == 9:
            continue
        ones = a0 + b0 - 10 if a0 + b0 > 9 else a0 + b0 + 10
        low, high = max(0, ones - 9), min(9, ones)
        c0 = int(rng.integers(low, high + 1))
        other = [int(value) for value in rng.integers(LARGEST + 1, size=2)]
        yield {
            **_row(template, 10 * a1 + a0, 10 * b1 + b0),
            "random_counterfactual": _row(template, *other),
            "ones_carry_counterfactual": _row(template, 10 * a1 + c0, 10 * b1 + ones - c0),
        }


def _row(template: str, a: int, b: int) -> dict[str, Any]:
    prompt = template.format(a=a, b=b)
    return {
        "template": template,
        "prompt": prompt,
        "label": str(a + b),
        "operator": "+",
        "num_digit": 2,
        "operand1": a,
        "operand2": b,
    }


SETS = ("random", "ones_carry")
TASK = Prompted(
    name="arithmetic",
    summary="Add two numbers of two digits: where is the carry out of the ones?",
    variables=("ones_carry",),
    models={
        "gemma2": "Gemma-2-2B, which is gated and writes digit by digit",
        "llama3.1": "Llama-3.1-8B-Instruct, which is gated",
    },
    mib="arithmetic",
    hub=Hub("mib-bench/arithmetic_addition", "d56d68b7"),
    causal=CAUSAL,
    sets=SETS,
    read=read,
    source=lambda row, _base: read(row),
    places={"op2_last": second},
    answer=answer,
    protocols={
        "paper": Protocol("paper", SETS, first_number, {"gemma2": 3, "smollm2": 3, "": 1}),
        "official": Protocol("official", SETS, contains, {"": 1}),
    },
    outside=outside,
    generate=generate,
)
