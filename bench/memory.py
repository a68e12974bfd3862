#!/usr/bin/env python3
"""What a runner takes: start, memory at load, with answers in its cache, and with a full cache; the plan beside it.

Made for the case of a 1.5 GB model with num_ctx 16384 and 4 sequences at once:

  build/release/bench/random_model granite-2.5b-q4_k_m granite.gguf
  bench/memory.py granite.gguf

Measured is the PSS of the runner's process. No other process may map the model file meanwhile.
"""
import argparse
import concurrent.futures
import os
import tempfile
import time

from measuring import (add_common_arguments, describe_machine, median, mib, note, print_table, run_json, warm_page_cache,
                       warn_if_busy, write_json)
from runner_client import Runner

CATEGORIES = ("weights", "projector", "kv", "workspace", "output", "runtime", "total")


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--num-ctx", type=int, default=16384, help="%(default)s")
    parser.add_argument("--parallel", type=int, default=4, help="%(default)s")
    parser.add_argument("--kv-cache-type", default="f16", help="%(default)s")
    parser.add_argument("--tokens", type=int, default=512, help="tokens each sequence generates (%(default)s)")
    parser.add_argument("--fill", action="store_true", help="commit the cache of those tokens instead of generating them: quick")
    parser.add_argument("--full", action="store_true", help="also with every sequence's whole context")
    parser.add_argument("--repeat", type=int, default=5, help="starts, of which the median counts (%(default)s)")
    return parser.parse_args()


class Case:
    def __init__(self, args, folder):
        self.args = args
        self.socket = os.path.join(folder, "socket")
        self.flags = {"num_ctx": args.num_ctx, "parallel": args.parallel, "kv_cache_type": args.kv_cache_type,
                      "threads": args.threads}

    def plan(self):
        words = [word for name, value in self.flags.items() for word in ("--" + name.replace("_", "-"), value)]
        return run_json([self.args.program, "plan", self.args.model, *words, "--json"])[0]["memory"]

    def start(self):
        return Runner(self.args.program, self.args.model, self.socket, **self.flags)

    def work(self, runner):
        """As many answers at once as there are sequences; the tokens that were really generated."""
        a = self.args
        if a.fill:
            runner.fill(a.tokens, a.parallel)
            return a.tokens * a.parallel
        def ask(number):
            return runner.generate(f"Story {number}. Once upon a time", num_predict=a.tokens, seed=number, repeat_guard=False)
        with concurrent.futures.ThreadPoolExecutor(a.parallel) as pool:
            return sum(answer["generated_tokens"] for answer in pool.map(ask, range(a.parallel)))


def others_that_map(path, own):
    """Processes besides `own` that map the file, as far as this user may see them."""
    mark = f":{os.stat(path).st_ino} "
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != own:
            try:
                with open(f"/proc/{name}/maps", encoding="utf-8", errors="replace") as file:
                    if any(mark in ":".join(line.split()[3:5]) + " " for line in file):
                        found.append(int(name))
            except OSError:
                continue
    return found


def state(model, name, runner):
    rollup = runner.rollup()
    others = others_that_map(model, runner.process.pid)
    if others:
        note(f"Warning: '{name}' counts the file by shares, since others map it too: {', '.join(map(str, others))}")
    return {"name": name, "others_that_map_the_file": others, "pss": rollup["Pss"], "pss_anon": rollup.get("Pss_Anon", 0), "pss_file": rollup.get("Pss_File", 0),
            "memory": runner.memory()}


def report(result):
    plan = result["plan"]
    print(f"{result['model']}, num_ctx {result['num_ctx']}, parallel {result['parallel']}, KV {plan['kv']['type']}\n")
    table = [("", "planned") + tuple(s["name"] for s in result["states"])]
    for name in CATEGORIES:
        if name != "projector" or plan[name]["planned"]:
            table.append((name, mib(plan[name]["planned"])) + tuple(mib(s["memory"][name]["measured"]) for s in result["states"]))
    table.append(("unexplained", "") + tuple(mib(s["memory"]["unexplained"]) for s in result["states"]))
    table.append(("planned then", mib(plan["total"]["planned"])) + tuple(mib(s["memory"]["total"]["planned"]) for s in result["states"]))
    table.append(("PSS", "") + tuple(mib(s["pss"]) for s in result["states"]))
    table.append(("PSS less planned", "") + tuple(f"{(s['pss'] - s['memory']['total']['planned']) / s['pss']:+.2%}" for s in result["states"]))
    print_table(table)
    load = result["states"][0]["pss"]
    print(f"\nAt load: {mib(load)}, the file's {mib(result['file_bytes'])} and {mib(load - result['file_bytes'])}.")
    print(f"Generated: {result['generated_tokens']} tokens. A cache reserved for {result['parallel']} x {result['num_ctx']} tokens "
          f"would take {mib(plan['kv']['ceiling'])} at load.")
    print(f"Start of the process to ready, warm page cache: {median(result['ready_seconds']):.3f} s "
          f"(median of {len(result['ready_seconds'])}; loading itself {median(result['load_seconds']):.3f} s).")


def main():
    args = parse()
    warn_if_busy()
    result = {"model": os.path.basename(args.model), "file_bytes": os.path.getsize(args.model), "num_ctx": args.num_ctx,
              "parallel": args.parallel, "threads": args.threads, "started": time.strftime("%Y-%m-%d %H:%M:%S"),
              "machine": describe_machine(), "ready_seconds": [], "load_seconds": [], "states": []}
    with tempfile.TemporaryDirectory(prefix="qbench-", dir="/tmp") as folder:
        case = Case(args, folder)
        result["plan"] = case.plan()
        warm_page_cache(args.model)
        for _ in range(args.repeat):
            with case.start() as runner:
                result["ready_seconds"].append(runner.ready_seconds)
                result["load_seconds"].append(runner.load_ns / 1e9)
        with case.start() as runner:
            result["states"].append(state(args.model, "at load", runner))
            note(f"{args.parallel} x {args.tokens} tokens")
            started = time.monotonic()
            result["generated_tokens"] = case.work(runner)
            result["generate_seconds"] = time.monotonic() - started
            result["states"].append(state(args.model, f"{args.parallel} x {args.tokens} tokens", runner))
            runner.fill(0)
            result["states"].append(state(args.model, "given back", runner))
            if args.full:
                runner.fill(args.num_ctx, args.parallel)
                result["states"].append(state(args.model, f"{args.parallel} x {args.num_ctx} tokens", runner))
    if args.json != "-":
        report(result)
    write_json(args.json, result)


if __name__ == "__main__":
    main()
