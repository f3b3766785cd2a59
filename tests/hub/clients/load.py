"""Load the models that `push.py` pushed, with the package or, in mode `remote`, without it.

Prints facts as JSON in the last line, and saves outputs and weights to a file for bitwise comparison.
"""

import json
import os
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path


class NoPackage(MetaPathFinder):
    """Import hook that hides the package."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "jointmae_hf":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def loaders(is_remote):
    """Return the Auto class of each repository."""
    import transformers

    auto = transformers.AutoModel
    loaders = {"JointMAEModel": auto, "JointMAEForPreTraining": transformers.AutoModelForPreTraining}
    if is_remote:
        heads = [auto, auto]
    else:
        import jointmae_hf

        heads = [jointmae_hf.AutoModelForPointCloudClassification, jointmae_hf.AutoModelForPointCloudSegmentation]
    names = ["JointMAEForPointCloudClassification", "JointMAEForPointCloudSegmentation"]
    return loaders | dict(zip(names, heads, strict=True))


def run(model, points):
    """Return the outputs of a model with a fixed seed."""
    import torch

    torch.manual_seed(0)
    with torch.no_grad():
        answer = model.eval()(points)
    return {name: value.contiguous() for name, value in answer.items() if isinstance(value, torch.Tensor)}


def in_own_memory(model):
    """Copy the weights from the mapped file, where BLAS sums in another order at odd multiples of 4 bytes."""
    for tensor in [*model.parameters(), *model.buffers()]:
        tensor.data = tensor.data.clone()
    return model


def error_of(action):
    """Return type and first line of the error of an action."""
    try:
        action()
    except Exception as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def load_classes(is_remote, points, trust):
    """Return outputs and weights of every class, and the module of its code."""
    outputs, modules = {}, {}
    for name, loader in loaders(is_remote).items():
        revision = {"revision": "v1.0"} if name == "JointMAEModel" else {}
        model = loader.from_pretrained(f"tester/{name}", **revision, **trust)
        outputs |= {f"mapped {name}.{key}": value for key, value in run(model, points).items()}
        outputs |= {f"{name}.{key}": value for key, value in run(in_own_memory(model), points).items()}
        outputs |= {f"{name}:{key}": value.clone() for key, value in model.state_dict().items()}
        modules[name] = [type(model).__name__, type(model).__module__]
    return outputs, modules


def main(kind, pushed, target, *snippets):
    is_remote = kind == "remote"
    if is_remote:
        sys.meta_path.insert(0, NoPackage())
    import numpy as np
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoModel, AutoModelForPreTraining, AutoProcessor, pipeline

    if not is_remote:
        import jointmae_hf  # noqa: F401 (registers its classes)
    torch.set_num_threads(1)
    trust = {"trust_remote_code": True} if is_remote else {}
    points = load_file(Path(pushed) / "outputs.safetensors")["points"]
    cloud = np.load(Path(pushed) / "cloud.npy")
    outputs, modules = load_classes(is_remote, points, trust)
    facts = {"modules": modules}

    newest = AutoModel.from_pretrained("tester/JointMAEModel", **trust)
    outputs |= {f"newer.{key}": value for key, value in run(in_own_memory(newest), points).items()}
    encoder = AutoModel.from_pretrained("tester/JointMAEForPreTraining", **trust)
    facts["encoder"] = type(encoder).__name__
    outputs |= {f"encoder:{key}": value.clone() for key, value in encoder.state_dict().items()}
    processor = AutoProcessor.from_pretrained("tester/JointMAEModel", **trust)
    outputs["points"] = processor(cloud, return_tensors="pt")["points"]
    spread = AutoModel.from_pretrained("tester/JointMAEModel", device_map="auto", **trust)
    outputs |= {f"device_map.{key}": value for key, value in run(in_own_memory(spread), points).items()}
    half = AutoModel.from_pretrained("tester/JointMAEModel", dtype=torch.bfloat16, **trust)
    facts["dtypes"] = sorted({str(parameter.dtype) for parameter in half.parameters()})
    outputs["bfloat16"] = run(half, points.to(torch.bfloat16))["pooler_output"].float()
    if os.environ["HF_HUB_OFFLINE"] == "0":
        facts["no_trust"] = error_of(
            lambda: AutoModel.from_pretrained("tester/JointMAEModel", trust_remote_code=False)
        )
        facts["no_revision"] = error_of(
            lambda: AutoModel.from_pretrained("tester/JointMAEModel", revision="v9", **trust)
        )
    if not is_remote:
        first = dict(AutoModelForPreTraining.from_pretrained("tester/JointMAEForPreTraining").state_dict())
        facts["differing_loads"] = 0
        for _ in range(20):
            again = AutoModelForPreTraining.from_pretrained("tester/JointMAEForPreTraining").state_dict()
            facts["differing_loads"] += any(not torch.equal(first[key], again[key]) for key in first)
    classify = pipeline("point-cloud-classification", model="tester/pipeline", **trust)
    facts["pipeline"] = classify(cloud)
    facts["snippets"] = [run_snippet(path) for path in snippets]
    save_file(outputs, target)
    sys.stdout.write(json.dumps(facts) + "\n")


def run_snippet(path):
    """Run the code of a card, and return the shape of its result."""
    names = {}
    exec(compile(Path(path).read_text(encoding="utf-8"), path, "exec"), names)
    found = [names[name] for name in ("features", "classes", "parts") if name in names]
    return list(found[0].shape)


if __name__ == "__main__":
    main(*sys.argv[1:])
