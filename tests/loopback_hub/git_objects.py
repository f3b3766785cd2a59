"""Objects of a repository: blobs, trees, commits and references, with the hashes of git."""

import datetime
import hashlib
import time


class HubError(Exception):
    """An error response, with the code that huggingface_hub maps to an exception."""

    def __init__(self, status, message, code=None, body=None, headers=None):
        super().__init__(message)
        self.status, self.message, self.code, self.body, self.headers = status, message, code, body, headers or {}


def git_oid(kind, data):
    """Return the hash of a git object."""
    return hashlib.sha1(kind + b" %d\0" % len(data) + data).hexdigest()


def lfs_pointer(sha256, size):
    """Return the pointer that git stores instead of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def tree_oid(files):
    """Return the hash of the git tree of a flat `{path: entry}`."""
    here, folders = {}, {}
    for path, entry in files.items():
        head, _, rest = path.partition("/")
        if rest:
            folders.setdefault(head, {})[rest] = entry
        else:
            here[head] = entry["oid"]
    items = [(name, b"100644", oid) for name, oid in here.items()]
    items += [(f"{name}/", b"40000", tree_oid(inside)) for name, inside in folders.items()]
    rows = [mode + b" " + name.rstrip("/").encode() + b"\0" + bytes.fromhex(oid) for name, mode, oid in sorted(items)]
    return git_oid(b"tree", b"".join(rows))


def now():
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Repository:
    """Commits, each with all files of its tree as `{path: entry}`, and the references to them."""

    def __init__(self, kind, id, private=False):
        self.kind, self.id, self.private, self.created = kind, id, private, now()
        self.commits, self.branches, self.tags, self.pull_requests = {}, {}, {}, {}

    def resolve(self, revision):
        """Return the hash of the commit of a branch, tag, pull request or abbreviated hash."""
        revision = revision or "main"
        for prefix, table in (("refs/heads/", self.branches), ("refs/tags/", self.tags)):
            for key in (revision, revision.removeprefix(prefix)):
                if key in table:
                    return table[key]
        if revision.removeprefix("refs/pr/") in self.pull_requests and revision.startswith("refs/pr/"):
            return self.pull_requests[revision.removeprefix("refs/pr/")]
        found = [oid for oid in self.commits if len(revision) >= 7 and oid.startswith(revision)]
        if len(found) == 1:
            return found[0]
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def commit(self, revision, files, title, message="", user="tester", parent=None):
        """Add a commit, and move a branch or pull request to it."""
        header = f"tree {tree_oid(files)}\n" + (f"parent {parent}\n" if parent else "")
        raw = f"{header}author {user} {time.time_ns()}\n\n{title}\n\n{message}".encode()
        oid = git_oid(b"commit", raw)
        authors = [{"user": user}]
        fields = {"id": oid, "parent": parent, "title": title, "message": message, "date": now()}
        self.commits[oid] = {**fields, "authors": authors, "files": files}
        if revision.startswith("refs/pr/"):
            self.pull_requests[revision.removeprefix("refs/pr/")] = oid
        else:
            self.branches[revision.removeprefix("refs/heads/")] = oid
        return oid

    def history(self, revision=None):
        """Yield the commits, newest first."""
        oid = self.resolve(revision)
        while oid:
            yield self.commits[oid]
            oid = self.commits[oid]["parent"]
