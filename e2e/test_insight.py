"""What a model takes and what fits, beforehand and while it runs: plan, fit, ps -v, /api/plan, /metrics."""
import http.server
import json
import os
import re
import subprocess
import termios
import threading
import unittest

from budget_harness import MIB, stop
from cli_harness import CliTest, Terminal, bytes_text, model, program
from gguf_files import BOOL, Gguf
from server_harness import PATIENCE, ServerTest, wait_for

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


def by_name(findings):
    return {one["name"]: one for one in findings}


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

    def doctor_says(self, name, status, text, remedy):
        """In both forms: as JSON, and as lines of which the second is the remedy."""
        one = by_name(self.doctor())[name]
        self.assertEqual((one["status"], one["text"]), (status, text))
        self.assertIn(remedy, one.get("remedy", ""))
        lines = self.run_cli("doctor").stdout.splitlines()
        i = lines.index(f"{status:<6}{name:<11}{text}")
        self.assertEqual(lines[i + 1].strip() if "remedy" in one else "", f"-> {one['remedy']}" if "remedy" in one else "")

    def test_doctor_of_an_instruction_set_below_the_best(self):
        self.environment.pop("QUIPU_ISA", None)
        best = by_name(self.doctor())["isa"]["text"].split(",")[0].split(":")[0]
        known = ("scalar", "avx2", "avx512")
        if best == known[0]:
            self.skipTest("this processor has nothing above scalar")
        self.doctor_says("isa", "ok", f"{best}, the best that this processor can do", "")
        for used in known[:known.index(best)]:
            self.environment["QUIPU_ISA"] = used
            self.doctor_says("isa", "warn", f"{used} in use, this processor can do {best}", "unset QUIPU_ISA")

    def test_doctor_of_a_budget_that_is_little(self):
        self.environment["QUIPU_MEMORY"] = "300MiB"
        found = by_name(self.doctor())
        self.assertRegex(found["memory"]["text"], r"\A300\.0 MiB for models, 300\.0 MiB free, of \S+ \wiB\Z")
        self.assertEqual(found["memory"]["status"], "warn")
        self.assertEqual(found["memory"]["remedy"], "raise QUIPU_MEMORY, or stop models (quipu stop)")
        self.assertRegex(found["budget"]["text"], r"\AMemAvailable \S+ \wiB, (.+, )?QUIPU_MEMORY 300\.0 MiB\Z")
        self.assertIn("huge pages", found)
        del self.environment["QUIPU_MEMORY"]
        self.assertRegex(by_name(self.doctor())["budget"]["text"], r", reserve \S+ [MG]iB\Z")

    def test_doctor_of_a_store_that_cannot_be_used(self):
        store = self.folder / "models"
        store.write_text("no folder")
        self.doctor_says("store", "error", f"{store} is no folder", "set QUIPU_MODELS to a folder")
        self.environment["QUIPU_MODELS"] = str(store / "below")
        self.doctor_says("store", "error", f"{store}/below cannot be reached: Not a directory", "correct QUIPU_MODELS")

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
        self.environment["QUIPU_MEMORY"] = "100MiB"
        offered = [a for a in json.loads(self.run_cli("plan", model(), "--json").stdout)["alternatives"] if a["fits"] != "no"]
        self.assertTrue(offered)
        self.assertNotEqual({row["fits"] for row in json.loads(self.run_cli("fit", model(), "--json").stdout)}, {"no"})
        del self.environment["QUIPU_MEMORY"]
        self.assert_refused(self.run_cli("fit", "--params", "big"), 2, "--params big")
        self.assert_refused(self.run_cli("fit", "--quant", "Q9"), 2, "Q9")

    def test_fit_recommends_what_its_table_has(self):
        for budget in range(90, 300, 10):
            self.environment["QUIPU_MEMORY"] = f"{budget}MiB"
            with self.subTest(budget=budget):
                done = self.run_cli("fit", model())
                table, sentence = done.stdout.split("\n\n")[1], done.stdout.split("\n\n")[-1]
                if " x" not in table:
                    self.assertIn("Nothing here fits", sentence)
                    continue
                found = re.fullmatch(r"Recommended: this model in (\S+) \(.+?\), with room for (one|\d+) conversations? of (\d+) tokens"
                                     r"(?: at once)? \(KV cache (\S+)\)(, or .*)?\.\n", sentence)
                self.assertTrue(found, sentence)
                n_ctx, parallel, kv = int(found[3]), 1 if found[2] == "one" else int(found[2]), found[4]
                row, = [row for row in json.loads(self.run_cli("fit", model(), "--json").stdout)
                        if (row["quantization"], row["num_ctx"], row["parallel"]) == (found[1], n_ctx, parallel)
                        and row["memory"]["kv"]["type"] == (kv if ":" in kv else f"{kv}:{kv}")]
                self.assertEqual(row["fits"], "yes")
                if row["estimated"]:
                    continue
                plan = self.plan("--num-ctx", str(n_ctx), "--parallel", str(parallel), "--kv-cache-type", kv)
                self.assertEqual((plan["fits"], plan["charge"]), ("yes", row["charge"]))

    def test_a_cache_of_two_types_is_offered_before_q4_0(self):
        self.environment["QUIPU_MEMORY"] = "400MiB"
        budget = self.plan("--parallel", "1", "--kv-cache-type", "q8_0:q4_0")
        self.environment["QUIPU_MEMORY"] = str(budget["memory"]["total"]["planned"] + budget["memory"]["kv"]["ceiling"])
        self.assertEqual(self.plan("--parallel", "1", "--num-ctx", "8192")["alternatives"][0]["change"], "kv_cache_type=q8_0:q4_0")


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

    def elsewhere(self, *args, code=0, host=None, **settings):
        """A command of somebody who has no store, with settings of their own."""
        environment = {**os.environ, "QUIPU_HOST": host or self.s.host, "QUIPU_MODELS": str(self.folder / "none"), **settings}
        done = subprocess.run([program(), *args], env=environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout if code == 0 else done.stderr

    def test_the_plan_of_a_model_is_that_of_the_server_that_has_it(self):
        stop(self.s)
        self.s = self.server(QUIPU_THREADS="1", QUIPU_NUM_PARALLEL="3", QUIPU_KV_CACHE_TYPE="q4_0", QUIPU_CONTEXT_LENGTH="768")
        said = json.loads(self.elsewhere("plan", "smol", "--json"))
        row_is_whole(self, said)
        self.assertNotIn("texts", said)
        self.assertNotIn("texts", self.s.post("/api/plan", {"model": "smol"}).json())
        self.assertEqual(said["memory"], self.s.post("/api/plan", {"model": "smol"}).json()["memory"])
        table = self.elsewhere("plan", "smol")
        self.assertRegex(table, r"\Asmol \(llama, Q4_1\)\nnum_ctx 768, parallel 3, KV cache q4_0(:q4_0)?\n")
        self.assertIn(" 1 thread; not the context\n", table)
        # Flags count, and the settings of whoever asks do not.
        flags = ("--num-ctx", "512", "--parallel", "2", "--kv-cache-type", "q8_0", "--threads", "2")
        table = self.elsewhere("plan", "smol", *flags, QUIPU_CONTEXT_LENGTH="1024", QUIPU_THREADS="3")
        self.assertRegex(table, r"\nnum_ctx 512, parallel 2, KV cache q8_0(:q8_0)?\n")
        # The same words as of the file, whatever is in them of the machine at that moment.
        mine = self.elsewhere("plan", model(), *flags, host="127.0.0.1:1")
        self.assertEqual([re.sub(r"\S+ \S+ are free", "", line) for line in mine.splitlines()[1:]],
                         [re.sub(r"\S+ \S+ are free", "", line) for line in table.splitlines()[1:]])
        self.assertIn(" 1 thread;", self.elsewhere("plan", "smol", QUIPU_THREADS="3"))
        self.s.post("/api/generate", {"model": "smol", "prompt": "Hi", "stream": False, "options": {"num_predict": 3}})
        table = self.elsewhere("plan", "smol")
        self.assertIn("measured\n", table)
        self.assertNotIn("loaded with other settings", table)
        self.assertIn("the blocks that are held now", table)
        self.assertIn("loaded with other settings", self.elsewhere("plan", "smol", "--parallel", "9"))
        self.assertIn("'nope'", self.elsewhere("plan", "nope", code=1))

    def test_fit_says_where_a_model_is(self):
        error = self.elsewhere("fit", "smol", code=1)
        self.assertIn(f"the server at {self.s.host} has 'smol' in a store that is not read from here: set QUIPU_MODELS", error)
        self.assertIn("there is no file and no model 'nope'", self.elsewhere("fit", "nope", code=1))

    def test_doctor(self):
        found = self.s.request("GET", "/api/doctor").json()
        names = [one["name"] for one in found["findings"]]
        for name in ("server", "settings", "isa", "threads", "affinity", "cpu quota", "memory", "budget", "swap", "huge pages",
                     "governor", "store", "models", "port"):
            self.assertIn(name, names)
        for one in found["findings"]:
            self.assertIn(one["status"], ("ok", "warn", "error"))
            self.assertEqual("remedy" in one, one["status"] != "ok", one)
        self.assertIn("(quipu)", [one["text"] for one in found["findings"] if one["name"] == "port"][0])

    def test_doctor_tells_of_the_servers_own_settings(self):
        """And not of those of whoever asks."""
        stop(self.s)
        s = self.server(QUIPU_ISA="scalar", QUIPU_MEMORY="300MiB")
        environment = {**os.environ, "QUIPU_HOST": s.host}
        environment.pop("QUIPU_ISA", None)
        done = subprocess.run([program(), "doctor", "--json"], env=environment, capture_output=True, text=True, check=True)
        for findings in (s.request("GET", "/api/doctor").json()["findings"], json.loads(done.stdout)["findings"]):
            found = by_name(findings)
            self.assertEqual(found["isa"]["status"], "warn")
            self.assertRegex(found["isa"]["text"], r"\Ascalar( in use, this processor can do avx|: this processor has no AVX2)")
            self.assertTrue(found["isa"]["remedy"])
            self.assertIn("300.0 MiB for models", found["memory"]["text"])
            self.assertIn("raise QUIPU_MEMORY", found["memory"]["remedy"])
            self.assertTrue(found["budget"]["text"].endswith("QUIPU_MEMORY 300.0 MiB"), found["budget"])

    def test_doctor_of_models_that_are_too_large(self):
        self.s.create("short", model(), parameters={"num_ctx": 1024})

        def found(name, **environment):
            stop(self.servers[-1])
            s = self.server(**environment)
            answer = s.request("GET", "/api/doctor").json()
            self.assertEqual(s.request("GET", "/api/version").status, 200)
            return [one for one in answer["findings"] if one["name"] == name]

        self.assertIn("2 of 2 fit", found("models")[0]["text"])
        # What says no num_ctx is served with what fits, and nothing is wrong with that.
        served, = found("model", QUIPU_MEMORY="180MiB")
        self.assertEqual(served["status"], "ok")
        fits = re.fullmatch(r"smol:latest: its 8192 tokens do not fit, it is served with (\d+)", served["text"])[1]
        self.assertEqual(found("model", QUIPU_MEMORY="180MiB", QUIPU_CONTEXT_LENGTH=fits), [])
        large, = found("model", QUIPU_MEMORY="180MiB", QUIPU_CONTEXT_LENGTH="8000")
        self.assertEqual(large["status"], "warn")
        self.assertRegex(large["text"], rf"\Asmol:latest: its num_ctx 8000 takes .*; it is served with {fits}\Z")
        self.assertIn(f"PARAMETER num_ctx {fits} in its Modelfile (QUIPU_CONTEXT_LENGTH: for all)", large["remedy"])
        for one in found("model", QUIPU_MEMORY="50MiB"):
            self.assertIn("does not fit at all", one["text"])
            self.assertEqual(one["status"], "warn")

    def test_doctor_says_what_a_refusal_says(self):
        """One number for a model's context: what doctor names is what is served, what a refusal names, and what works."""
        stop(self.s)
        s = self.server(QUIPU_MEMORY="160MiB")
        s.create("long", model(), parameters={"num_ctx": 8192})
        one, = [one for one in s.request("GET", "/api/doctor").json()["findings"] if one["text"].startswith("long:")]
        fits = int(re.search(r"served with (\d+)\Z", one["text"])[1])
        self.assertIn(f"PARAMETER num_ctx {fits} in its Modelfile", one["remedy"])
        ask = {"model": "long", "prompt": "Hi", "stream": False}
        self.assertEqual(s.post("/api/generate", {**ask, "options": {"num_predict": 1}}).status, 200)
        self.assertEqual(s.request("GET", "/api/ps").json()["models"][0]["context_length"], fits)
        refused = s.request("POST", "/api/generate", {**ask, "options": {"num_ctx": 8192}})
        self.assertEqual(refused.status, 507)
        self.assertIn(f"num_ctx {fits}", refused.json()["error"])
        # The cache type that is named is one with which all of it fits.
        kv = re.match(r"QUIPU_KV_CACHE_TYPE=(\S+?),", one["remedy"])[1]
        stop(s)
        s = self.server(QUIPU_MEMORY="160MiB", QUIPU_KV_CACHE_TYPE=kv)
        self.assertEqual([f for f in s.request("GET", "/api/doctor").json()["findings"] if f["text"].startswith("long:")], [])

    def test_doctor_of_a_models_own_cache_type(self):
        stop(self.s)
        s = self.server(QUIPU_MEMORY="250MiB")
        s.create("precise", model(), parameters={"num_ctx": 8192, "kv_cache_type": "f16"})
        s.create("wrong", model(), parameters={"kv_cache_type": "zz"})
        environment = {**os.environ, "QUIPU_HOST": "127.0.0.1:1", "QUIPU_MODELS": str(s.models), "QUIPU_MEMORY": "250MiB"}

        def of_command():
            done = subprocess.run([program(), "doctor", "--json"], env=environment, capture_output=True, text=True, check=True)
            return json.loads(done.stdout)["findings"]

        for findings in (s.request("GET", "/api/doctor").json()["findings"], of_command()):
            said = {one["text"].split(":")[0]: one for one in findings if one["name"] == "model"}
            self.assertIn("PARAMETER kv_cache_type q8_0 in its Modelfile, or PARAMETER num_ctx ", said["precise"]["remedy"])
            self.assertNotIn("QUIPU_KV_CACHE_TYPE", said["precise"]["remedy"])
            self.assertIn('kv_cache_type "zz" is no type', said["wrong"]["text"])
            self.assertEqual(said["wrong"]["status"], "warn")
            self.assertIn("PARAMETER kv_cache_type", said["wrong"]["remedy"])
        self.assertEqual(s.request("POST", "/api/generate", {"model": "wrong", "prompt": "Hi", "stream": False}).status, 400)

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

    def ledger(self, s):
        """`quipu ps -v` as rows by name, and the answer of /api/ps that it got: another answer has other numbers, as the
        command itself maps pages of the program that PSS counts by parts."""
        answers = []

        class Between(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.send_response(s.request("HEAD", self.path).status)
                self.end_headers()

            def do_GET(self):
                answer = s.request("GET", self.path)
                answers.append(answer.json())
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Between) as between:
            threading.Thread(target=between.serve_forever).start()
            try:
                environment = {**os.environ, "QUIPU_HOST": f"127.0.0.1:{between.server_address[1]}"}
                done = subprocess.run([program(), "ps", "-v"], env=environment, capture_output=True, text=True, check=True,
                                      timeout=PATIENCE)
            finally:
                between.shutdown()
        rows = {}
        for line in done.stdout.split("\n\n", 1)[1].splitlines():
            if line:
                rows[line.strip().split("  ")[0]] = line
        ps, = [answer for answer in answers if "models" in answer]
        return rows, ps

    def assert_ledger(self, s):
        rows, ps = self.ledger(s)
        one, = ps["models"]
        memory = one["quipu"]["memory"]
        self.assertIn(one["name"], rows)
        rest = [name for name in rows if name not in (one["name"], "memory", "server", "budget", "bounded by")]
        # Each category that holds something, in the object's order, and nothing else.
        self.assertEqual(rest, [name for name in memory if name in ("kv", "unexplained") or memory[name]["planned"]
                                or memory[name]["measured"]])
        for name in rest:
            if name == "unexplained":
                self.assertEqual(rows[name], f"  {name:<24}{bytes_text(memory[name]):>12}")
                continue
            row = f"  {name:<12}{bytes_text(memory[name]['planned']):>12}{bytes_text(memory[name]['measured']):>12}"
            if name == "kv":
                kv = memory["kv"]
                reserved = kv["measured"] - kv["in_use"] - kv["cached"]
                row += f"   {bytes_text(kv['in_use'])} in use, {bytes_text(kv['cached'])} cached"
                row += f", {bytes_text(reserved)} reserved" if reserved > 0 else ""
                row += f"; up to {bytes_text(kv['ceiling'])}"
            self.assertEqual(rows[name], row)
        self.assertEqual(memory["unexplained"], memory["total"]["measured"] - sum(memory[name]["measured"] for name in CATEGORIES))
        machine = ps["quipu"]["machine"]
        self.assertEqual(rows["server"],
                         f"{'server':<26}{bytes_text(ps['quipu']['memory']['total']['measured']):>12}   this process alone")
        self.assertEqual(rows["budget"], f"{'budget':<26}{bytes_text(machine['budget']):>12}   "
                                         f"{bytes_text(machine['admitted'])} admitted, {bytes_text(machine['free'])} free")
        self.assertEqual(rows["bounded by"], f"{'bounded by':<26}{'400.0 MiB':>12}   QUIPU_MEMORY")
        return memory

    def test_ps_v_shows_each_row_of_the_ledger(self):
        stop(self.s)
        s = self.server(QUIPU_MEMORY="400MiB")
        projector = Gguf(arch="clip")
        projector.keys = {k: v for k, v in projector.keys.items() if k.startswith("general.")}
        projector.keys["clip.has_vision_encoder"] = (BOOL, True)
        projector.tensors = {f"v.blk.{i}.ffn_up.weight": ([512, 1024], "F16", None) for i in range(8)}
        path = self.folder / "projector.gguf"
        path.write_bytes(projector.bytes())
        s.create("seeing", model(), files={"model.gguf": s.upload(model()), "projector.gguf": s.upload(path)})
        ask = {"prompt": "1, 2, 3,", "raw": True, "options": {"num_predict": 3, "num_ctx": 2048, "repeat_guard": False}}
        s.post("/api/generate", {"model": "seeing", "stream": False, **ask})
        memory = self.assert_ledger(s)
        self.assertGreaterEqual(memory["projector"]["planned"], 8 * MIB)
        self.assertEqual(memory["weights"]["planned"], os.path.getsize(model()))
        self.assertAlmostEqual(memory["weights"]["measured"], os.path.getsize(model()), delta=1 << 16)
        self.assertEqual(memory["kv"]["in_use"], 0)
        self.assertGreater(memory["kv"]["cached"], 0)

        # While it answers, a part is in use; whoever asked goes away.
        body = json.dumps({"model": "seeing", **ask, "options": {**ask["options"], "num_predict": 1500}}).encode()
        with s.connect() as endless:
            endless.sendall(b"POST /api/generate HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n" % (s.host.encode(), len(body))
                            + body)
            self.assertTrue(endless.recv(1))
            self.assertGreater(self.assert_ledger(s)["kv"]["in_use"], 0)
        s.post("/api/generate", {"model": "seeing", "keep_alive": 0})
        wait_for(lambda: not s.request("GET", "/api/ps").json()["models"])

        # Without a projector there is no such row.
        s.create("smol", model())
        s.post("/api/generate", {"model": "smol", "stream": False, **ask})
        self.assertEqual(self.assert_ledger(s)["projector"], {"planned": 0, "measured": 0})

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
