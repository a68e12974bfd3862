#!/usr/bin/env python3
"""What is left of decode speed when other processes want the cores, and what an idle runner costs.

N processes that do nothing but count take the cores while a model decodes. If nothing but time is lost, the speed that is
left is the share of the cores that a fair system leaves: cores / (threads + N), at most 1. It is shown beside what was
measured, for Quipu and, with --peer, for llama.cpp.

  bench/busy.py MODEL [--peer /path/to/llama-bench]
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

from measuring import (add_common_arguments, describe_machine, median, note, print_table, run_json, warm_page_cache, warn_if_busy,
                       write_json)
from runner_client import Runner

IDLE_SECONDS = 5


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--peer", help="llama-bench of a llama.cpp built for this machine")
    parser.add_argument("--peer-options", default="", help='more words for the peer, such as "-fa 1"')
    parser.add_argument("--isa", choices=("scalar", "avx2", "avx512"), help="for ours; --peer should be built for the same")
    parser.add_argument("--busy", default="0,1,2", help="numbers of busy processes (%(default)s)")
    parser.add_argument("--gen", type=int, default=64, help="tokens of decode (%(default)s)")
    parser.add_argument("--repeat", type=int, default=3, help="measurements, of which the median counts (%(default)s)")
    return parser.parse_args()


class Busy:
    """So many processes that count for as long as the block runs."""

    def __init__(self, number):
        self.number = number
        self.processes = []

    def __enter__(self):
        for _ in range(self.number):
            self.processes.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
        time.sleep(0.3)  # until they run

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait()


def ours(args, environment):
    words = [args.program, "bench", args.model, "--prompt", 0, "--gen", args.gen, "--threads", args.threads, "--repeat", 1, "--json"]
    return run_json(words, environment)[0]["decode_tps"]


def peer(args):
    words = [args.peer, "-m", args.model, "-t", args.threads, "-p", 0, "-n", args.gen, "-r", 1, "-o", "json",
             *args.peer_options.split()]
    return run_json(words)[0][0]["avg_ts"]


def idle_share(args, environment):
    """Share of one core that a loaded runner takes while nobody asks it anything; after it has worked once."""
    with tempfile.TemporaryDirectory(prefix="qbench-", dir="/tmp") as folder:
        with Runner(args.program, args.model, os.path.join(folder, "socket"), environment=environment,
                    num_ctx=1024, parallel=1, threads=args.threads) as runner:
            runner.generate("Once upon a time", num_predict=8)
            time.sleep(1)
            before = runner.cpu_seconds()
            time.sleep(IDLE_SECONDS)
            return (runner.cpu_seconds() - before) / IDLE_SECONDS


def main():
    args = parse()
    warn_if_busy()
    environment = {**os.environ, "QUIPU_ISA": args.isa} if args.isa else None
    cores = len(os.sched_getaffinity(0))
    result = {"model": os.path.basename(args.model), "threads": args.threads, "cores": cores, "gen": args.gen,
              "started": time.strftime("%Y-%m-%d %H:%M:%S"), "machine": describe_machine(), "rows": []}
    warm_page_cache(args.model)
    for number in (int(n) for n in args.busy.split(",")):
        row = {"busy": number, "fair_share": min(1.0, cores / (args.threads + number)), "ours_tps": [], "peer_tps": []}
        for _ in range(args.repeat):
            with Busy(number):
                row["ours_tps"].append(ours(args, environment))
            if args.peer:
                with Busy(number):
                    row["peer_tps"].append(peer(args))
        result["rows"].append(row)
        note(f"{number} busy: ours {row['ours_tps']}, peer {row['peer_tps']}")
    result["idle_cpu_share"] = idle_share(args, environment)

    first = result["rows"][0]
    for row in result["rows"]:
        for side in ("ours", "peer"):
            row[side] = median(row[side + "_tps"])
            row[side + "_left"] = row[side] / first[side] if first[side] else 0.0
    if args.json != "-":
        print(f"{result['model']}, {args.threads} threads on {cores} cores, decode")
        table = [("busy processes", "fair share", "ours tok/s", "left") + (("peer tok/s", "left") if args.peer else ())]
        for row in result["rows"]:
            cells = [row["busy"], f"{row['fair_share']:.0%}", f"{row['ours']:.1f}", f"{row['ours_left']:.0%}"]
            if args.peer:
                cells += [f"{row['peer']:.1f}", f"{row['peer_left']:.0%}"]
            table.append(tuple(cells))
        print_table(table)
        print(f"A loaded runner that nobody asks anything takes {result['idle_cpu_share']:.1%} of a core, over {IDLE_SECONDS} s.")
    write_json(args.json, result)


if __name__ == "__main__":
    main()
