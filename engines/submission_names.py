"""What the MIB benchmark calls things: its 26 cells as folders, and its sites as the names of files.

    ioi_task_GPT2LMHeadModel_output_token/AttentionHead(Layer-9,Head-6,Token-all)_featurizer
    4_answer_MCQA_Qwen2ForCausalLM_answer/ResidualStream(Layer-12,Token-last_token)_featurizer

Of every site there are three files, ``_featurizer``, ``_inverse_featurizer`` and ``_indices``. A residual site is the
output of a block; a head is what it hands to the output projection.

Source: Mueller et al. (2025), "MIB", arXiv 2504.13151, and the verifier of its causal variable track.
"""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from engines.errors import InvalidSubmission
from engines.site import Site
from engines.zoo_table import MODELS, Row

NETWORKS: Mapping[str, Row] = {
    MODELS[name].architecture: MODELS[name] for name in ("gpt2", "qwen2.5", "gemma2", "llama3.1")
}
"""The benchmark's networks by the class name that stands in folder names."""
_ALL, _TWO = tuple(NETWORKS), ("Gemma2ForCausalLM", "LlamaForCausalLM")
SUFFIXES = ("_featurizer", "_inverse_featurizer", "_indices")
"""The three files of a site."""
UNIT = re.compile(
    r"(?P<kind>ResidualStream|AttentionHead)\(Layer[-_:](?P<layer>[0-9]+)"
    r"(?:,Head[-_:](?P<head>[0-9]+))?,Token[-_:](?P<token>[A-Za-z0-9_]+)\)"
)


@dataclass(frozen=True)
class Format:
    """A task in the benchmark: its folder name, networks and variables, and its token ids by our positions."""

    name: str
    folder: str
    networks: tuple[str, ...]
    variables: tuple[str, ...]
    tokens: Mapping[str, str]
    component: str = "resid_post"


TASKS: Mapping[str, Format] = {
    one.name: one
    for one in (
        Format("ioi", "ioi_task", _ALL, ("output_token", "output_position"), {"all": "all"}, "z"),
        Format(
            "mcqa",
            "4_answer_MCQA",
            _ALL[1:],
            ("answer_pointer", "answer"),
            {
                "correct_symbol": "correct_symbol",
                "correct_symbol_period": "correct_symbol_period",
                "last": "last_token",
            },
        ),
        Format(
            "arc",
            "ARC_easy",
            _TWO,
            ("answer_pointer", "answer"),
            {"correct_symbol": "correct_symbol", "last": "last_token"},
        ),
        Format("arithmetic", "arithmetic", _TWO, ("ones_carry",), {"op2_last": "op2_last", "last": "last"}),
        Format(
            "ravel",
            "ravel_task",
            _TWO,
            ("Country", "Continent", "Language"),
            {"entity_last_token": "entity_last_token", "last": "last_token"},
        ),
    )
}
"""The benchmark's tasks by our names."""


@dataclass(frozen=True)
class Folder:
    """One of the 26 cells: a task, a network by its class name, and a variable."""

    task: str
    network: str
    variable: str

    def __str__(self) -> str:
        return f"{self.format.folder}_{self.network}_{self.variable}"

    @property
    def format(self) -> Format:
        """The task's."""
        return TASKS[self.task]

    @property
    def model(self) -> Row:
        """The network as our table has it."""
        return NETWORKS[self.network]

    @property
    def heads(self) -> bool:
        """Whether its sites are attention heads, which are swapped all at once."""
        return self.format.component == "z"

    @property
    def width(self) -> int:
        """Length of the vectors at its sites."""
        return self.model.sizes.d_head if self.heads else self.model.sizes.width


FOLDERS: Mapping[str, Folder] = {
    str(folder): folder
    for one in TASKS.values()
    for folder in (Folder(one.name, network, variable) for network in one.networks for variable in one.variables)
}
"""Every cell by the name of its folder."""


