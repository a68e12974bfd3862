"""quipu run without a terminal: prompts, pipes, flags, refusals, signals."""
import os
import re
import signal
import subprocess
import time
import unittest

from cli_harness import ROOT, CliTest, model, program

# Greedy and short: fast, and the same on every machine.
SHORT = ("--temperature", "0", "--num-predict", "12")
COMMANDS = ("serve", "run", "ps", "stop", "list", "show", "create", "cp", "rm", "pull", "push", "plan", "fit", "doctor", "bench", "tokenize",
            "logits", "perplexity", "version", "completion")
# An answer that goes on until something stops it.
ENDLESS = ("--raw", "--temperature", "0", "--no-repeat-guard", "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,")


class General(CliTest):
    def test_version(self):
        for flag in ("--version", "-v"):
            done = self.run_cli(flag)
            self.assertEqual((done.returncode, done.stdout), (0, "quipu version is 0.1.0 (Ollama API 0.32.15)\n"))

    def test_help_names_every_command(self):
        for args in ((), ("--help",), ("-h",), ("help",)):
            done = self.run_cli(*args)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for command in COMMANDS:
                self.assertRegex(done.stdout, rf"(?m)^  {command} ")

    def test_every_command_has_help(self):
        for command in COMMANDS:
            for args in ((command, "--help"), ("help", command)):
                done = self.run_cli(*args)
                self.assertEqual((done.returncode, done.stderr), (0, ""), args)
                self.assertIn(f"quipu {command}", done.stdout, args)
                self.assertIn("--help", done.stdout, args)

    def test_commands_with_a_parser_of_their_own_have_the_flags_of_the_table(self):
        for command in ("plan", "fit", "doctor", "bench", "tokenize", "logits", "perplexity"):
            own = set(re.findall(r"--[a-z][a-z-]+", self.run_cli(command, "--help").stdout))
            table = set(re.findall(r"--[a-z][a-z-]+", self.run_cli("man", command).stdout.replace("\\-", "-")))
            self.assertEqual(own, table, command)

    def test_unknown_commands_and_flags(self):
        self.assert_refused(self.run_cli("bogus"), 2, 'unknown command "bogus" for "quipu"')
        self.assert_refused(self.run_cli("--bogus"), 2, "--bogus")
        self.assert_refused(self.run_cli("run"), 2, "requires at least 1 arg(s), only received 0")


