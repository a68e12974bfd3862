"""The interface as documentation and shell scripts use it: curl and nothing else."""
import hashlib
import json
import pathlib
import subprocess
import time
import unittest

from cli_harness import TIMEOUT, model
from client_walk import FAILURES, PROMPT, QUESTION, ClientTest

MESSAGES = [{"role": "user", "content": QUESTION}]
PARAMETERS = {"temperature": 0, "seed": 1, "num_ctx": 512, "num_predict": 24}


class Curl(ClientTest):
    def setUp(self):
        super().setUp()
        self.started = self.server()

    def run_curl(self, path, *options, check=True):
        command = ["curl", "-sS", "--noproxy", "*", *options, self.address(self.started) + path]
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def curl(self, path, body=None, *options):
        """The status and the body. A body goes as a form, as curl -d sends it."""
        data = () if body is None else ("-d", json.dumps(body))
        done = self.run_curl(path, *data, "-w", "\n%{http_code}", *options)
        text, _, status = done.stdout.decode().rpartition("\n")
        return int(status), text

    def good(self, path, body=None, *options):
        status, text = self.curl(path, body, *options)
        self.assertEqual(status, 200, text)
        return text

    def names(self):
        return sorted(m["name"] for m in json.loads(self.good("/api/tags"))["models"])

    def lines(self, path, body):
        return [json.loads(line) for line in self.good(path, body, "-N").splitlines()]

    def make(self):
        digest = "sha256:" + hashlib.sha256(pathlib.Path(model()).read_bytes()).hexdigest()
        self.assertEqual(self.curl(f"/api/blobs/{digest}", None, "-I")[0], 404)
        self.assertEqual(self.curl(f"/api/blobs/{digest}", None, "-X", "POST", "-T", model()), (201, ""))
        self.assertEqual(self.curl(f"/api/blobs/{digest}", None, "-I")[0], 200)
        made = self.lines("/api/create", {"model": "smol", "files": {"model.gguf": digest}, "parameters": PARAMETERS})
        self.assertEqual(made[-1], {"status": "success"})
        return digest

    def test_walk(self):
        self.assertEqual(self.good("/"), "Ollama is running")
        self.assertEqual(self.names(), [])
        digest = self.make()
        # Once more, from a pipe: of no known length.
        with open(model(), "rb") as file:
            again = subprocess.run(["curl", "-sS", "--noproxy", "*", "-X", "POST", "-T", "-", "-o", "/dev/null", "-w", "%{http_code}",
                                    f"{self.address(self.started)}/api/blobs/{digest}"], stdin=file, capture_output=True,
                                   timeout=TIMEOUT, check=True)
        self.assertEqual(again.stdout, b"200")
        self.assertIn("llama.context_length", json.loads(self.good("/api/show", {"model": "smol"}))["model_info"])

        chat, text = self.expected(self.started)
        content, response = chat["message"]["content"], text["response"]
        once = json.loads(self.good("/api/chat", {"model": "smol", "messages": MESSAGES, "stream": False}))
        self.assertEqual(once["message"], {"role": "assistant", "content": content})
        parts = self.lines("/api/chat", {"model": "smol", "messages": MESSAGES})
        self.assertEqual("".join(p["message"]["content"] for p in parts), content)
        self.assertEqual([p["done"] for p in parts], [False] * (len(parts) - 1) + [True])
        once = json.loads(self.good("/api/generate", {"model": "smol", "prompt": PROMPT, "stream": False}))
        self.assertEqual((once["response"], once["context"]), (response, text["context"]))
        parts = self.lines("/api/generate", {"model": "smol", "prompt": PROMPT})
        self.assertEqual("".join(p["response"] for p in parts), response)
        vectors = json.loads(self.good("/api/embed", {"model": "smol", "input": ["one", "two words"]}))["embeddings"]
        self.assertEqual([len(v) for v in vectors], [576, 576])
        self.assertEqual([m["name"] for m in json.loads(self.good("/api/ps"))["models"]], ["smol:latest"])

        made = json.loads(self.good("/api/create", {"model": "Me/Terse:v1", "from": "smol", "system": "You are terse.", "stream": False}))
        self.assertEqual(made, {"status": "success"})
        self.assertEqual(self.good("/api/copy", {"source": "smol", "destination": "again"}), "")
        self.assertEqual(self.names(), ["Me/Terse:v1", "again:latest", "smol:latest"])
        for name in ("again", "me/TERSE:v1"):
            self.assertEqual(self.good("/api/delete", {"model": name}, "-X", "DELETE"), "")
        self.assertEqual(self.names(), ["smol:latest"])

    def test_errors(self):
        self.make()
        asked = {
            "no such model": ("/api/chat", {"model": "nope", "messages": MESSAGES, "stream": False}),
            "no such model, streamed": ("/api/generate", {"model": "nope", "prompt": PROMPT}),
            "a bad name": ("/api/generate", {"model": "a:b:c", "prompt": PROMPT}),
            "a bad name, create": ("/api/create", {"model": "a:b:c", "from": "smol"}),
            "a bad option": ("/api/chat", {"model": "smol", "messages": MESSAGES, "options": {"num_ctx": "many"}}),
            "show of nothing": ("/api/show", {"model": "nope"}),
            "copy of nothing": ("/api/copy", {"source": "nope", "destination": "again"}),
            "delete of nothing": ("/api/delete", {"model": "nope"}, "-X", "DELETE"),
        }
        self.assertEqual(asked.keys(), FAILURES.keys())
        for name, request in asked.items():
            with self.subTest(name):
                status, text = self.curl(*request)
                self.assertEqual((status, json.loads(text)), (FAILURES[name][0], {"error": FAILURES[name][1]}))
        self.assertEqual(self.curl("/api/chat", None, "-d", "{")[0], 400)
        self.assertEqual(self.curl("/api/chat", None, "-X", "POST")[0], 400)
        self.assertEqual(self.curl("/api/chat"), (405, "405 method not allowed"))
        self.assertEqual(self.curl("/api/nothing"), (404, "404 page not found"))
        self.assertNotEqual(self.run_curl("/api/tags", "--fail", "-H", "Host: evil.example", check=False).returncode, 0)

    def test_hang_up_ends_the_answer(self):
        self.make()
        long = {"model": "smol", "prompt": "1 2 3", "raw": True, "options": {"num_predict": 400, "repeat_guard": False}}
        url = self.address(self.started) + "/api/generate"
        with subprocess.Popen(["curl", "-sSN", "--noproxy", "*", "-d", json.dumps(long), url], stdout=subprocess.PIPE) as child:
            self.assertFalse(json.loads(child.stdout.readline())["done"])
            child.terminate()
        runner, = self.started.runners()
        deadline = time.monotonic() + TIMEOUT
        while self.is_busy(runner) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertFalse(self.is_busy(runner))

    def is_busy(self, pid):
        """Whether the process computes: its CPU time over a tenth of a second."""
        def ticks():
            return sum(int(n) for n in pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])
        before = ticks()
        time.sleep(0.3)
        return ticks() - before > 5


if __name__ == "__main__":
    unittest.main()
