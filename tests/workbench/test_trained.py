"""Networks that are trained here: once, kept whole, and never used when damaged."""

import dataclasses
from pathlib import Path

import pytest

from engines.errors import Untrained
from engines.events import Notice, Trained, drain
from engines.lessons import Recipe
from engines.setup import Setup
from engines.tasks import adder
from workbench import catalog
from workbench.session import Session
from workbench.spec import Spec
from workbench.store import Store
from workbench.trained import network


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Setup:
    """The adder, hardly trained and never refused."""
    recipe = Recipe(steps=4, batch=64, learning_rate=0.01, final_rate=1.0, weight_decay=0.0, accuracy=0.0)
    setup = dataclasses.replace(adder.TASK, recipes={"gru16": recipe, "gru8": recipe})
    monkeypatch.setattr(adder, "TASK", setup)
    return setup


def test_a_network_is_trained_once(quick: Setup, tmp_path: Path) -> None:
    told, first = drain(network(quick, "gru8", 0, tmp_path))
    assert any(isinstance(event, Trained) for event in told)
    silent, again = drain(network(quick, "gru8", 0, tmp_path))
    assert silent == []
    assert again.digest() == first.digest()
    assert drain(network(quick, "gru8", 1, tmp_path))[1].digest() != first.digest()
    assert len(list(tmp_path.iterdir())) == 2


def test_another_recipe_is_another_network(quick: Setup, tmp_path: Path) -> None:
    drain(network(quick, "gru8", 0, tmp_path))
    slower = dataclasses.replace(quick.recipes["gru8"], learning_rate=0.001)
    told, _ = drain(network(dataclasses.replace(quick, recipes={"gru8": slower}), "gru8", 0, tmp_path))
    assert any(isinstance(event, Trained) for event in told)


@pytest.mark.parametrize("damage", ["cut", "flipped", "nothing"])
def test_a_damaged_file_is_told_of_and_replaced(quick: Setup, tmp_path: Path, damage: str) -> None:
    _, first = drain(network(quick, "gru8", 0, tmp_path))
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    flipped = whole[:-1] + bytes([whole[-1] ^ 1])
    file.write_bytes({"cut": whole[:-9], "flipped": flipped, "nothing": b""}[damage])
    told, again = drain(network(quick, "gru8", 0, tmp_path))
    assert isinstance(told[0], Notice)
    assert f"{file} is damaged" in told[0].text
    assert again.digest() == first.digest()
    assert file.read_bytes() == whole


def test_what_did_not_learn_is_not_kept(quick: Setup, tmp_path: Path) -> None:
    strict = dataclasses.replace(quick.recipes["gru8"], accuracy=1.0)
    with pytest.raises(Untrained, match="it has not learned its task"):
        drain(network(dataclasses.replace(quick, recipes={"gru8": strict}), "gru8", 0, tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quick")
def test_a_run_trains_the_network_that_it_needs(store: Store) -> None:
    spec = Spec.parse("adder/gru8/C1", "random_site")
    events, run = drain(Session(store).run(spec))
    assert run.done
    assert any(isinstance(event, Trained) and event.label == "adder/gru8" for event in events)
    other, _ = drain(Session(store).run(Spec.parse("adder/gru8/C2", "random_site")))
    assert not any(isinstance(event, Trained) for event in other)


@pytest.mark.parametrize("name", ["adder", "equality"])
def test_the_card_of_every_task_is_what_it_says(name: str) -> None:
    from engines.registry import load

    card, setup = catalog.task_card(name), load(catalog.TASKS, name, "TASK", "task")
    assert (card.name, card.summary, card.variables, card.models) == (
        setup.name,
        setup.summary,
        setup.variables,
        setup.models,
    )
    assert set(setup.models) == set(setup.recipes) == set(setup.networks)
    assert setup.variables == setup.task.variables
