"""Configurations of `accelerate launch`: read by accelerate's parser, and launched on two CPU processes where it can."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser

from jointmae_hf import JointMAEForPreTraining


TESTS = Path(__file__).parents[1]
CONFIGS = TESTS.parent / "examples" / "accelerate_configs"
NAMES = sorted(path.name for path in CONFIGS.glob("*.yaml"))
TRAIN = TESTS / "reliability" / "programs" / "train.py"
SHARDED_STEPS = TESTS / "examples" / "sharded_steps.py"
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch"]


def read(name):
    return yaml.safe_load((CONFIGS / name).read_text(encoding="utf-8"))


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def config_folder(build_tiny_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("config")
    build_tiny_config(drop_path_rate=0.0).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def train(config_folder, tmp_path_factory):
    """Launch five steps with a configuration in float64 on CPU, one launcher for each machine; return the record."""

    def launch(name, num_processes, num_machines=1):
        folder = tmp_path_factory.mktemp(Path(name).stem)
        on_cpu = {
            "use_cpu": True,
            "mixed_precision": "no",
            "num_processes": num_processes,
            "num_machines": num_machines,
        }
        config_file = folder / name
        config_file.write_text(yaml.safe_dump(read(name) | on_cpu | {"main_process_port": free_port()}))
        arguments = {"config": config_folder, "record": folder / "record.pt", "output_dir": folder / "run"}
        arguments |= {"optim": "sgd", "learning_rate": 0.1, "lr_scheduler_type": "constant", "max_steps": 5}
        arguments |= {"per_device_train_batch_size": 4 // num_processes, "use_cpu": True, "report_to": "none"}
        arguments |= {"logging_steps": 1, "save_strategy": "no", "remove_unused_columns": False}
        arguments |= {"label_names": "points", "disable_tqdm": True}
        flags = [str(word) for name, value in arguments.items() for word in (f"--{name}", value)]
        launchers = []
        for rank in range(num_machines):
            command = [*LAUNCH, "--config_file", str(config_file), "--machine_rank", str(rank), str(TRAIN), *flags]
            launchers.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        for launcher in launchers:
            _, errors = launcher.communicate(timeout=300)
            assert launcher.returncode == 0, errors
        return torch.load(folder / "record.pt")

    return launch


def largest_difference(first, second):
    assert first.keys() == second.keys()
    return max((first[name] - second[name]).abs().max().item() for name in first)


@pytest.mark.parametrize("name", NAMES)
def test_config_is_read_by_accelerate(name):
    config = load_config_from_file(str(CONFIGS / name))
    assert config.mixed_precision == "bf16"
    assert config.distributed_type.value == read(name)["distributed_type"]


@pytest.mark.parametrize("name", NAMES)
def test_launcher_knows_every_option(name, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    arguments = launch_command_parser().parse_args(["--config_file", str(CONFIGS / name), "script.py"])
    for section, prefix in (("fsdp_config", "fsdp_"), ("deepspeed_config", "")):
        for option in read(name).get(section, {}):
            assert hasattr(arguments, option if option.startswith(prefix) else prefix + option), option
    arguments, _, _ = _validate_launch_command(arguments)
    content = read(name)
    kind = content["distributed_type"]
    assert (arguments.multi_gpu, arguments.use_fsdp) == (kind == "MULTI_GPU", kind == "FSDP")
    assert arguments.use_deepspeed == (kind == "DEEPSPEED")
    assert arguments.num_processes == content["num_processes"]


def test_fsdp_wraps_what_the_model_must_not_split():
    classes = read("fsdp2.yaml")["fsdp_config"]["fsdp_transformer_layer_cls_to_wrap"].split(",")
    assert set(classes) == set(JointMAEForPreTraining._no_split_modules)


def test_launched_runs_on_several_processes_and_machines_equal_one_process(train):
    alone = train("single_gpu.yaml", 1)
    assert alone["world_size"] == 1
    for name, num_machines in (("multi_gpu.yaml", 1), ("multi_node.yaml", 2)):
        together = train(name, 2, num_machines)
        assert together["world_size"] == 2
        assert together["eval"]["losses"] == pytest.approx(alone["eval"]["losses"], rel=1e-6)
        assert largest_difference(alone["eval"]["weights"], together["eval"]["weights"]) < 1e-12


def test_steps_sharded_by_fsdp2_equal_one_process(config_folder, tmp_path):
    """Measured: losses equal, weights within 1e-16 after three steps. Accelerate itself shards on GPUs only."""
    classes = read("fsdp2.yaml")["fsdp_config"]["fsdp_transformer_layer_cls_to_wrap"]
    records = []
    for launcher in ([], ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]):
        record = tmp_path / f"{len(records)}.pt"
        command = [sys.executable, *launcher, str(SHARDED_STEPS), str(config_folder), classes, str(record)]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert finished.returncode == 0, finished.stderr
        records.append(torch.load(record))
    alone, together = records
    assert torch.allclose(alone["losses"], together["losses"], rtol=1e-12)
    assert largest_difference(alone["weights"], together["weights"]) < 1e-12


def test_slurm_script_starts_one_launcher_for_each_machine(tmp_path):
    """With stand-ins for SLURM's commands, the launchers get the ranks, the address and the flags."""
    programs = {
        "scontrol": "echo node7; sleep 0.2; echo node8",  # a reader that leaves after one line would end the job
        "srun": 'for SLURM_NODEID in 0 1; do export SLURM_NODEID; "$@"; done',
        "accelerate": 'printf "%s|" "$@"; echo',
    }
    for name, body in programs.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    job = {"SLURM_NNODES": "2", "SLURM_GPUS_ON_NODE": "4", "SLURM_JOB_ID": "20005", "SLURM_JOB_NODELIST": "node[7-8]"}
    environment = os.environ | job | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = ["bash", str(CONFIGS / "slurm.sh"), "--data_dir", "my clouds"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    for rank, line in enumerate(printed.splitlines()):
        words = line.strip("|").split("|")
        arguments = launch_command_parser().parse_args(words[1:])
        assert (arguments.num_machines, arguments.num_processes, arguments.machine_rank) == (2, 8, rank)
        assert (arguments.main_process_ip, arguments.main_process_port) == ("node7", 20005)
        assert arguments.training_script_args == ["--resume_from_checkpoint", "True", "--data_dir", "my clouds"]
    assert len(printed.splitlines()) == 2


def test_files_that_are_named_in_comments_exist():
    for path in CONFIGS.iterdir():
        words = path.read_text(encoding="utf-8").split()
        named = [word.rstrip(",.") for word in words if word.startswith("examples/")]
        assert all((TESTS.parent / name).is_file() for name in named)
