"""What a model takes and what fits, beforehand and while it runs: plan, fit, ps -v, /api/plan, /metrics."""
import json
import os
import re
import subprocess
import unittest

from cli_harness import CliTest, model, program
from server_harness import ServerTest

CATEGORIES = ("weights", "projector", "kv", "workspace", "output", "runtime")


def row_is_whole(test, row):
    for name in CATEGORIES:
        test.assertIn("planned", row["memory"][name], name)
    for name in ("ceiling", "bytes_per_token", "type"):
        test.assertIn(name, row["memory"]["kv"])
    for name in ("total", "available", "budget", "admitted", "free", "terms"):
        test.assertIn(name, row["machine"])
    test.assertIn(row["fits"], ("yes", "tight", "no"))
    test.assertEqual(row["fits"] == "yes", row["alternatives"] == [])


class Plan(CliTest):
    def plan(self, *args, **environment):
        self.environment.update(environment)
        done = self.run_cli("plan", model(), *args, "--json")
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_any_setting(self):
        for n_ctx in ("1", "511", "8192", "1000000"):
            for parallel in ("1", "256"):
                for kv in ("f16", "bf16", "q8_0", "q4_0", "f32", "q8_0:q4_0"):
                    row_is_whole(self, self.plan("--num-ctx", n_ctx, "--parallel", parallel, "--kv-cache-type", kv))

    def test_what_would_fit_does(self):
        tight = self.plan("--parallel", "4", QUIPU_MEMORY="400MiB")
        self.assertEqual(tight["fits"], "tight")
        for other in tight["alternatives"]:
            if other["change"].startswith("quantization="):
                continue
            flags = []
            for part in other["change"].split(", "):
                name, value = part.split("=")
                flags += ["--" + name.replace("_", "-"), value]
            changed = self.plan("--parallel", "4", *flags)
            self.assertEqual((changed["fits"], changed["charge"]), (other["fits"], other["total"]), other)
        refused = self.plan("--parallel", "4", "--num-ctx", "8192", QUIPU_MEMORY="120MiB")
        self.assertEqual(refused["fits"], "no")
        self.assertTrue(refused["alternatives"])
        table = self.run_cli("plan", model(), "--num-ctx", "8192").stdout
        self.assertIn("What would fit:", table)

    def test_doctor_without_a_server(self):
        done = self.run_cli("doctor")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"(?m)^ok +client +quipu ")
        self.assertRegex(done.stdout, r"(?m)^(ok|warn) +threads ")
        self.assertIn("findings", json.loads(self.run_cli("doctor", "--json").stdout))

    def test_fit(self):
        for args, rows in ((), 19), ((model(),), 2), (("--params", "7b", "--quant", "q4_k_m"), 2):
            done = self.run_cli("fit", *args)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            table = done.stdout.split("\n\n")[1].splitlines()
            self.assertGreaterEqual(len(table), rows)
            self.assertLessEqual(max(map(len, table)), 80)
        rows = json.loads(self.run_cli("fit", "--params", "8b", "--json").stdout)
        for row in rows[:20]:
            row_is_whole(self, row)
        self.assert_refused(self.run_cli("fit", "--params", "big"), 2, "--params big")
        self.assert_refused(self.run_cli("fit", "--quant", "Q9"), 2, "Q9")


