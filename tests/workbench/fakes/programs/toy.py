"""A toy."""

from tracr_bridge.program import Program

PROGRAM = Program(
    name="toy",
    summary="Nothing, slowly.",
    vocabulary=("a", "b"),
    length=3,
    build=lambda rasp: rasp.tokens,
    variables=("left", "right"),
)
