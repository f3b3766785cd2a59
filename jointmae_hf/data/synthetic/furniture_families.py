"""Random furniture: one function per family, which returns triangle soups by part name.

Lengths are relative, y points up and the front faces positive z. Every function draws style, proportions and
optional parts from its generator.
"""

import numpy as np

from .primitives import Parts, boxes, ellipsoid, fin, loft, revolve, shift
from .solids import arc, rods, tube


def _corners(half_x: float, half_z: float, height: float) -> np.ndarray:
    """Return the four corners of a horizontal rectangle, (4, 3)."""
    return np.array([(x, height, z) for x in (-half_x, half_x) for z in (-half_z, half_z)])


def _legs(rng: np.random.Generator, half_x: float, half_z: float, height: float) -> np.ndarray:
    """Build four legs under a rectangle at `height`: square posts, splayed rods, or runners."""
    style = rng.integers(4)
    width = rng.uniform(0.05, 0.11)
    half_x, half_z = half_x - 0.6 * width, half_z - 0.6 * width
    if style == 0:
        return boxes(_corners(half_x, half_z, 0.5 * height), (width, height, width))
    if style == 1:
        splay = rng.uniform(0.9, 1.25)
        top = _corners(0.85 * half_x, 0.85 * half_z, height)
        return rods(top, _corners(splay * half_x, splay * half_z, 0.0), 0.55 * width, 0.35 * width)
    if style == 2:
        return rods(_corners(half_x, half_z, height), _corners(half_x, half_z, 0.0), 0.6 * width)
    posts = boxes(_corners(half_x, half_z, 0.5 * height), (width, height, width))
    runners = boxes([(-half_x, 0.03, 0.0), (half_x, 0.03, 0.0)], (width, 0.06, 2.0 * half_z))
    return np.concatenate([posts, runners])


def _pedestal(rng: np.random.Generator, radius: float, height: float) -> np.ndarray:
    """Build one column on a disc, a bell or a star of feet."""
    column = rng.uniform(0.04, 0.09)
    style = rng.integers(3)
    if style == 0:
        return revolve([radius, radius, column, column], [0.0, 0.05, 0.06, height])
    if style == 1:
        return revolve([radius, 0.5 * radius, 1.2 * column, column], [0.0, 0.1 * height, 0.3 * height, height])
    angles = 2.0 * np.pi * np.arange(5) / 5
    feet = np.stack([radius * np.sin(angles), np.full(5, 0.03), radius * np.cos(angles)], axis=1)
    star = rods((0.0, 0.14 * height + 0.03, 0.0), feet, 0.04, 0.03)
    return np.concatenate([star, revolve([column, column], [0.1 * height, height])])


def build_table(rng: np.random.Generator) -> Parts:
    """Build a rectangular, square or round top on legs, a pedestal or side panels."""
    half_x, half_z = rng.uniform(0.45, 0.95), rng.uniform(0.35, 0.6)
    height, thickness = rng.uniform(0.4, 0.9), rng.uniform(0.04, 0.1)
    top_height = height + 0.5 * thickness
    style = rng.integers(4)
    if style < 2:
        top = boxes((0.0, top_height, 0.0), (2.0 * half_x, thickness, 2.0 * half_z))
    else:
        squareness = 0.0 if style == 2 else 0.6
        top = revolve([half_z] * 2, [height, height + thickness], flatten=half_x / half_z, squareness=squareness)
    if style == 1:
        leg = boxes([(x * half_x * 0.9, 0.5 * height, 0.0) for x in (-1, 1)], (0.06, height, 1.8 * half_z))
    elif style == 2 and rng.random() < 0.7:
        leg = _pedestal(rng, 0.7 * half_z, height)
    else:
        shrink = 0.7 if style == 2 else 0.95
        leg = _legs(rng, shrink * (half_z if style == 3 else half_x), shrink * half_z, height)
    parts: Parts = {"top": [top], "leg": [leg]}
    if style < 2 and rng.random() < 0.5:
        shelf_height = rng.uniform(0.25, 0.6) * height
        parts["shelf"] = [boxes((0.0, shelf_height, 0.0), (1.7 * half_x, 0.04, 1.7 * half_z))]
    return parts


