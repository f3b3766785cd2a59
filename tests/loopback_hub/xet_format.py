"""The two formats of Xet that the server reads: shards, and chunks of xorbs."""

import struct


ALL_ONES = b"\xff" * 32
HAS_VERIFICATION, HAS_METADATA = 1 << 31, 1 << 30


def xet_hash(raw):
    """Format a hash as Xet does, as four little-endian 64-bit words."""
    return "".join(f"{word:016x}" for word in struct.unpack("<4Q", raw))


def parse_shard(data):
    """Return the files of a shard: a header of 48 bytes, then records of 48 bytes up to a hash of ones."""
    position, files = 48, []
    while position + 48 <= len(data) and data[position : position + 32] != ALL_ONES:
        name = xet_hash(data[position : position + 32])
        flags, num_terms = struct.unpack_from("<II", data, position + 32)
        position += 48
        terms = []
        for _ in range(num_terms):
            _, length, start, end = struct.unpack_from("<IIII", data, position + 32)
            chunks = {"start": start, "end": end}
            terms.append(
                {"hash": xet_hash(data[position : position + 32]), "unpacked_length": length, "range": chunks}
            )
            position += 48
        if flags & HAS_VERIFICATION:
            position += 48 * num_terms
        sha256 = None
        if flags & HAS_METADATA:
            sha256 = xet_hash(data[position : position + 32])
            position += 48
        files.append({"xet": name, "terms": terms, "sha256": sha256})
    return files


def chunk_offsets(xorb):
    """Return the start of each chunk of a xorb and the end of the last; bytes 1 to 3 of a chunk are its size."""
    position, offsets = 0, []
    while position < len(xorb) and xorb[position : position + 7] != b"XETBLOB":
        offsets.append(position)
        position += 8 + int.from_bytes(xorb[position + 1 : position + 4], "little")
    return [*offsets, position]
