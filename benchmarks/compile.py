"""Compiling to our decoder without JAX against Tracr's own way to a Haiku model.

JAX compiles the initialisation anew for every program, since all sizes differ, and remembers it within a process. So
Tracr is timed twice: "first", with JAX's caches cleared, is what a new program costs; "again" is the same program a
second time, which hardly anybody needs.
"""

import functools
import importlib
import time
from types import ModuleType
from typing import Any

import numpy as np
from bench.timing import alternate, header, publish

from engines.networks import Decoder
from engines.registry import load
from tracr_bridge.compile import compile
from tracr_bridge.compiled import Compiled
from tracr_bridge.lower import decode, encode, lower
from tracr_bridge.program import BOS, PAD, Program

CLAIM = "From a RASP program to a network that runs: Tracr's passes and our decoder, or Tracr's passes and Haiku."
PROGRAMS = ("reverse", "sort", "most_frequent")
INPUTS = 2
"""Inputs on which both networks must answer alike."""
ROUNDS = 3


def ours(program: Program) -> tuple[Compiled, Decoder]:
    """Compile with all remedies and lower; no JAX."""
    compiled = compile(program)
    return compiled, lower(compiled)


def theirs(program: Program, compiling: ModuleType, rasp: ModuleType) -> Any:
    """Tracr's ``compile_rasp_to_model``: the same passes without remedies, then Haiku parameters."""
    return compiling.compile_rasp_to_model(
        program.build(rasp),
        set(program.vocabulary),
        program.length,
        causal=program.causal,
        compiler_bos=BOS,
        compiler_pad=PAD,
    )


def check(program: Program, mine: tuple[Compiled, Decoder], model: Any) -> None:
    """Raise unless both networks answer alike."""
    compiled, decoder = mine
    rng = np.random.default_rng(0)
    for tokens in [program.sample(rng) for _ in range(INPUTS)]:
        encoded, mask = encode(compiled, [tokens])
        found = decode(compiled, decoder(encoded, mask), mask)[0]
        expected = tuple(model.apply([BOS, *tokens]).decoded[1:])
        assert found == expected, f"{program.name} on {tokens}: {found}, Tracr {expected}"


def row(name: str, compiling: ModuleType, rasp: ModuleType) -> list[object]:
    """Check that both agree (which also warms them up), then time them."""
    program: Program = load("tracr_bridge.programs", name, "PROGRAM", "program")
    mine, model = ours(program), theirs(program, compiling, rasp)
    check(program, mine, model)
    again, clear = functools.partial(theirs, program, compiling, rasp), importlib.import_module("jax").clear_caches
    paths = {"ours": functools.partial(ours, program), "first": lambda: (clear(), again()), "again": again}
    timed = alternate(paths, ROUNDS)
    shape, medians = mine[1].shape, [timed.median(path) for path in paths]
    ratios = [timed.ratio("first", "ours"), timed.ratio("again", "ours")]
    memory = f"{timed.peak('ours'):.0f} / {timed.peak('first'):.0f}"
    return [name, shape.n_layers, shape.d_model, *medians, *ratios, memory]


def main() -> None:
    """Print one row a program."""
    header(CLAIM)
    ours(load("tracr_bridge.programs", PROGRAMS[0], "PROGRAM", "program"))  # Tracr is imported before the clock starts
    began = time.perf_counter()
    compiling = importlib.import_module("tracr.compiler.compiling")
    print(f"importing JAX, Haiku and Tracr's assembly took {time.perf_counter() - began:.2f} s more, once a process\n")
    rasp = importlib.import_module("tracr.rasp.rasp")
    columns = ["program", "layers", "d_model", "ours s", "Tracr first s", "Tracr again s", "first / ours"]
    rows = [row(name, compiling, rasp) for name in PROGRAMS]
    publish("compile", [*columns, "again / ours", "MiB"], rows, ("tracr-pypi", "jax", "dm-haiku"))


if __name__ == "__main__":
    main()
