"""Python's clients of Ollama's interface: the library ollama, and langchain-ollama. See client_walk.py."""
import unittest

from cli_harness import model
from client_walk import CLIENTS, ClientTest


class PythonClients(ClientTest):
    def test_ollama(self):
        python = self.clients("python") / "venv" / "bin" / "python"
        server = self.server()
        self.check(self.walk([python, CLIENTS / "walk.py", self.address(server), model()]), server)

    def test_langchain(self):
        python = self.clients("python") / "venv" / "bin" / "python"
        server = self.server()
        self.smol(server)
        got = self.walk([python, CLIENTS / "langchain_walk.py", self.address(server)])
        chat, _ = self.check_answers(got, server)
        content = chat["message"]["content"]
        self.assertEqual(got["six at once"]["texts"], [content] * 6)
        self.assertEqual(got["stop"]["text"], content.split("\n")[0])
        self.assertEqual(got["its own options"], {"reason": "length", "n": 3})
        talk = [("system", "You are terse."), ("user", "Hello"), ("assistant", "Hi."), ("user", "Name three colours.")]
        alone = server.post("/api/chat", {"model": "smol", "stream": False,
                                          "messages": [{"role": role, "content": text} for role, text in talk]})
        self.assertEqual(got["a conversation"]["text"], alone.json()["message"]["content"])
        self.check_failures(got, ("no such model", "a bad name"))


if __name__ == "__main__":
    unittest.main()
