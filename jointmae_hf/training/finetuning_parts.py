"""Parts of the datasets that have them, as fields of the configuration of a segmentation model."""

from collections.abc import Mapping, Sequence
from typing import Any

from jointmae_hf.data import SHAPE_CLASS_PARTS, SHAPE_PARTS, SHAPENET_PART_PARTS


# ShapeNetPart numbers its parts without naming them.
_SHAPENET_PART_NAMES = [
    f"{category} part {number}" for category, parts in SHAPENET_PART_PARTS.items() for number in range(len(parts))
]

_PARTS: dict[str, tuple[Mapping[str, Sequence[int]], Sequence[str]]] = {
    "shapenet_part": (SHAPENET_PART_PARTS, _SHAPENET_PART_NAMES),
    "synthetic_shapes": (SHAPE_CLASS_PARTS, SHAPE_PARTS),
}


def part_fields(dataset: str) -> dict[str, Any]:
    """Say which parts a dataset has, and which of them each category.

    Args:
        dataset (`str`):
            Name of the dataset.

    Returns:
        `dict[str, Any]`: `id2label`, `label2id`, `num_categories` and `category_labels` of `JointMAEConfig`.

    Raises:
        ValueError: If the dataset has no parts.

    Example:
        >>> fields = part_fields("shapenet_part")
        >>> len(fields["id2label"]), fields["id2label"][49], fields["category_labels"][15]
        (50, 'Table part 2', [47, 48, 49])
    """
    if dataset not in _PARTS:
        raise ValueError(f"`dataset` must have parts: {' or '.join(sorted(_PARTS))}, got {dataset!r}.")
    categories, names = _PARTS[dataset]
    return {
        "id2label": dict(enumerate(names)),
        "label2id": {name: label for label, name in enumerate(names)},
        "num_categories": len(categories),
        "category_labels": [list(parts) for parts in categories.values()],
    }
