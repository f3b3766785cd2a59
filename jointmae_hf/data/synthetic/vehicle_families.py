"""Random vehicles: one function per family, which returns triangle soups by part name.

Lengths are relative, y points up and the nose faces positive z, that of the rocket positive y.
"""

import numpy as np

from .primitives import Parts, boxes, fin, loft, revolve, shift, slab
from .solids import rods


def _wheels(half_x: float, axles: tuple[float, ...], radius: float, width: float) -> np.ndarray:
    """Build pairs of wheels that stand on the ground, their axis along x."""
    profile = [0.55 * radius, radius, radius, 0.55 * radius]
    wheel = revolve(profile, [-0.5 * width, -0.35 * width, 0.35 * width, 0.5 * width], axis=0)
    return np.concatenate([shift(wheel, (side * half_x, radius, axle)) for side in (-1, 1) for axle in axles])


def build_airplane(rng: np.random.Generator) -> Parts:
    """Build a fuselage with straight, swept or delta wings, one of three tails, and jets, propellers or no engine."""
    length, radius = rng.uniform(0.85, 1.1), rng.uniform(0.08, 0.15)
    stations = np.array([-1.0, -0.75, -0.3, 0.55, 0.82, 0.95, 1.0]) * length
    widths = np.array([rng.uniform(0.1, 0.35), 0.6, 1.0, 1.0, 0.8, 0.45, 0.05]) * radius
    fuselage = revolve(widths, stations, flatten=rng.uniform(0.85, 1.2), axis=2)
    span, chord = rng.uniform(0.7, 1.15), rng.uniform(0.28, 0.5)
    sweep, taper = rng.uniform(0.0, 0.6) * span, rng.uniform(0.25, 0.8)
    if rng.random() < 0.2:
        span, chord, sweep, taper = 0.75 * span, 0.9, 0.55, 0.12
    height = rng.choice((-0.6, 0.0, 0.8)) * radius
    rise = rng.uniform(-0.02, 0.12)
    root_z = rng.uniform(-0.05, 0.25) - (0.3 if chord == 0.9 else 0.0)
    tips = [(side * span, height + rise, root_z - sweep) for side in (-1, 1)]
    wing = [fin((0.0, height, root_z), tip, chord, taper * chord, 0.06) for tip in tips]
    tail = _airplane_tail(rng, length, radius)
    parts: Parts = {"fuselage": [fuselage], "wing": wing, "tail": tail}
    engines = rng.integers(3)
    if engines == 1:
        where = rng.uniform(0.3, 0.45)
        pod = revolve([0.05, 0.075, 0.075, 0.04], [-0.16, -0.05, 0.12, 0.18], axis=2)
        spot = np.array([where * span, height + where * rise - 0.1, root_z - where * sweep + 0.35 * chord])
        parts["engine"] = [pod + spot * (side, 1.0, 1.0) for side in (-1, 1)]
    elif engines == 2:
        blades = (
            np.array([[0.3, 0.0], [-0.3, 0.0]]) if rng.random() < 0.5 else np.array([[0.26, 0.15], [-0.26, -0.15]])
        )
        hub = np.array([0.0, 0.0, length + 0.02])
        tips_of_blades = hub + np.concatenate([blades, np.zeros((2, 1))], axis=1)
        parts["engine"] = [
            rods(hub, tips_of_blades, 0.04),
            revolve([0.06, 0.01], [length - 0.05, length + 0.1], axis=2),
        ]
    return parts


def _airplane_tail(rng: np.random.Generator, length: float, radius: float) -> list[np.ndarray]:
    """Build a conventional tail, a T tail or a V tail."""
    height, width, chord = rng.uniform(0.28, 0.42), rng.uniform(0.28, 0.45), rng.uniform(0.18, 0.28)
    end = 0.12 - length
    style = rng.integers(3)
    if style == 2:
        return [fin((0, 0, end), (side * width, height, end - 0.12), chord, 0.6 * chord, 0.04) for side in (-1, 1)]
    upright = fin((0.0, 0.3 * radius, end), (0.0, height, end - 0.12), chord, 0.6 * chord, 0.04, 2, 0)
    level = height if style == 1 else 0.0
    sides = [fin((0, level, end), (side * width, level, end - 0.1), chord, 0.6 * chord, 0.04) for side in (-1, 1)]
    return [upright, *sides]


