// The walk of ../client_walk.py with Ollama's JavaScript library. Arguments: the server's address, a GGUF file, its digest.
import { createReadStream } from "node:fs";
import { createRequire } from "node:module";

// The library lies where scripts/fetch-clients put it, not beside this file.
const { Ollama } = createRequire(process.env.QUIPU_NODE_FOLDER + "/package.json")("ollama");
const [host, file, digest] = process.argv.slice(2);
const messages = [{ role: "user", content: "Name three colours." }];
const prompt = "The sky is";
const client = new Ollama({ host });

const step = (name, got) => process.stdout.write(JSON.stringify({ step: name, ...got }) + "\n");
const names = async () => (await client.list()).models.map((m) => m.name).sort();
const all = async (stream) => {
  const parts = [];
  for await (const part of stream) parts.push(part);
  return parts;
};
const failure = async (name, call) => {
  try {
    await call();
    step(name, { status: 200, error: null });
  } catch (problem) {
    step(name, { status: problem.status_code, error: problem.error });
  }
};

step("list of nothing", { names: await names() });
// The library has no upload of its own; this is how its users send a file: chunked, without a length.
const sent = await fetch(`${host}/api/blobs/${digest}`, { method: "POST", body: createReadStream(file), duplex: "half" });
step("upload", { digest: sent.status === 201 ? digest : String(sent.status) });
const parameters = { temperature: 0, seed: 1, num_ctx: 512, num_predict: 24 };
const made = await all(await client.create({ model: "smol", files: { "model.gguf": digest }, parameters, stream: true }));
step("create", { statuses: made.map((p) => p.status) });
let shown = await client.show({ model: "smol" });
step("show", { format: shown.details.format, family: shown.details.family, size: shown.details.parameter_size,
  quantization: shown.details.quantization_level, context: shown.model_info["llama.context_length"],
  capabilities: shown.capabilities, parameters: shown.parameters.split("\n").sort() });

const chat = await client.chat({ model: "smol", messages });
step("chat", { text: chat.message.content, role: chat.message.role, reason: chat.done_reason, n: chat.eval_count });
let parts = await all(await client.chat({ model: "smol", messages, stream: true }));
let last = parts.at(-1);
step("chat, streamed", { pieces: parts.length, text: parts.map((p) => p.message.content).join(""), reason: last.done_reason,
  n: last.eval_count, prompt: last.prompt_eval_count });
const answer = await client.generate({ model: "smol", prompt });
step("generate", { text: answer.response, reason: answer.done_reason, context: answer.context.length });
parts = await all(await client.generate({ model: "smol", prompt, stream: true }));
step("generate, streamed", { pieces: parts.length, text: parts.map((p) => p.response).join(""), reason: parts.at(-1).done_reason });
const probed = await client.generate({ model: "smol", prompt, logprobs: true, top_logprobs: 2 });
step("logprobs", { n: probed.logprobs.length, top: probed.logprobs[0].top_logprobs.length,
  text: probed.logprobs.map((p) => p.token).join("") });
const vectors = (await client.embed({ model: "smol", input: ["one", "two words"] })).embeddings;
step("embed", { sizes: vectors.map((v) => v.length), norms: vectors.map((v) => Number(Math.hypot(...v).toFixed(4))) });
step("old embed", { size: (await client.embeddings({ model: "smol", prompt: "one" })).embedding.length });
const loaded = (await client.ps()).models;
step("ps", { names: loaded.map((m) => m.name), context: loaded.map((m) => m.context_length), holds: loaded.map((m) => m.size > 0) });
const stream = await client.chat({ model: "smol", messages, options: { num_predict: 400 }, stream: true });
for await (const part of stream) {
  step("hang up", { text: part.message.content });
  break;
}
client.abort();

step("create from", { status: (await client.create({ model: "Me/Terse:v1", from: "smol", system: "You are terse." })).status });
shown = await client.show({ model: "me/terse:V1" });
step("show of that", { parent: shown.details.parent_model, system: shown.modelfile.includes("SYSTEM You are terse.") });
step("copy", { status: (await client.copy({ source: "smol", destination: "again" })).status });
step("list", { names: await names() });
step("delete", { status: (await client.delete({ model: "again" })).status });
await client.delete({ model: "Me/Terse:v1" });
step("list after", { names: await names() });

await failure("no such model", () => client.chat({ model: "nope", messages }));
await failure("no such model, streamed", () => client.generate({ model: "nope", prompt, stream: true }));
await failure("a bad name", () => client.generate({ model: "a:b:c", prompt }));
await failure("a bad name, create", () => client.create({ model: "a:b:c", from: "smol" }));
await failure("a bad option", () => client.chat({ model: "smol", messages, options: { num_ctx: "many" } }));
await failure("show of nothing", () => client.show({ model: "nope" }));
await failure("copy of nothing", () => client.copy({ source: "nope", destination: "again" }));
await failure("delete of nothing", () => client.delete({ model: "nope" }));
step("unload", { reason: (await client.generate({ model: "smol", prompt: "", keep_alive: 0 })).done_reason });
