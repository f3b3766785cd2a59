"""Publishing on the Hugging Face Hub."""

from .model_card import card_from_run, render_model_card
from .model_card_facts import ModelCardFacts, TrainingData, facts_from_run
from .publishing import publish


__all__ = ["ModelCardFacts", "TrainingData", "card_from_run", "facts_from_run", "publish", "render_model_card"]
