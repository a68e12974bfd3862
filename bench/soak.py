#!/usr/bin/env python3
"""A long run of mixed chats with hang-ups: memory has to come back to where it was, and no KV block may be lost.

  bench/soak.py "$(scripts/fetch-model)" --minutes 30

Clients begin conversations with one of a few system prompts, go on with them, go back in them, hang up in the middle of an
answer, ask for embeddings, with several KV types and contexts that overflow. First comes a warm-up; after it and at the end
all fall silent until what is cached has gone back, and server and runner are measured (PSS). Answers at temperature 0 that are
asked for again have to be the same, whatever was cached in between.
"""
import argparse
import json
import os
import pathlib
import random
import sys
import tempfile
import threading
import time

from measuring import add_common_arguments, describe_machine, mib, note, print_table, warm_page_cache, write_json
import server_harness  # found by measuring
from seed_case import link_store, pss

IDLE_TRIM = 5  # seconds
TOPICS = "rivers bridges bread winter violins maps whales glass honey trains castles tides".split()
SYSTEMS = ["You are a helpful assistant.", "Answer in one short sentence. " * 12, "You are a poet who loves the sea. " * 40]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--minutes", type=float, default=30, help="%(default)s, after the warm-up")
    parser.add_argument("--warm-up", type=float, default=2, help="minutes (%(default)s)")
    parser.add_argument("--clients", type=int, default=6, help="%(default)s")
    parser.add_argument("--environment", action="append", default=[], metavar="NAME=VALUE", help="for the server")
    return parser.parse_args()


