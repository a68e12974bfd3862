#!/usr/bin/env python3
"""Writes small GGUF files to begin fuzzing with.   usage: make_gguf_corpus.py FOLDER"""
import pathlib
import struct
import sys


def string(s):
    b = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(b)) + b


SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q", 11: "<q", 12: "<d"}


def entry(key, kind, value, element=None):
    out = string(key) + struct.pack("<i", kind)
    if kind == 8:
        return out + string(value)
    if kind == 9:
        out += struct.pack("<iQ", element, len(value))
        return out + b"".join(string(v) if element == 8 else struct.pack(SCALARS[element], v) for v in value)
    return out + struct.pack(SCALARS[kind], value)


def gguf(entries, tensors, version=3, alignment=32, cut=0):
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries)) + b"".join(entries)
    data = b""
    for name, shape, kind, size in tensors:
        head += string(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<q", n) for n in shape)
        head += struct.pack("<iQ", kind, len(data))
        data += bytes(i % 251 for i in range(size)) + b"\0" * (-size % alignment)
    if tensors:
        head += b"\0" * (-len(head) % alignment)
    out = head + data
    return out[: len(out) - cut]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    arch = entry("general.architecture", 8, "llama")
    numbers = [entry(f"n{kind}", kind, 1) for kind in SCALARS]
    arrays = [entry(f"a{kind}", 9, [0, 1, 1], kind) for kind in SCALARS]
    strings = entry("tokenizer.ggml.tokens", 9, ["a", "", "<s>"], 8)
    tensors = [("token_embd.weight", [32, 2], 2, 36), ("blk.0.attn_q.weight", [256, 1], 12, 144), ("s", [], 0, 4)]
    split = [entry("split.no", 2, 0), entry("split.count", 2, 2), entry("split.tensors.count", 5, 3)]
    files = {
        "empty": gguf([], []),
        "v2": gguf([arch], [], version=2),
        "numbers": gguf([arch] + numbers, []),
        "arrays": gguf([arch, strings] + arrays, []),
        "tensors": gguf([arch], tensors),
        "everything": gguf([arch, strings] + numbers + arrays, tensors),
        "aligned64": gguf([entry("general.alignment", 4, 64)], tensors, alignment=64),
        "cut": gguf([arch], tensors, cut=100),
        "split": gguf(split, tensors),
        "big-endian": gguf([arch], tensors, version=0x03000000),
    }
    for name, content in files.items():
        (folder / f"{name}.gguf").write_bytes(content)


main()
