"""A case that expects what is not so."""

from fractions import Fraction

from engines.appendix._game import claim, game, questions
from engines.demo import Demo, Experiment, Scrubbing

DEMO = Demo(
    name="wrong",
    title="Mistaken",
    summary="One number is wrong.",
    story="Nobody is right always.",
    experiments=(
        Experiment(
            "the truth",
            Scrubbing(game(), questions(), claim("output")),
            {"original": Fraction(1, 4), "recovered": None},
        ),
    ),
)
