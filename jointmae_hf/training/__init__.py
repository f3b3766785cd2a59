"""Pre-training and fine-tuning: a thin layer over `transformers.Trainer`."""

from typing import TYPE_CHECKING

from jointmae_hf.lazy_names import lazy_names


if TYPE_CHECKING:
    from .ablation_run import AblationStudy
    from .ablation_tables import paired_gains, render_ablation
    from .ablations import ABLATIONS, Ablation
    from .callbacks import LossProgressCallback, ReconstructionCallback
    from .demonstration import demonstration_checkpoint
    from .diagnostics import encoder_gradient_norms, reference_losses
    from .finetuning_arguments import FineTuningArguments, build_model, parse_fine_tuning_arguments
    from .finetuning_few_shot import CLASSIFIERS, MeasuredFolds, fine_tune_fold, load_fold, probe_fold
    from .finetuning_parts import part_fields
    from .finetuning_recipes import FINE_TUNING_RECIPES, FineTuningRecipe, PointSampling, choose_recipe
    from .finetuning_run import (
        build_fine_tuning_trainer,
        load_fine_tuning_dataset,
        measure_epochs,
        result_template,
        save_fine_tuned,
        to_results,
        weights_to_measure,
        write_fine_tuning_results,
    )
    from .finetuning_trainer import ClassificationTrainer, SegmentationTrainer
    from .host_memory import disable_malloc_trim
    from .point_cloud_trainer import EVALUATION_EPOCH, PointCloudTrainer
    from .pretraining_run import build_trainer, probe_clouds, save_pretrained, training_defaults
    from .pretraining_trainer import JointMAETrainer, pretraining_noise
    from .processes import check_num_processes, requested_processes, share_out_cores, synchronize_batch_norm
    from .recipes import AUGMENTATIONS, RECIPES, PreTrainingRecipe, Recipe, Setting
    from .resilience import (
        CheckpointError,
        NonFiniteError,
        ResilientTrainer,
        find_last_checkpoint,
        list_checkpoints,
        verify_manifest,
        write_manifest,
    )
    from .script_arguments import DatasetArguments, cloud_titles, default_tracker, set_up_process
    from .study_clock import Deadline, StopAtDeadline, measure_steps_per_minute
    from .study_finetuning import part_fields_of_clouds, run_fine_tuning, training_of_stage
    from .study_pretraining import Study, balanced_weights, export_weights, find_steps_per_minute
    from .study_record import StudyRecord
    from .study_stages import STUDIES, FineTuningStage, PreTrainingStage
    from .visualization_arguments import VisualizationArguments, VisualizationInputs
else:
    __getattr__, __dir__ = lazy_names(__name__, __file__)


__all__ = [
    "ABLATIONS",
    "AUGMENTATIONS",
    "CLASSIFIERS",
    "EVALUATION_EPOCH",
    "FINE_TUNING_RECIPES",
    "RECIPES",
    "STUDIES",
    "Ablation",
    "AblationStudy",
    "CheckpointError",
    "ClassificationTrainer",
    "DatasetArguments",
    "Deadline",
    "FineTuningArguments",
    "FineTuningRecipe",
    "FineTuningStage",
    "JointMAETrainer",
    "LossProgressCallback",
    "MeasuredFolds",
    "NonFiniteError",
    "PointCloudTrainer",
    "PointSampling",
    "PreTrainingRecipe",
    "PreTrainingStage",
    "Recipe",
    "ReconstructionCallback",
    "ResilientTrainer",
    "SegmentationTrainer",
    "Setting",
    "StopAtDeadline",
    "Study",
    "StudyRecord",
    "VisualizationArguments",
    "VisualizationInputs",
    "balanced_weights",
    "build_fine_tuning_trainer",
    "build_model",
    "build_trainer",
    "check_num_processes",
    "choose_recipe",
    "cloud_titles",
    "default_tracker",
    "demonstration_checkpoint",
    "disable_malloc_trim",
    "encoder_gradient_norms",
    "export_weights",
    "find_last_checkpoint",
    "find_steps_per_minute",
    "fine_tune_fold",
    "list_checkpoints",
    "load_fine_tuning_dataset",
    "load_fold",
    "measure_epochs",
    "measure_steps_per_minute",
    "paired_gains",
    "parse_fine_tuning_arguments",
    "part_fields",
    "part_fields_of_clouds",
    "pretraining_noise",
    "probe_clouds",
    "probe_fold",
    "reference_losses",
    "render_ablation",
    "requested_processes",
    "result_template",
    "run_fine_tuning",
    "save_fine_tuned",
    "save_pretrained",
    "set_up_process",
    "share_out_cores",
    "synchronize_batch_norm",
    "to_results",
    "training_defaults",
    "training_of_stage",
    "verify_manifest",
    "weights_to_measure",
    "write_fine_tuning_results",
    "write_manifest",
]
