"""Publish output folders to repositories with injected faults, and print the outcome of each as JSON."""

import json
import struct
import sys
import zlib
from pathlib import Path


def png():
    """Return a PNG file of one pixel."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header, pixels = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0), zlib.compress(b"\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def write_run(folder, name):
    """Write the output folder of a run, with files to publish and others."""
    from push import tiny_config

    import jointmae_hf
    from jointmae_hf.evaluation import Result, collect_run_facts, write_results
    from jointmae_hf.hub import card_from_run

    getattr(jointmae_hf, name)(tiny_config(num_labels=5)).save_pretrained(folder)
    jointmae_hf.JointMAEFeatureExtractor(num_points=64).save_pretrained(folder)
    result = Result("linear_svm", 50.0, "%", "test", "last epoch", 0, 10, 10, "synthetic_shapes")
    write_results(folder / "results.json", [result], collect_run_facts())
    (folder / "reconstruction.png").write_bytes(png())
    card_from_run(folder).save(folder / "README.md")
    for left_out in ("optimizer.pt", "training_args.bin", "rng_state.pth", "trainer_state.json", "notes.txt", ".env"):
        (folder / left_out).write_text("hf_" + "a" * 34, encoding="utf-8")
    for part in ("checkpoint-2", "runs"):
        (folder / part).mkdir()
        (folder / part / "model.safetensors").write_bytes(b"old")


def outcome(action):
    """Return the result of an action, or its error as text."""
    try:
        return action()
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]


def main(folder, *faulty):
    sys.path.insert(0, str(Path(__file__).parent))
    import torch

    from jointmae_hf.data import uploading
    from jointmae_hf.hub import publish, publishing

    torch.set_num_threads(1)
    uploading.WAITS = (0.0, 0.0, 0.0, 0.0)
    run = Path(folder, "run")
    write_run(run, "JointMAEForPreTraining")
    before = sorted(str(path) for path in run.rglob("*"))
    outcomes = {"published": publish(run, "published", tag="v1.0")}
    outcomes["unchanged"] = before == sorted(str(path) for path in run.rglob("*"))
    publishing.verify_loads = lambda folder: torch.nn.Identity()  # verified once; the rest tests the upload
    outcomes["again"] = publish(run, "published")
    outcomes["same tag"] = outcome(lambda: publish(run, "published", tag="v1.0"))
    for name in faulty:
        outcomes[name] = outcome(lambda name=name: publish(run, f"tester/{name}"))
    (run / "modeling_of_old.py").write_text("old = 1\n", encoding="utf-8")
    api = uploading.HfApi()
    old = {name: run / name for name in ("modeling_of_old.py", "config.json", "reconstruction.png")}
    api.create_repo("renewed")
    uploading.upload_in_one_commit(api, "tester/renewed", old, "Upload what is old", ())
    publish(run, "renewed")
    sys.stdout.write(json.dumps(outcomes) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
