#!/usr/bin/env python3
"""Quipu's server and llama.cpp's on one model file, in pairs: chats that are answered as streams, several at once.

As many clients as the row says ask one question after the other, each question a new one, greedily. What counts is the
tokens of all answers per second, the time to the first one, and the time from one to the next. Both servers get the same
threads and the same number of places, and are started anew for every run; loading does not count. The two take turns, so
that whatever the machine does meanwhile strikes both; every figure is the median over the runs, and the ratio the median
over the pairs. Before that llama-server gets its best setting for each row: flash attention and repacked weights are tried,
each on and off.

  bench/serve.py MODEL --peer /path/to/llama-server
  bench/serve.py MODEL --peer /path/to/llama-server --clients 1,4,16 --repeat 5 --json serve.json
"""
import argparse
import itertools
import json
import os
import pathlib
import random
import selectors
import shutil
import socket
import subprocess
import tempfile
import time

from measuring import (add_common_arguments, describe_machine, median, mib, note, print_table, warm_page_cache, warn_if_busy,
                       write_json)
from server_harness import Server

SETTINGS = [["-fa", fa, repack] for fa, repack in itertools.product(("on", "off"), ("--repack", "--no-repack"))]
FIGURES = ("tokens_per_second", "first_p50", "first_p99", "next_p50", "next_p99")
PATIENCE = 300  # seconds without a byte from any of the connections
WORDS = ("river stone lamp window garden letter winter market bridge sailor copper violin harbour meadow thunder basket orchard "
         "lantern pepper castle feather island engine ribbon mirror saddle compass kettle marble tunnel").split()


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--peer", help="llama-server of a llama.cpp built for this machine; without it, ours alone")
    parser.add_argument("--clients", default="1,4,16", help="chats at once, a row for each (%(default)s)")
    parser.add_argument("--parallel", type=int, help="places of both servers; default: as many as there are clients")
    parser.add_argument("--num-ctx", type=int, default=2048, help="context of a place (%(default)s)")
    parser.add_argument("--prompt", type=int, default=100, help="words of a question (%(default)s)")
    parser.add_argument("--gen", type=int, default=64, help="tokens of an answer, at most (%(default)s)")
    parser.add_argument("--questions", type=int, default=4, help="of each client in one run (%(default)s); all together at least 8")
    parser.add_argument("--repeat", type=int, default=5, help="pairs (%(default)s)")
    parser.add_argument("--peer-options", help='fixed settings for the peer, such as "-fa on", in place of trying four')
    args = parser.parse_args()
    args.clients = [int(n) for n in args.clients.split(",")]
    return args


def questions(n, words, seed):
    """Questions that have nothing in common but the template's first words, so that no cache helps."""
    chance = random.Random(seed)
    return [" ".join(chance.choice(WORDS) for _ in range(words)) + ". Write a long story with these words." for _ in range(n)]