class BadInput(CliTest):
    def test_bad_flags(self):
        cases = [
            (("--bogus",), "--bogus"), (("-x",), "-x"), (("--seed", "abc"), "--seed takes a whole number, not 'abc'"),
            (("--num-ctx", "0"), "--num-ctx must be at least 4"), (("--temperature", "-1"), "--temperature must be"),
            (("--temperature", "nan"), "--temperature takes a number"), (("--top-p", "1.5"), "--top-p must be"),
            (("--min-p", "-0.1"), "--min-p must be"), (("--repeat-penalty", "0"), "--repeat-penalty must be"),
            (("--num-thread", "5000"), "--num-thread must be"), (("--max-seconds", "-1"), "--max-seconds must be"),
            (("--keepalive", "5"), 'missing unit in duration "5"'), (("--think=ultra",), "invalid value for --think"),
            (("--verbose=perhaps",), "--verbose"), (("--stop", ""), "--stop must not be empty"),
        ]
        for flags, part in cases:
            with self.subTest(flags=flags):
                self.assert_refused(self.run_cli("run", "no-such.gguf", *flags, "Hi"), 2, part)
        self.assert_refused(self.run_cli("run", "no-such.gguf", "Hi", "--seed"), 2, "--seed needs a value")

    def test_missing_files(self):
        self.assert_refused(self.run_cli("run", "no-such.gguf", "Hi"), 1, "there is no file 'no-such.gguf'")
        self.assert_refused(self.run_cli("run", "./no/such", "Hi"), 1, "there is no file './no/such'")
        self.assert_refused(self.run_cli("run", self.folder, "Hi"), 1, "is a folder")
        self.assert_refused(self.run_cli("run", "x.gguf", "--template", "@no-such", "Hi"), 1, "no-such")

    def test_files_that_are_no_models(self):
        self.assert_refused(self.run_cli("run", ROOT / "README.md", "Hi"), 1, "README.md")
        empty = self.folder / "empty.gguf"
        empty.touch()
        self.assert_refused(self.run_cli("run", empty, "Hi"), 1, "empty.gguf")
        cut = self.folder / "cut.gguf"
        with open(model(), "rb") as file:
            cut.write_bytes(file.read(30_000_000))
        self.assert_refused(self.run_cli("run", cut, "Hi"), 1)
        cut.write_bytes(cut.read_bytes()[:5000])
        self.assert_refused(self.run_cli("run", cut, "Hi"), 1)

    def test_a_file_that_may_not_be_read(self):
        if os.geteuid() == 0:
            self.skipTest("root may read everything")
        hidden = self.folder / "hidden.gguf"
        hidden.touch(mode=0)
        self.assert_refused(self.run_cli("run", hidden, "Hi"), 1, "hidden.gguf")

    def test_no_prompt(self):
        self.assert_refused(self.run_cli("run", model()), 2, "there is no prompt")

    def test_what_is_not_there_yet_is_refused(self):
        self.assert_refused(self.run_cli("run", model(), "--format", "json", "Hi"), 1, "format")
        self.assert_refused(self.run_cli("run", model(), "--think", "Hi"), 1, "does not support thinking")
        self.assertNotEqual(self.run_cli("run", model(), "--kv-cache-type", "bogus", "Hi").returncode, 0)

    def test_types_of_the_cache(self):
        command = ("run", model(), "--temperature", "0", "--num-predict", "20", "--raw", "The capital of France is")
        said = {t: self.run_cli(*command, "--kv-cache-type", t) for t in ("f32", "f16", "bf16", "q8_0", "q8_0:q4_0")}
        for kind, done in said.items():
            self.assertEqual(done.returncode, 0, (kind, done.stderr))
            self.assertIn("Paris", done.stdout, kind)

    def test_a_prompt_that_is_too_long(self):
        done = self.run_cli("run", model(), "--num-ctx", 64, "word " * 300)
        self.assert_refused(done, 1, "64")
        numbers = [int(n) for n in re.findall(r"\d+", done.stderr)]
        self.assertTrue(any(n >= 300 for n in numbers), done.stderr)

    def test_a_context_longer_than_the_model_was_trained_for(self):
        self.assert_refused(self.run_cli("run", model(), "--num-ctx", 1_000_000, "Hi"), 2, "1000000", "trained")


