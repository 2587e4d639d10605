"""Winning by peeking: a false claim that earns ten times what the model does.

Given ``claimed``, a class holds two easy data, whose answer is the claimed value, and two hard ones, where the model
passes. A hard reference thus gets a pass (0) or an easy datum's answer, which is the true bit (+10): 5. An easy one
gets a pass or its own guess, right half the time: (1/2)(1/2) = 1/4. Together 21/8, where the model earns 1/4 and
answers drawn apart from questions -9/8: recovered (-9/8 - 21/8)/(-9/8 - 1/4) = 30/11.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 7.
"""

from collections.abc import Mapping
from fractions import Fraction

from engines.appendix._game import claim, game, questions, told
from engines.baselines import randomised
from engines.column import scalars
from engines.demo import Demo, Experiment, Plan, Scrubbing, Value
from engines.graph import Plain
from engines.sampling import total


def _pairs(_: Plan) -> Mapping[str, Value]:
    """The randomised reward with and without the pairs of a datum with itself."""
    data = questions()
    plain = Plain(game(), data.columns)
    law = randomised(plain, data)
    original = total(data.probabilities, scalars(plain.value("reward")))
    return {"all pairs": law.mean, "unequal pairs": (data.n * law.mean - original) / (data.n - 1)}


def _joined(feature: str, expected: Fraction) -> Experiment:
    claimed = Scrubbing(game(), questions(), claim("claimed", feature))
    return Experiment(f"claimed and {feature}", claimed, {"scrubbed": expected})


DEMO = Demo(
    name="easy_hard",
    title="Winning by peeking",
    summary="A false claim recovers 273 %: where the model passes, the claim lets the true answer in.",
    story="""\
A model is asked for a bit that it cannot know. On easy questions a wrong guess costs little, so it guesses; on hard
ones it costs much, so it passes. Someone claims: the model looks at its guess when the question is easy, and at the
true bit when it is hard. That is false, the model never knows the bit.

Scrubbing swaps the model's input for one with the same claimed value. For a hard question that may be an easy one on
which the model guesses what is the right answer here: the claim itself has brought the label in, and the scrubbed
model earns far more than the real one. More than 100 % recovered is a sign of that, not a success.

Add the setting to what may not change, and the trick is gone: the estimate is that of the model again. A hypothesis is
tested by what it lets you swap, so let others add features to it, and see whether the estimate moves.
""",
    experiments=(
        Experiment(
            "the false claim",
            Scrubbing(game(), questions(), claim("claimed"), ("setting",)),
            {
                "original": Fraction(1, 4),
                "randomised": Fraction(-9, 8),
                "scrubbed": Fraction(21, 8),
                "recovered": Fraction(30, 11),
                "setting=EASY scrubbed": Fraction(1, 4),
                "setting=HARD scrubbed": Fraction(5),
            },
        ),
        Experiment(
            "claimed and setting",
            Scrubbing(game(), questions(), claim("claimed", "setting"), ("setting",)),
            {
                "scrubbed": Fraction(1, 4),
                "recovered": Fraction(1),
                "setting=EASY scrubbed": Fraction(1, 2),
                "setting=HARD scrubbed": Fraction(0),
            },
        ),
        _joined("output", Fraction(1, 4)),
        _joined("datum", Fraction(1, 4)),
        _joined("bit", Fraction(19, 12)),
        _joined("guess", Fraction(11, 6)),
        _joined("right", Fraction(21, 8)),
        Experiment(
            "the truth: the output",
            Scrubbing(game(), questions(), claim("output")),
            {"scrubbed": Fraction(1, 4), "recovered": Fraction(1)},
        ),
        Experiment(
            "the setting goes with the answer",
            Scrubbing(told(), questions(), claim("claimed")),
            {"original": Fraction(1, 4), "randomised": Fraction(1, 4), "recovered": None},
        ),
        Experiment("randomised", _pairs, {"all pairs": Fraction(-9, 8), "unequal pairs": Fraction(-37, 28)}),
    ),
)