def _chair_back(rng: np.random.Generator, half_x: float, depth: float, seat: float, height: float) -> list[np.ndarray]:
    """Build a leaning panel, vertical bars or horizontal rungs between two posts."""
    lean = rng.uniform(0.0, 0.25)
    foot = np.array([0.0, seat, -depth])
    head = shift(foot, (0.0, height, -lean * height))
    style = rng.integers(4)
    if style == 0:
        return [fin(foot, head, 2.0 * half_x, rng.uniform(1.2, 2.0) * half_x, 0.08, 0, 2)]
    if style == 1:
        heights = np.linspace(0.0, height, 7)
        widths = half_x * np.array([0.8, 0.95, 1.0, 1.0, 0.95, 0.8, 0.45])
        rings = np.zeros((7, 4, 3)) + foot
        rings[..., 0] += widths[:, None] * (-1.0, 1.0, 1.0, -1.0)
        rings[..., 1] += heights[:, None]
        rings[..., 2] += (-lean * heights)[:, None] + np.array([-0.03, -0.03, 0.03, 0.03])
        return [loft(rings)]
    post = np.array([half_x * 0.95, 0.0, 0.0])
    posts = rods([foot - post, foot + post], [head - post, head + post], 0.04)
    if style == 2:
        offsets = np.linspace(-0.6, 0.6, rng.integers(3, 6))[:, None] * post
        rail = rods(head - post, head + post, 0.05)
        return [posts, rail, rods(foot + offsets, head + offsets, 0.025)]
    levels = np.linspace(0.35, 0.95, rng.integers(2, 5))[:, None]
    rungs = foot + levels * (head - foot)
    return [posts, boxes(rungs, (1.9 * half_x, 0.1, 0.04))]


def build_chair(rng: np.random.Generator) -> Parts:
    """Build a seat on legs or a swivel foot, with four kinds of back and optional arms."""
    half_x, half_z = rng.uniform(0.35, 0.5), rng.uniform(0.35, 0.5)
    seat, thickness, back = rng.uniform(0.4, 0.75), rng.uniform(0.05, 0.14), rng.uniform(0.5, 1.0)
    if rng.random() < 0.6:
        plate = boxes((0.0, seat, 0.0), (2.0 * half_x, thickness, 2.0 * half_z))
    else:
        plate = revolve([half_z] * 2, [seat - 0.5 * thickness, seat + 0.5 * thickness], flatten=half_x / half_z)
    under = seat - 0.5 * thickness
    leg = _pedestal(rng, 0.9 * half_x, under) if rng.random() < 0.3 else _legs(rng, half_x, half_z, under)
    parts: Parts = {
        "seat": [plate],
        "back": _chair_back(rng, half_x, half_z - 0.04, seat, back),
        "leg": [leg],
    }
    if rng.random() < 0.5:
        rise, sides = rng.uniform(0.22, 0.36), np.array([[-half_x, 0.0, 0.0], [half_x, 0.0, 0.0]])
        front = shift(sides, (0.0, seat, rng.uniform(0.3, 0.9) * half_z))
        rest = boxes(shift(sides, (0.0, seat + rise, 0.0)), (0.09, 0.05, 1.8 * half_z))
        parts["arm"] = [rest, rods(front, shift(front, (0.0, rise, 0.0)), 0.03)]
    return parts


def build_stool(rng: np.random.Generator) -> Parts:
    """Build a small seat without a back on three legs, four legs or one column, with an optional foot ring."""
    radius, height, thickness = rng.uniform(0.28, 0.45), rng.uniform(0.5, 1.1), rng.uniform(0.06, 0.16)
    squareness = 0.7 if rng.random() < 0.35 else 0.0
    dome = rng.uniform(0.7, 1.0)
    seat = revolve([radius, radius, dome * radius], [height, height + 0.6 * thickness, height + thickness])
    if squareness:
        seat = revolve([radius] * 2, [height, height + thickness], squareness=squareness)
    parts: Parts = {"seat": [seat]}
    if rng.random() < 0.3:
        parts["leg"] = [_pedestal(rng, 0.85 * radius, height)]
        return parts
    count = 3 if rng.random() < 0.4 else 4
    angles = 2.0 * np.pi * (np.arange(count) + 0.5) / count
    around = np.stack([np.sin(angles), np.zeros(count), np.cos(angles)], axis=1)
    spread = rng.uniform(0.8, 1.2) * radius
    top, bottom = shift(0.7 * radius * around, (0.0, height, 0.0)), spread * around
    parts["leg"] = [rods(top, bottom, 0.05, 0.04)]
    if rng.random() < 0.6:
        knots = bottom + rng.uniform(0.25, 0.45) * (top - bottom)
        parts["ring"] = [rods(knots, np.roll(knots, 1, axis=0), 0.03)]
    return parts


