"""How many processes a launcher was asked for, and batch norm over all of them."""

import sys
from types import SimpleNamespace

import psutil
import pytest
import torch
from transformers import TrainingArguments

from jointmae_hf import JointMAEForPointCloudClassification, JointMAEForPreTraining
from jointmae_hf.data import PointCloudDataset, load_point_clouds
from jointmae_hf.training import (
    FINE_TUNING_RECIPES,
    RECIPES,
    PointSampling,
    build_fine_tuning_trainer,
    build_trainer,
    check_num_processes,
    finetuning_run,
    pretraining_run,
    processes,
    requested_processes,
    synchronize_batch_norm,
)


def arguments(world_size=1, device="cpu"):
    return SimpleNamespace(world_size=world_size, device=torch.device(device))


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in ("WORLD_SIZE", "ACCELERATE_MIXED_PRECISION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def launched_by(monkeypatch):
    """Let the parent of this process have a command line of the caller's, under `accelerate`."""

    def launch(*command):
        monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
        parent = SimpleNamespace(cmdline=lambda: [sys.executable, *command])
        monkeypatch.setattr(psutil, "Process", lambda number: parent)

    return launch


def test_nobody_asks_for_processes_without_a_launcher():
    assert requested_processes() is None
    check_num_processes(arguments())


def test_world_size_is_what_was_asked_for(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert requested_processes() == 3


@pytest.mark.parametrize(
    "command",
    [
        ["/bin/accelerate", "launch", "--num_processes", "2", "run.py", "--num_processes", "9"],
        ["/bin/accelerate-launch", "--cpu", "--num-processes=2", "run.py"],
        ["-m", "accelerate.commands.launch", "--num_processes=2", "run.py"],
        ["-m", "accelerate.commands.accelerate_cli", "launch", "--num_processes", "2", "-m", "package.run"],
    ],
)
def test_command_line_of_accelerate_says_what_was_asked_for(launched_by, command):
    launched_by(*command)
    assert requested_processes() == 2


def test_configuration_file_of_accelerate_says_what_was_asked_for(launched_by, tmp_path):
    config = tmp_path / "cpu.yaml"
    config.write_text("compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_CPU\nnum_processes: 4\n")
    launched_by("/bin/accelerate", "launch", "--config_file", str(config), "run.py")
    assert requested_processes() == 4


@pytest.mark.parametrize(
    "command", [["/bin/accelerate", "launch", "--cpu", "run.py"], ["/bin/accelerate", "test"], ["sweep.py"]]
)
def test_other_command_lines_ask_for_nothing(launched_by, command, monkeypatch):
    monkeypatch.setattr(processes, "default_config_file", "/nowhere")
    launched_by(*command)
    assert requested_processes() is None


def test_a_launcher_that_is_gone_asks_for_nothing(monkeypatch):
    def gone(number):
        raise psutil.NoSuchProcess(number)

    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.setattr(psutil, "Process", gone)
    assert requested_processes() is None


def test_check_says_how_to_start_several_processes_on_cpu(launched_by):
    launched_by("/bin/accelerate", "launch", "--num_processes", "2", "run.py")
    check_num_processes(arguments(2))
    with pytest.raises(
        ValueError, match=r"got 1 in place of 2\..*`torchrun --nproc_per_node 2 <script> --use_cpu True"
    ):
        check_num_processes(arguments(1))


def test_check_says_what_torchrun_lacks_on_cpu(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match=r"got 1 in place of 2\..*only with the flag `--use_cpu True`"):
        check_num_processes(arguments(1))


def test_check_counts_gpus_where_there_are_some(launched_by):
    launched_by("/bin/accelerate", "launch", "--num_processes", "2", "run.py")
    with pytest.raises(ValueError, match=r"got 1 in place of 2\. Ask for as many processes as there are GPUs"):
        check_num_processes(arguments(1, "cuda"))


def test_synchronizing_replaces_every_batch_norm_on_gpus_and_keeps_the_weights(tiny_config):
    model = JointMAEForPreTraining(tiny_config)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model = synchronize_batch_norm(model, arguments(2, "cuda"))
    norms = [module for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    assert len(norms) > 0
    assert all(isinstance(norm, torch.nn.SyncBatchNorm) for norm in norms)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert len(model.state_dict()) == len(before)


def test_synchronizing_leaves_a_single_process_alone(tiny_config):
    model = synchronize_batch_norm(JointMAEForPreTraining(tiny_config), arguments(1, "cuda"))
    assert not any(isinstance(module, torch.nn.SyncBatchNorm) for module in model.modules())


def test_synchronizing_is_refused_on_cpu_as_torch_refuses_it(tiny_config, tmp_path):
    with pytest.raises(ValueError, match="`sync_batch_norm` must be left out on CPU, got 2 processes there"):
        synchronize_batch_norm(JointMAEForPreTraining(tiny_config), arguments(2))
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        with pytest.raises(ValueError, match="SyncBatchNorm expected input tensor to be on GPU"):
            torch.nn.SyncBatchNorm(2)(torch.randn(4, 2))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("is_asked", [False, True])
def test_trainers_synchronize_when_asked(is_asked, tiny_config, tmp_path, monkeypatch):
    convert = torch.nn.SyncBatchNorm.convert_sync_batchnorm
    for module in (pretraining_run, finetuning_run):
        monkeypatch.setattr(module, "synchronize_batch_norm", lambda model, _: convert(model))
    sizes = {"num_train": 4, "num_validation": 2, "num_test": 0, "num_points": 64}
    dataset = load_point_clouds("synthetic_shapes", cache_dir=tmp_path / "cache", **sizes)
    training = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", disable_tqdm=True)
    pretrainer = build_trainer(tiny_config, RECIPES["quick"], training, dataset, sync_batch_norm=is_asked)
    clouds, model = PointCloudDataset(dataset["train"]), JointMAEForPointCloudClassification(tiny_config)
    sampling = PointSampling(clouds, FINE_TUNING_RECIPES["classification"]["quick"], 64, 0)
    tuner = build_fine_tuning_trainer(model, training, sampling, clouds, sync_batch_norm=is_asked)
    for trainer in (pretrainer, tuner):
        assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in trainer.model.modules()) == is_asked
