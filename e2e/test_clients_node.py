"""The JavaScript library ollama, run by node. See client_walk.py."""
import hashlib
import pathlib
import unittest

from cli_harness import model
from client_walk import CLIENTS, ClientTest


class NodeClient(ClientTest):
    def test_ollama(self):
        folder = self.clients("node")
        server = self.server()
        digest = "sha256:" + hashlib.sha256(pathlib.Path(model()).read_bytes()).hexdigest()
        got = self.walk([folder / "venv" / "bin" / "node", CLIENTS / "walk.mjs", self.address(server), model(), digest],
                        QUIPU_NODE_FOLDER=str(folder / "node"))
        self.check(got, server)


if __name__ == "__main__":
    unittest.main()
