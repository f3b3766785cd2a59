"""Requests that change a repository: branches, tags, and commits with their preupload."""

import base64
import fnmatch
import json
import re

from .git_objects import HubError
from .repository_requests import PREFIX


LARGE_SIZE = 10 * 1024 * 1024


class WriteRequests:
    """Mixin of the request handler."""

    def answer_branch(self, repo, rest):
        name = "/".join(rest)
        if self.command == "DELETE":
            if name == "main":
                raise HubError(403, "Cannot delete refs/heads/main")
            if repo.branches.pop(name, None) is None:
                raise HubError(404, f"Invalid rev id: {name}", "RevisionNotFound")
        elif name in repo.branches:
            raise HubError(409, f"Reference refs/heads/{name} already exists")
        else:
            repo.branches[name] = repo.resolve(self.payload().get("startingPoint"))
        self.reply(200, b"OK")

    def answer_tag(self, repo, rest):
        if self.command == "DELETE":
            if repo.tags.pop("/".join(rest), None) is None:
                raise HubError(404, "Tag does not exist", "RevisionNotFound")
            return self.reply(200, b"OK")
        name, target = self.payload()["tag"], repo.resolve("/".join(rest))
        if not re.fullmatch(r"[\w./+-]+", name) or ".." in name:
            raise HubError(400, f"Invalid tag name: {name}")
        if name in repo.tags:
            raise HubError(409, f"Tag reference exists already: refs/tags/{name}")
        repo.tags[name] = target
        return self.reply(200, b"OK")

    def answer_preupload(self, repo, rest):
        """Classify files as large by the patterns of `.gitattributes`, their size, or a zero byte."""
        payload = self.payload()
        files = repo.commits[repo.resolve("/".join(rest))]["files"]
        attributes = self.hub.blob(files[".gitattributes"]["oid"]).read_text() if ".gitattributes" in files else ""
        large = [line.split()[0] for line in attributes.splitlines() if "filter=lfs" in line]
        rows = []
        for file in payload["files"]:
            path, sample = file["path"], base64.b64decode(file.get("sample", ""))
            is_large = _matches(path, large) or file["size"] > LARGE_SIZE or b"\0" in sample
            rows.append({"path": path, "uploadMode": "lfs" if is_large else "regular", "shouldIgnore": False})
            if entry := files.get(path):
                rows[-1]["oid"] = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        self.json({"files": rows, "commitOid": repo.resolve("main")})

    def answer_commit(self, repo, rest):
        revision = "/".join(rest) or "main"
        is_branch = revision.removeprefix("refs/heads/") in repo.branches
        if not is_branch and revision.removeprefix("refs/pr/") not in repo.pull_requests:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        header, *operations = [json.loads(line) for line in self.body.splitlines() if line.strip()]
        header, parent = header["value"], repo.resolve(revision)
        if header.get("parentCommit") and not parent.startswith(header["parentCommit"]):
            raise HubError(412, "The branch was updated since you opened this page. Please refresh and try again.")
        files = dict(repo.commits[parent]["files"])
        for operation in operations:
            self.apply(operation["key"], operation["value"], files)
        url, answer = f"{self.hub.url}/{PREFIX[repo.kind]}{repo.id}", {}
        if self.flag("create_pr"):
            number = len(repo.pull_requests) + 1
            revision, answer = f"refs/pr/{number}", {"pullRequestUrl": f"{url}/discussions/{number}"}
        oid = repo.commit(revision, files, header["summary"], header.get("description", ""), self.user, parent)
        self.json({"success": True, "commitOid": oid, "hookOutput": "", "commitUrl": f"{url}/commit/{oid}", **answer})

    def apply(self, key, value, files):
        """Apply one operation of a commit to the files of its parent."""
        path = value["path"]
        if path.startswith(("/", "..\\")) or {"..", ".git"} & set(path.split("/")):
            raise HubError(422, f"Invalid path: {path}")
        if key == "file":
            is_encoded = value.get("encoding") == "base64"
            files[path] = self.hub.entry(
                base64.b64decode(value["content"]) if is_encoded else value["content"].encode()
            )
        elif key == "lfsFile":
            source = self.hub.large(value["oid"])
            if source is None:  # the client commits before it uploads
                raise HubError(400, f"LFS pointer pointed to a file that does not exist: {value['oid']}")
            files[path] = self.hub.lfs_entry(value["oid"], source.stat().st_size)
        elif key in ("deletedFile", "deletedFolder"):
            folder = f"{path.rstrip('/')}/"
            gone = [name for name in files if name.startswith(folder) or (key == "deletedFile" and name == path)]
            if not gone:
                raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
            for name in gone:
                del files[name]
        else:
            raise HubError(400, f"unknown operation {key}")


def _matches(path, patterns):
    return any(fnmatch.fnmatch(path, pattern) or fnmatch.fnmatch(path.split("/")[-1], pattern) for pattern in patterns)
