"""A prompt of the user's own as a request takes it: tokens of a program, or the one text of a language model."""

from workbench import catalog
from workbench.spec import Cell


def parts(cell: Cell, text: str) -> list[str]:
    """The tokens between spaces; a language model's text stays as it was typed."""
    return [text] if catalog.PROMPTED.fullmatch(cell.task) else text.split()