def build_bed(rng: np.random.Generator) -> Parts:
    """Build a mattress on a frame with a headboard, one or two pillows and an optional footboard."""
    half_x, half_z, base = rng.uniform(0.4, 0.8), rng.uniform(0.9, 1.05), rng.uniform(0.15, 0.4)
    thick = rng.uniform(0.15, 0.3)
    top = base + thick
    mattress = boxes((0.0, base + 0.5 * thick, 0.0), (2.0 * half_x, thick, 2.0 * half_z))
    head = top + rng.uniform(0.15, 0.6)
    if rng.random() < 0.6:
        board = [boxes((0.0, 0.5 * head, -half_z - 0.04), (2.0 * half_x + 0.1, head, 0.08))]
    else:
        bars = shift(np.linspace(-half_x, half_x, 7)[:, None] * (1.0, 0.0, 0.0), (0.0, 0.0, -half_z - 0.04))
        board = [rods(bars, shift(bars, (0.0, head, 0.0)), 0.035)]
        board.append(boxes((0.0, head, -half_z - 0.04), (2.0 * half_x + 0.1, 0.08, 0.08)))
    if rng.random() < 0.5:
        foot = top + rng.uniform(0.0, 0.3)
        board.append(boxes((0.0, 0.5 * foot, half_z + 0.04), (2.0 * half_x + 0.1, foot, 0.08)))
    width = 0.8 * half_x if half_x > 0.55 else 1.3 * half_x
    offsets = (-0.5, 0.5) if half_x > 0.55 else (0.0,)
    size = (0.5 * width, rng.uniform(0.07, 0.12), rng.uniform(0.16, 0.24))
    pillow = [ellipsoid((2.0 * x * half_x * 0.5, top + size[1], size[2] - half_z + 0.05), size, 0.5) for x in offsets]
    leg = boxes(_corners(half_x - 0.07, half_z - 0.07, 0.5 * base), (0.12, base, 0.12))
    return {"mattress": [mattress], "board": board, "leg": [leg], "pillow": pillow}


def build_sofa(rng: np.random.Generator) -> Parts:
    """Build one to three cushions, a back, two arms (round or square) or one, and short feet or none."""
    count = rng.integers(1, 4)
    cushion, half_z = rng.uniform(0.5, 0.62), rng.uniform(0.38, 0.5)
    half_x, seat, height = 0.5 * count * cushion, rng.uniform(0.32, 0.45), rng.uniform(0.35, 0.6)
    lift = 0.12 if rng.random() < 0.6 else 0.0
    centers = (np.arange(count) - 0.5 * (count - 1))[:, None] * (cushion, 0.0, 0.0)
    base = boxes((0.0, 0.5 * (seat + lift) - 0.06, 0.0), (2.0 * half_x, seat - lift - 0.12, 2.0 * half_z))
    seats = boxes(shift(centers, (0.0, seat - 0.05, 0.04)), (0.96 * cushion, 0.14, 2.0 * half_z))
    lean = rng.uniform(0.0, 0.2)
    back = fin((0.0, lift, -half_z), (0.0, seat + height, -half_z - lean), 2.0 * half_x, 2.0 * half_x, 0.24, 0, 2)
    rise, width = seat + rng.uniform(0.12, 0.3), rng.uniform(0.12, 0.24)
    arms = (-1, 1) if rng.random() < 0.8 else (-1,)
    at = np.array([(side * (half_x + 0.5 * width), 0.5 * (rise + lift), 0.0) for side in arms])
    arm = [boxes(at, (width, rise - lift, 2.0 * half_z + 0.1))]
    if rng.random() < 0.4:
        ends = shift(at, (0.0, 0.5 * (rise - lift), half_z + 0.06))
        arm.append(rods(shift(ends, (0.0, 0.0, -2.0 * half_z)), ends, 0.62 * width))
    parts: Parts = {"seat": [base, seats], "back": [back], "arm": arm}
    if lift:
        parts["leg"] = [boxes(_corners(half_x - 0.05, half_z - 0.06, 0.5 * lift), (0.1, lift, 0.1))]
    return parts


