"""The litellm package, unmodified, against a gateway.

usage: litellm_client.py http://HOST:PORT        prints a line for each check and exits 1 when one failed.
"""
import asyncio
import json
import os

# It would ask the internet for prices of models first.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

from checks import check, finish, gateway

base = gateway() + "/v1"
messages = [{"role": "user", "content": "What is a heron?"}]
chat = dict(model="openai/tiny", api_base=base, api_key="none", messages=messages, temperature=0, max_tokens=8)
TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {
            "type": "object", "properties": {"word": {"enum": ["heron", "owl"]}}, "required": ["word"],
            "additionalProperties": False,
        },
    },
}
NAMED = {"type": "function", "function": {"name": "look_up"}}


def text(**more):
    return litellm.completion(**{**chat, **more}).choices[0].message.content


def whole():
    answer = litellm.completion(**chat)
    assert answer.choices[0].message.content and answer.choices[0].finish_reason in ("stop", "length"), answer
    assert answer.usage.completion_tokens > 0


def streamed():
    chunks = list(litellm.completion(**chat, stream=True, stream_options={"include_usage": True}))
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text()
    rebuilt = litellm.stream_chunk_builder(chunks, messages=messages)
    assert rebuilt.choices[0].message.content == text() and rebuilt.usage.completion_tokens > 0


def asynchronous():
    answer = asyncio.run(litellm.acompletion(**chat))
    assert answer.choices[0].message.content == text()


def other_server():
    """As a vLLM server, which is how its users name what they host themselves."""
    assert text(model="hosted_vllm/tiny") == text()


def tool():
    call = litellm.completion(**chat, tools=[TOOL], tool_choice=NAMED).choices[0].message.tool_calls[0]
    assert call.function.name == "look_up", call
    whole = litellm.completion(**{**chat, "max_tokens": 60}, tools=[TOOL], tool_choice=NAMED)
    assert json.loads(whole.choices[0].message.tool_calls[0].function.arguments)["word"] in ("heron", "owl"), whole


def schema():
    form = {
        "type": "json_schema",
        "json_schema": {"name": "bird", "strict": True, "schema": TOOL["function"]["parameters"]},
    }
    assert json.loads(text(max_tokens=60, response_format=form))["word"] in ("heron", "owl")


def continued():
    answer = litellm.text_completion(
        model="text-completion-openai/tiny", api_base=base, api_key="none", prompt="heron", temperature=0, max_tokens=4)
    assert answer.choices[0].text and answer.usage.completion_tokens > 0


def embedded():
    answer = litellm.embedding(model="openai/tiny", api_base=base, api_key="none", input=["heron", "owl"])
    assert len(answer.data) == 2 and answer.data[0]["embedding"] != answer.data[1]["embedding"]


def messages_api():
    """Anthropic's API through the same package."""
    answer = litellm.completion(
        model="anthropic/tiny", api_base=gateway(), api_key="none", messages=messages, temperature=0, max_tokens=8)
    assert answer.choices[0].message.content == text()


def errors():
    for more, kind in [
        ({"temperature": 3}, litellm.BadRequestError), ({"model": "openai/no-such-model"}, litellm.NotFoundError)
    ]:
        try:
            text(**more)
        except kind:
            continue
        raise AssertionError(f"{more}: expected {kind.__name__}")


check("a chat is answered, with its usage", whole)
check("a streamed chat says the same and is put together again", streamed)
check("the asynchronous call says the same", asynchronous)
check("it speaks to the gateway as to vLLM", other_server)
check("a function that is asked for is called", tool)
check("an answer keeps to a schema", schema)
check("a text is continued", continued)
check("texts become vectors", embedded)
check("it speaks to /v1/messages as to Anthropic's", messages_api)
check("wrong requests raise its errors", errors)
finish()
