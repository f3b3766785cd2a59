"""Push every class, the feature extractor and a pipeline with `push_to_hub` of transformers, and save outputs."""

import json
import sys
from pathlib import Path


CLASSES = (
    "JointMAEModel",
    "JointMAEForPreTraining",
    "JointMAEForPointCloudClassification",
    "JointMAEForPointCloudSegmentation",
)


def run(model, points):
    """Return the outputs of a model with a fixed seed."""
    import torch

    torch.manual_seed(0)
    with torch.no_grad():
        answer = model.eval()(points)
    return {name: value.contiguous() for name, value in answer.items() if isinstance(value, torch.Tensor)}


def tiny_config(**fields):
    from jointmae_hf import JointMAEConfig

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
    shapes = {"num_points": 64, "num_groups": [32, 16], "group_size": [4, 4], "target_group_size": 4, "image_size": 32}
    heads = {"classifier_hidden_sizes": [16, 16], "propagation_hidden_sizes": [32, 24]}
    more = {"segmentation_hidden_sizes": [24, 16], "category_embedding_size": 8}
    return JointMAEConfig(**sizes, **shapes, **heads, **more, **fields)


def main(folder):
    import numpy as np
    import torch
    from huggingface_hub import HfApi
    from safetensors.torch import save_file
    from transformers import pipeline

    import jointmae_hf

    torch.set_num_threads(1)
    torch.manual_seed(1)
    processor = jointmae_hf.JointMAEFeatureExtractor(num_points=64)
    cloud = np.random.default_rng(0).normal(size=(200, 3))
    points = processor(cloud, return_tensors="pt")["points"]
    outputs = {"points": points}
    for name in CLASSES:
        model = getattr(jointmae_hf, name)(tiny_config(num_labels=5))
        model.push_to_hub(name)
        processor.push_to_hub(name)
        outputs |= {f"{name}.{key}": value for key, value in run(model, points).items()}
        outputs |= {f"{name}:{key}": value for key, value in model.state_dict().items()}
    model = jointmae_hf.JointMAEForPointCloudClassification(tiny_config(num_labels=5))
    classify = pipeline("point-cloud-classification", model=model, feature_extractor=processor)
    classify.push_to_hub("pipeline")
    answer = classify(cloud)

    api = HfApi()
    api.create_tag("tester/JointMAEModel", tag="v1.0")
    newer = jointmae_hf.JointMAEModel(tiny_config())
    newer.push_to_hub("JointMAEModel")
    outputs |= {f"newer.{key}": value for key, value in run(newer, points).items()}
    save_file(outputs, Path(folder) / "outputs.safetensors")
    np.save(Path(folder) / "cloud.npy", cloud)
    sys.stdout.write(json.dumps({"pipeline": answer}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
