"""Requests for files, and for large files with git-LFS and with Xet and its content-addressed store."""

import hashlib
import re
import time
import uuid
from urllib.parse import quote

from .git_objects import HubError
from .xet_format import chunk_offsets, parse_shard


END = 1 << 62


class LargeFileRequests:
    """Mixin of the request handler."""

    def resolve(self, kind, id, revision, path):
        """Redirect to a file, as the Hub does: small files to its own cache, large ones to another host."""
        hub = self.hub
        repo = hub.find(kind, id, self.user)
        oid = repo.resolve(revision)
        entry = repo.commits[oid]["files"].get(path)
        headers = {"X-Repo-Commit": oid}
        if entry is None:
            raise HubError(404, "Entry not found", "EntryNotFound", headers=headers)
        headers["X-Linked-Size"] = str(entry["size"])
        if "lfs" not in entry:
            where = "/".join(quote(part, safe="") for part in path.split("/"))
            headers |= {"Location": f"/api/resolve-cache/{kind}s/{id}/{oid}/{where}", "ETag": f'"{entry["oid"]}"'}
            return self.reply(307, b"", headers)
        sha256 = entry["lfs"]["oid"]
        headers |= {"X-Linked-Etag": f'"{sha256}"', "Location": f"{hub.cdn}/cdn/{sha256}"}
        if "xetHash" in entry:
            token = f'<{hub.url}/api/{kind}s/{id}/xet-read-token/{oid}>; rel="xet-auth"'
            plan = f'<{hub.url}/xet/v1/reconstructions/{entry["xetHash"]}>; rel="xet-reconstruction-info"'
            headers |= {"X-Xet-Hash": entry["xetHash"], "Link": f"{token}, {plan}"}
        return self.reply(302, b"", headers)

    def regular_file(self, kind, id, oid, path):
        entry = self.hub.find(kind, id, self.user).commits[oid]["files"][path]
        self.file(self.hub.blob(entry["oid"]), {"ETag": f'"{entry["oid"]}"', "X-Repo-Commit": oid})

    def route_cdn(self, parts):
        if "Authorization" in self.headers:
            raise HubError(400, "the Hub token was sent to the CDN host")
        self.file(self.hub.large(parts[0]), {"ETag": f'"{parts[0]}"'})

    def lfs_batch(self, _):
        rows = []
        for requested in self.payload()["objects"]:
            oid = requested["oid"]
            rows.append({"oid": oid, "size": requested["size"], "authenticated": True})
            if not self.hub.blob(oid).exists():
                upload = {"href": f"{self.hub.cdn}/lfs/{oid}", "header": {}}
                verify = {"href": f"{self.hub.url}/lfs/{oid}/verify", "header": {}}
                rows[-1]["actions"] = {"upload": upload, "verify": verify}
        self.json({"transfer": "basic", "objects": rows})

    def route_lfs(self, parts):
        path = self.hub.blob(parts[0])
        if self.command == "PUT":
            if hashlib.sha256(self.body).hexdigest() != parts[0]:
                raise HubError(400, "the sha256 of the body differs from the oid")
            self.hub.put(path, self.body)
            return self.reply(200, b"", {"ETag": f'"{parts[0]}"'})
        if not path.exists() or path.stat().st_size != self.payload()["size"]:
            raise HubError(404, "the object is missing or has another size")
        return self.json({"message": "ok"})

    def answer_xet_write_token(self, *_):
        token, expiry, store = uuid.uuid4().hex, int(time.time()) + 3600, f"{self.hub.url}/xet"
        headers = {"X-Xet-Cas-Url": store, "X-Xet-Access-Token": token, "X-Xet-Token-Expiration": str(expiry)}
        self.json({"casUrl": store, "accessToken": token, "exp": expiry}, headers=headers)

    answer_xet_read_token = answer_xet_write_token

    def route_xet(self, parts):
        if self.headers.get("Authorization", "").removeprefix("Bearer ") == self.hub.token:
            raise HubError(400, "the Hub token was sent to the content-addressed store")
        if parts[:2] == ["v1", "xorbs"]:
            return self.answer_xorb(self.hub.root / "xorbs" / parts[3])
        if parts == ["v1", "shards"]:  # clients try v2 first and fall back
            return self.answer_shard()
        if parts[:2] == ["v1", "reconstructions"] and len(parts) == 3:
            return self.answer_reconstruction(parts[2])
        if parts[:1] == ["data"]:
            return self.file(self.hub.root / "xorbs" / parts[1], {})
        raise HubError(404, "Not found")

    def answer_xorb(self, path):
        is_new = not path.exists()
        if self.command != "POST":
            return self.reply(404 if is_new else 200)
        self.hub.put(path, self.body)
        return self.json({"was_inserted": is_new})

    def answer_shard(self):
        with self.hub.lock:
            for file in parse_shard(self.body):
                if any(not (self.hub.root / "xorbs" / term["hash"]).exists() for term in file["terms"]):
                    raise HubError(400, "the shard names a xorb that was not uploaded")
                self.hub.xet_files[file["xet"]] = file
                if file["sha256"]:
                    self.hub.xet_by_sha256[file["sha256"]] = file["xet"]
        self.json({"result": 1})

    def answer_reconstruction(self, name):
        """Return the chunks of xorbs that make up a file, or the requested range of it."""
        record = self.hub.xet_files.get(name)
        if record is None:
            raise HubError(404, "File not found")
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end = (int(match[1]), int(match[2] or END)) if match else (0, END)
        position, terms, sources, skipped = 0, [], {}, 0
        for term in record["terms"]:
            next_position = position + term["unpacked_length"]
            if next_position > start and position <= end:
                skipped = skipped if terms else start - position
                terms.append(term)
                sources.setdefault(term["hash"], []).append(self.source_of(term))
            position = next_position
        if not terms:
            raise HubError(416, "Range not satisfiable")
        self.json({"offset_into_first_range": skipped, "terms": terms, "fetch_info": sources})

    def source_of(self, term):
        """Return URL and byte range of the chunks of a term."""
        offsets = chunk_offsets((self.hub.root / "xorbs" / term["hash"]).read_bytes())
        chunks = term["range"]
        bytes_ = {"start": offsets[chunks["start"]], "end": offsets[chunks["end"]] - 1}
        return {"range": chunks, "url": f"{self.hub.url}/xet/data/{term['hash']}", "url_range": bytes_}
