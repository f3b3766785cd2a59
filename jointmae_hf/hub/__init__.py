"""Publishing on the Hugging Face Hub."""

from .model_card import card_from_run, render_model_card, write_card
from .model_card_facts import ModelCardFacts, TrainingData, facts_from_preset, facts_from_run
from .publishing import finish_run, publish, write_remote_code
from .releasing import add_results, release_checkpoint
from .verification import verify_loads


__all__ = [
    "ModelCardFacts",
    "TrainingData",
    "add_results",
    "card_from_run",
    "facts_from_preset",
    "facts_from_run",
    "finish_run",
    "publish",
    "release_checkpoint",
    "render_model_card",
    "verify_loads",
    "write_card",
    "write_remote_code",
]