class OneAnswer(CliTest):
    def test_a_setting_that_makes_no_sense_is_told(self):
        self.environment.update(QUIPU_MEMORY="plenty", QUIPU_KV_CACHE_TYPE="zz")
        done = self.run_cli("run", model(), "--num-predict", "2", "Hi")
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout.strip())
        lines = sorted(done.stderr.splitlines())
        self.assertEqual(len(lines), 2, done.stderr)
        self.assertRegex(lines[0], r"\AWarning: QUIPU_KV_CACHE_TYPE.*; using the default\Z")
        self.assertRegex(lines[1], r"\AWarning: QUIPU_MEMORY.*; using the default\Z")

    def answer(self, *args, **more):
        done = self.run_cli("run", model(), *args, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertTrue(done.stdout.endswith("\n\n"), done.stdout)
        return done.stdout[:-2]

    def test_one_prompt(self):
        text = self.answer("--temperature", "0", "--num-predict", "40", "Write the days of the week in order.")
        self.assertIn("Wednesday", text)
        self.assertNotIn("\x1b", text)

    def test_stdin_goes_before_the_argument(self):
        together = self.answer(*SHORT, "The capital of France is\n called")
        self.assertEqual(self.answer(*SHORT, "called", stdin=b"The capital of France is\n"), together)
        alone = self.answer(*SHORT, "Say hello.\n")
        self.assertEqual(self.answer(*SHORT, stdin=b"Say hello.\n"), alone)

    def test_words_are_joined(self):
        self.assertEqual(self.answer(*SHORT, "Say", "hello", "world"), self.answer(*SHORT, "Say hello world"))

    def test_odd_bytes_in_a_prompt(self):
        for prompt in (b"\xff\xfe broken \x80 text", b"zero\0byte", "Grüße, 世界 🙂".encode()):
            self.assertTrue(self.run_cli("run", model(), *SHORT, stdin=prompt).returncode == 0, prompt)

    def test_seeds(self):
        hot = ("--temperature", "1.5", "--num-predict", "16", "Tell me a story.")
        first = self.answer("--seed", "7", *hot)
        self.assertEqual(self.answer("--seed", "7", *hot), first)
        self.assertNotEqual(self.answer("--seed", "8", *hot), first)

    def test_a_template_of_ones_own(self):
        raw = self.answer(*SHORT, "--raw", "Once upon a time")
        self.assertEqual(self.answer(*SHORT, "--template", "{{ .Prompt }}", "Once upon a time"), raw)
        file = self.folder / "t.tmpl"
        file.write_text("{{ .Prompt }}")
        self.assertEqual(self.answer(*SHORT, "--template", f"@{file}", "Once upon a time"), raw)
        self.assertNotEqual(self.answer(*SHORT, "Once upon a time"), raw)

    def test_stop_strings(self):
        whole = self.answer("--raw", "--temperature", "0", "--num-predict", "24", "1, 2, 3, 4, 5,")
        self.assertIn("8", whole)
        cut = self.answer("--raw", "--temperature", "0", "--num-predict", "24", "--stop", "zzz", "--stop", "8", "1, 2, 3, 4, 5,")
        self.assertEqual(cut, whole[:whole.index("8")])

    def test_system_message(self):
        def prompt_tokens(*flags):
            done = self.run_cli("run", model(), *SHORT, "--verbose", *flags, "Hi")
            return int(re.search(r"prompt eval count: +(\d+) token", done.stderr)[1])
        self.assertGreater(prompt_tokens("--system", "word " * 100), prompt_tokens() + 50)

    def test_verbose(self):
        done = self.run_cli("run", model(), "--verbose", "--raw", "--temperature", "0", "--num-predict", "5", "1, 2, 3,")
        self.assertEqual(done.returncode, 0)
        duration = r"(?:\d+(?:\.\d+)?(?:ns|µs|ms|s|m|h))+"
        rate = r"\d+\.\d\d tokens/s"
        for pattern in (f"total duration:       {duration}", f"load duration:        {duration}",
                        r"prompt eval count:    \d+ token\(s\)", f"prompt eval duration: {duration}",
                        f"prompt eval rate:     {rate}", r"eval count:           5 token\(s\)",
                        f"eval duration:        {duration}", f"eval rate:            {rate}",
                        r"memory +planned +measured", r"  weights +\S+ MiB +\S+ MiB", r"  total +\S+ MiB +\S+ MiB"):
            self.assertRegex(done.stderr, rf"(?m)^{pattern}$")
        self.assertNotIn("duration", done.stdout)

    def test_flags_of_ollama_that_change_nothing_here(self):
        plain = self.answer(*SHORT, "Say hello.")
        self.assertEqual(self.answer(*SHORT, "--keepalive", "5m", "--nowordwrap", "--hidethinking", "--think=false",
                                     "Say hello."), plain)

    def test_model_file_names_with_odd_characters(self):
        odd = self.folder / "-a model 'x'.gguf"
        odd.symlink_to(model())
        done = self.run_cli("run", *SHORT, "--", odd.name, "Hi", cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, ""))


