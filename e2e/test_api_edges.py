"""The native API beyond the recorded exchanges: what Ollama does with odd fields, paths and names, and what a request costs."""
import hashlib
import json
import re
import time
import unittest

from cli_harness import model
from gguf_files import BOOL, Gguf
from server_harness import PATIENCE, ServerTest

PLAIN = "application/json"
CHARSET = "application/json; charset=utf-8"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TOO_LONG = ("the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the "
            "context length in settings, or use a model with a longer context length")
USER = {"role": "user", "content": "x"}


class Edges(ServerTest):
    def setUp(self):
        super().setUp()
        self.s = self.server()
        self.smol(self.s)

    def refused(self, path, body, status, error, kind=CHARSET, method="POST"):
        answer = self.s.request(method, path, body)
        self.assertEqual((answer.status, answer.json(), answer.header("Content-Type")), (status, {"error": error}, kind))

    def rendered(self, path, body):
        answer = self.s.post(path, body)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()["_debug_info"]["rendered_template"]

    def test_what_is_found_out_late_has_the_streams_type(self):
        long = "word " * 700
        chat = {"model": "smol", "messages": [{"role": "user", "content": long}]}
        generate = {"model": "smol", "prompt": long}
        for path, body in (("/api/chat", chat), ("/api/generate", generate), ("/api/generate", {**generate, "raw": True})):
            self.refused(path, {**body, "shift": False}, 400, TOO_LONG, PLAIN)
            self.refused(path, {**body, "shift": False, "stream": False}, 400, TOO_LONG)
            answer = self.s.post(path, {**body, "truncate": False})
            self.assertEqual((answer.status, answer.header("Content-Type")), (400, PLAIN))
            self.assertIn("num_ctx is 512", answer.json()["error"])
        # A template is executed before the stream.
        self.refused("/api/generate", {"model": "smol", "prompt": "x", "template": "{{ .X"}, 500, "template: :1: unclosed action")
        no_vision = "this model does not support images: it has no vision"
        for kind, stream in ((PLAIN, True), (CHARSET, False)):
            self.refused("/api/generate", {"model": "smol", "prompt": "x", "images": [PNG], "stream": stream}, 400, no_vision, kind)

    def test_which_error_wins(self):
        images = [{**USER, "images": [PNG]}]
        tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
        self.refused("/api/chat", {"model": "smol", "messages": images, "tools": tools}, 400,
                     "registry.ollama.ai/library/smol:latest does not support tools")
        self.refused("/api/chat", {"model": "smol", "messages": images, "think": True}, 400, '"smol" does not support thinking')
        self.refused("/api/chat", {"model": "smol", "messages": images, "options": {"num_ctx": "x"}}, 500,
                     'option "num_ctx" must be of type integer')
        # Without a prompt there is nothing to show the images to.
        for keep_alive, reason in ((None, "load"), (0, "unload")):
            answer = self.s.post("/api/generate", {"model": "smol", "images": [PNG], "keep_alive": keep_alive})
            self.assertEqual((answer.status, answer.json().get("done_reason")), (200, reason))
        # A prompt can be looked at whatever its answer was to be like.
        for form in ("xml", "json", {"type": "object"}):
            self.assertIn("x", self.rendered("/api/chat", {"model": "smol", "messages": [USER], "format": form,
                                                           "_debug_render_only": True}))

    def test_null_elements_and_what_is_no_character(self):
        text = self.rendered("/api/chat", {"model": "smol", "messages": [None, USER], "_debug_render_only": True})
        self.assertTrue(text.startswith("<|im_start|>\n<|im_end|>\n<|im_start|>user\nx"), text)
        for body in (b'{"model":"smol","_debug_render_only":true,"prompt":"a\\ud83d"}',
                     b'{"model":"smol","_debug_render_only":true,"prompt":"a\xff"}'):
            self.assertIn("\na\ufffd<|im_end|>", self.rendered("/api/generate", body))

    def test_stored_messages_are_checked(self):
        wrong = "json: cannot unmarshal number into Go struct field CreateRequest.messages"
        for messages, where in (([5], " of type api.Message"), ([{"role": "user", "content": 5}], ".content of type string")):
            self.refused("/api/create", {"model": "m", "from": "smol", "messages": messages}, 400, wrong + where)
        self.refused("/api/create", {"model": "m", "from": "smol", "messages": [{**USER, "images": ["@"]}]}, 400,
                     "illegal base64 data at input byte 0")
        answer = self.s.post("/api/create", {"model": "m", "from": "smol", "messages": [{"role": "USER", "content": "hi"}]})
        self.assertEqual(answer.lines()[-1], {"status": "success"})
        self.assertEqual(self.s.post("/api/show", {"model": "m"}).json()["messages"], [{"role": "user", "content": "hi"}])

    def test_a_cloud_models_name_is_none_here(self):
        for name in ("smol:cloud", "smol:latest-cloud"):
            self.refused("/api/delete", {"model": name}, 404, f"model '{name}' not found", method="DELETE")
            self.refused("/api/copy", {"source": name, "destination": "x"}, 404, f'model "{name}" not found')
            self.refused("/api/copy", {"source": "smol", "destination": name}, 400, f'destination "{name}" is invalid')
        self.assertEqual([m["name"] for m in self.s.request("GET", "/api/tags").json()["models"]], ["smol:latest"])

    def test_a_loaded_model_outlives_its_name(self):
        self.s.post("/api/generate", {"model": "smol"})
        loaded = self.s.request("GET", "/api/ps").json()["models"][0]
        self.assertEqual(self.s.request("DELETE", "/api/delete", {"model": "smol"}).status, 200)
        now = self.s.request("GET", "/api/ps").json()["models"][0]
        self.assertEqual([now[k] for k in ("name", "digest", "details")], [loaded[k] for k in ("name", "digest", "details")])
        self.assertEqual(now["details"]["parameter_size"], "134.52M")

    def test_what_computes_nothing_waits_for_nobody(self):
        self.s.stop()
        self.s.log_path.unlink()
        s = self.server(OLLAMA_NUM_PARALLEL="1")
        numbers = " ".join(str(i) for i in range(1, 200))  # which it goes on with, without end
        body = json.dumps({"model": "smol", "prompt": numbers, "raw": True,
                           "options": {"num_predict": 7000, "num_ctx": 8192, "temperature": 0, "repeat_guard": False}}).encode()
        with s.connect() as client:
            client.sendall(f"POST /api/generate HTTP/1.1\r\nHost: {s.host}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            self.assertTrue(client.recv(100))
            for path, request in (("/api/generate", {}), ("/api/chat", {}), ("/api/embed", {"input": []}), ("/api/embeddings", {}),
                                  ("/api/tokenize", {"text": "x"}), ("/api/generate", {"prompt": "x", "_debug_render_only": True}),
                                  ("/api/chat", {"messages": [USER], "_debug_render_only": True})):
                self.assertEqual(s.post(path, {"model": "smol", **request}).status, 200)
            self.assertGreaterEqual(s.request("GET", "/api/ps").json()["models"][0]["quipu"]["running"], 1, "the answer is not over")

    def test_a_file_that_cannot_be_loaded(self):
        path = self.folder / "odd.gguf"
        path.write_bytes(Gguf("oddity").bytes())
        self.s.create("odd", path)
        answer = self.s.post("/api/generate", {"model": "odd", "prompt": "x"})
        self.assertEqual((answer.status, list(answer.json())), (500, ["error"]))
        self.assertIn("'oddity' is not supported", answer.json()["error"])

    def test_blobs_have_one_spelling(self):
        digest = hashlib.sha256(b"new").hexdigest()
        for spelling in (f"sha256-{digest}", f"sha256:{digest.upper()}"):
            self.refused(f"/api/blobs/{spelling}", "new", 400,
                         f'digest mismatch, expected "{spelling}", got "sha256:{digest}"')
        self.assertEqual(self.s.request("HEAD", f"/api/blobs/sha256-{digest}").status, 200)
        self.assertEqual(self.s.post(f"/api/blobs/sha256-{digest}", "new").status, 200)
        self.assertEqual(self.s.request("HEAD", f"/api/blobs/sha256:{digest.upper()}").status, 404)

    def test_paths(self):
        for method, path, status, location in (
                ("GET", "/api/version/", 301, "/api/version"), ("HEAD", "/api/version/", 307, "/api/version"),
                ("POST", "/api/chat/?a=b", 307, "/api/chat?a=b"), ("GET", "/api/chat/", 404, None),
                ("POST", "/api/tags/", 404, None), ("POST", "//api/chat", 307, "/api/chat"), ("GET", "//nope", 307, "/nope"),
                ("GET", "/api/version//", 307, "/api/version/"), ("HEAD", "/api/blobs/a%20b%0d/", 307, "/api/blobs/a%20b%0D"),
                ("OPTIONS", "*", 200, None), ("GET", "*", 400, None), ("GET", "api/version", 400, None)):
            answer = self.s.request(method, path)
            self.assertEqual((answer.status, answer.header("Location")), (status, location), (method, path))
        for host in ("a b", "user@localhost", "localhost/x"):
            answer = self.s.request("GET", "/", headers={"Host": host})
            self.assertEqual((answer.status, answer.body), (400, b"400 Bad Request: malformed Host header"))

    def test_large_requests_leave_nothing_behind(self):
        def resident():
            text = open(f"/proc/{self.s.process.pid}/status").read()
            return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) << 10

        before = resident()
        for body in (b'{"model":"nope","x":"' + b"a" * 20_000_000 + b'"}', b'{"model":"nope","x":[' + b'"abc",' * 1_000_000 + b"0]}"):
            for _ in range(3):
                self.assertEqual(self.s.post("/api/generate", body).status, 404)
        deadline = time.monotonic() + PATIENCE  # it is given back when the answer has been sent
        while resident() - before > 48 << 20 and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertLess(resident() - before, 48 << 20)


    def test_a_projector_is_loaded_with_its_model(self):
        projector = Gguf(arch="clip")
        projector.keys = {k: v for k, v in projector.keys.items() if k.startswith("general.")} | {"clip.has_vision_encoder": (BOOL, True)}
        projector.tensors = {f"v.blk.{i}.ffn_up.weight": ([512, 1024], "F16", None) for i in range(8)}
        path = self.folder / "projector.gguf"
        path.write_bytes(projector.bytes())
        files = {"model.gguf": self.s.upload(model()), "projector.gguf": self.s.upload(path)}
        answer = self.s.post("/api/create", {"model": "seeing", "files": files})
        self.assertEqual(answer.lines()[-1], {"status": "success"}, answer.body)
        answer = self.s.post("/api/generate", {"model": "seeing", "prompt": "x", "stream": False, "options": {"num_predict": 2}})
        self.assertEqual(answer.status, 200, answer.body)
        memory = self.s.request("GET", "/api/ps").json()["models"][0]["quipu"]["memory"]
        size = path.stat().st_size
        self.assertEqual(memory["projector"]["planned"], size)
        self.assertLess(abs(memory["projector"]["measured"] - size), 1 << 16)


if __name__ == "__main__":
    unittest.main()
