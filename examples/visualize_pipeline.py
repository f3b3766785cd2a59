"""Draw figures 2, 3 and 4 of the paper from the tensors of a checkpoint.

    python examples/visualize_pipeline.py                                   # real objects, half a minute on 2 CPU cores
    python examples/visualize_pipeline.py --model outputs/jointmae-quick --index 3
    python examples/visualize_pipeline.py --model org/jointmae-base --cloud chair.ply --up_axis z

`pipeline.png` (Fig. 2): every stage of the forward pass with the shape of its tensor. `alignment.png` (Fig. 3):
correlated 3D and 2D tokens in one color, and the pairs that may attend to each other. `losses.png` (Fig. 4): what each
of the three losses compares, its errors, and its value for this cloud. Without `--model` it draws the weights in
`checkpoints/jointmae-small`; outside a clone, a small model is pre-trained first (a minute) and reused later.
"""

from pathlib import Path

import torch

from jointmae_hf.training.visualization_arguments import parse_visualization_flags
from jointmae_hf.visualization import alignment_figure, loss_figure, pipeline_figure, save_figure, trace_pipeline


def main() -> None:
    """Record one forward pass and draw it."""
    arguments, dataset, _ = parse_visualization_flags()
    scene = arguments.load(dataset, "cuda" if torch.cuda.is_available() else "cpu")
    trace = trace_pipeline(scene.model, scene.points, arguments.seed, **arguments.camera)
    figures = {
        "pipeline": pipeline_figure(trace, scene.index, scene.titles[scene.index]),
        "alignment": alignment_figure(trace, scene.index),
        "losses": loss_figure(trace, scene.index),
    }
    output_dir = Path(arguments.output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        save_figure(figure, output_dir / f"{name}.png", scene.facts, arguments.dpi)
        print(f"{output_dir / name}.png")


if __name__ == "__main__":
    main()
