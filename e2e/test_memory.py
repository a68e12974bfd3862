"""The memory promise: what `quipu plan` says before a load is what the system measures of the runner after it.

Measured is the PSS of the runner's process, read here from /proc. Each test has a copy of its model, so that no other
process maps it: PSS would count shared pages by halves.
"""
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import unittest

import gguf_files
from cli_harness import ROOT, CliTest, model, program
from runner_client import NotReady, Runner

MIB = 1 << 20
NUM_CTX = 4096  # tokens of one sequence
THREADS = 2     # not the machine's: the workspace depends on it
CATEGORIES = ("weights", "projector", "kv", "workspace", "output", "runtime")


def tolerance(planned):
    """2 %; of less than 200 MiB 4 MiB, as the program itself is a larger part of it."""
    return planned // 50 if planned >= 200 * MIB else 4 * MIB


def granite_small():
    """A model of Granite's shape and quantisation with random weights, made once for each build."""
    build = pathlib.Path(os.environ.get("QUIPU_BUILD") or ROOT / "build" / "release")
    path = build / "test-models" / "granite-small.gguf"
    writer = build / "bench" / "random_model"
    if not path.exists() or path.stat().st_mtime < writer.stat().st_mtime:
        path.parent.mkdir(exist_ok=True)
        subprocess.run([writer, "granite-small", path], check=True, timeout=120)
    return path


