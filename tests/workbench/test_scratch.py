"""What memory has no place for is kept in files, with the same numbers, and nothing is left of them."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from engines import shelf, spare
from engines.activations import Activations, capture
from engines.errors import TooLarge
from engines.evaluation import full, joint, sweep
from engines.events import drain
from engines.model import Batch, Forward
from engines.search import search
from engines.site import Site
from engines.subspace import Das, Training
from engines.task import Pairs
from tests.engines.test_subspace import MID, planted, same
from tests.families import family, mixed_pairs
from tests.wrapped import Wrapped
from workbench import scratch
from workbench.scratch import Scratch

SITES = [Site.parse(place) for place in ("L0.resid_post@last", "L1.head1.z@all", "L1.mlp_out@middle")]


@pytest.fixture(autouse=True)
def _nothing_told() -> Iterator[None]:
    spare.forget()
    yield
    spare.forget()


@pytest.fixture
def full_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "room", lambda _device: 0)


class Broken(Wrapped):
    """A model that is interrupted when activations are used."""

    def forward(self, batch: Batch, **given: Any) -> Forward:
        if given.get("start") is not None:
            raise KeyboardInterrupt
        return super().forward(batch, **given)


def twice(pairs: Pairs) -> Pairs:
    """Every pair with its source, and then with the source of the next one of its length."""
    index = torch.arange(2 * pairs.n) % pairs.n

    def more(batch: Batch) -> Batch:
        return batch.take(index)

    at = {name: where[index] for name, where in pairs.base_at.items()}
    labels = {name: label[index] for name, label in pairs.labels.items()}
    valid = {name: one[index] for name, one in pairs.valid.items()}
    values = {name: one[index] for name, one in pairs.values.items()}
    given = {"bases": more(pairs.bases), "sources": more(pairs.sources), "base_at": at, "source_at": at}
    given |= {"answers_at": pairs.answers_at[index], "base_labels": pairs.base_labels[index]}
    return replace(pairs, **given, labels=labels, valid=valid, values=values)


def held(activations: Activations) -> list[torch.Tensor]:
    rows = torch.arange(activations.pairs.n)
    mappings = activations.inputs, activations.past
    whole = [one[rows] for mapping in mappings for one in mapping.values()]
    return [*activations.sources.values(), *activations.bases.values(), *whole]


@pytest.mark.usefixtures("full_memory")
@pytest.mark.parametrize("name", ["llama", "decoder"])
def test_files_hold_what_memory_holds_to_the_bit(name: str, tmp_path: Path) -> None:
    model, pairs = family(name), twice(mixed_pairs())
    expected = capture(model, pairs, SITES, [0, 1])
    assert {len(one.distinct) for one in expected.inputs.values()} == {3}  # of six pairs
    with shelf.on(Scratch(tmp_path / "cache")):
        found = capture(model, pairs, SITES, [0, 1])
        outputs = joint(model, pairs, [[part] for part in full(model, SITES)])
    assert all(map(torch.equal, held(found), held(expected)))
    assert len(held(found)) == len(held(expected))
    memory = joint(model, pairs, [[part] for part in full(model, SITES)])
    assert all(torch.equal(given, whole) for given, whole in zip(outputs, memory, strict=True))
    (told, *_) = spare.told()
    size = r"[\d.]+ kB"
    assert re.fullmatch(
        rf"activations take ({size}), more than a quarter of the free memory; \1 of them are kept in files in "
        rf"{tmp_path}/cache as long as they are needed",
        told,
    )
    assert list((tmp_path / "cache").iterdir()) == []  # though found is still there
    if (maps := Path("/proc/self/maps")).exists():
        assert f"{tmp_path}/cache" in maps.read_text()
        del found
        assert f"{tmp_path}/cache" not in maps.read_text()


@pytest.mark.usefixtures("full_memory")
def test_rotations_are_trained_on_files_as_on_memory(tmp_path: Path) -> None:
    problem, plan = planted("copied"), Das(Training((1,), 8, 8, 0.05, 1))
    with shelf.on(Scratch(tmp_path)):
        found = drain(search(problem, [(MID,)], plan, {}))[1]
    assert same(found, drain(search(problem, [(MID,)], plan, {}))[1])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("full_memory")
def test_after_an_exception_nothing_is_left(tmp_path: Path) -> None:
    problem = planted("copied")
    steps = sweep(Broken(problem.model), problem.fit, full(problem.model, problem.sites), {})
    with pytest.raises(KeyboardInterrupt), shelf.on(Scratch(tmp_path)):
        drain(steps)
    assert list(tmp_path.iterdir()) == []
    with shelf.opened() as keep:  # the shelf is gone as well
        assert keep((2, 3), torch.float32, torch.device("cpu")).shape == (2, 3)
    assert list(tmp_path.iterdir()) == []


def test_memory_comes_first_and_only_its_share_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "room", lambda device: 4 * {"cpu": 100, "cuda:0": 0}[device])
    cpu, gpu = torch.device("cpu"), torch.device("cuda:0")
    with Scratch(tmp_path)() as keep:
        kept = [keep((10,), torch.float64, cpu), keep((2, 2), torch.float32, gpu), keep((2,), torch.bfloat16, gpu)]
        assert {one.device.type for one in kept} == {"cpu"}
        assert keep((3, 3), torch.bfloat16, cpu).shape == (3, 3)  # 18 bytes, where none is left
    assert spare.told() == [
        f"activations take 118 bytes, more than a quarter of the free memory; 18 bytes of them are kept in files in "
        f"{tmp_path} as long as they are needed"
    ]


@pytest.mark.usefixtures("full_memory")
def test_a_full_disk_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch.shutil, "disk_usage", lambda _folder: SimpleNamespace(free=scratch.LEFT + 5))
    with Scratch(tmp_path)() as keep, pytest.raises(TooLarge, match=r"of 40 bytes fit neither .* \(5 bytes may be use"):
        keep((10,), torch.float32, torch.device("cpu"))
    assert list(tmp_path.iterdir()) == []
