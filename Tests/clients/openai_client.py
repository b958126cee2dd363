#!/usr/bin/env python3
"""The openai package, unmodified, against a GLM Cluster gateway.

usage: openai_client.py http://HOST:PORT

Prints a line for every check and exits 1 when one failed.
"""
import asyncio

import openai

from checks import check, finish, gateway

PROMPT = " Note: heron=719. It rained. What is it? heron="


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


client = openai.OpenAI(base_url=gateway() + "/v1", api_key="none", max_retries=0, timeout=60)
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


def completion_echo():
    fields = dict(model=model, prompt=PROMPT, temperature=0, max_tokens=1, logprobs=1, echo=True)
    answer = client.completions.create(**fields).choices[0]
    assert answer.text.startswith(PROMPT), answer.text
    columns = answer.logprobs
    assert columns.token_logprobs[0] is None and all(value <= 0 for value in columns.token_logprobs[1:])
    assert len(columns.tokens) == len(columns.text_offset) == len(columns.token_logprobs)
    # What was drawn greedily is the likeliest.
    assert columns.token_logprobs[-1] == max(columns.top_logprobs[-1].values())


def completion_choices():
    fields = dict(model=model, temperature=0, max_tokens=3)
    single = [client.completions.create(**fields, prompt=prompt).choices[0].text for prompt in ("one", "two")]
    many = client.completions.create(**fields, prompt=["one", "two"], n=2)
    assert [choice.text for choice in many.choices] == [single[0], single[0], single[1], single[1]]


def chat_choices():
    answer = client.chat.completions.create(**{**chat, "temperature": 1.5}, n=3, seed=5)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    streamed = {}
    for chunk in client.chat.completions.create(**{**chat, "temperature": 1.5}, n=3, seed=5, stream=True):
        for choice in chunk.choices:
            streamed[choice.index] = streamed.get(choice.index, "") + (choice.delta.content or "")
    assert [streamed[i] for i in range(3)] == [choice.message.content for choice in answer.choices]


def asynchronous():
    async def ask():
        async with openai.AsyncOpenAI(base_url=client.base_url, api_key="none", max_retries=0) as other:
            whole = await other.chat.completions.create(**chat)
            text = ""
            async for chunk in await other.chat.completions.create(**chat, stream=True):
                text += chunk.choices[0].delta.content or ""
            return whole.choices[0].message.content, text

    whole, text = asyncio.run(ask())
    assert whole == text == client.chat.completions.create(**chat).choices[0].message.content


TOOL = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}},
}
NAMED = {"type": "function", "function": {"name": "look_up"}}


def tool():
    answer = client.chat.completions.create(**chat, tools=[TOOL], tool_choice=NAMED).choices[0]
    call = answer.message.tool_calls[0]
    assert call.type == "function" and call.function.name == "look_up" and call.id, answer
    arguments = ""
    for chunk in client.chat.completions.create(**chat, tools=[TOOL], tool_choice=NAMED, stream=True):
        for piece in chunk.choices[0].delta.tool_calls or []:
            arguments += piece.function.arguments or ""
    assert arguments == call.function.arguments, (arguments, call.function.arguments)


def tool_result():
    call = {"id": "call_1", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
    conversation = messages + [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "719"},
    ]
    answer = client.chat.completions.create(**{**chat, "messages": conversation}, tools=[TOOL])
    assert answer.usage.completion_tokens > 0


def responses():
    fields = dict(model=model, input=PROMPT, temperature=0, max_output_tokens=8)
    answer = client.responses.create(**fields)
    assert answer.output_text == client.chat.completions.create(**chat).choices[0].message.content
    events = list(client.responses.create(**fields, stream=True))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    final = events[-1].response
    assert events[-1].type == f"response.{answer.status}" and events[-1].sequence_number == len(events) - 1
    assert text == answer.output_text == final.output_text
    assert final.usage.output_tokens == answer.usage.output_tokens
    called = client.responses.create(
        **fields, tools=[{"type": "function", "name": "look_up", "parameters": {}, "strict": False}],
        tool_choice={"type": "function", "name": "look_up"})
    assert called.output[0].type == "function_call" and called.output[0].name == "look_up"


def embeddings():
    answer = client.embeddings.create(model=model, input=["heron", "heron", "owl"])
    first, same, other = (entry.embedding for entry in answer.data)
    assert first == same and first != other
    assert abs(sum(value * value for value in first) - 1) < 1e-3
    plain = client.embeddings.create(model=model, input="heron", encoding_format="float").data[0].embedding
    assert len(plain) == len(first) and max(abs(a - b) for a, b in zip(plain, first)) < 1e-6


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
    raises(openai.BadRequestError, 400, "n", lambda: create(**chat, n=0))
    raises(openai.BadRequestError, 400, "logit_bias", lambda: create(**chat, logit_bias={"9": 1000}))
    raises(
        openai.BadRequestError, 400, "best_of",
        lambda: client.completions.create(model=model, prompt="x", best_of=3, max_tokens=1))
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
check("an echo is scored", completion_echo)
check("several prompts and copies are choices in order", completion_choices)
check("n chats are drawn apart, whole and streamed", chat_choices)
check("the asynchronous client says the same", asynchronous)
check("a function that is asked for is called, whole and streamed", tool)
check("a function's result goes back in", tool_result)
check("the newer API answers, streams and calls", responses)
check("texts become vectors", embeddings)
check("wrong requests are told which field is wrong", errors)
finish()
