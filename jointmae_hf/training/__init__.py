"""Pre-training: a thin layer over `transformers.Trainer`."""

from .callbacks import LossProgressCallback
from .demonstration import demonstration_checkpoint
from .diagnostics import encoder_gradient_norms, reference_losses
from .pretraining_trainer import EVALUATION_EPOCH, JointMAETrainer, pretraining_noise
from .recipes import AUGMENTATIONS, RECIPES, PreTrainingRecipe, Setting
from .script_arguments import CorpusArguments, set_up_process


__all__ = [
    "AUGMENTATIONS",
    "EVALUATION_EPOCH",
    "RECIPES",
    "CorpusArguments",
    "JointMAETrainer",
    "LossProgressCallback",
    "PreTrainingRecipe",
    "Setting",
    "demonstration_checkpoint",
    "encoder_gradient_norms",
    "pretraining_noise",
    "reference_losses",
    "set_up_process",
]
