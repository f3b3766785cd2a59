"""Checks of mesh files that their parser does not make: that a text ends where its header says, that its rows agree."""

import re
from collections.abc import Sequence


def declares_faces(content: bytes, file_type: str) -> bool:
    """Say whether a mesh file announces faces, after checking that it is whole as far as its text can tell.

    trimesh reads text that ends too early as a smaller mesh, and takes points for a file whose faces it does not know.

    Args:
        content (`bytes`):
            The file.
        file_type (`str`):
            `"ply"`, `"off"`, `"obj"` or `"stl"`.

    Returns:
        `bool`: Whether there must be faces in what the parser returns.

    Raises:
        ValueError: If lines are missing, the last one is cut short, or the vertices have different numbers of coordinates.
    """
    return {"ply": _check_ply, "off": _check_off, "obj": _check_obj}.get(file_type, lambda _: True)(content)


def _check_row(row: bytes, are_lists: Sequence[bool]) -> None:
    """Raise if a row has fewer numbers than its columns need; a list starts with its length."""
    fields, needed = row.split(), 0
    for is_list in are_lists:
        needed += 1
        if is_list and len(fields) >= needed:
            needed += int(fields[needed - 1])
    if len(fields) < needed:
        raise ValueError(f"its last row is cut short: {row.decode(errors='replace')!r}")


def _check_rows(rows: Sequence[bytes], counts: Sequence[tuple[int, Sequence[bool]]]) -> None:
    """Raise if there are fewer rows than the elements need; for each, its number of rows and which columns are lists."""
    total = sum(count for count, _ in counts)
    if len(rows) < total:
        raise ValueError(f"it has {len(rows)} rows and not the {total} that its header says")
    last = [are_lists for count, are_lists in counts if count > 0]
    if last:
        _check_row(rows[total - 1], last[-1])


def _check_off(content: bytes) -> bool:
    """The counts stand after the word OFF or on the next line; vertices and faces have one line each."""
    content = re.sub(rb"#[^\r\n]*", b"", content) if b"#" in content else content
    lines = [line for line in map(bytes.strip, content.splitlines()) if line]
    header = re.match(rb"(ST)?C?N?OFF(?=[\s\d]|$)", lines[0]) if lines else None
    if header is None:
        raise ValueError(f"it starts with {content[:20]!r} instead of OFF")
    rest = lines[0][header.end() :].strip()
    rows = [rest, *lines[1:]] if rest else lines[1:]
    counts = [int(count) for count in rows[0].split()[:2]] if rows else []
    if len(counts) != 2 or min(counts) < 0:
        raise ValueError(f"its header has no two counts: {b' '.join(lines[:2])[:60]!r}")
    _check_rows(rows[1:], [(counts[0], [False] * 3), (counts[1], [True])])
    return counts[1] > 0


def _check_ply(content: bytes) -> bool:
    """The header lists elements, and below each its columns. A binary body is checked by its size, in the parser."""
    header, end, body = content.partition(b"end_header")
    if not header.startswith(b"ply") or not end:
        raise ValueError(f"it starts with {content[:20]!r} instead of a header from ply to end_header")
    names: list[bytes] = []
    counts: list[tuple[int, list[bool]]] = []
    for line in header.splitlines():
        fields = line.split() or [b""]
        if fields[0] == b"element":
            names.append(fields[1])
            counts.append((int(fields[2]), []))
        elif fields[0] == b"property":
            counts[-1][1].append(fields[1] == b"list")
    if re.search(rb"^format\s+ascii", header, flags=re.MULTILINE):
        _check_rows([line for line in body.splitlines() if line.strip()], counts)
    has_faces = (name in (b"face", b"tristrips") and count > 0 for name, (count, _) in zip(names, counts, strict=True))
    return any(has_faces)


def _check_obj(content: bytes) -> bool:
    """A keyword and its numbers on each line; trimesh cuts the numbers of all vertices into equal rows."""
    fields = [line.split() for line in content.splitlines() if line.lstrip()[:2] in (b"v ", b"v\t", b"f ", b"f\t")]
    widths = {len(row) - 1 for row in fields if row[0] == b"v"}
    if len(widths) > 1 or min(widths, default=3) < 3:
        raise ValueError(f"its vertices have {sorted(widths)} numbers and not the same, at least three")
    return any(row[0] == b"f" for row in fields)
