"""Depth projection: camera poses, pinhole projection, soft and hard depth maps, pixel to patch index.

`docs/coordinates.md` defines axes, units and the camera.
"""

import math
from typing import Any

import torch
from torch import Tensor


SOFT_POWER = 12
"""Exponent of the soft visibility `(near / depth) ** power`; with infinity it would be a z-buffer."""

SOFT_COVERAGE = 0.05
"""Kernel weight at which a pixel counts as half covered."""


def view_from_angles(azimuth: Tensor, elevation: Tensor, distance: float) -> Tensor:
    """Compute poses of cameras that look at the origin, with the up axis (y) upward in the image.

    Args:
        azimuth (`torch.Tensor` of shape `(batch_size,)`):
            Radians about the up axis; 0 looks from +z, pi / 2 from +x.
        elevation (`torch.Tensor` of shape `(batch_size,)`):
            Radians above the horizontal plane.
        distance (`float`):
            From the camera to the origin, in radii of the cloud.

    Returns:
        `torch.Tensor` of shape `(batch_size, 3, 4)`: World-to-camera rotation and translation. Camera axes: x to the
        right, y down, z along the optical axis.
    """
    sin_a, cos_a, sin_e, cos_e = azimuth.sin(), azimuth.cos(), elevation.sin(), elevation.cos()
    zero = torch.zeros_like(azimuth)
    right = [cos_a, zero, -sin_a, zero]
    down = [sin_a * sin_e, -cos_e, cos_a * sin_e, zero]
    forward = [-sin_a * cos_e, -sin_e, -cos_a * cos_e, zero + distance]
    return torch.stack(right + down + forward, dim=-1).unflatten(-1, (3, 4))


def sample_views(noise: Tensor, distance: float, max_elevation: float) -> Tensor:
    """Map random numbers to views: azimuth over the full circle, elevation within a band around the horizon.

    Args:
        noise (`torch.Tensor` of shape `(batch_size, 2)`):
            Uniform random numbers in [0, 1) for azimuth and elevation.
        distance (`float`):
            From the camera to the origin, in radii of the cloud.
        max_elevation (`float`):
            Degrees above and below the horizontal plane.

    Returns:
        `torch.Tensor` of shape `(batch_size, 3, 4)`: Poses, see [`view_from_angles`].
    """
    azimuth = noise[:, 0] * (2 * math.pi)
    elevation = (noise[:, 1] * 2 - 1) * math.radians(max_elevation)
    return view_from_angles(azimuth, elevation, distance)


def rotate_views(view: Tensor, num_views: int) -> Tensor:
    """Rotate each pose about the up axis in equal steps of its azimuth, starting with the pose itself.

    Args:
        view (`torch.Tensor` of shape `(batch_size, 3, 4)`):
            World-to-camera poses.
        num_views (`int`):
            Number of poses; 4 gives rotations by 0, 90, 180 and 270 degrees (Table 8).

    Returns:
        `torch.Tensor` of shape `(batch_size, num_views, 3, 4)`: Poses.
    """
    angles = torch.arange(num_views, device=view.device, dtype=view.dtype) * (2 * math.pi / num_views)
    sin, cos = angles.sin()[:, None], angles.cos()[:, None]
    x, y, z, translation = (view[:, None, :, column] for column in range(4))  # each (batch_size, 1, 3)
    y, translation = y.expand(-1, num_views, -1), translation.expand(-1, num_views, -1)
    return torch.stack([cos * x + sin * z, y, cos * z - sin * x, translation], dim=-1)


def project_points(points: Tensor, view: Tensor, focal_length: float = 1.0) -> tuple[Tensor, Tensor]:
    """Project points onto the image plane of a pinhole camera.

    Points behind the camera get a depth of zero or less; the caller drops them. Source: Joint-MAE Sec. 3.1, Eq. 1;
    the paper leaves the camera open, see `docs/coordinates.md` for our choice.

    Args:
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            World coordinates, unit sphere.
        view (`torch.Tensor` of shape `(batch_size, 3, 4)`):
            World-to-camera rotation and translation, in units of `points`.
        focal_length (`float`, *optional*, defaults to 1.0):
            In half image widths, so 1.0 is a 90-degree field of view.

    Returns:
        `tuple[torch.Tensor, torch.Tensor]`: Image coordinates `(batch_size, num_points, 2)`, within [-1, 1] inside the
        frame, and depths `(batch_size, num_points)` along the optical axis.

    Raises:
        ValueError: If `points` does not end in a dimension of size 3.

    Example:
        >>> view = torch.tensor([[[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 2]]])
        >>> coordinates, depths = project_points(torch.tensor([[[1.0, 0.0, 0.0]]]), view)
        >>> coordinates.tolist(), depths.tolist()
        ([[[0.5, 0.0]]], [[2.0]])
    """
    if points.shape[-1] != 3:
        raise ValueError(f"`points` must end in a dimension of size 3, got shape {tuple(points.shape)}.")
    in_camera = _to_camera(points, view)
    depths = in_camera[..., 2]
    return focal_length * in_camera[..., :2] / depths[..., None], depths


