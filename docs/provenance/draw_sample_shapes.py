"""Draw a few objects of each class of `sample_shapes`, one picture for the documentation.

```bash
python docs/provenance/draw_sample_shapes.py docs/figures/sample_shapes.png
```
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from jointmae_hf.data import SAMPLE_SHAPES_CLASSES
from jointmae_hf.data.builders.sample_shapes import read_points, read_table
from jointmae_hf.visualization.sphere_renderer import render_points


SHAPES_PER_CLASS = 4
CLASSES_PER_ROW = 3
TILE, CAPTION, GAP = 92, 18, 16  # Pixels.


def draw_class(name: str, color: np.ndarray) -> Image.Image:
    """Draw objects spread over a class side by side, above its name and size.

    Args:
        name (`str`):
            Class.
        color (`np.ndarray` of shape `(3,)`):
            RGB within [0, 1].

    Returns:
        `PIL.Image.Image`: The strip.
    """
    members = [index for index, row in enumerate(read_table()) if row["label"] == name]
    chosen = np.linspace(0, len(members) - 1, 2 * SHAPES_PER_CLASS + 1).round().astype(int)[1::2]
    strip = Image.new("RGB", (SHAPES_PER_CLASS * TILE, TILE + CAPTION), "white")
    for place, member in enumerate(chosen):
        points = POINTS[members[member]]
        middle = (points.max(axis=0) + points.min(axis=0)) / 2.0
        points = (points - middle) / np.linalg.norm(points - middle, axis=1).max()
        picture = render_points(points, color, size=TILE, radius=0.045, supersampling=3)
        strip.paste(Image.fromarray(picture), (place * TILE, 0))
    text = f"{name}, {len(members)}"
    ImageDraw.Draw(strip).text((strip.width / 2, TILE + 1), text, fill="#333333", anchor="ma", font=FONT)
    return strip


POINTS = read_points()
FONT = ImageFont.load_default(size=13)


def main() -> None:
    """Write the picture to the path on the command line."""
    colors = 0.7 * np.array(plt.get_cmap("tab10").colors) + 0.3  # A little paler.
    strips = [draw_class(name, colors[number % len(colors)]) for number, name in enumerate(SAMPLE_SHAPES_CLASSES)]
    width, height = strips[0].width + GAP, strips[0].height + GAP
    num_rows = -(-len(strips) // CLASSES_PER_ROW)
    sheet = Image.new("RGB", (CLASSES_PER_ROW * width - GAP, num_rows * height - GAP), "white")
    for number, strip in enumerate(strips):
        sheet.paste(strip, (number % CLASSES_PER_ROW * width, number // CLASSES_PER_ROW * height))
    sheet.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
