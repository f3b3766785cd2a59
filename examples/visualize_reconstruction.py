"""Draw figure 5 of the paper from any checkpoint and any cloud, with an interactive viewer and attention maps.

    python examples/visualize_reconstruction.py                             # real objects, half a minute on 2 CPU cores
    python examples/visualize_reconstruction.py --model outputs/jointmae-quick --data_dir my_clouds --num_clouds 8
    python examples/visualize_reconstruction.py --model org/jointmae-base --cloud chair.ply table.obj --up_axis z

`reconstruction.png`: input, token centers, visible points and reconstruction, next to the depth map.
`reconstruction.html`: an interactive offline viewer of the same clouds, in one file. `attention.png`: what a 3D token
and its patch attend to in the cloud and in the depth map, with local-aligned and with global attention. Without
`--model` it draws the weights in `checkpoints/jointmae-small`; outside a clone, a small model is pre-trained first (a
minute) and reused later. For a 3D-only model, only the viewer is written.
"""

from dataclasses import dataclass, field
from pathlib import Path

import torch

from jointmae_hf.training.arguments import exit_on_error
from jointmae_hf.training.training_flags import Refusal, refuse
from jointmae_hf.training.visualization_arguments import parse_visualization_flags
from jointmae_hf.visualization import attention_figure, draw_reconstructions, reconstruction_page, save_figure


@dataclass
class ScriptArguments:
    """Flags of this script only."""

    layer: int = field(default=-1, metadata={"help": "Encoder block of the attention maps."})
    token: int | None = field(
        default=None, metadata={"help": "3D token used as query; by default one of the patch with the most centers."}
    )


def main() -> None:
    """Reconstruct, draw, and write the viewer."""
    arguments, dataset, script, passed = parse_visualization_flags(ScriptArguments)
    scene = arguments.load(dataset, "cuda" if torch.cuda.is_available() else "cpu")
    if not scene.model.config.use_2d_branch:
        reason = "A 3D-only model has no attention maps, only the viewer. Drop the flag."
        with exit_on_error():
            refuse(passed, dict.fromkeys(("layer", "token"), Refusal((), reason)))
    output_dir = Path(arguments.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    if scene.model.config.use_2d_branch:
        what = scene.model, scene.points, scene.titles, arguments.seed
        attended = scene.model, scene.points[scene.index], script.token, script.layer
        figures = {
            "reconstruction": draw_reconstructions(*what, **arguments.camera),
            "attention": attention_figure(*attended, **arguments.camera),
        }
        for name, figure in figures.items():
            save_figure(figure, output_dir / f"{name}.png", scene.facts, arguments.dpi)
            print(f"{output_dir / name}.png")
    facts = ", ".join(f"{name}: {value}" for name, value in scene.facts.items())
    page = reconstruction_page(
        scene.model, scene.points, scene.titles, arguments.seed, **arguments.camera, facts=facts
    )
    (output_dir / "reconstruction.html").write_text(page, encoding="utf-8")
    print(f"{output_dir / 'reconstruction.html'}: {len(page) / 1e6:.1f} MB, open it in a browser (works offline)")


if __name__ == "__main__":
    main()