def patch_index(points: Tensor, view: Tensor, focal_length: float, image_size: int, patch_size: int) -> Tensor:
    """Return the index of the image patch that each point is projected into.

    Source: Joint-MAE Sec. 3.3, "its 3D center point is projected onto the pixels within the 2D token".

    Args:
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            World coordinates, unit sphere.
        view (`torch.Tensor` of shape `(batch_size, 3, 4)`):
            World-to-camera poses.
        focal_length (`float`):
            In half image widths.
        image_size (`int`):
            Pixels of a side.
        patch_size (`int`):
            Pixels of a side of a patch.

    Returns:
        `torch.LongTensor` of shape `(batch_size, num_points)`: Row-major patch index, -1 outside the frame.
    """
    coordinates, depths = project_points(points.detach(), view, focal_length)
    num_patches = image_size // patch_size
    column_row = torch.floor((coordinates + 1) * (num_patches / 2))
    is_inside = ((column_row >= 0) & (column_row < num_patches)).all(dim=-1) & (depths > 0)
    column_row = column_row.clamp(0, num_patches - 1).to(torch.long)
    return torch.where(is_inside, column_row[..., 1] * num_patches + column_row[..., 0], -1)


def render_depth_maps(
    points: Tensor,
    views: Tensor,
    image_size: int,
    focal_length: float,
    camera_distance: float,
    mode: str = "soft",
    splat_radius: float = 2.5,
) -> Tensor:
    """Render depth maps of clouds in the unit sphere: Project() of Eq. 1 and Eq. 6.

    `soft` spreads each point over the pixels within `splat_radius` and averages closeness by a smooth visibility, so
    it has a gradient in x, y and z: `I = A * sum(w s c) / sum(w s)`, with kernel `w = (1 - d^2 / r^2)_+^2`, visibility
    `s = (near / z)^12`, closeness `c` and coverage `A = sum(w) / (sum(w) + 0.05)`. `zbuffer` keeps the nearest point
    of each pixel. `simpleview` is the projection that the paper cites (Goyal et al. 2021), exactly: the harmonic mean
    of raw depths in the nearest pixel; it has no gradient in x and y.

    Args:
        points (`torch.Tensor` of shape `(batch_size, num_points, 3)`):
            World coordinates, unit sphere.
        views (`torch.Tensor` of shape `(batch_size, num_views, 3, 4)`):
            World-to-camera poses.
        image_size (`int`):
            Pixels of a side.
        focal_length (`float`):
            In half image widths.
        camera_distance (`float`):
            From the camera to the origin; closeness is 1 at `camera_distance - 1` and 0 at `camera_distance + 1`.
        mode (`str`, *optional*, defaults to `"soft"`):
            `"soft"`, `"zbuffer"`, `"simpleview"`, or `"rendered"`, soft maps for [`render_colors`] (Table 8).
        splat_radius (`float`, *optional*, defaults to 2.5):
            In pixels; only for `soft` and `rendered`.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_views, image_size, image_size)`: Closeness in [0, 1] with background
        0; for `simpleview` depth in units of `points`, background 0.

    Raises:
        ValueError: If `mode` is unknown.
    """
    if mode not in ("soft", "zbuffer", "simpleview", "rendered"):
        raise ValueError(f'`mode` must be "soft", "zbuffer", "simpleview" or "rendered", got {mode!r}.')
    batch_size, num_views = views.shape[:2]
    num_points = points.shape[1]
    repeated = points[:, None].expand(-1, num_views, -1, -1).reshape(-1, num_points, 3)
    in_camera = _to_camera(repeated, views.reshape(-1, 3, 4))
    near, far = camera_distance - 1, camera_distance + 1
    is_visible = in_camera[..., 2] > near / 2  # points behind or too close to the camera are not drawn
    depths = torch.where(is_visible, in_camera[..., 2], far)
    # Coordinates within [-1, 1] inside the frame become pixels, whose centers are at integers.
    pixels = in_camera[..., :2] / depths[..., None] * (focal_length * image_size / 2) + (image_size - 1) / 2
    if mode in ("soft", "rendered"):
        maps = _splat_softly(pixels, depths, is_visible, image_size, near, far, splat_radius)
    elif mode == "zbuffer":
        maps = _keep_nearest(pixels, depths, is_visible, image_size, near, far)
    else:
        maps = _average_like_simpleview(pixels, depths, is_visible, image_size)
    return maps.reshape(batch_size, num_views, image_size, image_size)


