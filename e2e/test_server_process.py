"""The server as a process: where it listens and whom it lets in, how many may wait, and how it ends."""
import json
import os
import pathlib
import signal
import socket
import stat
import subprocess
import threading
import time
import unittest

from cli_harness import program
from server_harness import PATIENCE, ServerTest, read_answer, wait_for

BUSY = "server busy, please try again.  maximum pending requests exceeded"
LONG = {"model": "smol", "prompt": "1 2 3", "raw": True,
        "options": {"num_predict": 3000, "num_ctx": 4096, "repeat_guard": False, "stop": ["<none>"]}}
SHORT = {"model": "smol", "prompt": "The sky is", "stream": False, "options": {"num_predict": 6}}


def post(server, path, body):
    """A request on a connection of its own, whose answer is read later."""
    data = json.dumps(body).encode()
    s = server.connect()
    s.sendall(f"POST {path} HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
    return s


class Queue(ServerTest):
    def test_one_more_than_may_wait(self):
        server = self.server(OLLAMA_NUM_PARALLEL="1", OLLAMA_MAX_QUEUE="2")
        self.smol(server)
        right = server.post("/api/generate", SHORT).json()["response"]
        first = post(server, "/api/generate", LONG)
        self.assertTrue(first.recv(1000).startswith(b"HTTP/1.1 200"))
        waiting = []
        refused = []
        # Two wait, whichever they are; the others are told so at once.
        def ask():
            answer = server.post("/api/generate", SHORT)
            (waiting if answer.status == 200 else refused).append(answer)
        threads = [threading.Thread(target=ask) for _ in range(6)]
        for t in threads:
            t.start()
        wait_for(lambda: len(refused) == 4)
        self.assertEqual([(a.status, a.json()) for a in refused], [(503, {"error": BUSY})] * 4)
        self.assertEqual(server.request("GET", "/api/tags").status, 200)
        self.assertEqual(len(server.request("GET", "/api/ps").json()["models"]), 1)
        self.assertEqual(waiting, [])
        first.close()  # hangs up: the others get its place
        for t in threads:
            t.join(PATIENCE)
        self.assertEqual([(a.status, a.json()["response"]) for a in waiting], [(200, right)] * 2)

    def test_who_hangs_up_waits_no_more(self):
        server = self.server(OLLAMA_NUM_PARALLEL="1", OLLAMA_MAX_QUEUE="1")
        self.smol(server)
        first = post(server, "/api/generate", LONG)
        self.assertTrue(first.recv(1000).startswith(b"HTTP/1.1 200"))
        waiting = lambda: server.request("GET", "/api/ps").json()["models"][0]["quipu"]["waiting"]
        for _ in range(5):
            with post(server, "/api/generate", SHORT):
                wait_for(lambda: waiting() == 1)
            wait_for(lambda: waiting() == 0)
        with post(server, "/api/generate", SHORT) as last:
            wait_for(lambda: waiting() == 1)
            first.close()
            self.assertEqual(read_answer(last).status, 200)


class Connections(ServerTest):
    def test_as_many_as_there_are_files_for(self):
        # The soft limit is raised to the hard one, and some files are kept for models.
        server = self.server(before=("prlimit", "--nofile=100:400"))
        self.smol(server)
        idle = []
        try:
            while len(idle) < 400:
                idle.append(server.connect())
                idle[-1].settimeout(0.02 if len(idle) > 150 else PATIENCE)
                if len(idle) > 150 and self.is_refused(idle[-1]):
                    break
            self.assertIn(len(idle), range(150, 400))
            # Those that are there go on being served, though a model has to be loaded for it.
            body = json.dumps(SHORT).encode()
            idle[0].sendall(f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            self.assertEqual(read_answer(idle[0]).status, 200)
        finally:
            for s in idle:
                s.close()
        wait_for(lambda: self.is_served(server))
        self.assertNotIn("cannot accept", server.log_text())

    @staticmethod
    def is_served(server):
        try:
            return server.request("GET", "/api/tags").status == 200
        except OSError:  # refused, and closed before the question was there
            return False

    @staticmethod
    def is_refused(s):
        """Whether an answer comes though nothing was asked."""
        try:
            return read_answer(s).status == 503
        except TimeoutError:
            return False


class End(ServerTest):
    """A signal ends it: what streams is given a second, everybody who still waits is told, and all runners are gone."""

    STOPPING = {"error": "the server is shutting down"}

    def end(self, server, number=signal.SIGTERM):
        runners = server.runners()
        self.assertEqual(server.stop(number), 0, server.log_text())
        self.assertEqual([pid for pid in runners if os.path.exists(f"/proc/{pid}")], [])
        self.assertEqual(list(server.runtime.rglob("*")), [])

    def answers(self, sockets):
        """Reads what comes on each, as clients do, while something else happens."""
        got = [None] * len(sockets)
        def read(i):
            with sockets[i]:
                got[i] = read_answer(sockets[i])
        threads = [threading.Thread(target=read, args=(i,)) for i in range(len(sockets))]
        for t in threads:
            t.start()
        yield
        for t in threads:
            t.join(PATIENCE)
        yield got

    def while_answers_stream(self, number):
        server = self.server(OLLAMA_NUM_PARALLEL="2")
        self.smol(server)
        streams = [post(server, "/api/generate", LONG) for _ in range(2)]
        for s in streams:
            s.recv(1, socket.MSG_PEEK)
        waiting = [post(server, "/api/generate", SHORT),
                   post(server, "/api/chat", {"model": "smol", "messages": [{"role": "user", "content": "Hi"}]})]
        clients = self.answers(streams + waiting)
        next(clients)
        wait_for(lambda: server.request("GET", "/api/ps").json()["models"][0]["quipu"]["waiting"] == len(waiting))
        with server.connect():  # somebody who asks nothing
            self.end(server, number)
            answers = next(clients)
        for answer in answers[:2]:
            self.assertEqual((answer.status, answer.framing), (200, "chunked"))
            self.assertEqual(answer.lines()[-1], self.STOPPING)
            self.assertTrue(all(line["response"] for line in answer.lines()[:-1]))
        for answer in answers[2:]:
            self.assertEqual((answer.status, answer.json()), (503, self.STOPPING))

    def test_while_answers_stream(self):
        self.while_answers_stream(signal.SIGTERM)

    def test_interrupted_while_answers_stream(self):
        self.while_answers_stream(signal.SIGINT)

    def test_a_short_answer_is_let_finish(self):
        server = self.server()
        self.smol(server)
        right = server.post("/api/generate", SHORT).json()["response"]
        s = post(server, "/api/generate", {**SHORT, "stream": True})
        s.recv(1, socket.MSG_PEEK)
        clients = self.answers([s])
        next(clients)
        self.end(server)
        answer, = next(clients)
        self.assertEqual(answer.status, 200)
        if answer.lines()[-1] != self.STOPPING:  # it was quick enough
            self.assertEqual("".join(line["response"] for line in answer.lines()), right)

    def test_with_nothing_to_do(self):
        server = self.server()
        self.smol(server)
        server.post("/api/generate", SHORT)
        self.assertEqual(len(server.runners()), 1)
        self.end(server)

    def test_while_a_model_loads(self):
        server = self.server()
        self.smol(server)
        clients = self.answers([post(server, "/api/generate", SHORT)])
        next(clients)
        self.end(server)
        answer, = next(clients)
        self.assertIn(answer.status, (200, 503, None))  # it may have been just in time, or too late to be read
        self.assertNotEqual(answer.framing, "cut")

    def test_its_end_is_its_runners_end(self):
        server = self.server()
        self.smol(server)
        server.post("/api/generate", SHORT)
        runner, = server.runners()
        server.stop(signal.SIGKILL)
        wait_for(lambda: not os.path.exists(f"/proc/{runner}"))
        for left in server.runtime.iterdir():  # nobody was left to remove it
            self.assertEqual(list(left.iterdir()), [])
            left.rmdir()


class Access(ServerTest):
    """Who is let in, over the real program."""

    def get(self, server, path="/api/tags", method="GET", **headers):
        return server.request(method, path, headers=[(name.replace("_", "-"), value) for name, value in headers.items()])

    def test_hosts_and_origins(self):
        server = self.server(OLLAMA_ORIGINS="https://friend.example,https://*.wide.example")
        for host in ("localhost", "localhost:99", "127.0.0.1", "10.1.2.3", "192.168.0.7:80", "[::1]:5", "box.local", "a.localhost",
                     "x.internal", socket.gethostname()):
            self.assertEqual(self.get(server, Host=host).status, 200, host)
        for host in ("evil.example", "localhost.evil.example", "8.8.8.8", "127.0.0.1.evil.example"):
            for method, path in (("GET", "/"), ("GET", "/api/tags"), ("POST", "/api/show"), ("OPTIONS", "/api/chat"), ("GET", "/nothing")):
                answer = self.get(server, path, method, Host=host)
                self.assertEqual((answer.status, answer.body), (403, b""), (host, path))
        for origin in ("http://localhost", "http://127.0.0.1:3000", "vscode-webview://abc", "https://friend.example", "https://a.wide.example"):
            answer = self.get(server, Origin=origin)
            self.assertEqual((answer.status, answer.header("Access-Control-Allow-Origin"), answer.header("Vary")), (200, origin, "Origin"))
            preflight = self.get(server, "/api/chat", "OPTIONS", Origin=origin)
            self.assertEqual((preflight.status, preflight.header("Access-Control-Max-Age")), (204, "43200"))
        for origin in ("https://evil.example", "http://localhost.evil.example", "https://friend.example.evil", "null"):
            for method in ("GET", "OPTIONS", "POST"):
                answer = self.get(server, "/api/tags", method, Origin=origin)
                self.assertEqual((answer.status, answer.body), (403, b""), (origin, method))

    def test_any_host_where_it_listens_to_all(self):
        server = self.server(QUIPU_HOST="0.0.0.0:0")
        server.address = ("127.0.0.1", server.address[1])
        self.assertEqual(self.get(server, Host="box.example").status, 200)
        self.assertEqual(self.get(server, Origin="https://evil.example").status, 403)
        self.assertIn("QUIPU_API_KEY", server.log_text())  # it says what that means

    def test_unix_socket_and_key(self):
        server = self.server(unix=True, QUIPU_API_KEY="sesame")
        path = pathlib.Path(server.address)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        for open_to_all in ("/", "/health"):
            self.assertEqual(self.get(server, open_to_all).status, 200)
        for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer sesame2"}, {"Authorization": "Bearer sesam"},
                      {"Authorization": "Basic sesame"}, {"Authorization": "sesame"}, {"Authorization": "Bearer "}):
            for method, route in (("GET", "/api/tags"), ("GET", "/api/version"), ("POST", "/api/chat"), ("DELETE", "/api/delete"),
                                  ("POST", "/api/blobs/sha256:" + "0" * 64)):
                answer = self.get(server, route, method, **given)
                self.assertEqual(answer.status, 401, (given, route))
                self.assertEqual(list(answer.json()), ["error"])
        for given in ("Bearer sesame", "bearer sesame"):
            self.assertEqual(self.get(server, Authorization=given).json(), {"models": []})
        self.assertNotIn("sesame", server.log_text())

        # The commands, and curl, as their users have them.
        environment = {**os.environ, "QUIPU_HOST": f"unix://{path}", "HOME": str(self.folder)}
        environment.pop("QUIPU_API_KEY", None)
        without = subprocess.run([program(), "list"], env=environment, capture_output=True, encoding="utf-8", timeout=PATIENCE, check=False)
        self.assertEqual((without.returncode, without.stdout), (1, ""))
        self.assertRegex(without.stderr, r"\AError: .*QUIPU_API_KEY.*\n\Z")
        fine = subprocess.run([program(), "list"], env={**environment, "QUIPU_API_KEY": "sesame"}, capture_output=True, encoding="utf-8",
                              timeout=PATIENCE, check=False)
        self.assertEqual((fine.returncode, fine.stderr), (0, ""))
        curl = subprocess.run(["curl", "-sS", "--unix-socket", str(path), "-H", "Authorization: Bearer sesame", "http://localhost/api/tags"],
                              capture_output=True, timeout=PATIENCE, check=True)
        self.assertEqual(json.loads(curl.stdout), {"models": []})
        self.assertEqual(server.stop(), 0)
        self.assertFalse(path.exists())

    def test_a_socket_that_was_left_and_one_that_is_in_use(self):
        first = self.server(unix=True)
        path = pathlib.Path(first.address)
        second = subprocess.run([program(), "serve"], env={**os.environ, "QUIPU_HOST": f"unix://{path}", "HOME": str(self.folder),
                                "QUIPU_MODELS": str(self.folder / "models")}, capture_output=True, encoding="utf-8", timeout=PATIENCE, check=False)
        self.assertEqual(second.returncode, 1)
        self.assertRegex(second.stderr, r"(?m)^Error: .+")
        self.assertEqual(self.get(first).status, 200)  # not disturbed
        first.stop(signal.SIGKILL)
        self.assertTrue(path.exists())
        first.log_path.unlink()
        again = self.server(unix=True)
        self.assertEqual(self.get(again).status, 200)


if __name__ == "__main__":
    unittest.main()
