"""Publishing the output folder of a run on the Hub."""

import os
import re
import tempfile
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi

from jointmae_hf.data.uploading import try_again, upload_in_one_commit

from .model_card import card_from_run
from .published_files import check_contents, stage_files
from .verification import verify_checkpoint


REPLACED_PATTERNS = ("*.safetensors", "*.safetensors.index.json", "*.py")
"""Files of an older upload that would be read together with the new ones: other shards, code that is no more."""

_IMAGE = re.compile(r"!\[[^\]]*\]\((?!https?://)([^)\s]+)\)")


def publish(
    folder: str | os.PathLike[str],
    repo_id: str,
    private: bool | None = None,
    token: str | None = None,
    tag: str | None = None,
) -> str:
    """Upload a model of any of our classes, after checking that it loads with and without this package.

    Configuration, safetensors, processor, card, results and figures travel, with the code of the model; nothing else
    that lies in the folder does. A card that this package wrote and nobody changed is written anew for `repo_id`; a
    missing one is written. The upload is one commit: after a fault it is complete or not there.

    Args:
        folder (`str` or `os.PathLike`):
            Output folder of a run. It is not changed.
        repo_id (`str`):
            Repository on the Hub, `"owner/name"`, or `"name"` for your own.
        private (`bool`, *optional*):
            Whether a new repository is private; by default as your account is set.
        token (`str`, *optional*):
            Access token; by default the one you are logged in with.
        tag (`str`, *optional*):
            Name of this version, such as `"v1.0"`, for `from_pretrained(repo_id, revision="v1.0")`. It must be new.

    Returns:
        `str`: Address of the commit.

    Raises:
        FileNotFoundError: If the folder holds no configuration or no weights.
        OSError: If model or processor do not load.
        RuntimeError: If the model does not load without this package.
        ValueError: If weights are missing, a file tells a token or a path of this machine, the card is not valid or
            shows a picture that is not there, or the tag exists. Nothing has been uploaded then.
        ConnectionError: If the Hub could not be reached several times.
    """
    folder, api = Path(folder).resolve(), HfApi(token=token)
    if "/" not in repo_id:
        repo_id = f"{try_again(api.whoami, 'ask who you are')['name']}/{repo_id}"
    with tempfile.TemporaryDirectory() as temporary:
        staging = Path(temporary, folder.name)
        staging.mkdir()
        paths = stage_files(folder, staging)
        card = staging / "README.md"
        card.write_text(_card(folder, repo_id, tag), encoding="utf-8")
        paths = sorted({*paths, card})
        _check_images(card, paths)
        check_contents(paths)
        model = verify_checkpoint(staging)
        try_again(lambda: api.create_repo(repo_id, private=private, exist_ok=True), f"create {repo_id}")
        if tag is not None:
            _check_tag(api, repo_id, tag)
        message = f"Upload {type(model).__name__}"
        files = {path.name: path for path in paths}
        commit = upload_in_one_commit(api, repo_id, files, message, REPLACED_PATTERNS)
    if tag is not None:
        # The answer may be lost and the tag set: to set it again is no error.
        marked: dict[str, Any] = {"tag": tag, "revision": commit.oid, "exist_ok": True}
        try_again(lambda: api.create_tag(repo_id, **marked), f"tag {repo_id}")
    return commit.commit_url


def _card(folder: Path, repo_id: str, tag: str | None) -> str:
    """Return the card of the folder, as its author left it or anew."""
    path = folder / "README.md"
    written = path.read_text(encoding="utf-8") if path.is_file() else None
    if written is None or written == card_from_run(folder):
        return card_from_run(folder, model_id=repo_id, revision=tag)
    return written


def _check_images(card: Path, paths: list[Path]) -> None:
    """Raise for a picture of the card that does not travel."""
    missing = {*_IMAGE.findall(card.read_text(encoding="utf-8"))} - {path.name for path in paths}
    if missing:
        raise ValueError(f"`folder` must hold the pictures of README.md as .png, got none named {sorted(missing)}.")


def _check_tag(api: HfApi, repo_id: str, tag: str) -> None:
    """Raise if a version of this name has been published."""
    references = try_again(lambda: api.list_repo_refs(repo_id), f"read {repo_id}")
    if tag in {reference.name for reference in references.tags}:
        raise ValueError(f"`tag` must be new, got {tag!r}, which {repo_id} has. A version is never moved.")
