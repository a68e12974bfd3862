"""The commands against a server of this program's own, on a store in a temporary folder; and quipu run without any server."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from cli_harness import TIMEOUT, Child, CliTest, model, program

GREEDY = ("--temperature", "0", "--num-predict", "12")
MODELFILE = """FROM {}
PARAMETER temperature 0
PARAMETER num_predict 12
PARAMETER stop "<|im_end|>"
SYSTEM You are terse.
LICENSE "A licence
of two lines."
"""
made = None  # a store with the model "smol", made once; every test works on a copy


def start_server(environment):
    child = subprocess.Popen([program(), "serve"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE, env=environment)
    deadline = time.monotonic() + TIMEOUT
    while subprocess.run([program(), "list"], env=environment, capture_output=True, check=False).returncode != 0:
        if child.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(f"the server did not start: {child.stderr.read().decode()}")
        time.sleep(0.05)
    return child


def setUpModule():
    global made
    made = pathlib.Path(tempfile.mkdtemp(prefix="qe2e-", dir="/tmp"))
    environment = {**os.environ, "HOME": str(made), "QUIPU_MODELS": str(made / "models"), "XDG_RUNTIME_DIR": str(made),
                   "QUIPU_HOST": f"unix://{made}/s"}
    (made / "Modelfile").write_text(MODELFILE.format(model()))
    server = start_server(environment)
    try:
        subprocess.run([program(), "create", "smol", "-f", str(made / "Modelfile")], env=environment, check=True,
                       capture_output=True, timeout=TIMEOUT)
    finally:
        server.terminate()
        server.wait(timeout=30)
        server.stderr.close()


def tearDownModule():
    shutil.rmtree(made, ignore_errors=True)


class StoreTest(CliTest):
    def setUp(self):
        super().setUp()
        shutil.copytree(made / "models", self.folder / "models", copy_function=os.link)

    def serve(self):
        self.sessions.append(Child(start_server(self.environment)))

    def ok(self, *args, **more):
        done = self.run_cli(*args, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout


class Commands(StoreTest):
    def test_plan_of_a_model(self):
        of_file = json.loads(self.ok("plan", model(), "--num-ctx", "512", "--json"))
        of_model = json.loads(self.ok("plan", "SMOL", "--num-ctx", "512", "--json"))  # no server is needed
        self.assertEqual(of_model["memory"], of_file["memory"])
        self.assertEqual(of_model["model"], "SMOL")
        self.assert_refused(self.run_cli("plan", "nope"), 1, "model 'nope:latest' not found")
        self.assert_refused(self.run_cli("plan", "./nope"), 1, "./nope")
        shutil.rmtree(self.folder / "models")
        self.assert_refused(self.run_cli("plan", "smol"), 1, "there is no file and no model 'smol'")
        self.assertFalse((self.folder / "models").exists())

    def test_a_model_that_can_see_answers_texts(self):
        manifests = self.folder / "models/manifests/registry.ollama.ai/library"
        manifest = json.loads((manifests / "smol/latest").read_text())
        weights = next(layer for layer in manifest["layers"] if layer["mediaType"].endswith(".model"))
        manifest["layers"].append({**weights, "mediaType": "application/vnd.ollama.image.projector"})
        (manifests / "sees").mkdir()
        (manifests / "sees/latest").write_text(json.dumps(manifest))
        picture = self.folder / "picture.png"
        picture.write_bytes(b"\x89PNG\r\n\x1a\n.")
        self.serve()
        self.assertIn("    vision        \n", self.ok("show", "sees"))
        self.assertEqual(self.ok("run", "sees", "hi"), self.ok("run", "smol", "hi"))
        done = self.run_cli("run", "sees", f"What is in {picture}?")
        self.assertEqual(done.returncode, 1)
        self.assertIn("images are not supported yet", done.stderr)

    def test_list_show_cp_rm(self):
        self.serve()
        header, line = self.ok("list").rstrip("\n").split("\n")
        self.assertRegex(header, r"^NAME           ID              SIZE +MODIFIED +$")
        self.assertRegex(line, r"^smol:latest    [0-9a-f]{12}    \d+ MB    .* ago    $")
        shown = self.ok("show", "SMOL")
        self.assertIn("    architecture        llama      \n    parameters          134.52M    \n", shown)
        self.assertIn("  Capabilities\n    completion    \n", shown)
        self.assertIn("    num_predict    12", shown)
        self.assertIn("  System\n    You are terse.    \n", shown)
        self.assertIn("FROM " + str(self.folder / "models" / "blobs"), self.ok("show", "smol", "--modelfile"))
        self.assertEqual(self.ok("show", "smol", "--system"), "You are terse.")
        self.assertIn("  Tensors\n", self.ok("show", "-v", "smol"))
        self.assertEqual(self.ok("cp", "smol", "me/copy:v1"), "copied 'smol' to 'me/copy:v1'\n")
        self.assertIn("me/copy:v1", self.ok("ls", "ME/"))
        self.assertEqual(self.ok("rm", "smol", "me/copy:v1"), "deleted 'smol'\ndeleted 'me/copy:v1'\n")
        self.assertEqual(self.ok("list"), "NAME    ID    SIZE    MODIFIED \n")
        self.assertEqual(list((self.folder / "models" / "blobs").iterdir()), [])
        self.assertEqual(self.run_cli("show", "smol").stderr, "Error: model 'smol:latest' not found\n")

    def test_run_ps_stop(self):
        self.serve()
        self.assertEqual(self.ok("ps"), "NAME    ID    SIZE    PROCESSOR    CONTEXT    UNTIL \n")
        text = self.ok("run", "smol", "Say hello.")
        self.assertTrue(text.endswith("\n\n") and len(text) > 4, text)
        header, line = self.ok("ps").rstrip("\n").split("\n")
        self.assertRegex(header, r"^NAME           ID              SIZE +PROCESSOR    CONTEXT    UNTIL +$")
        self.assertRegex(line, r"^smol:latest    [0-9a-f]{12}    \d+ MB    100% CPU     \d+ +[34] minutes from now    $")
        memory = self.ok("ps", "-v")
        for word in ("weights", "kv", "total", "unexplained"):
            self.assertRegex(memory, rf"\n  {word} ")
        self.assertEqual(self.ok("stop", "smol"), "")
        deadline = time.monotonic() + 20
        while "smol" in self.ok("ps") and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertNotIn("smol", self.ok("ps"))
        self.ok("run", "smol", "Hi", "--keepalive", "-1m")
        self.assertIn("Forever", self.ok("ps"))
        self.ok("run", "smol", "Hi", "--keepalive", "0")
        self.assertEqual(self.run_cli("stop", "nope").stderr, "Error: couldn't find model \"nope\" to stop\n")

    def test_verbose(self):
        self.serve()
        done = self.run_cli("run", "smol", "Hi", "--verbose")
        self.assertEqual(done.returncode, 0)
        for pattern in (r"^Served by unix:///", r"\ntotal duration: +\S+s\n", r"\nprompt eval count: +\d+ token", r"\neval count: +12 token",
                        r"\nkv cache: ", r"\nended by: +length\n", r"\n  total +\S+ MiB +\S+ MiB\n"):
            self.assertRegex(done.stderr, pattern)

    def test_the_same_text_from_a_file(self):
        self.serve()
        flags = ("--system", "You are terse.", *GREEDY, "Name three colours.")
        self.assertEqual(self.ok("run", "smol", *flags), self.ok("run", model(), *flags))

    def test_what_is_too_long_is_refused_with_both_numbers(self):
        self.serve()
        done = self.run_cli("run", "smol", "--num-ctx", 64, "word " * 300)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        numbers = [int(n) for n in re.findall(r"\d+", done.stderr)]
        self.assertIn(64, numbers)
        self.assertTrue(any(300 <= n < 600 for n in numbers), done.stderr)

    def test_json(self):
        self.serve()
        self.assertEqual(json.loads(self.ok("list", "--json"))["models"][0]["name"], "smol:latest")
        self.assertIn("model_info", json.loads(self.ok("show", "smol", "--json")))
        self.assertEqual(json.loads(self.ok("ps", "--json"))["models"], [])

    def test_create_from_a_model(self):
        self.serve()
        (self.folder / "Modelfile").write_text("FROM smol\nSYSTEM Be loud.\nMESSAGE user Hello\nMESSAGE assistant HELLO!\n")
        done = self.run_cli("create", "loud", cwd=self.folder)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stderr.startswith("gathering model components\nusing existing layer sha256:"), done.stderr)
        self.assertTrue(done.stderr.endswith("\nwriting manifest\nsuccess\n"), done.stderr)
        self.assertEqual(self.ok("show", "loud", "--system"), "Be loud.")

    def test_pull_and_push_say_what_is_missing(self):
        self.serve()
        for command in ("pull", "push"):
            done = self.run_cli(command, "smol")
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, r"(?m)^Error: .+\n\Z")


class Conversation(StoreTest):
    def setUp(self):
        super().setUp()
        self.serve()

    def test_save_and_load(self):
        chat = self.terminal("run", "smol")
        chat.prompt()
        self.assertIn("smol:latest", chat.line("/list"))
        self.assertGreater(len(chat.line("Say hello.").strip()), 0)
        self.assertEqual(chat.line("/set parameter top_k 7"), "Set parameter 'top_k' to '7'\n")
        self.assertEqual(chat.line("/save kept"), "Created new model 'kept'\n")
        self.assertEqual(chat.line("/save a:b:c"), "error: The model name 'a:b:c' is invalid\n")
        self.assertEqual(chat.line("/load nope"), "Loading model 'nope'\nCouldn't find model 'nope'\n")
        self.assertTrue(chat.line("/load kept").startswith("Loading model 'kept'\n>>> Say hello.\n"))
        self.assertRegex(chat.line("/show parameters"), r"  top_k +7\n")
        chat.send("\x04")
        self.assertEqual(chat.exit_code(), 0)
        again = self.terminal("run", "kept")
        self.assertIn(">>> Say hello.\n", again.prompt())
        again.send("/bye\r")
        self.assertEqual(again.exit_code(), 0)


class WithoutAServer(StoreTest):
    def test_a_model_runs_in_a_private_server(self):
        text = self.ok("run", "smol", "Say hello.")
        self.assertGreater(len(text.strip()), 0)
        self.assertEqual(self.run_cli("list").returncode, 1)  # it is gone

    def test_a_conversation(self):
        chat = self.terminal("run", "smol")
        chat.prompt()
        self.assertGreater(len(chat.line("Say hello.").strip()), 0)
        self.assertIn("smol:latest", chat.line("/list"))
        self.assertEqual(chat.line("/save kept"), "Created new model 'kept'\n")
        chat.send("/bye\r")
        self.assertEqual(chat.exit_code(), 0)
        self.assertTrue(list((self.folder / "models" / "manifests").rglob("kept/latest")))

    def test_an_unknown_model(self):
        done = self.run_cli("run", "nope", "Hi")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertRegex(done.stderr, r"(?m)^Error: .+\n\Z")


if __name__ == "__main__":
    unittest.main()
