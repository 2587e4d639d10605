"""Principal angles: of planes at known angles, against SciPy, and of a run on a compiled program."""

import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from safetensors.torch import load_file, save_file

from engines.errors import CorruptRun, InvalidSetting, StoreError
from engines.site import Site
from tracr_bridge.equivalence import overlap
from workbench import angles, inspect_text
from workbench.inspection import Inspection
from workbench.spec import Cell, Spec
from workbench.specimen import prepare
from workbench.store import FORMAT, Run, Store

CELL, SITE = "rasp.reverse/compiled/opposite", "L1.mlp_out@target"


def planes(*degrees: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The span of the first coordinates, and one at these principal angles to it."""
    count = len(degrees)
    turned = torch.zeros(2 * count, count, dtype=torch.float64)
    for place, angle in enumerate(degrees):
        turned[place, place] = math.cos(math.radians(angle))
        turned[count + place, place] = math.sin(math.radians(angle))
    return torch.eye(2 * count, dtype=torch.float64)[:, :count], turned


def test_two_planes_at_a_known_angle() -> None:
    first, second = planes(20.0, 70.0)
    found = angles.principal_angles(first, second).rad2deg()
    assert found.tolist() == pytest.approx([20.0, 70.0], abs=1e-9)
    mixed = second @ torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=torch.float64)  # another basis of the same plane
    assert angles.principal_angles(mixed, first).rad2deg().tolist() == pytest.approx([20.0, 70.0], abs=1e-9)


def test_small_angles_are_exact_too() -> None:
    first, second = planes(1e-6, 1e-3, 90.0)
    found = angles.principal_angles(first, second).rad2deg().tolist()
    assert found == pytest.approx([1e-6, 1e-3, 90.0], rel=1e-6)


@pytest.mark.parametrize(("width", "p", "q"), [(6, 2, 2), (9, 5, 2), (7, 1, 4), (5, 4, 4)])
def test_angles_are_scipys(width: int, p: int, q: int) -> None:
    generator = torch.Generator().manual_seed(width)
    a, b = (torch.linalg.qr(torch.randn(width, k, generator=generator, dtype=torch.float64)).Q for k in (p, q))
    expected = np.sort(scipy.linalg.subspace_angles(a.numpy(), b.numpy()))
    assert angles.principal_angles(a, b).tolist() == pytest.approx(expected.tolist(), abs=1e-9)


def test_random_subspaces_are_drawn_with_a_seed_and_hold_what_theory_says() -> None:
    found = angles.random_overlap(40, 1, 1)
    assert found["value"] == pytest.approx(math.sqrt(2 / (math.pi * 40)), abs=0.02)  # E|x_1| on the sphere
    assert found["low"] < found["value"] < found["high"]
    angles.random_overlap.cache_clear()
    assert angles.random_overlap(40, 1, 1) == found
    assert angles.random_overlap(5, 2, 5)["low"] == pytest.approx(1.0)


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    """A compiled program, and an empty store."""
    return Inspection(prepare(Cell.parse(CELL)), Store(tmp_path_factory.mktemp("angles") / "runs"))


def finished(store: Store, cell: str, claim: dict[str, Any], arrays: dict[str, torch.Tensor]) -> Run:
    """A finished run with one claim and its arrays."""
    run = store.open(Spec.parse(cell, "plot_das"))
    part = {"site": SITE, "strength": 1.0, **claim}
    handle = {**part, "variable": "opposite", "calibration_iia": None, "parts": [part]}
    run.finish({"format": FORMAT, "fit": {"handles": [handle], "ranking": []}})
    save_file(arrays, run.folder / "tensors.safetensors")
    return run


@pytest.fixture
def done(looked: Inspection) -> Iterator[tuple[Inspection, Store, Run]]:
    """A run whose rotation is 0, 30, 60 and 90 degrees from the true subspace, in single precision."""
    store, network = looked.store, looked.specimen.network
    assert store is not None
    assert network is not None
    true = network.subspace(network.truth.variable("opposite")).double()
    apart = torch.linalg.qr(torch.cat([true, torch.eye(len(true), dtype=torch.float64)[:, :8]], 1)).Q[:, 4:8]
    turns = torch.tensor([0.0, 30.0, 60.0, 90.0], dtype=torch.float64).deg2rad()
    learned = true * turns.cos() + apart * turns.sin()
    mixed = learned @ torch.linalg.qr(torch.arange(16.0).reshape(4, 4).double().sin()).Q
    arrays = {"handles.0.columns": mixed.float().contiguous()}
    yield looked, store, finished(store, CELL, {"featurizer": "Rotation", "rank": 4}, arrays)
    shutil.rmtree(store.root)


def test_a_run_against_its_compiled_truth(done: tuple[Inspection, Store, Run]) -> None:
    inspection, _, run = done
    answer = inspection.ask("angles", {"run": run.id})
    assert (answer["run"], answer["method"]) == (run.id, "plot_das")
    (found,) = answer["sites"]
    assert found["angles"] == pytest.approx([0.0, 30.0, 60.0, 90.0], abs=1e-4)
    learned = load_file(run.folder / "tensors.safetensors")["handles.0.columns"].double()
    true = angles.true_bases(inspection.specimen, Site.parse(SITE))["opposite"]
    expected = np.rad2deg(np.sort(scipy.linalg.subspace_angles(true.numpy(), learned.numpy())))
    assert angles.principal_angles(true, learned).rad2deg().tolist() == pytest.approx(expected.tolist(), abs=1e-6)
    assert found["mean_cos"] == pytest.approx((1 + 3**0.5 / 2 + 0.5) / 4, abs=1e-6)
    network = inspection.specimen.network
    assert network is not None
    assert found["share"] == pytest.approx((1 + 0.75 + 0.25) / 4, abs=1e-6)
    assert found["share"] == pytest.approx(overlap(network, "opposite", Site.parse(SITE), learned), abs=1e-6)
    assert (found["block"], found["true_rank"], found["random"]["n"]) == ("opposite", 4, angles.DRAWS)
    assert 0 < found["audit"]["right"] < found["audit"]["n"]
    words = inspect_text.text("angles", answer)
    assert "0.0, 30.0, 60.0, 90.0 degrees with opposite" in words
    assert "None" not in words


def test_what_has_no_rotation_says_so(done: tuple[Inspection, Store, Run]) -> None:
    inspection, _, run = done
    (one,) = inspection.ask("angles", {"run": run.id, "site": "embed@last"})["sites"]
    assert (one["claim"], one["angles"], one["true"]) == (None, None, [])
    assert "claims nothing here" in one["note"]
    (carried,) = inspection.ask("angles", {"run": run.id, "site": SITE})["sites"]
    assert carried["true"] == [{"block": "opposite", "rank": 4}]
    record = run.result()
    part = record["fit"]["handles"][0]["parts"][0]

    def told(**changes: Any) -> dict[str, Any]:
        (run.folder / "result.json").write_text(json.dumps(record))
        changed = json.loads(json.dumps(record))
        changed["fit"]["handles"][0]["parts"][0].update(changes)
        (run.folder / "result.json").write_text(json.dumps(changed))
        return inspection.ask("angles", {"run": run.id})["sites"][0]

    try:
        assert "full swap" in told(featurizer="Whole")["note"]
        assert "no compiled block carries" in told(site="embed@last")["note"]
        with pytest.raises(CorruptRun, match=r"lack 'handles\.0\.gates', the Mask"):
            told(featurizer="Mask")
    finally:
        (run.folder / "result.json").write_text(json.dumps(record))
    assert told(**part)["note"] is None


def test_other_runs_and_damaged_arrays_are_refused(done: tuple[Inspection, Store, Run]) -> None:
    inspection, store, run = done
    file = run.folder / "tensors.safetensors"
    kept = file.read_bytes()
    with pytest.raises(InvalidSetting, match="run 1, site None: write a run's id"):
        inspection.ask("angles", {"run": 1})
    with pytest.raises(StoreError, match="no run starts with 'fff'"):
        inspection.ask("angles", {"run": "fff"})
    other = store.open(Spec.parse("rasp.reverse/rotated/opposite", "plot"))
    with pytest.raises(InvalidSetting, match="is one of rasp"):
        inspection.ask("angles", {"run": other.id})
    try:
        file.write_bytes(b"torn")
        with pytest.raises(CorruptRun, match="is damaged"):
            inspection.ask("angles", {"run": run.id})
        file.unlink()
        with pytest.raises(StoreError, match="has no arrays"):
            inspection.ask("angles", {"run": run.id})
    finally:
        file.write_bytes(kept)


def test_masks_and_rotated_networks(tmp_path: Path) -> None:
    """A mask of all coordinates holds every true subspace, also where those are no coordinates."""
    store, cell = Store(tmp_path / "runs"), "rasp.reverse/rotated/opposite"
    gates = {"handles.0.gates": torch.ones(31, dtype=torch.bool)}
    run = finished(store, cell, {"featurizer": "Mask", "rank": 31}, gates)
    (one,) = Inspection(prepare(Cell.parse(cell)), store).ask("angles", {"run": run.id})["sites"]
    assert one["angles"] == pytest.approx([0.0] * 4, abs=1e-4)
    assert one["audit"]["right"] == one["audit"]["n"] > 100  # a mask of everything is the full swap, right here
    assert one["true"] == [{"block": "opposite", "rank": 4}]
