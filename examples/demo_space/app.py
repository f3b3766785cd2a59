"""Demo of a pre-trained Joint-MAE: upload a point cloud, mask part of it, and see the reconstruction.

    pip install "jointmae_hf[data,demo,viz]"
    python examples/demo_space/app.py

`--model`, or the environment variable `MODEL`, is a local folder or a Hub id; by default the weights in
`checkpoints/jointmae-small` or, outside a clone, those of a small model that is pre-trained first (a minute on 2 CPU cores).
The demo needs no GPU and, once the model is available, no network. On 2 CPU cores it starts in 10 seconds and answers within
2: reconstructions and nearest objects after half a second of CPU time, the attention maps after another.
"""

import argparse
import os
from typing import Any

import torch
from explorer import Camera, Explorer

from jointmae_hf.data import POINT_CLOUD_SUFFIXES
from jointmae_hf.training import default_checkpoint


FONTS = ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "sans-serif"]  # nothing is downloaded
STYLE = """
.gradio-container { max-width: 1360px !important; margin: 0 auto !important; }
#centers img { cursor: crosshair; }
#nearest, #nearest .grid-wrap, #nearest .gallery-container { min-height: 0 !important; height: auto !important; overflow: visible !important; }
.pictures label[data-testid="block-label"] { position: static; border: none; box-shadow: none; }
footer { display: none !important; }
@media (max-width: 700px) {
  .gradio-container { padding: 8px !important; }
  #page { flex-direction: column; }
  #page > .column, #controls > .column { min-width: 0 !important; width: 100%; flex-grow: 0 !important; }
  #controls { display: contents; }
  #sources { order: 1; } #results { order: 2; } #sliders { order: 3; }
  .pictures { display: grid !important; grid-template-columns: 1fr 1fr; }
  #nearest .grid-container { grid-template-columns: repeat(3, minmax(0, 1fr)) !important; }
  #nearest .caption-label { font-size: 10px; padding: 1px 4px; }
}
"""
PICTURES = {
    "points": "Input points",
    "centers": "Centers: click one",
    "visible_points": "Visible points",
    "reconstruction": "Reconstruction",
    "depth_map": "Depth map",
    "visible_patches": "Visible patches",
    "reconstructed_depth_map": "Reconstructed depth map",
}
INTRODUCTION = """# Joint-MAE
Upload a point cloud or a mesh, or choose an object. The model masks part of its points and of its depth map and reconstructs both: predicted points
are colored by height, given points are gray. Click a token center to see what it attends to."""


def build_app(explorer: Explorer) -> Any:
    """Build the page and connect it to the explorer.

    Args:
        explorer ([`Explorer`]):
            The model with its reference shapes.

    Returns:
        `gradio.Blocks`: The app, ready to launch.
    """
    import gradio as gr

    with gr.Blocks(title="Joint-MAE", analytics_enabled=False) as app:
        gr.Markdown(INTRODUCTION)
        with gr.Row(elem_id="page"):
            with gr.Column(scale=1, min_width=280, elem_id="controls"):
                controls = build_controls(gr, list(explorer.examples))
            with gr.Column(scale=4, elem_id="results"):
                images = build_pictures(gr)
                gr.Markdown(
                    "### Nearest objects\nOf 740 that come with the package: class and score of `jointmae search`."
                )
                nearest = gr.Gallery(
                    show_label=False, columns=6, height="auto", allow_preview=False, buttons=[], elem_id="nearest"
                )
        heading = gr.Markdown("### Attention", elem_id="heading")
        attention = gr.Image(show_label=False, buttons=["fullscreen"], interactive=False, elem_id="attention")
        with gr.Accordion("Rotate in 3D", open=False, elem_id="turn") as accordion:
            page = gr.HTML()
        outputs = {"images": images, "nearest": nearest, "heading": heading, "attention": attention, "page": page}
        connect(gr, explorer, app, controls, outputs, accordion)
    return app


def build_controls(gr: Any, examples: list[str]) -> dict[str, Any]:
    """Build the left column: source of the cloud, mask and view; on a phone, the latter two follow the results."""
    with gr.Column(elem_id="sources"):
        controls = {
            "file": gr.File(
                label="Your point cloud or mesh", file_types=list(POINT_CLOUD_SUFFIXES), height=160, elem_id="file"
            ),
            "up_axis": gr.Radio(["y", "z"], value="y", label="Up axis of the file", elem_id="up_axis"),
            "shape": gr.Dropdown(examples, value="chair", label="Or a real object", elem_id="shape"),
        }
    with gr.Column(elem_id="sliders"):
        controls |= {
            "ratio": gr.Slider(0.25, 0.9, 0.75, step=0.05, label="Mask ratio", elem_id="ratio"),
            "seed": gr.Slider(0, 20, 0, step=1, label="Mask seed", elem_id="seed"),
            "azimuth": gr.Slider(-180, 180, 35, step=5, label="Azimuth", elem_id="azimuth"),
            "elevation": gr.Slider(-60, 60, 20, step=5, label="Elevation", elem_id="elevation"),
        }
    return controls