def render_colors(depth_maps: Tensor) -> Tensor:
    """Color depth maps by a fixed, smooth color map: the "Render" column of Table 8.

    The paper does not describe its rendering. Ours is three raised cosines of closeness, black for the background,
    which is differentiable and has no parameters.

    Args:
        depth_maps (`torch.Tensor` of shape `(batch_size, num_views, height, width)`):
            Closeness in [0, 1], background 0.

    Returns:
        `torch.Tensor` of shape `(batch_size, num_views, 3, height, width)`: Red, green and blue in [0, 1].
    """
    phases = torch.arange(3, device=depth_maps.device, dtype=depth_maps.dtype).view(3, 1, 1) / 3
    closeness = depth_maps[:, :, None]
    waves = 0.5 - 0.5 * torch.cos(2 * math.pi * (closeness + phases))
    return waves * (closeness / (closeness + SOFT_COVERAGE))


def _to_camera(points: Tensor, view: Tensor) -> Tensor:
    """Camera coordinates, without a matrix product: under autocast it would move points by up to 0.8 pixels."""
    *axes, in_camera = view[:, None].unbind(dim=-1)
    for coordinate, axis in zip(points.unbind(dim=-1), axes, strict=True):
        in_camera = torch.addcmul(in_camera, coordinate[..., None], axis)
    return in_camera


def _splat_softly(
    pixels: Tensor, depths: Tensor, is_visible: Tensor, image_size: int, near: float, far: float, radius: float
) -> Tensor:
    """Soft depth maps `(num_maps, image_size ** 2)` from three sums over the taps around each point."""
    visibility = (depths / near) ** -SOFT_POWER
    closeness = ((far - depths) / (far - near)).clamp(0, 1)
    sums = _SoftSplat.apply(pixels, visibility, closeness, is_visible, image_size, radius)
    margin = _margin(radius)
    frame = sums[:, margin:-margin, margin:-margin].flatten(1, 2)
    coverage, weight, total = frame.unbind(dim=-1)
    mean = total / weight.masked_fill(weight == 0, 1)
    return coverage / (coverage + SOFT_COVERAGE) * mean


def _margin(radius: float) -> int:
    """Width of the border around the frame that catches taps outside it, so that no tap needs a check."""
    return 2 * math.ceil(radius - 0.5) + 1


def _taps_around(pixels: Tensor, is_visible: Tensor, image_size: int, radius: float) -> tuple[Tensor, Tensor, Tensor]:
    """Offsets, kernel and target pixel of every tap of the soft splat.

    Returns:
        Offsets `(num_maps, num_points, 2, num_taps)` from the point to the columns and to the rows of its taps, in
        pixels; the root of the kernel `(num_maps, num_points, num_taps, num_taps)`, 0 for points that are not visible;
        and the flat pixel index of each tap `(num_maps, num_points * num_taps ** 2)` on the canvas with margins.
    """
    reach, margin = math.ceil(radius - 0.5), _margin(radius)
    width = image_size + 2 * margin
    taps = torch.arange(-reach, reach + 1, device=pixels.device)
    # Clamping after the conversion turns NaN into a valid index.
    base = torch.round(pixels).to(torch.long).clamp(-reach - 1, image_size + reach)
    offsets = (base - pixels)[..., None] + taps
    squared = (offsets / radius) ** 2
    in_row = torch.where(is_visible[..., None], 1 - squared[:, :, 0], 0)
    root = torch.relu(in_row[:, :, None] - squared[:, :, 1, :, None])
    first = torch.add(base[..., 0], base[..., 1], alpha=width)
    steps = torch.add(taps + margin * (width + 1), taps[:, None], alpha=width).flatten()
    return offsets, root, (first[..., None] + steps).flatten(1)


