"""The guessing game, told shortly."""

from fractions import Fraction

from engines.appendix._game import claim, game, questions
from engines.demo import Demo, Experiment, Scrubbing

DEMO = Demo(
    name="small_game",
    title="A game",
    summary="A false claim recovers more than there is, since it lets the true answer in where the model would pass.",
    story="""\
Someone claims that the model
knows what it cannot know.

It does not.
""",
    experiments=(
        Experiment(
            "the false claim, which has a rather long name",
            Scrubbing(game(), questions(), claim("claimed"), ("setting",)),
            {"scrubbed": Fraction(21, 8), "recovered": Fraction(30, 11), "setting=HARD scrubbed": 5},
        ),
        Experiment("the truth", Scrubbing(game(), questions(), claim("output")), {"recovered": 1}),
    ),
)
