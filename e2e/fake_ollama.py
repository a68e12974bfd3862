"""A scripted server with Ollama's native interface, for tests of the command line: it answers what a test tells it to,
slowly, wrongly or not at all if need be, and remembers every request."""
import http.server
import json
import socket
import threading
import time

SHOWN = {
    "license": "MIT\n", "modelfile": "# Modelfile\nFROM smol\n", "parameters": "temperature                    0.5",
    "template": "{{ .Prompt }}", "system": "Be brief.",
    "details": {"parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "134.52M",
                "quantization_level": "Q4_1"},
    "model_info": {"general.architecture": "llama", "llama.context_length": 8192, "llama.embedding_length": 576},
    "capabilities": ["completion"],
}
METRICS = {"total_duration": 43180000, "load_duration": 1000000, "prompt_eval_count": 9, "prompt_eval_duration": 12500000,
           "eval_count": 3, "eval_duration": 30000000}


class FakeOllama:
    """Serves until closed. Change the attributes at any time."""

    def __init__(self):
        self.requests = []          # (method, path, body as JSON or bytes)
        self.version = {"version": "0.32.15"}
        self.models = {"smol": dict(SHOWN)}
        self.pieces = ["Hello", " world"]
        self.thinking = []
        self.final = {}             # merged into the last object of an answer
        self.delay = 0              # seconds before each piece
        self.cut = None             # after so many pieces the connection breaks
        self.answers = {}           # (method, path) -> (status, object), in place of everything below
        self.streams = {}           # path -> list of objects
        self.blobs = set()
        self.tags = {"models": []}
        self.ps = {"models": []}
        fake = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def handle_any(self):
                fake.handle(self)

            do_GET = do_POST = do_HEAD = do_DELETE = handle_any

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):  # clients hang up; that is no news
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def host(self):
        return f"127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    # What was asked, without the greetings.
    def asked(self):
        return [r for r in self.requests if r[:2] not in (("HEAD", "/"), ("GET", "/api/version"))]

    def bodies(self, path):
        return [body for _, p, body in self.requests if p == path]

    # ---- answering

    def handle(self, h):
        length = int(h.headers.get("Content-Length") or 0)
        raw = h.rfile.read(length)
        try:
            body = json.loads(raw) if raw else None
        except ValueError:
            body = raw
        self.requests.append((h.command, h.path, body))
        canned = self.answers.get((h.command, h.path))
        if canned is not None:
            return self.whole(h, *canned)
        if h.path in self.streams:
            return self.stream(h, self.streams[h.path])
        name = h.command.lower() + h.path.replace("/", "_")
        if h.path.startswith("/api/blobs/"):
            return self.blob(h)
        answer = getattr(self, name, None)
        if answer is None:
            return self.whole(h, 404, "404 page not found")
        return answer(h, body)

    def whole(self, h, status, content):
        data = b"" if content is None else content.encode() if isinstance(content, str) else json.dumps(content).encode()
        h.send_response(status)
        h.send_header("Content-Type", "application/json")
        h.send_header("Content-Length", str(len(data)))
        h.end_headers()
        if h.command != "HEAD":
            h.wfile.write(data)

    def stream(self, h, lines):
        h.send_response(200)
        h.send_header("Content-Type", "application/x-ndjson")
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        for number, line in enumerate(lines):
            if self.cut == number:
                h.connection.shutdown(socket.SHUT_RDWR)
                return
            time.sleep(self.delay)
            data = json.dumps(line).encode() + b"\n"
            h.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            h.wfile.flush()
        h.wfile.write(b"0\r\n\r\n")

    def known(self, h, body, text="model '{}' not found"):
        name = (body or {}).get("model", "")
        if name.removesuffix(":latest") in self.models:
            return True
        self.whole(h, 404, {"error": text.format(name)})
        return False

    def head_(self, h, _):
        self.whole(h, 200, "Ollama is running")

    get_ = head_

    def get_api_version(self, h, _):
        self.whole(h, 200, self.version)

    def get_api_tags(self, h, _):
        self.whole(h, 200, self.tags)

    def get_api_ps(self, h, _):
        self.whole(h, 200, self.ps)

    def post_api_show(self, h, body):
        if self.known(h, body, "model '{}:latest' not found"):
            self.whole(h, 200, self.models[body["model"].removesuffix(":latest")])

    def post_api_generate(self, h, body):
        if not self.known(h, body):
            return
        common = {"model": body["model"], "created_at": "2026-11-23T22:40:08Z"}
        if not body.get("prompt"):
            reason = "unload" if body.get("keep_alive") == 0 else "load"
            return self.whole(h, 200, {**common, "response": "", "done": True, "done_reason": reason})
        lines = [{**common, "response": "", "thinking": t, "done": False} for t in self.thinking]
        lines += [{**common, "response": p, "done": False} for p in self.pieces]
        self.stream(h, lines + [{**common, "response": "", "done": True, "done_reason": "stop", **METRICS, **self.final}])

    def post_api_chat(self, h, body):
        if not self.known(h, body):
            return
        common = {"model": body["model"], "created_at": "2026-11-23T22:40:08Z"}
        message = {"role": "assistant", "content": ""}
        lines = [{**common, "message": {**message, "thinking": t}, "done": False} for t in self.thinking]
        lines += [{**common, "message": {**message, "content": p}, "done": False} for p in self.pieces]
        self.stream(h, lines + [{**common, "message": message, "done": True, "done_reason": "stop", **METRICS, **self.final}])

    def post_api_embed(self, h, body):
        self.whole(h, 200, {"model": body["model"], "embeddings": [[0.25, -1.5e-07, 1]]})

    def post_api_copy(self, h, body):
        if body["source"] not in self.models:
            return self.whole(h, 404, {"error": f'model "{body["source"]}" not found'})
        self.whole(h, 200, None)

    def delete_api_delete(self, h, body):
        if self.known(h, body):
            del self.models[body["model"]]
            self.whole(h, 200, None)

    def post_api_pull(self, h, body):
        self.stream(h, [{"status": "pulling manifest"}, {"error": "pull model manifest: file does not exist"}])

    def post_api_create(self, h, body):
        self.stream(h, [{"status": "parsing GGUF"}, {"status": "writing manifest"}, {"status": "success"}])

    def blob(self, h):
        digest = h.path.rsplit("/", 1)[1]
        if h.command == "HEAD":
            return self.whole(h, 200 if digest in self.blobs else 404, None)
        self.blobs.add(digest)
        self.whole(h, 201, None)