class UnusualEnds(CliTest):
    def test_full_context(self):
        done = self.run_cli("run", model(), "--num-ctx", 96, *ENDLESS)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr, "The context of 96 tokens is full: the answer ends here.\n")
        self.assertGreater(len(done.stdout), 20)

    def test_time_limit(self):
        started = time.monotonic()
        done = self.run_cli("run", model(), "--max-seconds", "0.3", *ENDLESS)
        self.assertEqual(done.returncode, 0)
        self.assertEqual(done.stderr, "The time limit of 0.3 s is reached: the answer ends here.\n")
        self.assertLess(time.monotonic() - started, 60)

    def test_repetition(self):
        # With one candidate and a prompt that repeats itself the model goes on repeating.
        done = self.run_cli("run", model(), "--raw", "--temperature", "0", "la la la la " * 40)
        self.assertEqual(done.returncode, 0)
        self.assertIn("repeated itself", done.stderr)


class Signals(CliTest):
    def start_endless(self):
        child = self.start_cli("run", model(), *ENDLESS)
        self.assertTrue(child.stdout.read(1))
        return child

    def test_interrupt(self):
        child = self.start_endless()
        child.send_signal(signal.SIGINT)
        rest, err = child.communicate(timeout=30)
        self.assertEqual((child.returncode, err), (130, b""))
        self.assertTrue(rest.endswith(b"\n\n"))

    def test_interrupt_while_nobody_reads(self):
        child = self.start_endless()
        time.sleep(2)  # the pipe may be full by now
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(timeout=30), 130)

    def test_termination(self):
        child = self.start_endless()
        child.terminate()
        self.assertEqual(child.wait(timeout=30), 143)

    def test_termination_while_loading(self):
        child = self.start_cli("run", model(), "Hi")
        deadline = time.monotonic() + 30
        while not self.runners() and child.poll() is None and time.monotonic() < deadline:
            pass
        child.terminate()
        self.assertEqual(child.wait(timeout=30), 143)

    def test_interrupt_while_reading_input(self):
        child = self.start_cli("run", model(), stdin=subprocess.PIPE)
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        self.assertEqual(child.wait(timeout=30), 130)

    def test_reader_goes_away(self):
        child = self.start_endless()
        child.stdout.close()
        self.assertEqual(child.wait(timeout=30), 141)
        self.assertEqual(child.stderr.read(), b"")

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([program(), "run", model(), *SHORT, "Hi"],
                                  stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, env=self.environment,
                                  timeout=120, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr.decode(), r"\AError: cannot write the answer: [^\n]+\n\Z")

    def test_killed_server(self):
        child = self.start_endless()
        for pid in self.runners():
            os.kill(pid, signal.SIGKILL)
        _, err = child.communicate(timeout=30)
        self.assertEqual(child.returncode, 1)
        self.assertRegex(err.decode(), r"\AError: (the private server was killed by signal 9|[^\n]*unexpectedly stopped)[^\n]*\n\Z")

    def test_killed_program_takes_its_runner_along(self):
        child = self.start_endless()
        child.kill()
        child.wait()
        deadline = time.monotonic() + 10
        while self.runners() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(self.runners(), [])
        for left in self.runtime.iterdir():  # nobody was there to remove it
            for file in left.iterdir():
                file.unlink()
            left.rmdir()

    def test_closed_standard_descriptors(self):
        command = f'exec "$0" run "$1" --temperature 0 --num-predict 3 Hi <&- 2>&-'
        done = subprocess.run(["bash", "-c", command, program(), model()],
                              stdout=subprocess.PIPE, env=self.environment, timeout=120, check=False)
        self.assertEqual(done.returncode, 0)
        self.assertTrue(done.stdout.endswith(b"\n\n"))


if __name__ == "__main__":
    unittest.main()