def folder_of(task: str, model: str, variable: str) -> Folder:
    """The folder of a task, a model of our table and a variable; raises ``InvalidSubmission`` for none of the 26."""
    if task not in TASKS:
        raise InvalidSubmission(
            f"{task!r} is no task of the benchmark; a submission is of runs on: {', '.join(sorted(TASKS))}"
        )
    found = [folder for folder in FOLDERS.values() if folder.task == task and folder.variable == variable]
    if not found:
        raise InvalidSubmission(
            f"the benchmark does not ask for {variable!r} of {task}; it asks for: {', '.join(TASKS[task].variables)}"
        )
    by_model = {folder.model.name: folder for folder in found}
    if model not in by_model:
        raise InvalidSubmission(
            f"the benchmark does not put {task} to {model!r}; submit a run on one of: {', '.join(by_model)}"
        )
    return by_model[model]


def read_folder(name: str) -> Folder:
    """The cell of a folder's name; raises ``InvalidSubmission`` that names the nearest."""
    if name not in FOLDERS:
        near = difflib.get_close_matches(name, FOLDERS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"such as {next(iter(FOLDERS))}"
        raise InvalidSubmission(f"the name is none of the {len(FOLDERS)} cells TASK_MODELCLASS_VARIABLE; {hint}")
    return FOLDERS[name]


@dataclass(frozen=True, order=True)
class Unit:
    """A site in the benchmark's words; ``head`` is None in the residual stream."""

    layer: int
    head: int | None
    token: str

    def __str__(self) -> str:
        if self.head is None:
            return f"ResidualStream(Layer-{self.layer},Token-{self.token})"
        return f"AttentionHead(Layer-{self.layer},Head-{self.head},Token-{self.token})"

    @staticmethod
    def of(site: Site, folder: Folder) -> "Unit":
        """The unit of a site, without its span; raises ``InvalidSubmission`` for a site that the benchmark lacks."""
        wanted = folder.format
        if site.component != wanted.component or site.layer is None:
            kind = "heads (L9.head6.z@all)" if folder.heads else "the outputs of blocks (L9.resid_post@last)"
            raise InvalidSubmission(
                f"{site} is no site of {wanted.folder}: only {kind} are; run a method on those candidates"
            )
        if site.position not in wanted.tokens:
            raise InvalidSubmission(
                f"{site}: the benchmark has no position {site.position!r} in {wanted.folder}; it has: "
                f"{', '.join(wanted.tokens)}"
            )
        unit = Unit(site.layer, site.head, wanted.tokens[site.position])
        if why := unit.outside(folder):
            raise InvalidSubmission(f"{site}: {why}")
        return unit

    @staticmethod
    def read(text: str) -> "Unit":
        """A unit as file names have it, after whatever separators; raises ``InvalidSubmission``."""
        found = UNIT.fullmatch(text)
        if found is None or (found["kind"] == "AttentionHead") != (found["head"] is not None):
            raise InvalidSubmission(
                "the name is no site; write ResidualStream(Layer-L,Token-ID) or AttentionHead(Layer-L,Head-H,Token-all)"
                f", each with {', '.join(SUFFIXES)} behind"
            )
        numbers = [number for number in (found["layer"], found["head"]) if number is not None]
        if any(len(number) > 4 or str(int(number)) != number for number in numbers):
            raise InvalidSubmission(
                f"the number {max(numbers, key=len)[:12]} is too large or has leading zeros; write it plainly"
            )
        return Unit(int(found["layer"]), None if found["head"] is None else int(found["head"]), found["token"])

    def outside(self, folder: Folder) -> str | None:
        """Why a network or task does not have this unit, but for its token; None when it has."""
        sizes = folder.model.sizes
        if folder.heads != (self.head is not None):
            kind = "AttentionHead(...)" if folder.heads else "ResidualStream(...)"
            return f"units of {folder.format.folder} are {kind}; move the file to the cell it belongs to"
        if self.layer >= sizes.layers:
            return f"layer {self.layer} is not in {folder.network}, which has layers 0 to {sizes.layers - 1}"
        if self.head is not None and self.head >= sizes.heads:
            return f"head {self.head} is not in {folder.network}, which has heads 0 to {sizes.heads - 1}"
        return None

    def site(self, folder: Folder) -> Site:
        """The unit as a site of ours; raises ``InvalidSubmission`` for a token id that is not the benchmark's own."""
        for position, token in folder.format.tokens.items():
            if token == self.token:
                return Site(self.layer, folder.format.component, position, self.head)
        raise InvalidSubmission(
            f"{self}: the token id {self.token!r} is none of {', '.join(folder.format.tokens.values())}; where it is, "
            "only the submission's own code says, which is not run"
        )
