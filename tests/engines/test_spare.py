"""Batches that do not fit are halved and give what they give whole; half precision and devices are followed."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from jaxtyping import Int
from torch import Tensor

from engines import patches, spare
from engines.activations import capture
from engines.attribution import attribute
from engines.bridge_model import BridgeModel
from engines.errors import TooLarge
from engines.evaluation import joint
from engines.events import Trained, drain
from engines.featurize import Coordinates, Mask, Rotation, Whole, swap
from engines.handle import Part
from engines.intervene import Metered, unpatched
from engines.mask import Masking
from engines.patches import Together, longer
from engines.search import search
from engines.site import Site
from engines.subspace import Das, Training, rotations
from engines.task import Pairs, Problem
from engines.training import Schedule, optimise
from tests.engines.test_subspace import MID, planted
from tests.families import HUGGING, boot, family, mixed_pairs
from tests.wrapped import Narrow

FIRST, SECOND = Site(0, "resid_post", "last"), Site(1, "resid_pre", "middle")


@pytest.fixture(autouse=True)
def _all_fits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(spare, "gc", SimpleNamespace(collect=lambda: None))  # a quarter of a second each time
    spare.forget()
    yield
    spare.forget()


def turned(width: int, rank: int = 2) -> Rotation:
    return Rotation(torch.linalg.qr(torch.randn(width, rank, generator=torch.Generator().manual_seed(0)))[0])


def claims() -> list[Sequence[Part]]:
    own, whole = turned(16), Whole(16)
    return [
        (),
        (Part(FIRST, own),),
        (Part(FIRST, whole),),
        (Part(SECOND, own), Part(FIRST, whole)),
        (Part(FIRST, whole),),
    ]


LACKS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: not enough memory: you tried to"),
    MemoryError(),
]


@pytest.mark.parametrize("error", LACKS, ids=["cuda", "cpu", "python"])
def test_what_does_not_fit_is_run_in_halves_with_the_same_results(error: Exception) -> None:
    pairs = mixed_pairs()
    narrow = Narrow(family("llama"), 2, error)
    expected = joint(family("llama"), pairs, claims()[1:])
    assert spare.told() == []
    found = joint(narrow, pairs, claims()[1:])
    for given, whole in zip(found, expected, strict=True):
        torch.testing.assert_close(given, whole)
    said = spare.told()
    assert said[0] == "memory does not suffice for 3 inputs at once; from here on at most 2 are run together"
    kinds = [sentence.partition(" for ")[2].partition(" at once")[0] for sentence in said]
    assert len(kinds) == len(set(kinds))  # each is told of once
    assert {"3 inputs", "3 patched pairs", "3 pairs"} < set(kinds)
    joint(narrow, pairs, claims()[1:])
    assert spare.told() == []  # what fits is known


def test_rows_come_in_their_order_and_other_errors_are_not_swallowed() -> None:
    tried: list[int] = []

    def run(part: Int[Tensor, " part"]) -> list[int]:
        tried.append(len(part))
        if len(part) > 3:
            raise MemoryError
        return part.tolist()

    found = spare.in_parts(run, torch.arange(11), "rows")
    assert [row for part in found for row in part] == list(range(11))
    assert tried == [11, 6, 3, 3, 3, 2]

    def wrong(part: Int[Tensor, " part"]) -> None:
        raise RuntimeError(f"no such thing as {len(part)} rows")

    with pytest.raises(RuntimeError, match="no such thing as 4 rows"):
        spare.in_parts(wrong, torch.arange(4), "others")


def test_a_single_row_that_does_not_fit_is_a_sentence() -> None:
    with pytest.raises(TooLarge, match="memory does not suffice to run one of the inputs alone; free some, use a"):
        capture(Narrow(family("llama"), 0, MemoryError()), mixed_pairs(), [FIRST], [1])


def test_patches_that_share_runs_give_what_each_gives_alone() -> None:
    """Equal full swaps are run once; longer bases are run on with sources as they are."""
    model, pairs = family("gemma2"), mixed_pairs()
    some = Together.of(model, pairs, claims())
    found = {place: outputs for places, outputs in some.outputs() for place in places}
    assert sorted(places for places, _ in some.outputs()) == [(0,), (1,), (2, 4), (3,)]
    more = longer(pairs, torch.tensor([3, 4, 5]))
    for place, patch in enumerate(claims()):
        alone, base = joint(model, pairs, [patch or claims()[1]])
        torch.testing.assert_close(found[place], alone[0] if patch else base)
        alone, base = joint(model, more, [patch or claims()[1]])
        torch.testing.assert_close(some.after(more, some.patches[place]), alone[0] if patch else base)


def test_sources_are_run_once_for_all_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    captured: list[int] = []
    monkeypatch.setattr(patches, "capture", lambda *given: captured.append(len(given[2])) or capture(*given))
    pairs = mixed_pairs()
    ((done, found),) = patches.outputs_of(
        family("llama"), pairs, {str(place): one for place, one in enumerate(claims())}
    )
    assert (done, sorted(found), captured) == (3, ["0", "1", "2", "3", "4"], [2])


PLANS: dict[str, Any] = {
    "das": Das(Training((1, 2), 9, 8, 0.05, 1, early=False)),
    "dbm": Masking((0.1, 1.0), Schedule(9, 8, 0.2)),
}


@pytest.mark.parametrize(("plan", "most"), [("das", 7), ("dbm", 2)])
def test_training_steps_that_do_not_fit_take_the_same_steps_in_parts(plan: str, most: int) -> None:
    """Two sites of one layer train side by side: then one after the other, then on parts of the pairs."""
    asked = planted("copied", dtype=torch.float64)
    sites = [(MID,), (replace(MID, position="first"),)]
    curves, found = [], []
    for model in (asked.model, Narrow(asked.model, most)):
        events, trials = drain(search(replace(asked, model=model), sites, PLANS[plan], {}))
        curves.append([event.loss for event in events if isinstance(event, Trained)])
        parts = [trial.handle.parts[0].featurizer for trial in trials.trials]
        found.append(
            [
                one.gates.double() if isinstance(one, Mask) else one.columns
                for one in parts
                if isinstance(one, Mask | Rotation)
            ]
        )
    assert len(curves[0]) > 1
    assert curves[1] == pytest.approx(curves[0])
    for given, whole in zip(found[1], found[0], strict=True):
        torch.testing.assert_close(given, whole)
    said = [one.partition(" for ")[2].partition(" at once")[0] for one in spare.told()]
    assert ("2 trained patches" in said) == (plan == "dbm")  # no rotation is trained at the first position
    jobs = {"das": 1, "dbm": 2}[plan]  # the second size is the whole span, and needs no training
    halved = [f"{count} training pairs" for count in (8, 4, 2) if count * jobs > most]
    assert [one for one in said if one.endswith("training pairs")] == halved


def test_a_pair_that_alone_does_not_fit_into_a_step_is_a_sentence() -> None:
    asked = planted("copied")
    fit = capture(asked.model, asked.fit, [MID], [0])
    bench, unable = PLANS["dbm"].bench(asked, fit, (MID,)), Narrow(asked.model, 1)
    steps = optimise(asked, Metered(unable), fit, [bench], Schedule(1, 4, 0.1))
    with pytest.raises(TooLarge, match="memory does not suffice to run one of the training pairs alone"):
        drain(steps)


def test_attribution_is_run_in_halves_with_the_same_results() -> None:
    asked = planted("copied")
    whole = drain(attribute(asked, asked.sites, {}))[1]
    halves = drain(attribute(replace(asked, model=Narrow(asked.model, 2)), asked.sites, {}))[1]
    torch.testing.assert_close(halves.effects, whole.effects)
    assert any("attributed pairs at once" in one for one in spare.told())


def problem(model: BridgeModel, pairs: Pairs) -> Problem:
    """A question on the mixed pairs, whose labels are all another than the base's."""
    changed = replace(
        pairs,
        base_labels=pairs.base_labels + 1,
        values={"v": torch.tensor([[0, 1], [1, 0], [0, 1]])},
    )
    return Problem("half", model, pairs.answer, "v", ("v",), (FIRST,), changed, changed, changed, 0)


def test_in_half_precision_scores_and_rotations_are_of_full_precision() -> None:
    model = BridgeModel("half", boot(*HUGGING["llama"]).bfloat16())
    pairs = mixed_pairs()
    held = capture(model, pairs, [FIRST, SECOND], [1])
    assert {held.sources[FIRST].dtype, held.bases[SECOND].dtype} == {torch.float32}
    assert held.inputs[1].distinct.dtype == torch.bfloat16
    outputs, base = joint(model, pairs, claims()[1:])
    assert outputs.dtype == base.dtype == unpatched(model, held).dtype == torch.float32
    own = rotations(problem(model, pairs), held, (FIRST,), Training((1,), 1, 2, 0.1, 1))
    assert {tensor.dtype for tensor in (*own.raw, *own.spans)} == {torch.float32}


@pytest.mark.parametrize("featurizer", [turned(8), Coordinates(8, (1, 4)), Whole(8)])
def test_featurizers_follow_the_device_of_vectors(featurizer: Any) -> None:
    """The meta device computes shapes alone, and refuses to be mixed with the CPU as a GPU does."""
    vectors = torch.empty(2, 5, 8, device="meta", dtype=torch.float64)
    assert swap(featurizer, vectors, vectors).device.type == "meta"
