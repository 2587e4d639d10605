"""What an adversary finds: features that a false claim left out, by how much each bit of them moves the estimate.

The guessing game's claim gives 21/8. With the setting or the output joined it is 1/4, at 1 bit; with the datum itself
1/4 too, at 2 bits; with the true bit 19/12 and with the guess 11/6, at 1/2 + 3/4 log2(4/3) = 0.811 bits: of four data
that share a claimed value, three share the bit. Whether the guess is right moves nothing, at 1 bit. In the example of
errors that cancel, the output moves idioms by -1/2 and traps by +1/2, and the total by nothing.

Source: Redwood Research (2022), "Causal scrubbing: Appendix", section 8.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from engines.adversary import Search, adversary
from engines.appendix import cancellation
from engines.appendix._game import claim, game, questions
from engines.demo import Demo, Experiment, Measure, Plan, Scrubbing, Value
from engines.events import drain
from engines.hypothesis import Hypothesis
from engines.join import exact, join, trivial

FEATURES = ("setting", "output", "datum", "bit", "guess", "right")
SHARED = 1 / 2 + 3 / 4 * math.log2(4 / 3)


def _game(plan: Plan) -> Mapping[str, Value]:
    """Changes, bits and places of all features in the guessing game."""
    steps = adversary(game(), questions(), claim("claimed"), FEATURES, plan, Search(injective=True))
    _, report = drain(steps)
    found: dict[str, Value] = {"no feature": report.scrubbed, "features that move it": len(report.moving)}
    for place, joined in enumerate(report.ranked, start=1):
        found[f"{joined.feature} change"] = joined.changes[0].estimate
        found[f"{joined.feature} bits"] = joined.bits
        found[f"{joined.feature} place"] = place
    return found


def _cancelling(plan: Plan) -> Mapping[str, Value]:
    """What the output moves in the example of errors that cancel."""
    network, data = cancellation.network(), cancellation.sentences()
    steps = adversary(network, data, cancellation.claim("claimed"), ("output",), replace(plan, slices=("kind",)))
    _, report = drain(steps)
    return {change.where: change.estimate for change in report.ranked[0].changes}


def _joined(first: Hypothesis, second: Hypothesis) -> Measure:
    return Scrubbing(game(), questions(), join(first, second, game()))


DEMO = Demo(
    name="adversary",
    title="The adversary",
    summary="Each feature that a claim left out is joined to it: the setting moves the game most for its bits.",
    story="""\
Two people who disagree about a network can join their hypotheses: what either of them forbids to swap stays. If the
first was right to call something irrelevant, keeping it changes nothing. So an adversary tries features, one after the
other, and looks for those that move the estimate.

Keeping the whole datum always leads back to the network as it is, and proves nothing. What tells is the change for each
bit that is kept. In the guessing game the setting moves most at the least cost: it is what the false claim had smuggled
past. In the example of errors that cancel, the total does not move at all, and only slices show what was left out.

Where no feature moves anything, the hypothesis is comprehensive up to this library of features: no more than that.
""",
    experiments=(
        Experiment(
            "the false claim",
            Scrubbing(game(), questions(), claim("claimed")),
            {"original": Fraction(1, 4), "scrubbed": Fraction(21, 8)},
        ),
        Experiment(
            "every feature joined to it",
            _game,
            {
                "no feature": Fraction(21, 8),
                "features that move it": 5,
                "setting change": Fraction(-19, 8),
                "setting bits": 1.0,
                "setting place": 1,
                "output change": Fraction(-19, 8),
                "output bits": 1.0,
                "output place": 2,
                "datum change": Fraction(-19, 8),
                "datum bits": 2.0,
                "bit change": Fraction(-25, 24),
                "bit bits": SHARED,
                "guess change": Fraction(-19, 24),
                "guess bits": SHARED,
                "right change": Fraction(0),
                "right bits": 1.0,
                "right place": 6,
            },
        ),
        Experiment(
            "errors that cancel, with the output",
            _cancelling,
            {"total": 0, "kind=plain": 0, "kind=idiom": Fraction(-1, 2), "kind=trap": Fraction(1, 2)},
        ),
        Experiment("two claims joined", _joined(claim("claimed"), claim("setting")), {"scrubbed": Fraction(1, 4)}),
        Experiment(
            "the same in the other order", _joined(claim("setting"), claim("claimed")), {"scrubbed": Fraction(1, 4)}
        ),
        Experiment("a claim with itself", _joined(claim("claimed"), claim("claimed")), {"scrubbed": Fraction(21, 8)}),
        Experiment(
            "a claim with the one that claims nothing",
            _joined(claim("claimed"), trivial(claim("claimed"))),
            {"scrubbed": Fraction(21, 8)},
        ),
        Experiment(
            "a claim with the one that claims all",
            _joined(claim("claimed"), exact(claim("claimed"))),
            {"scrubbed": Fraction(1, 4)},
        ),
    ),
)
