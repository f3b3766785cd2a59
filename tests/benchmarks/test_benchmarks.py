"""Every benchmark at a tiny size: it runs, measures and writes."""

import json

import pytest
import torch

from benchmarks import (
    bm_chamfer_distance,
    bm_classification_latency,
    bm_compilation,
    bm_farthest_point_sampling,
    bm_launches,
    bm_neighbors,
    bm_primitive_shapes,
    bm_projection,
    bm_readers,
    bm_shape_search,
    bm_step_parts,
    bm_streaming,
    bm_training_step,
    numerics,
)
from benchmarks.bm_launches import PlainTrainer
from benchmarks.clouds import make_clouds
from benchmarks.matrix_products import MatrixProducts
from benchmarks.operator_shares import kind_of, operator_shares
from jointmae_hf.model.farthest_point_sampling import farthest_point_sample


STEP = ["--batch_size=2", "--num_points=256", "--num_layers=1", "--image_size=32", "--num_rounds=1"]


def run(benchmark, subject, flags, output_dir):
    benchmark.main([*flags, "--output_dir", str(output_dir)])
    content = json.loads((output_dir / f"{subject}.json").read_text(encoding="utf-8"))
    assert all(rate > 0 for measurement in content["measurements"] for rate in measurement["rates"])
    return [measurement["name"] for measurement in content["measurements"]]


def test_farthest_point_sampling_is_measured(tmp_path):
    flags = ["--batch_size=2", "--num_points=64", "--num_samples=8", "--num_rounds=1"]
    assert len(run(bm_farthest_point_sampling, "farthest_point_sampling", flags, tmp_path)) == 3


def test_textbook_loop_picks_what_ours_picks():
    points = make_clouds(3, 128)
    expected = farthest_point_sample(points, 16, torch.zeros(3, dtype=torch.long))
    assert torch.equal(bm_farthest_point_sampling.sample_by_the_textbook(points, 16), expected)


def test_chamfer_distance_is_measured(tmp_path):
    flags = ["--num_clouds=1", "--num_points=32", "--num_groups=2", "--group_size=4", "--num_rounds=1"]
    assert len(run(bm_chamfer_distance, "chamfer_distance", flags, tmp_path)) == 4


@pytest.mark.parametrize("form", ["by_cdist", "by_exact_cdist", "by_expanded_form"])
def test_forms_of_neighbors_agree(form):
    points = make_clouds(2, 64)
    found = getattr(bm_neighbors, form)(points[:, :8], points, 4).sort(dim=-1).values
    assert torch.equal(found, bm_neighbors.k_nearest_neighbors(points[:, :8], points, 4).sort(dim=-1).values)


def test_primitive_shapes_are_measured(tmp_path):
    flags = ["--batch_size=4", "--num_points=32", "--num_shapes=8", "--num_rounds=1"]
    assert run(bm_primitive_shapes, "primitive_shapes", flags, tmp_path) == [
        "batches of 4",
        "batches of 16",
        "one by one",
    ]


@pytest.mark.slow
def test_compilation_is_measured(tmp_path):
    names = run(bm_compilation, "compilation", STEP, tmp_path)
    assert names[:2] == ["first step, whole graph", "first step, compile_regions"]
    assert names[2:] == list(bm_compilation.FORMS)


@pytest.mark.slow
def test_streaming_is_measured(tmp_path):
    flags = ["--num_clouds=600", "--num_points=64", "--clouds_per_file=200", "--clouds_per_row_group=20"]
    assert run(bm_streaming, "streaming", flags, tmp_path) == list(bm_streaming.READERS)


def test_readers_are_measured(tmp_path):
    pytest.importorskip("meshio")
    flags = ["--num_triangles=64", "--num_text_points=16", "--num_points=8", "--num_rounds=1"]
    names = run(bm_readers, "readers", flags, tmp_path)
    assert {"mixed.ply, meshio", "mesh.obj, trimesh", "points.xyz, pandas, one space"} <= set(names)


