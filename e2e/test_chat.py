"""quipu run on a terminal: the conversation, its commands, line editing, history, Ctrl-C and Ctrl-D."""
import os
import re
import signal
import stat
import unittest

from cli_harness import CliTest, model

GREEDY = ("--temperature", "0", "--num-predict", "12")


class Chat(CliTest):
    def chat(self, *flags, **more):
        session = self.terminal("run", model(), *flags, **more)
        session.prompt()
        return session

    def leave(self, session):
        session.send("/bye\r")
        self.assertEqual(session.exit_code(), 0)

    def test_a_conversation(self):
        chat = self.chat("--num-predict", "40")
        chat.wait_for("Send a message (/? for help)")
        self.assertEqual(chat.line("/set parameter seed 42"), "Set parameter 'seed' to '42'\n")
        self.assertEqual(chat.line("/set parameter temperature 0"), "Set parameter 'temperature' to '0'\n")
        self.assertIn("Wednesday", chat.line("Write the days of the week in order."))
        # A follow-up that only makes sense with what was said before.
        self.assertIn("Wednesday", chat.line("Please repeat your answer."))
        self.leave(chat)

    def test_turns_are_computed_once(self):
        chat = self.chat(*GREEDY, "--verbose")
        first = chat.line("Tell me about bridges.")
        self.assertRegex(first, r"prompt eval count: +\d+ token")
        self.assertNotIn("prompt cached", first)
        second = chat.line("And towers?")
        cached = int(re.search(r"prompt cached: +(\d+) token", second)[1])
        count = int(re.search(r"prompt eval count: +(\d+) token", first)[1])
        self.assertGreaterEqual(cached, count // 32 * 32)
        self.leave(chat)

    def test_multi_line_messages(self):
        chat = self.chat(*GREEDY)
        chat.send('"""Write the word\r')
        self.assertIn('"""Write', chat.prompt())
        chat.send('hello and nothing else."""\r')
        self.assertGreater(len(chat.prompt()), 20)
        self.assertEqual(chat.line('/set system """One'), "")
        self.assertEqual(chat.line('Two"""'), "Set system message.\n")
        self.assertEqual(chat.line("/show system"), "One\nTwo\n\n")
        self.leave(chat)

    def test_show(self):
        chat = self.chat()
        info = chat.line("/show info")
        for pattern in (r"  Model\n    architecture +llama", r"parameters +134\.52M", r"context length +\d+",
                        r"quantization +Q4_1", r"  Capabilities\n    completion"):
            self.assertRegex(info, pattern)
        self.assertIn("messages", chat.line("/show template"))
        self.assertIn("FROM " + model(), chat.line("/show modelfile"))
        self.assertIn("No system message was specified for this model.", chat.line("/show system"))
        chat.line("/set parameter top_k 5")
        self.assertRegex(chat.line("/show parameters"), r"User defined parameters:\n  top_k +5\n")
        self.leave(chat)

    def test_commands_that_go_wrong(self):
        chat = self.chat()
        self.assertEqual(chat.line("/bogus"), "Unknown command '/bogus'. Type /? for help\n")
        self.assertEqual(chat.line("/set parameter bogus 1"), "Couldn't set parameter: \"unknown parameter 'bogus'\"\n")
        self.assertEqual(chat.line("/set parameter seed abc"), 'Couldn\'t set parameter: "invalid int value [abc]"\n')
        self.assertEqual(chat.line("/load other"), "Loading model 'other'\nCouldn't find model 'other'\n")
        self.assertIn("runs from a file", chat.line("/save mine"))
        for line in ("/?", "/help", "/? set", "/? show", "/? shortcuts"):
            self.assertTrue(chat.line(line).startswith("Available "), line)
        self.leave(chat)

    def test_clear(self):
        chat = self.chat(*GREEDY, "--verbose")
        def tokens(text):
            return int(re.search(r"prompt eval count: +(\d+) token", text)[1])
        first = tokens(chat.line("Hello"))
        self.assertGreater(tokens(chat.line("Hello")), first)
        self.assertEqual(chat.line("/clear"), "Cleared session context\n")
        self.assertEqual(tokens(chat.line("Hello")), first)
        self.leave(chat)

    def test_ctrl_c_stops_the_answer_and_keeps_its_part(self):
        chat = self.chat("--temperature", "0", "--no-repeat-guard", "--verbose", "--nowordwrap")
        chat.send("Write a very long story about the sea, with many chapters.\r")
        chat.wait_for("\n")
        chat.wait_for(re.compile(r"\w+ \w+ \w+ \w+ \w+"))
        chat.send("\x03")
        part = chat.prompt(timeout=20)
        self.assertNotIn("eval rate", part)
        chat.line("/set parameter num_predict 5")
        answer = chat.line("Go on.")
        self.assertRegex(answer, r"eval count: +5 token")
        self.assertRegex(answer, r"prompt cached: +\d+ token")
        self.leave(chat)

    def test_ctrl_c_at_the_prompt(self):
        chat = self.chat()
        chat.send("\x03")
        self.assertIn("Use Ctrl + d or /bye to exit.", chat.prompt())
        chat.send("half a line")
        chat.wait_for("line")  # Ctrl-C discards what has not been read
        chat.send("\x03")
        self.assertNotIn("Use Ctrl", chat.prompt())
        chat.send('"""open\r')
        chat.prompt()
        chat.send("\x03")
        chat.prompt()
        self.assertIn("No system message", chat.line("/show system"))
        self.leave(chat)

    def test_ctrl_d_leaves(self):
        chat = self.chat()
        chat.send("\x04")
        self.assertEqual(chat.exit_code(), 0)

    def test_ctrl_d_in_a_line_deletes(self):
        chat = self.chat()
        chat.send("X/bye\x01\x04\r")
        self.assertEqual(chat.exit_code(), 0)

    def test_exit(self):
        chat = self.chat()
        chat.send("/exit\r")
        self.assertEqual(chat.exit_code(), 0)

    def test_hang_up(self):
        chat = self.chat()
        os.kill(chat.pid, signal.SIGHUP)
        self.assertEqual(chat.exit_code(), 129)

    def test_a_message_that_is_too_long(self):
        chat = self.chat(*GREEDY, "--num-ctx", "128")
        refused = chat.line("word " * 400)
        self.assertRegex(refused, r"Error: .*\b4\d\d\b.*\b128\b")
        self.assertGreater(len(chat.line("Say hello.").strip()), 0)
        self.leave(chat)

    def test_old_messages_are_dropped_and_that_is_said(self):
        chat = self.chat("--temperature", "0", "--num-predict", "24", "--num-ctx", "256")
        notices = ""
        for i in range(8):
            notices += "\n".join(line for line in chat.line(f"Tell me about the number {i}, please, and the ones near it. "
                                                            + "Really. " * 10).splitlines()
                                 if "no longer fits" in line) + "\n"
        self.assertRegex(notices, r"The conversation no longer fits num_ctx 256: the (\d+ )?oldest messages? (was|were) dropped\.")
        self.leave(chat)

    def test_a_killed_server_is_started_again(self):
        chat = self.chat(*GREEDY)
        chat.line("Hello")
        for pid in self.runners():
            os.kill(pid, signal.SIGKILL)
        said = chat.line("Are you there?")
        if "killed" in said:  # it was noticed in the middle; the next question starts another
            said = chat.line("Are you there?")
        self.assertGreater(len(said.strip()), 0)
        self.assertNotIn("Error", said)
        self.leave(chat)

    def test_verbose_and_quiet(self):
        chat = self.chat(*GREEDY)
        self.assertNotIn("eval rate", chat.line("Hello"))
        self.assertEqual(chat.line("/set verbose"), "Set 'verbose' mode.\n")
        verbose = chat.line("Hello")
        self.assertIn("eval rate", verbose)
        self.assertRegex(verbose, r"  total +\S+ MiB +\S+ MiB")
        self.assertEqual(chat.line("/set quiet"), "Set 'quiet' mode.\n")
        self.assertNotIn("eval rate", chat.line("Hello"))
        self.leave(chat)

    def test_word_wrap(self):
        chat = self.chat("--temperature", "0", "--num-predict", "60", columns=40)
        answer = chat.line("Describe a river in one long sentence.")
        # What is taken back stays in the record of a terminal, so the raw text only has to show the breaks.
        self.assertGreater(answer.strip().count("\n"), 2)
        chat.line("/set nowordwrap")
        chat.line("/clear")
        unwrapped = chat.line("Describe a river in one long sentence.")
        self.assertLess(unwrapped.strip().count("\n"), answer.strip().count("\n"))
        self.leave(chat)


class Editing(CliTest):
    """Every line is a harmless command, so that what was understood can be read from the answer."""

    def setUp(self):
        super().setUp()
        self.edit = self.terminal("run", model())
        self.edit.prompt()

    def leave(self):
        self.edit.send("\x04")
        self.assertEqual(self.edit.exit_code(), 0)

    def understood(self, keys):
        """The system message after typing these keys."""
        self.edit.send(keys + "\r")
        self.edit.prompt()
        said = self.edit.line("/show system")
        return said[:-2]

    def test_keys(self):
        for keys, expected in [
            ("/set system abc\x01\x05d", "abcd"),                        # Ctrl-A, Ctrl-E
            ("/set system abd\x02c", "abcd"),                            # Ctrl-B
            ("/set system abXc\x02\x7f", "abc"),                         # Backspace before the cursor
            ("/set system one two\x17three", "one three"),               # Ctrl-W
            ("rubbish\x15/set system clean", "clean"),                   # Ctrl-U
            ("/set system keepXYZ\x02\x02\x02\x0b", "keep"),             # Ctrl-K
            ("/set system one two\x1bbX", "one Xtwo"),                   # Alt-B
            ("/set system ac\x1b[Db", "abc"),                            # left arrow
            ("/set system bc\x1b[H\x1b[F!", "bc!"),                      # Home, End
            ("/set system a\tb", "a        b"),                          # Tab
            ("/set system Grüße 世界 🙂", "Grüße 世界 🙂"),
            ("/set system one\ntwo", "one\ntwo"),                        # Ctrl-J
        ]:
            with self.subTest(keys=keys):
                self.assertEqual(self.understood(keys), expected)
        self.leave()

    def test_paste_keeps_newlines(self):
        for newline in ("\r", "\n", "\r\n"):
            with self.subTest(newline=newline):
                self.assertEqual(self.understood(f"/set system \x1b[200~one{newline}{newline}two\x1b[201~ three"),
                                 "one\n\ntwo three")
        self.assertEqual(self.understood("/set system \x1b[200~tab\there\x1b[201~"), "tab\there")
        self.leave()

    def test_another_width_draws_the_line_again(self):
        self.edit.send("/set system " + "long " * 25)
        self.edit.wait_for("long long ")
        for columns in (50, 120, 40):  # more than once while one line is edited
            self.edit.resize(columns)
            self.edit.wait_for(">>> /set system long")
        self.edit.send("end\r")
        self.assertIn("Set system message.", self.edit.prompt())
        self.assertEqual(self.edit.line("/show system"), "long " * 25 + "end\n\n")
        self.leave()

    def test_stopping_keeps_the_line(self):
        # Nobody could continue the leader of a session, so it is not stopped; the line is drawn again all the same.
        for _ in range(2):
            self.edit.send("/set system on\x1a")
            self.edit.wait_for(">>> /set system on")
            self.edit.send("wards\r")
            self.edit.prompt()
            self.assertEqual(self.edit.line("/show system"), "onwards\n\n")
        self.leave()

    def test_arrow_keys_recall_lines(self):
        self.edit.line("/set system first")
        self.edit.line("/set system second")
        self.edit.send("\x1b[A\x1b[A\r")
        self.edit.prompt()
        self.assertEqual(self.edit.line("/show system"), "first\n\n")
        self.leave()

    def test_history_file(self):
        self.edit.line("/set system from an earlier run")
        self.edit.line("/set nohistory")
        self.edit.line("/set system secret")
        self.leave()
        file = self.folder / ".quipu" / "history"
        self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)
        self.assertEqual(file.read_text(), "/set system from an earlier run\n/set nohistory\n")
        again = self.terminal("run", model())
        again.prompt()
        again.send("\x10\x10\r")  # Ctrl-P twice
        self.assertIn("Set system message.", again.prompt())
        self.assertEqual(again.line("/show system"), "from an earlier run\n\n")
        again.send("\x04")
        self.assertEqual(again.exit_code(), 0)

    def test_no_history_when_not_wanted(self):
        self.leave()
        quiet = self.terminal("run", model(), environment={**self.environment, "OLLAMA_NOHISTORY": "1"})
        quiet.prompt()
        quiet.line("/set system x")
        quiet.send("\x04")
        quiet.exit_code()
        self.assertFalse((self.folder / ".quipu").exists())

    def test_editor(self):
        self.leave()
        editor = self.folder / "editor"
        editor.write_text("#!/bin/sh\nprintf '%s' ' edited' >> \"$1\"\n")
        editor.chmod(0o700)
        with_editor = self.terminal("run", model(), environment={**self.environment, "EDITOR": str(editor)})
        with_editor.prompt()
        with_editor.send("/set system text\x07")
        with_editor.wait_for(" edited")
        with_editor.send("\r")
        with_editor.prompt()
        self.assertEqual(with_editor.line("/show system"), "text edited\n\n")
        with_editor.send("\x04")
        self.assertEqual(with_editor.exit_code(), 0)


if __name__ == "__main__":
    unittest.main()
