"""Train a tiny model in float64 and record what happened: one command for any number of processes.

python -m torch.distributed.run --nproc_per_node 2 train.py --config FOLDER --record FILE --use_cpu True ...
"""

import copy
from dataclasses import dataclass, field

import torch
from accelerate.utils import gather_object
from transformers import HfArgumentParser, TrainerCallback, TrainingArguments

from jointmae_hf import JointMAEConfig, JointMAEForPreTraining
from jointmae_hf.data import PointCloudCollator, RandomRotate
from jointmae_hf.training import JointMAETrainer, pretraining_noise, set_up_process


@dataclass
class ProgramArguments:
    config: str = field(metadata={"help": "Folder of a config.json."})
    record: str = field(metadata={"help": "File to write."})
    batch_norm: list[str] = field(default_factory=lambda: ["eval"], metadata={"help": "One run each: eval or train."})


class GradientRecorder(TrainerCallback):
    """Keeps the gradients that every step ends with."""

    def __init__(self):
        self.steps = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        named = {name.removeprefix("module."): parameter.grad for name, parameter in model.named_parameters()}
        self.steps.append({name: grad.clone() for name, grad in named.items() if grad is not None})


class RecordingTrainer(JointMAETrainer):
    """Keeps what every sample was trained with, by (epoch, index)."""

    def _forward(self, model, inputs):
        points, epoch, index = self._transformed(model, inputs)
        drawn = {"points": points} | pretraining_noise(self.unwrapped_model.config, self.args.seed, epoch, index)
        for row, number in enumerate(index.tolist()):
            self.drawn[epoch, number] = {name: values[row].clone() for name, values in drawn.items()}
        return super()._forward(model, inputs)


class DoubleRotate(RandomRotate):
    """Turns clouds in float64."""

    def __call__(self, points, **kwargs):
        return super().__call__(points.double(), **kwargs)


def keep_batch_norm_in_eval(model):
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.eval()
            module.train = lambda mode=True: None


def train(config_folder, training, batch_norm="eval"):
    """Train once; the record is the same in every process but for the losses, which the main process has."""
    set_up_process(training)
    torch.set_num_threads(1)
    model = JointMAEForPreTraining(JointMAEConfig.from_pretrained(config_folder)).double()
    if batch_norm == "eval":
        keep_batch_norm_in_eval(model)
    clouds = torch.randn(16, model.config.num_points, 3, generator=torch.Generator().manual_seed(0)).numpy()
    recorder = GradientRecorder()
    trainer = RecordingTrainer(
        model=model,
        args=training,
        train_dataset=[{"points": cloud, "index": index} for index, cloud in enumerate(clouds)],
        data_collator=PointCloudCollator(),
        transform=DoubleRotate(),
        callbacks=[recorder],
    )
    trainer.drawn = {}
    trainer.train(resume_from_checkpoint=training.resume_from_checkpoint)
    drawn = {key: value for part in gather_object([trainer.drawn]) for key, value in part.items()}
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    record = {"losses": losses, "gradients": recorder.steps, "drawn": drawn}
    return record | {"weights": copy.deepcopy(trainer.unwrapped_model.state_dict())}


def main():
    program, training = HfArgumentParser((ProgramArguments, TrainingArguments)).parse_args_into_dataclasses()
    records = {batch_norm: train(program.config, training, batch_norm) for batch_norm in program.batch_norm}
    if training.should_save:
        torch.save(records | {"world_size": training.world_size}, program.record)


if __name__ == "__main__":
    main()
