"""A local stand-in of the Hugging Face Hub, with as much of its HTTP interface as models need."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_secret_of_the_test"


@dataclass
class StandIn:
    """Repositories with the files of each of their commits."""

    address: str = ""
    commits: dict[str, list[tuple[str, dict[str, bytes]]]] = field(default_factory=dict)
    """Name and files of each commit, by repository."""
    private: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)
    """Methods and paths of the requests."""
    sizes: dict[str, int] = field(default_factory=dict)
    """Sizes that are claimed for files."""
    lines: list[dict[str, object]] = field(default_factory=list)
    """Lines of the last commit."""

    def commit(self, repository: str, files: dict[str, bytes]) -> str:
        """Add a commit with files beside the former ones and return its name."""
        there = self.commits.setdefault(repository, [])
        whole = {**(there[-1][1] if there else {}), **files}
        return self.set(repository, whole)

    def set(self, repository: str, files: dict[str, bytes]) -> str:
        """Add a commit with these files alone and return its name."""
        there = self.commits.setdefault(repository, [])
        name = hashlib.sha1(f"{repository} {len(there)}".encode()).hexdigest()
        there.append((name, files))
        return name

    def files(self, repository: str, revision: str = "main") -> dict[str, bytes] | None:
        """Return the files of a revision, None if there is none."""
        there = self.commits.get(repository, [])
        if revision == "main":
            return there[-1][1] if there else None
        return next((files for name, files in there if name == revision), None)


class Handler(BaseHTTPRequestHandler):
    """Answers of the stand-in."""

    hub: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        """Answer with the facts of a file."""
        self._file()

    def do_GET(self) -> None:
        """Answer with a file."""
        if urlsplit(self.path).path.startswith("/elsewhere/"):
            content = self._elsewhere()
            self._answer(200, content, {"ETag": _etag(content)})
        else:
            self._file()

    def do_POST(self) -> None:
        """Answer a request of the interface."""
        path = urlsplit(self.path).path
        self.hub.asked.append(f"POST {path}")
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length) if length else self._chunks()
        if path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json({"error": "Invalid credentials"}, 401)
        elif path == "/api/repos/create":
            self._create(json.loads(content))
        elif "/preupload/" in path:
            files = [
                {"path": each["path"], "uploadMode": "regular", "shouldIgnore": False}
                for each in json.loads(content)["files"]
            ]
            self._json({"files": files})
        elif "/commit/" in path:
            self._commit(path.split("/commit/")[0].removeprefix("/api/models/"), content)
        else:
            self._json({"error": "unknown"}, 404)

    def _chunks(self) -> bytes:
        found = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        return found

    def _create(self, asked: dict[str, object]) -> None:
        organization = asked.get("organization")
        name = f"{organization}/{asked['name']}" if organization else str(asked["name"])
        code = 409 if name in self.hub.commits else 200
        self.hub.commits.setdefault(name, [])
        if asked.get("private") or asked.get("visibility") == "private":
            self.hub.private.add(name)
        self._json({"url": f"{self.hub.address}/{name}", "name": name}, code)

    def _commit(self, repository: str, content: bytes) -> None:
        self.hub.lines = [json.loads(line) for line in content.splitlines() if line.strip()]
        files = dict(self.hub.files(repository) or {})
        for line in self.hub.lines:
            value: dict[str, str] = line["value"]  # type: ignore[assignment]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "deletedFile":
                del files[value["path"]]
        name = self.hub.set(repository, files)
        url = f"{self.hub.address}/{repository}/commit/{name}"
        self._json({"success": True, "commitOid": name, "commitUrl": url, "hookOutput": ""})

    def _file(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {path}")
        before, _, after = path.partition("/resolve/")
        repository, (revision, _, file) = before.strip("/"), after.partition("/")
        allowed = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repository not in self.hub.commits or (repository in self.hub.private and not allowed):
            self._error(401, "RepoNotFound")
            return
        files = self.hub.files(repository, revision)
        if files is None:
            code = "RevisionNotFound" if self.hub.commits[repository] else "EntryNotFound"
            self._error(404, code)
            return
        if file not in files:
            self._error(404, "EntryNotFound")
            return
        there = self.hub.commits[repository]
        commit = there[-1][0] if revision == "main" else revision
        content = files[file]
        size = self.hub.sizes.get(file, len(content))
        headers = {"ETag": _etag(content), "X-Repo-Commit": commit, "X-Linked-Size": str(size)}
        if file.endswith(".safetensors"):  # large files lie on another server
            headers |= {"X-Linked-Etag": _etag(content)}
            other = self.hub.address.replace("127.0.0.1", "localhost")
            headers |= {"Location": f"{other}/elsewhere/{repository}/{commit}/{file}"}
            self._answer(302, b"", headers)
        else:
            self._answer(200, content, headers)

    def _elsewhere(self) -> bytes:
        path = unquote(urlsplit(self.path).path).removeprefix("/elsewhere/")
        self.hub.asked.append(f"GET /elsewhere/{path}")
        owner, name, commit, file = path.split("/", 3)
        return (self.hub.files(f"{owner}/{name}", commit) or {})[file]

    def _error(self, status: int, code: str) -> None:
        self._answer(status, b"", {"X-Error-Code": code, "X-Error-Message": "no"})

    def _json(self, values: object, status: int = 200) -> None:
        headers = {"Content-Type": "application/json"}
        self._answer(status, json.dumps(values).encode(), headers)

    def _answer(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _etag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'


@contextmanager
def running() -> Iterator[StandIn]:
    """Run a stand-in on this machine until the block ends."""
    hub = StandIn()
    handler = type("Answers", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