def messages(question):
    """With a system text of their own: templates may have one where none is given."""
    return [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": question}]


class Ours:
    """A store with the model, and a server on it for every run."""

    name = "quipu"

    def __init__(self, args):
        self.args = args
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="quipu-bench-"))
        os.environ["QUIPU_PROGRAM"] = args.program
        self.server = None
        self.start(1)
        self.server.create("model", args.model)
        self.stop()

    def start(self, places):
        (self.folder / "server.log").unlink(missing_ok=True)
        self.server = Server(self.folder, {"QUIPU_THREADS": str(self.args.threads), "QUIPU_NUM_PARALLEL": str(places)})
        self.address = self.server.address

    def processes(self):
        return [self.server.process.pid, *self.server.runners()]

    def stop(self):
        self.server.stop()

    def request(self, question):
        body = {"model": "model", "messages": messages(question), "options": {
            "temperature": 0, "num_predict": self.args.gen, "num_ctx": self.args.num_ctx, "repeat_guard": False}}
        return "/api/chat", body

    @staticmethod
    def read_line(line):
        """(text, tokens of prompt and answer or None) of one line of a stream."""
        if not line.startswith(b"{"):
            return "", None
        line = json.loads(line)
        if "error" in line:
            raise SystemExit(f"Error: quipu: {line['error']}")
        counts = (line["prompt_eval_count"], line["eval_count"]) if line["done"] else None
        return line["message"]["content"], counts

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Peer:
    name = "llama-server"

    def __init__(self, args):
        self.args = args
        self.options = args.peer_options.split() if args.peer_options else []
        self.process = None

    def start(self, places):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.address = s.getsockname()
        threads = str(self.args.threads)
        command = [self.args.peer, "-m", self.args.model, "-t", threads, "-tb", threads, "-np", str(places), "-c",
                   str(places * self.args.num_ctx), "--cache-ram", "0", "--host", self.address[0], "--port", str(self.address[1]),
                   "--log-disable", *self.options]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while not self.healthy():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"Error: {' '.join(command)} does not start")
            time.sleep(0.05)

    def healthy(self):
        try:
            with socket.create_connection(self.address, timeout=5) as s:
                s.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return s.recv(100).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def processes(self):
        return [self.process.pid]

    def stop(self):
        self.process.terminate()
        self.process.wait()

    def request(self, question):
        body = {"messages": messages(question), "temperature": 0, "max_tokens": self.args.gen, "stream": True,
                "stream_options": {"include_usage": True}}
        return "/v1/chat/completions", body

    @staticmethod
    def read_line(line):
        if not line.startswith(b"data: {"):
            return "", None
        line = json.loads(line[6:])
        if "error" in line:
            raise SystemExit(f"Error: llama-server: {line['error']}")
        usage = line.get("usage")
        text = "".join(choice["delta"].get("content") or "" for choice in line["choices"])
        return text, (usage["prompt_tokens"], usage["completion_tokens"]) if usage else None

    def close(self):
        pass


class Chat:
    """One question on a connection of its own. What comes is kept with its time, and read when all is over."""

    def __init__(self, side, question):
        path, body = side.request(question)
        data = json.dumps(body).encode()
        self.began = time.monotonic()
        self.socket = socket.create_connection(side.address)
        self.socket.sendall(f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
                            f"Content-Length: {len(data)}\r\n\r\n".encode() + data)
        self.came = []
        self.ended = None

    def receive(self):
        """False: that was all."""
        data = self.socket.recv(65536)
        now = time.monotonic()
        if data:
            self.came.append((now, data))
            return True
        self.ended = now
        self.socket.close()
        return False

    def read(self, side):
        """When each piece of text came, and the tokens of prompt and answer."""
        times, counts, rest, head = [], None, b"", True
        for now, data in self.came:
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if head:  # neither of the two cuts a line of its stream into chunks
                    head = line.strip() != b""
                    continue
                text, found = side.read_line(line)
                counts = found or counts
                if text:
                    times.append(now)
        if counts is None or not times:
            raise SystemExit(f"Error: {side.name} did not answer: {b''.join(d for _, d in self.came)[-500:]!r}")
        return times, counts


def converse(side, asked, n_clients):
    """All questions, n at once; one thread, so that it takes little from those it measures."""
    waiting, chats = list(reversed(asked)), []
    with selectors.DefaultSelector() as selector:
        def next_one():
            if waiting:
                chat = Chat(side, waiting.pop())
                chats.append(chat)
                selector.register(chat.socket, selectors.EVENT_READ, chat)
        for _ in range(n_clients):
            next_one()
        while selector.get_map():
            ready = selector.select(PATIENCE)
            if not ready:
                raise SystemExit(f"Error: {side.name} has sent nothing for {PATIENCE} s")
            for key, _ in ready:
                if not key.data.receive():
                    selector.unregister(key.fileobj)
                    next_one()
    return chats


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def peak_memory(pids):
    total = 0
    for pid in pids:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1]) * 1024
    return total


