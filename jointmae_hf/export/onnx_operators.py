"""ONNX functions of our custom operators. Imported only when a model is exported, because it requires onnxscript."""

from onnxscript import FLOAT, INT64, graph, script
from onnxscript.onnx_opset import opset18 as op
from onnxscript.values import Opset


# onnxscript reads the annotations: which arguments are attributes, and that there is one output.
@script(Opset("jointmae_hf", 1), default_opset=op)
def farthest_point_sample(points: FLOAT[...], num_samples: int, start_index: INT64[...]) -> INT64[...]:
    """Pick points one by one, each the farthest from all previous picks.

    Equals [`~jointmae_hf.model.farthest_point_sampling.farthest_point_sample`], as one ONNX `Scan` over the picks.

    Args:
        points (`FLOAT[batch_size, num_points, 3]`):
            Coordinates.
        num_samples (`int`):
            Number of points to pick.
        start_index (`INT64[batch_size]`):
            First pick.

    Returns:
        `INT64[batch_size, num_samples]`: Rows of `points` in picking order.
    """
    infinity = op.CastLike(op.Constant(value_float=float("inf")), points)
    unseen = op.Expand(infinity, op.Shape(points, start=0, end=2))

    @graph()
    def pick(nearest, current, step):  # type: ignore[no-untyped-def]
        # Each point's squared distance to the nearest pick, and the point where it is largest.
        chosen = op.GatherND(points, op.Unsqueeze(current, [1]), batch_dims=1)
        offsets = op.Sub(points, op.Unsqueeze(chosen, [1]))
        x, y, z = op.Split(op.Mul(offsets, offsets), axis=2, num_outputs=3)
        distances = op.Squeeze(op.Add(op.Add(x, y), z), [2])
        nearer = op.Min(nearest, distances)
        following = op.ArgMax(nearer, axis=1, keepdims=0)
        return nearer, following, op.Identity(current)

    steps = op.Range(0, num_samples, 1)
    _nearest, _last, picks = op.Scan(unseen, start_index, steps, body=pick, num_scan_inputs=1)
    return op.Transpose(picks, perm=[1, 0])
