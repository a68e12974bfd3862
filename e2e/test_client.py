"""The commands against a scripted server: what they ask, what they print, how they end."""
import hashlib
import os
import signal
import subprocess
import time
import unittest

from cli_harness import CliTest
from fake_ollama import SHOWN, FakeOllama

NOBODY = "Error: could not connect to ollama server, run 'quipu serve' to start it\n"
PNG = b"\x89PNG\r\n\x1a\n."


class ClientTest(CliTest):
    def setUp(self):
        super().setUp()
        self.fake = FakeOllama()
        self.addCleanup(self.fake.close)
        self.environment["OLLAMA_HOST"] = self.fake.host
        del self.environment["QUIPU_HOST"]

    def ok(self, *args, **more):
        """Success with nothing on standard error; what is on standard output."""
        done = self.run_cli(*args, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def without_server(self):
        self.environment["OLLAMA_HOST"] = "127.0.0.1:1"


class General(ClientTest):
    def test_greeting(self):
        self.ok("list")
        self.assertEqual([r[:2] for r in self.fake.requests],
                         [("HEAD", "/"), ("GET", "/api/version"), ("GET", "/api/tags")])

    def test_nobody_listens(self):
        self.without_server()
        for args in (("list",), ("ps",), ("show", "m"), ("cp", "a", "b"), ("rm", "a"), ("stop", "a"), ("pull", "a"),
                     ("push", "a")):
            done = self.run_cli(*args)
            self.assertEqual((done.returncode, done.stdout, done.stderr), (1, "", NOBODY), args)

    def test_hosts(self):
        for host in (self.fake.host, "http://" + self.fake.host, f' "{self.fake.host}" ', "http://" + self.fake.host + "/"):
            self.environment["OLLAMA_HOST"] = host
            self.ok("list")
        self.environment["OLLAMA_HOST"] = "127.0.0.1:1"
        self.environment["QUIPU_HOST"] = self.fake.host  # ours wins
        self.ok("list")
        self.environment["QUIPU_HOST"] = "https://localhost:8443/x"
        done = self.run_cli("list")
        self.assert_refused(done, 1, "https://localhost:8443/x", "https is not supported")
        self.environment["QUIPU_HOST"] = "no-such-host.invalid"
        self.assert_refused(self.run_cli("list"), 1, "no-such-host.invalid")
        self.environment["QUIPU_HOST"] = f"unix://{self.folder}/no-such.sock"
        self.assertEqual(self.run_cli("list").stderr, NOBODY)

    def test_a_path_goes_in_front(self):
        self.environment["OLLAMA_HOST"] = f"http://{self.fake.host}/base"
        self.fake.answers = {("HEAD", "/base/"): (200, ""), ("GET", "/base/api/version"): (200, self.fake.version),
                             ("GET", "/base/api/tags"): (200, {"models": []})}
        self.ok("list")

    def test_a_server_of_another_version(self):
        self.fake.version = {"version": "0.32.15", "quipu": {"version": "9.9.9", "api": 1}}
        warning = ("Warning: client version is 0.1.0, server is 9.9.9: restart the server (systemctl restart quipu) or update "
                   "the client\n")
        for args in (("list",), ("--version",)):
            done = self.run_cli(*args)
            self.assertEqual((done.returncode, done.stderr), (0, warning))
        self.fake.version["quipu"]["version"] = "0.1.0"
        self.ok("list")

    def test_version(self):
        ours = "quipu version is 0.1.0 (Ollama API 0.32.15)\n"
        for args in (("--version",), ("-v",), ("version",)):
            self.assertEqual(self.ok(*args), ours + "ollama version is 0.32.15\n")
        self.fake.version["quipu"] = {"version": "0.1.0"}
        self.assertEqual(self.ok("version"), ours)
        self.without_server()
        done = self.run_cli("-v")
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (0, ours, "Warning: could not connect to a running Ollama instance\n"))

    def test_accounts_are_refused_politely(self):
        for command in ("signin", "signout", "launch", "login", "logout"):
            self.assert_refused(self.run_cli(command, "x", "--y"), 1, command)

    def test_wrong_usage(self):
        for args, text in ((("show",), "accepts 1 arg(s), received 0"), (("rm",), "requires at least 1 arg(s), only received 0"),
                           (("cp", "a"), "accepts 2 arg(s), received 1"), (("pull", "a", "--bogus"), "unknown flag: --bogus"),
                           (("completion", "tcsh"), "tcsh"), (("bogus",), 'unknown command "bogus" for "quipu"')):
            self.assert_refused(self.run_cli(*args), 2, text)
        self.assertEqual(self.fake.requests, [])

    def test_errors_are_the_servers_words(self):
        self.fake.answers[("GET", "/api/tags")] = (500, {"error": "disk is gone"})
        self.assertEqual(self.run_cli("list").stderr, "Error: disk is gone\n")
        self.fake.answers[("GET", "/api/tags")] = (200, "<html>")
        self.assert_refused(self.run_cli("list"), 1, "not JSON")
        self.fake.answers[("HEAD", "/")] = (403, "")
        self.assert_refused(self.run_cli("list"), 1, "403 Forbidden")

    def test_no_output_is_an_error(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([os.environ["QUIPU_PROGRAM"], "list"], stdout=full, stderr=subprocess.PIPE,
                                  env=self.environment, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr.decode(), r"\AError: cannot write")

    def test_interrupt(self):
        self.fake.streams["/api/pull"] = [{"status": "pulling manifest"}] * 1000
        self.fake.delay = 0.05
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            child = self.start_cli("pull", "m")
            child.stderr.readline()
            child.send_signal(number)
            self.assertEqual(child.wait(timeout=10), code)
            self.assertEqual(child.stderr.read(), b"")

    def test_completions_and_manual_pages(self):
        for shell in ("bash", "zsh", "fish"):
            self.assertIn("perplexity", self.ok("completion", shell))
        names = self.ok("man").split()
        self.assertIn("quipu-run", names)
        for name in names:
            page = self.ok("man", name)
            self.assertTrue(page.startswith(".TH "), name)
        self.assertIn("\\-\\-temperature", self.ok("man", "run"))


class Tables(ClientTest):
    def test_list(self):
        self.assertEqual(self.ok("list"), "NAME    ID    SIZE    MODIFIED \n")
        now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 50))
        self.fake.tags = {"models": [
            {"name": "smol:latest", "digest": "4109e3b4edca" + "0" * 52, "size": 98362432, "modified_at": now + "Z"},
            {"name": "Big:q4", "digest": "ffffffffffff" + "0" * 52, "size": 9600000000, "modified_at": "2000-01-01T00:00:00+01:00"}]}
        lines = self.ok("ls").split("\n")
        self.assertEqual(lines[0], "NAME           ID              SIZE      MODIFIED" + " " * (len(lines[1]) - 4 - 41 - 8) + " ")
        self.assertRegex(lines[1], r"^smol:latest    4109e3b4edca    98 MB     \d+ seconds from now    $")
        self.assertRegex(lines[2], r"^Big:q4         ffffffffffff    9\.6 GB    \d\d years ago +    $")
        self.assertIn("Big:q4", self.ok("list", "BIG"))
        self.assertNotIn("smol", self.ok("list", "b"))
        self.assertEqual(self.ok("list", "--json").count("\n"), 1)

    def test_ps(self):
        self.assertEqual(self.ok("ps"), "NAME    ID    SIZE    PROCESSOR    CONTEXT    UNTIL \n")
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4.5 * 60))
        self.fake.ps = {"models": [{"name": "smol:latest", "digest": "4109e3b4edca" + "0" * 52, "size": 223063572, "size_vram": 0,
                                    "context_length": 1024, "expires_at": until,
                                    "quipu": {"memory": {"kv": {"planned": 1024, "measured": 1024}}}}]}
        table = ("NAME           ID              SIZE      PROCESSOR    CONTEXT    UNTIL              \n"
                 "smol:latest    4109e3b4edca    223 MB    100% CPU     1024       4 minutes from now    \n")
        self.assertEqual(self.ok("ps"), table)
        self.assertEqual(self.ok("ps", "smol"), table)
        self.assertNotIn("smol", self.ok("ps", "SMOL"))
        self.assertIn("\nsmol:latest\nmemory ", self.ok("ps", "-v"))

    def test_show(self):
        self.assertEqual(self.ok("show", "smol"),
                         "  Model\n    architecture        llama      \n    parameters          134.52M    \n"
                         "    context length      8192       \n    embedding length    576        \n"
                         "    quantization        Q4_1       \n\n  Capabilities\n    completion    \n\n"
                         "  Parameters\n    temperature    0.5    \n\n  System\n    Be brief.    \n\n  License\n    MIT    \n\n")
        for flag, text in (("--license", "MIT\n\n"), ("--modelfile", "# Modelfile\nFROM smol\n\n"), ("--system", "Be brief."),
                           ("--parameters", "temperature                    0.5\n"), ("--template", "{{ .Prompt }}")):
            self.assertEqual(self.ok("show", "smol", flag), text)
        self.assertIn("  Metadata\n", self.ok("show", "-v", "smol"))
        self.assertTrue(self.fake.asked()[-1][2]["verbose"])
        done = self.run_cli("show", "smol", "--license", "--system")
        self.assertEqual(done.stderr, "Error: only one of '--license', '--modelfile', '--parameters', '--system', or "
                                      "'--template' can be specified\n")
        self.assertEqual(done.returncode, 2)
        done = self.run_cli("show", "nope")
        self.assertEqual((done.returncode, done.stderr), (1, "Error: model 'nope:latest' not found\n"))


