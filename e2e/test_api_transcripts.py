"""The native API against recorded exchanges (testdata/api/README.md): status, type, fields, their order, error texts."""
import json
import lzma
import re
import unittest

from cli_harness import ROOT, model
from server_harness import Server, ServerTest, read_answer

DATA = ROOT / "testdata" / "api"

# What this server does not claim to be able to do yet, or does better.
LEFT_OUT = {"openai", "anthropic", "bert", "grammar", "thinking", "tools", "registry", "no-chat-embeddings"}
SKIPPED = {
    325: "recommends models of a cloud",
    338: "two framings in one request are refused",
    342: "line ends without carriage returns are refused",
}
# Texts that quote the inner runner or Go's parser: the status counts.
FREE_TEXT = re.compile(r'^\{"error":\{"code"|^invalid character |^unexpected EOF|^json: ')
PLACEHOLDER = re.compile(r"\{(TIME|UNIX|NS|BYTES|DATE|LENGTH|MODELS|HOME|HEX64-\d+)\}")
PATTERNS = {"TIME": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "UNIX": r"\d+", "NS": r"\d+",
            "BYTES": r"\d+", "DATE": r".*", "LENGTH": r"\d+", "MODELS": r".*", "HOME": r".*"}
WORDS = {"response", "content", "context", "logprobs", "eval_count", "done_reason", "thinking"}


class Comparison:
    """Remembers what each hash placeholder stood for."""

    def __init__(self):
        self.hashes = {}
        self.problems = []

    def problem(self, where, expected, actual):
        self.problems.append(f"{where}: expected {json.dumps(expected)[:300]}, got {json.dumps(actual)[:300]}")

    def text(self, where, expected, actual):
        if not isinstance(actual, str):
            actual = json.dumps(actual)
        if FREE_TEXT.match(expected):
            return
        pattern, names, at = "", [], 0
        for m in PLACEHOLDER.finditer(expected):
            pattern += re.escape(expected[at:m.start()])
            name = m.group(1)
            if name.startswith("HEX64"):
                pattern += "([0-9a-f]{64})"
                names.append(name)
            else:
                pattern += "(?:" + PATTERNS[name] + ")"
            at = m.end()
        found = re.fullmatch(pattern + re.escape(expected[at:]), actual, re.DOTALL)
        if not found:
            return self.problem(where, expected, actual)
        for name, value in zip(names, found.groups()):
            if self.hashes.setdefault(name, value) != value:
                self.problem(where, f"{name} as before, {self.hashes[name]}", value)

    def value(self, where, expected, actual, key="", generated=False):
        if generated and key in WORDS:
            if type(expected) is not type(actual):
                self.problem(where, expected, actual)
            return
        if isinstance(expected, str):
            if where.endswith(".name") and ".tensors[" in where:  # in the file's order, which the recorded one was rewritten to
                return
            if key == "modelfile" or key == "parameters":  # the order of the PARAMETER lines is free
                expected, actual = ("\n".join(sorted(t.split("\n"))) for t in (expected, actual))
            return self.text(where, expected, actual)
        if isinstance(expected, dict):
            if not isinstance(actual, dict):
                return self.problem(where, expected, actual)
            ours = [k for k in actual if k != "quipu"]
            if list(expected) != ours:
                return self.problem(where + " keys", list(expected), ours)
            for k in expected:
                self.value(f"{where}.{k}", expected[k], actual[k], k, generated)
            return
        if isinstance(expected, list):
            cut = next((i for i, e in enumerate(expected) if isinstance(e, str) and e.startswith("{+")), None)
            if cut is not None:
                expected, actual = expected[:cut], actual[:cut]
            if not isinstance(actual, list) or len(actual) != len(expected):
                return self.problem(where, expected, actual)
            for i, (e, a) in enumerate(zip(expected, actual)):
                if key == "tensors":
                    e, a = ({**v, "type": "", "shape": ""} for v in (e, a))
                self.value(f"{where}[{i}]", e, a, "", generated)
            return
        if expected != actual or isinstance(expected, bool) != isinstance(actual, bool):
            self.problem(where, expected, actual)

    def objects(self, where, expected, actual, generated):
        if generated and len(expected) > 1 and len(actual) > 1:  # one more or less word
            self.value(where + " first", expected[0], actual[0], "", True)
            self.value(where + " last", expected[-1], actual[-1], "", True)
            return
        if len(expected) != len(actual):
            return self.problem(where + " lines", expected, actual)
        for e, a in zip(expected, actual):
            self.value(where, e, a, "", generated)


