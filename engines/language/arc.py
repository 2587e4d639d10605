"""Science questions with four choices: where the right slot is, and its letter.

    answer_pointer = the right slot, as the data set has it
    answer         = the letter of that slot

Only the slots and the letters are in the causal model: what makes a choice right is knowledge. There is no generator,
since the questions are the data set's (AI2 Reasoning Challenge, CC-BY-SA): rows come from the hub or from a folder.

Source: Clark et al. (2018), "Think you have solved question answering? Try ARC"; Mueller et al. (2025), "MIB".
"""

from collections.abc import Mapping

from engines.causal import CausalModel, Setting, Variable
from engines.language.mcqa import LETTERS, SETS, SLOTS, symbol
from engines.prompting import Hub, Prompted, Reader, Row, one_token

CAUSAL = CausalModel(
    inputs=(Variable("prompt"), Variable("key"), *(Variable(f"symbol_{slot}") for slot in range(SLOTS))),
    mechanisms={
        "answer_pointer": lambda key: key,
        "answer": lambda answer_pointer, symbol_0, symbol_1, symbol_2, symbol_3: (
            " " + (symbol_0, symbol_1, symbol_2, symbol_3)[answer_pointer]
        ),
    },
    output="answer",
)


def read(row: Reader) -> Setting:
    """The causal model's inputs of a row."""
    prompt, key = row.text("prompt"), row.number("answerKey")
    labels = row.inner("choices").texts("label")
    if len(labels) != SLOTS or not 0 <= key < SLOTS:
        raise row.refuse(f"{len(labels)} labels and answerKey {key}; {SLOTS} labels and a key below that are needed")
    if len(set(labels)) < SLOTS or not set(labels) <= set(LETTERS):
        raise row.refuse(f"the labels {', '.join(labels)} are not distinct capital letters")
    return {"prompt": prompt, "key": key, **{f"symbol_{slot}": label for slot, label in enumerate(labels)}}


def outside(row: Row) -> str | None:
    """A few questions of the data set have three or five choices."""
    choices = row.get("choices")
    labels = choices.get("label") if isinstance(choices, Mapping) else None
    if not isinstance(labels, list | tuple) or len(labels) == SLOTS:
        return None
    return f"{len(labels)} choices, not {SLOTS}"


TASK = Prompted(
    name="arc",
    summary="Answer science questions by letter: which slot is right, and which letter it has.",
    variables=("answer_pointer", "answer"),
    models={
        "gemma2": "Gemma-2-2B, which is gated",
        "llama3.1": "Llama-3.1-8B-Instruct, which is gated",
    },
    mib="ARC_easy",
    hub=Hub("mib-bench/arc_easy", "be6999b9"),
    causal=CAUSAL,
    sets=SETS,
    read=read,
    source=lambda row, _base: read(row),
    places={"correct_symbol": symbol},
    answer=lambda run: str(run["answer"]),
    protocols=one_token(SETS),
    outside=outside,
)
