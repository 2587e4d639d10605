"""A folder of a language model, loaded whole and put behind our protocol.

transformers loads the weights here and not the bridge, because only then is it known that every weight was in the
files: one that is missing would be drawn at random, in silence. Booting a bridge changes the model and the tokenizer
that it is given: it gets a model of its own and a copy.
"""

import contextlib
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from huggingface_hub import errors as hub
from safetensors import SafetensorError
from tokenizers import Tokenizer
from transformer_lens.factories.architecture_adapter_factory import SUPPORTED_ARCHITECTURES
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import logging

from engines.bridge_model import BridgeModel
from engines.errors import InvalidModel, InvalidSetting, MissingModel
from engines.zoo import Prospect
from engines.zoo_folder import BUFFERS
from engines.zoo_table import TESTED, Row

FILES = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
"""What is fetched of a model on the hub: no pickles, no code, no other formats."""
PROBE = "When Mary's 2 friends  left,\n\n12 + 345 = 357.\tÅngström, São, 北京: \"Don't!\" A. x"
"""A text by which two tokenizers are told apart."""


@dataclass(frozen=True)
class Loaded:
    """A model behind our protocol, its tokenizer as its files define it, and what was known before it was loaded."""

    model: BridgeModel
    tokenizer: PreTrainedTokenizerBase
    prospect: Prospect


def boot(prospect: Prospect) -> Loaded:
    """Load the model in the prospect's folder as it says; raises ``InvalidModel`` unless all of it is there."""
    folder = prospect.folder
    assert folder is not None  # whoever boots has fetched or converted it
    if prospect.architecture not in (*TESTED, *SUPPORTED_ARCHITECTURES):
        raise InvalidModel(f"{folder} holds a {prospect.architecture}, for which TransformerLens has no bridge")
    tokenizer = _tokenizer(folder)
    bridge = TransformerBridge.boot_transformers(
        str(folder), hf_model=network(prospect), tokenizer=copy.deepcopy(tokenizer), device=prospect.device
    )
    return Loaded(BridgeModel(prospect.name, bridge), tokenizer, prospect)


def network(prospect: Prospect) -> Any:
    """The model of transformers in the prospect's folder, of which no parameter takes a gradient.

    Raises ``InvalidModel`` unless all of it is there.
    """
    folder = prospect.folder
    assert folder is not None  # whoever asks has fetched or converted it
    try:
        with quiet():
            found, said = AutoModelForCausalLM.from_pretrained(  # pyright: ignore[reportGeneralTypeIssues]
                folder,
                dtype=getattr(torch, prospect.dtype),
                attn_implementation="eager",
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are named below; the error would name none
            )
    except (OSError, ValueError, RuntimeError, LookupError, hub.StrictDataclassError, SafetensorError) as error:
        raise InvalidModel(f"{folder} cannot be loaded as a {prospect.architecture}: {_first(error)}") from error
    for what in ("missing_keys", "mismatched_keys"):
        if said[what]:
            named = ", ".join(sorted(one if isinstance(one, str) else one[0] for one in said[what])[:3])
            raise InvalidModel(
                f"{folder}: {len(said[what])} weights of a {prospect.architecture} are not in its files or of another "
                f"shape ({named}); copy the whole model"
            )
    if unused := [name for name in said["unexpected_keys"] if not name.endswith(BUFFERS)]:
        raise InvalidModel(
            f"{folder}: {len(unused)} weights in its files are none of a {prospect.architecture}'s "
            f"({', '.join(sorted(unused)[:3])}), and would be left out; give the config.json that they were saved with"
        )
    return found.eval().requires_grad_(False).to(prospect.device)


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer as tokenizer.json has it, where there is one.

    The classes of some families take its vocabulary alone and cut text in the family's own way, by which words that
    it does not know are dropped in silence.
    """
    try:
        found = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        file = folder / "tokenizer.json"
        if file.is_file() and found(PROBE, add_special_tokens=False)["input_ids"] != _tokens(file):
            found = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # what reads tokenizer.json raises nothing more special
        raise InvalidModel(f"{folder}: its tokenizer cannot be read: {_first(error)}") from error
    return found


def _tokens(file: Path) -> list[int]:
    return Tokenizer.from_file(str(file)).encode(PROBE, add_special_tokens=False).ids


def fetch(row: Row, cache: Path) -> None:
    """Fetch a model of the table into the hub's cache; raises ``MissingModel`` with what to do."""
    try:
        huggingface_hub.snapshot_download(row.hub, cache_dir=cache, allow_patterns=list(FILES), ignore_patterns=["*/*"])
    except hub.GatedRepoError as error:
        raise MissingModel(
            f"{row.hub} is gated and this account may not read it; accept its licence at "
            f"https://huggingface.co/{row.hub} and log in with 'hf auth login'"
        ) from error
    except (hub.HfHubHTTPError, hub.LocalEntryNotFoundError, hub.OfflineModeIsEnabled, OSError) as error:
        raise MissingModel(
            f"{row.hub} could not be fetched: {_first(error)}; try again, or copy its folder from a machine that has it"
        ) from error


def free_on(device: str) -> int:
    """Bytes of memory that are free on a CUDA device; raises ``InvalidSetting`` when it is not there."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    wanted = torch.device(device)
    if (wanted.index or 0) >= count:
        there = "this machine has none" if not count else f"this machine has {count}"
        raise InvalidSetting(f"device {device!r} is not there ({there}); write cpu")
    return torch.cuda.mem_get_info(wanted)[0]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No progress bars of transformers: whoever loads may own the screen."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _first(error: Exception) -> str:
    """The first line of what went wrong."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
