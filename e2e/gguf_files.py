"""GGUF files for tests, made by hand: small, whole, or wrong in one place.

A whole one is a llama of one layer with a vocabulary of single bytes, so that every text can be asked of it.
"""
import array
import random
import struct

ALIGNMENT = 32
U32, F32, BOOL, STRING, ARRAY, U64 = 4, 6, 7, 8, 9, 10
N_EMBD, N_FF, N_VOCAB = 32, 64, 259
# Types of tensors: number, bytes and values of a block.
TYPES = {"F32": (0, 4, 1), "F16": (1, 2, 1), "Q4_0": (2, 18, 32), "Q5_0": (6, 22, 32), "Q8_0": (8, 34, 32),
         "IQ2_XXS": (16, 66, 256), "MXFP4": (39, 17, 32)}


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, v):
    """A metadata value with its type in front."""
    if kind == STRING:
        return struct.pack("<I", kind) + string(v)
    if kind == ARRAY:
        element, items = v
        body = b"".join(string(i) if element == STRING else value(element, i)[4:] for i in items)
        return struct.pack("<IIQ", kind, element, len(items)) + body
    return struct.pack("<I" + {U32: "I", F32: "f", BOOL: "?", U64: "Q"}[kind], kind, v)


def byte_tokens():
    """The characters that stand for the 256 bytes in byte-level vocabularies."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    extra = iter(range(256, 512))
    return [chr(b if b in plain else next(extra)) for b in range(256)]


class Gguf:
    """Metadata and tensors as lists to be changed; bytes() writes them."""

    def __init__(self, arch="llama", n_ctx=2048, n_vocab=N_VOCAB):
        self.magic, self.version = b"GGUF", 3
        self.n_keys = self.n_tensors = None  # what the header claims; None: the truth
        self.keys = {
            "general.architecture": (STRING, arch), "general.name": (STRING, "made by hand"),
            f"{arch}.context_length": (U32, n_ctx), f"{arch}.embedding_length": (U32, N_EMBD),
            f"{arch}.block_count": (U32, 1), f"{arch}.feed_forward_length": (U32, N_FF),
            f"{arch}.attention.head_count": (U32, 1), f"{arch}.attention.head_count_kv": (U32, 1),
            f"{arch}.attention.layer_norm_rms_epsilon": (F32, 1e-5), f"{arch}.rope.dimension_count": (U32, N_EMBD),
            "tokenizer.ggml.model": (STRING, "gpt2"), "tokenizer.ggml.pre": (STRING, "smollm"),
            "tokenizer.ggml.tokens": (ARRAY, (STRING, ["<|end|>", "<|user|>", "<|model|>", *byte_tokens()][:n_vocab])),
            "tokenizer.ggml.token_type": (ARRAY, (U32, [3] * 3 + [1] * (n_vocab - 3))),
            "tokenizer.ggml.merges": (ARRAY, (STRING, [])),
            "tokenizer.ggml.bos_token_id": (U32, 0), "tokenizer.ggml.eos_token_id": (U32, 0),
            "tokenizer.chat_template": (STRING, "{% for m in messages %}<|user|>{{ m.content }}{% endfor %}<|model|>"),
        }
        # name -> (shape, type, offset or None: the next free one)
        self.tensors = {"token_embd.weight": ([N_EMBD, n_vocab], "F32", None), "output_norm.weight": ([N_EMBD], "F32", None)}
        for name, shape in (("attn_norm", [N_EMBD]), ("attn_q", [N_EMBD, N_EMBD]), ("attn_k", [N_EMBD, N_EMBD]),
                            ("attn_v", [N_EMBD, N_EMBD]), ("attn_output", [N_EMBD, N_EMBD]), ("ffn_norm", [N_EMBD]),
                            ("ffn_gate", [N_EMBD, N_FF]), ("ffn_up", [N_EMBD, N_FF]), ("ffn_down", [N_FF, N_EMBD])):
            self.tensors[f"blk.0.{name}.weight"] = (shape, "F32", None)

    def bytes(self):
        rng = random.Random(1)
        out = self.magic + struct.pack("<IQQ", self.version, len(self.tensors) if self.n_tensors is None else self.n_tensors,
                                       len(self.keys) if self.n_keys is None else self.n_keys)
        for key, (kind, v) in self.keys.items():
            out += string(key) + (v if kind is None else value(kind, v))  # None: v is the bytes themselves
        data = b""
        for name, (shape, kind, offset) in self.tensors.items():
            number, block_bytes, block_values = TYPES[kind] if isinstance(kind, str) else (kind, 4, 1)
            count = 1
            for n in shape:
                count *= n
            where = len(data) if offset is None else offset
            out += string(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", n) for n in shape)
            out += struct.pack("<IQ", number, where)
            if offset is None and count < 1 << 20:
                if kind == "F32":
                    data += array.array("f", [1 if len(shape) == 1 else rng.uniform(-0.3, 0.3) for _ in range(count)]).tobytes()
                else:
                    data += bytes((count + block_values - 1) // block_values * block_bytes)
                data += bytes(-len(data) % ALIGNMENT)
        return out + bytes(-len(out) % ALIGNMENT) + data
