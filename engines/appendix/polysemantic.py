"""One neuron, two features: interference that does not matter on average, and much on each example.

With k = 9 the loss is 5/9 for the two terms that mean one thing each, and 4u^2 = 25/9 for the interference: 10/3.
Resampled interference has the same moments and is as uncorrelated with the rest: 10/3 again, exactly. On one example
the two terms miss y by (x1^2 + x2^2)/6, and the interference of another adds 25/9 to the square of that: 25/9, 81/36
+ 25/9 = 181/36 and 324/36 + 25/9 = 106/9. Without interference: 5/9, that is (30 - 5/9)/(30 - 10/3) = 53/48. Beside a
compensating unit the loss is 5/9; resampled apart, noise and compensation add 2 * 25/9: 55/9, and with 245/9 for
random answers (245 - 55)/(245 - 5) = 19/24.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", sections 3 and 6.
"""

from collections.abc import Mapping
from fractions import Fraction

from engines.appendix._neuron import BOTH, NOISE, compensated, important, inputs, neuron, terms
from engines.demo import EXACT, Demo, Experiment, Plan, Scrubbing, Value
from engines.hypothesis import RESAMPLE, Group, Source
from engines.rewrite import extensional

APART = tuple(Group((f"loss <- {node}",), RESAMPLE) for node in (NOISE, "compensator"))


def _difference(_: Plan) -> Mapping[str, Value]:
    return {"largest difference": extensional(neuron(), terms(neuron()), inputs().columns)}


def _examples(_: Plan) -> Mapping[str, Value]:
    """Slices of one example each: always exact, since samples of the rarest are too few to tell their error."""
    return Scrubbing(terms(neuron()), inputs(), important(*BOTH), ("example",))(EXACT)


DEMO = Demo(
    name="polysemantic",
    title="One neuron, two features",
    summary="A neuron's interference between two features is noise: resampling keeps the loss, moves its errors.",
    story="""\
A neuron squares the sum of two inputs, so that it serves two features at once, and gets their product as well: noise
that the network puts up with, since both inputs are rarely there together.

Rewrite the neuron as three terms, one for each feature and the interference. The claim is that only the first two
matter. Scrubbing then gives each example the interference of another one, and the loss stays what it was, to the last
digit: the hypothesis is right about the size of the noise too. Per example it moves, from those with both features to
all others. Set the noise to zero or its mean instead, and the network seems to be better than it is: more than 100 %.

Now let a second unit take the noise away again. Then the interference is no noise any more, and resampling the two
apart is rightly punished; only together may they be swapped.
""",
    experiments=(
        Experiment("the rewritten neuron", _difference, {"largest difference": 0}),
        Experiment(
            "interference resampled",
            Scrubbing(terms(neuron()), inputs(), important(*BOTH)),
            {
                "original": Fraction(10, 3),
                "randomised": Fraction(30),
                "scrubbed": Fraction(10, 3),
                "recovered": Fraction(1),
                "zero ablation": Fraction(5, 9),
                "mean ablation": Fraction(5, 9),
            },
        ),
        Experiment(
            "interference resampled, example by example",
            _examples,
            {
                "example=(0, 0) original": Fraction(0),
                "example=(0, 0) scrubbed": Fraction(25, 9),
                "example=(3, 0) original": Fraction(9, 4),
                "example=(3, 0) scrubbed": Fraction(181, 36),
                "example=(3, 3) original": Fraction(144),
                "example=(3, 3) scrubbed": Fraction(106, 9),
                "example=(3, -3) original": Fraction(324),
                "example=(3, -3) scrubbed": Fraction(106, 9),
            },
        ),
        Experiment(
            "each term with its own input only",
            Scrubbing(terms(neuron()), inputs(), important(("neuron.first", "x1"), ("neuron.second", "x2"))),
            {"scrubbed": Fraction(10, 3), "recovered": Fraction(1)},
        ),
        Experiment(
            "the neuron as it is, with the squares",
            Scrubbing(neuron(), inputs(), important(("neuron", "squares"))),
            {"scrubbed": Fraction(10, 3), "recovered": Fraction(1)},
        ),
        Experiment(
            "only the first term",
            Scrubbing(terms(neuron()), inputs(), important(("neuron.first", "datum"))),
            {"scrubbed": Fraction(50, 3), "recovered": Fraction(1, 2)},
        ),
        Experiment(
            "interference set to zero",
            Scrubbing(terms(neuron()), inputs(), important(*BOTH, other=Source("zero"))),
            {"scrubbed": Fraction(5, 9), "recovered": Fraction(53, 48)},
        ),
        Experiment(
            "interference set to its mean",
            Scrubbing(terms(neuron()), inputs(), important(*BOTH, other=Source("mean"))),
            {"scrubbed": Fraction(5, 9), "recovered": Fraction(53, 48)},
        ),
        Experiment(
            "compensated, resampled apart",
            Scrubbing(compensated(), inputs(), important(*BOTH, groups=APART)),
            {
                "original": Fraction(5, 9),
                "randomised": Fraction(245, 9),
                "scrubbed": Fraction(55, 9),
                "recovered": Fraction(19, 24),
            },
        ),
        Experiment(
            "compensated, resampled together",
            Scrubbing(compensated(), inputs(), important(*BOTH)),
            {"scrubbed": Fraction(5, 9), "recovered": Fraction(1)},
        ),
    ),
)
