#!/usr/bin/env python3
"""Bodies of recorded requests to start from. make_api_corpus.py FOLDER"""
import json
import lzma
import pathlib
import sys

DATA = pathlib.Path(__file__).resolve().parent.parent / "testdata" / "api" / "transcripts.jsonl.xz"

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
with lzma.open(DATA, "rt", encoding="utf-8") as lines:
    for line in lines:
        exchange = json.loads(line)
        body = exchange["request"].get("body")
        if body:
            (folder / f"request-{exchange['n']}").write_bytes(body.encode())
