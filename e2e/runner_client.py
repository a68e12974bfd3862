"""A runner of one's own (docs/runner-protocol.md), for tests and measurements: started, asked, looked at from outside."""
import http.client
import json
import os
import socket
import subprocess
import time

TIMEOUT = 300  # seconds for one answer; generous, since tests may share a slow machine


def rollup(pid):
    """What the system says of a process: smaps_rollup in bytes: Pss, Pss_Anon, Pss_File, …"""
    sizes = {}
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if len(words) == 3 and words[2] == "kB":
                sizes[words[0].rstrip(":")] = int(words[1]) * 1024
    return sizes


class NotReady(Exception):
    """The runner refused to load; `answer` is its first line."""

    def __init__(self, answer):
        super().__init__(answer.get("error", answer))
        self.answer = answer


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("runner", timeout=TIMEOUT)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Runner:
    """`with Runner(program, model, socket_path, num_ctx=…) as runner:`; leaving it ends the process."""

    def __init__(self, program, model, socket_path, environment=None, log=subprocess.DEVNULL, **flags):
        words = [str(program), "runner", "--model", str(model), "--socket", str(socket_path)]
        for name, value in flags.items():
            if value is not None:
                words += ["--" + name.replace("_", "-"), str(value)]
        self.socket_path = str(socket_path)
        started = time.monotonic()
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment)
        try:
            line = self.process.stdout.readline()
            self.ready_seconds = time.monotonic() - started
            answer = json.loads(line or b'{"error":"the runner said nothing"}')
            if not answer.get("ready"):
                raise NotReady(answer)
            self.ready = answer
            self.load_ns = answer["load_ns"]
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes its standard input, which ends a runner; the exit status."""
        if self.process.stdin:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        if os.path.exists(self.socket_path):
            os.unlink(self.socket_path)
        return self.process.returncode

    def request(self, method, path, body=None):
        """The body of the answer, parsed; a stream (NDJSON) as a list of its lines."""
        connection = Connection(self.socket_path)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"} if data else {})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise AssertionError(f"{method} {path}: status {answer.status}: {text}")
        lines = [json.loads(line) for line in text.split("\n") if line.strip()]
        return lines if path == "/generate" else lines[0]

    def memory(self):
        return self.request("GET", "/memory")

    def fill(self, tokens, sequences=1):
        return self.request("POST", "/debug/fill", {"tokens": tokens, "sequences": sequences})

    def generate(self, prompt, **options):
        """A raw completion; its last line."""
        last = self.request("POST", "/generate", {"prompt": prompt, "raw": True, "options": options})[-1]
        if not last.get("done"):
            raise AssertionError(f"/generate ended with {last}")
        return last

    # What the system says of the process; nothing here asks the runner.

    def rollup(self):
        return rollup(self.process.pid)

    def pss(self):
        return self.rollup()["Pss"]

    def mapped(self, path):
        """PSS of this file's mappings, in bytes."""
        total, inside = 0, False
        with open(f"/proc/{self.process.pid}/smaps", encoding="utf-8") as file:
            for line in file:
                words = line.split(maxsplit=5)
                if not words[0].endswith(":"):
                    inside = len(words) == 6 and words[5].rstrip("\n") == os.path.realpath(path)
                elif inside and words[0] == "Pss:":
                    total += int(words[1]) * 1024
        return total

    def threads(self):
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
