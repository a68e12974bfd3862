"""How long an answer may get that would go on for ever, and what of a conversation is still known at its next turn."""
import json
import os
import re
import subprocess
import unittest

import gguf_files
from cli_harness import CliTest, program
from server_harness import ServerTest, wait_for


def babbler(folder):
    """A tiny model that never ends an answer: the one token that would is never sampled."""
    gguf = gguf_files.Gguf(n_ctx=1 << 17)
    gguf.keys["tokenizer.ggml.suppress_tokens"] = (gguf_files.ARRAY, (gguf_files.U32, [0]))
    path = folder / "babbler.gguf"
    path.write_bytes(gguf.bytes())
    return path


class Lengths(ServerTest):
    """num_predict -1 is no limit of its own, but nothing goes on for ever."""

    def ask(self, **options):
        answer = self.server_.post("/api/generate", {"model": "babbler", "prompt": "abc", "raw": True, "stream": False,
                                                     "options": {"num_ctx": 64, "num_predict": -1, **options}})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def setUp(self):
        super().setUp()
        self.server_ = self.server()
        self.server_.create("babbler", babbler(self.folder))

    def test_ten_contexts_at_most(self):
        for seed in (1, 2):
            last = self.ask(temperature=2, seed=seed, repeat_guard=False)
            self.assertEqual((last["done_reason"], last["quipu"]["stop"], last["eval_count"]), ("length", "length", 640))
            self.assertGreater(last["quipu"]["context_shifts"], 10)
        last = self.ask(temperature=2, seed=1, repeat_guard=False, num_ctx=100)
        self.assertEqual((last["done_reason"], last["quipu"]["stop"], last["eval_count"]), ("length", "length", 1000))
        # A limit of its own beyond that is no way around it.
        last = self.ask(temperature=2, seed=1, repeat_guard=False, num_predict=5000)
        self.assertEqual((last["quipu"]["stop"], last["eval_count"]), ("length", 640))

    def test_what_only_repeats_itself_ends_before(self):
        last = self.ask(temperature=0)
        self.assertEqual(last["quipu"]["stop"], "repetition")
        self.assertLess(last["eval_count"], 640)
        self.assertEqual(self.ask(temperature=0, repeat_guard=False)["eval_count"], 640)


class LengthsOfRun(CliTest):
    def test_ten_contexts_at_most(self):
        done = self.run_cli("run", babbler(self.folder), "--raw", "--num-ctx", 64, "--num-predict", -1, "--temperature", 2,
                            "--seed", 1, "--no-repeat-guard", "--verbose", "abc")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"(?m)^eval count: +640 token\(s\)$")


