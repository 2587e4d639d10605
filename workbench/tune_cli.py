"""The command ``tune``: a language model that learns a task in a few steps, as a folder that runs then take."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.command import OK, AsJson, note, put


def mount(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("tune")(tune)


def tune(
    model: Annotated[str, typer.Argument(help="A language model, such as smollm2.")],
    task: Annotated[str, typer.Argument(help="A task with generated rows, such as mib-like.mcqa.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="A new folder; its name is the new model's.")],
    steps: Annotated[int, typer.Option("--steps", min=1, help="Steps of the optimiser.")] = 25,
    batch: Annotated[int, typer.Option("--batch", min=1, help="Prompts a step, none twice.")] = 16,
    rate: Annotated[float, typer.Option("--rate", help="Learning rate of AdamW.")] = 1e-4,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the rows that it learns from.")] = 0,
    as_json: AsJson = False,
) -> int:
    """Tune a language model to a task that it cannot do, on generated rows which no run on it will use.

    Embeddings stay as they are. Accuracy before and after is of other rows than those trained on. The folder is whole
    or absent, its tuned.json says how it was made, and nothing that is there is overwritten.

    \b
    Examples:
      export CAUSAL_WORKBENCH_MODELS=~/models
      workbench tune smollm2 mib-like.mcqa --out ~/models/smollm2-mcqa
      workbench run mib-like.mcqa/smollm2-mcqa/answer_pointer full_swap
    """
    from engines.tuning import Recipe
    from workbench import tuned
    from workbench.narrate import Narrator, tell_steps

    with Narrator() as narrator:
        made = tell_steps(narrator, tuned.tune(model, task, out, Recipe(steps, batch, rate), seed=seed))
    put({"folder": str(out), **made}, _text(made), as_json)
    home, told = out.expanduser().absolute().parent, os.environ.get("CAUSAL_WORKBENCH_MODELS")
    set_home = "" if told and Path(told).expanduser().absolute() == home else f"CAUSAL_WORKBENCH_MODELS={home} "
    variable = made["variables"][0]
    note(f"wrote {out}; ask it: {set_home}workbench run {task}/{out.name}/{variable} full_swap")
    return OK


def _text(made: Mapping[str, Any]) -> str:
    recipe, losses = made["recipe"], made["losses"]
    trained, frozen = made["parameters"]["trained"], made["parameters"]["frozen"]
    lines = [
        f"tuned      {made['model']['name']} to {made['task']}, seed {made['seed']}",
        f"steps      {recipe['steps']} of {recipe['batch']} prompts, AdamW at {recipe['learning_rate']:g}, products in "
        f"{recipe['products']}",
        f"parameters {trained:,} trained, {frozen:,} of embeddings kept",
        f"loss       {losses[0]:.3f} at the first step, {losses[-1]:.3f} at the last",
    ]
    for when, score in made["accuracy"].items():
        lines.append(
            f"{when:<10} {score['value']:.3f} right  [{score['low']:.3f}, {score['high']:.3f}]  n={score['n']}"
        )
    return "\n".join((*lines, f"time       {made['seconds']:.1f} s"))