class MemoryTest(CliTest):
    def setUp(self):
        super().setUp()
        self.runner = None

    def tearDown(self):
        if self.runner:
            self.runner.close()
        super().tearDown()

    def start(self, source, num_ctx=NUM_CTX, parallel=1, kv="f16", projector=None):
        """A runner on a copy of the model; its flags go to plan() too."""
        if self.runner:
            self.runner.close()
        self.path = self.folder / "model.gguf"
        if not self.path.exists():
            shutil.copyfile(source, self.path)
        self.flags = {"num_ctx": num_ctx, "parallel": parallel, "kv_cache_type": kv, "threads": THREADS}
        self.runner = Runner(program(), self.path, self.folder / "socket", environment=self.environment, projector=projector,
                             **self.flags)
        return self.runner

    def plan(self):
        words = [word for name, value in self.flags.items() for word in ("--" + name.replace("_", "-"), value)]
        done = self.run_cli("plan", self.path, *words, "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)["memory"]

    def assert_as_planned(self, planned):
        """`planned` bytes, the runner's own account, and what the system says."""
        measured = self.runner.pss()
        self.assertLessEqual(abs(measured - planned), tolerance(planned),
                             f"planned {planned / MIB:.1f} MiB, measured {measured / MIB:.1f} MiB")
        account = self.runner.memory()
        self.assertEqual(account["total"]["planned"], planned)
        self.assertLess(abs(account["total"]["measured"] - measured), 2 * MIB)
        # Of small models, too: a few hundred KiB are usual, whatever the model.
        self.assertLess(abs(account["unexplained"]), account["total"]["measured"] / 50)
        self.assertEqual(account["unexplained"],
                         account["total"]["measured"] - sum(account[name]["measured"] for name in CATEGORIES))
        self.assertEqual(account["kv"]["measured"], account["kv"]["planned"])


class PlanAgainstMeasured(MemoryTest):
    def check(self, source, num_ctx, parallel, kv, projector=None):
        runner = self.start(source, num_ctx=num_ctx, parallel=parallel, kv=kv, projector=projector)
        plan = self.plan()
        at_load = runner.memory()

        # The plan of the command and the plan that the runner allocated from.
        for name in CATEGORIES + ("total",):
            self.assertEqual(at_load[name]["planned"], plan[name]["planned"], name)
        for name in ("ceiling", "bytes_per_token", "type"):
            self.assertEqual(at_load["kv"][name], plan["kv"][name], name)
        self.assertEqual(plan["total"]["planned"], sum(plan[name]["planned"] for name in CATEGORIES))
        self.assertEqual(plan["kv"]["planned"], 0)
        self.assertEqual(plan["kv"]["ceiling"], parallel * num_ctx * plan["kv"]["bytes_per_token"])
        self.assertEqual(plan["weights"]["planned"], self.path.stat().st_size)

        self.assert_as_planned(plan["total"]["planned"])
        loaded = runner.pss()

        filled = runner.fill(num_ctx, parallel)
        self.assertEqual(filled["kv"]["measured"], plan["kv"]["ceiling"])
        self.assert_as_planned(plan["total"]["planned"] + plan["kv"]["ceiling"])

        # What is given back is given back to the system.
        emptied = runner.fill(0)
        self.assertEqual(emptied["kv"]["measured"], 0)
        self.assertLess(abs(runner.pss() - loaded), 2 * MIB)
        self.assert_as_planned(plan["total"]["planned"])

    def check_all(self, source):
        for num_ctx in (1024, 4096):
            for parallel in (1, 4):
                for kv in ("f16", "q8_0", "q8_0:q4_0", "f32"):
                    with self.subTest(num_ctx=num_ctx, parallel=parallel, kv=kv):
                        self.check(source, num_ctx, parallel, kv)

    def test_smollm2(self):
        self.check_all(model())

    def test_granite(self):
        self.check_all(granite_small())

    def test_with_a_projector(self):
        projector = gguf_files.Gguf(arch="clip")
        del projector.tensors["token_embd.weight"]
        projector.tensors.update({f"v.blk.{i}.ffn_up.weight": ([512, 1024], "F16", None) for i in range(8)})
        path = self.folder / "projector.gguf"
        path.write_bytes(projector.bytes())
        runner = self.start(model(), num_ctx=1024, projector=path)
        account = runner.memory()
        self.assertEqual(account["projector"]["planned"], path.stat().st_size)
        self.assertLess(abs(account["projector"]["measured"] - path.stat().st_size), 1 << 16)
        self.assert_as_planned(account["total"]["planned"])
        self.assertGreater(account["total"]["planned"], self.path.stat().st_size + path.stat().st_size)

    def test_a_projector_that_is_none_is_refused(self):
        path = self.folder / "projector.gguf"
        path.write_bytes(b"no GGUF file")
        with self.assertRaises(NotReady) as refused:
            self.start(model(), projector=path)
        self.assertIn("projector.gguf", refused.exception.answer["error"])


class Use(MemoryTest):
    def check_work(self, source):
        """Long prompts and answers of several sequences at once stay within the plan."""
        runner = self.start(source, parallel=4)
        plan = self.plan()
        weights = self.path.stat().st_size
        prompts = [f"{i} " + "the quick brown fox jumps over the lazy dog " * 40 for i in range(4)]
        with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
            answers = list(pool.map(lambda p: runner.generate(p, num_predict=24, temperature=0, repeat_guard=False), prompts))
        for answer in answers:
            self.assertGreater(answer["prompt_tokens"], 300)  # more than one chunk of prefill
            self.assertGreater(answer["kv_bytes"], 0)
        account = runner.memory()
        # Conversations are kept for their next turn: committed, and said to be.
        kv = account["kv"]["measured"]
        self.assertGreaterEqual(kv, sum(a["prompt_tokens"] for a in answers) * plan["kv"]["bytes_per_token"])
        self.assertLess(kv, plan["kv"]["ceiling"])
        self.assertEqual(account["kv"]["in_use"], 0)
        self.assert_as_planned(plan["total"]["planned"] + kv)

        # Prefill repacks weights panel by panel, and still there is no second copy of them.
        mapped = runner.mapped(self.path)
        self.assertGreater(mapped, weights * 0.98)
        self.assertLess(runner.pss() - mapped - kv - plan["workspace"]["planned"] - plan["output"]["planned"], 24 * MIB)

    def test_smollm2_at_work(self):
        self.check_work(model())

    def test_granite_at_work(self):
        self.check_work(granite_small())

    def test_context_and_parallel_cost_nothing_until_used(self):
        loaded = {}
        for num_ctx, parallel in ((256, 1), (8192, 1), (8192, 64)):
            runner = self.start(model(), num_ctx=num_ctx, parallel=parallel)
            output = runner.memory()["output"]["planned"]  # logits, one row for each sequence: the plan says so
            loaded[num_ctx, parallel] = runner.pss() - output
        least = min(loaded.values())
        self.assertLess(max(loaded.values()) - least, 4 * MIB, loaded)

    def test_a_fill_that_cannot_be_is_refused_and_leaves_nothing(self):
        runner = self.start(model(), parallel=2)
        loaded = runner.pss()
        for tokens, sequences in ((1 << 20, 1), (8192, 3), (1 << 62, 1 << 62)):  # the model was trained for 8192
            with self.assertRaises(AssertionError, msg=(tokens, sequences)):
                runner.fill(tokens, sequences)
        self.assertEqual(runner.fill(0)["kv"]["measured"], 0)
        self.assertLess(abs(runner.pss() - loaded), 2 * MIB)


if __name__ == "__main__":
    unittest.main()
