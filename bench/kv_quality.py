#!/usr/bin/env python3
"""What smaller types of the KV cache cost in quality: each against an f16 cache, at several lengths of context.

  bench/kv_quality.py "$(scripts/fetch-model)" --text testdata/smollm2/text.txt

Both sides compute with float32 activations: rounding those to int8 alone gives a KL divergence of 0.01 between any
two paths, which would drown the cache's. The text is the King James Bible out of Debian's packages bible-kjv and
bible-kjv-text (public domain; fetched with apt-get into the cache folder), and whatever --text names. Per row: the
scored tokens, perplexity, KL divergence of the next token's distribution from the one with an f16 cache, and how often
the likeliest token is the same. Saved distributions take up to 1.3 GB in the temporary folder.

Whether q8_0 may be the default is judged by its mean divergence from f16 at 512, 2048 and 8192 tokens of the long text.
Exit status 1: it is 0.002 or more somewhere, also of a --text; or it is missing at one of the three. With --lengths or
--types it may be: then it is said that the default was not judged.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from measuring import add_common_arguments, describe_machine, note, print_table, run_json, write_json

PACKAGES = ("bible-kjv", "bible-kjv-text")
VERSES = "mat1:1-rev22:21"
# Text for the wanted number of chunks: a token of English prose is 4.3 characters on average, of this one less.
CHARACTERS_PER_TOKEN = 4.0
LONG_TEXT = "bible"
DEFAULT_TYPE, MOST_OF_DEFAULT, JUDGED_LENGTHS = "q8_0", 0.002, (512, 2048, 8192)  # the bound is a mean KL divergence
TYPES = "bf16,q8_0,q8_0:q4_0,q4_0"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common_arguments(parser)
    parser.add_argument("--text", action="append", default=[], metavar="FILE", help="another text, at lengths it has a chunk for")
    parser.add_argument("--lengths", help="default: " + ",".join(map(str, JUDGED_LENGTHS)))
    parser.add_argument("--tokens", type=int, default=24576, help="of the long text, at each length (%(default)s)")
    parser.add_argument("--types", help=f"default: {TYPES}")
    args = parser.parse_args()
    args.chosen = args.lengths is not None or args.types is not None
    args.lengths = [int(x) for x in args.lengths.split(",")] if args.lengths is not None else list(JUDGED_LENGTHS)
    args.types = (args.types if args.types is not None else TYPES).split(",")
    return args


def cache_folder():
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return pathlib.Path(os.environ.get("QUIPU_CACHE") or os.path.join(home, "quipu")) / "texts"


def bible():
    """The New Testament, a verse a line without its number."""
    folder = cache_folder()
    text = folder / "bible.txt"
    if text.exists():
        return text
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        note(f"fetching {' and '.join(PACKAGES)}")
        subprocess.run(["apt-get", "download", *PACKAGES], cwd=work, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for package in pathlib.Path(work).glob("*.deb"):
            subprocess.run(["dpkg", "-x", package, work], check=True)
        verses = subprocess.run([f"{work}/usr/bin/bible", "-f", "-p", f"{work}/usr/lib", VERSES], check=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE).stdout.decode("latin-1")
        prose = re.sub(r"^\S+:\d+ ", "", verses, flags=re.MULTILINE)
        made = pathlib.Path(work) / "text"
        made.write_text(prose, encoding="utf-8")
        made.rename(text)
    return text


def texts(args, folder):
    """(name, path, length) of everything that is measured."""
    whole = bible().read_text(encoding="utf-8")
    for length in args.lengths:
        n = max(args.tokens // length, 1) * length
        cut = pathlib.Path(folder) / f"{LONG_TEXT}-{length}.txt"
        cut.write_text(whole[:int((n + length / 2) * CHARACTERS_PER_TOKEN)], encoding="utf-8")
        yield LONG_TEXT, cut, length
        for path in args.text:
            # A chunk's worth of bytes at least: a token of plain text has more than two.
            if os.path.getsize(path) > 3 * length:
                yield os.path.basename(path), path, length


def measure(args, name, path, length, folder):
    base = os.path.join(folder, "base")
    words = [args.program, "perplexity", args.model, path, "--num-ctx", length, "--activations", "f32", "--threads",
             args.threads, "--json"]
    rows = []
    for kv in ["f16", *args.types]:
        compare = ["--save", base] if kv == "f16" else ["--kld", base]
        row = run_json([*words, "--kv-cache-type", kv, *compare])[0]
        note(f"{name} {length} {kv}: {row}")
        rows.append({"text": name, **row})
    os.remove(base)
    return rows


def report(rows):
    table = [("text", "num_ctx", "KV", "tokens", "perplexity", "mean KLD", "median", "99 %", "same top-1")]
    for r in rows:
        kld = r.get("kld")
        table.append((r["text"], r["num_ctx"], r["kv_cache_type"], r["tokens_scored"], f"{r['perplexity']:.4f}")
                     + ((f"{kld['mean']:.6f}", f"{kld['median']:.6f}", f"{kld['p99']:.5f}", f"{r['top1_agreement']:.2%}") if kld else ("", "", "", "")))
    print_table(table)


def judge(rows, chosen):
    """(what is not as it has to be, what else is to be said), a sentence each."""
    means = [(r, (r.get("kld") or {}).get("mean")) for r in rows if r["kv_cache_type"] == DEFAULT_TYPE]
    bad = [f"{r['text']} {r['num_ctx']} {DEFAULT_TYPE}: mean KLD {mean}" for r, mean in means
           if mean is None or not mean < MOST_OF_DEFAULT]
    there = {r["num_ctx"] for r, mean in means if r["text"] == LONG_TEXT and mean is not None}
    missing = [str(length) for length in JUDGED_LENGTHS if length not in there]
    if not missing:
        return bad, []
    said = f"{DEFAULT_TYPE} was not measured at {', '.join(missing)} tokens of \"{LONG_TEXT}\": the default is not judged"
    return (bad, [said]) if chosen else (bad + [said], [])


def main():
    args = parse()
    result = {"model": os.path.basename(args.model), "machine": describe_machine(), "rows": []}
    with tempfile.TemporaryDirectory(prefix="qbench-", dir="/tmp") as folder:
        for name, path, length in texts(args, folder):
            result["rows"] += measure(args, name, path, length, folder)
    if args.json != "-":
        report(result["rows"])
    result["failures"], result["remarks"] = judge(result["rows"], args.chosen)
    for what in result["failures"] + result["remarks"]:
        note(what)
    write_json(args.json, result)
    return 1 if result["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
