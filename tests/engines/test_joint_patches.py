"""Joint and soft patches: strengths by hand, every small set, and a variable that two copies carry together."""

from dataclasses import replace

import pytest

from engines.causal import Setting
from engines.decoder_model import DecoderModel
from engines.errors import InvalidSetting
from engines.events import Measured, Piece, drain
from engines.joint import Calibrated, calibrate, handle, minimal, named_parts, soft, subsets
from engines.methods.plot_joint import PlotJoint
from engines.methods.plot_soft import PlotSoft
from engines.networks import Block, Decoder, DecoderShape
from engines.score import Cost, Quality, wilson
from engines.site import Site
from engines.task import Pair, Problem, draw_pairs
from tests.known import conjunction, conjunction_problem

COPY_A, COPY_B = 2, 3


def copies_decoder() -> Decoder:
    """Two heads copy x0 to the last position; the answer, x0, needs only one of them: relu(a + b) - relu(a + b - 1)."""
    decoder = Decoder(
        DecoderShape(n_layers=1, n_heads=2, d_model=6, d_head=1, d_mlp=2, d_vocab=2, d_vocab_out=2, n_ctx=2)
    )
    decoder.W_E.data[1, 0] = 1.0
    decoder.W_E.data[:, 1] = 1.0
    decoder.W_pos.data[0, 4] = 1.0
    block = decoder.blocks[0]
    assert isinstance(block, Block)
    for head, column in enumerate((COPY_A, COPY_B)):
        block.attn.W_Q.data[head, 1, 0] = 100.0
        block.attn.W_K.data[head, 4, 0] = 1.0
        block.attn.W_V.data[head, 0, 0] = 1.0
        block.attn.W_O.data[head, 0, column] = 1.0
    block.mlp.W_in.data[[COPY_A, COPY_B], :] = 1.0
    block.mlp.W_in.data[1, 1] = -1.0
    block.mlp.W_out.data[0, 5], block.mlp.W_out.data[1, 5] = 1.0, -1.0
    decoder.W_U.data[1, 0] = 0.5
    decoder.W_U.data[5, 1] = 1.0
    return decoder


def copies_problem() -> Problem:
    """Where does the network carry x0 between its two heads and the answer? Only the heads are candidates."""
    _, task = conjunction()
    causal = replace(task.causal, mechanisms={"copied": lambda x0: x0, "answer": lambda copied: copied})

    def counterfactual(variable: str, pair: Pair, _base: Setting, source: Setting) -> Setting:
        return causal.intervene(pair.base, {variable: source[variable]})

    task = replace(task, name="copies", causal=causal, variables=("copied",), counterfactual=counterfactual)
    sites = tuple(Site.parse(f"L0.head{head}.result@{at}") for head in range(2) for at in ("first", "last"))
    fit, calibration, test = (draw_pairs(task, "audit", quota=8, seed=part) for part in range(3))
    model = DecoderModel("copies", copies_decoder())
    return Problem("copies", model, task.answer, "copied", ("copied",), sites, fit, calibration, test, 0)


def test_copies_are_found_together_and_not_alone() -> None:
    """One head alone only ever adds a 1: right from 0 to 1, and wrong from 1 to 0, where its copy still says 1."""
    problem = copies_problem()
    alone = drain(calibrate(problem, subsets(problem.model, problem.sites, 1), {}))[1]
    assert alone.qualities[0].iia.value == 0.5
    assert alone.no_op.invariance is not None
    assert (alone.no_op.iia.value, alone.no_op.invariance.value) == (0.0, 1.0)
    _, fit = drain(PlotJoint().fit(problem, {}))
    assert [str(part.site) for part in fit.handles[0].parts] == ["L0.head0.result@last", "L0.head1.result@last"]
    assert len(fit.handles) == 1
    assert fit.quality.value == 1.0


