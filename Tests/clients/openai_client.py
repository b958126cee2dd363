#!/usr/bin/env python3
"""The openai package, unmodified, against a GLM Cluster gateway.

usage: openai_client.py http://HOST:PORT

Prints a line for every check and exits 1 when one failed.
"""
import sys

import openai

PROMPT = " Note: heron=719. It rained. What is it? heron="
failures = 0


def check(name, body):
    """Runs one check; what it asserts or raises is its failure."""
    global failures
    try:
        body()
        print(f"ok      {name}")
    except Exception as error:  # a check may fail in any way; the others still run
        failures += 1
        print(f"FAILED  {name}: {type(error).__name__}: {error}")


def raises(kind, status, param, call):
    """Calls and expects an API error of a kind, with its status and param."""
    try:
        call()
    except kind as error:
        assert error.status_code == status, error
        assert error.param == param, (error.param, param)
        assert error.message, error
        return
    raise AssertionError(f"expected {kind.__name__}")


if len(sys.argv) != 2:
    sys.exit("error: expected the gateway's address; usage: openai_client.py http://HOST:PORT")
client = openai.OpenAI(base_url=sys.argv[1].rstrip("/") + "/v1", api_key="none", max_retries=0, timeout=60)
model = client.models.list().data[0].id
messages = [{"role": "user", "content": PROMPT}]
chat = dict(model=model, messages=messages, temperature=0, max_tokens=8)


def models():
    assert client.models.retrieve(model).id == model
    raises(openai.NotFoundError, 404, "model", lambda: client.models.retrieve("no-such-model"))


def chat_whole():
    answer = client.chat.completions.create(**chat)
    choice = answer.choices[0]
    assert answer.object == "chat.completion" and answer.model == model
    assert choice.message.role == "assistant" and choice.message.content
    assert choice.finish_reason in ("stop", "length")
    usage = answer.usage
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens >= 0


def chat_streamed():
    whole = client.chat.completions.create(**chat)
    chunks = list(client.chat.completions.create(**chat, stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content, (text, whole.choices[0].message.content)
    ends = [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason]
    assert ends == [whole.choices[0].finish_reason]
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def chat_logprobs():
    answer = client.chat.completions.create(**chat, logprobs=True, top_logprobs=3)
    content = answer.choices[0].logprobs.content
    assert content
    for entry in content:
        assert entry.logprob <= 0 and len(entry.top_logprobs) == 3
        assert entry.top_logprobs[0].logprob >= entry.top_logprobs[1].logprob
        # Greedy: the token that was drawn is the most likely one.
        assert entry.top_logprobs[0].token == entry.token
    spelled = b"".join(bytes(entry.bytes) for entry in content).decode("utf-8", "replace").lstrip("\n")
    assert spelled.startswith(answer.choices[0].message.content[:1])


def chat_stop():
    full = client.chat.completions.create(**chat).choices[0].message.content
    assert len(full) >= 2, full
    stop = full[1]
    cut = client.chat.completions.create(**chat, stop=[stop]).choices[0]
    assert cut.message.content == full[: full.index(stop)], (cut.message.content, full, stop)
    assert cut.finish_reason == "stop"


def chat_length():
    answer = client.chat.completions.create(model=model, messages=messages, temperature=0, max_completion_tokens=1)
    assert answer.choices[0].finish_reason == "length" and answer.usage.completion_tokens == 1


def chat_seed():
    drawn = [
        client.chat.completions.create(model=model, messages=messages, temperature=1.5, seed=7, max_tokens=8)
        .choices[0].message.content
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1], drawn


def chat_parts():
    parts = [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}]
    answer = client.chat.completions.create(**{**chat, "messages": parts})
    assert answer.choices[0].message.content == client.chat.completions.create(**chat).choices[0].message.content


def completion_whole():
    answer = client.completions.create(model=model, prompt=PROMPT, temperature=0, max_tokens=4, logprobs=2)
    assert answer.object == "text_completion" and answer.choices[0].text
    logprobs = answer.choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset)
    assert all(len(top) >= 1 for top in logprobs.top_logprobs)


def completion_streamed():
    fields = dict(model=model, prompt=PROMPT, temperature=0, max_tokens=4)
    whole = client.completions.create(**fields).choices[0].text
    streamed = "".join(chunk.choices[0].text for chunk in client.completions.create(**fields, stream=True))
    assert streamed == whole, (streamed, whole)


def completion_tokens():
    answer = client.completions.create(model=model, prompt=[1, 2, 3], temperature=0, max_tokens=1)
    assert answer.usage.prompt_tokens == 3


def closed_stream():
    """A stream that is left early does not keep the cluster from answering."""
    stream = client.chat.completions.create(model=model, messages=messages, temperature=1, stream=True)
    next(iter(stream))
    stream.close()
    assert client.chat.completions.create(**chat).choices[0].message.content


def errors():
    create = client.chat.completions.create
    raises(openai.NotFoundError, 404, "model", lambda: create(model="no-such-model", messages=messages))
    raises(openai.BadRequestError, 400, "temperature", lambda: create(**{**chat, "temperature": 3}))
    raises(openai.BadRequestError, 400, "max_tokens", lambda: create(**{**chat, "max_tokens": -1}))
    raises(openai.BadRequestError, 400, "n", lambda: create(**chat, n=2))
    raises(openai.BadRequestError, 400, "messages", lambda: create(model=model, messages=[]))
    raises(openai.BadRequestError, 400, "seed", lambda: create(**chat, extra_body={"seed": "x"}))
    raises(
        openai.BadRequestError, 400, "prompt",
        lambda: client.completions.create(model=model, prompt=[2_000_000_000], max_tokens=1))


check("models are listed, retrieved and not found", models)
check("a chat is answered, with its usage", chat_whole)
check("a streamed chat says the same and ends with its usage", chat_streamed)
check("a chat has log-probabilities with alternatives", chat_logprobs)
check("a stop string ends a chat", chat_stop)
check("max_completion_tokens ends a chat", chat_length)
check("a seed draws the same answer again", chat_seed)
check("content parts are one text", chat_parts)
check("a text is completed, with log-probabilities", completion_whole)
check("a streamed completion says the same", completion_streamed)
check("a prompt may be tokens", completion_tokens)
check("a stream may be left early", closed_stream)
check("wrong requests are told which field is wrong", errors)
print(f"{13 - failures} of 13 checks passed")
sys.exit(1 if failures else 0)
