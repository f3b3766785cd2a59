"""Random household objects: one function per family, which returns triangle soups by part name.

Lengths are relative, y points up and the front faces positive z.
"""

import numpy as np

from .primitives import Parts, boxes, ellipsoid, fin, loft, revolve, shift, slab
from .solids import arc, rods, tube


def _rotate_about_x(soup: np.ndarray, angle: float) -> np.ndarray:
    """Rotate a soup about the x axis; a positive angle tips what points up towards positive z."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return soup @ np.array([(1.0, 0.0, 0.0), (0.0, cosine, sine), (0.0, -sine, cosine)])


def build_bottle(rng: np.random.Generator) -> Parts:
    """Build a round, square or flat bottle with a sharp or sloping shoulder, a neck and an optional cap."""
    radius, height = rng.uniform(0.2, 0.36), rng.uniform(0.6, 1.0)
    neck, rise = rng.uniform(0.25, 0.5) * radius, rng.uniform(0.15, 0.5)
    slope, waist = rng.uniform(0.03, 0.35), rng.uniform(0.8, 1.0)
    flatten, squareness = rng.uniform(0.5, 1.0), 0.6 if rng.random() < 0.33 else 0.0
    shoulder = height + slope
    body = revolve(
        [0.9 * radius, radius, waist * radius, radius, 0.7 * radius + 0.3 * neck, neck],
        [0.0, 0.04, 0.5 * height, height, height + 0.7 * slope, shoulder],
        flatten=flatten,
        squareness=squareness,
    )
    lip = 1.25 * neck
    stem = revolve([neck, 0.9 * neck, 0.9 * neck, lip, lip], [0.0, 0.2 * rise, 0.85 * rise, 0.86 * rise, rise])
    parts: Parts = {"body": [body], "neck": [shift(stem, (0.0, shoulder, 0.0))]}
    if rng.random() < 0.6:
        top, cap = shoulder + rise, rng.uniform(0.08, 0.2)
        parts["cap"] = [revolve([1.35 * neck, 1.35 * neck, neck], [top - 0.03, top + 0.8 * cap, top + cap])]
    return parts


def build_vase(rng: np.random.Generator) -> Parts:
    """Build an open vessel with a random smooth profile, an optional foot and optional handles."""
    height, wall = rng.uniform(0.8, 1.3), 0.03
    steps = np.linspace(0.0, 1.0, 13)
    swell, waves, phase = rng.uniform(0.05, 0.2), rng.uniform(0.8, 1.9), rng.uniform(0.0, 2.0 * np.pi)
    radii = rng.uniform(0.24, 0.4) + swell * np.sin(phase + waves * np.pi * steps) + rng.uniform(-0.1, 0.15) * steps
    radii = np.maximum(radii, 0.08)
    squareness = 0.6 if rng.random() < 0.2 else 0.0
    inner = np.maximum(radii - wall, 0.02)
    profile = np.concatenate([radii, inner[::-1]])
    heights = np.concatenate([height * steps, np.maximum(height * steps, wall)[::-1]])
    parts: Parts = {"body": [revolve(profile, heights, squareness=squareness)]}
    if rng.random() < 0.5:
        drop, spread = rng.uniform(0.08, 0.25), rng.uniform(1.0, 1.6)
        parts["foot"] = [revolve([spread * radii[0], 0.6 * radii[0], radii[0]], [-drop, -0.5 * drop, 0.0])]
    if rng.random() < 0.4:
        edge, half = radii[7], rng.uniform(0.15, 0.25) * height
        loop = tube(arc((edge - 0.02, 7 / 12 * height), (0.2, half), -1.5, 1.5), 0.045, (0.0, 0.0, 1.0))
        parts["handle"] = [loop, loop * (-1.0, 1.0, 1.0)]
    return parts


def build_mug(rng: np.random.Generator) -> Parts:
    """Build a straight, tapered or bellied cup with a round, square or ear-shaped handle."""
    radius, height = rng.uniform(0.3, 0.45), rng.uniform(0.6, 1.0)
    steps = np.linspace(0.0, 1.0, 7)
    belly, taper = rng.uniform(-0.06, 0.1), rng.uniform(-0.08, 0.1)
    outer = radius + belly * np.sin(np.pi * steps) + taper * (steps - 0.5)
    profile = np.concatenate([outer, outer[::-1] - 0.04])
    body = revolve(profile, np.concatenate([height * steps, np.maximum(height * steps, 0.05)[::-1]]))
    middle, half = rng.uniform(0.45, 0.58) * height, rng.uniform(0.22, 0.36) * height
    edge, reach, bar = outer[3] - 0.02, rng.uniform(0.2, 0.34), rng.uniform(0.035, 0.06)
    style = rng.integers(3)
    if style == 0:
        handle = [tube(arc((edge, middle), (reach, half), -1.57, 1.57), bar, (0.0, 0.0, 1.0))]
    elif style == 1:
        far = edge + reach
        corners = np.array(
            [(edge, middle - half, 0), (far, middle - half, 0), (far, middle + half, 0), (edge, middle + half, 0)]
        )
        handle = [rods(corners[:-1], corners[1:], bar)]
    else:
        lower = arc((edge, middle), (reach, half), 0.4, 1.57)
        handle = [tube(np.concatenate([[(edge, middle - half, 0.0)], lower]), bar, (0.0, 0.0, 1.0))]
    return {"body": [body], "handle": handle}


def build_plant(rng: np.random.Generator) -> Parts:
    """Build a pot with bushy leaves, a small tree, or blades like a snake plant."""
    radius, height = rng.uniform(0.22, 0.36), rng.uniform(0.3, 0.5)
    pot = revolve(
        [rng.uniform(0.6, 1.0) * radius, radius, 0.9 * radius, 0.85 * radius],
        [0.0, height, height, 0.85 * height],
        squareness=0.7 if rng.random() < 0.3 else 0.0,
    )
    style, count = rng.integers(3), rng.integers(7, 14)
    turns, tilts = rng.uniform(0.0, 2.0 * np.pi, count), rng.uniform(0.25, 1.3, count)
    around = np.stack([np.sin(turns) * np.sin(tilts), np.cos(tilts), np.cos(turns) * np.sin(tilts)], axis=1)
    root = np.array([0.0, 0.85 * height, 0.0])
    if style == 0:
        joints = root + rng.uniform(0.2, 0.35) * around
        leaf = [_leaf(joint, way, rng.uniform(0.35, 0.6), 0.11) for joint, way in zip(joints, around, strict=True)]
        return {"pot": [pot], "stem": [rods(root, joints, 0.02)], "leaf": leaf}
    if style == 1:
        top = shift(root, (0.0, rng.uniform(0.4, 0.8), 0.0))
        knots = top + 0.22 * around
        leaf = [ellipsoid(knot, rng.uniform(0.12, 0.24, size=3)) for knot in knots]
        return {"pot": [pot], "stem": [rods(root, top, 0.05, 0.03), rods(top, knots, 0.025)], "leaf": leaf}
    ways = shift(around * (0.5, 1.0, 0.5), (0.0, 0.6, 0.0))
    leaf = [_leaf(root + 0.3 * radius * way, way, rng.uniform(0.5, 1.0), 0.07) for way in ways]
    return {"pot": [pot], "leaf": leaf}


def _leaf(start: np.ndarray, direction: np.ndarray, length: float, half_width: float) -> np.ndarray:
    """Build a flat, pointed leaf that droops towards its tip."""
    steps = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
    forward = direction / np.linalg.norm(direction)
    across = np.array([forward[2], 0.0, -forward[0]])
    across = across / max(np.linalg.norm(across), 1e-6)
    spine = start + length * steps[:, None] * forward - (0.3 * length * steps**2)[:, None] * (0.0, 1.0, 0.0)
    edge = (half_width * np.array([0.25, 0.9, 1.0, 0.7, 0.05]))[:, None] * across
    return loft(np.stack([spine - edge, spine + edge, spine + edge, spine - edge], axis=1), capped=False)


def build_laptop(rng: np.random.Generator) -> Parts:
    """Build a keyboard half and a screen half, opened by 70 to 170 degrees."""
    half_x, depth = rng.uniform(0.5, 0.75), rng.uniform(0.6, 0.9)
    thick, thin = rng.uniform(0.03, 0.09), rng.uniform(0.02, 0.05)
    keyboard = [boxes((0.0, 0.5 * thick, 0.5 * depth), (2.0 * half_x, thick, depth))]
    if rng.random() < 0.5:
        rows = [(0.0, thick + 0.01, share * depth) for share in (0.15, 0.27, 0.39, 0.51)]
        keyboard.append(boxes(rows, (1.7 * half_x, 0.02, 0.07 * depth)))
    screen = boxes((0.0, 0.5 * depth, 0.0), (2.0 * half_x, depth, thin))
    opening = np.radians(rng.uniform(70.0, 170.0))
    return {"keyboard": keyboard, "screen": [shift(_rotate_about_x(screen, 0.5 * np.pi - opening), (0.0, thick, 0.0))]}


def build_monitor(rng: np.random.Generator) -> Parts:
    """Build a flat or bulky screen on a neck with a plate, disc or two-legged foot."""
    half_x, tall, thin = rng.uniform(0.55, 0.95), rng.uniform(0.6, 0.95), rng.uniform(0.05, 0.14)
    lift = rng.uniform(0.15, 0.4)
    middle = lift + 0.5 * tall
    screen = [boxes((0.0, middle, 0.0), (2.0 * half_x, tall, thin))]
    if rng.random() < 0.3:
        front, rear = (0.0, middle, -0.5 * thin), (0.0, middle, -rng.uniform(0.4, 0.7))
        screen.append(fin(front, rear, 1.8 * half_x, 1.0 * half_x, 0.9 * tall, 0, 1))
    neck = [boxes((0.0, 0.5 * (lift + 0.1), -0.5 * thin), (rng.uniform(0.08, 0.3), lift + 0.1, 0.08))]
    reach = rng.uniform(0.18, 0.3)
    style = rng.integers(3)
    if style == 0:
        foot = [boxes((0.0, 0.02, 0.0), (rng.uniform(0.4, 0.9), 0.05, 2.0 * reach))]
    elif style == 1:
        foot = [revolve([1.2 * reach, 1.1 * reach], [0.0, 0.05], flatten=1.4)]
    else:
        spread = rng.uniform(0.3, 0.6)
        foot = [rods((0.0, 0.1, 0.0), [(x, 0.03, z) for x in (-spread, spread) for z in (-reach, reach)], 0.035)]
    return {"screen": screen, "neck": neck, "foot": foot}


def build_guitar(rng: np.random.Generator) -> Parts:
    """Build an acoustic, round or angular body, a neck and a head with pegs."""
    steps = np.linspace(0.0, 1.0, 15)
    size, height, depth = rng.uniform(0.34, 0.44), rng.uniform(0.75, 0.95), rng.uniform(0.04, 0.12)
    style = rng.integers(3)
    bowl = np.sqrt(np.maximum(1.0 - (2.0 * steps - 1.0) ** 2, 0.0))
    if style == 0:
        outline = bowl**0.7 * (1.0 - rng.uniform(0.25, 0.4) * np.exp(-(((steps - 0.6) / 0.14) ** 2)) - 0.2 * steps)
    elif style == 1:
        outline = bowl * (1.1 - 0.5 * steps)
    else:
        outline = np.interp(steps, [0.0, 0.05, 0.5, 1.0], [0.2, 1.0, 0.35, 0.15])
    body = slab(height * steps, size * outline + 0.01, -depth, depth)
    length, width = rng.uniform(0.6, 0.85), rng.uniform(0.05, 0.08)
    neck = boxes((0.0, height + 0.5 * length - 0.1, depth + 0.01), (2.0 * width, length + 0.2, 0.06))
    top = height + length
    head = fin(
        (0.0, top, depth), (0.0, top + rng.uniform(0.18, 0.28), depth - 0.05), 2.0 * width, 3.4 * width, 0.06, 0, 2
    )
    levels = top + np.array([0.05, 0.11, 0.17])
    pegs = rods(
        levels[:, None] * (0.0, 1.0, 0.0) + (-0.16, 0.0, depth),
        levels[:, None] * (0.0, 1.0, 0.0) + (0.16, 0.0, depth),
        0.018,
    )
    return {"body": [body], "neck": [neck], "head": [head, pegs]}


def build_knife(rng: np.random.Generator) -> Parts:
    """Build a kitchen, cleaver or dagger blade with a straight or bulged handle; it lies along y."""
    length, width = rng.uniform(0.9, 1.4), rng.uniform(0.09, 0.2)
    steps = np.linspace(0.0, 1.0, 9)
    style = rng.integers(3)
    outlines = (np.sqrt(1.0 - steps**2), np.where(steps < 0.95, 1.0, 0.8), 1.0 - steps**3)
    blade = slab(length * steps, width * outlines[style] + 0.002, -0.02, 0.02)
    if style < 2:
        # One straight edge: shear the symmetric outline to its side.
        blade[..., 0] += width * np.interp(blade[..., 1], length * steps, 1.0 - outlines[style])
    grip, half = rng.uniform(0.45, 0.7), rng.uniform(0.05, 0.09)
    swell = half * (1.0 + rng.uniform(0.0, 0.4) * np.sin(np.linspace(0.0, 3.0 * np.pi, 9)))
    handle = [slab(-grip * steps, swell, -0.05, 0.05)]
    if style == 2 or rng.random() < 0.3:
        handle.append(boxes((0.0, 0.0, 0.0), (2.0 * width + 0.12, 0.06, 0.1)))
    return {"blade": [blade], "handle": handle}


def build_earphone(rng: np.random.Generator) -> Parts:
    """Build headphones: a band over two cups, on-ear or over-ear, with an optional wire."""
    half_x, rise = rng.uniform(0.42, 0.55), rng.uniform(0.5, 0.75)
    flat = rng.uniform(0.03, 0.06)
    arch = arc((0.0, 0.1), (half_x, rise), 0.0, np.pi)
    band = tube(arch, flat, (0.0, 0.0, 1.0)) * (1.0, 1.0, rng.uniform(1.0, 2.5))
    radius, thick = rng.uniform(0.18, 0.3), rng.uniform(0.08, 0.16)
    profile = [0.5 * radius, radius, radius, 0.8 * radius]
    cup = revolve(profile, [-1.4 * thick, -thick, 0.4 * thick, thick], flatten=rng.uniform(0.75, 1.0), axis=0)
    cups = [shift(cup, (half_x, 0.0, 0.0)) * (side, 1.0, 1.0) for side in (-1, 1)]
    parts: Parts = {"band": [band], "cup": cups}
    if rng.random() < 0.5:
        start, drop = -radius, rng.uniform(0.5, 0.9)
        if rng.random() < 0.5:
            line = np.linspace(0.0, 1.0, 9)
            x = half_x - (half_x + 0.1) * line**2
            path = np.stack([x, start - drop * line, np.zeros(9)], axis=1)
            parts["wire"] = [tube(path, 0.025, (0.0, 0.0, 1.0))]
        else:
            ends, knot = [(half_x, start, 0.0), (-half_x, start, 0.0)], np.array([0.0, start - 0.5 * drop, 0.0])
            parts["wire"] = [rods(ends, knot, 0.025), rods(knot, knot - (0.0, 0.5 * drop, 0.0), 0.025)]
    return parts
