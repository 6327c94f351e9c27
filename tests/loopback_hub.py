"""A Hub on the loopback interface: the endpoints that `huggingface_hub` calls, over real HTTP, in memory.

Written after the client's source (huggingface_hub 2.4: `hf_api.py`, `_commit_api.py`, `lfs.py`, `file_download.py`).
Repositories are trees of blobs by commit, large files go through Git LFS, one part or several, and errors carry the
headers by which the client tells them apart. Faults are set as attributes: a quota, or the request at which it dies.
"""

import base64
import hashlib
import json
import re
import socket
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import yaml

LICENSES = ("apache-2.0", "mit", "cc-by-4.0", "bsd-3-clause", "other", "unknown")
TASKS = ("text-generation", "translation", "summarization", "text-classification", "fill-mask")
LARGE = (".safetensors", ".png", ".parquet", ".bin", ".model")
NO_COMMIT = "0" * 40


@dataclass(frozen=True)
class Blob:
    data: bytes
    large: bool

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def oid(self) -> str:
        """What Git calls it; of a large file, its pointer."""
        text = self.data
        if self.large:
            text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(text)}\n".encode()
        return hashlib.sha1(b"blob %d\0" % len(text) + text).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 if self.large else self.oid

    def entry(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "file", "path": path, "size": len(self.data), "oid": self.oid}
        if self.large:
            found["lfs"] = {"oid": self.sha256, "size": len(self.data), "pointerSize": 134}
        return found


@dataclass
class Repo:
    kind: str
    name: str
    private: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    trees: dict[str, dict[str, Blob]] = field(default_factory=lambda: {NO_COMMIT: {}})
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: dict[str, Blob], message: str) -> str:
        parent = self.branches.get(branch, NO_COMMIT)
        text = json.dumps([parent, message, {path: blob.oid for path, blob in sorted(files.items())}])
        oid = hashlib.sha1(text.encode()).hexdigest()
        self.trees[oid], self.branches[branch] = files, oid
        self.messages.append(message)
        return oid

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """What a revision holds, for a test to look at."""
        return {path: blob.data for path, blob in self.trees[self.branches[revision]].items()}


class Refusal(Exception):  # noqa: N818 - a refusal is what the client is told
    """An answer other than 2xx, with the headers that say why."""

    def __init__(self, status: int, message: str, code: str = "", **body: Any) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.body = status, message, code, body


class LoopbackHub:
    """A Hub with two users.

    Attributes:
        tokens: who a token belongs to, and whether it may write.
        organizations: those that a user may write to.
        repos: by kind ("model", "dataset") and name.
        stored: large files by SHA-256.
        requests: "POST /api/repos/create 200" and so on, in order.
        uploads: large files that were received, in order.
        leaks: requests to the storage's host that carried a token.
        quota: bytes of large files that fit; None for any.
        part_size: large files over it are sent in parts.
        dies_at: a pattern of "METHOD /path"; the first request that matches is cut off, and no later one is answered.
    """

    def __init__(self, server: ThreadingHTTPServer | None = None) -> None:
        self.tokens = {"hf_loopbackWRITEsecret": ("me", "write"), "hf_loopbackREADsecret": ("me", "read")}
        self.organizations = {"me": ["team"]}
        self.repos: dict[tuple[str, str], Repo] = {}
        self.stored: dict[str, bytes] = {}
        self.parts: dict[tuple[str, int], bytes] = {}
        self.requests: list[str] = []
        self.uploads: list[str] = []
        self.quota: int | None = None
        self.part_size = 1 << 30
        self.dies_at: str | None = None
        self.dead = False
        self.lock = threading.Lock()
        self.leaks: list[str] = []
        self.server = server or start_server()
        self.server.RequestHandlerClass.hub = self
        self.url = environment_of(self.server)["HF_ENDPOINT"]
        self.storage = f"http://localhost:{self.server.server_port}"  # another host, which must not see a token

    def environment(self, token: str | None = "hf_loopbackWRITEsecret") -> dict[str, str]:
        """What a process needs to take this for the Hub."""
        return environment_of(self.server) | {"HF_TOKEN": token or ""}

    def add(self, kind: str, name: str, files: dict[str, bytes]) -> Repo:
        """A repository that is there from the start."""
        repo = self.repos[kind, name] = Repo(kind, name)
        blobs = {path: Blob(data, path.endswith(LARGE)) for path, data in files.items()}
        self.stored |= {blob.sha256: blob.data for blob in blobs.values() if blob.large}
        repo.commit("main", blobs, "initial commit")
        return repo