def build_pictures(gr: Any) -> list[Any]:
    """Build two rows of pictures, points above depth maps."""
    images, names = [], list(PICTURES)
    for row in (names[:4], names[4:]):
        with gr.Row(elem_classes="pictures"):
            images += [
                gr.Image(
                    label=PICTURES[name], interactive=False, buttons=[], elem_id=name, min_width=120, format="png"
                )
                for name in row
            ]
    return images


def connect(
    gr: Any, explorer: Explorer, app: Any, controls: dict[str, Any], outputs: dict[str, Any], accordion: Any
) -> None:
    """Register the event handlers."""

    def open_file(path: str | None, up_axis: str, class_name: str) -> torch.Tensor:
        try:
            return explorer.examples[class_name] if path is None else explorer.read(path, up_axis)
        except (ImportError, ValueError) as error:  # an invalid file, or a missing package for its format
            raise gr.Error(str(error)) from error

    def draw(points: torch.Tensor, *masks: float) -> list[Any]:
        pictures = explorer.pictures(points, *masks_of(*masks))
        return [pictures[name] for name in PICTURES]

    def attend(points: torch.Tensor, token: int | None, azimuth: float, elevation: float) -> Any:
        return explorer.attention(points, token, Camera(azimuth, elevation))

    def click(event: gr.SelectData, points: torch.Tensor, *masks: float) -> tuple[int, str]:
        token = explorer.token_at(points, *event.index, *masks_of(*masks))
        return token, f"### Attention of token {token}"

    def turn(points: torch.Tensor, *masks: float) -> str:
        return explorer.page(points, *masks_of(*masks))

    cloud, token, images = gr.State(), gr.State(), outputs["images"]
    file, shape = controls["file"], controls["shape"]
    sources, without_file = ([path, controls["up_axis"], shape] for path in (file, gr.State()))
    view = [controls["azimuth"], controls["elevation"]]
    masks = [controls["ratio"], controls["seed"], *view]
    asked = [cloud, token, *view]
    shape.input(lambda: None, None, file)  # a shape replaces an upload
    triggers = {app.load: sources, file.change: sources, controls["up_axis"].input: sources, shape.input: without_file}
    for trigger, source in triggers.items():
        opened = trigger(open_file, source, cloud).success(
            lambda: (None, "### Attention", ""), None, [token, outputs["heading"], outputs["page"]]
        )
        drawn = opened.success(draw, [cloud, *masks], images).success(attend, asked, outputs["attention"])
        drawn.success(explorer.nearest, cloud, outputs["nearest"])
    for name in ("ratio", "seed"):
        controls[name].release(draw, [cloud, *masks], images)
    for slider in view:
        slider.release(draw, [cloud, *masks], images).success(attend, asked, outputs["attention"])
    clicked = images[list(PICTURES).index("centers")].select(click, [cloud, *masks], [token, outputs["heading"]])
    clicked.success(attend, asked, outputs["attention"])
    accordion.expand(turn, [cloud, *masks], outputs["page"])


def masks_of(ratio: float, seed: float, azimuth: float, elevation: float) -> tuple[float, int, Camera]:
    """Convert the values of the sliders to arguments of the explorer."""
    return ratio, int(seed), Camera(azimuth, elevation)


def main() -> None:
    """Load the model and serve the page."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio as gr

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=os.environ.get("MODEL"), help="local folder or Hub id")
    parser.add_argument("--port", type=int, default=7860, help="port of the server, by default 7860")
    arguments = parser.parse_args()
    explorer = Explorer.from_pretrained(arguments.model or str(default_checkpoint("outputs/demonstration")))
    theme = gr.themes.Base(primary_hue="blue", font=FONTS, font_mono=["ui-monospace", "monospace"])
    build_app(explorer).launch(
        server_port=arguments.port, theme=theme, css=STYLE, max_file_size="50mb", ssr_mode=False, show_error=True
    )


if __name__ == "__main__":
    main()
