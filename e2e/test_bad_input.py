"""Files that are damaged, lying or hostile, and requests that cannot be met: every command says so in one sentence, fails, and
leaves nothing behind.
"""
import os
import re
import shutil
import signal
import subprocess
import unittest

import gguf_files
from cli_harness import CliTest, model, program
from gguf_files import ARRAY, STRING, U32, Gguf

OK = 0
EVIL = "\x1b]0;title\x07\x1b[31mred"


class BadInput(CliTest):
    def setUp(self):
        super().setUp()
        self.work = self.folder / "work"
        self.work.mkdir()
        self.text = self.folder / "text.txt"
        self.text.write_text("The quick brown fox jumps over the lazy dog. " * 30)
        self.out = self.work / "out.f32"

    def commands(self, path):
        return {"run": ("run", path, "Hi"), "plan": ("plan", path), "tokenize": ("tokenize", path, "Hi"),
                "logits": ("logits", path, "--tokens", "3,4", "--out", self.out),
                "perplexity": ("perplexity", path, self.text, "--num-ctx", "64", "--save", self.work / "base.kld"),
                "bench": ("bench", path, "--prompt", "4", "--gen", "1", "--repeat", "1")}

    def file(self, gguf, name="model.gguf"):
        path = self.folder / name
        path.write_bytes(gguf if isinstance(gguf, bytes) else gguf.bytes())
        return path

    def check_refused(self, done, code, *parts):
        self.assertEqual((done.returncode, done.stdout), (code, ""), (done.args, done.stderr))
        self.assertRegex(done.stderr, r"\AError: [^\n\x00-\x1f\x7f]{10,}\n\Z", done.args)
        for part in parts:
            self.assertIn(part, done.stderr, done.args)
        self.assertEqual(list(self.work.iterdir()), [], done.args)

    def every_command_refuses(self, path, *parts, but=()):
        """All commands, those in `but` aside, which have no use for what is wrong and work."""
        for name, words in self.commands(path).items():
            with self.subTest(command=name):
                done = self.run_cli(*words)
                if name in but:
                    self.assertEqual((done.returncode, done.stderr), (OK, ""), name)
                else:
                    self.check_refused(done, 1, *parts)
            for left in self.work.iterdir():
                left.unlink()


