"""Where a published corpus is had and what its tree looks like, for every error that its files cause."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from datasets.exceptions import DatasetGenerationError


class CorpusError(DatasetGenerationError, ValueError):
    """A corpus is not as published. `datasets` passes it on as it is, from its worker processes too."""


@dataclass(frozen=True)
class CorpusSource:
    """What the reader of an error needs in order to get a corpus right.

    Args:
        name (`str`):
            Name of the corpus.
        where (`str`):
            Where it is had.
        licence (`str`):
            Terms of use.
        tree (`str`):
            Expected files and folders, one a line.
    """

    name: str
    where: str
    licence: str
    tree: str

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Add this source to every `ValueError` raised in the `with` block, which becomes a `CorpusError`."""
        try:
            yield
        except CorpusError:
            raise
        except ValueError as error:
            tree = "\n".join(f"  {line}" for line in self.tree.strip().splitlines())
            raise CorpusError(
                f"{error}\n{self.name} is had from: {self.where}\nLicence: {self.licence}\nExpected tree:\n{tree}"
            ) from error
