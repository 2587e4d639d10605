"""A GPT-2 trained here, without any download, on a task whose causal model is known.

    is k3 less k7 ? yes v1 no v4 pick        ->  v1

The first value is the answer when the first key is the smaller one, else the second. ``less`` is the variable in
between that interventions look for. It is planted by interchange intervention training (Geiger et al. 2022): in half of
the training runs the vector at the question mark after layer ``PLANTED`` is swapped, and the causal model's answer to
that swap is the label. That vector also has to say the variable's value itself, which it would take long to discover.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformer_lens.model_bridge import TransformerBridge
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from bench.timing import BUILD
from engines.answer import Choice
from engines.bridge_model import BridgeModel
from engines.causal import CausalModel, Setting, Variable
from engines.model import Batch
from engines.site import Site
from engines.task import Pair, Pairs, Problem, Task, draw_pairs

KEYS, VALUES = tuple(f"k{number}" for number in range(10)), tuple(f"v{number}" for number in range(10))
WORDS = ("<pad>", "yes", "no", "pick", "is", "less", "?", "true", "false", *KEYS, *VALUES)
AT = {"first": 1, "second": 3, "question": 4, "yes": 6, "no": 8, "last": 9}
"""Positions of the prompt that sites name."""
VARIABLES = ("less", "yes", "no")
"""The target first, then what it chooses between."""
STEPS, BATCH, RATE, WARM, GOOD = 600, 32, 1e-3, 50, 0.998
PLANTED = 3
"""After which layer the question mark carries ``less``."""


@dataclass(frozen=True)
class Size:
    """A network's size."""

    layers: int = 12
    width: int = 128
    heads: int = 4

    @property
    def config(self) -> GPT2Config:
        """As transformers wants it; no dropout."""
        return GPT2Config(
            vocab_size=32,
            n_embd=self.width,
            n_layer=self.layers,
            n_head=self.heads,
            n_positions=16,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
        )


def prompt(setting: Setting) -> list[int]:
    """Token ids of one input."""
    first, second, yes, no = (setting[name] for name in ("first", "second", "yes", "no"))
    words = f"is k{first} less k{second} ? yes v{yes} no v{no} pick".split()
    return [WORDS.index(word) for word in words]


def sample(rng: np.random.Generator) -> Setting:
    """Two different keys, two different values."""
    first, second = rng.choice(len(KEYS), 2, replace=False)
    yes, no = rng.choice(len(VALUES), 2, replace=False)
    return {"first": int(first), "second": int(second), "yes": int(yes), "no": int(no)}


CAUSAL = CausalModel(
    inputs=tuple(Variable(name, tuple(range(10))) for name in ("first", "second", "yes", "no")),
    mechanisms={
        "less": lambda first, second: first < second,
        "answer": lambda less, yes, no: yes if less else no,
    },
    output="answer",
    sampler=sample,
)


def pick() -> Task:
    """The task as the engines know it: base and source are drawn independently."""
    return Task(
        name="pick",
        causal=CAUSAL,
        answer=Choice(tuple(range(10)), tuple(WORDS.index(value) for value in VALUES)),
        variables=VARIABLES,
        positions=tuple(AT),
        tokens=prompt,
        draw=lambda rng: Pair(sample(rng), sample(rng), AT, AT),
        value=lambda variable, run, at: run[variable],  # noqa: ARG005 - a task's values may depend on positions
        counterfactual=lambda variable, pair, base_run, source_run: CAUSAL.intervene(  # noqa: ARG005
            pair.base, {variable: source_run[variable]}
        ),
        answers=lambda run: (run["answer"],),
        answer_positions=lambda run: (AT["last"],),  # noqa: ARG005
    )


def trained(size: Size) -> Path:
    """The folder of a trained network with its tokenizer; trains for two minutes at most when there is none yet."""
    recipe = f"{size} {WORDS} {STEPS} {BATCH} {RATE} {WARM} {GOOD} {PLANTED} {torch.__version__}"
    folder = BUILD / f"gpt2-{hashlib.sha256(recipe.encode()).hexdigest()[:8]}"
    if not (folder / "config.json").exists():
        network = train(size)
        words = WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<pad>")
        network.save_pretrained(folder)
        PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer(words), unk_token="<pad>", pad_token="<pad>", bos_token="<pad>"
        ).save_pretrained(folder)
    return folder


