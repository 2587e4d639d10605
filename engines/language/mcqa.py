"""Multiple-choice questions about the colour of a thing, stated just before: where the right slot is, and its letter.

    Question: Coconuts are brown. What color are coconuts?
    A. red
    B. brown
    Answer: B

    answer_pointer = the first slot whose choice is the stated colour
    answer         = the letter of that slot

Swapping the answer at the last token is trivial at the last layers; only where both slots and letters change does a
swap of the pointer have an answer that is neither the base's nor the source's.

Source: Mueller et al. (2025), "MIB", task 4_answer_MCQA; Wiegreffe et al. (2024), "Answer, Assemble, Ace".
"""

import re
import string
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from engines.causal import CausalModel, Setting, Variable
from engines.errors import InvalidRows
from engines.prompting import Hub, Prompted, Reader, Row, Span, one_token

SLOTS = 4
LETTERS = string.ascii_uppercase
COLOURS = (
    "black",
    "blue",
    "brown",
    "gold",
    "green",
    "grey",
    "orange",
    "pink",
    "purple",
    "red",
    "silver",
    "white",
    "yellow",
)
THINGS = {
    "black": "coal, crows, tires, tar, panthers, olives, top hats",
    "blue": "blueberries, bluebirds, jeans, sapphires, the sky, the ocean, bluebells",
    "brown": "coconuts, chestnuts, acorns, tree trunks, walnuts, soil, cinnamon",
    "gold": "trophies, wedding rings, crowns, bullion, honeycombs, medals",
    "green": "limes, grass, frogs, spinach, cucumbers, emeralds, peas",
    "grey": "elephants, rain clouds, dolphins, ash, pigeons, concrete, koalas",
    "orange": "carrots, pumpkins, basketballs, tangerines, apricots, traffic cones",
    "pink": "flamingos, piglets, cherry blossoms, bubblegum, peonies, salmon",
    "purple": "plums, eggplants, lavender, amethysts, violets, grape juice",
    "red": "strawberries, tomatoes, fire trucks, rubies, ladybugs, cherries, stop signs",
    "silver": "spoons, coins, mirrors, foil, mercury, dimes",
    "white": "snow, milk, swans, polar bears, salt, rice, golf balls",
    "yellow": "bananas, lemons, canaries, sunflowers, corn, school buses, ducklings",
}
"""Things by their colour, which are facts that a reader knows; each is asked about in its own number."""
SINGULAR = frozenset(
    {
        "ash",
        "bubblegum",
        "bullion",
        "cinnamon",
        "coal",
        "concrete",
        "corn",
        "foil",
        "grape juice",
        "grass",
        "lavender",
        "mercury",
        "milk",
        "rice",
        "salmon",
        "salt",
        "snow",
        "soil",
        "spinach",
        "tar",
        "the ocean",
        "the sky",
    }
)
"""Things that are, grammatically, one."""
CHOICE = re.compile(r"^([A-Z])\. ?(.*)$", re.MULTILINE)


def _variables() -> tuple[Variable, ...]:
    choices = tuple(Variable(f"choice_{slot}") for slot in range(SLOTS))
    symbols = tuple(Variable(f"symbol_{slot}") for slot in range(SLOTS))
    return (Variable("prompt"), Variable("color"), *choices, *symbols)


CAUSAL = CausalModel(
    inputs=_variables(),
    mechanisms={
        "answer_pointer": lambda color, choice_0, choice_1, choice_2, choice_3: (
            choice_0,
            choice_1,
            choice_2,
            choice_3,
        ).index(color),
        "answer": lambda answer_pointer, symbol_0, symbol_1, symbol_2, symbol_3: (
            " " + (symbol_0, symbol_1, symbol_2, symbol_3)[answer_pointer]
        ),
    },
    output="answer",
)


