"""The code on a model card: it runs as it stands there."""

from .model_card_facts import ModelCardFacts


HEAD_TASKS = {
    "JointMAEForPointCloudClassification": "point-cloud-classification",
    "JointMAEForPointCloudSegmentation": "point-cloud-segmentation",
}
"""Head to its task. The Hub has a pipeline tag for features, none for classes or parts of point clouds."""

_CLOUD = "cloud = np.random.default_rng(0).normal(size=(5000, 3))  # yours: xyz, y up, any number of points"


def task_of(facts: ModelCardFacts) -> str:
    """Return the task of a checkpoint in the words of the Hub's tags.

    Args:
        facts ([`ModelCardFacts`]):
            Their `architecture` decides.

    Returns:
        `str`: Such as `"feature-extraction"`.
    """
    return HEAD_TASKS.get(facts.architecture, "feature-extraction")


def render_usage(facts: ModelCardFacts) -> str:
    """Write how to load and call a checkpoint, with this package and without.

    Args:
        facts ([`ModelCardFacts`]):
            Id, architecture and revision.

    Returns:
        `str`: Markdown.
    """
    if facts.preset is not None:
        return _preset_usage(facts.preset)
    with_package = _snippet(facts, _auto_class(facts), is_trusted=False)
    without_package = _snippet(facts, "AutoModel", is_trusted=True)
    parts = [
        "With the package `jointmae_hf` installed:",
        with_package,
        "Without it, transformers runs the code that lies beside the weights. Read it first, and pin the commit that you "
        "have read by `revision=`:",
        without_package,
        *_further_steps(facts),
    ]
    return "\n\n".join(parts)


def _auto_class(facts: ModelCardFacts) -> str:
    """Return the Auto class that loads the whole head, or else the encoder."""
    return {
        "point-cloud-classification": "AutoModelForPointCloudClassification",
        "point-cloud-segmentation": "AutoModelForPointCloudSegmentation",
    }.get(task_of(facts), "AutoModel")


def _snippet(facts: ModelCardFacts, auto_class: str, is_trusted: bool) -> str:
    """Return code from the imports to the result."""
    revision = "" if facts.revision is None else f', revision="{facts.revision}"'
    arguments = f'("{facts.model_id}"{revision}{", trust_remote_code=True" if is_trusted else ""})'
    if auto_class == "AutoModel":
        imports = ["from transformers import AutoModel, AutoProcessor"]
        imports += [] if is_trusted else ["", "import jointmae_hf  # registers its classes with transformers"]
    else:
        imports = ["from transformers import AutoProcessor", "", f"from jointmae_hf import {auto_class}"]
    lines = [
        "import numpy as np",
        "import torch",
        *imports,
        "",
        f"processor = AutoProcessor.from_pretrained{arguments}",
        f"model = {auto_class}.from_pretrained{arguments}.eval()",
        _CLOUD,
        'inputs = processor(cloud, return_tensors="pt")',
        *_call(facts),
    ]
    return _code(lines)


def _call(facts: ModelCardFacts) -> list[str]:
    """Return the lines that use the model."""
    if task_of(facts) == "point-cloud-classification":
        return [
            "with torch.no_grad():",
            "    classes = model(**inputs).logits.argmax(dim=-1)  # (batch_size,)",
            "print([model.config.id2label[index] for index in classes.tolist()])",
        ]
    if task_of(facts) == "point-cloud-segmentation":
        category = ["category = torch.tensor([0])  # class of the object"] if facts.has_categories else []
        argument = ", category=category" if facts.has_categories else ""
        return [
            *category,
            "with torch.no_grad():",
            f"    outputs = model(**inputs{argument})",
            f"parts = model.post_process(outputs{argument})  # (batch_size, num_points)",
        ]
    return ["with torch.no_grad():", "    features = model(**inputs).pooler_output  # (batch_size, hidden_size)"]


def _further_steps(facts: ModelCardFacts) -> list[str]:
    """Return what else a checkpoint is good for."""
    if facts.architecture != "JointMAEForPreTraining":
        return []
    return [
        "`AutoModelForPreTraining` loads the joint decoder too. "
        f'`JointMAEForPointCloudClassification.from_pretrained("{facts.model_id}", num_labels=40)` and '
        "`JointMAEForPointCloudSegmentation` start fine-tuning from it."
    ]


def _preset_usage(preset: str) -> str:
    """Return code that builds the model with random weights."""
    lines = [
        "import numpy as np",
        "",
        "from jointmae_hf import JointMAEConfig, JointMAEFeatureExtractor, JointMAEForPreTraining",
        "",
        f'config = JointMAEConfig.from_preset("{preset}")',
        "processor = JointMAEFeatureExtractor(num_points=config.num_points)",
        "model = JointMAEForPreTraining(config)  # random weights",
        _CLOUD,
        'loss = model(**processor(cloud, return_tensors="pt")).loss',
    ]
    command = _code([f"accelerate launch examples/run_pretrain.py --recipe paper --model {preset}"], "bash")
    return "\n\n".join(["The configuration, with random weights:", _code(lines), "To pre-train it yourself:", command])


def _code(lines: list[str], language: str = "python") -> str:
    """Return a fenced block."""
    return "\n".join([f"```{language}", *lines, "```"])
