"""The request handler: reads requests, routes them, injects faults and sends responses."""

import json
import re
import time
import traceback
import uuid
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, quote, unquote, urlsplit

from .git_objects import HubError
from .large_files import LargeFileRequests
from .repository_requests import RepositoryRequests
from .write_requests import WriteRequests


KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
WRITES = ("preupload", "commit", "branch", "tag", "xet-write-token")
HAVE_OWN_TOKENS = (["xet"], ["lfs"], ["cdn"])


class RequestHandler(RepositoryRequests, WriteRequests, LargeFileRequests, BaseHTTPRequestHandler):
    """Handler of one connection; the server sets `hub`."""

    protocol_version, disable_nagle_algorithm, wbufsize = "HTTP/1.1", True, 1 << 16

    def log_message(self, *_):
        """Log nothing, because tests read `hub.requests`."""

    def handle_any(self):
        address = urlsplit(self.path)
        self.parts = [part for part in address.path.split("/") if part]
        self.query = parse_qs(address.query, keep_blank_values=True)
        self.body = self.read_body()
        self.hub.requests.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        self.truncate, self.fault_after = None, None
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.user = self.hub.user if token == self.hub.token else None
        try:
            self.inject_fault()
            if token and self.user is None and self.parts[:1] not in HAVE_OWN_TOKENS:
                raise HubError(401, "Invalid credentials in Authorization header")
            self.route()
        except HubError as error:
            self.answer_error(error)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        except Exception as error:  # show bugs of this server in the test
            traceback.print_exc()
            self.reply(500, repr(error).encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any  # noqa: N815 (names of the base class)

    def inject_fault(self):
        """Apply the first matching fault with remaining `times`."""
        for fault in self.hub.faults:
            if fault["times"] > 0 and fault["pattern"].search(f"{self.command} {self.path}"):
                fault["times"] -= 1
                time.sleep(fault.get("delay", 0))
                self.truncate = fault.get("truncate")
                if fault.get("after"):
                    self.fault_after = fault
                elif fault.get("drop"):
                    raise ConnectionResetError
                elif "status" in fault:
                    raise HubError(fault["status"], "injected fault", headers=fault.get("headers"))
                return

    def answer_error(self, error):
        headers = {"X-Error-Message": error.message, "X-Request-Id": uuid.uuid4().hex, **error.headers}
        if error.code:
            headers["X-Error-Code"] = error.code
        self.json(error.body or {"error": error.message}, error.status, headers)

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def reply(self, status, body=b"", headers=None):
        if fault := self.fault_after:  # the request was executed, but its answer is lost
            self.fault_after = None
            if fault.get("drop"):
                raise ConnectionResetError
            raise HubError(fault["status"], "injected fault")
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            if self.truncate is not None:
                body, self.close_connection = body[: self.truncate], True
            self.wfile.write(body)
        self.wfile.flush()

    def json(self, data, status=200, headers=None):
        headers = {"Content-Type": "application/json; charset=utf-8", **(headers or {})}
        self.reply(status, json.dumps(data).encode(), headers)

    def file(self, path, headers):
        """Send a file or the requested range of it."""
        data, status = path.read_bytes(), 200
        match = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if match and (match[1] or match[2]):
            size = len(data)
            start = int(match[1]) if match[1] else max(0, size - int(match[2]))
            end = min(int(match[2]), size - 1) if match[1] and match[2] else size - 1
            if start >= size:
                raise HubError(416, "Range not satisfiable", headers={"Content-Range": f"bytes */{size}"})
            status, headers = 206, {**headers, "Content-Range": f"bytes {start}-{end}/{size}"}
            data = data[start : end + 1]
        self.reply(status, data, {"Accept-Ranges": "bytes", "Content-Type": "application/octet-stream", **headers})

    def payload(self):
        return json.loads(self.body or b"{}")

    def flag(self, name):
        return self.query.get(name, ["false"])[0].lower() in ("1", "true")

    def page(self, items):
        """Send a page of a list, with the link to the next page."""
        start = int(self.query.get("cursor", ["0"])[0])
        size = min(int(self.query.get("limit", [self.hub.page_size])[0]), self.hub.page_size)
        headers = {}
        if start + size < len(items):
            kept = [f"{name}={quote(values[0])}" for name, values in self.query.items() if name != "cursor"]
            query = "&".join([*kept, f"cursor={start + size}"])
            headers["Link"] = f'<{self.hub.url}{urlsplit(self.path).path}?{query}>; rel="next"'
        self.json(items[start : start + size], headers=headers)

    def route(self):
        parts = self.parts
        first = {"xet": self.route_xet, "lfs": self.route_lfs, "cdn": self.route_cdn, "api": self.route_api}
        if parts and parts[0] in first:
            return first[parts[0]](parts[1:])
        kind = KINDS[parts.pop(0)] if parts and parts[0] in ("datasets", "spaces") else "model"
        if parts[2:] == ["info", "lfs", "objects", "batch"]:
            id = f"{parts[0]}/{parts[1].removesuffix('.git')}"
            return self.lfs_batch(self.hub.find(kind, id, self.user, write="ref" in self.payload()))
        if "resolve" in parts[1:2]:
            raise HubError(404, "Repository not found", "RepoNotFound")  # every repository of this server has an owner
        if len(parts) >= 5 and parts[2] in ("resolve", "raw"):
            path = "/".join(unquote(part) for part in parts[4:])
            return self.resolve(kind, f"{parts[0]}/{parts[1]}", unquote(parts[3]), path)
        raise HubError(404, "Sorry, we can't find the page you are looking for.")

    def route_api(self, parts):
        simple = {"whoami-v2": self.whoami, "validate-yaml": self.validate_yaml}
        if len(parts) == 1 and parts[0] in simple:
            return simple[parts[0]]()
        if parts[:1] == ["repos"]:
            return self.change_repositories(parts[1])
        if parts[:1] == ["resolve-cache"]:
            path = "/".join(unquote(part) for part in parts[5:])
            return self.regular_file(KINDS[parts[1]], f"{parts[2]}/{parts[3]}", parts[4], path)
        if len(parts) == 1 and parts[0] in KINDS:
            return self.list_repositories(KINDS[parts[0]])
        return self.route_repository(parts)

    def route_repository(self, parts):
        if parts and parts[0] in KINDS and (len(parts) == 2 or parts[2:3] in (["revision"], ["tree"], ["refs"])):
            raise HubError(404, "Repository not found", "RepoNotFound")  # no owner
        if len(parts) < 3 or parts[0] not in KINDS:
            raise HubError(404, "Not found")
        verb, rest = parts[3] if len(parts) > 3 else "", [unquote(part) for part in parts[4:]]
        writes = verb in WRITES and not (
            self.flag("create_pr") or rest[:1] == ["None"]
        )  # anyone may open a pull request
        with self.hub.lock:
            repo = self.hub.find(KINDS[parts[0]], f"{parts[1]}/{parts[2]}", self.user, write=writes)
            if verb in ("", "revision"):
                return self.json(self.hub.info(repo, rest[0] if rest else None, self.flag("blobs")))
            answer = getattr(self, f"answer_{verb.replace('-', '_')}", None)
            if answer is None:
                raise HubError(404, "Not found")
            return answer(repo, rest)
