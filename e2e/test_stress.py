"""Many clients at once, clients that hang up, runners that are killed: every answer is the one that a request gets alone, or
says that it failed; and nothing is left behind. QUIPU_STRESS=full is the size for a long look, with figures on stderr."""
import collections
import json
import os
import pathlib
import random
import re
import signal
import sys
import threading
import time
import unittest

from cli_harness import model
from server_harness import PATIENCE, ServerTest, wait_for

FULL = os.environ.get("QUIPU_STRESS") == "full"
CLIENTS, REQUESTS, HANG_UPS, KILLS = (32, 1000, 100, 5) if FULL else (8, 80, 8, 2)
PARALLEL = 4
CRASHED = "model runner has unexpectedly stopped, "
WORDS = "The quick brown fox jumps over the lazy dog and then goes home to write a long letter about it.".split()

class Task(collections.namedtuple("Task", "path body")):
    def __str__(self):
        return f"{self.path} {json.dumps(self.body)[-250:]}"


Got = collections.namedtuple("Got", "status text last error framing pieces")


def tasks():
    """Requests of every kind; greedy ones, and some whose chance is seeded. Beginnings in common, prompts short and long."""
    out = []
    for i in range(4):
        n = 8 + 6 * i
        greedy = {"num_predict": n, "repeat_guard": False}
        seeded = {"num_predict": n, "temperature": 0.9, "top_k": 30, "seed": 7 + i}
        question = [{"role": "user", "content": " ".join(WORDS[: 3 + 5 * i]) + " Why?"}]
        talk = [{"role": "system", "content": "You are terse."}, *question, {"role": "assistant", "content": "Because."},
                {"role": "user", "content": "Go on."}]
        out += [Task("/api/chat", {"messages": question, "options": greedy}),
                Task("/api/chat", {"messages": question, "options": seeded, "stream": False}),
                Task("/api/chat", {"messages": talk, "options": greedy}),
                Task("/api/generate", {"prompt": " ".join(WORDS * (1 + 6 * i)), "raw": True, "options": greedy}),
                Task("/api/generate", {"prompt": f"Count from {i}.", "options": seeded, "stream": False}),
                Task("/api/generate", {"prompt": f"Count from {i}.", "options": {**greedy, "num_ctx": 256 + 32 * i}}),
                Task("/api/embed", {"input": [" ".join(WORDS[i:]), f"text {i}"]})]
    return out


def read(answer):
    """What an answer says. An error line ends a stream; the status of that is 200."""
    try:
        lines = answer.lines()
    except ValueError:
        return Got(answer.status, None, {}, "not JSON: " + repr(answer.body[-200:]), answer.framing, 0)
    last = lines[-1] if lines else {}
    if "embeddings" in last:
        return Got(answer.status, json.dumps(last["embeddings"]), last, None, answer.framing, 1)
    text = "".join(line.get("message", {}).get("content", "") + line.get("response", "") for line in lines)
    return Got(answer.status, text, last, last.get("error"), answer.framing, len(lines))


def result_of(got):
    """What has to be the same however busy the server is."""
    return got.status, got.text, got.last.get("done_reason"), got.last.get("eval_count"), got.last.get("prompt_eval_count"), got.last.get("context")


class Footprint:
    """What a server holds: of its process, and what it has started and put into /tmp."""

    def __init__(self, server):
        pid = server.process.pid
        self.files = len(os.listdir(f"/proc/{pid}/fd"))
        self.threads = len(os.listdir(f"/proc/{pid}/task"))
        self.children = sorted(self.children_of(pid))
        self.sockets = len([p for p in server.runtime.rglob("*") if p.is_socket()])
        status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        self.memory = int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) * 1024

    @staticmethod
    def children_of(pid):
        """Also those that have ended and that nobody has waited for."""
        for entry in pathlib.Path("/proc").iterdir():
            try:
                words = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, IndexError):
                continue
            if entry.name.isdigit() and int(words[1]) == pid:
                yield words[0] if words[0] == "Z" else "running"

    def counts(self):
        return self.files, self.children, self.sockets

    def __str__(self):
        return (f"{self.files} files, {self.threads} threads, children {self.children}, {self.sockets} sockets, "
                f"{self.memory / (1 << 20):.1f} MiB")