def train(size: Size) -> GPT2LMHeadModel:
    """Train until 998 of 1,000 answers are right, swapped and not; raises ``RuntimeError`` when that does not come."""
    torch.manual_seed(0)
    rng, network = np.random.default_rng(0), GPT2LMHeadModel(size.config)
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.01)
    for step in range(STEPS):
        said, plain, swapped, truth, answers, labels = _interchanged(network, rng, BATCH)
        loss = cross_entropy(said, truth) + cross_entropy(plain, answers) + cross_entropy(swapped, labels)
        optimiser.param_groups[0]["lr"] = RATE * min(1.0, (step + 1) / WARM)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % 25 == 0 and min(accuracy(network, rng)) >= GOOD:
            return network.eval()
    raise RuntimeError(f"{size} did not learn the task in {STEPS} steps")


@torch.no_grad()
def accuracy(network: GPT2LMHeadModel, rng: np.random.Generator) -> tuple[float, float]:
    """Shares of 1,000 fresh inputs answered rightly, among all words, without and with a swap where it is planted."""
    _, plain, swapped, _, answers, labels = _interchanged(network, rng, 1000)
    return float((plain.argmax(-1) == answers).double().mean()), float((swapped.argmax(-1) == labels).double().mean())


def _interchanged(network: GPT2LMHeadModel, rng: np.random.Generator, count: int) -> tuple[Tensor, ...]:
    """What the planted vector of sources says, logits of sources and of bases with that vector; the labels of each."""
    bases, sources = ([CAUSAL.run(sample(rng)) for _ in range(count)] for _ in range(2))
    labels = [CAUSAL.intervene(base, {"less": source["less"]}) for base, source in zip(bases, sources, strict=True)]
    kept: list[Tensor] = []

    def swap(_block: object, _inputs: object, output: Tensor) -> Tensor:
        if not kept:
            kept.append(output[:, AT["question"]])
            return output
        return torch.cat([output[:, : AT["question"]], kept[0][:, None], output[:, AT["question"] + 1 :]], dim=1)

    handle = network.transformer.h[PLANTED].register_forward_hook(swap)
    try:
        logits = [
            network(torch.tensor([prompt(run) for run in runs]), use_cache=False).logits[:, AT["last"]]
            for runs in (sources, bases)
        ]
    finally:
        handle.remove()
    said = network.lm_head(network.transformer.ln_f(kept[0]))
    truth = torch.tensor([WORDS.index("true" if run["less"] else "false") for run in sources])
    words = [torch.tensor([WORDS.index(f"v{run['answer']}") for run in runs]) for runs in (sources, labels)]
    return (said, *logits, truth, *words)


def ours(size: Size) -> BridgeModel:
    """The trained network behind our protocol."""
    bridge = TransformerBridge.boot_transformers(str(trained(size)), device="cpu")
    return BridgeModel(f"GPT-2, {size.layers} layers, d {size.width}", bridge)


def plain(size: Size) -> GPT2LMHeadModel:
    """The same weights as transformers loads them."""
    return GPT2LMHeadModel.from_pretrained(trained(size)).eval()


def first(pairs: Pairs, count: int) -> Pairs:
    """The first ``count`` pairs."""
    index = torch.arange(count)

    def take(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor[index] for name, tensor in tensors.items()}

    def rows(batch: Batch) -> Batch:
        return batch.take(index)

    return Pairs(
        rows(pairs.bases),
        rows(pairs.sources),
        take(dict(pairs.base_at)),
        take(dict(pairs.source_at)),
        pairs.answers_at[index],
        pairs.base_labels[index],
        take(dict(pairs.labels)),
        take(dict(pairs.valid)),
        take(dict(pairs.values)),
        pairs.answer,
        {},
        take(dict(pairs.fair)),
        None if pairs.plain is None else pairs.plain[index],
    )


def sites(layers: int, components: tuple[str, ...], positions: tuple[str, ...]) -> tuple[Site, ...]:
    """Every component of every layer at every position."""
    return tuple(
        Site(layer, component, position)
        for layer in range(layers)
        for component in components
        for position in positions
    )


def problem(size: Size, candidates: tuple[Site, ...], quota: int) -> Problem:
    """Find where the network carries ``less``."""
    task, model = pick(), ours(size)
    parts = {part: draw_pairs(task, part, quota=quota, seed=0) for part in ("fit", "calibration", "test")}
    return Problem(f"pick/{model.name}", model, task.answer, VARIABLES[0], VARIABLES, candidates, **parts, seed=0)
