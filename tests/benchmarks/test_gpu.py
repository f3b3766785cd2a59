"""GPU benchmarks at a tiny size on the CPU, and the runner with its time budgets."""

import dataclasses
import json
import sys

import pytest
import torch

from benchmarks import __main__ as every_benchmark
from benchmarks.gpu import attention, memory, neighbors, projection, runner, sampling, throughput, trainer
from benchmarks.gpu.rates import Rates, measure_rates
from benchmarks.gpu.sizes import SIZES


TINY = dataclasses.replace(SIZES["tiny"], num_samples=32)
RATES = Rates(bfloat16_flops=200.0, float32_flops=100.0, bytes_per_second=10.0)


def write(text):
    """Return a command that writes a text to the file named by an added argument."""
    return [sys.executable, "-c", f"import sys; open(sys.argv[1], 'w').write('{text}')"]


def subject(seconds=60.0):
    return runner.Subject("some", lambda sizes: {}, seconds)


def test_floor_is_products_and_traffic_one_after_the_other():
    assert RATES.floor(400.0, 30.0) == 5.0
    assert RATES.instruction_floor(100.0) == 2.0


def test_rates_are_those_of_products_and_copies():
    assert all(value > 0 for value in dataclasses.astuple(measure_rates(TINY)))


@pytest.mark.parametrize("subject", [sampling, neighbors])
def test_point_operation_is_measured_with_its_floor(subject):
    batches = subject.measure(TINY, RATES)["batches"]
    assert len(batches) == 2
    for batch in batches:
        median = batch["measurements"][-1]["rates"][0]
        assert batch["share_of_floor"] == pytest.approx(median / batch["floor_clouds_per_second"])


def test_wrong_picks_stop_the_measurement(monkeypatch):
    monkeypatch.setattr(sampling, "_sample_with_loop", lambda points, count, start: start[:, None].expand(-1, count))
    with pytest.raises(RuntimeError, match="loop in place picks other points than float64 at batch 1"):
        sampling.measure(TINY, RATES)


def test_projection_is_measured_with_and_without_gradient():
    names = [measured["name"] for measured in projection.measure(TINY)["measurements"]]
    assert names == [
        "forward, eager",
        "forward, compiled",
        "forward and backward, eager",
        "forward and backward, compiled",
    ]


def test_attention_is_checked_and_measured():
    result = attention.measure(TINY)
    assert result["own_mask"] == "torch.bool"
    assert result["own_error"] < 0.02
    assert result["backends"]["65 tokens, boolean mask"]["math"]["error"] < 0.01
    assert "refused" in result["backends"]["65 tokens, boolean mask"]["cudnn"]


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


def test_largest_batch_is_found_to_an_eighth(monkeypatch):
    tried = []
    monkeypatch.setattr(memory, "fits", lambda sizes, batch: tried.append(batch) or batch <= 13)
    assert memory.largest_batch(dataclasses.replace(TINY, batch_sizes=(2,), max_batch_size=64)) == 13
    assert tried == [2, 4, 8, 16, 12, 14, 13]


def test_out_of_memory_is_an_answer(monkeypatch):
    def fail(sizes, batch):
        raise torch.cuda.OutOfMemoryError("too large")

    monkeypatch.setattr(memory, "peak_of_batch", fail)
    assert memory.fits(TINY, 8) is False


@pytest.mark.slow
def test_steps_are_measured_with_their_share_of_the_floor():
    result = throughput.measure(TINY, RATES, batch_size=2)
    assert [measured["name"] for measured in result["measurements"]] == ["eager", "compiled"]
    assert result["floor"]["seconds"] == RATES.floor(result["floor"]["flops"], result["floor"]["bytes"])
    assert sum(result["shares"].values()) == pytest.approx(1, abs=1e-2)


@pytest.mark.slow
def test_trainer_is_measured_in_turns_with_bare_steps():
    bare, ours = trainer.measure(TINY)["measurements"]
    assert ours["ratios"] == [ours["rates"][0] / bare["rates"][0]]


def test_subject_that_writes_its_result_is_measured():
    outcome = runner.run_subject(subject(), write('{"a": 1}'), 60.0)
    assert (outcome["status"], outcome["result"]) == ("measured", {"a": 1})


def test_subject_that_raises_is_reported_with_its_traceback():
    outcome = runner.run_subject(subject(), [sys.executable, "-c", "raise KeyError('gone')"], 60.0)
    assert outcome["status"] == "failed"
    assert "KeyError: 'gone'" in outcome["reason"]


def test_subject_without_end_is_stopped_with_its_children():
    command = [sys.executable, "-c", "import subprocess, sys; subprocess.run(['sleep', '60'])"]
    outcome = runner.run_subject(subject(seconds=0.5), command, 60.0)
    assert outcome["status"] == "out of time"
    assert outcome["seconds"] < 30


def test_subject_is_not_started_without_time():
    assert runner.run_subject(subject(), ["no such command"], 1.0)["status"] == "not started"


def test_file_is_written_after_each_subject_and_failure_is_the_exit_status(tmp_path, monkeypatch, capsys):
    names = []

    def outcome(subject, command, seconds):
        names.append(subject.name)
        if len(names) > 1:
            assert set(json.loads((tmp_path / "gpu.json").read_text())["subjects"]) == set(names[:-1])
        if subject.name == "trainer":
            return {"status": "failed", "seconds": 1.0, "reason": "boom"}
        return {"status": "measured", "seconds": 1.0, "result": {}}

    monkeypatch.setattr(runner, "run_subject", outcome)
    with pytest.raises(SystemExit) as stopped:
        every_benchmark.main(["gpu", "--size", "tiny", "--output_dir", str(tmp_path)])
    assert stopped.value.code == 1
    assert names == [one.name for one in runner.list_subjects(SIZES["tiny"], None)]
    assert "not measured: trainer" in capsys.readouterr().out


def test_chosen_subjects_run_with_the_rates_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "run_subject", lambda *args: {"status": "measured", "seconds": 0.0, "result": {}})
    assert runner.main(["--subjects", "memory", "--output_dir", str(tmp_path)]) == 0
    assert set(json.loads((tmp_path / "gpu.json").read_text())["subjects"]) == {"rates", "memory"}


def test_child_measures_with_the_rates_of_the_file(tmp_path):
    rates = {"rates": {"result": dataclasses.asdict(RATES)}}
    (tmp_path / "gpu.json").write_text(json.dumps({"subjects": rates}))
    flags = ["--size", "tiny", "--output_dir", str(tmp_path), "--write", str(tmp_path / "part.json")]
    assert runner.main([*flags, "--measure", "neighbors"]) == 0
    assert json.loads((tmp_path / "part.json").read_text())["batches"][0]["floor_clouds_per_second"] > 0


def test_budgets_and_the_default_limit_fit_into_eight_minutes():
    default = runner.build_parser().parse_args([])
    assert default.minutes < 8
    assert all(one.seconds <= 120 for one in runner.list_subjects(SIZES["full"], "some"))
