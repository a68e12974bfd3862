#!/usr/bin/env python3
"""One model with images, num_ctx 16384, four chats at once: the memory of server and runner over time, the plan beside it.

  build/release/bench/random_model granite-2.5b-q4_k_m granite.gguf
  build/release/bench/random_model granite-projector projector.gguf
  bench/seed_case.py granite.gguf --projector projector.gguf --json seed.json
  bench/plot_memory.py seed.json seed.svg

The phases: the server alone; the model loaded; four prompts of 2,000 tokens each, with answers; idle, until what is cached
has gone back; four chats with one system prompt of 2,000 tokens; idle again; unloaded. Measured is PSS, from /proc. No other
process may map the files meanwhile.

Exit status 1: a bound is not held.
"""
import argparse
import concurrent.futures
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
from runner_client import rollup


WORDS = "river stone lamp window garden letter winter market bridge sailor copper violin harbour meadow thunder basket".split()
MEDIA = "application/vnd.ollama.image."
INTERVAL = 0.25  # seconds between samples
ANSWER = 32      # tokens
PATIENCE = 3600


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--projector", help="GGUF file")
    parser.add_argument("--num-ctx", type=int, default=16384, help="%(default)s")
    parser.add_argument("--parallel", type=int, default=4, help="%(default)s")
    parser.add_argument("--tokens", type=int, default=2000, help="of each sequence, and of the common system prompt (%(default)s)")
    parser.add_argument("--kv-cache-type", help="default: the server's")
    parser.add_argument("--idle", type=int, default=20, help="seconds until what is cached goes back (%(default)s; Quipu's default is 60)")
    return parser.parse_args()


