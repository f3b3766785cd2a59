"""Pre-training: a thin layer over `transformers.Trainer`."""

from .callbacks import LossProgressCallback
from .diagnostics import encoder_gradient_norms, reference_losses
from .pretraining_trainer import EVALUATION_EPOCH, JointMAETrainer, pretraining_noise
from .recipes import AUGMENTATIONS, RECIPES, PreTrainingRecipe, Setting


__all__ = [
    "AUGMENTATIONS",
    "EVALUATION_EPOCH",
    "RECIPES",
    "JointMAETrainer",
    "LossProgressCallback",
    "PreTrainingRecipe",
    "Setting",
    "encoder_gradient_norms",
    "pretraining_noise",
    "reference_losses",
]
