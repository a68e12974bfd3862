"""quipu runner as a process: its one line, how it ends, and the protocol's behaviour that only a process shows."""
import concurrent.futures
import json
import os
import random
import signal
import socket
import subprocess
import time
import unittest

import gguf_files
from cli_harness import CliTest, program
from runner_client import Connection, Runner


class RunnerTest(CliTest):
    def setUp(self):
        super().setUp()
        self.path = self.folder / "model.gguf"
        self.path.write_bytes(gguf_files.Gguf().bytes())
        self.socket = self.runtime / "s"  # where the harness looks for what is left
        self.started = []

    def tearDown(self):
        for runner in self.started:
            runner.close()
        super().tearDown()

    def start(self, **flags):
        runner = Runner(program(), self.path, self.socket, environment=self.environment, **flags)
        self.started.append(runner)
        return runner

    def first_line(self, *words):
        """What a runner that cannot start says, and its exit status."""
        with subprocess.Popen([program(), "runner", *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=self.environment) as child:
            lines = child.stdout.read().splitlines()  # its end comes without that of its input
            status = child.wait()
        self.assertEqual(len(lines), 1, lines)
        said = json.loads(lines[0])
        self.assertFalse(said["ready"])
        self.assertNotIn("\n", said["error"])
        return said, status

    def gone(self, process, timeout=20):
        deadline = time.monotonic() + timeout
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return process.poll() is not None


class StartAndEnd(RunnerTest):
    def test_it_ends_when_its_input_closes(self):
        runner = self.start()
        self.assertGreater(runner.load_ns, 0)
        self.assertEqual(runner.request("GET", "/health"), {"status": "ok"})
        self.assertEqual(os.stat(self.socket).st_mode & 0o777, 0o600)
        self.assertEqual(runner.close(), 0)
        self.assertFalse(self.socket.exists())

    def test_its_first_line_says_what_it_holds(self):
        runner = self.start(num_ctx=64, threads=1)
        self.assertEqual(runner.ready["info"], runner.request("GET", "/info"))
        self.assertEqual(runner.ready["info"]["threads"], 1)
        now = runner.memory()
        for name, value in runner.ready["memory"].items():
            self.assertEqual(type(value), type(now[name]), name)
        self.assertEqual(runner.ready["memory"]["kv"]["measured"], 0)

    def test_it_ends_on_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            runner = self.start()
            runner.process.send_signal(number)
            self.assertTrue(self.gone(runner.process), number)
            self.assertEqual(runner.process.returncode, 0)
            self.assertFalse(self.socket.exists())

    def test_what_it_is_told_on_its_input_changes_nothing(self):
        runner = self.start()
        runner.process.stdin.write(b"hello\n" * 1000)
        runner.process.stdin.flush()
        self.assertEqual(runner.request("GET", "/health"), {"status": "ok"})

    def test_it_ends_in_the_middle_of_answers(self):
        runner = self.start(parallel=2)
        request = json.dumps({"prompt": "abc", "raw": True,
                              "options": {"num_predict": -1, "temperature": 5, "seed": 1, "repeat_guard": False}})
        connections = []
        for _ in range(3):
            connection = Connection(str(self.socket))
            connection.request("POST", "/generate", request)
            connections.append(connection)
        runner.request("POST", "/tokenize", {"text": "x"})
        self.assertEqual(runner.close(), 0)
        for connection in connections:
            connection.close()

    def test_it_ends_with_its_parent(self):
        # The parent is a shell that keeps the other end of the runner's input open in a second child.
        script = 'sleep 60 | "$0" runner --model "$1" --socket "$2" & echo started; wait'
        parent = subprocess.Popen(["bash", "-c", script, program(), str(self.path), str(self.socket)], stdout=subprocess.PIPE,
                                  env=self.environment, start_new_session=True)
        try:
            lines = [parent.stdout.readline() for _ in range(2)]
            self.assertIn(b'"ready":true', b"".join(lines))
            self.assertEqual(len(self.runners()), 1)
            parent.kill()
            parent.wait()
            deadline = time.monotonic() + 20
            while self.runners() and time.monotonic() < deadline:
                time.sleep(0.02)
            self.assertEqual(self.runners(), [])
            self.assertFalse(self.socket.exists())
        finally:
            os.killpg(parent.pid, signal.SIGKILL)
            parent.stdout.close()

    def test_closed_standard_output(self):
        read, write = os.pipe()
        os.close(read)
        child = subprocess.Popen([program(), "runner", "--model", self.path, "--socket", self.socket], stdin=subprocess.PIPE,
                                 stdout=write, stderr=subprocess.DEVNULL, env=self.environment)
        os.close(write)
        self.assertTrue(self.gone(child), "nobody knows that it is there")
        child.stdin.close()
        self.assertFalse(self.socket.exists())

    def test_what_cannot_start_says_why(self):
        said, status = self.first_line("--model", self.folder / "none.gguf", "--socket", self.socket)
        self.assertEqual((said["code"], status), ("not_found", 1))
        said, status = self.first_line("--model", self.path, "--socket", self.folder / ("x" * 200))
        self.assertEqual(status, 1)
        said, status = self.first_line("--model", self.path, "--socket", self.folder / "none" / "s")
        self.assertEqual(status, 1)
        for flags in ((), ("--model", self.path), ("--bogus",), ("--parallel", "0"), ("--num-ctx", "-1"), ("--kv-cache-type", "f8")):
            words = flags if flags[:1] in ((), ("--model",)) else ("--model", self.path, "--socket", self.socket, *flags)
            said, status = self.first_line(*words)
            self.assertEqual((said["code"], status), ("invalid_argument", 2), flags)

    def test_a_model_that_does_not_fit_comes_with_its_plan(self):
        try:
            os.truncate(self.path, 1 << 42)
        except OSError as problem:
            self.skipTest(f"no large files here: {problem}")
        said, status = self.first_line("--model", self.path, "--socket", self.socket)
        self.assertEqual((said["code"], status), ("out_of_memory", 1))
        self.assertEqual(said["plan"]["memory"]["weights"]["planned"], 1 << 42)
        self.assertEqual(said["plan"]["fits"], "no")
        self.assertGreater(said["plan"]["machine"]["free"], 0)
        self.assertIn("weights", said["table"])
        least, = said["plan"]["alternatives"]  # 4 TiB that are no tensors: nothing makes that fit
        self.assertEqual(set(least), {"change", "total", "fits"})
        self.assertEqual(least["fits"], "no")
        self.assertIn("kv_cache_type=q4_0", least["change"])
        self.assertIn("take a smaller model", said["error"])

    def test_an_instruction_set_that_is_not_there(self):
        self.environment["QUIPU_ISA"] = "neon"
        said, status = self.first_line("--model", self.path, "--socket", self.socket)
        self.assertIn("neon", said["error"])
        self.assertEqual(status, 1)

    def test_settings_come_from_the_environment(self):
        self.environment.update(QUIPU_THREADS="1", QUIPU_KV_CACHE_TYPE="f32", OLLAMA_NUM_PARALLEL="3")
        info = self.start().request("GET", "/info")
        self.assertEqual((info["threads"], info["kv_cache_type"]), (1, "f32:f32"))
        self.started.pop().close()
        info = self.start(kv_cache_type="f16").request("GET", "/info")
        self.assertEqual(info["kv_cache_type"], "f16:f16", "a flag wins over its variable")
        self.started.pop().close()
        self.environment["QUIPU_THREADS"] = "many"
        said, status = self.first_line("--model", self.path, "--socket", self.socket)
        self.assertEqual((said["code"], status), ("invalid_argument", 2))
        self.assertIn("QUIPU_THREADS=many", said["error"])

    def test_without_a_prefix_cache_nothing_is_kept(self):
        self.environment["QUIPU_PREFIX_CACHE"] = "off"
        runner = self.start()
        runner.generate("abc" * 20, num_predict=2)
        self.assertEqual(runner.generate("abc" * 20, num_predict=2)["cached_tokens"], 0)
        self.assertEqual(runner.request("GET", "/memory")["kv"]["cached"], 0)

    def test_a_socket_in_use_is_not_taken_over(self):
        runner = self.start()
        said, status = self.first_line("--model", self.path, "--socket", self.socket)
        self.assertIn(str(self.socket), said["error"])
        self.assertEqual(runner.request("GET", "/health"), {"status": "ok"})


class Requests(RunnerTest):
    def test_errors_are_an_object(self):
        runner = self.start()
        for method, path, body, status, code in [
                ("GET", "/none", None, 404, "not_found"), ("GET", "/generate", None, 405, "invalid_argument"),
                ("POST", "/generate", "{", 400, "invalid_argument"), ("POST", "/generate", "[" * 1_000_000, 400, "invalid_argument"),
                ("POST", "/tokenize", '{"text":1}', 400, "invalid_argument"),
                ("POST", "/generate", '{"prompt":"x","options":{"num_ctx":4096}}', 400, "invalid_argument")]:
            connection = Connection(str(self.socket))
            connection.request(method, path, body)
            answer = connection.getresponse()
            said = json.loads(answer.read())
            self.assertEqual((answer.status, said["code"]), (status, code), (method, path))
            connection.close()

    def test_a_context_of_its_own(self):
        runner = self.start(num_ctx=64)
        self.assertEqual(runner.request("GET", "/info")["num_ctx"], 64)
        self.assertEqual(runner.generate("x" * 100, num_predict=1, num_ctx=2048)["prompt_tokens"], 100)
        self.assertLess(runner.generate("x" * 100, num_predict=1)["prompt_tokens"], 64)

    def test_memory_goes_back_after_a_large_request(self):
        runner = self.start()
        runner.request("POST", "/tokenize", {"text": "x"})
        before = runner.pss()
        for _ in range(3):
            self.assertEqual(len(runner.request("POST", "/tokenize", {"text": "x" * 4_000_000})["tokens"]), 4_000_000)
        deadline = time.monotonic() + 20
        while runner.pss() > before + (16 << 20) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertLess(runner.pss(), before + (16 << 20))

    def test_an_idle_runner_takes_no_processor(self):
        runner = self.start()
        runner.generate("abc", num_predict=5)
        before = runner.cpu_seconds()
        time.sleep(1)
        self.assertLess(runner.cpu_seconds() - before, 0.1)

    def test_many_clients(self):
        runner = self.start(parallel=2)
        alone = runner.request("POST", "/generate", {"prompt": "abc", "options": {"seed": 1, "num_predict": 20}})[1:-1]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: runner.request("POST", "/generate",
                                                             {"prompt": "abc", "options": {"seed": 1, "num_predict": 20}})[1:-1],
                                    range(16)))
        self.assertEqual(answers, [alone] * 16)

    def test_types_of_cache_share_one_memory(self):
        runner = self.start(num_ctx=256, parallel=4)
        for kv in ("f16", "f32", "f16:f32", "f32:f16"):
            body = {"prompt": "x" * 100, "raw": True, "options": {"kv_cache_type": kv, "num_predict": 20, "seed": 1, "repeat_guard": False}}
            lines = runner.request("POST", "/generate", body)
            self.assertEqual(lines[-1]["cached_tokens"], 0, "nothing is shared between types")
        kv = runner.memory()["kv"]
        self.assertGreater(kv["cached"], 0)
        self.assertEqual(kv["measured"], kv["cached"] + kv["in_use"])
        self.assertEqual(runner.fill(0)["kv"]["measured"], 0)

    def test_more_threads_than_there_are_is_said_once(self):
        path = self.folder / "log"
        with open(path, "wb") as log:
            runner = Runner(program(), self.path, self.socket, environment=self.environment, log=log, threads=1)
            self.started.append(runner)
            for _ in range(3):
                self.assertTrue(runner.generate("abc", num_predict=2, num_thread=64, made_up=1)["done"])
            runner.close()
        said = path.read_text()
        self.assertEqual(said.count("num_thread 64"), 1, said)
        self.assertEqual(said.count("made_up"), 1, said)

    def test_embeddings_beside_answers(self):
        runner = self.start(parallel=2)
        inputs = ["text %d " % n * n for n in range(1, 20)]
        want = runner.request("POST", "/embed", {"input": inputs})
        self.assertEqual(len(want["embeddings"]), len(inputs))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(runner.generate, "abc", num_predict=50) for _ in range(4)]
            vectors = [pool.submit(runner.request, "POST", "/embed", {"input": inputs}) for _ in range(4)]
            for v in vectors:
                self.assertEqual(v.result(), want)
            for a in answers:
                self.assertTrue(a.result()["done"])

    # Takes all the steps that a template may take.
    SLOW = "{% for a in range(100000) %}{% for b in range(100000) %}{% set c = a + b %}{% endfor %}{% endfor %}"

    def test_slow_templates_hold_up_nobody_and_end_with_their_clients(self):
        runner = self.start()
        runner.generate("abc", num_predict=1)
        threads = runner.threads()
        connections = []
        for _ in range(6):
            connection = Connection(str(self.socket))
            connection.request("POST", "/generate", json.dumps({"prompt": "x", "template": self.SLOW}))
            connections.append(connection)
        self.assertTrue(runner.generate("abc", num_predict=1)["done"])
        self.assertEqual(runner.request("GET", "/info")["architecture"], runner.ready["info"]["architecture"])
        for connection in connections:
            connection.close()
        deadline = time.monotonic() + 60
        while runner.threads() > threads and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertLessEqual(runner.threads(), threads, "threads that nobody needs end")
        before = runner.cpu_seconds()
        time.sleep(0.5)
        self.assertLess(runner.cpu_seconds() - before, 0.1)

    def test_clients_that_go_away_leave_nothing(self):
        runner = self.start(parallel=2)
        runner.generate("abc", num_predict=1)
        runner.fill(0)
        memory, descriptors = runner.pss(), runner.descriptors()
        chance = random.Random(1)
        for n in range(200):
            body = {"prompt": "x" * chance.randrange(2000), "return_context": True, "logprobs": True,
                    "options": {"num_predict": chance.randrange(1, 100), "seed": n,
                                "kv_cache_type": chance.choice(["f16", "f32", "f32:f16"])}}
            if n % 10 == 0:
                body["template"] = self.SLOW
            path = "/embed" if n % 4 == 0 else "/generate"
            connection = Connection(str(self.socket))
            connection.request("POST", path, json.dumps({**body, "input": ["y" * n, "z" * n + "z"]}))
            if n % 3 == 0:
                time.sleep(chance.random() * 0.01)
            connection.close()
        self.assertTrue(runner.generate("abc", num_predict=1)["done"])
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            left = runner.fill(0)["kv"]["measured"], runner.descriptors()
            if left == (0, descriptors) and runner.pss() < memory + (16 << 20):
                break
            time.sleep(0.1)
        self.assertEqual((0, descriptors), left)
        self.assertLess(runner.pss(), memory + (16 << 20))

    def test_a_client_that_says_nothing_holds_nobody_up(self):
        runner = self.start()
        silent = []
        for _ in range(20):
            s = socket.socket(socket.AF_UNIX)
            s.connect(str(self.socket))
            s.send(b"POST /generate HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{")
            silent.append(s)
        self.assertEqual(runner.generate("abc", num_predict=1)["done"], True)
        for s in silent:
            s.close()


if __name__ == "__main__":
    unittest.main()
