"""What langchain-ollama has of the walk of ../client_walk.py. Argument: the address of a server that has the model smol."""
import asyncio
import json
import math
import sys

import ollama
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_ollama import ChatOllama, OllamaEmbeddings, OllamaLLM

HOST = sys.argv[1]
QUESTION = "Name three colours."
PROMPT = "The sky is"


def step(name, **got):
    print(json.dumps({"step": name, **got}), flush=True)


def failure(name, call):
    try:
        call()
    except ollama.ResponseError as problem:
        step(name, status=problem.status_code, error=problem.error)
    else:
        step(name, status=200, error=None)


# It asks /api/tags for the model first.
chat = ChatOllama(model="smol", base_url=HOST, validate_model_on_init=True)
answer = chat.invoke(QUESTION)
step("chat", text=answer.content, reason=answer.response_metadata["done_reason"], n=answer.usage_metadata["output_tokens"])
parts = list(chat.stream([HumanMessage(QUESTION)]))
reasons = [p.response_metadata["done_reason"] for p in parts if "done_reason" in p.response_metadata]
step("chat, streamed", text="".join(p.content for p in parts), reason="".join(reasons), pieces=len(parts))
talk = [SystemMessage("You are terse."), HumanMessage("Hello"), AIMessage("Hi."), HumanMessage(QUESTION)]
step("a conversation", text=chat.invoke(talk).content)


async def together():
    return [a.content for a in await asyncio.gather(*(chat.ainvoke(QUESTION) for _ in range(6)))]


step("six at once", texts=asyncio.run(together()))
step("stop", text=chat.invoke(QUESTION, stop=["\n"]).content)
short = ChatOllama(model="smol", base_url=HOST, num_predict=3, num_ctx=256, temperature=0, seed=1, keep_alive="5m").invoke(QUESTION)
step("its own options", reason=short.response_metadata["done_reason"], n=short.usage_metadata["output_tokens"])
text = OllamaLLM(model="smol", base_url=HOST)
step("generate", text=text.invoke(PROMPT))
step("generate, streamed", text="".join(text.stream(PROMPT)))
vectors = OllamaEmbeddings(model="smol", base_url=HOST).embed_documents(["one", "two words"])
step("embed", sizes=[len(v) for v in vectors], norms=[round(math.sqrt(sum(x * x for x in v)), 4) for v in vectors])
failure("no such model", lambda: ChatOllama(model="nope", base_url=HOST).invoke(QUESTION))
failure("a bad name", lambda: OllamaLLM(model="a:b:c", base_url=HOST).invoke(PROMPT))
