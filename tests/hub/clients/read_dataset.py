"""Load a published dataset, streaming and whole, and print facts about it as JSON."""

import json
import sys
from pathlib import Path


def main(name, *snippets):
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
    for path in snippets:  # the code of a card
        names = {}
        exec(compile(Path(path).read_text(encoding="utf-8"), path, "exec"), names)
        facts["usage"] = len(names["train"])
    sys.stdout.write(json.dumps(facts) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