def build_bookshelf(rng: np.random.Generator) -> Parts:
    """Build an open case of two to five shelves, with or without a rear wall, and rows of books on some of them."""
    half_x, half_z, height = rng.uniform(0.3, 0.7), rng.uniform(0.14, 0.26), rng.uniform(0.9, 1.8)
    walls = boxes([(-half_x, 0.5 * height, 0.0), (half_x, 0.5 * height, 0.0)], (0.05, height, 2.0 * half_z))
    lids = boxes([(0.0, 0.02, 0.0), (0.0, height, 0.0)], (2.0 * half_x, 0.05, 2.0 * half_z))
    frame = [walls, lids]
    if rng.random() < 0.6:
        frame.append(boxes((0.0, 0.5 * height, -half_z), (2.0 * half_x, height, 0.03)))
    count = rng.integers(2, 6)
    levels = np.linspace(0.0, height, count + 1)
    shelf = boxes(levels[1:-1, None] * (0.0, 1.0, 0.0), (2.0 * half_x, 0.04, 2.0 * half_z))
    parts: Parts = {"frame": frame, "shelf": [shelf], "book": []}
    for level in levels[:-1][rng.random(count) < 0.6]:
        widths = rng.uniform(0.04, 0.1, size=rng.integers(3, 9))
        right = np.cumsum(widths) - half_x + 0.04
        kept = right < half_x - 0.04
        tall = rng.uniform(0.5, 0.85, size=len(widths)) * height / count
        centers = np.stack([right - 0.5 * widths, level + 0.03 + 0.5 * tall, np.full_like(tall, 0.02)], axis=1)
        sizes = np.stack([0.9 * widths, tall, np.full_like(tall, 1.4 * half_z)], axis=1)
        parts["book"].append(boxes(centers[kept], sizes[kept]))
    return parts


def build_lamp(rng: np.random.Generator) -> Parts:
    """Build a table, floor or desk lamp: base, straight, bent or jointed pole, and an open shade."""
    radius, height = rng.uniform(0.18, 0.36), rng.uniform(0.7, 1.6)
    bulge = rng.uniform(0.05, 0.3)
    if rng.random() < 0.5:
        base = revolve([radius, radius, 0.06], [0.0, 0.04, 0.08], squareness=0.8 if rng.random() < 0.3 else 0.0)
    else:
        base = revolve(
            [0.6 * radius, bulge + 0.05, 0.6 * bulge, 0.04], [0.0, 0.12 * height, 0.3 * height, 0.4 * height]
        )
    narrow, wide, tall = rng.uniform(0.08, 0.25), rng.uniform(0.25, 0.45), rng.uniform(0.22, 0.45)
    steps = np.array([0.0, 0.35, 0.7, 1.0])
    round_shade = wide * np.sqrt(1.0 - (0.97 * steps) ** 2)
    outline = round_shade if rng.random() < 0.35 else wide + (narrow - wide) * steps
    shade = revolve(outline, tall * steps, capped=False)
    style = rng.integers(3)
    if style == 0:
        pole = [rods((0.0, 0.05, 0.0), (0.0, height, 0.0), 0.03)]
        return {"base": [base], "pole": pole, "shade": [shift(shade, (0.0, height - 0.5 * tall, 0.0))]}
    if style == 1:
        reach = rng.uniform(0.35, 0.7)
        bend = arc((0.5 * reach, height), (0.5 * reach, 0.4), np.pi, 0.15)
        pole = [rods((0.0, 0.05, 0.0), (0.0, height, 0.0), 0.03), tube(bend, 0.03, (0.0, 0.0, 1.0))]
        return {"base": [base], "pole": pole, "shade": [shift(shade, (reach, height - 0.6 * tall, 0.0))]}
    elbow = np.array([-rng.uniform(0.1, 0.4), 0.6 * height, 0.0])
    wrist = shift(elbow, (rng.uniform(0.4, 0.7), rng.uniform(0.2, 0.5), 0.0))
    pole = [rods([np.array([0.0, 0.05, 0.0]), elbow], [elbow, wrist], 0.035)]
    return {"base": [base], "pole": pole, "shade": [shift(0.7 * shade, (wrist[0], wrist[1] - 0.6 * tall, 0.0))]}
