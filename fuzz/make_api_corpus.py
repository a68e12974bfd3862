#!/usr/bin/env python3
"""Bodies of recorded requests to start from, each behind its endpoint's byte. make_api_corpus.py FOLDER"""
import hashlib
import json
import lzma
import pathlib
import sys

DATA = pathlib.Path(__file__).resolve().parent.parent / "testdata" / "api" / "transcripts.jsonl.xz"

# In the order of fuzz/api_fuzz.cc.
ENDPOINTS = ["generate", "chat", "embed", "embeddings", "show", "create", "copy", "delete", "pull", "push",
             "tokenize", "detokenize", "head_blob", "tags", "ps", "upload"]
# The models that the target has.
MODELS = ["all", "plain", "embed", "seen"]

MORE = [
    ("tokenize", '{"model":"plain","text":"a b","add_special":false}'),
    ("detokenize", '{"model":"plain","tokens":[1,2,-1]}'),
    ("embed", '{"model":"embed","input":["a","b"],"truncate":false,"dimensions":2,"options":{"num_ctx":8}}'),
    ("embeddings", '{"model":"embed","prompt":"a","keep_alive":"5m"}'),
    ("generate", '{"model":"all","prompt":"a","suffix":"b","images":["aGk="],"context":[1,2],"think":"high",'
                 '"keep_alive":-1,"format":{"type":"object"},"options":{"stop":["x"],"seed":1,"nope":1}}'),
    ("generate", '{"model":"plain","prompt":"","keep_alive":0}'),
    ("generate", '{"model":"plain","prompt":"x","raw":true,"_debug_render_only":true,"logprobs":true,"top_logprobs":3}'),
    ("chat", '{"model":"all","messages":[{"role":"user","content":"a","images":["aGk="]},{"role":"assistant",'
             '"content":"<think>x</think> y","tool_calls":[{"id":"1","function":{"index":0,"name":"f","arguments":'
             '{"a":1}}}]},{"role":"tool","tool_name":"f","content":"1"},{"role":"user","content":"b"}],"tools":'
             '[{"type":"function","function":{"name":"f"}}],"think":true,"quipu":{"drop_messages":true,'
             '"template":"{{ .Prompt }}"}}'),
    ("show", '{"model":"all","verbose":true,"system":"x","options":{"stop":["y"]}}'),
    ("create", '{"model":"new","from":"all","template":"{{ .Prompt }}","system":"s","license":["a","b"],"parameters":'
               '{"stop":["x"],"temperature":1},"messages":[{"role":"user","content":"x"}],"info":{"model_family":"f",'
               '"context_length":5},"stream":false}'),
    ("create", '{"model":"plain","from":"plain","quantize":"q8_0"}'),
    ("copy", '{"source":"all","destination":"other/new:tag"}'),
    ("delete", '{"name":"plain"}'),
    ("pull", '{"model":"hf.co/a/b:c","insecure":true}'),
    ("push", '{"name":"a/b"}'),
    ("head_blob", "sha256:" + "0" * 64),
    ("tags", ""),
    ("ps", ""),
    ("upload", "sha256:" + hashlib.sha256(b"hello").hexdigest() + "\nhello"),
    ("upload", "sha256-" + "0" * 64 + "\nhello"),
]


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)

    def write(name, endpoint, body):
        (folder / name).write_bytes(bytes([ENDPOINTS.index(endpoint)]) + body.encode())

    for i, (endpoint, body) in enumerate(MORE):
        write(f"more-{i}", endpoint, body)
    with lzma.open(DATA, "rt", encoding="utf-8") as lines:
        for line in lines:
            exchange = json.loads(line)
            request = exchange["request"]
            endpoint = (request.get("path") or "").removeprefix("/api/")
            body = request.get("body")
            if not body or endpoint not in ENDPOINTS:
                continue
            write(f"request-{exchange['n']}", endpoint, body)
            try:
                fields = json.loads(body)
            except ValueError:
                continue
            for key in ("model", "name", "from", "source"):
                if isinstance(fields, dict) and isinstance(fields.get(key), str):
                    fields[key] = MODELS[exchange["n"] % len(MODELS)]
                    write(f"request-{exchange['n']}-{key}", endpoint, json.dumps(fields))


main(pathlib.Path(sys.argv[1]))