def sort_models(objects, path):
    """Models made within one second have no order."""
    if path == "/api/tags":
        for o in objects:
            o["models"].sort(key=lambda m: m["name"])
    return objects


def parse(body):
    return [json.loads(line) for line in body.splitlines() if line]


class Transcripts(ServerTest):
    def replay(self, server, t, comparison):
        request, expected = t["request"], t["response"]
        if "raw" in request:
            raw = re.sub(r"\{a x (\d+)\}", lambda m: "a" * int(m.group(1)), request["raw"]).replace("{HOST}", server.host)
            with server.connect() as s:
                s.sendall(raw.encode("latin-1"))
                answer = read_answer(s, raw.startswith("HEAD"))
        else:
            lines = [f"{request['method']} {request['path']} HTTP/{'1.0' if 'HTTP/1.0' in t.get('note', '') else '1.1'}"]
            lines += [f"{k}: {v.replace('{HOST}', server.host)}" for k, v in request["headers"].items()]
            body = request["body"].encode() if request["body"] is not None else b""
            if request["body"] is not None:
                lines.append(f"Content-Length: {len(body)}")
            with server.connect() as s:
                s.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
                answer = read_answer(s, request["method"] == "HEAD")

        where = f"{t['n']} {t['group']} {request.get('method')} {request.get('path', '')}"
        if answer.status != expected["status"]:
            return comparison.problem(where + " status", [expected["status"], expected["body"]],
                                      [answer.status, answer.body.decode("utf-8", "replace")])
        for name in ("Content-Type", "Allow", "Location", "Vary"):
            if expected["headers"].get(name) != answer.header(name):
                comparison.problem(f"{where} {name}", expected["headers"].get(name), answer.header(name))
        for name, value in expected["headers"].items():
            if name.startswith("Access-Control") and answer.header(name) != value:
                comparison.problem(f"{where} {name}", value, answer.header(name))
        if answer.framing == "cut":
            comparison.problem(where, "a whole answer", "one that is cut")
        if expected["body"] and "json" in expected["headers"].get("Content-Type", ""):
            path = request.get("path", "")
            e, a = parse(expected["body"]), parse(answer.body.decode())
            generated = any("done" in o and not o.get("_debug_info") for o in e) and path.startswith(("/api/generate", "/api/chat"))
            comparison.objects(where, sort_models(e, path), sort_models(a, path), generated)
        else:
            comparison.text(where + " body", expected["body"] or "", answer.body.decode("utf-8", "replace"))

    def test_recorded_exchanges(self):
        server = self.server(OLLAMA_NUM_PARALLEL="1", OLLAMA_CONTEXT_LENGTH="2048", OLLAMA_KEEP_ALIVE="30m",
                             OLLAMA_NO_CLOUD="1")
        self.smol(server)
        embedder = self.folder / "tiny-embed.gguf"
        embedder.write_bytes(lzma.open(DATA / "tiny-embed.gguf.xz").read())
        server.create("emb", embedder)

        comparison, n_replayed = Comparison(), 0
        with lzma.open(DATA / "transcripts.jsonl.xz", "rt", encoding="utf-8") as lines:
            for line in lines:
                t = json.loads(line)
                if LEFT_OUT & set(t.get("needs", [])) or t["n"] in SKIPPED:
                    continue
                if t["n"] == 198:  # lists a model that only a left-out exchange has loaded
                    continue
                with self.subTest(n=t["n"], group=t["group"]):
                    before = len(comparison.problems)
                    self.replay(server, t, comparison)
                    n_replayed += 1
                    self.assertEqual(comparison.problems[before:], [])
        self.assertGreater(n_replayed, 220)


if __name__ == "__main__":
    unittest.main()
