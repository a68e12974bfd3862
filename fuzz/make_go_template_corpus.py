#!/usr/bin/env python3
"""Writes inputs for go_template_fuzz to start from: every rule and every chat template of testdata/go-template.

usage: make_go_template_corpus.py FOLDER
"""
import json
import lzma
import pathlib
import sys

DATA = pathlib.Path(__file__).resolve().parent.parent / "testdata" / "go-template"


def lines(name):
    path = DATA / name
    text = lzma.decompress(path.read_bytes()).decode() if path.suffix == ".xz" else path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line]


def main(folder):
    folder = pathlib.Path(folder)
    sources = [rule["template"] for rule in lines("rules.jsonl")]
    sources += [t["source"] for t in lines("templates.jsonl.xz")]
    for number, source in enumerate(sources):
        (folder / f"{number:04d}").write_bytes(source.encode())
    (folder / "data").write_bytes(b'{{ range .A }}{{ . }}{{ end }}\0{"A": [1, "x", null, {"b": 2.5}]}')
    print(f"{len(sources) + 1} inputs in {folder}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
