"""Pre-training and fine-tuning: a thin layer over `transformers.Trainer`."""

from typing import TYPE_CHECKING

from jointmae_hf.lazy_names import lazy_names


if TYPE_CHECKING:
    from .ablations import ABLATIONS, Ablation, AblationStudy
    from .arguments import DatasetArguments, FineTuningArguments, parse_fine_tuning_arguments
    from .callbacks import LossProgressCallback
    from .checkpoint_folders import find_last_checkpoint, list_checkpoints
    from .checkpoints import CheckpointError, seal_checkpoint, verify_checkpoint
    from .demo import demonstration_checkpoint
    from .distributed import disable_malloc_trim, set_up_process
    from .finetuning import ClassificationTrainer, SegmentationTrainer, build_fine_tuning_trainer
    from .finetuning_recipes import FINE_TUNING_RECIPES, FineTuningRecipe
    from .non_finite_check import NonFiniteCheck, NonFiniteError
    from .point_cloud_trainer import EVALUATION_EPOCH, PointCloudTrainer
    from .point_sampling import PointSampling
    from .pretraining import JointMAETrainer, build_trainer, pretraining_noise, save_pretrained, training_defaults
    from .recipes import RECIPES, PreTrainingRecipe, Setting
    from .reconstruction_callback import ReconstructionCallback
    from .resumable_trainer import ResumableTrainer
    from .sealed_trainer import SealedTrainer
    from .visualization_arguments import VisualizationArguments
    from .watched_trainer import WatchedTrainer
else:
    __getattr__, __dir__ = lazy_names(__name__, __file__)


__all__ = [
    "ABLATIONS",
    "EVALUATION_EPOCH",
    "FINE_TUNING_RECIPES",
    "RECIPES",
    "Ablation",
    "AblationStudy",
    "CheckpointError",
    "ClassificationTrainer",
    "DatasetArguments",
    "FineTuningArguments",
    "FineTuningRecipe",
    "JointMAETrainer",
    "LossProgressCallback",
    "NonFiniteCheck",
    "NonFiniteError",
    "PointCloudTrainer",
    "PointSampling",
    "PreTrainingRecipe",
    "ReconstructionCallback",
    "ResumableTrainer",
    "SealedTrainer",
    "SegmentationTrainer",
    "Setting",
    "VisualizationArguments",
    "WatchedTrainer",
    "build_fine_tuning_trainer",
    "build_trainer",
    "demonstration_checkpoint",
    "disable_malloc_trim",
    "find_last_checkpoint",
    "list_checkpoints",
    "parse_fine_tuning_arguments",
    "pretraining_noise",
    "save_pretrained",
    "seal_checkpoint",
    "set_up_process",
    "training_defaults",
    "verify_checkpoint",
]