class Times(ServerTest):
    """The longest that one answer may take, as the server's setting and the request say it."""
    # Many seconds' worth.
    LONG = {"model": "babbler", "prompt": "abc", "raw": True, "stream": False,
            "options": {"num_ctx": 100_000, "num_predict": 99_000, "temperature": 2, "seed": 1, "repeat_guard": False}}

    def start(self, timeout):
        server = self.server(QUIPU_REQUEST_TIMEOUT=timeout)
        server.create("babbler", babbler(self.folder))
        server.post("/api/generate", {"model": "babbler"})
        return server

    def ask(self, server, **options):
        answer = server.post("/api/generate", {**self.LONG, "options": {**self.LONG["options"], **options}})
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def assert_cut(self, last):
        self.assertEqual((last["done_reason"], last["quipu"]["stop"]), ("length", "time"))
        self.assertGreater(last["eval_count"], 0)
        self.assertLess(last["eval_count"], 99_000)

    def test_the_servers(self):
        server = self.start("500ms")
        last = self.ask(server)
        self.assert_cut(last)
        self.assertGreater(len(last["response"]), 0)
        self.assert_cut(self.ask(server, max_seconds=3600))
        self.assert_cut(self.ask(server, max_seconds=0))
        lines = server.post("/api/generate", {**self.LONG, "stream": True}).lines()
        self.assert_cut(lines[-1])
        self.assertGreater(len("".join(line["response"] for line in lines)), 0)
        last = self.ask(server, num_predict=5)
        self.assertEqual((last["quipu"]["stop"], last["eval_count"]), ("length", 5))
        done = subprocess.run([program(), "run", "babbler", "--num-ctx", "100000", "--num-predict", "99000", "--temperature", "2",
                               "--no-repeat-guard", "abc"], env={**os.environ, "QUIPU_HOST": server.host, "HOME": str(self.folder)},
                              stdin=subprocess.DEVNULL, capture_output=True, check=True)
        self.assertEqual(done.stderr.decode(), "The time limit is reached: the answer ends here.\n")
        self.assertGreater(len(done.stdout), 2)

    def test_a_shorter_one_of_the_request(self):
        server = self.start("1h")
        self.assert_cut(self.ask(server, max_seconds=0.5))

    def test_the_wait_for_a_place_counts(self):
        server = self.server(OLLAMA_NUM_PARALLEL="1")
        server.create("babbler", babbler(self.folder))
        with server.connect() as first:
            # Takes the one place until it is hung up on.
            body = json.dumps({**self.LONG, "stream": True})
            first.sendall(f"POST /api/generate HTTP/1.1\r\nHost: {server.host}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            self.assertIn(b"200", first.recv(4096))
            own = {**self.LONG["options"], "num_predict": 5, "max_seconds": 0.3}
            generate = {"model": "babbler", "prompt": "abc", "raw": True, "options": own}
            chat = {"model": "babbler", "messages": [{"role": "user", "content": "abc"}], "options": own}
            for path, asked, said in (("/api/generate", generate, {"response": ""}),
                                      ("/api/chat", chat, {"message": {"role": "assistant", "content": ""}})):
                for stream in (False, True):
                    answer = server.post(path, {**asked, "stream": stream})
                    self.assertEqual(answer.status, 200, answer.body)
                    lines = answer.lines()
                    self.assertEqual(len(lines), 1, lines)
                    last = lines[0]
                    self.assertEqual((last["done"], last["done_reason"], last["quipu"]["stop"]), (True, "length", "time"))
                    self.assertEqual({key: last[key] for key in said}, said)
                    self.assertNotIn("eval_count", last)
                    self.assertGreaterEqual(last["total_duration"], 300_000_000)
            for path, asked in (("/api/embed", {"input": "abc"}), ("/api/embeddings", {"prompt": "abc"})):
                answer = server.post(path, {"model": "babbler", **asked, "options": {"max_seconds": 0.3}})
                self.assertEqual((answer.status, answer.json()), (503, {"error": "the time for this request is over"}))
            # What has no tokens computed does not wait, and they all have given their places back.
            self.assertEqual(server.post("/api/generate", {"model": "babbler", "options": own}).json()["done_reason"], "load")
            self.assertEqual(server.request("GET", "/api/ps").json()["models"][0]["name"], "babbler:latest")
            self.assertEqual(len(server.runners()), 1)
        # Who gets a place in time has what is left of it.
        last = self.ask(server, num_predict=5, max_seconds=3600)
        self.assertEqual((last["quipu"]["stop"], last["eval_count"]), ("length", 5))

    def test_the_load_counts_and_goes_on(self):
        server = self.server(QUIPU_REQUEST_TIMEOUT="1ms")
        server.create("babbler", babbler(self.folder))
        last = self.ask(server, num_predict=5)
        self.assertEqual((last["done_reason"], last["quipu"]["stop"], last["response"]), ("length", "time", ""))
        wait_for(lambda: "loaded babbler" in server.log_text())
        self.assertEqual(len(server.runners()), 1)

    def test_without_a_server(self):
        done = subprocess.run([program(), "run", babbler(self.folder), "--raw", "--num-predict", "5", "--max-seconds", "0.001", "abc"],
                              env={**os.environ, "HOME": str(self.folder)}, stdin=subprocess.DEVNULL, capture_output=True, check=True)
        self.assertEqual(done.stdout.decode().strip(), "")
        self.assertEqual(done.stderr.decode(), "The time limit of 0.001 s is reached: the answer ends here.\n")


class Kept(ServerTest):
    def test_turns_are_computed_once(self):
        server = self.server()
        self.smol(server)
        messages, known, ends = [], 0, set()
        # Answers that are cut by num_predict, and one that the model ends.
        for said, n_predict in (("Tell me about bridges.", 24), ("And towers?", 40), ("Answer yes or no: is 2 even?", 200),
                                ("And 3?", 24)):
            messages.append({"role": "user", "content": said})
            last = server.post("/api/chat", {"model": "smol", "messages": messages, "stream": False,
                                             "options": {"num_predict": n_predict, "num_ctx": 2048}}).json()
            self.assertEqual(last["quipu"]["cached_tokens"], known)
            # All but the last token sampled, which nothing has been computed from.
            known = last["prompt_eval_count"] + last["eval_count"] - 1
            messages.append(last["message"])
            ends.add(last["done_reason"])
        self.assertEqual(ends, {"length", "stop"})

    def test_what_is_idle_goes_back_to_the_system(self):
        server = self.server(QUIPU_IDLE_TRIM="1s")
        server.create("babbler", babbler(self.folder))

        def cached_tokens():
            last = server.post("/api/chat", {"model": "babbler", "messages": [{"role": "user", "content": "abc" * 50}], "stream": False,
                                             "options": {"num_ctx": 256, "num_predict": 5}}).json()
            return last["quipu"]["cached_tokens"]

        def kv():
            return server.request("GET", "/api/ps").json()["models"][0]["quipu"]["memory"]["kv"]

        def ps():
            shown = subprocess.run([program(), "ps", "-v"], env={**os.environ, "QUIPU_HOST": server.host}, capture_output=True,
                                   text=True, check=True).stdout
            return re.search(r"(?m)^ *kv +(\S+ \S+) +(\S+ \S+) +(\S+ \S+) in use, (\S+ \S+) cached;", shown).groups()

        def asked(condition):
            cached_tokens()
            return condition()

        wait_for(lambda: asked(lambda: kv()["cached"] > 0))
        wait_for(lambda: asked(lambda: ps()[3] != "0 B"))
        wait_for(lambda: kv()["cached"] == 0)
        now = kv()
        self.assertEqual((now["in_use"], now["measured"], now["planned"]), (0, 0, 0))
        self.assertEqual(ps(), ("0 B",) * 4)
        self.assertEqual(cached_tokens(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
