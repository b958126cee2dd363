"""guidellm, unmodified, with made-up texts against a gateway: several streams at once, whole and as events.

usage: guidellm_client.py http://HOST:PORT        prints a line for each check, what was measured, and exits 1 when one failed.

It counts the tokens of its made-up texts with a tokenizer of bytes, which is made here: the model's is not in its form.
"""
import json
import os
import subprocess
import sys
import tempfile

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from checks import check, finish, gateway

STREAMS, SECONDS = 16, 15
folder = tempfile.TemporaryDirectory()
letters = {letter: number for number, letter in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
tokenizer = Tokenizer(models.BPE(vocab=letters, merges=[]))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(os.path.join(folder.name, "bytes"))


def run(name, stream, route):
    """Runs the program; its one benchmark."""
    out = os.path.join(folder.name, f"{name}.json")
    backend = {
        "kind": "openai_http", "target": gateway(), "model": "tiny", "request_format": route, "stream": stream,
        # Random weights end an answer whenever they like; as many tokens as were asked for are wanted.
        "extras": {"body": {"ignore_eos": True}},
    }
    text = {"kind": "synthetic_text", "prompt_tokens": 200, "output_tokens": 32}
    done = subprocess.run(
        [
            os.path.join(os.path.dirname(sys.executable), "guidellm"), "run", "--backend", json.dumps(backend),
            "--profile", json.dumps({"kind": "concurrent", "streams": STREAMS}),
            "--constraint", json.dumps({"kind": "max_duration", "seconds": SECONDS}),
            "--tokenizer", json.dumps({"kind": "huggingface_auto", "model": os.path.join(folder.name, "bytes")}),
            "--data", json.dumps(text), "--output", json.dumps({"kind": "json", "path": out}), "--disable-console",
        ],
        capture_output=True, text=True, timeout=240, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, (done.stdout + done.stderr)[-1500:]
    with open(out) as file:
        (benchmark,) = json.load(file)["benchmarks"]
    return benchmark


def measured(name, stream, route):
    metrics = run(name, stream, route)["metrics"]
    totals = metrics["request_totals"]
    assert totals["errored"] == 0 and totals["successful"] >= STREAMS, totals
    tokens = metrics["output_token_count"]["successful"]
    assert tokens["min"] == tokens["max"] == 32, tokens
    line = f"{totals['successful']} requests, {metrics['output_tokens_per_second']['successful']['mean']:.0f} tokens/s"
    if stream:
        first, between = (metrics[key]["successful"]["percentiles"]["p95"] for key in ("time_to_first_token_ms", "inter_token_latency_ms"))
        line += f", p95 of the first token {first:.0f} ms, of the next {between:.1f} ms"
    print(f"        {name}: {line}")


check(f"{STREAMS} streamed chats at once", lambda: measured("chats", True, "/v1/chat/completions"))
check(f"{STREAMS} streamed completions at once", lambda: measured("completions", True, "/v1/completions"))
check(f"{STREAMS} whole chats at once", lambda: measured("whole chats", False, "/v1/chat/completions"))
finish()
