"""Publishing the output folder of a run on the Hub: what is uploaded, the code next to the weights, and the upload."""

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from transformers import TrainingArguments

import jointmae_hf.model
from jointmae_hf.data.uploading import try_again, upload_in_one_commit
from jointmae_hf.model.remote_code import (
    FEATURE_EXTRACTOR_AUTO_MAP,
    add_to_json,
    build_auto_map,
    build_custom_pipelines,
)

from .model_card import card_from_run, write_card
from .verification import check_contents, read_architecture, verify_loads


PUBLISHED_PATTERNS = (
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "preprocessor_config.json",
    "README.md",
    "results.json",
    "CREDITS.md",
    "*.png",
)
"""Files of an output folder that are uploaded together with the code: no optimizer, pickle, log or sub-folder."""

REPLACED_PATTERNS = ("*.safetensors", "*.safetensors.index.json", "*.py", "CREDITS.md")
"""Files of an older upload that do not belong to the new one: other shards, code that was removed, credits of other data."""

_IMAGE = re.compile(r"!\[[^\]]*\]\((?!https?://)([^)\s]+)\)")


def publish(
    folder: str | os.PathLike[str],
    repo_id: str,
    private: bool | None = None,
    token: str | None = None,
    tag: str | None = None,
) -> str:
    """Upload a model, after checking that it loads with and without this package.

    Configuration, safetensors, processor, card, results, figures and the code of the model are uploaded in one commit;
    other files of the folder are not. The card is generated for `repo_id`, unless the folder has one that was edited.

    Args:
        folder (`str` or `os.PathLike`):
            Output folder of a run. It is not changed.
        repo_id (`str`):
            Repository on the Hub, `"owner/name"`, or `"name"` for your own account.
        private (`bool`, *optional*):
            Whether the repository is private; a new one defaults to the setting of your account.
        token (`str`, *optional*):
            Access token; defaults to the one you are logged in with.
        tag (`str`, *optional*):
            New tag for this version, such as `"v1.0"`, for `from_pretrained(repo_id, revision="v1.0")`.

    Returns:
        `str`: URL of the commit.

    Raises:
        FileNotFoundError: If the folder has no configuration or no weights.
        OSError: If model or processor do not load.
        RuntimeError: If the model does not load without this package.
        ValueError: If weights are missing, a file contains a token or a path of this machine, the card is not valid or
            shows a missing figure, the tag exists, or an existing repository is not `private` as asked for. Nothing is
            uploaded then.
        ConnectionError: If the Hub could not be reached in several attempts.
    """
    folder, api = Path(folder).resolve(), HfApi(token=token)
    if "/" not in repo_id:
        repo_id = f"{try_again(api.whoami, 'look up your user name')['name']}/{repo_id}"
    with tempfile.TemporaryDirectory() as temporary:
        staging = Path(temporary, folder.name)
        staging.mkdir()
        stage_files(folder, staging)
        card = staging / "README.md"
        if not _was_edited(card, folder):
            write_card(folder, staging, model_id=repo_id, revision=tag)
        paths = sorted(staging.iterdir())
        _check_images(card, paths)
        check_contents(paths)
        model = verify_loads(staging)
        try_again(lambda: api.create_repo(repo_id, private=private, exist_ok=True), f"create {repo_id}")
        _check_visibility(api, repo_id, private)
        if tag is not None:
            _check_tag(api, repo_id, tag)
        files = {path.name: path for path in paths}
        commit = upload_in_one_commit(api, repo_id, files, f"Upload {type(model).__name__}", REPLACED_PATTERNS)
    if tag is not None:
        # With `exist_ok`, because the first attempt may have set the tag although its answer was lost.
        arguments: dict[str, Any] = {"tag": tag, "revision": commit.oid, "exist_ok": True}
        try_again(lambda: api.create_tag(repo_id, **arguments), f"tag {repo_id}")
    return commit.commit_url


