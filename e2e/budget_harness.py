"""What tests of the memory budget have in common: plans, models that differ, clients that ask at once."""
import concurrent.futures
import json
import pathlib
import subprocess

from cli_harness import model, program

MIB = 1 << 20


def plan(num_ctx, parallel=4, path=None, kv="q8_0"):
    """`quipu plan` of the demo model: the object, with its parts that a budget is made of."""
    out = subprocess.run([program(), "plan", path or model(), "--num-ctx", str(num_ctx), "--parallel", str(parallel),
                          "--kv-cache-type", kv, "--json"],
                         check=True, capture_output=True, text=True).stdout
    p = json.loads(out)
    p["fixed"] = p["memory"]["total"]["planned"] - p["memory"]["kv"]["planned"]
    return p


def stop(server):
    """So that another can start in its place."""
    server.stop()
    server.log_path.unlink()


def another_model(folder):
    """The demo model in a file of its own: models that share one share a runner."""
    path = pathlib.Path(folder) / "another.gguf"
    path.write_bytes(pathlib.Path(model()).read_bytes() + bytes(4096))
    return path


def joined(answer):
    """The last line of a stream, with the whole text."""
    lines = [json.loads(line) for line in answer.body.splitlines()]
    return {**lines[-1], "response": "".join(line["response"] for line in lines)}


def at_once(*jobs):
    """What each returns; a thread for each."""
    with concurrent.futures.ThreadPoolExecutor(len(jobs)) as pool:
        return [f.result() for f in [pool.submit(job) for job in jobs]]


def four_clients(server, name, num_predict=300, num_ctx=1024, stream=False):
    """Four greedy answers that grow together; what each one ends with."""
    def ask(i):
        body = {"model": name, "prompt": f"{i + 1}. Write a long story about the number {i}:", "raw": True, "stream": stream,
                "options": {"temperature": 0, "num_ctx": num_ctx, "num_predict": num_predict, "repeat_guard": False, "stop": []}}
        answer = server.post("/api/generate", body)
        return answer.status, joined(answer) if stream and answer.status == 200 else answer.json()

    return at_once(*(lambda i=i: ask(i) for i in range(4)))


def said(lasts):
    return [(status, last.get("response"), last.get("eval_count"), last.get("done_reason")) for status, last in lasts]
