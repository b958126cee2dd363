"""The anthropic package, unmodified, against a gateway.

usage: anthropic_client.py http://HOST:PORT        prints a line for each check and exits 1 when one failed.
"""
import asyncio

import anthropic

from checks import check, finish, gateway

PROMPT = " Note: heron=719. It rained. What is it? heron="
TOOL = {
    "name": "look_up",
    "description": "Looks a word up.",
    "input_schema": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
}
client = anthropic.Anthropic(base_url=gateway(), api_key="none", max_retries=0, timeout=60)
model = client.models.list().data[0].id
messages = [{"role": "user", "content": PROMPT}]
# Newer versions of the package have no argument for the temperature.
fields = dict(model=model, max_tokens=8, messages=messages, extra_body={"temperature": 0})


def whole():
    answer = client.messages.create(**fields)
    assert answer.type == "message" and answer.role == "assistant" and answer.model == model
    assert answer.content[0].type == "text" and answer.content[0].text
    assert answer.stop_reason in ("end_turn", "max_tokens")
    assert answer.usage.output_tokens > 0
    assert answer.usage.input_tokens + answer.usage.cache_read_input_tokens > 0


def streamed():
    expected = client.messages.create(**fields)
    with client.messages.stream(**fields) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == expected.content[0].text == final.content[0].text, (text, expected.content[0].text)
    assert final.stop_reason == expected.stop_reason
    assert final.usage.output_tokens == expected.usage.output_tokens


def asynchronous():
    async def ask():
        async with anthropic.AsyncAnthropic(base_url=gateway(), api_key="none", max_retries=0) as other:
            return await other.messages.create(**fields)

    assert asyncio.run(ask()).content[0].text == client.messages.create(**fields).content[0].text


def system_and_blocks():
    blocks = [{"role": "user", "content": [{"type": "text", "text": PROMPT}]}]
    answer = client.messages.create(**{**fields, "messages": blocks}, system="Be short.")
    assert answer.content


def stop():
    full = client.messages.create(**fields).content[0].text
    assert len(full) >= 2, full
    cut = client.messages.create(**fields, stop_sequences=["never", full[1]])
    assert cut.stop_reason == "stop_sequence" and cut.stop_sequence == full[1], cut
    assert "".join(block.text for block in cut.content) == full[: full.index(full[1])]


def count():
    counted = client.messages.count_tokens(model=model, messages=messages).input_tokens
    usage = client.messages.create(**fields).usage
    assert counted == usage.input_tokens + usage.cache_read_input_tokens


def tool():
    forced = dict(tools=[TOOL], tool_choice={"type": "tool", "name": "look_up"})
    answer = client.messages.create(**fields, **forced)
    used = answer.content[0]
    assert used.type == "tool_use" and used.name == "look_up" and used.id.startswith("toolu_"), answer
    with client.messages.stream(**fields, **forced) as stream:
        kinds = {event.type for event in stream}
        final = stream.current_message_snapshot
    assert "content_block_start" in kinds and final.content[0].name == "look_up"


def tool_result():
    conversation = messages + [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"word": "heron"}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "719"}]},
    ]
    assert client.messages.create(**{**fields, "messages": conversation}, tools=[TOOL]).usage.output_tokens > 0


def errors():
    for kind, wrong in [
        (anthropic.NotFoundError, {"model": "no-such-model"}),
        (anthropic.BadRequestError, {"max_tokens": 0}),
        (anthropic.BadRequestError, {"messages": []}),
        (anthropic.BadRequestError, {"extra_body": {"temperature": 9}}),
    ]:
        try:
            client.messages.create(**{**fields, **wrong})
        except kind as error:
            assert error.body["type"] == "error" and error.body["error"]["message"], error.body
        else:
            raise AssertionError(f"expected {kind.__name__} for {wrong}")


check("a message is answered, with its usage", whole)
check("a streamed message says the same", streamed)
check("the asynchronous client says the same", asynchronous)
check("a system text and blocks are taken", system_and_blocks)
check("a stop sequence ends a message and is named", stop)
check("tokens are counted as they are used", count)
check("a tool that is asked for is used, whole and streamed", tool)
check("a tool's result goes back in", tool_result)
check("wrong requests raise the client's errors", errors)
finish()
