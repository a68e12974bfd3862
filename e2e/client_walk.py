"""What clients of others see of a server: each walks through the whole interface and says what it got, and all must get
the same. The programs of the walk are in clients/; scripts/fetch-clients installs the libraries, and $QUIPU_CLIENTS is
the folder where it put them."""
import hashlib
import json
import os
import pathlib
import subprocess

from cli_harness import TIMEOUT, model
from server_harness import ServerTest

CLIENTS = pathlib.Path(__file__).resolve().parent / "clients"
QUESTION = "Name three colours."
PROMPT = "The sky is"

FAILURES = {
    "no such model": (404, "model 'nope' not found"),
    "no such model, streamed": (404, "model 'nope' not found"),
    "a bad name": (400, "invalid model name"),
    "a bad name, create": (400, "invalid model name"),
    "a bad option": (500, 'option "num_ctx" must be of type integer'),
    "show of nothing": (404, "model 'nope:latest' not found"),
    "copy of nothing": (404, 'model "nope" not found'),
    "delete of nothing": (404, "model 'nope' not found"),
}


class ClientTest(ServerTest):
    def clients(self, kind):
        """Where the clients of a kind (python or node) are. What could not be installed is skipped by its reason."""
        given = os.environ.get("QUIPU_CLIENTS")
        if not given:
            self.skipTest("QUIPU_CLIENTS is not set: scripts/fetch-clients installs the clients and prints its value")
        folder = pathlib.Path(given)
        missing = folder / f"{kind}.missing"
        if missing.exists():
            self.skipTest(missing.read_text(encoding="utf-8").strip())
        self.assertTrue((folder / f"{kind}.installed").exists(), f"{folder} holds no {kind} clients: run scripts/fetch-clients")
        return folder

    def address(self, server):
        host, port = server.address
        return f"http://{host}:{port}"

    def walk(self, command, **environment):
        """Runs a program of clients/; what it got, by step."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OLLAMA_", "LANGCHAIN_", "LANGSMITH_"))
                 and not k.lower().endswith("_proxy")}
        done = subprocess.run([str(word) for word in command], env={**clean, "HOME": str(self.folder), **environment},
                              capture_output=True, encoding="utf-8", timeout=TIMEOUT, check=False)
        steps = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        self.assertEqual(done.returncode, 0, f"after {steps[-1:]}: {done.stderr}")
        return {s.pop("step"): s for s in steps}

    def expected(self, server):
        """The model's answers, asked for one by one and without a client."""
        chat = server.post("/api/chat", {"model": "smol", "messages": [{"role": "user", "content": QUESTION}], "stream": False})
        text = server.post("/api/generate", {"model": "smol", "prompt": PROMPT, "stream": False})
        return chat.json(), text.json()

    def check_answers(self, got, server):
        chat, text = self.expected(server)
        content, response = chat["message"]["content"], text["response"]
        self.assertGreater(len(content), 10)
        for name, whole in (("chat", content), ("chat, streamed", content), ("generate", response), ("generate, streamed", response)):
            self.assertEqual(got[name]["text"], whole, name)
        for name in ("chat", "chat, streamed"):
            self.assertEqual(got[name]["reason"], chat["done_reason"], name)
        self.assertEqual(got["chat"]["n"], chat["eval_count"])
        self.assertGreater(got["chat, streamed"]["pieces"], 4)
        self.assertEqual(got["embed"], {"sizes": [576, 576], "norms": [1, 1]})
        return chat, text

    def check_failures(self, got, names=tuple(FAILURES)):
        for name in names:
            self.assertEqual((got[name]["status"], got[name]["error"]), FAILURES[name], name)

    def check(self, got, server):
        """The whole walk, as the native libraries have it. The model smol is still there."""
        digest = "sha256:" + hashlib.sha256(pathlib.Path(model()).read_bytes()).hexdigest()
        self.assertEqual(got["list of nothing"]["names"], [])
        self.assertEqual(got["upload"]["digest"], digest)
        statuses = got["create"]["statuses"]
        self.assertEqual((statuses[0], statuses[-2:]), ("parsing GGUF", ["writing manifest", "success"]))
        self.assertIn("using existing layer " + digest, statuses)
        shown = got["show"]
        self.assertEqual([shown[key] for key in ("format", "family", "size", "quantization", "context", "capabilities")],
                         ["gguf", "llama", "134.52M", "Q4_1", 8192, ["completion"]])
        self.assertEqual([line.split() for line in shown["parameters"]],
                         [["num_ctx", "512"], ["num_predict", "24"], ["seed", "1"], ["stop", '"<|im_end|>"'],
                          ["stop", '"<|im_start|>"'], ["temperature", "0"]])
        chat, text = self.check_answers(got, server)
        self.assertEqual(got["chat"]["role"], "assistant")
        self.assertEqual((got["chat, streamed"]["n"], got["chat, streamed"]["prompt"]), (chat["eval_count"], chat["prompt_eval_count"]))
        self.assertEqual((got["generate"]["reason"], got["generate"]["context"]), (text["done_reason"], len(text["context"])))
        self.assertEqual((got["logprobs"]["top"], got["logprobs"]["text"]), (2, text["response"]))
        self.assertEqual(got["old embed"]["size"], 576)
        self.assertEqual(got["ps"], {"names": ["smol:latest"], "context": [512], "holds": [True]})
        self.assertTrue(chat["message"]["content"].startswith(got["hang up"]["text"]) and got["hang up"]["text"])
        self.assertEqual(got["create from"]["status"], "success")
        self.assertEqual(got["show of that"], {"parent": "smol:latest", "system": True})
        self.assertEqual((got["copy"]["status"], got["delete"]["status"]), ("success", "success"))
        self.assertEqual(got["list"]["names"], ["Me/Terse:v1", "again:latest", "smol:latest"])
        self.assertEqual(got["list after"]["names"], ["smol:latest"])
        self.assertEqual(got["unload"]["reason"], "unload")
        self.check_failures(got)
