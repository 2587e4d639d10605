"""Networks that are trained here, kept beside the store: a network is trained once on a machine.

A file's name holds a hash of everything that training depends on (network, recipe, seed, torch, the code), and the file
a hash of the weights. A file that is damaged is told of, and the network is trained again.
"""

import hashlib
import importlib
import inspect
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

import engines.lessons
import engines.setup
from engines import registry
from engines.errors import Untrained
from engines.events import Notice, Steps
from engines.lessons import Weights
from engines.setup import Setup, learned, problem, restored, untrained
from engines.small_model import SmallModel
from engines.task import Problem
from workbench import catalog, disk
from workbench.spec import Cell
from workbench.store import Store


def networks(store: Store) -> Path:
    """Where trained networks are kept: beside the runs."""
    return store.root.parent / "networks"


def prepared(cell: Cell, seed: int, folder: Path) -> Steps[Problem]:
    """The problem of a cell whose network is trained from the seed, or taken from ``folder`` when it was before."""
    setup: Setup = registry.load(catalog.TASKS, cell.task, "TASK", "task")
    model = yield from network(setup, cell.model, seed, folder)
    return problem(setup, model, cell.variable, seed)


def network(setup: Setup, model: str, seed: int, folder: Path) -> Steps[SmallModel]:
    """The model that training from ``seed`` gives; raises ``Untrained`` when it does not learn, ``StoreUnwritable``."""
    file = folder / f"{setup.name}-{model}-{seed}-{_key(setup, model, seed)}.safetensors"
    try:
        return _read(setup, model, file)
    except FileNotFoundError:
        pass
    except Untrained as error:
        yield Notice(f"{error}")
    weights = yield from learned(setup, model, seed)
    found = restored(setup, model, weights)
    with disk.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    disk.replace(file, save(dict(weights), metadata={"digest": found.digest()}))
    return found


def _read(setup: Setup, model: str, file: Path) -> SmallModel:
    try:
        with safe_open(file, framework="pt") as opened:
            digest = (opened.metadata() or {}).get("digest")
            weights: Weights = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
        found = restored(setup, model, weights)
    except (SafetensorError, Untrained) as error:
        raise Untrained(f"{file} is damaged ({error}); {setup.name}/{model} is trained again") from None
    if found.digest() != digest:
        raise Untrained(f"{file} is damaged (its weights are not those written); {found.name} is trained again")
    return found


def _key(setup: Setup, model: str, seed: int) -> str:
    """A hash of all that the weights depend on."""
    bare = untrained(setup, model)
    assert isinstance(bare.network, nn.Module)
    sizes = {name: [str(tensor.dtype), *tensor.shape] for name, tensor in bare.network.state_dict().items()}
    facts = [setup.name, model, repr(setup.recipes[model]), seed, torch.__version__, sizes]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    homes = [importlib.import_module(thing.__module__) for thing in (type(bare.network), setup.exam)]
    for part in (engines.lessons, engines.setup, *homes):
        digest.update(inspect.getsource(part).encode())
    return digest.hexdigest()[:16]