def link_store(folder, model, projector):
    """A store that holds the files as they are, under names that stand for digests: nothing is copied or hashed."""
    blobs = folder / "blobs"
    manifest = folder / "manifests" / "registry.ollama.ai" / "library" / "seed" / "latest"
    blobs.mkdir(parents=True)
    manifest.parent.mkdir(parents=True)

    def blob(kind, digest, size):
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": size}
    layers = []
    for number, (kind, path) in enumerate((("model", model), ("projector", projector))):
        if path:
            digest = f"{number + 1:064x}"
            os.symlink(os.path.realpath(path), blobs / f"sha256-{digest}")
            layers.append(blob(MEDIA + kind, digest, os.path.getsize(path)))
    config = json.dumps({"model_format": "gguf", "model_family": "granite"}).encode()
    (blobs / f"sha256-{'c' * 64}").write_bytes(config)
    manifest.write_text(json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": blob("application/vnd.docker.container.image.v1+json", "c" * 64, len(config)), "layers": layers}), encoding="utf-8")


def pss(pid):
    """0: it has ended."""
    try:
        return rollup(pid).get("Pss", 0)
    except OSError:
        return 0


class Watch(threading.Thread):
    """Samples of server and runner until stop()."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server, self.samples, self.phase, self.started, self.over = server, [], "server", time.monotonic(), threading.Event()
        self.runner = None

    def run(self):
        while not self.over.wait(INTERVAL):
            if self.runner is None:
                found = self.server.runners()
                self.runner = found[0] if found else None
            loaded = self.server.request("GET", "/api/ps").json()["models"]
            memory = loaded[0]["quipu"].get("memory") if loaded else None
            self.samples.append({"t": round(time.monotonic() - self.started, 2), "phase": self.phase,
                                 "server": pss(self.server.process.pid), "runner": pss(self.runner) if self.runner else 0,
                                 "planned": memory["total"]["planned"] if memory else 0})

    def stop(self):
        self.over.set()
        self.join()


class Case:
    def __init__(self, args, server):
        self.args, self.server = args, server
        self.options = {"num_ctx": args.num_ctx, "num_predict": ANSWER, "repeat_guard": False, "temperature": 0}
        if args.kv_cache_type:
            self.options["kv_cache_type"] = args.kv_cache_type

    def ask(self, path, body):
        answer = self.server.post(path, {"model": "seed", "stream": False, **body})
        if answer.status != 200:
            raise SystemExit(f"Error: {path}: {answer.status}: {answer.body.decode(errors='replace')[:500]}")
        return answer.json()

    def memory(self):
        loaded = self.server.request("GET", "/api/ps").json()["models"]
        return loaded[0]["quipu"]["memory"] if loaded else None

    def text(self, n_tokens, seed):
        """Words that have about as many tokens."""
        chance = random.Random(seed)
        words = [chance.choice(WORDS) for _ in range(n_tokens)]
        n = len(self.ask("/api/tokenize", {"text": " ".join(words)})["tokens"])
        return " ".join(words[:max(1, int(len(words) * n_tokens / n))])

    def at_once(self, bodies):
        with concurrent.futures.ThreadPoolExecutor(len(bodies)) as pool:
            return list(pool.map(lambda b: self.ask(*b), bodies))

    def prompts(self):
        a = self.args
        texts = [self.text(a.tokens - ANSWER, seed) for seed in range(a.parallel)]
        answers = self.at_once([("/api/generate", {"prompt": t, "raw": True, "options": self.options}) for t in texts])
        return sum(x["prompt_eval_count"] + x["eval_count"] for x in answers)

    def chats(self):
        a = self.args
        system = self.text(a.tokens, 99)
        bodies = [("/api/chat", {"messages": [{"role": "system", "content": system}, {"role": "user", "content": f"Question {i}?"}],
                                 "options": self.options}) for i in range(a.parallel)]
        answers = self.at_once(bodies)
        return [{"prompt": x["prompt_eval_count"], "cached": x["quipu"]["cached_tokens"], "answer": x["eval_count"]} for x in answers]

    def wait_for_trim(self):
        deadline = time.monotonic() + self.args.idle * 3 + 30
        while time.monotonic() < deadline and self.memory()["kv"]["measured"] > 0:
            time.sleep(0.5)
        time.sleep(1)


def state(watch, case, name):
    memory = case.memory()
    return {"name": name, "t": round(time.monotonic() - watch.started, 2), "server": pss(watch.server.process.pid),
            "runner": pss(watch.runner), "memory": memory}


def run(args, server):
    watch = Watch(server)
    case = Case(args, server)
    watch.start()
    result = {"states": [], "server_alone": 0}
    time.sleep(2)
    result["server_alone"] = pss(server.process.pid)

    def phase(name, work):
        note(name)
        watch.phase = name
        done = work()
        time.sleep(2 * INTERVAL)
        result["states"].append(state(watch, case, name))
        return done
    phase("loaded", lambda: (case.ask("/api/generate", {"options": load_options(case)}), time.sleep(3)))
    result["prompt_tokens"] = phase(f"{args.parallel} x {args.tokens} tokens", case.prompts)
    phase("idle", case.wait_for_trim)
    result["chats"] = phase("one system prompt", case.chats)
    phase("idle again", case.wait_for_trim)
    watch.phase = "unloaded"
    case.ask("/api/generate", {"keep_alive": 0})
    time.sleep(3)
    watch.stop()
    result["samples"] = watch.samples
    result["events"] = [{"name": s["name"], "t": s["t"]} for s in result["states"]]
    return result


def load_options(case):
    return {k: v for k, v in case.options.items() if k in ("num_ctx", "kv_cache_type")}


def report(r, checks):
    table = [("", "runner PSS", "planned", "difference", "KV", "unexplained", "server PSS")]
    for s in r["states"]:
        m = s["memory"]
        planned = m["total"]["planned"]
        table.append((s["name"], mib(s["runner"]), mib(planned), f"{(s['runner'] - planned) / planned:+.2%}", mib(m["kv"]["measured"]),
                      mib(m["unexplained"]), mib(s["server"])))
    print_table(table)
    print()
    print_table([("", "measured", "bound", "")]
                + [(name, mib(v), mib(bound), "ok" if v <= bound else "NOT HELD") for name, v, bound in checks])


def bounds(r):
    """(name, bytes, bytes at most) of everything that has to hold."""
    files = r["file_bytes"] + r["projector_bytes"]
    loaded, full, idle, common, again = r["states"]
    per_token = loaded["memory"]["kv"]["bytes_per_token"]
    most = r["prompt_tokens"] * per_token * 1.05
    whole = sum(c["prompt"] + c["answer"] for c in r["chats"])
    computed = whole - sum(c["cached"] for c in r["chats"])
    once = whole - (len(r["chats"]) - 1) * r["tokens"]  # the system prompt, and what is each chat's own
    # What is beyond the load may be less than what the cache had: that all of it has gone back, the ledger says.
    kept = [(f"{s['name']}: KV cache {key}", s["memory"]["kv"][key], 0) for s in (idle, again) for key in ("measured", "in_use", "cached")]
    return [
        ("at load, beyond the files", loaded["runner"] - files, 64 << 20),
        ("server", max(s["server"] for s in r["states"]), 32 << 20),
        (f"{r['prompt_tokens']} tokens, beyond that", full["runner"] - loaded["runner"], most),
        (f"one system prompt ({computed} of {whole} tokens computed), beyond load", common["runner"] - loaded["runner"],
         (once + 64 * len(r["chats"])) * per_token + (1 << 20)),
        ("idle, beyond load", idle["runner"] - loaded["runner"], loaded["runner"] * 0.05),
        ("idle again, beyond load", again["runner"] - loaded["runner"], loaded["runner"] * 0.05),
        *kept,
    ]


def main():
    args = parse()
    result = {"model": os.path.basename(args.model), "file_bytes": os.path.getsize(args.model), "num_ctx": args.num_ctx,
              "projector_bytes": os.path.getsize(args.projector) if args.projector else 0, "parallel": args.parallel,
              "tokens": args.tokens, "started": time.strftime("%Y-%m-%d %H:%M:%S"), "machine": describe_machine()}
    for path in filter(None, (args.model, args.projector)):
        warm_page_cache(path)
    with tempfile.TemporaryDirectory(prefix="qbench-", dir="/tmp") as name:
        folder = pathlib.Path(name)
        link_store(folder / "models", args.model, args.projector)
        os.environ["QUIPU_PROGRAM"] = args.program
        server_harness.PATIENCE = PATIENCE
        server = server_harness.Server(folder, {"QUIPU_IDLE_TRIM": f"{args.idle}s", "OLLAMA_NUM_PARALLEL": str(args.parallel),
                                 "QUIPU_THREADS": str(args.threads), "OLLAMA_NOPRUNE": "1"})
        try:
            result.update(run(args, server))
        finally:
            server.stop()
    checks = bounds(result)
    result["not_held"] = [name for name, v, bound in checks if v > bound]
    if args.json != "-":
        report(result, checks)
    for name in result["not_held"]:
        note(f"not held: {name}")
    write_json(args.json, result)
    return 1 if result["not_held"] else 0


if __name__ == "__main__":
    sys.exit(main())
