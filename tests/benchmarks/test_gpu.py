"""Subjects of the GPU benchmark at a tiny size on the CPU."""

import dataclasses

import pytest
import torch

from benchmarks.gpu import attention, gradients, memory, neighbors, projection, rates, sampling, throughput, trainer
from benchmarks.gpu.rates import Rates
from benchmarks.gpu.sizes import SIZES


TINY = dataclasses.replace(SIZES["tiny"], num_samples=32)
RATES = Rates(bfloat16_flops=200.0, float32_flops=100.0, bytes_per_second=10.0)


@pytest.fixture
def figures():
    """Figures by name; its `__setitem__` records."""
    return {}


def test_floor_is_products_and_traffic_one_after_the_other():
    assert RATES.floor(400.0, 30.0) == 5.0
    assert RATES.instruction_floor(100.0) == 2.0


def test_rates_are_those_of_products_and_copies(figures):
    measured = dataclasses.asdict(rates.measure(TINY, figures.__setitem__))
    assert all(value > 0 for value in measured.values())
    assert figures == measured


@pytest.mark.parametrize("subject", [sampling, neighbors])
def test_point_operation_is_measured_with_its_floor(subject, figures):
    subject.measure(TINY, figures.__setitem__, RATES)
    assert set(figures) == {"batch_1", "batch_2"}
    for batch in figures.values():
        median = batch["measurements"][-1]["rates"][0]
        assert batch["share_of_floor"] == pytest.approx(median / batch["floor_clouds_per_second"])


def test_point_operation_is_measured_without_the_rates_of_the_machine(figures):
    sampling.measure(TINY, figures.__setitem__, None)
    assert figures["batch_1"]["medians"]["textbook loop"] > 0
    assert "share_of_floor" not in figures["batch_1"]


def test_wrong_picks_stop_the_measurement(monkeypatch, figures):
    monkeypatch.setattr(sampling, "_sample_with_loop", lambda points, count, start: start[:, None].expand(-1, count))
    with pytest.raises(RuntimeError, match="loop in place picks other points than float64 at batch 1"):
        sampling.measure(TINY, figures.__setitem__, RATES)


@pytest.mark.parametrize(
    ("is_compiled", "forms"), [(False, ["eager"]), pytest.param(True, ["eager", "compiled"], marks=pytest.mark.slow)]
)
def test_projection_is_measured_with_and_without_gradient(is_compiled, forms, figures):
    projection.measure(TINY, figures.__setitem__, is_compiled)
    names = [measured["name"] for measured in figures["batch_1"]["measurements"]]
    assert names == [f"{part}, {form}" for part in ("forward", "forward and backward") for form in forms]


def test_attention_is_checked_and_measured(figures):
    attention.measure(TINY, figures.__setitem__)
    assert figures["own_mask"] == "torch.bool"
    assert figures["own_error"] < 0.02
    assert figures["backends"]["65 tokens, boolean mask"]["math"]["error"] < 0.01
    assert "refused" in figures["backends"]["65 tokens, boolean mask"]["cudnn"]


def test_backend_that_returns_nan_is_seen(monkeypatch):
    inputs, may_attend = attention.make_inputs(1, 4, False, torch.device("cpu"))
    right = attention.attend

    def wrong(inputs, mask, backends):
        output, *gradients = right(inputs, mask, backends)
        return (output, *(torch.full_like(gradient, torch.nan) for gradient in gradients))

    monkeypatch.setattr(attention, "attend", lambda *args: wrong(*args) if args[2] is None else right(*args))
    found = attention.check_backend(inputs, may_attend, attention.to_additive(may_attend), None)
    assert found == {"is_finite": False, "error": None}


def test_own_attention_with_a_fault_stops_the_measurement(monkeypatch):
    monkeypatch.setattr(attention, "relative_error", lambda value, expected: float("nan"))
    with pytest.raises(RuntimeError, match="the attention of the package must be correct and finite"):
        attention.check_own_attention(torch.device("cpu"))