class Server(ServerTest):
    def setUp(self):
        super().setUp()
        self.s = self.server()
        self.s.create("smol", model())

    def test_plan_before_and_after_a_load(self):
        self.s.post("/api/generate", {"model": "smol", "keep_alive": 0})
        asked = {"model": "smol", "options": {"num_ctx": 1024, "kv_cache_type": "q8_0"}, "parallel": 2}
        for method in ("GET", "POST"):
            answer = self.s.request(method, "/api/plan", asked)
            self.assertEqual(answer.status, 200, answer.body)
            row_is_whole(self, answer.json())
        plan = answer.json()
        self.assertEqual(plan["model"], "smol")
        self.assertEqual(plan["memory"]["kv"]["type"], "q8_0:q8_0")
        self.assertEqual(plan["memory"]["kv"]["ceiling"], 2 * 1024 * plan["memory"]["kv"]["bytes_per_token"])
        self.assertEqual(self.s.request("GET", "/api/plan?model=smol&num_ctx=512").json()["memory"]["weights"],
                         plan["memory"]["weights"])
        self.s.post("/api/generate", {"model": "smol", "prompt": "Hi", "stream": False, "options": {"num_predict": 3}})
        loaded = self.s.post("/api/plan", asked).json()
        self.assertGreater(loaded["memory"]["total"]["measured"], plan["memory"]["weights"]["planned"] // 2)
        self.assertGreater(loaded["machine"]["admitted"], 0)
        for body, status, words in (({}, 400, "model is required"), ({"model": "nope"}, 404, "nope"),
                                    ({"model": "smol", "parallel": 300}, 400, "parallel"),
                                    ({"model": "smol", "options": {"kv_cache_type": "q9"}}, 400, "kv_cache_type")):
            answer = self.s.post("/api/plan", body)
            self.assertEqual(answer.status, status, answer.body)
            self.assertIn(words, answer.json()["error"])

    def test_doctor(self):
        found = self.s.request("GET", "/api/doctor").json()
        names = [one["name"] for one in found["findings"]]
        for name in ("server", "isa", "threads", "affinity", "cpu quota", "memory", "swap", "governor", "store", "port"):
            self.assertIn(name, names)
        for one in found["findings"]:
            self.assertIn(one["status"], ("ok", "warn", "error"))
            self.assertEqual("remedy" in one, one["status"] != "ok", one)
        self.assertIn("(quipu)", [one["text"] for one in found["findings"] if one["name"] == "port"][0])

    def doctor(self, **environment):
        """Of the command, with this server's store and none that listens."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("OLLAMA_", "QUIPU_"))}
        clean.update({"HOME": str(self.folder), "QUIPU_MODELS": str(self.s.models), "QUIPU_HOST": "127.0.0.1:9", **environment})
        done = subprocess.run([program(), "doctor", "--json"], env=clean, capture_output=True, timeout=60, check=True)
        return [(one["name"], one["status"], one["text"], one.get("remedy")) for one in json.loads(done.stdout)["findings"]
                if one["name"].startswith("model")]

    def test_doctor_knows_models_with_too_long_a_context(self):
        self.assertEqual(self.doctor(), [("models", "ok", "1 in the store, none with a context that does not fit", None)])
        self.s.post("/api/create", {"model": "short", "from": "smol", "parameters": {"num_ctx": 512}})
        found = self.doctor(QUIPU_MEMORY="150MiB")  # the trained length takes 96 MiB of cache beside 111 MiB
        self.assertEqual(len(found), 1, found)
        name, status, text, remedy = found[0]
        self.assertEqual((name, status), ("model", "warn"))
        self.assertRegex(text, r"\Asmol(:latest)?: num_ctx 8192 needs 2\d\d\.\d MiB, more than the 150\.0 MiB for models\Z")
        self.assertRegex(remedy, r"\APARAMETER num_ctx \d+ fits")
        found = self.doctor(QUIPU_MEMORY="100MiB")
        self.assertEqual([one[1] for one in found], ["warn", "warn"])
        self.assertIn("smaller quantisation", found[0][3])

    def test_ps(self):
        self.s.post("/api/generate", {"model": "smol", "prompt": "Hi", "stream": False, "options": {"num_predict": 3}})
        ps = self.s.request("GET", "/api/ps").json()
        one, = ps["models"]
        self.assertEqual(list(one)[:9], ["name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length",
                                         "quipu"])
        memory = one["quipu"]["memory"]
        for name in (*CATEGORIES, "total"):
            self.assertEqual(set(memory[name]) >= {"planned", "measured"}, True, name)
        self.assertNotIn("engine", memory)
        self.assertGreater(memory["kv"]["cached"], 0)
        self.assertGreater(ps["quipu"]["memory"]["total"]["measured"], 0)

    def test_metrics(self):
        self.s.post("/api/generate", {"model": "smol", "prompt": "Hi", "stream": False, "options": {"num_predict": 3}})
        self.s.request("GET", "/nowhere")
        answer = self.s.request("GET", "/metrics")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.header("Content-Type").startswith("text/plain; version=0.0.4"))
        text = answer.body.decode()
        for name in ("requests_total", "request_seconds", "time_to_first_token_seconds", "inter_token_seconds",
                     "prompt_tokens_total", "generated_tokens_total", "sequences", "memory_bytes", "budget_bytes", "loads_total",
                     "runner_crashes_total", "preemptions_total", "build_info"):
            self.assertIn(f"# TYPE quipu_{name} ", text)
        self.assertRegex(text, r'quipu_requests_total\{route="other",code="404"\} \d')
        self.assertRegex(text, r'quipu_generated_tokens_total\{model="smol:latest"\} [1-9]')
        self.assertRegex(text, r'quipu_memory_bytes\{model="",category="total",kind="measured"\} [1-9]')
        for line in text.splitlines():
            self.assertTrue(line.startswith("#") or re.fullmatch(r"quipu_\w+(\{[^{}]*\})? [-+0-9.einfa]+", line), line)


if __name__ == "__main__":
    unittest.main()
