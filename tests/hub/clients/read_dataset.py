"""Read a published data set as its users do, streaming and whole, and tell what came."""

import json
import sys


def main(name):
    from datasets import load_dataset

    stream = load_dataset(name, streaming=True)
    whole = load_dataset(name)
    rows = {split: list(stream[split]) for split in stream}
    facts = {
        "splits": {split: len(rows[split]) for split in rows},
        "equal": all(rows[split] == whole[split].to_list() for split in rows),
        "features": {split: str(stream[split].features) for split in stream},
        "first": rows["train"][0],
    }
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
