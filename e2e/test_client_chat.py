"""The conversation on a terminal against a scripted server: its commands, what they ask and say."""
import os
import re
import signal
import unittest

from cli_harness import CliTest
from fake_ollama import SHOWN, FakeOllama

# With each request to a Quipu: old messages may go, but none is cut.
KEEP = {"truncate": False, "quipu": {"drop_messages": True}}
PNG = b"\x89PNG\r\n\x1a\n."


class ClientChat(CliTest):
    def setUp(self):
        super().setUp()
        self.fake = FakeOllama()
        self.addCleanup(self.fake.close)
        self.fake.version["quipu"] = {"version": "0.1.0"}
        self.environment["OLLAMA_HOST"] = self.fake.host
        del self.environment["QUIPU_HOST"]

    def chat(self, *flags, **more):
        session = self.terminal("run", "smol", *flags, **more)
        session.prompt()
        return session

    def leave(self, session):
        session.send("/bye\r")
        self.assertEqual(session.exit_code(), 0)

    def last(self):
        return self.fake.bodies("/api/chat")[-1]

    def test_a_session(self):
        chat = self.chat("--keepalive", "5m", "--seed", "7")
        chat.wait_for("Send a message (/? for help)")
        common = {"model": "smol", "options": {"seed": 7}, "keep_alive": "5m0s"}
        self.assertEqual(self.fake.bodies("/api/generate"), [common])  # it is loaded first
        self.assertEqual(chat.line("Hi"), "Hello world\n\n")
        self.assertEqual(self.last(), {**common, "messages": [{"role": "user", "content": "Hi"}], **KEEP})
        chat.line("And you?")
        self.assertEqual(self.last()["messages"], [{"role": "user", "content": "Hi"},
                                                   {"role": "assistant", "content": "Hello world"},
                                                   {"role": "user", "content": "And you?"}])
        self.leave(chat)

    def test_an_ollama_is_asked_in_its_own_way(self):
        del self.fake.version["quipu"]
        chat = self.chat()
        chat.line("Hi")
        self.assertEqual(self.last(), {"model": "smol", "messages": [{"role": "user", "content": "Hi"}]})
        self.leave(chat)

    def test_set(self):
        chat = self.chat()
        for line, said in (
                ("/set parameter seed 42", "Set parameter 'seed' to '42'\n"),
                ("/set parameter bogus 1", "Couldn't set parameter: \"unknown parameter 'bogus'\"\n"),
                ("/set parameter seed abc", 'Couldn\'t set parameter: "invalid int value [abc]"\n'),
                ("/set system You are terse.", "Set system message.\n"),
                ("/set verbose", "Set 'verbose' mode.\n"), ("/set quiet", "Set 'quiet' mode.\n"),
                ("/set wordwrap", "Set 'wordwrap' mode.\n"), ("/set nowordwrap", "Set 'nowordwrap' mode.\n"),
                ("/set history", "Set 'history' mode.\n"), ("/set nohistory", "Set 'nohistory' mode.\n"),
                ("/set format json", "Set format to 'json' mode.\n"),
                ("/set think high", "warning: model \"smol\" does not support thinking output\nSet 'think' mode to 'high'.\n"),
                ("/set bogus", "Unknown command '/set bogus'. Type /? for help\n")):
            self.assertEqual(chat.line(line), said)
        chat.line("Hi")
        self.assertEqual(self.last(), {"model": "smol", "options": {"seed": 42}, "format": "json", **KEEP,
                                       "messages": [{"role": "system", "content": "You are terse."},
                                                    {"role": "user", "content": "Hi"}]})
        chat.line("/set noformat")
        chat.line("/clear")
        chat.line("Hi")
        self.assertNotIn("format", self.last())
        self.assertEqual(len(self.last()["messages"]), 2)
        self.leave(chat)

    def test_thinking(self):
        self.fake.models["smol"] = {**SHOWN, "capabilities": ["completion", "thinking"]}
        self.fake.thinking = ["hm"]
        chat = self.chat()
        self.assertEqual(chat.line("Hi"), "Thinking...\nhm\n...done thinking.\n\nHello world\n\n")
        self.assertIs(self.last()["think"], True)
        self.assertIn("\x1b[38;5;245m", chat.screen)
        self.assertEqual(chat.line("/set nothink"), "Set 'nothink' mode.\n")
        chat.line("Hi")
        self.assertIs(self.last()["think"], False)
        self.assertEqual(self.last()["messages"][1], {"role": "assistant", "content": "Hello world", "thinking": "hm"})
        self.leave(chat)

    def test_show(self):
        chat = self.chat()
        self.assertTrue(chat.line("/show info").startswith("  Model\n    architecture        llama      \n"))
        self.assertEqual(chat.line("/show license"), "MIT\n\n\n")
        self.assertEqual(chat.line("/show modelfile"), "# Modelfile\nFROM smol\n\n")
        self.assertEqual(chat.line("/show system"), "Be brief.\n\n")
        self.assertEqual(chat.line("/show template"), "{{ .Prompt }}\n\n")
        chat.line("/set parameter top_k 5")
        self.assertEqual(chat.line("/show parameters"),
                         "Model defined parameters:\n  temperature                    0.5\n\n"
                         "User defined parameters:\n  top_k                          5\n\n")
        self.assertEqual(chat.line("/show bogus"), "Unknown command '/show bogus'. Type /? for help\n")
        self.leave(chat)

    def test_list_load_save(self):
        self.fake.tags = {"models": [{"name": "smol:latest", "digest": "4109e3b4edca", "size": 5}]}
        chat = self.chat()
        self.assertTrue(chat.line("/list").startswith("NAME           ID  "))
        chat.line("One")
        self.assertEqual(chat.line("/load nope"), "Loading model 'nope'\nCouldn't find model 'nope'\n")
        chat.line("/set parameter seed 1")
        self.assertEqual(chat.line("/save mine"), "Created new model 'mine'\n")
        self.assertEqual(self.fake.bodies("/api/create"), [{
            "model": "mine", "from": "smol", "stream": True, "parameters": {"seed": 1},
            "messages": [{"role": "user", "content": "One"}, {"role": "assistant", "content": "Hello world"}]}])
        self.fake.models["other"] = {**SHOWN, "messages": [{"role": "user", "content": "Hey"},
                                                           {"role": "assistant", "content": "Ho"}]}
        self.assertEqual(chat.line("/load other"), "Loading model 'other'\n>>> Hey\nHo\n\n")
        chat.line("Two")
        self.assertEqual((self.last()["model"], self.last()["messages"]), ("other", [{"role": "user", "content": "Two"}]))
        self.leave(chat)

    def test_stored_messages_are_shown_first(self):
        self.fake.models["smol"] = {**SHOWN, "messages": [{"role": "user", "content": "Hey"},
                                                          {"role": "assistant", "content": "Ho"}]}
        session = self.terminal("run", "smol")
        self.assertTrue(session.prompt().endswith(">>> Hey\nHo\n\n"))
        self.leave(session)

    def test_help_and_unknown_commands(self):
        chat = self.chat()
        for line in ("/?", "/help", "/? set", "/? show", "/? shortcuts", "/set", "/show"):
            self.assertTrue(chat.line(line).startswith("Available "), line)
        self.assertEqual(chat.line("/bogus"), "Unknown command '/bogus'. Type /? for help\n")
        self.leave(chat)

    def test_images(self):
        picture = self.folder / "cat.png"
        picture.write_bytes(PNG)
        chat = self.chat()
        self.assertIn('Error: "smol" does not support vision', chat.line(f"{picture} what is it?"))
        self.leave(chat)
        self.fake.models["smol"] = {**SHOWN, "capabilities": ["completion", "vision"]}
        chat = self.chat()
        self.assertEqual(chat.line(f"{picture} what is it?"), f"Added image '{picture}'\nHello world\n\n")
        self.assertEqual(self.last()["messages"], [{"role": "user", "content": "what is it?", "images": ["iVBORw0KGgou"]}])
        self.assertEqual(chat.line("/no/such.png ?"), "Unknown command '/no/such.png'. Type /? for help\n")
        self.leave(chat)

    def test_errors_keep_the_conversation(self):
        chat = self.chat()
        self.fake.answers[("POST", "/api/chat")] = (507, {"error": "no room", "quipu": {"table": "weights  2.4 GB\n"}})
        self.assertEqual(chat.line("Hi"), "Error: 507 Insufficient Storage: no room\nweights  2.4 GB\n")
        self.fake.answers.clear()
        self.fake.cut = 1
        self.assertRegex(chat.line("Hi"), r"^Hello\n\nError: [^\n]+\n$")
        self.fake.cut = None
        self.assertEqual(chat.line("Hi"), "Hello world\n\n")
        self.assertEqual(len(self.last()["messages"]), 1)  # what failed is forgotten
        self.leave(chat)

    def test_a_model_that_cannot_be_loaded(self):
        self.fake.answers[("POST", "/api/generate")] = (500, {"error": "the file is damaged"})
        session = self.terminal("run", "smol")
        self.assertEqual(session.exit_code(), 1)
        self.assertIn("Error: 500 Internal Server Error: the file is damaged\r\n", session.screen)

    def test_ctrl_c_hangs_up_and_keeps_the_part(self):
        self.fake.delay = 0.05
        self.fake.pieces = ["one "] * 1000
        chat = self.chat("--nowordwrap")
        chat.send("Go\r")
        chat.wait_for("one one one")
        chat.send("\x03")
        chat.prompt(timeout=10)
        self.fake.delay, self.fake.pieces = 0, ["ok"]
        chat.line("Go on")
        self.assertRegex(self.last()["messages"][1]["content"], r"^(one )+$")
        self.leave(chat)

    def test_the_spinner_turns_while_nothing_comes(self):
        self.fake.delay = 0.5
        chat = self.chat()
        chat.send("Hi\r")
        chat.wait_for(re.compile("[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏]"))
        self.assertTrue(chat.prompt().endswith("Hello world\n\n"))
        self.leave(chat)

    def test_dropped_messages_are_told(self):
        self.fake.ps = {"models": [{"name": "smol:latest", "context_length": 512}]}
        self.fake.final = {"quipu": {"dropped_messages": 2}}
        chat = self.chat()
        told = "The conversation no longer fits num_ctx 512: the 2 oldest messages were dropped.\n"
        self.assertEqual(chat.line("Hi"), "Hello world\n\n" + told)
        self.assertEqual(chat.line("Hi"), "Hello world\n\n")
        self.leave(chat)

    def test_signals_end_it(self):
        chat = self.chat()
        os.kill(chat.pid, signal.SIGTERM)
        self.assertEqual(chat.exit_code(), 143)


if __name__ == "__main__":
    unittest.main()
