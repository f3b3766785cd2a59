import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from jointmae_hf.model import farthest_point_sampling
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample, farthest_start_index


def naive_farthest_points(points, num_samples, start):
    """One cloud in float64, one pick after the other."""
    picks, nearest = [start], np.full(len(points), np.inf)
    while len(picks) < num_samples:
        nearest = np.minimum(nearest, ((points - points[picks[-1]]) ** 2).sum(axis=1))
        picks.append(int(nearest.argmax()))
    return picks


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_farthest_point_sample_equals_naive_loop(make_cloud, seed):
    points = make_cloud(2, 2048, seed)
    starts = farthest_start_index(points).tolist()
    expected = [
        naive_farthest_points(cloud, 256, start) for cloud, start in zip(points.double().numpy(), starts, strict=True)
    ]
    assert farthest_point_sample(points, 256).tolist() == expected


def test_farthest_start_index_is_the_point_farthest_from_the_centroid():
    points = torch.tensor([[[0.0, 0, 0], [1.0, 0, 0], [0.0, 5, 0]]])
    assert farthest_start_index(points).tolist() == [2]


def test_farthest_point_sample_of_fewer_is_a_prefix(make_cloud):
    points = make_cloud(3, 500)
    assert torch.equal(farthest_point_sample(points, 128)[:, :32], farthest_point_sample(points, 32))


def test_farthest_point_sample_begins_at_start_index(make_cloud):
    points, start = make_cloud(3, 100), torch.tensor([5, 0, 99])
    assert torch.equal(farthest_point_sample(points, 4, start)[:, 0], start)


def test_farthest_point_sample_of_all_points_is_a_permutation(make_cloud):
    assert farthest_point_sample(make_cloud(1, 50), 50)[0].sort().values.tolist() == list(range(50))


def test_farthest_point_sample_picks_the_same_points_in_any_order(make_cloud):
    points, order = make_cloud(2, 300), torch.randperm(300)
    indices = farthest_point_sample(points, 64)
    assert torch.equal(order[farthest_point_sample(points[:, order], 64)], indices)


def test_farthest_point_sample_is_the_same_under_autocast(make_cloud):
    points = make_cloud(2, 300)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        indices = farthest_point_sample(points, 64)
    assert torch.equal(indices, farthest_point_sample(points, 64))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_farthest_point_sample_works_in_float32_when_points_are_shorter(make_cloud, dtype):
    points = make_cloud(2, 300).to(dtype)
    assert torch.equal(farthest_point_sample(points, 64), farthest_point_sample(points.float(), 64))


def test_farthest_point_sample_treats_each_cloud_alone(make_cloud):
    points = make_cloud(3, 100)
    assert torch.equal(farthest_point_sample(points, 16)[1:2], farthest_point_sample(points[1:2], 16))


def test_farthest_point_sample_accepts_a_cloud_of_equal_points():
    assert farthest_point_sample(torch.ones(1, 8, 3), 4).tolist() == [[0, 0, 0, 0]]


def test_farthest_point_sample_accepts_points_that_require_gradient(make_cloud):
    assert not farthest_point_sample(make_cloud().requires_grad_(), 4).is_floating_point()


@pytest.mark.parametrize("num_samples", [0, 65])
def test_farthest_point_sample_refuses_a_count_outside_the_cloud(unit_sphere_cloud, num_samples):
    with pytest.raises(ValueError, match=rf"`num_samples` must be in \[1, num_points\], got {num_samples} for 64"):
        farthest_point_sample(unit_sphere_cloud, num_samples)


def test_farthest_point_sample_refuses_points_of_another_shape():
    with pytest.raises(ValueError, match=r"`points` must have shape .* got \(64, 3\)"):
        farthest_point_sample(torch.zeros(64, 3), 4)


def test_operator_passes_opcheck(unit_sphere_cloud):
    operator = torch.ops.jointmae.farthest_point_sample.default
    torch.library.opcheck(operator, (unit_sphere_cloud, 8, torch.zeros(2, dtype=torch.long)))


def test_farthest_point_sample_compiles_to_one_graph(unit_sphere_cloud, fresh_compiler):
    compiled = torch.compile(farthest_point_sample, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(unit_sphere_cloud, 8), farthest_point_sample(unit_sphere_cloud, 8))


def test_farthest_point_sample_exports_without_unrolling(make_cloud):
    class Sampler(torch.nn.Module):
        def forward(self, points):
            return farthest_point_sample(points, 256)

    program = torch.export.export(Sampler(), (make_cloud(1, 512),))
    assert len(program.graph.nodes) < 20


def test_operator_may_be_registered_twice(unit_sphere_cloud):
    """Remote code is imported a second time under another name, next to the installed package."""
    spec = importlib.util.spec_from_file_location("remote_copy", farthest_point_sampling.__file__)
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    indices = copy.farthest_point_sample(unit_sphere_cloud, 8)
    assert torch.equal(indices, farthest_point_sample(unit_sphere_cloud, 8))


COMPARE_WITH_LOOP = """
import torch
from jointmae_hf.model import farthest_point_sampling as fps

points = torch.rand(3, 300, 3, generator=torch.Generator().manual_seed(0))
start = torch.tensor([0, 7, 299])
assert torch.equal(fps._sample_with_triton(points, 64, start), fps._sample_with_loop(points, 64, start))
"""


def test_triton_kernel_equals_the_loop_when_interpreted():
    reason = "Triton comes with CUDA builds of torch only, and before 3.7 its interpreter does not go with numpy 2.4"
    pytest.importorskip("triton", minversion="3.7", reason=reason)
    command = [sys.executable, "-c", COMPARE_WITH_LOOP]
    subprocess.run(command, check=True, env={**os.environ, "TRITON_INTERPRET": "1"})


def test_triton_kernel_compiles_for_hopper():
    triton = pytest.importorskip("triton", reason="Triton comes with CUDA builds of torch only")
    compiler = importlib.import_module("triton.backends.compiler")
    pointers = {"points_ptr": "*fp32", "start_ptr": "*i64", "indices_ptr": "*i64"}
    signature = {**pointers, "num_points": "i32", "num_samples": "i32", "block_size": "constexpr"}
    kernel = farthest_point_sampling._triton_kernel()
    source = triton.compiler.ASTSource(kernel, signature, constexprs={"block_size": 2048})
    compiled = triton.compile(source, target=compiler.GPUTarget("cuda", 90, 32), options={"num_warps": 8})
    assert len(compiled.asm["cubin"]) > 0