def finish_run(folder: str | os.PathLike[str], training: TrainingArguments, push_to_hub: bool) -> str | None:
    """Write the model card of a run and, if asked to, publish its folder.

    Args:
        folder (`str` or `os.PathLike`):
            Output folder with model, feature extractor and `results.json`.
        training (`transformers.TrainingArguments`):
            Arguments of the run. `hub_model_id` defaults to the name of `output_dir`; `hub_private_repo` and `hub_token` are
            those of [`publish`].
        push_to_hub (`bool`):
            Whether to publish. It is not read from `training`, where it would let the trainer upload every checkpoint.

    Returns:
        `str`, *optional*: URL of the commit if the folder was published.
    """
    folder = Path(folder)
    write_card(folder)
    if not push_to_hub:
        return None
    repo_id = training.hub_model_id or Path(str(training.output_dir)).resolve().name
    return publish(folder, repo_id, private=training.hub_private_repo, token=training.hub_token)


def stage_files(folder: str | os.PathLike[str], staging: str | os.PathLike[str]) -> list[Path]:
    """Collect the files to upload, with the code of the model.

    Args:
        folder (`str` or `os.PathLike`):
            Output folder of a run. It is not changed.
        staging (`str` or `os.PathLike`):
            Empty folder. Weights and figures are linked, other files copied.

    Returns:
        `list[pathlib.Path]`: The files in `staging`.

    Raises:
        FileNotFoundError: If `folder` has no `config.json` or no weights.
        ValueError: If the checkpoint is not of a class of this package.
    """
    folder, staging = Path(folder).resolve(), Path(staging)
    for pattern, what in (("config.json", "a configuration"), ("model*.safetensors", "safetensors weights")):
        if not any(folder.glob(pattern)):
            raise FileNotFoundError(
                f"`folder` must hold {what}, {pattern}, got {folder}. Save with `save_pretrained`."
            )
    for pattern in PUBLISHED_PATTERNS:
        for source in folder.glob(pattern):
            if source.suffix in (".json", ".md"):
                shutil.copyfile(source, staging / source.name)
            else:
                (staging / source.name).symlink_to(source)
    write_remote_code(staging)
    return sorted(staging.iterdir())


def write_remote_code(folder: str | os.PathLike[str]) -> list[Path]:
    """Write the code of the model next to its weights, and reference it in the JSON files.

    The folder then loads with `trust_remote_code=True` where this package is not installed.

    Args:
        folder (`str` or `os.PathLike`):
            Folder with `config.json` and, optionally, `preprocessor_config.json`.

    Returns:
        `list[pathlib.Path]`: The code files.

    Raises:
        ValueError: If `config.json` does not name a class of this package under `architectures`.
    """
    folder = Path(folder)
    architecture = read_architecture(folder)
    entries = {"auto_map": build_auto_map(architecture), "custom_pipelines": build_custom_pipelines(architecture)}
    add_to_json(folder / "config.json", entries)
    processor = folder / "preprocessor_config.json"
    if processor.is_file():
        add_to_json(processor, {"auto_map": FEATURE_EXTRACTOR_AUTO_MAP})
    sources = sorted(Path(jointmae_hf.model.__file__).parent.glob("*.py"))
    return [Path(shutil.copyfile(source, folder / source.name)) for source in sources if source.name != "__init__.py"]


def _was_edited(card: Path, folder: Path) -> bool:
    """Whether there is a card that differs from the generated one of the folder."""
    return card.is_file() and card.read_text(encoding="utf-8") != str(card_from_run(folder))


def _check_images(card: Path, paths: list[Path]) -> None:
    """Raise if the card shows a figure that is not uploaded."""
    missing = {*_IMAGE.findall(card.read_text(encoding="utf-8"))} - {path.name for path in paths}
    if missing:
        raise ValueError(f"`folder` must hold the figures of README.md as .png, got none named {sorted(missing)}.")


def _check_visibility(api: HfApi, repo_id: str, private: bool | None) -> None:
    """Raise if an existing repository is public and `private` is asked for, or the other way round."""
    is_private = try_again(lambda: api.model_info(repo_id), f"read {repo_id}").private if private is not None else None
    if private != is_private:
        raise ValueError(
            f"`private` must be {is_private} for the existing repository {repo_id}, got {private}. Change its visibility on "
            "the Hub first, or publish to another."
        )


def _check_tag(api: HfApi, repo_id: str, tag: str) -> None:
    """Raise if the tag exists."""
    references = try_again(lambda: api.list_repo_refs(repo_id), f"read {repo_id}")
    if tag in {reference.name for reference in references.tags}:
        raise ValueError(f"`tag` must be new, got {tag!r}, which {repo_id} has. Published versions are never moved.")