class Client(threading.Thread):
    """One that asks until `until`."""

    def __init__(self, server, shared, seed, until):
        super().__init__(daemon=True)
        self.server, self.shared, self.chance, self.until = server, shared, random.Random(seed), until
        self.history = []

    def run(self):
        while time.monotonic() < self.until:
            kind = self.chance.choices(("chat", "hang up", "again", "embed", "go back"), (60, 15, 15, 5, 5))[0]
            try:
                self.one(kind)
                self.shared.count(kind)
            except Exception as error:  # noqa: BLE001: whatever it is, it is a finding
                self.shared.fail(f"{kind}: {error!r}")

    def one(self, kind):
        if kind == "embed":
            answer = self.server.post("/api/embed", {"model": "seed", "input": [self.question(), self.question()]})
            assert answer.status == 200, answer.body[:300]
            return
        if kind == "again":
            return self.again()
        if kind == "go back":
            self.history = self.history[:self.chance.randrange(0, len(self.history) + 1) // 2 * 2]
        if not self.history or len(self.history) > 12:
            self.history = [{"role": "system", "content": self.chance.choice(SYSTEMS)}]
        messages = self.history + [{"role": "user", "content": self.question()}]
        options = {"num_predict": self.chance.randint(4, 48), "seed": self.chance.randint(0, 99), "temperature": 0.8}
        if self.chance.random() < 0.2:
            options["num_ctx"] = 256  # overflows
        if self.chance.random() < 0.2:
            options["kv_cache_type"] = self.chance.choice(("f16", "q4_0"))
        body = {"model": "seed", "messages": messages, "options": options}
        if kind == "hang up":
            return self.hang_up(body)
        text = self.chat(body)
        self.history = messages + [{"role": "assistant", "content": text}]

    def question(self):
        return f"Tell me about {self.chance.choice(TOPICS)} and {self.chance.choice(TOPICS)}, number {self.chance.randint(0, 999)}."

    def chat(self, body):
        answer = self.server.post("/api/chat", {**body, "stream": False})
        assert answer.status == 200, answer.body[:300]
        said = answer.json()
        assert said["done"], said
        return said["message"]["content"]

    def again(self):
        """One of a few questions whose answers have to stay what they are."""
        number = self.chance.randrange(20)
        messages = [{"role": "system", "content": SYSTEMS[number % 3]}, {"role": "user", "content": f"What is {TOPICS[number % 12]} {number}?"}]
        text = self.chat({"model": "seed", "messages": messages, "options": {"temperature": 0, "num_predict": 24}})
        first = self.shared.answers.setdefault(number, text)
        assert first == text, f"question {number} had another answer: {first!r} and now {text!r}"

    def hang_up(self, body):
        body = json.dumps({**body, "stream": True}).encode()
        head = f"POST /api/chat HTTP/1.1\r\nHost: {self.server.host}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with self.server.connect() as s:
            s.sendall(head + body)
            for _ in range(self.chance.randint(0, 6)):
                if not s.recv(4096):
                    break


class Shared:
    def __init__(self):
        self.lock, self.counts, self.failures, self.answers = threading.Lock(), {}, [], {}

    def count(self, kind):
        with self.lock:
            self.counts[kind] = self.counts.get(kind, 0) + 1

    def fail(self, what):
        with self.lock:
            self.failures.append(what)
        note(what)


def memory(server):
    return server.request("GET", "/api/ps").json()["models"][0]["quipu"]["memory"]


def work(args, server, shared, minutes, seed, samples):
    until = time.monotonic() + minutes * 60
    clients = [Client(server, shared, seed + i, until) for i in range(args.clients)]
    for c in clients:
        c.start()
    while any(c.is_alive() for c in clients):
        time.sleep(10)
        now = memory(server)
        samples.append({"t": time.monotonic(), "runner": pss(server.runners()[0]), "server": pss(server.process.pid),
                        "in_use": now["kv"]["in_use"], "cached": now["kv"]["cached"], "committed": now["kv"]["measured"],
                        "unexplained": now["unexplained"]})
    return settled(server)


def settled(server):
    deadline = time.monotonic() + 60
    while memory(server)["kv"]["measured"] > 0 and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(2)
    return {"runner": pss(server.runners()[0]), "server": pss(server.process.pid), "memory": memory(server)}


def main():
    args = parse()
    result = {"model": os.path.basename(args.model), "machine": describe_machine(), "minutes": args.minutes, "samples": []}
    warm_page_cache(args.model)
    shared = Shared()
    with tempfile.TemporaryDirectory(prefix="qbench-", dir="/tmp") as name:
        folder = pathlib.Path(name)
        link_store(folder / "models", args.model, None)
        os.environ["QUIPU_PROGRAM"] = args.program
        environment = {"QUIPU_IDLE_TRIM": f"{IDLE_TRIM}s", "QUIPU_THREADS": str(args.threads), "OLLAMA_NOPRUNE": "1",
                       "OLLAMA_KEEP_ALIVE": "-1", **dict(e.split("=", 1) for e in args.environment)}
        server = server_harness.Server(folder, environment)
        try:
            assert server.post("/api/generate", {"model": "seed"}).status == 200, "the model does not load"
            note("warming up")
            before = work(args, server, shared, args.warm_up, 1000, [])
            note(f"{args.minutes:g} minutes")
            after = work(args, server, shared, args.minutes, 2000, result["samples"])
        finally:
            server.stop()
    result.update({"before": before, "after": after, "counts": shared.counts, "failures": shared.failures})
    if args.json != "-":
        table = [("", "warmed up", "at the end", "difference")]
        for who in ("runner", "server"):
            difference = after[who] - before[who]
            table.append((who, mib(before[who]), mib(after[who]), f"{mib(difference)} ({difference / before[who]:+.2%})"))
        for what in ("in_use", "cached", "measured"):
            table.append((f"KV {what}", mib(before["memory"]["kv"][what]), mib(after["memory"]["kv"][what]), ""))
        print_table(table)
        print(f"\n{sum(shared.counts.values())} requests ({', '.join(f'{n} {k}' for k, n in sorted(shared.counts.items()))}), "
              f"{len(shared.failures)} failures.")
    write_json(args.json, result)
    lost = any(after["memory"]["kv"][what] for what in ("in_use", "cached", "measured"))
    grown = any(after[who] - before[who] > max(before[who] * 0.01, 4 << 20) for who in ("runner", "server"))
    return 1 if lost or grown or shared.failures else 0


if __name__ == "__main__":
    sys.exit(main())
