"""Checking that a compiled program computes what its RASP says, before anybody calls its circuit the truth."""

from tracr_bridge.certificate import Certificate, verify
from tracr_bridge.task import known


def check(program: str) -> Certificate:
    """Compile a program and check it on its inputs; raises ``UnverifiedProgram`` at the first disagreement."""
    truth = known(program)
    return verify(truth.compiled, truth.decoder)
