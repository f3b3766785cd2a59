"""Push procedural shapes as a Parquet repository of several files and many row groups, and print their number."""

import json
import sys
from pathlib import Path


SIZES = {"num_train": 60, "num_validation": 6, "num_test": 0, "num_points": 128}


def main(folder, repo_id):
    import pyarrow.parquet as pq

    from jointmae_hf.data import conversion

    conversion._ROW_GROUP_BYTES = 10_000  # some clouds, not thousands
    converted = conversion.convert_to_parquet(
        "synthetic_shapes", Path(folder, "shapes"), max_shard_bytes=30_000, **SIZES
    )
    conversion.push_dataset(converted, repo_id)
    paths = sorted(converted.glob("data/train-*.parquet"))
    groups = sum(pq.ParquetFile(path).num_row_groups for path in paths)
    sys.stdout.write(json.dumps({"files": len(paths), "row_groups": groups}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