def test_step_of_the_small_model_stays_below_the_goal_of_operators():
    counts = bm_launches.count_operators(batch_size=1)
    assert 1000 < sum(counts.values()) <= 1277
    assert (counts["_fused_adamw_"], counts["_foreach_norm"]) == (2, 1)


def test_trainers_are_measured_next_to_bare_steps():
    names = [
        one.name for one in bm_launches.measure_trainer(PlainTrainer, bm_launches.Sizes(num_rounds=1, num_steps=2))
    ]
    assert names == ["bare step, model alone", bm_launches.WITH_INPUTS, "PlainTrainer", "PlainTrainer, beyond that"]


def test_parts_of_a_step_are_measured(tmp_path):
    names = run(bm_step_parts, "step_parts", STEP, tmp_path)
    assert {"3D embedding", "encoder, products alone", "projection of the reconstruction"} <= set(names)


@pytest.mark.slow
def test_compiled_steps_are_measured(tmp_path):
    assert run(bm_training_step, "training_step", STEP, tmp_path)[1:] == ["eager", "compiled"]


@pytest.mark.slow
def test_compiled_benchmarks_are_measured(tmp_path):
    small = ["--num_points=256", "--num_rounds=1"]
    assert len(run(bm_neighbors, "neighbors", [*small, "--batch_size=2"], tmp_path)) == 5
    assert len(run(bm_projection, "projection", [*small, "--batch_size=1", "--image_size=32"], tmp_path)) == 4
    flags = [*small, "--num_layers=1", "--num_calls=1"]
    assert len(run(bm_classification_latency, "classification_latency", flags, tmp_path)) == 4


def test_matrix_products_are_recorded_forward_and_backward():
    weight, values = torch.rand(3, 5, requires_grad=True), torch.rand(7, 3)
    with MatrixProducts() as products:
        (values @ weight).sum().backward()
    assert (products.num_flops, products.run()) == (2 * 2 * 7 * 3 * 5, 2)


def test_matrix_products_keep_convolutions():
    layer = torch.nn.Conv2d(2, 4, 3, padding=1)
    with MatrixProducts() as products:
        layer(torch.rand(1, 2, 8, 8)).sum().backward()
    assert products.run() == 2


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::addmm", "matrix products"),
        ("aten::native_layer_norm_backward", "norms"),
        ("aten::index_select", "gathers and sums by index"),
        ("aten::minimum", "pointwise"),
        ("aten::min", "neighbors"),
        ("jointmae::farthest_point_sample", "farthest point sampling"),
        ("aten::gelu", "pointwise"),
    ],
)
def test_operators_are_told_apart(name, kind):
    assert kind_of(name) == kind


def test_operator_shares_sum_to_one():
    shares = operator_shares(lambda: torch.rand(64, 64) @ torch.rand(64, 64))
    assert sum(shares.values()) == pytest.approx(1, abs=1e-3)


def test_numerics_show_where_autocast_loses_neighbors(tmp_path):
    numerics.main(["--num_clouds=2", "--num_points=256", "--num_samples=64", "--output_dir", str(tmp_path)])
    table = json.loads((tmp_path / "numerics.json").read_text(encoding="utf-8"))["table"]
    assert table["`k_nearest_neighbors`"]["bfloat16 autocast"] == 1.0
    assert table["neighbors by the expanded form"]["bfloat16 autocast"] < 0.99


def test_agreement_of_neighbors_does_not_depend_on_their_order():
    assert numerics.agreement(torch.tensor([[[1, 2]]]), torch.tensor([[[2, 1]]])) == 1.0
    assert numerics.agreement(torch.tensor([[1, 2]]), torch.tensor([[2, 1]])) == 0.0


def test_shape_search_is_measured(tmp_path):
    flags = ["--num_shapes=300", "--feature_size=8", "--num_queries=2", "--num_points=256", "--num_rounds=1"]
    names = run(bm_shape_search, "shape_search", flags, tmp_path)
    assert names[0] == "numpy, 1 at a time"
    assert names[-1] == "embedding of a query, jointmae-small"
