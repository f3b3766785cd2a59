"""Where a published dataset is had and what its tree looks like, for every error that its files cause."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from datasets.exceptions import DatasetGenerationError


class DatasetError(DatasetGenerationError, ValueError):
    """A dataset is not as published. `datasets` passes it on as it is, from its worker processes too."""


@dataclass(frozen=True)
class DatasetSource:
    """What the reader of an error needs in order to get a dataset right.

    Args:
        name (`str`):
            Name of the dataset.
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
    def with_download_hint(self) -> Iterator[None]:
        """Add this source to every `ValueError` raised in the `with` block, which becomes a `DatasetError`."""
        try:
            yield
        except DatasetError:
            raise
        except ValueError as error:
            tree = "\n".join(f"  {line}" for line in self.tree.strip().splitlines())
            raise DatasetError(
                f"{error}\n{self.name} is had from: {self.where}\nLicence: {self.licence}\nExpected tree:\n{tree}"
            ) from error
