"""The server: its storage, its user, and the faults that tests inject."""

import hashlib
import json
import os
import re
import threading
import time
import uuid
from http.server import ThreadingHTTPServer
from pathlib import Path

from .cards import card_tags, front_matter
from .git_objects import HubError, git_oid, lfs_pointer
from .requests import RequestHandler


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


class LoopbackHub:
    """A Hub for one user, `tester`, that stores its repositories in a folder.

    Tests may read `requests`, a list of `(method, path, headers)`, and `repositories`.
    """

    token = "hf_loopback"
    user = "tester"

    def __init__(self, root, port=0, page_size=1000):
        self.root, self.page_size = Path(root), page_size
        for folder in ("blobs", "xorbs"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        self.repositories, self.xet_files, self.xet_by_sha256 = {}, {}, {}
        self.requests, self.faults = [], []
        self.lock = threading.RLock()
        self.server = _Server(("127.0.0.1", port), type("Handler", (RequestHandler,), {"hub": self}))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        # Another host name on purpose: clients must not send the token there.
        self.cdn = f"http://localhost:{self.server.server_address[1]}"

    def environment(self, home, xet=True):
        """Return the environment variables of a client process: endpoint, token and its own cache."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": self.token,
            "HF_HOME": str(home),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_XET": "0" if xet else "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def fault(self, pattern, times=1, **kind):
        """Inject a fault into the next `times` requests whose "METHOD /path" matches the pattern.

        `status=503` sends an error, `drop=True` closes the connection, `truncate=1000` cuts the body, `delay=3` waits;
        `after=True` with `status` or `drop` executes the request first, so that only its answer is lost.
        """
        self.faults.append({"pattern": re.compile(pattern), "times": times, **kind})

    def start(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    __enter__ = start

    def __exit__(self, *_):
        self.stop()

    def find(self, kind, id, user=None, write=False):
        """Return a repository by its name in any case, hidden from users who may not read it."""
        found = (repo for (of, name), repo in self.repositories.items() if of == kind and name.lower() == id.lower())
        repo = next(found, None)
        if repo is None or (repo.private and user is None):
            # The code is required: from a bare 401, huggingface_hub infers a missing repository for https:// only.
            raise HubError(404 if user else 401, "Repository not found", "RepoNotFound")
        if write and user is None:
            raise HubError(401, "Invalid username or password.")
        return repo

    def files(self, id, kind="model", revision=None):
        """Return the content of all files of a repository, for tests."""
        repo = self.find(kind, id, self.user)
        entries = repo.commits[repo.resolve(revision)]["files"]
        paths = {
            name: self.large(e["lfs"]["oid"]) if "lfs" in e else self.blob(e["oid"]) for name, e in entries.items()
        }
        return {name: path.read_bytes() for name, path in paths.items()}

    def blob(self, oid):
        return self.root / "blobs" / oid

    def put(self, path, data):
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        temporary.write_bytes(data)
        os.replace(temporary, path)

    def large(self, sha256):
        """Return the file of a large object; an upload through Xet is rebuilt once, by the real client."""
        path = self.blob(sha256)
        if not path.exists() and sha256 in self.xet_by_sha256:
            import hf_xet

            record = self.xet_files[self.xet_by_sha256[sha256]]
            size = sum(term["unpacked_length"] for term in record["terms"])
            temporary = self.blob(f".{sha256}.{uuid.uuid4().hex}")
            expiry = int(time.time()) + 3600
            session = hf_xet.XetSession().new_file_download_group(
                endpoint=f"{self.url}/xet", token="server", token_expiry_unix_secs=expiry
            )
            with session as group:
                group.start_download_file(hf_xet.XetFileInfo(record["xet"], size), str(temporary))
            if hashlib.sha256(temporary.read_bytes()).hexdigest() != sha256:
                raise HubError(500, "checksum mismatch of a rebuilt file")
            os.replace(temporary, path)
        return path if path.exists() else None

    def entry(self, data):
        """Store a small file, and return its entry."""
        oid = git_oid(b"blob", data)
        self.put(self.blob(oid), data)
        return {"oid": oid, "size": len(data)}

    def lfs_entry(self, sha256, size):
        """Return the entry of a stored large file."""
        pointer = lfs_pointer(sha256, size)
        large = {"oid": sha256, "size": size, "pointerSize": len(pointer)}
        entry = {"oid": git_oid(b"blob", pointer), "size": size, "lfs": large}
        return entry | ({"xetHash": self.xet_by_sha256[sha256]} if sha256 in self.xet_by_sha256 else {})

    def info(self, repo, revision, blobs=False):
        """Return the description of a repository."""
        oid = repo.resolve(revision)
        files = repo.commits[oid]["files"]
        card = front_matter(self.blob(files["README.md"]["oid"]).read_text()) if "README.md" in files else {}
        tags = [*card_tags(card), *(["safetensors"] if "model.safetensors" in files else []), "region:us"]
        description = {
            "_id": hashlib.md5(repo.id.encode()).hexdigest()[:24],
            "id": repo.id,
            "author": repo.id.split("/")[0],
            "sha": oid,
            "lastModified": repo.commits[oid]["date"],
            "createdAt": repo.created,
            "private": repo.private,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": tags,
            "siblings": [_sibling(path, entry, blobs) for path, entry in sorted(files.items())],
            "cardData": card or None,
            "usedStorage": sum(entry["size"] for entry in files.values()),
        }
        if repo.kind == "model":
            description |= self._model_info(repo, files, card)
            tags += ["custom_code"] if "auto_map" in description["config"] else []
        return {key: value for key, value in description.items() if value is not None}

    def _model_info(self, repo, files, card):
        """Return the part of the description that only models have."""
        config = {}
        if "config.json" in files and "lfs" not in files["config.json"]:
            content = json.loads(self.blob(files["config.json"]["oid"]).read_text())
            config = {key: content[key] for key in ("architectures", "model_type", "auto_map") if key in content}
        keys = ("library_name", "pipeline_tag", "model-index")
        return {"modelId": repo.id, "config": config, "spaces": [], **{key: card.get(key) for key in keys}}


def _sibling(path, entry, blobs):
    """Return a file in the description of a repository."""
    sibling = {"rfilename": path}
    if blobs:
        sibling |= {"size": entry["size"], "blobId": entry["oid"]}
        if "lfs" in entry:
            large = entry["lfs"]
            sibling["lfs"] = {"sha256": large["oid"], "size": large["size"], "pointerSize": large["pointerSize"]}
    return sibling
