"""Publishing the output folder of a run on the Hub."""

import os
from pathlib import Path

from huggingface_hub import HfApi
from transformers import AutoConfig, AutoModelForPreTraining


PUBLISHED_PATTERNS = ("config.json", "*.safetensors", "preprocessor_config.json", "README.md", "results.json", "*.png")
"""Files of an output folder that travel: no optimizer, no pickle, no logs."""


def publish(
    folder: str | os.PathLike[str], repo_id: str, private: bool | None = None, token: str | None = None
) -> str:
    """Upload a pre-trained model, after checking that it loads.

    Args:
        folder (`str` or `os.PathLike`):
            Output folder of a run.
        repo_id (`str`):
            Repository on the Hub, `"owner/name"`, or `"name"` for your own.
        private (`bool`, *optional*):
            Whether a new repository is private; by default as your account is set.
        token (`str`, *optional*):
            Access token; by default the one you are logged in with.

    Returns:
        `str`: Address of the commit.

    Raises:
        OSError: If the folder holds no loadable model. Nothing has been uploaded then.
    """
    folder = Path(folder)
    AutoModelForPreTraining.from_pretrained(folder, config=AutoConfig.from_pretrained(folder))
    api = HfApi(token=token)
    repository = api.create_repo(repo_id, private=private, exist_ok=True)
    return api.upload_folder(
        repo_id=repository.repo_id,
        folder_path=folder,
        allow_patterns=list(PUBLISHED_PATTERNS),
        ignore_patterns=["checkpoint-*/**"],
        commit_message="Upload a pre-trained Joint-MAE",
    ).commit_url
