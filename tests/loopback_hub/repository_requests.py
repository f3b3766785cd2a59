"""Requests that create, delete and list repositories, and that read their history and trees."""

from urllib.parse import parse_qs

from .cards import check_card
from .git_objects import HubError, Repository, tree_oid


PREFIX = {"model": "", "dataset": "datasets/", "space": "spaces/"}
LARGE = """
7z arrow bin bz2 ckpt ftz gz h5 joblib mlmodel model msgpack npy npz onnx ot parquet pb pickle pkl pt pth rar safetensors
tar tflite tgz wasm xz zip zst
"""
# The Hub adds this file to every new repository; its patterns are stored as large files.
GITATTRIBUTES = "".join(f"*.{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in LARGE.split()).encode()


class RepositoryRequests:
    """Mixin of the request handler."""

    def whoami(self):
        if not self.user:
            raise HubError(401, "Invalid username or password.")
        token = {"displayName": "loopback", "role": "write"}
        auth = {"type": "access_token", "accessToken": token}
        names = {"name": self.user, "fullname": self.user, "email": None}
        self.json({"type": "user", "id": "0" * 24, **names, "orgs": [], "auth": auth})

    def validate_yaml(self):
        errors, warnings = check_card(self.payload()["content"])
        status = 400 if errors else 200
        if self.headers.get("Accept") == "text/plain":
            text = "\n".join(f"- Error: {error['message']}" for error in errors)
            return self.reply(status, text.encode(), {"Content-Type": "text/plain"})
        return self.json({"errors": errors, "warnings": warnings}, status)

    def change_repositories(self, what):
        """Create or delete a repository."""
        hub, payload = self.hub, self.payload()
        if not self.user:
            raise HubError(401, "Invalid username or password.")
        kind = payload.get("type") or "model"
        owner = payload.get("organization") or self.user
        id = f"{owner}/{payload['name']}"
        with hub.lock:
            if what == "delete":
                del hub.repositories[kind, hub.find(kind, id, self.user, write=True).id]
                return self.reply(200, b"OK")
            if owner != self.user:
                raise HubError(403, f'You don\'t have the rights to create a {kind} under the namespace "{owner}"')
            url = f"{hub.url}/{PREFIX[kind]}{id}"
            if (kind, id) in hub.repositories:
                message = f"You already created this {kind} repo"
                raise HubError(409, message, body={"error": message, "url": url})
            private = payload.get("private", False) or payload.get("visibility") == "private"
            repo = hub.repositories[kind, id] = Repository(kind, id, private)
            repo.commit("main", {".gitattributes": hub.entry(GITATTRIBUTES)}, "initial commit", user=self.user)
            return self.json({"url": url, "name": id, "id": repo.created, "private": private})

    def list_repositories(self, kind):
        wanted = self.query.get("filter", []) + self.query.get("library", []) + self.query.get("pipeline_tag", [])
        search = self.query.get("search", [""])[0].lower()
        found = []
        for (of, id), repo in sorted(self.hub.repositories.items()):
            if of != kind or (repo.private and self.user is None):
                continue
            info = self.hub.info(repo, "main")
            is_owned = self.query.get("author", [info["author"]])[0] == info["author"]
            if all(tag in info["tags"] for tag in wanted) and search in id.lower() and is_owned:
                found.append(info)
        self.page(found)

    def tree_items(self, repo, oid, under="", recursive=True):
        """Return the files and folders below a folder."""
        files, items, seen = repo.commits[oid]["files"], [], set()
        base = f"{under.strip('/')}/" if under.strip("/") else ""
        for path, entry in sorted(files.items()):
            if not path.startswith(base):
                continue
            names = path[len(base) :].split("/")
            for depth in range(1, len(names)):
                folder = base + "/".join(names[:depth])
                if folder not in seen and (recursive or depth == 1):
                    seen.add(folder)
                    inside = {p[len(folder) + 1 :]: e for p, e in files.items() if p.startswith(f"{folder}/")}
                    items.append({"type": "directory", "oid": tree_oid(inside), "size": 0, "path": folder})
            if recursive or len(names) == 1:
                items.append({"type": "file", **entry, "path": path})
        if under and not items:
            message = f'{under} does not exist on "{oid}"'
            raise HubError(404, message, "EntryNotFound", headers={"X-Repo-Commit": oid})
        return items

    def with_last_commit(self, repo, oid, item):
        """Return an item with the commit that last changed it."""

        def content(commit):
            path = item["path"]
            return {p: e["oid"] for p, e in commit["files"].items() if p == path or p.startswith(f"{path}/")}

        commit = repo.commits[oid]
        while commit["parent"] and content(repo.commits[commit["parent"]]) == content(commit):
            commit = repo.commits[commit["parent"]]
        safe = {"status": "safe", "avScan": None, "pickleImportScan": None}
        last = {"id": commit["id"], "title": commit["title"], "date": commit["date"]}
        return {**item, "lastCommit": last, **({"securityFileStatus": safe} if item["type"] == "file" else {})}

    def answer_tree(self, repo, rest):
        oid = repo.resolve(rest[0] if rest else None)
        items = self.tree_items(repo, oid, "/".join(rest[1:]), self.flag("recursive"))
        self.page([self.with_last_commit(repo, oid, item) for item in items] if self.flag("expand") else items)

    def answer_paths_info(self, repo, rest):
        if "json" in self.headers.get("Content-Type", ""):
            payload = self.payload()
            paths, expand = payload["paths"], payload.get("expand", False)
        else:  # huggingface_hub posts a form here
            form = parse_qs(self.body.decode())
            paths, expand = form.get("paths", []), form.get("expand", ["false"])[0].lower() == "true"
        oid = repo.resolve(rest[0] if rest else None)
        every = {item["path"]: item for item in self.tree_items(repo, oid)}
        found = [every[path.strip("/")] for path in paths if path.strip("/") in every]
        self.json([self.with_last_commit(repo, oid, item) for item in found] if expand else found)

    def answer_refs(self, repo, _):
        def rows(kind, table):
            return [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid} for name, oid in table.items()]

        answer = {"branches": rows("heads", repo.branches), "converts": [], "tags": rows("tags", repo.tags)}
        if self.flag("include_prs"):
            answer["pullRequests"] = rows("pr", repo.pull_requests)
        self.json(answer)

    def answer_commits(self, repo, rest):
        commits = []
        for commit in repo.history(rest[0] if rest else None):
            commits.append({key: commit[key] for key in ("id", "title", "message", "authors", "date")})
            if "expand[]" in self.query:
                commits[-1]["formatted"] = {"title": commit["title"], "message": commit["message"]}
        self.page(commits)
