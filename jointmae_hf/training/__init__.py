"""Pre-training: a thin layer over `transformers.Trainer`."""

from .ablation_run import AblationStudy
from .ablation_tables import paired_gains, render_ablation
from .ablations import ABLATIONS, Ablation
from .callbacks import LossProgressCallback
from .demonstration import demonstration_checkpoint
from .diagnostics import encoder_gradient_norms, reference_losses
from .pretraining_run import build_trainer, last_whole_checkpoint, probe_clouds, save_pretrained, training_defaults
from .pretraining_trainer import EVALUATION_EPOCH, JointMAETrainer, pretraining_noise
from .recipes import AUGMENTATIONS, RECIPES, PreTrainingRecipe, Setting
from .scene_arguments import Scene, SceneArguments
from .script_arguments import CorpusArguments, set_up_process


__all__ = [
    "ABLATIONS",
    "AUGMENTATIONS",
    "EVALUATION_EPOCH",
    "RECIPES",
    "Ablation",
    "AblationStudy",
    "CorpusArguments",
    "JointMAETrainer",
    "LossProgressCallback",
    "PreTrainingRecipe",
    "Scene",
    "SceneArguments",
    "Setting",
    "build_trainer",
    "demonstration_checkpoint",
    "encoder_gradient_norms",
    "last_whole_checkpoint",
    "paired_gains",
    "pretraining_noise",
    "probe_clouds",
    "reference_losses",
    "render_ablation",
    "save_pretrained",
    "set_up_process",
    "training_defaults",
]