def read(row: Reader) -> Setting:
    """The causal model's inputs of a row."""
    prompt, key, inner = row.text("prompt"), row.number("answerKey"), row.inner("choices")
    labels, choices = inner.texts("label"), inner.texts("text")
    if len(labels) != SLOTS or len(choices) != SLOTS:
        raise inner.refuse(f"{len(labels)} labels and {len(choices)} texts; {SLOTS} of each are needed")
    if not 0 <= key < SLOTS:
        raise row.refuse(f"answerKey is {key}; it must be 0 to {SLOTS - 1}")
    if len(set(labels)) < SLOTS:
        raise inner.refuse(f"the labels {', '.join(labels)} are not distinct")
    if choices.index(choices[key]) != key:
        raise row.refuse(f"the right choice {choices[key]!r} stands in an earlier slot, too; the first one would count")
    return {
        "prompt": prompt,
        "color": choices[key],
        **{f"choice_{slot}": text for slot, text in enumerate(choices)},
        **{f"symbol_{slot}": label for slot, label in enumerate(labels)},
    }


def symbol(run: Setting) -> Span:
    """The right letter where it stands before its choice; raises ``InvalidRows`` for a prompt without it."""
    letter, prompt = str(run["answer"]).strip(), str(run["prompt"])
    for match in CHOICE.finditer(prompt):
        if match[1] == letter:
            return match.span(1)
    raise InvalidRows(f"no line of the prompt begins with '{letter}.': {prompt!r}")


def period(run: Setting) -> Span:
    """The period after the right letter."""
    _, stop = symbol(run)
    return stop, stop + 1


def prompt_of(thing: str, color: str, choices: Sequence[str], labels: Sequence[str]) -> str:
    """The question as it is asked."""
    verb = "is" if thing in SINGULAR else "are"
    lines = "\n".join(f"{label}. {choice}" for label, choice in zip(labels, choices, strict=True))
    statement = f"{thing[0].upper()}{thing[1:]} {verb} {color}. What color {verb} {thing}?"
    return f"Question: {statement}\n{lines}\nAnswer:"


def generate(rng: np.random.Generator) -> Iterator[Row]:
    """Rows with the three counterfactual sets: the right choice moved, other letters, and both."""
    things = [(thing.strip(), color) for color, listed in THINGS.items() for thing in listed.split(",")]
    while True:
        thing, color = things[int(rng.integers(len(things)))]
        others = [other for other in COLOURS if other != color]
        choices = [color, *rng.permutation(others)[: SLOTS - 1].tolist()]
        choices = [choices[place] for place in rng.permutation(SLOTS)]
        letters = rng.permutation(list(LETTERS))[: 2 * SLOTS].tolist()
        first, fresh = letters[:SLOTS], letters[SLOTS:]
        here = choices.index(color)
        there = [slot for slot in range(SLOTS) if slot != here][int(rng.integers(SLOTS - 1))]
        moved = list(choices)
        moved[here], moved[there] = moved[there], moved[here]
        yield {
            **_row(thing, color, choices, first),
            "answerPosition_counterfactual": _row(thing, color, moved, first),
            "randomLetter_counterfactual": _row(thing, color, choices, fresh),
            "answerPosition_randomLetter_counterfactual": _row(thing, color, moved, fresh),
        }


def _row(thing: str, color: str, choices: Sequence[str], labels: Sequence[str]) -> dict[str, Any]:
    return {
        "question": f"{thing}, {color}",
        "prompt": prompt_of(thing, color, choices, labels),
        "choices": {"label": list(labels), "text": list(choices)},
        "answerKey": list(choices).index(color),
    }


SETS = ("answerPosition", "randomLetter", "answerPosition_randomLetter")
TASK = Prompted(
    name="mcqa",
    summary="Choose among four colours by letter: which slot is right, and which letter it has.",
    variables=("answer_pointer", "answer"),
    models={
        "qwen2.5": "Qwen2.5-0.5B",
        "gemma2": "Gemma-2-2B, which is gated",
        "llama3.1": "Llama-3.1-8B-Instruct, which is gated",
    },
    mib="4_answer_MCQA",
    hub=Hub("mib-bench/copycolors_mcqa", "682676b0", "4_answer_choices"),
    causal=CAUSAL,
    sets=SETS,
    read=read,
    source=lambda row, _base: read(row),
    places={"correct_symbol": symbol, "correct_symbol_period": period},
    answer=lambda run: str(run["answer"]),
    protocols=one_token(SETS),
    generate=generate,
)