class _SoftSplat(torch.autograd.Function):
    """Sums of kernel, kernel x visibility, and that x closeness: `(num_maps, width, width, 3)`, margins included.

    The gradient is written by hand: it gathers, which is deterministic, and it computes the taps again, so that no
    tensor of their size is kept between forward and backward.
    """

    @staticmethod
    def forward(
        pixels: Tensor, visibility: Tensor, closeness: Tensor, is_visible: Tensor, image_size: int, radius: float
    ) -> Tensor:
        _, root, targets = _taps_around(pixels, is_visible, image_size, radius)
        channels = torch.stack([torch.ones_like(visibility), visibility, visibility * closeness], dim=-1)
        values = (root * root)[..., None] * channels[:, :, None, None]
        width = image_size + 2 * _margin(radius)
        return _sum_into_pixels(values.flatten(1, 3), targets, width**2).unflatten(1, (width, width))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:4])
        ctx.image_size, ctx.radius = inputs[4:]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        pixels, visibility, closeness, is_visible = ctx.saved_tensors
        offsets, root, targets = _taps_around(pixels, is_visible, ctx.image_size, ctx.radius)
        maps = torch.arange(len(pixels), device=pixels.device)
        rows = torch.add(targets, maps[:, None], alpha=gradient[0, ..., 0].numel()).reshape(-1)
        of_kernel, of_weight, of_total = (
            gradient[..., channel].reshape(-1).index_select(0, rows).reshape(root.shape) for channel in range(3)
        )
        of_weight = torch.addcmul(of_weight, closeness[..., None, None], of_total)
        of_kernel = torch.addcmul(of_kernel, visibility[..., None, None], of_weight)
        slope = of_kernel * root
        moved = torch.stack([slope.sum(dim=-2), slope.sum(dim=-1)], dim=2)  # (num_maps, num_points, 2, num_taps)
        of_pixels = (4 / ctx.radius**2) * (moved * offsets).sum(dim=-1)
        kernel = root * root
        of_visibility = (kernel * of_weight).sum(dim=(-2, -1))
        of_closeness = visibility * (kernel * of_total).sum(dim=(-2, -1))
        return of_pixels, of_visibility, of_closeness, None, None, None


def _sum_into_pixels(values: Tensor, targets: Tensor, num_pixels: int) -> Tensor:
    """Sum rows `(num_maps, num_rows, num_channels)` into pixels `(num_maps, num_pixels, num_channels)`."""
    num_maps, _, num_channels = values.shape
    first_pixels = torch.arange(0, num_maps * num_pixels, num_pixels, device=targets.device)
    rows = (targets + first_pixels[:, None]).reshape(-1)
    sums = values.new_zeros(num_maps * num_pixels, num_channels)
    return sums.index_add(0, rows, values.reshape(-1, num_channels)).reshape(num_maps, num_pixels, num_channels)


def _flat_pixel(column_row: Tensor, is_visible: Tensor, image_size: int) -> tuple[Tensor, Tensor]:
    """Flat index of whole pixel coordinates `(num_maps, num_points, 2)`, and whether they are inside the frame."""
    is_inside = ((column_row >= 0) & (column_row < image_size)).all(dim=-1) & is_visible
    column_row = column_row.to(torch.long).clamp(0, image_size - 1)  # turns NaN into a valid index
    return column_row[..., 1] * image_size + column_row[..., 0], is_inside


def _keep_nearest(
    pixels: Tensor, depths: Tensor, is_visible: Tensor, image_size: int, near: float, far: float
) -> Tensor:
    """Closeness `(num_maps, image_size ** 2)` of the nearest point of each pixel."""
    targets, is_inside = _flat_pixel(torch.floor(pixels.detach() + 0.5), is_visible, image_size)
    closeness = ((far - depths) / (far - near)).clamp(0, 1) * is_inside
    maps = closeness.new_zeros(closeness.shape[0], image_size**2)
    return maps.scatter_reduce(1, targets, closeness, reduce="amax")


def _average_like_simpleview(pixels: Tensor, depths: Tensor, is_visible: Tensor, image_size: int) -> Tensor:
    """Harmonic mean depth `(num_maps, image_size ** 2)` of the points of each pixel."""
    # As in SimpleView, half a pixel off the nearest one: ceil(u - 0.5), where u counts pixels from the left edge.
    targets, is_inside = _flat_pixel(torch.ceil(pixels.detach()), is_visible, image_size)
    weights = is_inside / depths
    values = torch.stack([weights * depths, weights], dim=-1)
    total, weight = _sum_into_pixels(values, targets, image_size**2).unbind(dim=-1)
    return total / torch.where(weight > 0, weight, torch.ones_like(weight))
