"""What a folder holds of a language model, read from its settings and the heads of its weight files alone.

A folder as ``save_pretrained`` writes it: ``config.json``, ``*.safetensors``, ``tokenizer.json``. No weights are read
and nothing is imported, so that a wrong folder is refused at once and a size is known before anything is loaded.
Pickled weights and code that a model brings along are never opened.
"""

import json
import math
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import InvalidModel

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}
"""Bytes of a number, by type."""
STORED = {"F32": "float32", "BF16": "bfloat16", "F16": "float16", "F64": "float64"}
"""Types that safetensors may hold of a plain model; every other one is a packed or quantized weight."""
BUFFERS = (".attn.bias", ".attn.masked_bias", ".attention.bias", ".attention.masked_bias", "rotary_emb.inv_freq")
"""Ends of names that old files store although they are no parameters: causal masks and frequencies."""
WORDS = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model")
"""Files of which a tokenizer needs one."""
HEAD = 100_000_000
"""Bytes of the head of a safetensors file, which has no more by its format."""
WANTED = "a model's folder holds config.json, *.safetensors and tokenizer.json, as save_pretrained writes them"
FIELDS = {
    "layers": ("num_hidden_layers", "n_layer"),
    "heads": ("num_attention_heads", "n_head"),
    "width": ("hidden_size", "n_embd"),
    "vocabulary": ("vocab_size",),
    "context": ("max_position_embeddings", "n_positions"),
}
"""How families call their sizes."""


@dataclass(frozen=True)
class Sizes:
    """A decoder's sizes; ``kv_heads`` counts the heads of keys and values."""

    layers: int
    heads: int
    kv_heads: int
    width: int
    d_head: int
    mlp: int
    vocabulary: int
    context: int


@dataclass(frozen=True)
class Held:
    """A language model that lies in ``folder``: its sizes, and how its weights are stored."""

    folder: Path
    architecture: str
    sizes: Sizes
    parameters: int
    bytes: int
    stored: str
    chat: bool


def inspect(folder: Path) -> Held:
    """Read what a folder holds; raises ``InvalidModel`` with what is wrong and what to do."""
    if not folder.is_dir():
        kind = "is a file" if folder.is_file() else "is not there"
        raise InvalidModel(f"{folder} {kind}; give a folder: {WANTED}")
    settings = _settings(folder)
    architecture = _architecture(folder, settings)
    counts, size = _weights(folder)
    if not any((folder / name).is_file() for name in WORDS):
        raise InvalidModel(f"{folder} has no tokenizer ({' or '.join(WORDS[:2])}); save it there with save_pretrained")
    chat = (folder / "chat_template.jinja").is_file() or "chat_template" in _optional(folder / "tokenizer_config.json")
    most = counts.most_common(1)[0][0]
    return Held(folder, architecture, _sizes(folder, settings), counts.total(), size, most, chat)


def _settings(folder: Path) -> Mapping[str, Any]:
    file = folder / "config.json"
    if file.is_file():
        return _read(file)
    if (folder / "adapter_config.json").is_file():
        raise InvalidModel(
            f"{folder} holds an adapter, not a model; merge it into its model (merge_and_unload), save that"
        )
    if any(folder.glob("*.gguf")):
        raise InvalidModel(
            f"{folder} holds a GGUF file and no config.json; only smollm2's is converted here: load yours with "
            "transformers (gguf_file=, dequantized), save it with save_pretrained, and give that folder"
        )
    raise InvalidModel(f"{folder} has no config.json; {WANTED}")