def test_all_sets_are_tried_once_and_the_smallest_of_equals_is_first() -> None:
    problem = conjunction_problem("both")
    pool = [Site.parse(f"L0.{name}@last") for name in ("resid_post", "mlp_out", "attn_out")]
    patches = subsets(problem.model, pool, 2)
    assert [named_parts(patch) for patch in patches] == [
        "L0.attn_out@last",
        "L0.mlp_out@last",
        "L0.resid_post@last",
        "L0.attn_out@last + L0.mlp_out@last",
        "L0.attn_out@last + L0.resid_post@last",
        "L0.mlp_out@last + L0.resid_post@last",
    ]
    events, calibrated = drain(calibrate(problem, [*patches, *patches], {}))
    assert len(calibrated.patches) == len(patches)
    assert [named_parts(patch) for patch in calibrated.patches[:2]] == ["L0.mlp_out@last", "L0.resid_post@last"]
    told = [event.site for event in events if isinstance(event, Measured)]
    assert told == [named_parts(patch) for patch in calibrated.patches]
    found = minimal(calibrated)
    assert [named_parts(patch) for patch, _ in found] == ["L0.mlp_out@last", "L0.resid_post@last"]
    claim = handle("both", *found[0])
    assert (claim.calibration, len(claim.parts)) == (1.0, 1)


def test_calibration_is_a_piece_that_is_not_run_again() -> None:
    problem = conjunction_problem("both")
    patches = subsets(problem.model, problem.sites[:3], 2)
    events, first = drain(calibrate(problem, patches, {}))
    pieces = {event.key: event.tensors for event in events if isinstance(event, Piece)}
    assert len(pieces) == 1
    again_events, again = drain(calibrate(problem, patches, pieces))
    assert not any(isinstance(event, Piece) for event in again_events)
    assert (again.cost, again.qualities) == (first.cost, first.qualities)
    assert first.cost.layer_evaluations > 0


def test_minimal_keeps_sets_that_no_part_replaces() -> None:
    def scored(right: int) -> Quality:
        return Quality(wilson(right, 20), None)

    problem = conjunction_problem("both")
    a, b, ab = subsets(problem.model, problem.sites[:2], 2)
    both_needed = Calibrated((ab, a, b), (scored(20), scored(5), scored(4)), scored(0), Cost())
    assert [patch for patch, _ in minimal(both_needed)] == [ab]
    one_is_enough = Calibrated((a, ab, b), (scored(20), scored(20), scored(4)), scored(0), Cost())
    assert [patch for patch, _ in minimal(one_is_enough)] == [a]


def test_strengths_by_hand() -> None:
    """Weights 3 and 1: the heaviest gets s, the other a third; k weights of mean 1 are 1.5 and 0.5."""
    problem = conjunction_problem("both")
    half, whole, mean = soft(problem.model, problem.sites[:2], [0.6, 0.2], [0.5, 1.0])
    assert [part.strength for part in half] == pytest.approx([0.5, 1 / 6])
    assert [part.strength for part in whole] == pytest.approx([1.0, 1 / 3])
    assert [part.strength for part in mean] == pytest.approx([1.5, 0.5])
    without = soft(problem.model, problem.sites[:2], [1.0, 0.0], [1.0])[0]
    assert [part.strength for part in without] == [1.0]  # no part without strength


def test_one_site_at_strength_one_is_the_full_swap() -> None:
    problem = conjunction_problem("both")
    patch, same = soft(problem.model, problem.sites[:1], [0.3], [1.0])
    assert patch == same == subsets(problem.model, problem.sites[:1], 1)[0]


@pytest.mark.parametrize("strength", [0.0, -1.0, 2.5, float("nan")])
def test_wrong_strengths_are_refused(strength: float) -> None:
    problem = conjunction_problem("both")
    with pytest.raises(InvalidSetting, match=r"strengths \(.*\): each is above 0 and at most 2, and 1 swaps in full"):
        soft(problem.model, problem.sites[:1], [1.0], [strength])


def test_a_pool_smaller_than_its_sets_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="together is 3: give 1 to the size of the pool, 2"):
        drain(PlotJoint(pool=2).fit(conjunction_problem("both"), {}))


def test_one_row_has_no_mass_and_says_so() -> None:
    problem = replace(conjunction_problem("both"), variables=("both",))
    _, fit = drain(PlotSoft().fit(problem, {}))
    assert any("there is no mass to weight sites by" in note for note in fit.notes)
    assert fit.quality.value == 1.0
