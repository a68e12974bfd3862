#!/usr/bin/env python3
"""Quipu and llama.cpp on one model file, in pairs: prefill and decode, at several depths of context.

The two take turns, so that whatever the machine does meanwhile strikes both; the ratio is the median over the pairs.
Before that llama.cpp gets its best setting: flash attention and repacked weights are tried, each on and off, and the
fastest of the four counts, for each row of the table on its own.

  bench/compare.py MODEL --peer /path/to/llama-bench
  bench/compare.py MODEL --peer /path/to/avx2-build/llama-bench --isa avx2
"""
import argparse
import itertools
import os
import time

from measuring import (add_common_arguments, describe_machine, median, mib, note, print_table, run_json, warm_page_cache,
                       warn_if_busy, write_json)

SETTINGS = [{"-fa": fa, "--repack": repack} for fa, repack in itertools.product("10", "10")]


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--peer", required=True, help="llama-bench of a llama.cpp built for this machine")
    parser.add_argument("--isa", choices=("scalar", "avx2", "avx512"), help="for ours; --peer should be built for the same")
    parser.add_argument("--prompt", type=int, default=512, help="tokens of prefill (%(default)s)")
    parser.add_argument("--gen", type=int, default=64, help="tokens of decode (%(default)s)")
    parser.add_argument("--depths", default="0,4096", help="tokens in the cache before (%(default)s)")
    parser.add_argument("--repeat", type=int, default=5, help="pairs (%(default)s)")
    parser.add_argument("--inner", type=int, default=1, help="measurements inside one run, of which the median counts (%(default)s)")
    parser.add_argument("--peer-options", help='fixed settings for the peer, such as "-fa 1", in place of trying four')
    args = parser.parse_args()
    args.depths = [int(depth) for depth in args.depths.split(",")]
    return args


class Ours:
    def __init__(self, args):
        self.args = args
        self.environment = {**os.environ, "QUIPU_ISA": args.isa} if args.isa else None

    def machine(self):
        words = [self.args.program, "bench", "--machine", "--threads", self.args.threads, "--json"]
        return run_json(words, self.environment)[0]

    def measure(self, depth):
        a = self.args
        words = [a.program, "bench", a.model, "--prompt", a.prompt, "--gen", a.gen, "--depth", depth,
                 "--threads", a.threads, "--repeat", a.inner, "--json"]
        result = run_json(words, self.environment)[0]
        # Its own figure: the process takes more later, when it measures the machine's limits.
        return {"prefill": result["prefill_tps"], "decode": result["decode_tps"], "peak_rss": result["peak_rss"], "bench": result}


class Peer:
    def __init__(self, args):
        self.args = args
        self.best = {}   # (depth, test) -> words of its best setting
        self.build = {}

    def run(self, depth, tests, words, repeat):
        a = self.args
        command = [a.peer, "-m", a.model, "-t", a.threads, "-d", depth, "-r", repeat, "-o", "json",
                   "-p", a.prompt if "prefill" in tests else 0, "-n", a.gen if "decode" in tests else 0, *words]
        rows, peak_rss = run_json(command)
        self.build = {key: rows[0].get(key) for key in ("build_commit", "build_number", "backends", "cpu_info")}
        return rows, peak_rss

    @staticmethod
    def test_of(row):
        return "prefill" if row["n_prompt"] else "decode"

    def tune(self, depth):
        if self.args.peer_options is not None:
            for test in ("prefill", "decode"):
                self.best[depth, test] = tuple(self.args.peer_options.split())
            return
        fastest = {}
        for setting in SETTINGS:
            words = tuple(word for pair in setting.items() for word in pair)
            for row in self.run(depth, ("prefill", "decode"), words, 1)[0]:
                key = (depth, self.test_of(row))
                if row["avg_ts"] > fastest.get(key, 0):
                    fastest[key] = row["avg_ts"]
                    self.best[key] = words

    def measure(self, depth):
        out = {"peak_rss": 0}
        for words in sorted({self.best[depth, test] for test in ("prefill", "decode")}):
            tests = [test for test in ("prefill", "decode") if self.best[depth, test] == words]
            rows, peak_rss = self.run(depth, tests, words, self.args.inner)
            out["peak_rss"] = max(out["peak_rss"], peak_rss)
            for row in rows:
                out[self.test_of(row)] = median(row["samples_ts"])
        return out


