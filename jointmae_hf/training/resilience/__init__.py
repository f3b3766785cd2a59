"""Training that survives interruptions: atomic checkpoints, bitwise resume, signals, non-finite numbers, lost workers.

Nothing here knows about point clouds: it works with any `transformers` model and imports nothing else of this package.
"""

from .callbacks import EpochEndSaveCallback, ManifestCallback
from .checkpoints import CheckpointError, find_last_checkpoint, list_checkpoints, verify_manifest, write_manifest
from .non_finite_check import NonFiniteCheck, NonFiniteError
from .stop_signals import StopSignals
from .trainer import ResilientTrainer
from .watchdog import TracingCollator, Watchdog


__all__ = [
    "CheckpointError",
    "EpochEndSaveCallback",
    "ManifestCallback",
    "NonFiniteCheck",
    "NonFiniteError",
    "ResilientTrainer",
    "StopSignals",
    "TracingCollator",
    "Watchdog",
    "find_last_checkpoint",
    "list_checkpoints",
    "verify_manifest",
    "write_manifest",
]
