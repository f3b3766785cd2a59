"""Pre-training and fine-tuning: a thin layer over `transformers.Trainer`."""

from typing import TYPE_CHECKING

from jointmae_hf.lazy_names import lazy_names


if TYPE_CHECKING:
    from .ablations import ABLATIONS, Ablation, AblationStudy
    from .arguments import DatasetArguments, FineTuningArguments, parse_fine_tuning_arguments
    from .callbacks import LossProgressCallback, ReconstructionCallback, RunningStatisticsCallback
    from .compilation import compile_regions
    from .demo import default_checkpoint, demonstration_checkpoint
    from .distributed import disable_malloc_trim, set_up_process
    from .finetuning import ClassificationTrainer, SegmentationTrainer, build_fine_tuning_trainer
    from .finetuning_recipes import FINE_TUNING_RECIPES, FineTuningRecipe
    from .point_cloud_trainer import EVALUATION_EPOCH, PointCloudTrainer
    from .point_sampling import PointSampling
    from .pretraining import JointMAETrainer, build_trainer, pretraining_noise, training_defaults
    from .recipes import RECIPES, PreTrainingRecipe, Setting
    from .resilience import (
        CheckpointError,
        NonFiniteError,
        ResilientTrainer,
        find_last_checkpoint,
        list_checkpoints,
        verify_manifest,
        write_manifest,
    )
    from .visualization_arguments import VisualizationArguments
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
    "NonFiniteError",
    "PointCloudTrainer",
    "PointSampling",
    "PreTrainingRecipe",
    "ReconstructionCallback",
    "ResilientTrainer",
    "RunningStatisticsCallback",
    "SegmentationTrainer",
    "Setting",
    "VisualizationArguments",
    "build_fine_tuning_trainer",
    "build_trainer",
    "compile_regions",
    "default_checkpoint",
    "demonstration_checkpoint",
    "disable_malloc_trim",
    "find_last_checkpoint",
    "list_checkpoints",
    "parse_fine_tuning_arguments",
    "pretraining_noise",
    "set_up_process",
    "training_defaults",
    "verify_manifest",
    "write_manifest",
]
