"""The ablations of the paper as data: each row is a configuration, trained and measured like every other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True)
class Ablation:
    """One row of an ablation.

    Args:
        label (`str`):
            Name of the row, that of `PAPER_NUMBERS` where the paper has it.
        overrides (`Mapping[str, Any]`, *optional*):
            Fields of [`JointMAEConfig`] that differ from the recipe's.
        is_pretrained (`bool`, *optional*, defaults to `True`):
            False for the random weights that pre-training starts from.
    """

    label: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    is_pretrained: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "overrides", MappingProxyType(dict(self.overrides)))


def _mask_ratio(ratio: float) -> Ablation:
    """Row of a mask ratio, of both modalities."""
    return Ablation(f"mask ratio {ratio}", {"mask_ratio": ratio, "mask_ratio_2d": ratio})


ABLATIONS: dict[str, tuple[Ablation, ...]] = {
    "2d": (
        Ablation("untrained", is_pretrained=False),
        Ablation("3D only", {"use_2d_branch": False}),
        Ablation("Joint-MAE"),
    ),
    "6": (
        Ablation("2D-3D global, 3D-2D global", {"local_2d_to_3d": False, "local_3d_to_2d": False}),
        Ablation("2D-3D local, 3D-2D global", {"local_3d_to_2d": False}),
        Ablation("2D-3D global, 3D-2D local", {"local_2d_to_3d": False}),
        Ablation("2D-3D local, 3D-2D local"),
    ),
    "7": (
        Ablation("flat 3D embedding", {"embedding_3d": "flat"}),
        Ablation("flat 2D embedding", {"embedding_2d": "flat"}),
        Ablation("no modal-shared decoder", {"decoder_num_hidden_layers": 0}),
        Ablation("full"),
    ),
    "8": (
        Ablation("no cross-reconstruction", {"loss_3d_2d_weight": 0.0}),
        Ablation("1 view", {"num_views": 1}),
        Ablation("4 views, rendered", {"projection_mode": "rendered"}),
        Ablation("4 views"),
    ),
    "supplement": (
        _mask_ratio(0.5),
        _mask_ratio(0.6),
        _mask_ratio(0.9),
        Ablation("shared decoder of 1 block", {"decoder_num_hidden_layers": 1}),
        Ablation("shared decoder of 2 blocks", {"decoder_num_hidden_layers": 2}),
        Ablation("shared decoder of 4 blocks", {"decoder_num_hidden_layers": 4}),
        Ablation("learned 2D positions", {"position_embedding_2d": "learned"}),
        Ablation("no 2D positions", {"position_embedding_2d": "none"}),
        Ablation("full"),
    ),
}
"""Rows of each table, the one that the others are compared with at the end.

`2d` asks whether 2D helps 3D. The paper's supplement was not available to us: its rows are known by their subjects
alone (mask ratio, blocks, 2D positions), and the values are ours.
"""


def fit_recipe(ablation: Ablation, recipe_fields: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a row that take the place of a recipe's.

    The flat 3D embedding has one scale. It keeps the tokens of the recipe, its coarse groups, each of 32 points as in
    Point-MAE.

    Args:
        ablation ([`Ablation`]):
            The row.
        recipe_fields (`Mapping[str, Any]`):
            Fields of [`JointMAEConfig`] that the recipe or a flag sets.
        overrides (`Mapping[str, Any]`):
            Those of them that a flag sets.

    Returns:
        `dict[str, Any]`: `overrides` with the fields of the row in their place.
    """
    fitted = {**overrides, **ablation.overrides}
    if ablation.overrides.get("embedding_3d") == "flat":
        fitted |= {"group_size": None, "embedding_sizes_3d": None, "position_hidden_size": None}
        fitted["num_groups"] = recipe_fields["num_groups"][-1:] if "num_groups" in recipe_fields else None
    return fitted