def build_car(rng: np.random.Generator) -> Parts:
    """Build a sedan, hatchback, van or pickup: body, cabin and four to six wheels."""
    half_x, half_z, radius = rng.uniform(0.36, 0.44), rng.uniform(0.85, 1.05), rng.uniform(0.15, 0.21)
    floor, belt = rng.uniform(0.1, 0.16), rng.uniform(0.4, 0.5)
    hood = rng.uniform(0.75, 0.95) * belt
    low, tail = np.array([floor, floor, floor]), rng.uniform(0.85, 1.0) * belt
    z = np.array([-half_z, -0.9 * half_z, -0.5 * half_z, 0.45 * half_z, 0.92 * half_z, half_z])
    upper = np.array([0.85 * tail, tail, belt, belt, hood, 0.75 * hood])
    rings = np.empty((6, 4, 3))
    rings[..., 0] = half_x * np.array([0.85, 1.0, 1.0, 1.0, 0.95, 0.8])[:, None] * (-1.0, 1.0, 1.0, -1.0)
    rings[:, :2, 1], rings[:, 2:, 1], rings[..., 2] = low[0], upper[:, None], z[:, None]
    # Rear foot, rear top, front top and front foot of the cabin, in half lengths of the car.
    styles = ((-0.75, -0.4, 0.1, 0.45), (-0.95, -0.8, 0.1, 0.5), (-0.98, -0.95, 0.55, 0.85), (-0.05, 0.0, 0.3, 0.55))
    rear_foot, rear_top, front_top, front_foot = np.array(styles[rng.integers(4)]) + rng.uniform(-0.04, 0.04, size=4)
    roof, narrow = belt + rng.uniform(0.24, 0.42), rng.uniform(0.72, 0.95)
    cabin = np.empty((2, 4, 3))
    cabin[..., 0] = half_x * np.array([[0.97], [narrow]]) * (-1.0, 1.0, 1.0, -1.0)
    cabin[..., 1] = np.array([[belt - 0.03], [roof]])
    cabin[0, :2, 2], cabin[0, 2:, 2] = max(rear_foot, -0.98) * half_z, front_foot * half_z
    cabin[1, :2, 2], cabin[1, 2:, 2] = max(rear_top, -0.98) * half_z, front_top * half_z
    axles: tuple[float, ...] = (-0.6 * half_z, 0.62 * half_z)
    if rng.random() < 0.12:
        axles = (-0.72 * half_z, -0.3 * half_z, 0.62 * half_z)
    wheel = _wheels(half_x - 0.02, axles, radius, rng.uniform(0.12, 0.18))
    return {"body": [loft(rings)], "cabin": [loft(cabin)], "wheel": [wheel]}


def build_rocket(rng: np.random.Generator) -> Parts:
    """Build a body with a conical or rounded nose, three to five fins, and optional side boosters."""
    radius, height, nose = rng.uniform(0.12, 0.24), rng.uniform(0.9, 1.5), rng.uniform(0.25, 0.6)
    waist = rng.uniform(0.8, 1.15)
    body = [revolve([0.8 * radius, radius, waist * radius, radius], [0.0, 0.1, 0.5 * height, height])]
    steps = np.linspace(0.0, 1.0, 7)
    profile = 1.0 - steps if rng.random() < 0.5 else np.sqrt(1.0 - steps**2)
    tip = revolve(radius * profile, height + nose * steps)
    count = rng.integers(3, 6)
    reach, chord, drop = rng.uniform(0.2, 0.4), rng.uniform(0.25, 0.5), rng.uniform(0.0, 0.3)
    blade = fin(
        (0.8 * radius, 0.5 * chord, 0.0), (radius + reach, 0.3 * chord - drop, 0.0), chord, 0.5 * chord, 0.05, 1, 2
    )
    angles = 2.0 * np.pi * np.arange(count) / count
    turns = np.array([[(np.cos(a), 0, np.sin(a)), (0, 1, 0), (-np.sin(a), 0, np.cos(a))] for a in angles])
    if rng.random() < 0.35:
        booster = revolve([0.5 * radius, 0.5 * radius, 0.02], [0.0, 0.6 * height, 0.75 * height])
        body += [shift(booster, (side * 1.5 * radius, 0.0, 0.0)) for side in (-1, 1)]
    return {"body": body, "nose": [tip], "fin": [blade @ turn for turn in turns]}


def build_skateboard(rng: np.random.Generator) -> Parts:
    """Build a deck with kicked ends or flat, popsicle or pointed outline, on two trucks and four wheels."""
    half_z, half_x, radius = rng.uniform(0.8, 1.05), rng.uniform(0.18, 0.28), rng.uniform(0.06, 0.11)
    steps = np.linspace(-1.0, 1.0, 17)
    pointed = rng.uniform(0.0, 0.5)
    outline = (
        half_x * np.sqrt(1.0 - np.abs(steps) ** rng.uniform(5.0, 12.0)) * (1.0 - pointed * np.maximum(steps, 0.0))
    )
    kick = rng.uniform(0.0, 0.3) * np.maximum(np.abs(steps) - 0.65, 0.0) / 0.35
    deck_height = 2.0 * radius + rng.uniform(0.04, 0.1)
    surface = deck_height + kick
    # The slab lies in x and y; swapping y and z puts it flat.
    deck = slab(half_z * steps, outline + 0.01, surface, surface + 0.04)[..., [0, 2, 1]]
    axle = rng.uniform(0.5, 0.62) * half_z
    track = rng.uniform(0.75, 0.95) * half_x
    hangers = boxes([(0.0, radius, -axle), (0.0, radius, axle)], (2.0 * track, 0.06, 0.08))
    mounts = fin((0.0, radius, 0.0), (0.0, deck_height, 0.0), 0.12, 0.2, 0.12, 2, 0)
    truck = [hangers, shift(mounts, (0.0, 0.0, -axle)), shift(mounts, (0.0, 0.0, axle))]
    wheel = _wheels(track, (-axle, axle), radius, rng.uniform(0.08, 0.13))
    return {"deck": [deck], "truck": truck, "wheel": [wheel]}
