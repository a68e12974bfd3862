"""A store as Ollama leaves it, built by hand: it opens, every model in it is listed, shown and run as it is, and what is
written beside it keeps the same layout."""
import calendar
import hashlib
import json
import os
import pathlib
import stat
import subprocess
import time
import unittest

from cli_harness import TIMEOUT, model, program
from server_harness import ServerTest

MEDIA = "application/vnd.ollama.image."
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
TEMPLATE = "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}<|im_start|>assistant\n"
OLD_TEMPLATE = "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}<|im_start|>user\n{{ .Prompt }}<|im_end|>\n<|im_start|>assistant\n"
PARAMETERS = {"num_ctx": 512, "num_predict": 16, "seed": 1, "stop": ["<|im_start|>", "<|im_end|>"], "temperature": 0}
MESSAGES = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Hi there."}]
LICENSES = ["Licence one\nof two lines", "Licence two"]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Store:
    """Writes what Ollama writes; the files are made with plain open(), so that nothing of ours is in them."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "blobs").mkdir(parents=True)

    def blob(self, data, separator="-"):
        digest = sha256(data)
        path = self.folder / "blobs" / f"sha256{separator}{digest}"
        path.write_bytes(data)
        path.chmod(0o644)
        return {"digest": "sha256:" + digest, "size": len(data)}

    def weights(self):
        data = pathlib.Path(model()).read_bytes()
        return self.blob(data)

    def config(self, **more):
        return {"mediaType": CONFIG, **self.blob(json.dumps({
            "model_format": "gguf", "model_family": "llama", "model_families": ["llama"], "model_type": "134.52M",
            "file_type": "Q4_1", **more, "architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": []}}, separators=(",", ":")).encode())}

    def text(self, kind, content, **more):
        data = content if isinstance(content, str) else json.dumps(content, separators=(",", ":"), sort_keys=True) + "\n"
        return {"mediaType": MEDIA + kind, **self.blob(data.encode()), **more}

    def manifest(self, path, layers, config, indent=None):
        file = self.folder / "manifests" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        data = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}, indent=indent)
        file.write_text(data + ("" if indent else "\n"))
        return file


class OllamaStore(ServerTest):
    def setUp(self):
        super().setUp()
        self.store = store = Store(self.folder / "models")
        weights = {"mediaType": MEDIA + "model", **store.weights()}
        self.weights = weights["digest"]
        config = store.config()
        template = store.text("template", TEMPLATE)
        parameters = store.text("params", PARAMETERS)
        # What a pull leaves: the registry's bytes, with whatever else it says there.
        self.plain = store.manifest("registry.ollama.ai/library/SmolLM2/135M-instruct",
                                    [weights, template, *[store.text("license", l) for l in LICENSES], parameters,
                                     store.text("system", "You are terse."),
                                     {"mediaType": "application/x.something-new", **store.blob(b"?"), "annotations": {"a": "b"}}],
                                    config, indent=3)
        # Made from it, by its user: weights of another model, old-style template, a conversation that it begins with.
        self.mine = store.manifest("registry.ollama.ai/Me-And-You/My.Model_2/v1.0-Q4",
                                   [{**weights, "from": "SmolLM2:135M-instruct"}, store.text("prompt", OLD_TEMPLATE), parameters,
                                    store.text("messages", MESSAGES)], config)
        # From another registry, with a port.
        self.other = store.manifest("127.0.0.1:5005/team/smol/latest", [weights, template, parameters], config)
        # What does not belong there, or is damaged, harms nobody.
        store.manifest("registry.ollama.ai/library/loose", [weights], config)
        store.manifest("registry.ollama.ai/library/smol/a/b", [weights], config)
        (self.plain.parent / "not a tag").write_text("{}")
        for n, file in enumerate((self.other, self.plain, self.mine)):
            os.utime(file, (1_700_000_000 + 60 * n,) * 2)

    names = ["Me-And-You/My.Model_2:v1.0-Q4", "SmolLM2:135M-instruct", "127.0.0.1:5005/team/smol:latest"]

    def listed(self, server):
        return server.request("GET", "/api/tags").json()["models"]

    def answer(self, server, name, **fields):
        got = server.post("/api/chat", {"model": name, "messages": [{"role": "user", "content": "Name three colours."}], "stream": False, **fields})
        self.assertEqual(got.status, 200, got.body)
        return got.json()["message"]["content"]

    def test_list(self):
        models = self.listed(self.server())
        self.assertEqual([m["name"] for m in models], self.names)  # newest first
        for m, file in zip(models, (self.mine, self.plain, self.other)):
            data = file.read_bytes()
            held = json.loads(data)
            self.assertEqual(m["model"], m["name"])
            self.assertEqual(m["digest"], sha256(data))
            self.assertEqual(m["size"], held["config"]["size"] + sum(l["size"] for l in held["layers"]))
            self.assertEqual(calendar.timegm(time.strptime(m["modified_at"][:19], "%Y-%m-%dT%H:%M:%S")), int(file.stat().st_mtime))
            self.assertEqual({k: m["details"][k] for k in ("format", "family", "families", "parameter_size", "quantization_level")},
                             {"format": "gguf", "family": "llama", "families": ["llama"], "parameter_size": "134.52M", "quantization_level": "Q4_1"})
        self.assertEqual([m["details"]["parent_model"] for m in models], ["SmolLM2:135M-instruct", "", ""])

    def test_show(self):
        server = self.server()
        shown = server.post("/api/show", {"model": "smollm2:135m-INSTRUCT"}).json()
        self.assertEqual((shown["template"], shown["system"], shown["license"]), (TEMPLATE, "You are terse.", "\n".join(LICENSES)))
        lines = [line.split(maxsplit=1) for line in shown["parameters"].split("\n")]
        self.assertEqual(sorted(map(tuple, lines)), [("num_ctx", "512"), ("num_predict", "16"), ("seed", "1"), ("stop", '"<|im_end|>"'),
                                                     ("stop", '"<|im_start|>"'), ("temperature", "0")])
        self.assertIn(f"\nFROM {self.folder}/models/blobs/{self.weights.replace(':', '-')}\n", shown["modelfile"])
        mine = server.post("/api/show", {"model": "me-and-you/MY.MODEL_2:V1.0-q4"}).json()
        self.assertEqual((mine["template"], mine["messages"]), (OLD_TEMPLATE, MESSAGES))
        self.assertEqual(mine["details"]["parent_model"], "SmolLM2:135M-instruct")
        self.assertEqual(server.post("/api/show", {"model": "127.0.0.1:5005/team/smol"}).status, 200)
        self.assertEqual(server.post("/api/show", {"model": "smol"}).status, 404)  # that one has another host

    def test_run(self):
        server = self.server()
        # The same weights and the same words in a prompt: the same answer, whatever the model's name.
        asked = {"messages": [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "Name three colours."}]}
        plain = self.answer(server, "SmolLM2:135M-instruct")
        self.assertGreater(len(plain), 5)
        self.assertEqual(self.answer(server, "smollm2:135M-Instruct", **asked), plain)
        self.assertEqual(self.answer(server, "127.0.0.1:5005/team/smol:latest", **asked), plain)
        self.assertEqual(self.answer(server, "http://127.0.0.1:5005/TEAM/smol", **asked), plain)
        # What the model begins with stands before the question; the answer there has no end in an old template.
        question = asked["messages"][1:]
        rendered = server.post("/api/chat", {"model": self.names[0], "messages": question, "_debug_render_only": True}).json()
        prompt = ("<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\nHi there.<|im_start|>user\nName three colours.<|im_end|>\n"
                  "<|im_start|>assistant\n")
        self.assertEqual(rendered["_debug_info"]["rendered_template"], prompt)
        raw = server.post("/api/generate", {"model": "smollm2:135m-instruct", "prompt": prompt, "raw": True, "stream": False}).json()
        self.assertEqual(self.answer(server, self.names[0]), raw["response"])
        # One runner has them all: they share their weights.
        self.assertEqual(len(server.runners()), 1)
        done = server.post("/api/generate", {"model": self.names[0], "prompt": "Name three colours.", "stream": False})
        self.assertEqual(done.status, 200, done.body)

    def test_it_stays_as_it_is(self):
        def state():
            return {str(p): (p.stat().st_mode, p.stat().st_mtime_ns, p.stat().st_size) for p in sorted((self.folder / "models").rglob("*"))
                    if p.is_file()}
        before = state()
        server = self.server()
        self.listed(server)
        self.answer(server, "SmolLM2:135M-instruct")
        server.stop()
        self.assertEqual(state(), before)

    def test_a_store_that_may_only_be_read(self):
        for path in sorted((self.folder / "models").rglob("*"), reverse=True):
            path.chmod(0o555 if path.is_dir() else 0o444)
        server = self.server()
        self.assertEqual([m["name"] for m in self.listed(server)], self.names)
        self.assertGreater(len(self.answer(server, "SmolLM2:135M-instruct")), 5)

    def test_what_is_written_beside_it(self):
        server = self.server()
        made = server.post("/api/create", {"model": "New/Thing:1", "from": "smollm2:135m-instruct", "system": "Be <loud> & \"clear\".",
                                           "parameters": {"top_k": 7, "stop": ["x"]}, "messages": MESSAGES, "license": "Licence three"})
        self.assertEqual(made.lines()[-1], {"status": "success"})
        with open(model(), "rb") as file:
            self.assertEqual(server.request("POST", f"/api/blobs/{self.weights}", file.read()).status, 200)  # it is there already
        server.create("fresh", model(), template=TEMPLATE)
        self.assertEqual(server.post("/api/copy", {"source": "SMOLLM2:135m-instruct", "destination": "127.0.0.1:5005/Team/Copy:X"}).status, 200)
        written = self.check_layout()
        # A part of a name that is there in another spelling is taken over.
        self.assertEqual(sorted(written), ["127.0.0.1:5005/team/Copy/X", "127.0.0.1:5005/team/smol/latest",
                                           "registry.ollama.ai/Me-And-You/My.Model_2/v1.0-Q4", "registry.ollama.ai/New/Thing/1",
                                           "registry.ollama.ai/library/SmolLM2/135M-instruct", "registry.ollama.ai/library/fresh/latest"])
        self.assertEqual((self.folder / "models/manifests/127.0.0.1:5005/team/Copy/X").read_bytes(), self.plain.read_bytes())

        new = json.loads(written["registry.ollama.ai/New/Thing/1"])
        self.assertTrue(written["registry.ollama.ai/New/Thing/1"].endswith(b"}\n"))
        self.assertEqual(list(new), ["schemaVersion", "mediaType", "config", "layers"])
        self.assertEqual((new["schemaVersion"], new["mediaType"], new["config"]["mediaType"]), (2, MANIFEST, CONFIG))
        kinds = [l["mediaType"].removeprefix(MEDIA) for l in new["layers"]]
        self.assertEqual(kinds[:2], ["model", "template"])
        self.assertEqual(sorted(kinds[2:]), ["application/x.something-new", "license", "license", "license", "messages", "params", "system"])
        self.assertEqual(new["layers"][0]["digest"], self.weights)
        self.assertEqual(new["layers"][0]["from"], "SmolLM2:135M-instruct")
        content = {l["mediaType"].removeprefix(MEDIA): self.blob(l["digest"]) for l in new["layers"][1:]}
        self.assertEqual(content["system"], b"Be <loud> & \"clear\".")
        self.assertEqual(content["params"], b'{"num_ctx":512,"num_predict":16,"seed":1,"stop":["x"],"temperature":0,"top_k":7}\n')
        self.assertEqual(content["messages"], b'[{"role":"user","content":"Hello"},{"role":"assistant","content":"Hi there."}]\n')
        config = self.blob(new["config"]["digest"])
        self.assertTrue(config.endswith(b"}\n") and config.count(b"\n") == 1)
        for key, value in {"model_format": "gguf", "model_family": "llama", "model_families": ["llama"], "model_type": "134.52M",
                           "file_type": "Q4_1", "architecture": "amd64", "os": "linux"}.items():
            self.assertEqual(json.loads(config)[key], value)

        # Another server, as an Ollama would, finds all of it; and what goes takes only what nobody else has.
        server.stop()
        server.log_path.unlink()
        again = self.server()
        self.assertEqual(len(self.listed(again)), 6)
        self.assertGreater(len(self.answer(again, "new/thing:1")), 0)
        for m in self.listed(again)[:-1]:
            self.assertEqual(again.request("DELETE", "/api/delete", {"model": m["name"]}).status, 200)
        left = self.check_layout()
        self.assertEqual(len(left), 1)
        self.assertEqual(again.request("DELETE", "/api/delete", {"model": self.listed(again)[0]["name"]}).status, 200)
        self.assertEqual(self.listed(again), [])
        self.assertEqual(list((self.folder / "models" / "blobs").iterdir()), [])

    def blob(self, digest):
        return (self.folder / "models" / "blobs" / digest.replace(":", "-")).read_bytes()

    def check_layout(self):
        """Every manifest and what it names, by name, mode, size and digest; nothing but that. The manifests by path."""
        blobs, top = self.folder / "models" / "blobs", self.folder / "models" / "manifests"
        manifests = {}
        named = set()
        for file in top.rglob("*"):
            path = str(file.relative_to(top))
            if not file.is_file() or path.count("/") != 3 or file.name == "not a tag":
                continue
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o644, path)
            manifests[path] = file.read_bytes()
            held = json.loads(manifests[path])
            for layer in [held["config"], *held["layers"]]:
                self.assertRegex(layer["digest"], r"\Asha256:[0-9a-f]{64}\Z")
                named.add((layer["digest"], layer["size"]))
        for digest, size in named:
            data = self.blob(digest)
            self.assertEqual((len(data), sha256(data)), (size, digest[7:]))
            self.assertEqual(stat.S_IMODE((blobs / digest.replace(":", "-")).stat().st_mode), 0o644, digest)
        self.assertEqual({p.name for p in blobs.iterdir()}, {digest.replace(":", "-") for digest, _ in named})
        for folder in (blobs, *[p for p in top.rglob("*") if p.is_dir()]):
            self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o755, folder)
        return manifests

    def test_leftovers_at_start(self):
        (self.plain.parent / "not a tag").unlink()  # else it is not known what it would need
        blobs = self.store.folder / "blobs"
        old, new = time.time() - 4000, time.time() - 60
        orphan = self.store.blob(b"nobody's")["digest"].replace(":", "-")
        fresh = self.store.blob(b"somebody writes a manifest for this just now")["digest"].replace(":", "-")
        part = "sha256-" + "ab" * 32 + "-partial"
        for name, then in ((orphan, old), (fresh, new), (part, old), (part + "-0", old)):
            (blobs / name).touch()
            os.utime(blobs / name, (then, then))
        # From long ago: a colon in the name of a file.
        early = self.store.blob(b"A system text of old.", ":")
        self.store.manifest("registry.ollama.ai/library/early/latest",
                            [{"mediaType": MEDIA + "model", "digest": self.weights, "size": os.stat(model()).st_size},
                             {"mediaType": MEDIA + "system", **early}], self.store.config())
        server = self.server()
        there = {p.name for p in blobs.iterdir()}
        self.assertFalse({orphan, part, part + "-0", early["digest"]} & there)
        self.assertLessEqual({fresh, early["digest"].replace(":", "-"), self.weights.replace(":", "-")}, there)
        self.assertEqual(server.post("/api/show", {"model": "early"}).json()["system"], "A system text of old.")

    def test_a_manifest_that_cannot_be_read_keeps_everything(self):
        orphan = self.store.folder / "blobs" / self.store.blob(b"nobody's")["digest"].replace(":", "-")
        os.utime(orphan, (1_700_000_000,) * 2)
        (self.mine.parent / "broken").write_text('{"schemaVersion":2,"la')
        server = self.server()
        self.assertEqual([m["name"] for m in self.listed(server)], self.names)
        self.assertTrue(orphan.exists())
        self.assertGreater(len(self.answer(server, "SmolLM2:135M-instruct")), 5)

    def test_the_commands(self):
        server = self.server()
        environment = {**os.environ, "QUIPU_HOST": f"http://{server.host}", "HOME": str(self.folder)}

        def run(*words):
            done = subprocess.run([program(), *words], env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
                                  timeout=TIMEOUT, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            return done.stdout
        self.assertEqual([line.split()[0] for line in run("list").splitlines()], ["NAME", *self.names])
        text = run("run", "smollm2:135m-instruct", "Name three colours.")
        self.assertEqual(text.strip(), self.answer(server, "SmolLM2:135M-instruct").strip())
        self.assertIn("You are terse.", run("show", "SMOLLM2:135m-instruct"))


if __name__ == "__main__":
    unittest.main()
