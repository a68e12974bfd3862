#!/usr/bin/env python3
"""Writes templates to begin fuzzing with, from the vectors of the tests.   usage: make_jinja_corpus.py FOLDER"""
import json
import lzma
import pathlib
import sys

DATA = pathlib.Path(__file__).resolve().parent.parent / "testdata" / "jinja"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    context = json.loads((DATA / "rules-context.json").read_text())["context"]
    tail = b"\0" + json.dumps(context, ensure_ascii=False).encode()
    rules = (DATA / "rules.jsonl").read_text().strip().split("\n")
    rules += lzma.open(DATA / "more-rules.jsonl.xz", "rt", encoding="utf-8").read().strip().split("\n")
    for number, rule in enumerate(rules):
        template = json.loads(rule)["template"].encode()
        # Most without a context: the target has one of its own.
        (folder / f"rule-{number}").write_bytes(template if number % 3 else template + tail)
    with lzma.open(DATA / "templates.jsonl.xz", "rt", encoding="utf-8") as lines:
        for line in lines:
            template = json.loads(line)
            (folder / template["template"]).write_bytes(template["source"].encode())


main()
