"""Push a converted dataset to repositories with injected faults, and print the outcome of each as JSON."""

import json
import sys
from pathlib import Path


SIZES = {"num_train": 4, "num_validation": 0, "num_test": 0, "num_points": 16}


def outcome(action):
    """Return the result of an action, or its error as text."""
    try:
        return action()
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def main(folder, *faulty):
    from jointmae_hf.data import uploading
    from jointmae_hf.data.conversion import convert_to_parquet, push_dataset

    uploading.WAITS = (0.0, 0.0, 0.0, 0.0)
    converted = convert_to_parquet("synthetic_shapes", Path(folder, "shapes"), **SIZES)
    before = contents(converted)
    outcomes = {name: outcome(lambda name=name: push_dataset(converted, f"tester/{name}")) for name in faulty}
    sharded = convert_to_parquet("synthetic_shapes", Path(folder, "sharded"), max_shard_bytes=1, **SIZES, seed=1)
    push_dataset(sharded, "renewed")
    push_dataset(converted, "renewed")
    outcomes |= {"files": sorted(before), "renewed": sorted(before), "unchanged": contents(converted) == before}
    sys.stdout.write(json.dumps(outcomes) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