class Files(BadInput):
    def test_the_file_that_is_changed_below_is_a_good_one(self):
        path = self.file(Gguf())
        for name, words in self.commands(path).items():
            done = self.run_cli(*words)
            self.assertEqual(done.returncode, OK, (name, done.stderr))
        self.assertEqual(self.out.stat().st_size, gguf_files.N_VOCAB * 4)

    def test_no_file_at_all(self):
        for name, words in self.commands(self.folder / "none.gguf").items():
            self.check_refused(self.run_cli(*words), 1, "none.gguf")

    def test_folders_devices_and_pipes(self):
        pipe = self.folder / "pipe"
        os.mkfifo(pipe)
        for path in (self.folder, "/dev/null", "/dev/zero", pipe):
            self.every_command_refuses(path, str(path))

    def test_files_that_are_not_gguf(self):
        for content in (b"", b"G", b"GGUF", b"#!/bin/sh\nexit 0\n", b"\0" * 4096, b"GGML" + bytes(100), b"FUGG" + bytes(100)):
            self.every_command_refuses(self.file(content), "model.gguf")

    def test_files_that_end_early(self):
        whole = Gguf().bytes()
        data = whole.rindex(b"blk.0.ffn_down.weight")
        for length in (8, 23, 24, 30, 60, 500, data // 2, data, data + 40):
            self.every_command_refuses(self.file(whole[:length]), "model.gguf")
        # With the whole header there, what needs no tensors works.
        self.every_command_refuses(self.file(whole[:-100]), "model.gguf", but=("tokenize",))

    def test_headers_that_lie(self):
        def change(**fields):
            g = Gguf()
            for name, v in fields.items():
                setattr(g, name, v)
            return g
        for lie in (change(version=99), change(version=0), change(n_keys=2**63), change(n_keys=2**40), change(n_keys=10**6),
                    change(n_tensors=2**64 - 1), change(n_tensors=2**40), change(n_tensors=10**6)):
            self.every_command_refuses(self.file(lie), "model.gguf")

    def test_metadata_that_lies(self):
        huge = (2**63).to_bytes(8, "little")
        for name, v in (("string", (8).to_bytes(4, "little") + huge),
                        ("array of bytes", (9).to_bytes(4, "little") + (0).to_bytes(4, "little") + huge),
                        ("array of strings", (9).to_bytes(4, "little") + (8).to_bytes(4, "little") + huge),
                        ("type", (77).to_bytes(4, "little") + bytes(8)),
                        ("arrays in arrays", (9).to_bytes(4, "little") + ((9).to_bytes(4, "little") + (1).to_bytes(8, "little")) * 10_000)):
            with self.subTest(name):
                g = Gguf()
                g.keys["a.key"] = (None, v)
                self.every_command_refuses(self.file(g), "model.gguf")

    def test_tensors_that_lie(self):
        for shape, kind, offset in (([2**40, 2**40], "F32", 0), ([2**63, 3], "F32", 0), ([32, 2**30], "F32", 0), ([0, 4], "F32", 0),
                                    ([4], "F32", 2**63), ([4], "F32", 2**40), ([4], "F32", 7), ([33], "Q8_0", 0), ([32], 12345, 0),
                                    ([2, 2, 2, 2, 2], "F32", 0), ([], "F32", 0)):
            with self.subTest(shape=shape, kind=kind, offset=offset):
                g = Gguf()
                g.tensors["a.tensor"] = (shape, kind, offset)
                done = self.run_cli("run", self.file(g), "Hi")
                if shape == []:
                    continue  # a single value, which some writers spell so; nothing uses it
                self.check_refused(done, 1, "a.tensor")

    def test_alignments(self):
        for alignment in (0, 3, 2**31):
            g = Gguf()
            g.keys["general.alignment"] = (U32, alignment)
            self.every_command_refuses(self.file(g), "alignment")

    def test_a_missing_part_of_a_split_file(self):
        g = Gguf()
        g.keys |= {"split.no": (U32, 0), "split.count": (U32, 3), "split.tensors.count": (U32, 40)}
        self.every_command_refuses(self.file(g, "m-00001-of-00003.gguf"), "m-00002-of-00003.gguf")


class Models(BadInput):
    def test_unknown_architectures(self):
        g = Gguf(arch="nonesuch")
        self.every_command_refuses(self.file(g), "'nonesuch'", "llama", "granite", but=("tokenize",))
        del g.keys["general.architecture"]
        self.every_command_refuses(self.file(g), "general.architecture", but=("tokenize",))

    def test_names_cannot_drive_the_terminal(self):
        g = Gguf(arch=EVIL)
        g.keys["tokenizer.ggml.pre"] = (STRING, EVIL + "\nError: a line of its own")
        for words in self.commands(self.file(g)).values():
            self.check_refused(self.run_cli(*words), 1)
        g = Gguf()
        g.tensors[EVIL + "\nweight"] = ([2**50, 2**50], "F32", 0)
        for words in self.commands(self.file(g)).values():
            self.check_refused(self.run_cli(*words), 1)

    def test_quantisations(self):
        for kind in ("Q5_0", "MXFP4"):
            g = Gguf()
            g.tensors["blk.0.ffn_up.weight"] = ([32, gguf_files.N_FF], kind, None)
            self.every_command_refuses(self.file(g), f"quantised as {kind}", "Q4_K", "Q8_0", but=("tokenize",))
        g.tensors["blk.0.ffn_up.weight"] = ([32, gguf_files.N_FF], 4321, None)
        self.every_command_refuses(self.file(g), "blk.0.ffn_up.weight", "4321")

    def test_missing_tensors(self):
        for name in ("token_embd.weight", "output_norm.weight", "blk.0.attn_q.weight", "blk.0.ffn_down.weight"):
            g = Gguf()
            del g.tensors[name]
            self.every_command_refuses(self.file(g), name, but=("tokenize",))

    def test_tensors_of_the_wrong_shape(self):
        for name, shape in (("blk.0.attn_q.weight", [32, 31]), ("blk.0.ffn_down.weight", [32, 64]), ("output_norm.weight", [32, 2]),
                            ("token_embd.weight", [31, gguf_files.N_VOCAB])):
            g = Gguf()
            g.tensors[name] = (shape, "F32", None)
            self.every_command_refuses(self.file(g), name, but=("tokenize",))

    def test_sizes_that_cannot_be(self):
        for key, v in (("block_count", 0), ("block_count", 2**31), ("attention.head_count", 0), ("attention.head_count", 7),
                       ("context_length", 0), ("embedding_length", 2**32 - 1), ("feed_forward_length", 0), ("rope.dimension_count", 5),
                       ("attention.head_count_kv", 3)):
            with self.subTest(key=key, value=v):
                g = Gguf()
                g.keys[f"llama.{key}"] = (U32, v)
                self.check_refused(self.run_cli("run", self.file(g), "Hi"), 1)
        for key in ("block_count", "embedding_length", "attention.layer_norm_rms_epsilon", "context_length"):
            g = Gguf()
            del g.keys[f"llama.{key}"]
            self.every_command_refuses(self.file(g), f"llama.{key}", but=("tokenize",))
        g = Gguf()
        g.keys["llama.block_count"] = (STRING, "one")
        self.check_refused(self.run_cli("plan", self.file(g)), 1, "llama.block_count")

    def test_tokenizers(self):
        """Without one, what needs text fails and the rest works."""
        for key, v in (("model", (STRING, "klingon")), ("pre", (STRING, "klingon")), ("token_type", (ARRAY, (U32, [1, 2])))):
            with self.subTest(key):
                g = Gguf()
                g.keys[f"tokenizer.ggml.{key}"] = v
                self.every_command_refuses(self.file(g), but=("plan", "logits", "bench"))
        for key in list(g.keys):
            if key.startswith("tokenizer."):
                del g.keys[key]
        self.every_command_refuses(self.file(g), but=("plan", "logits", "bench"))
        g = Gguf()
        g.keys["tokenizer.ggml.tokens"] = (ARRAY, (STRING, ["a", "b"]))
        self.check_refused(self.run_cli("run", self.file(g), "Hi"), 1, "259", "2 tokens")

    def test_chat_templates(self):
        for template, part in (("{% for x in", ""), ("{{ raise_exception('I take no questions') }}", "I take no questions"),
                               ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", ""),
                               ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", ""), ("(" * 100_000, None),
                               ("{{" + "(" * 100_000, ""), ("{{ 'x' * 999999999 }}", ""), ("{{ [0] * 9999999999 }}", ""),
                               ("{{ 1 / 0 }}", ""), ("{% include '/etc/passwd' %}", ""), ("{{ messages.no.such }}", "")):
            with self.subTest(template=template[:60]):
                g = Gguf()
                g.keys["tokenizer.chat_template"] = (STRING, template)
                done = self.run_cli("run", self.file(g), "--num-predict", "1", "Hi")
                if part is None:
                    self.assertIn(done.returncode, (0, 1))
                else:
                    self.check_refused(done, 1, part)

    def test_weights_that_are_no_numbers(self):
        """Whatever comes out of it, it ends."""
        data = Gguf().bytes()
        for pattern in (b"\xff\xff\xff\xff", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f"):
            path = self.file(data[:-20000] + pattern * 5000)
            for name in ("run", "logits", "perplexity"):
                done = self.run_cli(*self.commands(path)[name], *(("--num-predict", "20") if name == "run" else ()))
                self.assertIn(done.returncode, (0, 1), done.stderr)


class Requests(BadInput):
    def setUp(self):
        super().setUp()
        self.path = self.file(Gguf())

    def test_a_prompt_longer_than_the_context(self):
        for words in (("run", self.path, "--num-ctx", "100", "x" * 150), ("run", self.path, "--num-ctx", "100", "--raw", "x" * 152),
                      ("run", self.path, "x" * 2046)):
            done = self.run_cli(*words)
            self.check_refused(done, 1)
            numbers = {int(n) for n in re.findall(r"\d+", done.stderr)}
            length, limit = (2048, 2048) if len(words) == 3 else (152, 100)
            self.assertLessEqual({length, limit}, numbers, done.stderr)
        self.check_refused(self.run_cli("logits", self.path, "--tokens", "1,2,3,4", "--num-ctx", "3", "--out", self.out), 2, "4", "3")

    def test_options_out_of_range(self):
        for command, flags, part in [
                ("run", ("--num-ctx", "2"), "--num-ctx"), ("run", ("--num-ctx", "2049"), "2048"), ("run", ("--top-p", "7"), "--top-p"),
                ("run", ("--kv-cache-type", "f64"), "f64"),
                ("plan", ("--num-ctx", "0"), "--num-ctx"), ("plan", ("--num-ctx", "99999999999999999999"), "--num-ctx"),
                ("plan", ("--parallel", "0"), "--parallel"), ("plan", ("--parallel", "257"), "--parallel"),
                ("plan", ("--kv-cache-type", "f64"), "f64"), ("plan", ("--threads", "-1"), "--threads"), ("plan", ("more",), "more"),
                ("tokenize", ("--decode", "1,2"), "--decode"), ("tokenize", ("--file", "x"), "--file"), ("tokenize", ("--bogus",), "--bogus"),
                ("logits", ("--last", "0"), "--last"), ("logits", ("--last", "3"), "--last"), ("logits", ("--num-ctx", "-1"), "--num-ctx"),
                ("logits", ("--activations", "f8"), "--activations"), ("logits", ("--kv-cache-type", "f16:"), "f16:"),
                ("perplexity", ("--num-ctx", "3"), "--num-ctx"), ("perplexity", ("--kld", "x"), "--kld"),
                ("perplexity", ("--num-ctx", "10000"), "10000"),
                ("bench", ("--repeat", "0"), "--repeat"), ("bench", ("--batch", "0"), "--batch"), ("bench", ("--prompt", "x"), "--prompt"),
                ("bench", ("--depth", "1.5"), "--depth"), ("bench", ("--threads", "2000"), "--threads")]:
            with self.subTest(command=command, flags=flags):
                self.check_refused(self.run_cli(*self.commands(self.path)[command], *flags), 2, part)
        for command, parts in (("run", 2), ("plan", 2), ("tokenize", 2), ("logits", 2), ("perplexity", 2), ("bench", 2)):
            self.check_refused(self.run_cli(command), parts)

    def test_tokens_that_are_not_there(self):
        for tokens in ("259", "1,2,999999999", "-1", "x", "1;2", "", "99999999999999999999"):
            self.check_refused(self.run_cli("logits", self.path, f"--tokens={tokens}", "--out", self.out), 2)
            self.check_refused(self.run_cli("tokenize", self.path, f"--decode={tokens}"), 2)

    def test_texts_that_cannot_be_read(self):
        for text in (self.folder / "none.txt", self.folder):
            self.check_refused(self.run_cli("tokenize", self.path, "--file", text), 1, str(text))
            self.check_refused(self.run_cli("perplexity", self.path, text), 1, str(text))
        self.check_refused(self.run_cli("run", self.path, "--template", f"@{self.folder}/none", "Hi"), 1, "none")

    def test_results_that_cannot_be_written(self):
        logits = ("logits", self.path, "--tokens", "1,2", "--out")
        self.check_refused(self.run_cli(*logits, self.folder / "none" / "x"), 1, "none/x")
        self.check_refused(self.run_cli(*logits, self.folder), 1, "folder")
        self.check_refused(self.run_cli(*logits, "/dev/full"), 1, "/dev/full", "No space")
        self.check_refused(self.run_cli("perplexity", self.path, self.text, "--num-ctx", "64", "--save", "/dev/full"), 1, "No space")
        for words in (("plan", self.path), ("plan", self.path, "--json"), ("tokenize", self.path, "Hi"), ("bench", "--machine")):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([program(), *map(str, words)], stdout=full, stderr=subprocess.PIPE, env=self.environment,
                                      timeout=120, check=False)
            self.assertEqual(done.returncode, 1, words)
            self.assertRegex(done.stderr.decode(), r"\AError: [^\n]+\n\Z")

    def test_a_result_replaces_the_old_one_only_when_it_is_whole(self):
        self.out.write_text("old")
        done = self.run_cli("logits", self.path, "--tokens", "1,999", "--out", self.out)
        self.assertEqual((done.returncode, self.out.read_text()), (2, "old"))
        done = self.run_cli("logits", self.path, "--tokens", "1,2", "--last", "2", "--out", self.out)
        self.assertEqual((done.returncode, self.out.stat().st_size), (0, 2 * 4 * gguf_files.N_VOCAB))
        self.assertEqual(list(self.work.iterdir()), [self.out])

    def test_a_killed_command_leaves_no_half_of_a_result(self):
        text = self.folder / "long.txt"
        text.write_text("word " * 200_000)
        command = self.terminal("perplexity", self.path, text, "--num-ctx", "2048", "--save", self.work / "base.kld")
        command.wait_for("[2/")
        os.kill(command.pid, signal.SIGKILL)
        self.assertEqual(command.exit_code(), -signal.SIGKILL)
        self.assertEqual(list(self.work.iterdir()), [])

    def test_saved_logits_that_do_not_belong(self):
        base = self.folder / "base.kld"
        perplexity = ("perplexity", self.path, self.text, "--num-ctx", "64")
        self.assertEqual(self.run_cli(*perplexity, "--save", base).returncode, 0)
        same = self.run_cli(*perplexity, "--kld", base, "--json")
        self.assertEqual(same.returncode, 0)
        self.check_refused(self.run_cli("perplexity", self.path, self.text, "--num-ctx", "32", "--kld", base), 2, "base.kld")
        whole = base.read_bytes()
        for content in (b"", whole[:10], whole[:100], whole[:-1], b"x" * 1000, whole[:12] + b"\xff" * 12 + whole[24:]):
            base.write_bytes(content)
            done = self.run_cli(*perplexity, "--kld", base, "--json")
            self.check_refused(done, 1, "base.kld")


class Memory(BadInput):
    def sparse(self, size):
        path = self.file(Gguf(), "large.gguf")
        try:
            os.truncate(path, size)
        except OSError as problem:
            self.skipTest(f"no large files here: {problem}")
        return path

    def test_a_model_that_does_not_fit(self):
        path = self.sparse(1 << 42)
        for name, words in self.commands(path).items():
            with self.subTest(command=name):
                done = self.run_cli(*words)
                if name == "plan":
                    self.assertEqual(done.returncode, 0)
                    self.assertRegex(done.stdout, r"Charged 4\.0 TiB: .*\nDoes not fit: \S+ \S+ are free\.\n")
                    continue
                if name == "tokenize":
                    self.assertEqual(done.returncode, 0)
                    continue
                self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
                sentence, table = done.stderr.split("\n", 1)
                self.assertRegex(sentence, r"\AError: (\S+large\.gguf: )?model needs 4\.0 TiB \(weights 4\.0 TiB, .*\), "
                                           r"\S+ \S+ are free: free .* more, or take a smaller model\Z")
                self.assertRegex(table, r"(?m)^  weights +4\.0 TiB ")
                self.assertRegex(table, r"(?m)^  total +4\.0 TiB$")
                self.assertEqual(list(self.work.iterdir()), [])

    def test_a_context_that_does_not_fit(self):
        """Loading costs nothing, but a sequence of this length could never be held."""
        g = Gguf(n_ctx=2**31 - 1)
        path = self.file(g)
        done = self.run_cli("run", path, "--num-ctx", 2**31 - 1, "--kv-cache-type", "f32", "Hi")
        sentence, table = done.stderr.split("\n", 1)
        fits = int(re.fullmatch(r"Error: 2147483647 tokens need a KV cache of 512\.0 GiB, and the budget has room for "
                                r"\S+ GiB: try num_ctx (\d+)", sentence)[1])
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(table, r"(?m)^  kv +512\.0 GiB ")
        done = self.run_cli("run", path, "--num-ctx", fits // 2, "--kv-cache-type", "f32", "--num-predict", "2", "Hi")
        self.assertEqual(done.returncode, 0, done.stderr)


class Shrinking(BadInput):
    SAYS = "model.gguf became shorter or unreadable while it was in use"

    def setUp(self):
        super().setUp()
        self.path = self.folder / "model.gguf"
        shutil.copyfile(model(), self.path)

    def test_run(self):
        child = self.start_cli("run", self.path, "--raw", "--temperature", "0", "--no-repeat-guard", "1, 2, 3, 4, 5, 6, 7, 8,")
        self.assertTrue(child.stdout.read(1))
        os.truncate(self.path, 4096)
        _, err = child.communicate(timeout=60)
        self.assertEqual(child.returncode, 1)
        self.assertIn(self.SAYS, err.decode())
        self.assertRegex(err.decode(), r"\A(Error: [^\n]+\n)+\Z")

    def test_perplexity(self):
        text = self.folder / "long.txt"
        text.write_text("word " * 100_000)
        command = self.terminal("perplexity", self.path, text)
        command.wait_for("[1/")
        os.truncate(self.path, 4096)
        self.assertEqual(command.exit_code(), 1)
        command.wait_for(self.SAYS)


del BadInput  # only its children are tests

if __name__ == "__main__":
    unittest.main()