class Stress(ServerTest):
    def setUp(self):
        super().setUp()
        self.running = self.server(QUIPU_NUM_PARALLEL=str(PARALLEL), QUIPU_IDLE_TRIM="1s", QUIPU_KEEP_ALIVE="10m")
        self.smol(self.running)
        self.lock = threading.Lock()
        self.finished = 0
        self.counts = collections.Counter()
        self.problems = []

    def note(self, text):
        if FULL:
            print(text, file=sys.stderr, flush=True)

    def send(self, task, **fields):
        body = json.dumps({"model": "smol", **task.body, **fields}).encode()
        s = self.running.connect()
        s.sendall(f"POST {task.path} HTTP/1.1\r\nHost: {self.running.host}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
                  .encode() + body)
        return s

    def ask(self, task, **fields):
        return read(self.running.post(task.path, {"model": "smol", **task.body, **fields}))

    def hang_up(self, task, chance):
        """Reads some of an answer, and closes the connection; or does not even wait for the first byte."""
        with self.send(task, stream=True) as s:
            for _ in range(chance.randrange(4)):
                if not s.recv(512):
                    break
        with self.lock:
            self.counts["hang-ups"] += 1

    def client(self, work, alone, seed):
        chance = random.Random(seed)
        while True:
            with self.lock:
                if not work:
                    return
                kind, number = work.pop()
            task = self.tasks[number]
            try:
                if kind == "hang up":
                    self.hang_up(task, chance)
                    continue
                streamed = task.body.get("stream", True) and "input" not in task.body
                got = self.ask(task)
                self.judge(task, got, alone[number], streamed)
            except OSError as problem:
                with self.lock:
                    self.problems.append(f"{task.path}: {problem!r}")
            finally:
                with self.lock:
                    self.finished += 1

    def judge(self, task, got, alone, streamed):
        with self.lock:
            if got.framing == "cut" or got.status is None:
                self.problems.append(f"{task}: an answer that was cut: {got}")
            elif got.error is None:
                self.counts["right" if result_of(got) == alone else "wrong"] += 1
                if result_of(got) != alone:
                    self.problems.append(f"{task}: alone {alone}, now {result_of(got)}")
            elif got.error.startswith(CRASHED) and (got.status == 500 or (streamed and got.status == 200 and got.pieces > 1)):
                self.counts["crashed"] += 1
            else:
                self.problems.append(f"{task}: {got.status} {got.error}")

    def killer(self, total):
        """Kills the runner in the middle of its work, several times over the whole."""
        for k in range(KILLS):
            goal = (k + 1) * total // (KILLS + 1)
            deadline = time.monotonic() + PATIENCE * 10
            while self.finished < goal and time.monotonic() < deadline:
                time.sleep(0.005)
            while time.monotonic() < deadline:
                pids = self.running.runners()
                if pids and self.is_computing(pids[0]):
                    os.kill(pids[0], signal.SIGKILL)
                    self.counts["kills"] += 1
                    break
                time.sleep(0.005)

    @staticmethod
    def is_computing(pid):
        def ticks():
            return sum(int(n) for n in pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])
        try:
            before = ticks()
            time.sleep(0.05)
            return ticks() > before
        except OSError:
            return False

    def settle(self, wanted):
        """What is left when nothing is asked any more; waits until connections and threads have ended."""
        deadline = time.monotonic() + 30
        while True:
            now = Footprint(self.running)
            if now.counts() == wanted.counts() or time.monotonic() > deadline:
                return now
            time.sleep(0.05)

    def together(self, work, alone, kill):
        total = len(work)
        self.finished = 0
        threads = [threading.Thread(target=self.client, args=(work, alone, i)) for i in range(CLIENTS)]
        if kill:
            threads.append(threading.Thread(target=self.killer, args=(total,)))
        for t in threads:
            t.start()
        for t in threads:
            t.join(PATIENCE * (20 if FULL else 3))
        self.assertEqual([t.name for t in threads if t.is_alive()], [], "clients still wait")

    def test_right_answers_or_clear_errors_and_nothing_left(self):
        self.tasks = tasks()
        alone = []
        for task in self.tasks:
            got = self.ask(task)
            self.assertEqual((got.status, got.error), (200, None), task)
            alone.append(result_of(got))

        chance = random.Random(1)
        pick = lambda kind, n: [(kind, chance.randrange(len(self.tasks))) for _ in range(n)]
        # Once as warm-up: what a server has to keep for so many clients it has then.
        self.together(pick("ask", 3 * CLIENTS), alone, False)
        self.assertEqual(self.problems, [])
        time.sleep(1.5)
        before = self.settle(Footprint(self.running))
        self.counts.clear()
        began = time.monotonic()
        work = pick("ask", REQUESTS) + pick("hang up", HANG_UPS)
        chance.shuffle(work)
        self.together(work, alone, True)
        seconds = time.monotonic() - began
        self.assertIsNone(self.running.process.poll(), self.running.log_text()[-2000:])
        self.ask(self.tasks[0])  # the model is loaded, whatever was killed last
        after = self.settle(before)

        self.note(f"{CLIENTS} clients, {dict(self.counts)}, {seconds:.1f} s\nbefore: {before}\nafter:  {after}")
        self.assertEqual(self.problems, [])
        self.assertEqual(self.counts["kills"], KILLS)
        self.assertEqual(self.counts["hang-ups"], HANG_UPS)
        self.assertEqual(self.counts["right"] + self.counts["crashed"], REQUESTS)
        # A runner that dies fails what it had, and nothing that waited.
        self.assertLessEqual(self.counts["crashed"], KILLS * PARALLEL)
        self.assertEqual(after.counts(), before.counts())
        self.assertEqual(after.sockets, 1)
        # Threads of answers are kept. Those of a runner that dies may end after the first ones of the next have begun.
        self.assertLessEqual(after.threads, before.threads + PARALLEL)
        self.assertLess(after.memory, before.memory + (16 << 20))
        # The runner has nobody's conversation any more: nothing runs, and what was kept was trimmed.
        deadline = time.monotonic() + 30
        while (kv := self.kv())["in_use"] + kv["cached"] > 0 and time.monotonic() < deadline:
            time.sleep(0.2)
        self.assertEqual((kv["in_use"], kv["cached"]), (0, 0), kv)
        for task, expected in zip(self.tasks, alone):
            self.assertEqual(result_of(self.ask(task)), expected, task)
        self.assertEqual([line for line in self.running.log_text().splitlines() if "[critical]" in line], [])

    def test_models_take_turns(self):
        """Two models of which one may be loaded, asked for by many; some unload theirs at once, some hang up."""
        twin = self.folder / "twin.gguf"  # the same weights in another file, which is another model
        twin.write_bytes(pathlib.Path(model()).read_bytes() + bytes(32))
        self.running.stop()
        self.running.log_path.unlink()
        self.running = self.server(QUIPU_NUM_PARALLEL="2", OLLAMA_MAX_LOADED_MODELS="1")
        self.running.create("twin", twin, parameters={"num_ctx": 512, "temperature": 0})
        self.tasks = [Task("/api/chat", {"messages": [{"role": "user", "content": "Why?"}], "options": {"num_predict": 6}}),
                      Task("/api/embed", {"model": "twin", "input": "some words"}),
                      Task("/api/generate", {"prompt": "The sky", "options": {"num_predict": 6}, "keep_alive": 0}),
                      Task("/api/embed", {"model": "twin", "input": ["a", "b c"], "keep_alive": 0})]
        alone = [result_of(self.ask(task)) for task in self.tasks]
        self.assertEqual([a[0] for a in alone], [200] * 4)
        chance = random.Random(2)
        n = REQUESTS // 2
        work = [("hang up" if chance.random() < 0.1 else "ask", chance.randrange(4)) for _ in range(n)]
        self.together(work, alone, False)
        self.note(f"models that take turns: {dict(self.counts)}")
        self.assertEqual(self.problems, [])
        self.assertEqual(self.counts["right"] + self.counts["hang-ups"], n)
        self.ask(self.tasks[1])
        wait_for(lambda: len(self.running.runners()) == 1)  # what another had to make room for has ended

    def kv(self):
        return self.running.request("GET", "/api/ps").json()["models"][0]["quipu"]["memory"]["kv"]


if __name__ == "__main__":
    unittest.main()
