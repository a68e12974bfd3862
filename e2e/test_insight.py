"""What a model takes and what fits, beforehand and while it runs: plan, fit, ps -v, /api/plan, /metrics."""
import http.server
import json
import os
import re
import subprocess
import termios
import threading
import unittest

from budget_harness import stop
from cli_harness import CliTest, Terminal, model, program
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

    def test_the_setting_of_the_context_counts(self):
        self.assertEqual(self.plan()["memory"]["kv"]["ceiling"], self.plan("--num-ctx", "8192")["memory"]["kv"]["ceiling"])
        for name in ("OLLAMA_CONTEXT_LENGTH", "QUIPU_CONTEXT_LENGTH"):
            set_so = self.plan(**{name: "512"})["memory"]["kv"]
            self.assertEqual(set_so["ceiling"], 4 * 512 * set_so["bytes_per_token"])
            self.assertEqual(self.plan("--num-ctx", "1024")["memory"]["kv"]["ceiling"], 2 * set_so["ceiling"])
            del self.environment[name]

    def doctor(self, **environment):
        self.environment.update(environment)
        done = self.run_cli("doctor", "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        found = json.loads(done.stdout)["findings"]
        for one in found:
            self.assertEqual("remedy" in one, one["status"] != "ok", one)
        return found

    def test_doctor_of_settings_that_make_no_sense(self):
        whole = [one["name"] for one in self.doctor()]
        bad = {"QUIPU_MEMORY": "garbage", "QUIPU_MEMORY_RESERVE": "-5", "QUIPU_KV_CACHE_TYPE": "zz", "OLLAMA_NUM_PARALLEL": "9999",
               "OLLAMA_CONTEXT_LENGTH": "x", "QUIPU_THREADS": "many", "QUIPU_ISA": "abacus"}
        found = self.doctor(**bad)
        for name in bad:
            self.assertTrue([one for one in found if one["status"] != "ok" and name in one["remedy"]], name)
        self.assertEqual(sorted({one["name"] for one in found}), sorted(set(whole)))

    def test_doctor_of_a_port_that_another_program_holds(self):
        def at(host):
            found = {one["name"]: one for one in self.doctor(QUIPU_HOST=host)}
            return found["server"], found.get("port")

        class Handler(http.server.BaseHTTPRequestHandler):
            answer = None

            def do_GET(self):
                known = self.answer is not None and self.path == "/api/version"
                body = json.dumps(self.answer).encode() if known else b"<html>"
                self.send_response(200 if known else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as other:
            threading.Thread(target=other.serve_forever).start()
            try:
                port = other.server_address[1]
                here, elsewhere = f"127.0.0.1:{port}", f"2130706433:{port}"  # the same, as a name that nobody takes for it
                server, held = at(here)
                self.assertEqual((server["status"], held["status"]), ("ok", "warn"))
                self.assertIn("stop it, or QUIPU_HOST=127.0.0.1:", held["remedy"])
                server, held = at(elsewhere)
                self.assertEqual((server["status"], held), ("warn", None))
                Handler.answer = {"version": "0.32.15"}
                server, held = at(here)
                self.assertEqual((server["status"], held["status"]), ("ok", "ok"))
                Handler.answer = {"version": "0.32.15", "quipu": {"version": "0.0.0", "api": 1}}
                for host in (here, elsewhere):
                    server, held = at(host)
                    self.assertEqual(server["status"], "warn")
                    self.assertIn("quipu 0.0.0, this program is ", server["text"])
                self.assertIsNone(held)
            finally:
                other.shutdown()
        server, held = at(here)
        self.assertEqual((server["status"], held["status"]), ("ok", "ok"))
        self.assertEqual(at(elsewhere)[0]["status"], "warn")

    def test_fit(self):
        for args, rows in ((), 19), ((model(),), 2), (("--params", "7b", "--quant", "q4_k_m"), 2):
            done = self.run_cli("fit", *args)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            table = done.stdout.split("\n\n")[1].splitlines()
            self.assertGreaterEqual(len(table), rows)
            self.assertEqual(done.stdout.split("\n\n")[-1].count("\n"), 1)
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
        loaded = self.s.post("/api/plan", {**asked, "parallel": 4}).json()
        memory = loaded["memory"]
        self.assertGreater(memory["total"]["measured"], plan["memory"]["weights"]["planned"] // 2)
        self.assertGreater(memory["kv"]["planned"], 0)
        self.assertEqual(memory["kv"]["planned"], memory["kv"]["measured"])
        self.assertEqual(memory["total"]["planned"], sum(memory[name]["planned"] for name in CATEGORIES))
        self.assertGreater(loaded["machine"]["admitted"], 0)
        # What would be with other settings is not measured.
        other = self.s.post("/api/plan", {**asked, "parallel": 9}).json()["memory"]
        self.assertIn("measured", other["weights"])
        self.assertNotIn("measured", other["output"])
        self.assertNotIn("measured", other["total"])
        other = self.s.post("/api/plan", {"model": "smol", "options": {"kv_cache_type": "f16"}}).json()["memory"]
        self.assertNotIn("measured", other["kv"])
        for body, status, words in (({}, 400, "model is required"), ({"model": "nope"}, 404, "nope"),
                                    ({"model": "smol", "parallel": 300}, 400, "parallel"),
                                    ({"model": "smol", "options": {"num_ctx": "x"}}, 400, "num_ctx"),
                                    ({"model": "smol", "options": {"kv_cache_type": "q9"}}, 400, "kv_cache_type")):
            answer = self.s.post("/api/plan", body)
            self.assertEqual(answer.status, status, answer.body)
            self.assertIn(words, answer.json()["error"])

    def test_fit_of_a_model_that_is_loaded(self):
        stop(self.s)
        s = self.server(QUIPU_MEMORY="200MiB")
        s.post("/api/generate", {"model": "smol", "prompt": "Hi", "stream": False, "options": {"num_predict": 3}})
        environment = {**os.environ, "QUIPU_HOST": s.host, "QUIPU_MODELS": str(s.models)}

        def fit(*args):
            return subprocess.run([program(), "fit", "smol", *args], env=environment, capture_output=True, text=True, check=True).stdout

        self.assertIn("Recommended: smol", fit())
        row, = [row for row in json.loads(fit("--json")) if not row["estimated"] and (row["num_ctx"], row["parallel"]) == (4096, 1)
                and row["memory"]["kv"]["type"] == "q8_0:q8_0"]
        self.assertEqual(row["fits"], "yes")

    def test_doctor(self):
        found = self.s.request("GET", "/api/doctor").json()
        names = [one["name"] for one in found["findings"]]
        for name in ("server", "isa", "threads", "affinity", "cpu quota", "memory", "swap", "governor", "store", "port"):
            self.assertIn(name, names)
        for one in found["findings"]:
            self.assertIn(one["status"], ("ok", "warn", "error"))
            self.assertEqual("remedy" in one, one["status"] != "ok", one)
        self.assertIn("(quipu)", [one["text"] for one in found["findings"] if one["name"] == "port"][0])

    def test_doctor_of_models_that_are_too_large(self):
        self.s.create("short", model(), parameters={"num_ctx": 1024})

        def found(name, **environment):
            stop(self.servers[-1])
            s = self.server(**environment)
            answer = s.request("GET", "/api/doctor").json()
            self.assertEqual(s.request("GET", "/api/version").status, 200)
            return [one for one in answer["findings"] if one["name"] == name]

        self.assertIn("2 of 2 fit", found("models")[0]["text"])
        large, = found("model", QUIPU_MEMORY="180MiB")
        self.assertEqual(large["status"], "warn")
        self.assertRegex(large["text"], r"\Asmol:latest: its num_ctx 8192 takes .*; num_ctx (\d+) fits\Z")
        self.assertIn("PARAMETER num_ctx", large["remedy"])
        fits = re.search(r"num_ctx (\d+) fits", large["text"])[1]
        self.assertEqual(found("model", QUIPU_MEMORY="180MiB", QUIPU_CONTEXT_LENGTH=fits), [])
        self.assertEqual(len([one for one in found("model", QUIPU_MEMORY="50MiB") if "does not fit at all" in one["text"]]), 2)

    def test_ps_watch_in_a_small_window(self):
        self.s.post("/api/generate", {"model": "smol", "prompt": "Hi", "stream": False, "options": {"num_predict": 3}})
        environment = {**os.environ, "QUIPU_HOST": self.s.host, "TERM": "xterm"}
        session = Terminal(self, "ps", "--watch", "-v", columns=60, environment=environment)
        frame = "\x1b[H\x1b[J"
        try:
            before = termios.tcgetattr(session.fd)
            session.wait_for(frame)
            session.resize(60, rows=10)
            session.wait_for(frame)
            session.wait_for(frame)
            lines = session.wait_for(frame).replace("\r", "").split("\n")
            self.assertIn("smol:latest", "".join(lines))
            self.assertLessEqual(len(lines), 10)
            session.send("\x03")
            self.assertEqual(session.exit_code(), 0)
            self.assertTrue(session.screen.endswith("\n"))
            self.assertEqual(termios.tcgetattr(session.fd), before)
        finally:
            session.close()

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