def test_largest_batch_is_found_to_an_eighth(monkeypatch, figures):
    tried = []
    monkeypatch.setattr(memory, "fits", lambda sizes, batch: tried.append(batch) or batch <= 13)
    memory.measure(dataclasses.replace(TINY, batch_sizes=(2,), max_batch_size=64), figures.__setitem__)
    assert figures["largest_batch"] == 13
    assert tried == [2, 4, 8, 16, 12, 14, 13]


def test_out_of_memory_is_an_answer(monkeypatch):
    def fail(sizes, batch):
        raise torch.cuda.OutOfMemoryError("too large")

    monkeypatch.setattr(memory, "peak_of_batch", fail)
    assert memory.fits(TINY, 8) is False


def test_eager_step_is_measured_with_its_share_of_the_floor(figures):
    throughput.measure(TINY, figures.__setitem__, RATES, batch_size=2)
    assert list(figures)[:2] == ["first_step_seconds", "batch_2"]
    (measured,) = figures["batch_2"]["measurements"]
    assert measured["name"] == "eager"
    floor = figures["floor"]
    assert floor["seconds"] == RATES.floor(floor["flops"], floor["bytes"])
    seconds_per_cloud = floor["seconds"] + RATES.floor(0, floor["optimizer_bytes"]) / 2
    assert figures["share_of_floor"] == pytest.approx(measured["rates"][0] * seconds_per_cloud)
    assert sum(figures["shares"].values()) == pytest.approx(1, abs=1e-2)


@pytest.mark.slow
def test_compiled_step_is_measured_with_its_compile_time(figures):
    throughput.measure(TINY, figures.__setitem__, RATES, batch_size=2, is_compiled=True)
    assert list(figures)[:3] == ["compile_seconds", "recompilations", "batch_2"]
    assert figures["recompilations"] == 0
    assert figures["batch_2"]["measurements"][0]["name"] == "compiled"


@pytest.mark.parametrize("is_compiled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_trainer_is_measured_in_turns_with_bare_steps(is_compiled, figures):
    trainer.measure(TINY, figures.__setitem__, is_compiled)
    bare, ours = figures["batch_2"]["measurements"]
    assert ours["ratios"] == [ours["rates"][0] / bare["rates"][0]]
    assert ("compile_seconds" in figures) == is_compiled


def test_gradients_are_compared_parameter_by_parameter(figures):
    gradients.measure(TINY, figures.__setitem__)
    variants = ["cpu_float32", "float32", "tf32_convolutions", "tf32", "float32_eager_attention", "float64"]
    assert list(figures) == ["cpu_float64", *variants, "cpu_float64_moved"]
    moved = figures["cpu_float64_moved"]["differences"]
    assert max(moved["loss_3d"].values()) == 0.0 < max(moved["loss_3d_2d"].values())
    for loss in gradients.LOSSES:
        differences = figures["float32"]["differences"][loss]
        assert "jointmae.layers.0.attention.q_proj.weight" in differences
        assert list(differences.values()) == sorted(differences.values(), reverse=True)
        assert max(differences.values()) < 0.1
        assert max(figures["float64"]["differences"][loss].values()) == 0.0
    assert max(figures["float32"]["differences"]["loss_3d"].values()) < 1e-4


def test_tf32_is_switched_and_restored():
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    with gradients.tf32(True, False):
        assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (True, False)
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == before


def test_gradient_of_zero_is_compared_with_the_whole_gradient():
    expected = {"loss": {"weight": torch.ones(4).double(), "zero": torch.full((1,), 1e-20).double()}}
    found = {"loss": {"weight": torch.ones(4).double(), "zero": torch.full((1,), 1e-12).double()}}
    compared = gradients.compare_gradients(found, expected)["loss"]
    assert compared == {"zero": pytest.approx(5e-7), "weight": 0.0}
    assert gradients.relative_difference(torch.tensor([torch.nan]), torch.ones(1), 1.0) is None
