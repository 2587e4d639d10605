"""Checking that a compiled program computes what its RASP says, before anybody calls its circuit the truth.

Certificates are kept beside the store under a key of everything that they depend on (weights, meanings of coordinates,
inputs, packages), so that a program is checked once on a machine, and again whenever anything about it changes.
"""

import json
import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from engines.errors import InvalidProgram, UnverifiedProgram
from tracr_bridge.certificate import Certificate, identity, verify
from tracr_bridge.task import known
from workbench import disk
from workbench.process import cores


def check(program: str) -> Certificate:
    """Compile a program and check it on its inputs; raises ``UnverifiedProgram`` at the first disagreement."""
    truth = known(program)
    return verify(truth.compiled, truth.decoder)


def certified(program: str, folder: Path, *, again: bool = False) -> Certificate:
    """The certificate of a program: the one kept in ``folder``, or a new one, which is then kept there.

    Raises ``UnverifiedProgram`` when the network does not compute the program, and ``StoreUnwritable``.
    """
    truth = known(program)
    file = folder / f"{identity(truth.compiled, truth.decoder)}.json"
    certificate = None if again else _kept(file)
    if certificate is None:
        certificate = check(program)
        with disk.writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        disk.replace(file, disk.encode(certificate.to_record(), indent=1))
    if not certificate.verified:
        raise UnverifiedProgram(
            f"program {program!r} is not verified: {_missing(certificate)}; it is no ground truth until it is"
        )
    return certificate


def certify(programs: Sequence[str], folder: Path, *, again: bool = False) -> Iterator[Certificate | str]:
    """The certificates of many programs in their order, or why there is none; checked in a process a core."""
    if len(programs) == 1:
        yield _outcome(programs[0], folder, again)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(cores(), len(programs)), mp_context=context) as pool:
        yield from pool.map(partial(_outcome, folder=folder, again=again), programs)


def _outcome(program: str, folder: Path, again: bool) -> Certificate | str:
    try:
        return certified(program, folder, again=again)
    except InvalidProgram as error:
        return str(error)


def _kept(file: Path) -> Certificate | None:
    """The certificate in a file; one that is damaged counts as none, so that the check is made again."""
    try:
        record: dict[str, Any] = json.loads(file.read_bytes())
        return Certificate.from_record(record)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _missing(certificate: Certificate) -> str:
    if certificate.reference is None:
        return "Tracr's own JAX model was not asked"
    bare = replace(certificate, reference=None, versions={})
    return f"its certificate says {bare}"