def row_of(args, depth, test, pairs, limits, best):
    """One line of the comparison: what both reached, and which share of the machine's own peak that is."""
    bench = pairs[0][0]["bench"]
    # Work of one token: the same for both, as `quipu bench` counts it.
    unit, limit, work = (("GOP/s", limits["int8_gops"], bench["prefill_gops"] / bench["prefill_tps"]) if test == "prefill"
                         else ("GB/s", limits["read_gbps"], bench["decode_gbps"] / bench["decode_tps"]))
    row = {"depth": depth, "test": test, "tokens": args.prompt if test == "prefill" else args.gen, "unit": unit, "limit": limit,
           "ratio": median([ours[test] / peer[test] for ours, peer in pairs]),
           "ratios": [ours[test] / peer[test] for ours, peer in pairs], "peer_options": " ".join(best)}
    for name, side in (("ours", 0), ("peer", 1)):
        tps = [pair[side][test] for pair in pairs]
        rate = median(tps) * work
        row[name] = {"tps": median(tps), "all_tps": tps, "rate": rate, "share_of_limit": rate / limit if limit else 0.0}
    return row


def report(result):
    print(f"{result['model']}, {result['threads']} threads, {result['isa']}; this machine: "
          f"read {result['limits']['read_gbps']:.1f} GB/s, int8 {result['limits']['int8_gops']:.0f} GOP/s")
    table = [("", "depth", "ours tok/s", "peer tok/s", "ratio", "ours", "peer", "", "share of peak", "peer's share", "peer's setting")]
    for row in result["rows"]:
        ours, peer = row["ours"], row["peer"]
        table.append((f"{row['test']} {row['tokens']}", row["depth"], f"{ours['tps']:.1f}", f"{peer['tps']:.1f}",
                      f"{row['ratio']:.2f}", f"{ours['rate']:.1f}", f"{peer['rate']:.1f}", row["unit"],
                      f"{ours['share_of_limit']:.0%}", f"{peer['share_of_limit']:.0%}", row["peer_options"]))
    print_table(table)
    print()
    table = [("memory at most", "ours", "planned", "peer")]
    for row in result["memory"]:
        # llama-bench keeps a second copy of the cache when it measures at a depth: only depth 0 compares the two.
        peer = mib(row["peer_peak_rss"]) if row["depth"] == 0 else "-"
        table.append((f"depth {row['depth']}", mib(row["ours_peak_rss"]), mib(row["planned"]), peer))
    print_table(table)


def main():
    args = parse()
    warn_if_busy()
    ours, peer = Ours(args), Peer(args)
    result = {"model": os.path.basename(args.model), "file_bytes": os.path.getsize(args.model), "threads": args.threads,
              "started": time.strftime("%Y-%m-%d %H:%M:%S"), "machine": describe_machine(), "prompt": args.prompt,
              "gen": args.gen, "repeat": args.repeat, "inner": args.inner}
    warm_page_cache(args.model)
    limits = [ours.machine()]
    for depth in args.depths:
        note(f"depth {depth}: the peer's best setting")
        peer.tune(depth)
    pairs = {depth: [] for depth in args.depths}
    for number in range(args.repeat):
        for depth in args.depths:
            a, b = ours.measure(depth), peer.measure(depth)
            pairs[depth].append((a, b))
            note(f"pair {number + 1}, depth {depth}: prefill {a['prefill']:.1f} and {b['prefill']:.1f}, "
                 f"decode {a['decode']:.1f} and {b['decode']:.1f} tok/s")
    limits.append(ours.machine())

    # The most that was ever seen: a share of a peak must not look better because the machine was slow for a moment.
    result["limits"] = {key: max(l[key] for l in limits) for key in ("read_gbps", "int8_gops", "f32_gflops")}
    result["all_limits"] = limits
    result["isa"] = limits[0]["isa"]
    result["peer"] = {"path": args.peer, **peer.build}
    result["rows"] = [row_of(args, depth, test, pairs[depth], result["limits"], peer.best[depth, test])
                      for test in ("prefill", "decode") for depth in args.depths]
    result["memory"] = [{"depth": depth, "ours_peak_rss": max(a["peak_rss"] for a, _ in pairs[depth]),
                         "planned": pairs[depth][0][0]["bench"]["planned"],
                         "peer_peak_rss": max(b["peak_rss"] for _, b in pairs[depth])} for depth in args.depths]
    if args.json != "-":
        report(result)
    write_json(args.json, result)


if __name__ == "__main__":
    main()
