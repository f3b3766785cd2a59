"""Draw the first 64 shapes of `primitive_shapes`, one picture for the documentation.

```bash
python docs/provenance/draw_primitive_shapes.py docs/figures/primitive_shapes.png
```
"""

import sys

import numpy as np
from PIL import Image

from jointmae_hf.data import PrimitiveShapeDataset
from jointmae_hf.visualization.sphere_renderer import render_points


ROWS, COLUMNS, TILE = 8, 8, 132  # TILE in pixels.
COLORS = np.array(
    [
        (78, 121, 167),
        (242, 142, 43),
        (64, 145, 76),
        (225, 87, 89),
        (176, 122, 161),
        (95, 168, 163),
        (156, 117, 95),
        (222, 190, 62),
    ]
)


def main() -> None:
    """Write the picture to the path on the command line."""
    sheet = Image.new("RGB", (COLUMNS * TILE, ROWS * TILE), "white")
    for number, sample in enumerate(PrimitiveShapeDataset(ROWS * COLUMNS)):
        row, column = divmod(number, COLUMNS)
        picture = render_points(sample["points"], tuple(COLORS[column] / 255), size=TILE, supersampling=3)
        sheet.paste(Image.fromarray(picture), (column * TILE, row * TILE))
    sheet.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