class Changes(ClientTest):
    def test_cp(self):
        self.assertEqual(self.ok("cp", "smol", "x"), "copied 'smol' to 'x'\n")
        self.assertEqual(self.fake.asked()[-1], ("POST", "/api/copy", {"source": "smol", "destination": "x"}))
        self.assertEqual(self.run_cli("cp", "nope", "x").stderr, 'Error: model "nope" not found\n')

    def test_rm_stops_at_the_first_failure(self):
        self.fake.models["b"] = self.fake.models["c"] = SHOWN
        done = self.run_cli("rm", "smol", "nope", "b")
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (1, "deleted 'smol'\n", "Error: model 'nope' not found\n"))
        self.assertEqual(set(self.fake.models), {"b", "c"})
        unload = {"model": "smol", "prompt": "", "keep_alive": 0}
        self.assertEqual(self.fake.asked()[:2], [("POST", "/api/generate", unload), ("DELETE", "/api/delete", {"model": "smol"})])

    def test_stop(self):
        self.assertEqual(self.ok("stop", "smol"), "")
        self.assertEqual(self.fake.bodies("/api/generate"), [{"model": "smol", "prompt": "", "keep_alive": 0}])
        self.assertEqual(self.run_cli("stop", "nope").stderr, "Error: couldn't find model \"nope\" to stop\n")

    def test_pull(self):
        layer = {"status": "pulling 941f309b54ca", "digest": "sha256:941f309b54ca00", "total": 98362432}
        self.fake.streams["/api/pull"] = [{"status": "pulling manifest"}, layer, {**layer, "completed": 41194241},
                                          {**layer, "completed": 98362432}, {"status": "success"}]
        done = self.run_cli("pull", "m", "--insecure")
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        self.assertEqual(done.stderr, "pulling manifest\npulling 941f309b54ca: 98 MB\nsuccess\n")
        self.assertEqual(self.fake.bodies("/api/pull"), [{"model": "m", "insecure": True}])

    def test_pull_that_fails(self):
        done = self.run_cli("pull", "m")
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.endswith("\nError: pull model manifest: file does not exist\n"), done.stderr)
        self.fake.answers[("POST", "/api/pull")] = (400, {"error": "invalid model name"})
        self.assertEqual(self.run_cli("pull", "m").stderr, "Error: 400 Bad Request: invalid model name\n")

    def test_push(self):
        self.fake.streams["/api/push"] = [{"status": "retrieving manifest"}, {"status": "success"}]
        done = self.run_cli("push", "me/new:v1")
        self.assertEqual((done.returncode, done.stdout),
                         (0, "\nYou can find your model at:\n\n\thttps://ollama.com/me/new:v1\n"))
        self.assertIn("me.example/ns/m", self.run_cli("push", "me.example/ns/m").stdout)

    def test_progress_on_a_terminal(self):
        layer = {"status": "pulling 941f309b54ca", "digest": "sha256:941f309b54ca00", "total": 98362432}
        self.fake.streams["/api/pull"] = ([{"status": "pulling manifest"}] * 4 +
                                          [{**layer, "completed": 98362432 * i // 8} for i in range(1, 9)] + [{"status": "success"}])
        self.fake.delay = 0.06
        terminal = self.terminal("pull", "m", columns=90)
        self.assertEqual(terminal.exit_code(), 0)
        self.assertRegex(terminal.screen, "pulling manifest [⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] ")
        self.assertRegex(terminal.screen, r"pulling 941f309b54ca: +\d+% ▕█+ *▏ +\d+ MB/ 98 MB")
        last = terminal.screen.rsplit("\x1b[J", 1)[1]
        self.assertRegex(last, r"^pulling manifest \r\npulling 941f309b54ca: 100% ▕█+▏  98 MB +\r\nsuccess \r\n$")


class Create(ClientTest):
    def setUp(self):
        super().setUp()
        self.work = self.folder / "work"
        self.work.mkdir()

    def create(self, *args, **more):
        return self.run_cli("create", *args, cwd=self.work, **more)

    def test_files_are_uploaded_once(self):
        gguf = b"GGUF" + bytes(100_000)
        (self.work / "m.gguf").write_bytes(gguf)
        (self.work / "Modelfile").write_text('FROM ./m.gguf\nPARAMETER stop a\nPARAMETER stop b\nPARAMETER top_k 5\n'
                                             'SYSTEM """Be\nnice."""\nMESSAGE user hi\nLICENSE MIT\nPARAMETER mirostat 1\n')
        digest = "sha256:" + hashlib.sha256(gguf).hexdigest()
        done = self.create("mine", "-q", "q8_0")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        self.assertEqual(done.stderr, "gathering model components\nwarning: parameter mirostat is deprecated\n"
                                      f"copying file {digest}\nparsing GGUF\nwriting manifest\nsuccess\n")
        asked = self.fake.asked()
        self.assertEqual([r[:2] for r in asked],
                         [("HEAD", "/api/blobs/" + digest), ("POST", "/api/blobs/" + digest), ("POST", "/api/create")])
        self.assertEqual(asked[1][2], gguf)
        self.assertEqual(asked[2][2], {
            "model": "mine", "files": {"m.gguf": digest}, "license": ["MIT"], "system": "Be\nnice.",
            "parameters": {"stop": ["a", "b"], "top_k": 5}, "messages": [{"role": "user", "content": "hi"}], "quantize": "q8_0"})
        self.fake.requests.clear()
        self.assertEqual(self.create("mine").returncode, 0)
        self.assertEqual([r[0] for r in self.fake.asked()], ["HEAD", "POST"])

    def test_from_a_model(self):
        (self.folder / "other").mkdir()
        (self.folder / "other" / "My.modelfile").write_text("FROM smol\nPARAMETER temperature 0.25\n")
        self.assertEqual(self.create("x", "-f", "../other/My.modelfile").returncode, 0)
        self.assertEqual(self.fake.bodies("/api/create")[0], {"model": "x", "from": "smol", "parameters": {"temperature": 0.25}})
        self.assertEqual(self.create("x", "--file", "-", stdin=b"FROM smol\n").returncode, 0)

    def test_paths_are_relative_to_the_modelfile(self):
        (self.folder / "other").mkdir()
        (self.folder / "other" / "a.gguf").write_bytes(b"GGUF")
        (self.folder / "other" / "Modelfile").write_text("FROM ./a.gguf\n")
        self.assertEqual(self.create("x", "-f", self.folder / "other" / "Modelfile").returncode, 0)
        self.assertEqual(list(self.fake.bodies("/api/create")[0]["files"]), ["a.gguf"])

    def test_errors(self):
        def error(text, *args):
            if text is not None:
                (self.work / "Modelfile").write_text(text)
            done = self.create("x", *args)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            return done.stderr.split("\n")[-2]
        self.assertEqual(error(None), "Error: no Modelfile or safetensors files found")
        self.assertEqual(error(None, "-f", "missing"), "Error: no Modelfile or safetensors files found")
        self.assertTrue(error("FROM smol\nBOGUS x\n").startswith("Error: (line 2): command must be one of "))
        self.assertEqual(error("SYSTEM x\n"), "Error: no FROM line")
        self.assertEqual(error('FROM smol\nSYSTEM """x\n'), "Error: unexpected EOF")
        self.assertEqual(error("FROM smol\nPARAMETER foo 1\n"), "Error: unknown parameter 'foo'")
        self.assertEqual(error("FROM smol\nPARAMETER top_k abc\n"), "Error: invalid int value [abc]")
        (self.work / "a.gguf").write_bytes(b"GGUF" + bytes(100))
        self.assertEqual(error(None, "-f", "missing"), "Error: there is no Modelfile 'missing'")
        self.fake.answers[("POST", "/api/create")] = (400, {"error": "neither 'from' or 'files' was specified"})
        self.assertEqual(error("FROM smol\n"), "Error: 400 Bad Request: neither 'from' or 'files' was specified")
        done = self.create("bad name")
        self.assertEqual((done.returncode, done.stderr), (1, "Error: invalid model name: bad name\n"))

    def test_an_upload_that_is_refused(self):
        (self.work / "m.gguf").write_bytes(b"GGUF" + bytes(5_000_000))
        (self.work / "Modelfile").write_text("FROM ./m.gguf\n")
        self.fake.blob = lambda h: self.fake.whole(h, 404 if h.command == "HEAD" else 400, {"error": "digest mismatch"})
        done = self.create("x")
        self.assertEqual((done.returncode, done.stderr.split("\n")[-2]), (1, "Error: digest mismatch"))


class Run(ClientTest):
    def test_prompts(self):
        self.assertEqual(self.ok("run", "smol", "say", "hi"), "Hello world\n\n")
        self.assertEqual(self.ok("run", "smol", stdin=b"from a pipe"), "Hello world\n\n")
        self.assertEqual(self.ok("run", "smol", "arg", stdin=b"text\n"), "Hello world\n\n")
        self.assertEqual([b["prompt"] for b in self.fake.bodies("/api/generate")], ["say hi", "from a pipe", "text\n arg"])
        self.assertEqual(self.fake.bodies("/api/generate")[0], {"model": "smol", "prompt": "say hi"})

    def test_an_empty_prompt_loads(self):
        self.fake.streams["/api/generate"] = [{"model": "smol", "response": "", "done": True, "done_reason": "load"}]
        for args in (("run", "smol"), ("run", "smol", ""), ("run", "smol", "--keepalive", "10m", "")):
            self.assertEqual(self.ok(*args), "")
        self.assertEqual(self.fake.bodies("/api/generate"),
                         [{"model": "smol"}, {"model": "smol"}, {"model": "smol", "keep_alive": "10m0s"}])
        terminal = self.terminal("run", "smol", "")
        self.assertEqual(terminal.exit_code(), 0)
        self.assertNotIn(">>>", terminal.screen)
        self.assertEqual(self.fake.bodies("/api/generate")[3:], [{"model": "smol"}])

    def test_flags_become_fields(self):
        self.ok("run", "smol", "x", "--system", "S", "--template", "{{ .Prompt }}", "--format", "json", "--keepalive", "90s",
                "--num-ctx", "512", "--temperature", "0", "--stop", "a", "--stop", "b", "--seed", "7", "--kv-cache-type", "f16",
                "--no-repeat-guard")
        self.assertEqual(self.fake.bodies("/api/generate")[-1], {
            "model": "smol", "prompt": "x", "system": "S", "template": "{{ .Prompt }}", "format": "json", "keep_alive": "1m30s",
            "options": {"num_ctx": 512, "temperature": 0.0, "stop": ["a", "b"], "seed": 7, "kv_cache_type": "f16",
                        "repeat_guard": False}})
        self.ok("run", "smol", "x", "--raw", "--keepalive", "-1m", "--format", '{"type":"object"}')
        self.assertEqual(self.fake.bodies("/api/generate")[-1],
                         {"model": "smol", "prompt": "x", "raw": True, "keep_alive": -1, "format": {"type": "object"}})

    def test_a_prompt_is_never_cut_by_ours(self):
        self.fake.version["quipu"] = {"version": "0.1.0"}
        self.ok("run", "smol", "x")
        self.assertEqual(self.fake.bodies("/api/generate")[-1], {"model": "smol", "prompt": "x", "truncate": False})

    def test_thinking(self):
        self.fake.models["smol"]["capabilities"] = ["completion", "thinking"]
        self.fake.thinking = ["Let me", " think"]
        self.assertEqual(self.ok("run", "smol", "x"), "Thinking...\nLet me think\n...done thinking.\n\nHello world\n\n")
        self.assertIs(self.fake.bodies("/api/generate")[-1]["think"], True)  # on unless it is said otherwise
        self.assertEqual(self.ok("run", "smol", "x", "--hidethinking", "--think=high"), "Hello world\n\n")
        self.assertEqual(self.fake.bodies("/api/generate")[-1]["think"], "high")
        self.ok("run", "smol", "x", "--think=false")
        self.assertIs(self.fake.bodies("/api/generate")[-1]["think"], False)
        done = self.run_cli("run", "smol", "x", "--think=ultra")
        self.assertEqual(done.returncode, 2)
        self.assertIn('invalid value for --think: "ultra" (must be true, false, high, medium, low, or max)', done.stderr)

    def test_verbose(self):
        self.fake.version["quipu"] = {"version": "0.1.0"}
        self.fake.final = {"quipu": {"cached_tokens": 4, "kv_bytes": 2097152, "stop": "eos"}}
        self.fake.ps = {"models": [{"name": "smol:latest", "quipu": {"memory": {"kv": {"planned": 1024, "measured": 1024}}}}]}
        done = self.run_cli("run", "smol", "x", "--verbose")
        self.assertEqual((done.returncode, done.stdout), (0, "Hello world\n\n"))
        self.assertEqual(done.stderr,
                         f"Served by http://{self.fake.host}\n"
                         "total duration:       43.18ms\nload duration:        1ms\nprompt eval count:    9 token(s)\n"
                         "prompt cached:        4 token(s)\nprompt eval duration: 12.5ms\nprompt eval rate:     400.00 tokens/s\n"
                         "eval count:           3 token(s)\neval duration:        30ms\neval rate:            100.00 tokens/s\n"
                         "kv cache:             2.0 MiB\nended by:             eos\n"
                         "memory             planned    measured\n  kv               1.0 KiB     1.0 KiB\n")

    def test_verbose_names_an_ollama(self):
        done = self.run_cli("run", "smol", "x", "--verbose")
        self.assertTrue(done.stderr.startswith(f"Served by http://{self.fake.host}, an Ollama, version 0.32.15\n"), done.stderr)
        self.assertIn("prompt eval rate:     720.00 tokens/s\n", done.stderr)
        self.assertNotIn("memory", done.stderr)

    def test_how_it_ended_is_said(self):
        self.fake.ps = {"models": [{"name": "smol:latest", "context_length": 512}]}
        for stop, text in (("context", "The context of 512 tokens is full"), ("repetition", "only repeated itself"),
                           ("memory", "no memory left"), ("time", "time limit")):
            self.fake.final = {"quipu": {"stop": stop}}
            done = self.run_cli("run", "smol", "x")
            self.assertEqual((done.returncode, done.stdout), (0, "Hello world\n\n"))
            self.assertIn(text, done.stderr)

    def test_embeddings(self):
        self.fake.models["emb"] = {**SHOWN, "capabilities": ["embedding"]}
        self.assertEqual(self.ok("run", "emb", "some text"), "[0.25,-1.5e-7,1]\n")
        self.assertEqual(self.fake.bodies("/api/embed"), [{"model": "emb", "input": "some text"}])
        self.ok("run", "emb", "--truncate=false", "--dimensions", "16", "--keepalive", "0", stdin=b"piped")
        self.assertEqual(self.fake.bodies("/api/embed")[1],
                         {"model": "emb", "input": "piped", "truncate": False, "dimensions": 16, "keep_alive": "0s"})
        self.assert_refused(self.run_cli("run", "emb"), 2, "embedding models require input text")

    def test_images(self):
        picture = self.folder / "my cat.png"
        picture.write_bytes(PNG)
        done = self.run_cli("run", "smol", f"what is {picture} ?")
        self.assert_refused(done, 1, '"smol" does not support vision', picture)
        self.assertEqual(self.ok("run", "smol", "explain", stdin=f"open {picture}".encode()), "Hello world\n\n")
        self.fake.models["smol"]["capabilities"] = ["completion", "vision"]
        done = self.run_cli("run", "smol", f"what is {picture} ? and {self.folder}/none.png")
        self.assertEqual((done.returncode, done.stderr), (0, f"Added image '{picture}'\n"))
        self.assertEqual(self.fake.bodies("/api/generate")[-1],
                         {"model": "smol", "prompt": f"what is  ? and {self.folder}/none.png", "images": ["iVBORw0KGgou"]})
        picture.write_bytes(b"no picture")
        self.assert_refused(self.run_cli("run", "smol", f"what is {picture}"), 1, "invalid file type")

    def test_a_missing_model_is_pulled(self):
        def pull(h, body):
            self.fake.models["new"] = SHOWN
            self.fake.stream(h, [{"status": "pulling manifest"}, {"status": "success"}])
        self.fake.post_api_pull = pull
        done = self.run_cli("run", "new", "x", "--insecure")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "Hello world\n\n", "pulling manifest\nsuccess\n"))
        self.assertEqual(self.fake.bodies("/api/pull"), [{"model": "new", "insecure": True}])
        del self.fake.post_api_pull, self.fake.models["new"]
        done = self.run_cli("run", "new", "x")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("Error: pull model manifest: file does not exist\n", done.stderr)

    def test_a_folder_called_like_the_model(self):
        (self.folder / "smol").mkdir()
        self.assertEqual(self.ok("run", "smol", "x", cwd=self.folder), "Hello world\n\n")
        (self.folder / "smol").rmdir()
        (self.folder / "smol").write_text("notes")
        self.assertEqual(self.ok("run", "smol", "x", cwd=self.folder), "Hello world\n\n")

    def test_refusals(self):
        self.fake.answers[("POST", "/api/generate")] = (400, {"error": '"smol" does not support thinking'})
        done = self.run_cli("run", "smol", "x", "--think")
        self.assertEqual((done.returncode, done.stderr), (1, 'Error: 400 Bad Request: "smol" does not support thinking\n'))
        self.fake.answers[("POST", "/api/generate")] = (507, {
            "error": "model needs 2.6 GB", "quipu": {"plan": {}, "table": "weights   2.4 GB\nfree      1.9 GB\n"}})
        done = self.run_cli("run", "smol", "x")
        self.assertEqual((done.returncode, done.stderr),
                         (1, "Error: 507 Insufficient Storage: model needs 2.6 GB\nweights   2.4 GB\nfree      1.9 GB\n"))
        self.assert_refused(self.run_cli("run", "smol", "x", "--num-ctx", "10000"), 2, "10000", "8192")

    def test_streams_that_go_wrong(self):
        self.fake.streams["/api/generate"] = [{"response": "half", "done": False}, {"error": "it broke"}]
        done = self.run_cli("run", "smol", "x")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (1, "half\n\n", "Error: it broke\n"))
        self.fake.streams.clear()
        self.fake.cut = 1
        done = self.run_cli("run", "smol", "x")
        self.assertEqual((done.returncode, done.stdout), (1, "Hello\n\n"))
        self.assertRegex(done.stderr, r"\AError: [^\n]+\n\Z")
        self.fake.cut = None
        self.fake.streams["/api/generate"] = [{"response": "over and over", "done": False}]  # Ollama's guard against repetition
        self.assertEqual(self.ok("run", "smol", "x"), "over and over\n\n")

    def test_text_comes_as_it_is_made(self):
        self.fake.delay = 0.3
        self.fake.pieces = ["one ", "two ", "three"]
        child = self.start_cli("run", "smol", "x")
        self.assertEqual(child.stdout.read(4), b"one ")
        self.assertIsNone(child.poll())
        self.assertEqual(child.stdout.read(), b"two three\n\n")

    def test_signals(self):
        self.fake.delay = 0.05
        self.fake.pieces = ["x "] * 1000
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            child = self.start_cli("run", "smol", "x")
            child.stdout.read(4)
            child.send_signal(number)
            self.assertEqual(child.wait(timeout=10), code)
            self.assertEqual(child.stderr.read(), b"")
        child = self.start_cli("run", "smol", "x")
        child.stdout.read(4)
        child.stdout.close()
        self.assertEqual(child.wait(timeout=10), 141)

    def test_a_server_elsewhere_is_not_replaced(self):
        self.environment["OLLAMA_HOST"] = "192.0.2.1:1"  # nobody has this address
        child = self.start_cli("run", "smol", "x")
        time.sleep(0.5)
        self.assertEqual(self.runners(), [])
        child.kill()


if __name__ == "__main__":
    unittest.main()
