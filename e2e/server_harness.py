"""A quipu server for tests: started on a store and a port of its own, and an HTTP client that hides nothing."""
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from cli_harness import model, program

PATIENCE = 120  # seconds; when a test that hangs gives up


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("waited in vain")
        time.sleep(0.01)


class Answer:
    def __init__(self, status, headers, body, framing, interim=()):
        self.status, self.headers, self.body, self.framing, self.interim = status, headers, body, framing, list(interim)

    def header(self, name):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return None

    def json(self):
        return json.loads(self.body)

    def lines(self):
        return [json.loads(line) for line in self.body.splitlines()]  # of bytes: only at \n


class Server:
    """One process of `quipu serve`. `environment` is added to a clean one; `before` words go in front of the command."""

    def __init__(self, folder, environment=None, unix=False, before=()):
        self.folder = pathlib.Path(folder)
        self.models = self.folder / "models"
        self.runtime = self.folder / "run"
        self.runtime.mkdir(mode=0o700, exist_ok=True)
        self.log_path = self.folder / "server.log"
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OLLAMA_", "QUIPU_")) or k == "QUIPU_ISA"}
        host = f"unix://{self.folder}/s" if unix else "127.0.0.1:0"
        clean.update({"HOME": str(self.folder), "XDG_RUNTIME_DIR": str(self.runtime), "TZ": "UTC", "QUIPU_HOST": host,
                      "QUIPU_MODELS": str(self.models)})
        clean.update(environment or {})
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen([*before, program(), "serve"], env=clean, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        self.address = self._wait()

    def _wait(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = re.search(rb"Listening on (\S+)", self.log_path.read_bytes())
            if found:
                text = found.group(1).decode()
                if text.startswith("unix://"):
                    return text[7:]
                host, port = text.rsplit(":", 1)
                return host, int(port)
            if self.process.poll() is not None:
                raise RuntimeError("the server ended: " + self.log_path.read_text())
            time.sleep(0.01)
        raise RuntimeError("the server does not listen: " + self.log_path.read_text())

    def connect(self):
        if isinstance(self.address, str):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(PATIENCE)
            s.connect(self.address)
            return s
        return socket.create_connection(self.address, timeout=PATIENCE)

    @property
    def host(self):
        return "localhost" if isinstance(self.address, str) else f"{self.address[0]}:{self.address[1]}"

    def raw(self, data, head=False):
        with self.connect() as s:
            s.sendall(data)
            return read_answer(s, head)

    def request(self, method, path, body=None, headers=()):
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode()
        lines = [f"{method} {path} HTTP/1.1"]
        given = dict(headers)
        if "Host" not in given:
            lines.append(f"Host: {self.host}")
        lines += [f"{name}: {value}" for name, value in given.items()]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        data = ("\r\n".join(lines) + "\r\nConnection: close\r\n\r\n").encode() + (body or b"")
        return self.raw(data, method == "HEAD")

    def post(self, path, body):
        return self.request("POST", path, body)

    def upload(self, path):
        data = pathlib.Path(path).read_bytes()
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        answer = self.request("POST", f"/api/blobs/{digest}", data)
        assert answer.status in (200, 201), (answer.status, answer.body)
        return digest

    def create(self, name, path, **fields):
        answer = self.post("/api/create", {"model": name, "files": {"model.gguf": self.upload(path)}, **fields})
        assert answer.status == 200 and answer.lines()[-1] == {"status": "success"}, (answer.status, answer.body)
        return answer.lines()

    def runners(self):
        """Pids of this server's runner processes."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    words = (entry / "cmdline").read_bytes().split(b"\0")
                    parent = int(re.search(r"PPid:\s+(\d+)", (entry / "status").read_text()).group(1))
                except (OSError, AttributeError):
                    continue
                if len(words) > 1 and words[1] == b"runner" and parent == self.process.pid:
                    found.append(int(entry.name))
        return found

    def log_text(self):
        return self.log_path.read_text()

    def stop(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self.log.close()
        return status


def read_answer(s, head=False):
    """One answer from a socket, in pieces as HTTP/1.1 has them."""
    data = b""

    def more():
        nonlocal data
        piece = s.recv(65536)
        data += piece
        return bool(piece)

    interim = []
    while True:
        while b"\r\n\r\n" not in data:
            if not more():
                return Answer(None, [], data, "none", interim)
        text, data = data.split(b"\r\n\r\n", 1)
        lines = text.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        if status < 200:
            interim.append(lines[0])
            continue
        break
    headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
    named = {name.lower(): value for name, value in headers}
    if head or status in (204, 304):
        return Answer(status, headers, b"", "none", interim)
    if named.get("transfer-encoding") == "chunked":
        body = b""
        while True:
            while b"\r\n" not in data:
                if not more():
                    return Answer(status, headers, body, "cut", interim)
            size, data = data.split(b"\r\n", 1)
            size = int(size.split(b";")[0], 16)
            while len(data) < size + 2:
                if not more():
                    return Answer(status, headers, body + data, "cut", interim)
            body, data = body + data[:size], data[size + 2:]
            if size == 0:
                return Answer(status, headers, body, "chunked", interim)
    if "content-length" in named:
        size = int(named["content-length"])
        while len(data) < size and more():
            pass
        return Answer(status, headers, data[:size], "length", interim)
    while more():
        pass
    return Answer(status, headers, data, "close", interim)


class ServerTest(unittest.TestCase):
    """Each test gets a folder; server() starts one there. Nothing may be left of it afterwards."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="qsrv-", dir="/tmp"))
        self.servers = []

    def server(self, **environment):
        unix, before = environment.pop("unix", False), environment.pop("before", ())
        s = Server(self.folder, environment, unix, before)
        self.servers.append(s)
        return s

    def smol(self, server, name="smol", **parameters):
        parameters = {"num_ctx": 512, "temperature": 0, "seed": 1, "num_predict": 24, **parameters}
        return server.create(name, model(), parameters=parameters)

    def tearDown(self):
        left = []
        for s in self.servers:
            pids = s.runners()
            s.stop()
            deadline = time.monotonic() + 10
            while any(os.path.exists(f"/proc/{pid}") for pid in pids) and time.monotonic() < deadline:
                time.sleep(0.02)
            left += [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
        entries = list((self.folder / "run").rglob("*")) if (self.folder / "run").exists() else []
        shutil.rmtree(self.folder, ignore_errors=True)
        self.assertEqual(left, [], "runners were left")
        self.assertEqual(entries, [], "sockets were left")
