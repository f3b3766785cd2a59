"""The processes of a run: their number, their cores and memory, batch norm over all of them."""

import json
import platform
import subprocess
import sys
from types import SimpleNamespace

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
    disable_malloc_trim,
    set_up_process,
)
from jointmae_hf.training.distributed import check_num_processes, synchronize_batch_norm


LAUNCHER_VARIABLES = ("WORLD_SIZE", "ACCELERATE_MIXED_PRECISION", "MASTER_ADDR", "MASTER_PORT")


def arguments(world_size=1, device="cpu"):
    return SimpleNamespace(world_size=world_size, device=torch.device(device))


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch):
    for name in LAUNCHER_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def launched_by_accelerate(monkeypatch):
    """Set what `accelerate launch` sets when it is asked for several processes and starts one."""
    for name, value in zip(LAUNCHER_VARIABLES[1:], ("no", "127.0.0.1", "29500"), strict=True):
        monkeypatch.setenv(name, value)


def test_one_process_without_a_launcher_is_accepted():
    check_num_processes(arguments())


def test_one_process_of_accelerate_is_accepted_when_it_was_asked_for(monkeypatch):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    check_num_processes(arguments())


def test_a_master_address_without_accelerate_asks_for_nothing(monkeypatch):
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", "29500")
    check_num_processes(arguments())


def test_check_says_how_to_start_several_processes_on_cpu(launched_by_accelerate):
    check_num_processes(arguments(2))
    with pytest.raises(ValueError, match=r"got 1 instead of several\..*`torchrun --nproc_per_node .*--use_cpu True"):
        check_num_processes(arguments(1))


def test_check_says_what_torchrun_lacks_on_cpu(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    check_num_processes(arguments(2))
    with pytest.raises(ValueError, match=r"got 1 instead of 2\..*only with the flag `--use_cpu True`"):
        check_num_processes(arguments(1))


def test_check_counts_gpus_where_there_are_some(launched_by_accelerate):
    with pytest.raises(ValueError, match=r"got 1 instead of several\..*only if there are as many GPUs. Ask for one"):
        check_num_processes(arguments(1, "cuda"))


ENVIRONMENT = """
import json, os, sys
print(json.dumps([name in os.environ for name in sys.argv[1:]]))
"""


MULTI_CPU = "compute_environment: LOCAL_MACHINE\ndistributed_type: MULTI_CPU\nnum_processes: 4\nnum_machines: 1\n"


@pytest.mark.parametrize(
    ("flags", "is_set"),
    [
        (["--cpu"], False),
        (["--cpu", "--num_processes", "1"], False),
        (["--cpu", "--num-processes=2"], True),
        (["--config_file", "cpu.yaml"], True),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="the launcher starts several processes where there are GPUs")
def test_accelerate_sets_a_master_address_when_asked_for_several(flags, is_set, tmp_path):
    (tmp_path / "script.py").write_text(ENVIRONMENT)
    (tmp_path / "cpu.yaml").write_text(MULTI_CPU)
    command = [sys.executable, "-m", "accelerate.commands.launch", *flags, "script.py", *LAUNCHER_VARIABLES]
    finished = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd=tmp_path)
    assert json.loads(finished.stdout) == [False, True, is_set, is_set]


PROGRAM = """
import resource, sys
import torch
from jointmae_hf.training import disable_malloc_trim

if sys.argv[1] == "keep":
    assert disable_malloc_trim()
for turn in range(12):
    if turn == 8:  # by then small tensors have found places where large ones do not need theirs
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    tensor = torch.ones(64, 2**20)  # 256 MiB
    del tensor
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(kind):
    command = [sys.executable, "-c", PROGRAM, kind]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the advice is for the allocator of glibc")
def test_kept_memory_causes_no_page_faults_after_a_while():
    assert page_faults("keep") < 0.01 * page_faults("give back")


def test_other_allocators_are_unchanged(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not disable_malloc_trim()


@pytest.mark.parametrize(("processes_here", "num_threads_expected"), [(None, 6), (2, 3), (4, 1), (8, 1)])
def test_process_on_a_cpu_pins_no_memory_and_takes_its_share_of_the_cores(
    tmp_path, monkeypatch, processes_here, num_threads_expected
):
    monkeypatch.setattr("jointmae_hf.training.distributed.num_cores", lambda: 6)
    if processes_here is not None:
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes_here))
    training = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    num_threads = torch.get_num_threads()
    try:
        set_up_process(training)
        assert (torch.get_num_threads(), training.dataloader_pin_memory) == (num_threads_expected, False)
    finally:
        torch.set_num_threads(num_threads)


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
    with pytest.raises(ValueError, match="`sync_batch_norm` must be False on CPU, got True with 2 processes"):
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
    for module in ("pretraining", "finetuning"):
        name = f"jointmae_hf.training.{module}.synchronize_batch_norm"
        monkeypatch.setattr(name, lambda model, _: convert(model))
    sizes = {"num_train": 4, "num_validation": 2, "num_test": 0, "num_points": 64}
    dataset = load_point_clouds("synthetic_shapes", cache_dir=tmp_path / "cache", **sizes)
    training = TrainingArguments(str(tmp_path), use_cpu=True, report_to="none", disable_tqdm=True)
    pretrainer = build_trainer(tiny_config, RECIPES["quick"], training, dataset, sync_batch_norm=is_asked)
    clouds, model = PointCloudDataset(dataset["train"]), JointMAEForPointCloudClassification(tiny_config)
    sampling = PointSampling(clouds, FINE_TUNING_RECIPES["classification"]["quick"], 64, 0)
    tuner = build_fine_tuning_trainer(model, training, sampling, clouds, sync_batch_norm=is_asked)
    for trainer in (pretrainer, tuner):
        assert any(isinstance(module, torch.nn.SyncBatchNorm) for module in trainer.model.modules()) == is_asked
