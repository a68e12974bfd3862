#!/usr/bin/env python3
"""Writes inputs to begin fuzzing the tokenizer with.   usage: make_tokenizer_corpus.py FOLDER"""
import pathlib
import struct
import sys

TEXTS = [
    "Hello, world! It's 12345 o'clock; we'll see.  \n\n\t x",
    "<|im_end|>user<|im_end|>x <| |> <unk> <mask> a",
    "aaaaaaaaaaaaaaaaabababab    aaaa",
    "\u00e9\u4e2d\u6587 \u0661\u0662\u0663 \U0001f468\u200d\U0001f469 \u2028\u00a0\u3000\u0085",
    "'S'T'RE'VE'M'LL'D 'x \r\n \r\n",
]
BYTES = [b"\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80\xe2\x82", b"a\0b\0\0", bytes(range(256))]


def string(s):
    b = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(b)) + b


def strings(key, values):
    return string(key) + struct.pack("<iiQ", 9, 8, len(values)) + b"".join(string(v) for v in values)


def vocabulary():
    entries = [
        string("tokenizer.ggml.model") + struct.pack("<i", 8) + string("gpt2"),
        string("tokenizer.ggml.pre") + struct.pack("<i", 8) + string("llama-bpe"),
        strings("tokenizer.ggml.tokens", ["a", "b", "ab", "\u0120", "<|im_end|>", ""]),
        strings("tokenizer.ggml.merges", ["a b", "\u0120 a"]),
        string("tokenizer.ggml.token_type") + struct.pack("<iiQ6i", 9, 5, 6, 1, 1, 1, 1, 3, 1),
        string("tokenizer.ggml.bos_token_id") + struct.pack("<iI", 4, 4),
    ]
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(entries)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    texts = [t.encode() for t in TEXTS] + BYTES
    for rule in range(7):
        for i, text in enumerate(texts):
            (folder / f"rule{rule}-{i}").write_bytes(bytes([rule]) + text)
    for i, text in enumerate(texts):
        (folder / f"invented-{i}").write_bytes(b"\x40" + text + bytes(reversed(range(128))))
    (folder / "file").write_bytes(b"\x80" + vocabulary())


main()
