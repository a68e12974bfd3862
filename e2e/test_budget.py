"""Models under a budget that is given: what does not fit is refused with its plan, idle models go first, and whoever grows
into the limit gives the same answers."""
import json
import os
import re
import subprocess
import threading
import unittest

from budget_harness import MIB, another_model, at_once, four_clients, plan, said, stop
from cli_harness import TIMEOUT, CliTest, bytes_text, model, program
from server_harness import ServerTest, wait_for


class Budget(ServerTest):
    def loaded(self, server):
        return {m["name"].split(":")[0] for m in server.request("GET", "/api/ps").json()["models"]}

    def ask(self, server, name, prompt="Once upon a time", **options):
        options = {"num_predict": 8, "temperature": 0, **options}
        return server.post("/api/generate", {"model": name, "prompt": prompt, "raw": True, "stream": False, "options": options})

    def assert_refused(self, answer, name):
        self.assertEqual(answer.status, 507, answer.body)
        body = answer.json()
        p = body["quipu"]["plan"]
        self.assertEqual(p["model"].split(":")[0], name)
        self.assertEqual(p["fits"], "no")
        self.assertGreater(p["memory"]["weights"]["planned"], 90 * MIB)
        self.assertEqual(set(p["machine"]), {"total", "available", "budget", "admitted", "free", "terms"})
        self.assertIn("QUIPU_MEMORY", [t["name"] for t in p["machine"]["terms"]])
        for a in p["alternatives"]:
            self.assertEqual(set(a), {"change", "total", "fits"})
        return body["error"], p

    def test_a_load_just_below_and_just_above(self):
        charge = plan(512)["charge"]
        server = self.server(QUIPU_MEMORY=str(charge - 1))
        self.smol(server)
        sentence, p = self.assert_refused(self.ask(server, "smol"), "smol")
        self.assertRegex(sentence, r"\Amodel needs \S+ MiB \(weights .*\), \S+ MiB are free: ")
        self.assertEqual(p["machine"]["budget"], charge - 1)
        # The table below the sentence is of the same sum.
        table = self.ask(server, "smol").json()["quipu"]["table"]
        self.assertRegex(table, rf"(?m)^ +total +{bytes_text(charge)}$")
        self.assertRegex(table, rf"(?m)^ +kv +{re.search('kv ([0-9.]+ [KM]iB)', sentence).group(1)} +room for a first sequence of ")
        self.assertEqual(server.runners(), [])
        stop(server)
        server = self.server(QUIPU_MEMORY=str(charge))
        self.assertEqual(self.ask(server, "smol").status, 200)

    def test_a_context_that_the_budget_cannot_hold(self):
        server = self.server(QUIPU_MEMORY=str(plan(512)["charge"] + 10 * MIB))
        self.smol(server)
        self.assertEqual(self.ask(server, "smol").status, 200)
        sentence, p = self.assert_refused(self.ask(server, "smol", num_ctx=2048), "smol")
        fits = int(re.fullmatch(r"2048 tokens need a KV cache of .*: try num_ctx (\d+), or kv_cache_type q4_0", sentence)[1])
        self.assertGreater(fits, 512)
        self.assertEqual([a["change"] for a in p["alternatives"]], [f"num_ctx={fits}", "kv_cache_type=q4_0"])
        planned = server.post("/api/plan", {"model": "smol", "options": {"num_ctx": fits}}).json()
        self.assertEqual(p["alternatives"][0]["fits"], planned["fits"])  # of four sequences only one can be so long
        self.assertEqual(planned["fits"], "tight")
        self.assertEqual(self.ask(server, "smol", num_ctx=fits).status, 200)
        self.assertEqual(self.ask(server, "smol", num_ctx=fits + 1).status, 507)
        self.assertEqual(self.ask(server, "smol", num_ctx=2048, kv_cache_type="q4_0").status, 200)
        sentence, _ = self.assert_refused(self.ask(server, "smol", num_ctx=4096), "smol")
        self.assertRegex(sentence, r": try num_ctx \d+\Z")  # no cache type is small enough
        self.assertEqual(len(server.runners()), 1)

    def test_what_a_refusal_advises_works(self):
        charges = {kv: plan(2048, kv=kv)["charge"] for kv in ("q8_0", "q4_0")}
        server = self.server(QUIPU_MEMORY=str(charges["q4_0"] + MIB))
        server.create("plain", model(), parameters={"num_ctx": 2048})
        sentence, p = self.assert_refused(self.ask(server, "plain"), "plain")
        advised = dict(a["change"].split("=") for a in p["alternatives"] if "," not in a["change"])
        self.assertIn("kv_cache_type=q4_0", sentence)
        self.assertIn("num_ctx", advised)
        for option, value in advised.items():
            if option in ("kv_cache_type", "num_ctx"):
                value = int(value) if value.isdigit() else value
                answer = self.ask(server, "plain", **{option: value})
                self.assertEqual(answer.status, 200, answer.body)
                self.assertEqual(server.post("/api/generate", {"model": "plain", "keep_alive": 0}).status, 200)
                wait_for(lambda: not self.loaded(server))
        # The request of a model that a request has made small is small, too.
        self.assertEqual(self.ask(server, "plain", kv_cache_type="q4_0").status, 200)
        self.assertEqual(self.ask(server, "plain").status, 200)
        self.assertEqual(self.ask(server, "plain", kv_cache_type="f16", num_ctx=8192).status, 507)

    def test_a_models_own_cache_type_is_what_it_is_loaded_with(self):
        server = self.server()
        server.create("small", model(), parameters={"kv_cache_type": "q4_0", "num_ctx": 512})
        planned = server.post("/api/plan", {"model": "small"}).json()
        self.assertEqual(planned["memory"]["kv"]["type"], "q4_0:q4_0")
        self.assertEqual(self.ask(server, "small").status, 200)
        loaded = server.request("GET", "/api/ps").json()["models"][0]["quipu"]["memory"]
        for key in ("type", "ceiling", "bytes_per_token"):
            self.assertEqual(loaded["kv"][key], planned["memory"]["kv"][key], key)
        server.create("odd", another_model(self.folder), parameters={"kv_cache_type": "q9"})
        answer = self.ask(server, "odd")
        self.assertEqual(answer.status, 400, answer.body)
        self.assertIn("kv_cache_type", answer.json()["error"])

    def test_the_context_that_fits_can_be_filled(self):
        server = self.server(QUIPU_MEMORY=str(plan(512)["fixed"] + 6 * MIB))
        server.create("plain", model(), parameters={"num_ctx": 128})
        self.assertEqual(self.ask(server, "plain").status, 200)
        sentence, p = self.assert_refused(self.ask(server, "plain", num_ctx=4096), "plain")
        fits = int(re.search(r"try num_ctx (\d+)", sentence)[1])
        self.assertGreater(p["machine"]["admitted"], 0)
        answer = server.post("/api/generate", {"model": "plain", "prompt": " a" * (fits - 8), "raw": True, "stream": False,
                                               "options": {"num_ctx": fits, "num_predict": 4, "temperature": 0}})
        self.assertEqual(answer.status, 200, answer.body)
        last = answer.json()
        self.assertGreater(last["prompt_eval_count"], fits - 32)
        self.assertNotEqual(last["quipu"]["stop"], "memory", last)

    def test_the_default_context_is_what_the_budget_holds(self):
        p = plan(512)
        server = self.server(QUIPU_MEMORY=str(p["fixed"] + 1000 * p["memory"]["kv"]["bytes_per_token"]))
        server.create("plain", model())
        self.assertEqual(self.ask(server, "plain").status, 200)
        self.assertEqual(server.request("GET", "/api/ps").json()["models"][0]["context_length"], 992)
        stop(server)
        server = self.server(QUIPU_MEMORY=str(p["fixed"] + 1000 * p["memory"]["kv"]["bytes_per_token"]),
                             OLLAMA_CONTEXT_LENGTH="256")
        self.assertEqual(self.ask(server, "plain").status, 200)
        self.assertEqual(server.request("GET", "/api/ps").json()["models"][0]["context_length"], 256)

    def test_one_that_is_alone_and_cannot_grow_ends(self):
        """Its context is the model's default, which the budget holds as q8_0 and not as f32."""
        p = plan(512)
        per_token = plan(512, kv="f32")["memory"]["kv"]["bytes_per_token"]
        server = self.server(QUIPU_MEMORY=str(p["charge"] + MIB))
        server.create("plain", model())
        room = p["charge"] + MIB - p["fixed"]
        fitting = room // (32 * per_token) * 32
        self.assertIn(fitting, range(64, 500), "less than the shortest context that a model is loaded with")
        options = {"num_predict": 500, "kv_cache_type": "f32", "repeat_guard": False, "stop": []}
        texts = []
        for _ in range(2):
            answer = self.ask(server, "plain", **options)
            self.assertEqual(answer.status, 200, answer.body)
            last = answer.json()
            self.assertEqual((last["quipu"]["stop"], last["done_reason"]), ("memory", "length"), last)
            # All that there is room for was written. The last token that is said needs no place.
            self.assertEqual(last["prompt_eval_count"] + last["eval_count"], fitting + 1)
            self.assertEqual(last["quipu"]["kv_bytes"], fitting * per_token)
            texts.append(last["response"])
        self.assertEqual(texts[0], texts[1])
        # Whoever comes next finds the memory free, and a stream ends the same way.
        streamed = server.post("/api/chat", {"model": "plain", "messages": [{"role": "user", "content": "Count from 1 to 1000."}],
                                             "options": {**options, "temperature": 0}})
        lines = [json.loads(line) for line in streamed.body.splitlines()]
        self.assertEqual((lines[-1]["done"], lines[-1]["quipu"]["stop"], lines[-1]["done_reason"]), (True, "memory", "length"))
        self.assertEqual(self.ask(server, "plain").status, 200)
        stop(server)
        server = self.server()
        server.create("plain", model())
        whole = self.ask(server, "plain", **options, num_ctx=1024).json()
        self.assertNotEqual(whole["quipu"]["stop"], "memory")
        self.assertTrue(whole["response"].startswith(texts[0]), "what was said until then is the same")

    def test_a_default_beyond_the_budget_is_what_the_budget_holds(self):
        p = plan(512)
        of_token = p["memory"]["kv"]["bytes_per_token"]
        memory = {"QUIPU_MEMORY": str(p["fixed"] + 3000 * of_token)}
        most = 3000 // 32 * 32  # whole blocks
        server = self.server(**memory)
        server.create("plain", model(), parameters={"num_ctx": 4096})
        server.create("shorter", model(), parameters={"num_ctx": 640})
        for setting in ({}, {"OLLAMA_CONTEXT_LENGTH": "4096"}):
            with self.subTest(**setting):
                if setting:
                    stop(server)
                    server = self.server(**memory, **setting)
                    server.create("plain", model())
                self.assertEqual(server.post("/api/plan", {"model": "plain"}).json()["memory"]["kv"]["ceiling"],
                                 4 * most * of_token)
                answer = self.ask(server, "plain", prompt=" a" * 5000, num_predict=4)
                self.assertEqual(answer.status, 200, answer.body)
                last = answer.json()
                self.assertLess(last["prompt_eval_count"], most)
                self.assertEqual(last["prompt_eval_count"] + last["quipu"]["dropped_tokens"], 5000)
                self.assertEqual(server.request("GET", "/api/ps").json()["models"][0]["context_length"], most)
                self.assertIn(f"of the default num_ctx, 4096, the budget holds {most}", server.log_text())
                if not setting:  # another name for the same file has its own
                    last = self.ask(server, "shorter", prompt=" a" * 5000, num_predict=4).json()
                    self.assertLess(last["prompt_eval_count"], 640)
                    self.assertEqual(server.request("GET", "/api/ps").json()["models"][0]["context_length"], 640)
                # With another cache type as much as the budget holds of that.
                for kv, fits in (("f16", plan(512, kv="f16")), ("q4_0", plan(512, kv="q4_0"))):
                    fits = min(3000 * of_token // (32 * fits["memory"]["kv"]["bytes_per_token"]) * 32, 4096)
                    answer = self.ask(server, "plain", prompt=" a" * 5000, num_predict=4, kv_cache_type=kv)
                    self.assertEqual((answer.status, answer.json()["quipu"]["stop"]), (200, "length"), answer.body)
                    self.assertEqual(server.request("GET", "/api/ps").json()["models"][0]["context_length"], fits)
                embedded = server.post("/api/embed", {"model": "plain", "input": " a" * 5000})
                self.assertEqual((embedded.status, embedded.json()["prompt_eval_count"]), (200, most), embedded.body)
                # What a request asks for itself is another matter.
                self.assert_refused(self.ask(server, "plain", num_ctx=4096), "plain")

    def test_bad_values_of_our_own_options(self):
        server = self.server()
        self.smol(server)
        for path, asked in (("/api/generate", {"prompt": "x"}), ("/api/generate", {}), ("/api/chat", {}), ("/api/plan", {}),
                            ("/api/chat", {"messages": [{"role": "user", "content": "x"}]}),
                            ("/api/embed", {"input": "x"}), ("/api/embed", {"input": ""}), ("/api/embeddings", {"prompt": "x"})):
            for name, values in (("kv_cache_type", ["zz", "q8_0:", 8, True]), ("max_seconds", [-1, "soon"]),
                                 ("repeat_guard", ["perhaps"])):
                for value in values:
                    answer = server.post(path, {"model": "smol", **asked, "options": {name: value}})
                    self.assertEqual(answer.status, 400, (path, name, value, answer.body))
                    self.assertIn(name, answer.json()["error"])
        self.assertEqual(self.loaded(server), set())

    def test_a_bad_value_is_a_warning(self):
        bad = {"QUIPU_MEMORY": "plenty", "QUIPU_KV_CACHE_TYPE": "zz", "OLLAMA_NUM_PARALLEL": "9999", "QUIPU_THREADS": "all",
               "QUIPU_IDLE_TRIM": "-5", "QUIPU_REQUEST_TIMEOUT": "-5"}
        server = self.server(**bad, QUIPU_LOG_FORMAT="xml")
        self.assertEqual(server.log_text().count("QUIPU_LOG_FORMAT=xml"), 1, server.log_text())
        self.smol(server)
        self.assertEqual(self.ask(server, "smol").status, 200)
        for name in bad:
            self.assertEqual(server.log_text().count(f"W invalid environment variable: {name}"), 1, server.log_text())
        settings = [one for one in server.request("GET", "/api/doctor").json()["findings"] if one["name"] == "settings"]
        for name in ("QUIPU_IDLE_TRIM", "QUIPU_REQUEST_TIMEOUT"):
            self.assertEqual([one["status"] for one in settings if name in one["remedy"]], ["warn"], settings)

    def test_an_unknown_instruction_set_is_a_warning_before_the_first_load(self):
        server = self.server(QUIPU_ISA="abacus")
        self.assertEqual(server.log_text().count("W invalid environment variable: QUIPU_ISA=abacus"), 1, server.log_text())
        self.smol(server)
        answer = self.ask(server, "smol")
        self.assertGreaterEqual(answer.status, 400, answer.body)
        self.assertIn("QUIPU_ISA=abacus", answer.json()["error"])

    def two_models(self, server):
        self.smol(server)
        server.create("other", another_model(self.folder), parameters={"num_ctx": 512, "temperature": 0})

    def test_an_idle_model_goes_for_another(self):
        server = self.server(QUIPU_MEMORY=str(plan(512)["charge"] * 3 // 2))
        self.two_models(server)
        for name in ("smol", "other", "smol"):
            self.assertEqual(self.ask(server, name).status, 200)
            self.assertEqual(self.loaded(server), {name})

    def test_a_busy_model_first_finishes(self):
        server = self.server(QUIPU_MEMORY=str(plan(512)["charge"] * 3 // 2))
        self.two_models(server)
        expected = self.ask(server, "smol", num_predict=200, repeat_guard=False).json()
        answers = []
        busy = threading.Thread(target=lambda: answers.append(self.ask(server, "smol", num_predict=200, repeat_guard=False)))
        busy.start()
        wait_for(lambda: "smol" in self.loaded(server))
        self.assertEqual(self.ask(server, "other").status, 200)
        busy.join()
        self.assertEqual(answers[0].status, 200)
        self.assertEqual(answers[0].json()["response"], expected["response"])

    def test_an_idle_model_goes_for_a_conversation_that_grows(self):
        charge = plan(512)["charge"]
        server = self.server(QUIPU_MEMORY=str(2 * charge + 2 * MIB))
        self.two_models(server)
        self.assertEqual(self.ask(server, "smol").status, 200)
        self.assertEqual(self.ask(server, "other").status, 200)
        self.assertEqual(self.loaded(server), {"smol", "other"})
        last = self.ask(server, "other", num_predict=800, num_ctx=1024, repeat_guard=False, stop=[]).json()
        self.assertIn(last["quipu"]["stop"], ("length", "eos"))
        self.assertGreater(last["eval_count"], 600, "it has to grow beyond what it was admitted with")
        self.assertEqual(self.loaded(server), {"other"})

    def test_what_an_idle_model_has_cached_goes_before_the_model(self):
        p = plan(512)
        server = self.server(QUIPU_MEMORY=str(2 * p["charge"] + 2 * MIB))
        self.two_models(server)
        self.assertEqual(self.ask(server, "other").status, 200)
        long = {"model": "smol", "prompt": "word " * 690, "raw": True, "stream": False,
                "options": {"num_ctx": 1024, "num_predict": 4, "temperature": 0}}
        first = server.post("/api/generate", long).json()
        self.assertGreater(first["prompt_eval_count"], 650)
        self.assertEqual(server.post("/api/generate", long).json()["quipu"]["cached_tokens"], first["prompt_eval_count"] - 1)
        last = self.ask(server, "other", num_predict=600, num_ctx=1024, repeat_guard=False, stop=[]).json()
        self.assertGreater(last["eval_count"], 550)
        self.assertEqual(self.loaded(server), {"smol", "other"})
        again = server.post("/api/generate", long).json()
        self.assertEqual(again["response"], first["response"])
        self.assertLess(again["quipu"]["cached_tokens"], 650, "it was given away")

    def test_two_busy_models_grow_into_it(self):
        server = self.server(QUIPU_MEMORY=str(2 * plan(512)["charge"] + 2 * MIB))
        self.two_models(server)
        options = {"num_predict": 900, "num_ctx": 1024, "repeat_guard": False, "stop": []}
        asks = [lambda name=name: self.ask(server, name, prompt=f"The story of {name}:", **options).json() for name in ("smol", "other")]
        alone = [ask() for ask in asks]
        together = at_once(*asks)
        for name, a, b in zip(("smol", "other"), alone, together):
            self.assertEqual((b["eval_count"], b["quipu"]["stop"]), (900, "length"), name)
            self.assertEqual(b["response"], a["response"], name)
        paused = re.findall(r"quipu_preemptions_total\{[^}]*\} (\d+)", server.request("GET", "/metrics").body.decode())
        self.assertGreater(sum(map(int, paused)), 0, "they cannot both have had it at once")

    def test_a_prompt_waits_for_another_models_answer(self):
        server = self.server(QUIPU_MEMORY=str(2 * plan(512)["charge"] + 2 * MIB))
        self.two_models(server)
        for name in ("smol", "other"):
            self.assertEqual(self.ask(server, name).status, 200)
        busy = []
        thread = threading.Thread(target=lambda: busy.append(self.ask(
            server, "smol", num_predict=900, num_ctx=1024, repeat_guard=False, stop=[]).json()))
        thread.start()
        wait_for(lambda: any(m.get("quipu", {}).get("memory", {}).get("kv", {}).get("in_use", 0) > 7.2 * MIB
                             for m in server.request("GET", "/api/ps").json()["models"]))
        last = self.ask(server, "other", prompt="word " * 690, num_predict=8, num_ctx=1024).json()
        thread.join()
        self.assertEqual((last["eval_count"], last["quipu"]["stop"]), (8, "length"))
        self.assertEqual((busy[0]["eval_count"], busy[0]["quipu"]["stop"]), (900, "length"))

    def test_four_clients_grow_into_it(self):
        server = self.server()
        self.smol(server)
        expected = four_clients(server, "smol", num_ctx=512)
        stop(server)
        self.assertEqual({status for status, _ in expected}, {200})
        # Two sequences and a half.
        server = self.server(QUIPU_MEMORY=str(plan(512)["charge"] + 8 * MIB // 2))
        self.assertEqual(said(four_clients(server, "smol", num_ctx=512)), said(expected))
        # Streams that wait or pause keep their connections, and go on with the same words.
        self.assertEqual(said(four_clients(server, "smol", num_ctx=512, stream=True)), said(expected))
        self.assertEqual(len(server.runners()), 1)
        # Nobody asks before it is unloaded, and what it counted is there all the same.
        server.post("/api/generate", {"model": "smol", "keep_alive": 0})
        wait_for(lambda: not server.runners())
        paused = re.search(r'quipu_preemptions_total\{model="smol:latest"\} (\d+)', server.request("GET", "/metrics").body.decode())
        self.assertGreater(int(paused[1]), 0)


class Refusal:
    """What `quipu run` says of a model that is too large, and that its advice holds. Users: run(*args) and parallel."""

    SHORT = ("--temperature", "0", "--num-predict", "4", "Say hello.")

    def budget(self, kv, num_ctx=2048, more=MIB):
        return plan(num_ctx, self.parallel, kv=kv)["charge"] + more

    def assert_refused_with_table(self, done, free, asked=2048):
        """The sentence, the table with the numbers of the plan, and the options: {"kv_cache_type": "q4_0", ...}."""
        self.assertEqual((done.returncode, done.stdout.strip()), (1, ""), done.stderr)
        lines = done.stderr.rstrip("\n").split("\n")
        planned = plan(asked, self.parallel)
        memory = planned["memory"]
        self.assertRegex(lines[0], r"\AError: (507 Insufficient Storage: )?model needs ")
        self.assertIn(f"model needs {bytes_text(planned['charge'])} (weights {bytes_text(memory['weights']['planned'])}, kv "
                      f"{bytes_text(planned['charge'] - planned['fixed'])}, ", lines[0])
        self.assertIn(f"), {bytes_text(free)} are free: ", lines[0])
        for name in ("weights", "kv", "workspace", "output", "runtime", "total"):
            row, = [line for line in lines[1:] if line.startswith(f"  {name} ")]
            # With the KV that is charged, so that the rows come to what the sentence says.
            charged = {"kv": planned["charge"] - planned["fixed"], "total": planned["charge"]}
            self.assertIn(f" {bytes_text(charged.get(name, memory[name]['planned']))} ", row + " ")
        kv = memory["kv"]
        self.assertIn(f"KV grows by {bytes_text(kv['bytes_per_token'])} a token, up to {bytes_text(kv['ceiling'])} (", done.stderr)
        if "What would fit:" not in lines:
            return lines[0], {}
        options = {}
        for line in lines[lines.index("What would fit:") + 1:]:
            change, total = re.fullmatch(r"  (\S+(?:, \S+)*) +(\S+ MiB)(?:  tight)?(?:  another file; estimated)?", line).groups()
            self.assertEqual("another file" in line, "quantization=" in line)
            self.assertLessEqual(float(total.split()[0]), free / MIB + 0.05)
            if "," not in change:
                name, value = change.split("=")
                options[name] = value
        return lines[0], options

    def check_what_fits(self, run, budget):
        sentence, options = self.assert_refused_with_table(run(*self.SHORT), budget)
        self.assertLessEqual({"kv_cache_type", "num_ctx", "quantization"}, set(options))
        self.assertEqual(options["kv_cache_type"], "q4_0")
        for name, value in options.items():
            self.assertIn(f"{name}={value}", sentence)
            if name in ("kv_cache_type", "num_ctx"):
                done = run(f"--{name.replace('_', '-')}", value, *self.SHORT)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertTrue(done.stdout.strip())

    def check_that_nothing_fits(self, run, budget):
        done = run(*self.SHORT)
        sentence, options = self.assert_refused_with_table(done, budget)
        self.assertEqual(options, {})
        least, = re.findall(r"(?m)^Nothing makes it fit: kv_cache_type=q4_0, .*num_ctx=512 would still need (\S+) MiB\.$",
                            done.stderr)
        self.assertGreater(float(least) * MIB, budget)
        enough = re.search(r"raise QUIPU_MEMORY to (\S+) MiB, or take a smaller model", sentence)[1]
        self.assertLess(float(enough) * MIB - self.budget("q8_0", more=0), MIB / 10)
        return f"{enough}MiB"

    def check_a_context(self, run):
        """The model fits, not what is asked of it."""
        done = run("--num-ctx", "8000", *self.SHORT)
        self.assertEqual((done.returncode, done.stdout.strip()), (1, ""))
        size = bytes_text(8000 * plan(8000, self.parallel)["memory"]["kv"]["bytes_per_token"])
        self.assertIn(f"8000 tokens need a KV cache of {size}, ", done.stderr)
        self.assertRegex(done.stderr, rf"(?m)^  kv +{re.escape(size)}   room for 8000 tokens$")
        fits = int(re.search(r": try num_ctx (\d+)\n", done.stderr)[1])
        self.assertGreater(fits, 512)
        self.assertEqual(run("--num-ctx", str(fits), *self.SHORT).returncode, 0)
        self.assertEqual(run("--num-ctx", str(fits + 1), *self.SHORT).returncode, 1)


class RefusalOfAFile(CliTest, Refusal):
    parallel = 1

    def under(self, budget, num_ctx=2048):
        self.environment["QUIPU_MEMORY"] = str(budget)
        if num_ctx:
            self.environment["QUIPU_CONTEXT_LENGTH"] = str(num_ctx)
        return lambda *args: self.run_cli("run", model(), *args)

    def test_the_options_that_it_names_work(self):
        budget = self.budget("q4_0")
        self.check_what_fits(self.under(budget), budget)

    def test_where_nothing_fits_it_says_so(self):
        budget = 60 * MIB
        enough = self.check_that_nothing_fits(self.under(budget), budget)
        self.assertEqual(self.under(enough)(*self.SHORT).returncode, 0)

    def test_a_context_that_is_too_long(self):
        self.check_a_context(self.under(plan(1024, 1)["charge"], num_ctx=None))


class RefusalOfAName(ServerTest, Refusal):
    parallel = 4

    def under(self, budget, **parameters):
        server = self.server(QUIPU_MEMORY=str(budget))
        server.create("smol", model(), parameters=parameters)
        environment = {**os.environ, "HOME": str(self.folder), "QUIPU_HOST": server.host}

        def run(*args):
            done = subprocess.run([program(), "run", "smol", *args], env=environment, stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=TIMEOUT, check=False)
            server.post("/api/generate", {"model": "smol", "keep_alive": 0})
            wait_for(lambda: not server.request("GET", "/api/ps").json()["models"])
            return done
        return run

    def test_the_options_that_it_names_work(self):
        budget = self.budget("q4_0")
        self.check_what_fits(self.under(budget, num_ctx=2048), budget)

    def test_where_nothing_fits_it_says_so(self):
        budget = 60 * MIB
        self.check_that_nothing_fits(self.under(budget, num_ctx=2048), budget)

    def test_a_context_that_is_too_long(self):
        self.check_a_context(self.under(plan(1024)["charge"]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
