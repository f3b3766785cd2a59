# Copyright 2026 The jointmae_hf authors. All rights reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
"""Rows of numbers in a text, parsed with numpy: what the text formats of meshes share."""

import io
import re
from array import array
from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np


NO_INDICES = np.empty(0, dtype=np.int64)


class Table(NamedTuple):
    """Numbers of some lines of text, one line after the other, and where each line starts."""

    numbers: np.ndarray
    starts: np.ndarray
    widths: np.ndarray


class TextRows:
    """Lines of numbers, taken from a text one after the other; blank lines do not count."""

    def __init__(self, text: bytes):
        text = text.strip()
        if re.search(rb"\n\s*\n", text):
            text = b"\n".join(line for line in text.split(b"\n") if line.strip())
        self.num_rows = text.count(b"\n") + bool(text)
        self.num_taken = 0
        self.stream = io.BytesIO(text)

    def require(self, num_rows: int, rule: str = "") -> None:
        """Raise unless that many lines are left, before memory is reserved for them."""
        if self.num_taken + num_rows > self.num_rows:
            raise ValueError(
                f"it has {self.num_rows} rows and not the {self.num_taken + num_rows}{rule} that its header says"
            )

    def take(self, num_rows: int) -> Table:
        """Parse the next lines, which may differ in length; `require` comes first."""
        if num_rows == 0:
            return Table(np.empty(0), NO_INDICES, NO_INDICES)
        self.num_taken += num_rows
        start = self.stream.tell()
        try:
            rows = np.loadtxt(islice(self.stream, num_rows), comments=None, ndmin=2)
            numbers, widths = rows.ravel(), np.full(num_rows, rows.shape[1])
        except ValueError:  # lines of several lengths, or no numbers, which float names
            self.stream.seek(start)
            numbers, widths = self._take_unequal(num_rows)
        return Table(numbers, np.cumsum(widths) - widths, widths)

    def _take_unequal(self, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Parse the next lines of several lengths; return their numbers, and how many each has."""
        numbers, widths = array("d"), array("q")
        for line in islice(self.stream, num_rows):
            fields = line.decode("latin-1").split()
            numbers.extend(map(float, fields))
            widths.append(len(fields))
        return np.frombuffer(numbers), np.frombuffer(widths, dtype=np.int64)

    def skip(self, num_rows: int) -> None:
        """Skip the next lines."""
        self.num_taken += num_rows
        deque(islice(self.stream, num_rows), maxlen=0)


def unify_lines(content: bytes, comments: bool = False) -> bytes:
    """Return a text whose lines end in a line feed; `comments` cuts off what follows a `#`."""
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return re.sub(b"#[^\n]*", b"", content) if comments and b"#" in content else content


class Words:
    """Lines of a text that start with a word, found for all lines at once."""

    def __init__(self, text: bytes):
        self.characters = np.frombuffer(
            bytearray(text + b"\n" * 9), dtype=np.uint8
        )  # so that a word may end behind it
        breaks = np.flatnonzero(self.characters[: len(text) + 1] == ord("\n"))
        self.ends = breaks + 1
        self.starts = np.concatenate([[0], self.ends[:-1]])
        self.words = self.starts.copy()
        indented = np.arange(len(self.words))
        while len(indented):
            first = self.characters[self.words[indented]]
            indented = indented[(first == ord(" ")) | (first == ord("\t"))]
            self.words[indented] += 1

    def find(self, word: bytes) -> np.ndarray:
        """Return which lines start with a word."""
        is_found = self.characters[self.words + len(word)] <= ord(" ")
        for place, character in enumerate(word):
            is_found &= self.characters[self.words + place] == character
        return is_found

    def take(self, word: bytes, are_taken: np.ndarray) -> bytes:
        """Return the lines that start with a word, without it."""
        places = self.words[are_taken, None] + np.arange(len(word))
        self.characters[places] = ord(" ")
        return self.characters[: self.ends[-1]][np.repeat(are_taken, self.ends - self.starts)].tobytes()


def take_columns(table: Table, columns: Sequence[int]) -> np.ndarray:
    """Return some columns `(num_vertices, num_columns)` of numbers; further numbers of a line are ignored."""
    check_rows("vertex", table.widths > max(columns), table.widths)
    return table.numbers[table.starts[:, None] + np.array(columns)]


def take_lists(table: Table, are_lists: Sequence[bool], column: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the values of one column of lists, row by row, and the lengths, which stand in front of the lists."""
    position, ends = table.starts, table.starts + table.widths
    values, lengths = NO_INDICES, NO_INDICES
    for place, is_list in enumerate(are_lists):
        check_rows("face", position < ends, table.widths)
        length: np.ndarray | int = 1
        if is_list:
            given = table.numbers[position]
            is_length = (given >= 0) & (given <= table.widths) & (given == np.floor(given))
            check_rows("face", is_length, table.widths, given)
            length = given.astype(np.int64)
            position = position + 1
        if place == column:
            values, lengths = position, np.broadcast_to(length, len(position))
        position = position + length
    check_rows("face", position <= ends, table.widths)
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return table.numbers[np.repeat(values, lengths) + within], lengths


def check_rows(name: str, are_whole: np.ndarray, widths: np.ndarray, lengths: np.ndarray | None = None) -> None:
    """Raise for the first row that is not whole."""
    if not are_whole.all():
        row = int(are_whole.argmin())
        content = "" if lengths is None else f" for a list of {lengths[row]:g}"
        raise ValueError(f"{name} {row} is cut short: it has {widths[row]} numbers{content}")