def measure(args, side, n_clients, seed):
    """One run: a server of its own, warmed up by one short chat."""
    n = max(8, n_clients * args.questions)
    asked = questions(n, args.prompt, seed)
    side.start(args.parallel or n_clients)
    try:
        converse(side, questions(1, 5, -1), 1)
        chats = converse(side, asked, n_clients)
        memory = peak_memory(side.processes())
    finally:
        side.stop()
    read = [chat.read(side) for chat in chats]
    first = [times[0] - chat.began for chat, (times, _) in zip(chats, read)]
    later = [b - a for times, _ in read for a, b in itertools.pairwise(times)]
    seconds = max(chat.ended for chat in chats) - min(chat.began for chat in chats)
    generated = sum(counts[1] for _, counts in read)
    return {"tokens_per_second": generated / seconds, "first_p50": percentile(first, 0.5), "first_p99": percentile(first, 0.99),
            "next_p50": percentile(later, 0.5), "next_p99": percentile(later, 0.99), "seconds": seconds, "requests": n,
            "generated_tokens": generated, "prompt_tokens": sum(counts[0] for _, counts in read), "peak_rss": memory}


def tune(args, peer, n_clients):
    """The setting with which the peer writes most tokens in this row."""
    if args.peer_options:
        return peer.options
    best = (0, None)
    for options in SETTINGS:
        peer.options = options
        speed = measure(args, peer, n_clients, 1_000)["tokens_per_second"]
        note(f"{n_clients} clients, {' '.join(options)}: {speed:.1f} tok/s")
        best = max(best, (speed, options))
    return best[1]


def row_of(n_clients, sides, runs):
    row = {"clients": n_clients}
    for side in sides:
        row[side.name] = {key: median([run[key] for run in runs[side.name]]) for key in runs[side.name][0]}
        row[side.name]["runs"] = runs[side.name]
    if len(sides) == 2:
        pairs = list(zip(runs[sides[0].name], runs[sides[1].name]))
        row["ratio"] = {key: median([a[key] / b[key] for a, b in pairs if b[key]]) for key in FIGURES}
    return row


def report(result, sides):
    print(f"{result['model']}, {result['threads']} threads, {result['gen']} tokens an answer at most; times in ms")
    table = [("clients", "", "tok/s", "first p50", "p99", "next p50", "p99", "prompt tokens", "memory", "setting")]
    for row in result["rows"]:
        for side in sides:
            r = row[side.name]
            setting = " ".join(row["peer_options"]) if side.name == Peer.name else ""
            table.append((row["clients"], side.name, f"{r['tokens_per_second']:.1f}", *(f"{r[k] * 1000:.1f}" for k in FIGURES[1:]),
                          int(r["prompt_tokens"]), mib(r["peak_rss"]), setting))
        if "ratio" in row:
            table.append(("", "ratio", *(f"{row['ratio'][key]:.2f}" for key in FIGURES), "", "", ""))
    print_table(table)


def main():
    args = parse()
    warn_if_busy()
    warm_page_cache(args.model)
    sides = [Ours(args)] + ([Peer(args)] if args.peer else [])
    result = {"model": os.path.basename(args.model), "file_bytes": os.path.getsize(args.model), "threads": args.threads,
              "started": time.strftime("%Y-%m-%d %H:%M:%S"), "machine": describe_machine(), "num_ctx": args.num_ctx,
              "prompt_words": args.prompt, "gen": args.gen, "repeat": args.repeat, "peer": args.peer, "rows": []}
    try:
        for n_clients in args.clients:
            options = []
            if args.peer:
                options = sides[1].options = tune(args, sides[1], n_clients)
            runs = {side.name: [] for side in sides}
            for number in range(args.repeat):
                for side in sides if number % 2 == 0 else reversed(sides):
                    runs[side.name].append(measure(args, side, n_clients, number))
                said = ", ".join(f"{name} {r[-1]['tokens_per_second']:.1f} tok/s" for name, r in runs.items())
                note(f"{n_clients} clients, pair {number + 1}: {said}")
            result["rows"].append({**row_of(n_clients, sides, runs), "places": args.parallel or n_clients, "peer_options": options})
    finally:
        for side in sides:
            side.close()
    if args.json != "-":
        report(result, sides)
    write_json(args.json, result)


if __name__ == "__main__":
    main()
