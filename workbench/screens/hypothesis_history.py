"""The history of a hypothesis that is edited: what it was after each change, what is seen, and what its file says."""

from dataclasses import dataclass, replace

from workbench.hypotheses import Document


@dataclass(frozen=True)
class History:
    """Documents in the order of the changes, which of them is seen, and the file's content (None: there is none)."""

    documents: tuple[Document, ...] = ()
    at: int = 0
    saved: bytes | None = None

    @staticmethod
    def of(saved: Document, draft: Document | None, content: bytes | None) -> "History":
        """A file that was read, and the changes that were not saved, if any."""
        documents = (saved,) if draft is None or draft.text == saved.text else (saved, draft)
        return History(documents, len(documents) - 1, content)

    @property
    def document(self) -> Document | None:
        """What is seen."""
        return self.documents[self.at] if self.documents else None

    @property
    def is_draft(self) -> bool:
        """Whether what is seen is not what the file says."""
        return self.document is not None and self.document.text.encode() != self.saved

    def onto(self, new: Document) -> "History":
        """After another change; what was taken back before it is forgotten."""
        documents = (*self.documents[: self.at + 1], new)
        return replace(self, documents=documents, at=len(documents) - 1)

    def walked(self, step: int) -> "History | None":
        """With a change taken back, or done again; None where there is none."""
        return replace(self, at=self.at + step) if 0 <= self.at + step < len(self.documents) else None

    def kept(self) -> "History":
        """After what is seen was saved."""
        return replace(self, saved=None if self.document is None else self.document.text.encode())