def environment_of(server: ThreadingHTTPServer) -> dict[str, str]:
    """What makes programs take a server for the Hub, as far as libraries read it when they are imported."""
    url = f"http://127.0.0.1:{server.server_port}"
    return {"HF_ENDPOINT": url, "HF_HUB_DISABLE_XET": "1", "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}


def start_server() -> ThreadingHTTPServer:
    """A server at a port of its own, which answers for the last `LoopbackHub` that was made with it."""

    class Handler(_Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


KIND = r"/api/(?P<kind>model|dataset)s/(?P<name>[\w.-]+(?:/[\w.-]+)?)"
FILES = r"(?P<prefix>/datasets|)/(?P<name>[\w.-]+(?:/[\w.-]+)?)"
ROUTES = {
    ("GET", r"/api/whoami-v2"): "whoami",
    ("POST", r"/api/validate-yaml"): "validate",
    ("POST", r"/api/repos/create"): "create",
    ("POST", KIND + r"/preupload/(?P<revision>[^/]+)"): "preupload",
    ("POST", KIND + r"/commit/(?P<revision>[^/]+)"): "commit",
    ("POST", KIND + r"/branch/(?P<revision>[^/]+)"): "branch",
    ("POST", KIND + r"/paths-info/(?P<revision>[^/]+)"): "paths_info",
    ("GET", KIND + r"/tree/(?P<revision>[^/]+)(?:/(?P<path>.+))?"): "tree",
    ("GET", KIND + r"/refs"): "refs",
    ("GET", KIND + r"/revision/(?P<revision>[^/]+)"): "info",
    ("GET", KIND): "info",
    ("POST", FILES + r"\.git/info/lfs/objects/batch"): "batch",
    ("PUT", r"/lfs/(?P<sha>\w{64})"): "receive",
    ("PUT", r"/lfs/(?P<sha>\w{64})/part/(?P<part>\d+)"): "receive_part",
    ("POST", r"/lfs/(?P<sha>\w{64})/complete"): "complete",
    ("POST", r"/lfs/verify"): "verify",
    ("GET", r"/cdn/(?P<sha>\w{64})"): "stored",
    ("GET", FILES + r"/resolve/(?P<revision>[^/]+)/(?P<path>.+)"): "resolve",
}


class _Handler(BaseHTTPRequestHandler):
    """Answers by the routes; HEAD is GET without the body."""

    protocol_version = "HTTP/1.1"
    hub: LoopbackHub

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(self.command)

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def _answer(self, method: str) -> None:
        hub, url = self.hub, urlsplit(self.path)
        self.query = parse_qs(url.query)
        if hub.dead or (hub.dies_at and re.search(hub.dies_at, f"{method} {url.path}")):
            hub.dead = self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.body = self._read()
        try:
            status, headers, body = self._route("GET" if method == "HEAD" else method, url.path)
        except Refusal as refusal:
            status = refusal.status
            headers = {"X-Error-Message": refusal.message} | ({"X-Error-Code": refusal.code} if refusal.code else {})
            body = json.dumps({"error": refusal.message} | refusal.body).encode()
        with hub.lock:
            hub.requests.append(f"{method} {url.path} {status}")
            if self.headers.get("Host") in hub.storage and self.headers.get("Authorization"):
                hub.leaks.append(hub.requests[-1])
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if method != "HEAD":
            self.wfile.write(body)

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _route(self, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
        for (verb, pattern), name in ROUTES.items():
            if verb == method and (found := re.fullmatch(pattern, path)):
                values = {key: unquote(value) for key, value in found.groupdict().items() if value is not None}
                with self.hub.lock:
                    answer = getattr(self, f"_{name}")(**values)
                if isinstance(answer, tuple):
                    return answer
                return 200, {}, json.dumps(answer).encode()
        raise Refusal(404, "Sorry, we can't find the page you are looking for.")

    # Who asks, and for what

    def _user(self) -> tuple[str, str] | None:
        words = self.headers.get("Authorization", "").split()
        if not words:
            return None
        if words[-1] not in self.hub.tokens:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return self.hub.tokens[words[-1]]

    def _writer(self, name: str) -> None:
        user = self._user()
        if user is None:
            raise Refusal(401, "Invalid username or password.")
        owner = name.split("/")[0]
        if user[1] != "write":
            raise Refusal(403, "you must use a write token to upload to a repository.")
        if owner not in (user[0], *self.hub.organizations[user[0]]):
            raise Refusal(403, f"You don't have the rights to create a model under the namespace {owner!r}")

    def _repo(self, kind: str, name: str) -> Repo:
        repo, user = self.hub.repos.get((kind, name)), self._user()
        mine = (user[0], *self.hub.organizations[user[0]]) if user else ()
        if repo is None or (repo.private and name.split("/")[0] not in mine):
            raise Refusal(404 if user else 401, "Repository not found", "RepoNotFound")
        return repo

    def _commit_of(self, repo: Repo, revision: str) -> str:
        oid = repo.branches.get(revision, revision)
        if oid not in repo.trees or (revision == "main" and not repo.branches):
            raise Refusal(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return oid

    # The endpoints

    def _whoami(self) -> Any:
        user = self._user()
        if user is None:
            raise Refusal(401, "Invalid username or password.")
        organizations = [{"name": name, "type": "org"} for name in self.hub.organizations[user[0]]]
        token = {"type": "access_token", "accessToken": {"displayName": "tests", "role": user[1]}}
        return {"type": "user", "name": user[0], "orgs": organizations, "auth": token}

    def _validate(self) -> Any:
        errors = card_errors(json.loads(self.body)["content"])
        if errors:
            messages = [{"message": message} for message in errors]
            raise Refusal(400, "Invalid metadata in README.md", errors=messages, warnings=[])
        return {"errors": [], "warnings": []}

    def _create(self) -> Any:
        asked = json.loads(self.body)
        user = self._user()
        owner = asked.get("organization") or (user[0] if user else "")
        name, kind = f"{owner}/{asked['name']}", asked.get("type") or "model"
        self._writer(name)
        answer = {"url": f"{self.hub.url}/{'datasets/' * (kind == 'dataset')}{name}", "name": name}
        if (kind, name) in self.hub.repos:
            raise Refusal(409, f"You already created this {kind} repo", **answer)
        repo = self.hub.repos[kind, name] = Repo(kind, name, asked.get("visibility") == "private")
        repo.commit("main", {".gitattributes": Blob(b"*.safetensors filter=lfs\n", False)}, "initial commit")
        return answer

    def _branch(self, kind: str, name: str, revision: str) -> Any:
        repo = self._repo(kind, name)
        self._writer(name)
        if revision in repo.branches:
            raise Refusal(409, "Reference already exists")
        repo.branches[revision] = repo.branches["main"]
        return {}

    def _preupload(self, kind: str, name: str, revision: str) -> Any:
        repo = self._repo(kind, name)
        self._writer(name)
        tree, files = repo.trees[self._commit_of(repo, revision)], []
        for file in json.loads(self.body)["files"]:
            binary = b"\0" in base64.b64decode(file["sample"])
            mode = "lfs" if file["path"].endswith(LARGE) or binary or file["size"] > 10_000_000 else "regular"
            there = tree.get(file["path"])
            oid = there.etag if there else None
            files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return {"files": files, "commitOid": repo.branches.get(revision)}

    def _batch(self, prefix: str, name: str) -> Any:
        self._writer(name)
        hub, objects = self.hub, []
        asked = json.loads(self.body)["objects"]
        new = sum(file["size"] for file in asked if file["oid"] not in hub.stored)
        if hub.quota is not None and new + sum(map(len, hub.stored.values())) > hub.quota:
            raise Refusal(403, "Private repository storage limit reached, please upgrade your plan")
        for file in asked:
            sha, size = file["oid"], file["size"]
            actions: dict[str, Any] = {"upload": {"href": f"{hub.storage}/lfs/{sha}"}}
            if size > hub.part_size:
                count = -(-size // hub.part_size)
                parts = {str(number): f"{hub.storage}/lfs/{sha}/part/{number}" for number in range(1, count + 1)}
                actions["upload"] = {"href": f"{hub.url}/lfs/{sha}/complete"}
                actions["upload"]["header"] = {"chunk_size": str(hub.part_size)} | parts
            actions["verify"] = {"href": f"{hub.url}/lfs/verify"}
            objects.append({"oid": sha, "size": size} | ({} if sha in hub.stored else {"actions": actions}))
        return {"transfer": "basic", "objects": objects}

    def _keep(self, sha: str, data: bytes) -> Any:
        if hashlib.sha256(data).hexdigest() != sha:
            raise Refusal(400, "Content does not match its hash")
        self.hub.stored[sha] = data
        self.hub.uploads.append(sha)
        return {}

    def _receive(self, sha: str) -> Any:
        return self._keep(sha, self.body)

    def _receive_part(self, sha: str, part: str) -> Any:
        self.hub.parts[sha, int(part)] = self.body
        return 200, {"ETag": f'"{part}"'}, b""

    def _complete(self, sha: str) -> Any:
        numbers = [part["partNumber"] for part in json.loads(self.body)["parts"]]
        return self._keep(sha, b"".join(self.hub.parts.pop((sha, number)) for number in numbers))

    def _verify(self) -> Any:
        if json.loads(self.body)["oid"] not in self.hub.stored:
            raise Refusal(404, "Object not found")
        return {}

    def _commit(self, kind: str, name: str, revision: str) -> Any:
        repo = self._repo(kind, name)
        self._writer(name)
        files = dict(repo.trees[self._commit_of(repo, revision)])
        lines = [json.loads(line) for line in self.body.splitlines()]
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = Blob(base64.b64decode(value["content"]), False)
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.stored:
                    raise Refusal(400, f"Your push was rejected: {value['path']} was not uploaded")
                files[value["path"]] = Blob(self.hub.stored[value["oid"]], True)
            elif line["key"] == "deletedFile":
                files.pop(value["path"])
        oid = repo.commit(revision, files, lines[0]["value"]["summary"])
        return {"success": True, "commitOid": oid, "commitUrl": f"{self.hub.url}/{name}/commit/{oid}"}

    def _info(self, kind: str, name: str, revision: str = "main") -> Any:
        repo = self._repo(kind, name)
        oid = self._commit_of(repo, revision)
        siblings = [{"rfilename": path} for path in sorted(repo.trees[oid])]
        facts = {"id": name, "modelId": name, "sha": oid, "private": repo.private, "gated": False, "disabled": False}
        return facts | {"tags": [], "downloads": 0, "likes": 0, "siblings": siblings}

    def _refs(self, kind: str, name: str) -> Any:
        branches = self._repo(kind, name).branches
        found = [{"name": b, "ref": f"refs/heads/{b}", "targetCommit": oid} for b, oid in branches.items()]
        return {"branches": found, "tags": [], "converts": []}

    def _tree(self, kind: str, name: str, revision: str, path: str = "") -> Any:
        repo = self._repo(kind, name)
        tree = repo.trees[self._commit_of(repo, revision)]
        start = f"{path}/" if path else ""
        inside = {file: blob for file, blob in sorted(tree.items()) if file.startswith(start)}
        if path and not inside:
            raise Refusal(404, f"{path} does not exist on {revision!r}", "EntryNotFound")
        entries: list[Any] = []
        recursive = self.query.get("recursive", [""])[0].lower() == "true"
        for file, blob in inside.items():
            folders = file[len(start) :].split("/")[:-1]
            for depth in range(1, (len(folders) if recursive else min(1, len(folders))) + 1):
                folder = {"type": "directory", "path": start + "/".join(folders[:depth]), "size": 0, "oid": NO_COMMIT}
                entries += [folder] if folder not in entries else []
            entries += [blob.entry(file)] if recursive or not folders else []
        first = int(self.query.get("cursor", ["0"])[0])
        page, rest = entries[first : first + 5], entries[first + 5 :]  # small, so that the client must turn pages
        here = f"{self.hub.url}{quote(urlsplit(self.path).path)}?recursive={recursive}&cursor={first + 5}"
        return 200, {"Link": f'<{here}>; rel="next"'} if rest else {}, json.dumps(page).encode()

    def _paths_info(self, kind: str, name: str, revision: str) -> Any:
        repo = self._repo(kind, name)
        tree = repo.trees[self._commit_of(repo, revision)]
        paths = parse_qs(self.body.decode()).get("paths", [])
        found = [tree[path].entry(path) for path in paths if path in tree]
        folders = [path for path in paths if any(file.startswith(f"{path}/") for file in tree)]
        return found + [{"type": "directory", "path": path, "size": 0, "oid": NO_COMMIT} for path in folders]

    def _resolve(self, prefix: str, name: str, revision: str, path: str) -> Any:
        repo = self._repo("dataset" if prefix else "model", name)
        oid = self._commit_of(repo, revision)
        blob = repo.trees[oid].get(path)
        headers = {"X-Repo-Commit": oid}
        if blob is None:
            text = json.dumps({"error": "Entry not found"}).encode()
            return 404, headers | {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found"}, text
        if blob.large:
            linked = {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.data))}
            return 302, headers | linked | {"Location": f"{self.hub.storage}/cdn/{blob.sha256}"}, b""
        return self._ranged(blob.data, headers | {"ETag": f'"{blob.oid}"'})

    def _stored(self, sha: str) -> Any:
        return self._ranged(self.hub.stored[sha], {"ETag": f'"{sha}"'})

    def _ranged(self, data: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"} | headers
        if not asked:
            return 200, headers, data
        first, last = int(asked[1]), int(asked[2] or len(data) - 1)
        return 206, headers | {"Content-Range": f"bytes {first}-{last}/{len(data)}"}, data[first : last + 1]


def card_errors(text: str) -> list[str]:
    """What the Hub finds wrong with a card's front matter."""
    found = re.match(r"---\n(.*?)\n---", text, re.DOTALL)
    if not found:
        return []
    try:
        data = yaml.safe_load(found[1])
    except yaml.YAMLError:
        return ["Invalid YAML"]
    errors = []
    if (license := data.get("license")) is not None and license not in LICENSES:
        errors.append(f'"license" must be one of [{", ".join(LICENSES)}]')
    if data.get("pipeline_tag") not in (None, *TASKS):
        errors.append('"pipeline_tag" is not one of the Hub\'s tasks')
    languages = data.get("language") or []
    for code in [languages] if isinstance(languages, str) else languages:
        if not isinstance(code, str) or not re.fullmatch(r"[a-z]{2,3}|multilingual|code", code):
            errors.append(f'"language" with value "{code}" is not valid. It must be an ISO 639-1, 639-2 or 639-3 code')
    for key, folder in (("base_model", "models"), ("datasets", "datasets")):
        names = data.get(key) or []
        for name in [names] if isinstance(names, str) else names:
            if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name):
                errors.append(f'"{key}" with value "{name}" is not valid. Use an id from https://hf.co/{folder}.')
    for model in data.get("model-index") or []:
        errors += _result_errors(model)
    return errors


def _result_errors(model: dict[str, Any]) -> list[str]:
    errors = [] if model.get("name") else ['"model-index[0].name" is required']
    for result in model.get("results") or []:
        for key in ("task", "dataset"):
            if not (result.get(key) or {}).get("type"):
                errors.append(f'"model-index[0].results[0].{key}.type" is required')
        if not (result.get("dataset") or {}).get("name"):
            errors.append('"model-index[0].results[0].dataset.name" is required')
        for metric in result.get("metrics") or [{}]:
            if not metric.get("type") or metric.get("value") is None:
                errors.append('"model-index[0].results[0].metrics[0]" needs type and value')
            if not isinstance(metric.get("verified", False), bool) or metric.get("verified"):
                errors.append('"verified" needs a "verifyToken"')
    return errors
