"""A guessing game: hashes whose bit the model cannot know, in an easy setting and in a hard one.

Eight equally likely data: the model's guess, the true bit, and the setting. In the easy setting the model guesses (+2
if right, -1 if wrong); in the hard one, where a wrong guess costs 20 and a right one brings 10, it passes (0). It thus
earns (2 - 1)/2 = 1/2 in the one and 0 in the other: 1/4.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 7.
"""

from fractions import Fraction
from itertools import product

from engines.dataset import Dataset
from engines.graph import Graph, Node
from engines.hypothesis import Hypothesis, InterpNode

EASY, HARD, PASS = "EASY", "HARD", "pass"
PRIZES = {EASY: (Fraction(2), Fraction(-1)), HARD: (Fraction(10), Fraction(-20))}


def answer(guess: int, setting: str) -> int | str:
    """What the model does."""
    return guess if setting == EASY else PASS


def reward(answer: int | str, bit: int, setting: str) -> Fraction:
    """What it earns."""
    return Fraction(0) if answer == PASS else PRIZES[setting][answer != bit]


def game() -> Graph:
    """The model and its reward; the bit and the setting are what an answer is measured against."""
    return Graph(
        "game",
        (
            Node.input("guess"),
            Node.input("bit"),
            Node.input("setting"),
            Node.of("model", ("guess", "setting"), answer),
            Node.of("reward", {"answer": "model", "bit": "bit", "setting": "setting"}, reward),
        ),
        output="reward",
        labels=("bit", "setting"),
        reward=True,
    )


def told() -> Graph:
    """The same game, but the setting travels with the answer, and only the bit is a label."""
    return Graph(
        "game told",
        (
            Node.input("guess"),
            Node.input("bit"),
            Node.input("setting"),
            Node.of("model", ("guess", "setting"), lambda guess, setting: (answer(guess, setting), setting)),
            Node.of("reward", {"told": "model", "bit": "bit"}, lambda told, bit: reward(told[0], bit, told[1])),
        ),
        output="reward",
        labels=("bit",),
        reward=True,
    )


def questions() -> Dataset:
    """All data. ``claimed`` is the false claim: the guess where the setting is easy, the true bit where it is hard."""
    return Dataset.of(
        "questions",
        [
            {"guess": guess, "bit": bit, "setting": setting}
            for guess, bit, setting in product((0, 1), (0, 1), (EASY, HARD))
        ],
        {
            "claimed": lambda guess, bit, setting: guess if setting == EASY else bit,
            "output": answer,
            "right": lambda guess, bit: guess == bit,
        },
    )


def claim(*features: str) -> Hypothesis:
    """The hypothesis that of the model's input only these features matter."""
    return Hypothesis(
        "game",
        (InterpNode("reward", ("reward",)), InterpNode("model", ("reward <- model",), "reward", features)),
    )