def _read(file: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidModel(f"{file} cannot be read as JSON ({error}); copy it again") from error
    if not isinstance(found, dict):
        raise InvalidModel(f"{file} is no JSON record; copy it again")
    return found


def _optional(file: Path) -> Mapping[str, Any]:
    return _read(file) if file.is_file() else {}


def _architecture(folder: Path, settings: Mapping[str, Any]) -> str:
    named = settings.get("architectures") or ["none"]
    known = isinstance(named, list) and len(named) == 1 and isinstance(named[0], str)
    if not known or not named[0].endswith(("ForCausalLM", "LMHeadModel")) or settings.get("is_encoder_decoder"):
        raise InvalidModel(
            f"{folder} holds {named}, no causal language model; its config.json must name one such class"
        )
    if "auto_map" in settings:
        raise InvalidModel(f"{folder} brings code of its own (auto_map in config.json), which is never run here")
    if "quantization_config" in settings:
        raise InvalidModel(f"{folder} holds quantized weights; every site needs plain ones: give the unquantized model")
    return named[0]


def _sizes(folder: Path, settings: Mapping[str, Any]) -> Sizes:
    def size(*names: str) -> int:
        found = next((settings[name] for name in names if settings.get(name) is not None), None)
        if isinstance(found, bool) or not isinstance(found, int) or found < 1:
            raise InvalidModel(
                f"{folder / 'config.json'} gives {found} for {' or '.join(names)}; it must be a whole number"
            )
        return found

    plain = {field: size(*names) for field, names in FIELDS.items()}
    given = {name for name in settings if settings[name] is not None}
    return Sizes(
        **plain,
        kv_heads=size("num_key_value_heads") if "num_key_value_heads" in given else plain["heads"],
        d_head=size("head_dim") if "head_dim" in given else plain["width"] // plain["heads"],
        mlp=size("intermediate_size", "n_inner") if given & {"intermediate_size", "n_inner"} else 4 * plain["width"],
    )


def _weights(folder: Path) -> tuple[Counter[str], int]:
    """How many parameters of each type the weight files hold, and their bytes."""
    files = _files(folder)
    counts: Counter[str] = Counter()
    for file in files:
        for name, kind, shape in _tensors(file):
            if kind not in STORED and not name.endswith(BUFFERS):
                raise InvalidModel(
                    f"{file}: {name} is stored as {kind}; every site needs plain weights: {', '.join(STORED)}"
                )
            if not name.endswith(BUFFERS):
                counts[STORED[kind]] += math.prod(shape)
    if not counts.total():
        raise InvalidModel(f"{folder}: its safetensors files hold no weights; copy them again")
    return counts, sum(file.stat().st_size for file in files)


def _files(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        told = _read(index).get("weight_map")
        parts = list(told.values()) if isinstance(told, dict) else []
        if not parts or not all(isinstance(part, str) and Path(part).name == part for part in parts):
            raise InvalidModel(f"{index} does not tell in which files of this folder the weights are; copy it again")
        parts = sorted(set(parts))
        missing = [part for part in parts if not (folder / part).is_file()]
        if missing:
            raise InvalidModel(
                f"{folder} lacks {len(missing)} of the {len(parts)} parts of its weights ({', '.join(missing[:3])}); "
                "copy them"
            )
        return [folder / part for part in parts]
    if (folder / "model.safetensors").is_file():
        return [folder / "model.safetensors"]
    pickled = sorted(file.name for file in (*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")))
    if pickled:
        raise InvalidModel(
            f"{folder} has its weights as pickles only ({pickled[0]}), which are not opened here, since a pickle runs "
            "code; save the model as safetensors"
        )
    raise InvalidModel(f"{folder} has no weights (model.safetensors, or its parts with an index); {WANTED}")


def _tensors(file: Path) -> Iterator[tuple[str, str, list[int]]]:
    """Names, types and shapes in a safetensors file; raises ``InvalidModel`` for one that is not whole."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        first = stream.read(8)
        if first == b"version ":
            raise InvalidModel(f"{file} is a pointer of Git LFS, not weights; run: git lfs pull")
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else size
        try:
            head = json.loads(stream.read(length)) if 8 + length <= size and length <= HEAD else None
        except (ValueError, RecursionError):
            head = None
    if not isinstance(head, dict):
        raise InvalidModel(f"{file} is no safetensors file, or only the beginning of one; copy it again")
    tensors = {name: one for name, one in head.items() if name != "__metadata__"}
    for name, one in tensors.items():
        if not _is_tensor(one):
            raise InvalidModel(f"{file}: its head does not tell type, shape and place of {name[:60]!r}; copy it again")
    whole = 8 + length + max((one["data_offsets"][1] for one in tensors.values()), default=0)
    if size != whole:
        raise InvalidModel(f"{file} has {size} bytes and its head says {whole}; copy it again")
    yield from ((name, one["dtype"], one["shape"]) for name, one in tensors.items())


def _is_tensor(told: Any) -> bool:
    """Whether the head of a safetensors file tells a tensor of which as many bytes are there as it has numbers."""
    match told:
        case {"dtype": str(kind), "shape": [*shape], "data_offsets": [int(start), int(stop)]}:
            counts = all(type(one) is int and one >= 0 for one in (*shape, start, stop))
            known = BYTES.get(STORED.get(kind, ""))
            return counts and (known is None or known * math.prod(shape) == stop - start)
    return False
