#!/usr/bin/env python3
"""The plan against what the system measures, for every combination of model, num_ctx, parallel and KV type: empty and full.

  build/release/bench/random_model llama-0.5b-q8_0 half.gguf
  build/release/bench/random_model granite-2.5b-q4_k_m granite.gguf
  bench/plan_matrix.py half.gguf granite.gguf

The caches are filled by committing and touching their blocks. Measured is the PSS of the runner's process; no other process
may map the files meanwhile. What does not fit into this machine is left out and said.

Exit status 1: fewer than 24 combinations were measured; the measured differs from the plan by more than 2 % (of a model whose
file is below 200 MB: and by more than 4 MiB); or 2 % of it or more is unexplained.
"""
import argparse
import itertools
import os
import sys
import tempfile

from measuring import default_program, describe_machine, mib, note, physical_cores, print_table, run_json, warm_page_cache, write_json
from runner_client import NotReady, Runner

ENOUGH = 24                            # combinations
MOST_DIFFERENT = MOST_UNEXPLAINED = 0.02
SMALL_FILE, SMALL_DIFFERENCE = 200_000_000, 4 << 20  # bytes


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="GGUF files")
    parser.add_argument("--program", default=default_program(), help="default: the one of build/release")
    parser.add_argument("--num-ctx", default="4096,16384", help="%(default)s")
    parser.add_argument("--parallel", default="1,4", help="%(default)s")
    parser.add_argument("--kv-cache-types", default="f16,q8_0,q4_0", help="%(default)s")
    parser.add_argument("--json", metavar="FILE", help="write everything that was measured there; -: to stdout, without a table")
    return parser.parse_args()


def measure(args, folder, model, num_ctx, parallel, kv):
    flags = {"num_ctx": num_ctx, "parallel": parallel, "kv_cache_type": kv, "threads": physical_cores()}
    words = [word for name, value in flags.items() for word in ("--" + name.replace("_", "-"), value)]
    plan = run_json([args.program, "plan", model, *words, "--json"])[0]
    row = {"model": os.path.basename(model), "num_ctx": num_ctx, "parallel": parallel, "kv": kv, "file_bytes": os.path.getsize(model),
           "states": []}
    if plan["fits"] != "yes":
        note(f"left out: {row['model']} {num_ctx} x {parallel} {kv} does not fit whole into this machine")
        return None
    try:
        with Runner(args.program, model, os.path.join(folder, "socket"), **flags) as runner:
            for name, tokens in (("empty", 0), ("full", num_ctx)):
                if tokens:
                    runner.fill(tokens, parallel)
                memory = runner.memory()
                planned = plan["memory"]["total"]["planned"] + (plan["memory"]["kv"]["ceiling"] if tokens else 0)
                row["states"].append({"name": name, "planned": planned, "pss": runner.pss(), "unexplained": memory["unexplained"]})
    except NotReady as refused:
        note(f"left out: {refused}")
        return None
    return row


def failures(rows):
    """What is not as it has to be, a sentence each."""
    found = []
    if len(rows) < ENOUGH:
        found.append(f"{len(rows)} combinations were measured, {ENOUGH} are wanted")
    for r in rows:
        for s in r["states"]:
            name = f"{r['model']} {r['num_ctx']} x {r['parallel']} {r['kv']} {s['name']}"
            allowed = s["planned"] * MOST_DIFFERENT
            if r["file_bytes"] < SMALL_FILE:
                allowed = max(allowed, SMALL_DIFFERENCE)
            if abs(s["pss"] - s["planned"]) > allowed:
                found.append(f"{name}: {mib(s['planned'])} planned, {mib(s['pss'])} measured")
            if abs(s["unexplained"]) >= s["pss"] * MOST_UNEXPLAINED:
                found.append(f"{name}: {mib(s['unexplained'])} of {mib(s['pss'])} unexplained")
    return found


def main():
    args = parse()
    numbers = lambda text: [int(x) for x in text.split(",")]
    rows = []
    with tempfile.TemporaryDirectory(prefix="qbench-", dir="/tmp") as folder:
        for model in args.models:
            warm_page_cache(model)
            for case in itertools.product(numbers(args.num_ctx), numbers(args.parallel), args.kv_cache_types.split(",")):
                row = measure(args, folder, model, *case)
                if row:
                    rows.append(row)
    table = [("model", "num_ctx", "parallel", "KV", "", "planned", "measured", "difference", "unexplained")]
    worst = 0
    for r in rows:
        for s in r["states"]:
            difference = (s["pss"] - s["planned"]) / s["planned"]
            worst = max(worst, abs(difference))
            table.append((r["model"], r["num_ctx"], r["parallel"], r["kv"], s["name"], mib(s["planned"]), mib(s["pss"]), f"{difference:+.2%}",
                          f"{s['unexplained'] / s['pss']:.2%}"))
    if args.json != "-":
        print_table(table)
        print(f"\n{len(rows)} combinations, empty and full; largest difference {worst:.2%}.")
    wrong = failures(rows)
    for what in wrong:
        note(what)
    write_json(args.json, {"machine": describe_machine(), "rows": rows, "failures": wrong})
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
