"""The walk of ../client_walk.py with Ollama's Python library. Arguments: the server's address, a GGUF file."""
import json
import math
import sys

import ollama

HOST, FILE = sys.argv[1:3]
MESSAGES = [{"role": "user", "content": "Name three colours."}]
PROMPT = "The sky is"
client = ollama.Client(host=HOST)


def step(name, **got):
    print(json.dumps({"step": name, **got}), flush=True)


def names():
    return sorted(m.model for m in client.list().models)


def failure(name, call):
    try:
        call()
    except ollama.ResponseError as problem:
        step(name, status=problem.status_code, error=problem.error)
    else:
        step(name, status=200, error=None)


step("list of nothing", names=names())
digest = client.create_blob(FILE)
step("upload", digest=digest)
parameters = {"temperature": 0, "seed": 1, "num_ctx": 512, "num_predict": 24}
made = client.create(model="smol", files={"model.gguf": digest}, parameters=parameters, stream=True)
step("create", statuses=[p.status for p in made])
shown = client.show("smol")
step("show", format=shown.details.format, family=shown.details.family, size=shown.details.parameter_size,
     quantization=shown.details.quantization_level, context=shown.modelinfo["llama.context_length"],
     capabilities=shown.capabilities, parameters=sorted(shown.parameters.split("\n")))

chat = client.chat(model="smol", messages=MESSAGES)
step("chat", text=chat.message.content, role=chat.message.role, reason=chat.done_reason, n=chat.eval_count)
parts = list(client.chat(model="smol", messages=MESSAGES, stream=True))
step("chat, streamed", pieces=len(parts), text="".join(p.message.content for p in parts), reason=parts[-1].done_reason,
     n=parts[-1].eval_count, prompt=parts[-1].prompt_eval_count)
answer = client.generate(model="smol", prompt=PROMPT)
step("generate", text=answer.response, reason=answer.done_reason, context=len(answer.context))
parts = list(client.generate(model="smol", prompt=PROMPT, stream=True))
step("generate, streamed", pieces=len(parts), text="".join(p.response for p in parts), reason=parts[-1].done_reason)
probed = client.generate(model="smol", prompt=PROMPT, logprobs=True, top_logprobs=2)
step("logprobs", n=len(probed.logprobs), top=len(probed.logprobs[0].top_logprobs), text="".join(p.token for p in probed.logprobs))
vectors = client.embed(model="smol", input=["one", "two words"]).embeddings
step("embed", sizes=[len(v) for v in vectors], norms=[round(math.sqrt(sum(x * x for x in v)), 4) for v in vectors])
step("old embed", size=len(client.embeddings(model="smol", prompt="one").embedding))
loaded = client.ps().models
step("ps", names=[m.model for m in loaded], context=[m.context_length for m in loaded], holds=[m.size > 0 for m in loaded])
for part in client.chat(model="smol", messages=MESSAGES, options={"num_predict": 400}, stream=True):
    break  # and hang up
step("hang up", text=part.message.content)

made = client.create(model="Me/Terse:v1", from_="smol", system="You are terse.")
step("create from", status=made.status)
shown = client.show("me/terse:V1")
step("show of that", parent=shown.details.parent_model, system="SYSTEM You are terse." in shown.modelfile)
step("copy", status=client.copy("smol", "again").status)
step("list", names=names())
step("delete", status=client.delete("again").status)
client.delete("Me/Terse:v1")
step("list after", names=names())

failure("no such model", lambda: client.chat(model="nope", messages=MESSAGES))
failure("no such model, streamed", lambda: next(client.generate(model="nope", prompt=PROMPT, stream=True)))
failure("a bad name", lambda: client.generate(model="a:b:c", prompt=PROMPT))
failure("a bad name, create", lambda: client.create(model="a:b:c", from_="smol"))
failure("a bad option", lambda: client.chat(model="smol", messages=MESSAGES, options={"num_ctx": "many"}))
failure("show of nothing", lambda: client.show("nope"))
failure("copy of nothing", lambda: client.copy("nope", "again"))
failure("delete of nothing", lambda: client.delete("nope"))
step("unload", reason=client.generate(model="smol", prompt="", keep_alive=0).done_reason)
