"""The langchain-openai package, unmodified, against a gateway.

usage: langchain_client.py http://HOST:PORT        prints a line for each check and exits 1 when one failed.
"""
import asyncio
from typing import Literal

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from checks import check, finish, gateway

base = dict(model="tiny", base_url=gateway() + "/v1", api_key="none", max_retries=0, timeout=60)
# The package asks servers other than OpenAI's for the usage of a stream only where it is told to.
chat = ChatOpenAI(**base, temperature=0, max_tokens=8, stream_usage=True)
long = ChatOpenAI(**base, temperature=0, max_tokens=80)
messages = [SystemMessage("You know birds."), HumanMessage("What is a heron?")]


class Bird(BaseModel):
    """A bird."""

    name: Literal["heron", "owl"]
    legs: Literal[2]


@tool
def look_up(word: Literal["heron", "owl"]) -> str:
    """Looks a word up."""
    return f"{word}: a bird"


def whole():
    answer = chat.invoke(messages)
    assert answer.content and answer.response_metadata["finish_reason"] in ("stop", "length"), answer
    assert answer.usage_metadata["output_tokens"] > 0 and answer.usage_metadata["input_tokens"] > 0


def streamed():
    sum = None
    for chunk in chat.stream(messages):
        sum = chunk if sum is None else sum + chunk
    assert sum.content == chat.invoke(messages).content
    assert sum.usage_metadata["output_tokens"] == chat.invoke(messages).usage_metadata["output_tokens"]


def asynchronous():
    async def ask():
        pieces = [chunk.content async for chunk in chat.astream(messages)]
        return (await chat.ainvoke(messages)).content, "".join(pieces)

    one, other = asyncio.run(ask())
    assert one == other == chat.invoke(messages).content


def batch():
    answers = chat.batch([messages] * 4)
    assert {answer.content for answer in answers} == {chat.invoke(messages).content}


def chain():
    prompt = ChatPromptTemplate.from_messages([("system", "You know birds."), ("human", "What is a {bird}?")])
    assert (prompt | chat | StrOutputParser()).invoke({"bird": "heron"}) == chat.invoke(messages).content


def tools():
    answer = long.bind_tools([look_up], tool_choice="look_up").invoke(messages)
    call = answer.tool_calls[0]
    assert call["name"] == "look_up" and call["args"]["word"] in ("heron", "owl"), answer
    sum = None
    for chunk in long.bind_tools([look_up], tool_choice="look_up").stream(messages):
        sum = chunk if sum is None else sum + chunk
    assert sum.tool_calls[0]["args"] == call["args"], sum
    result = look_up.invoke(call)
    assert isinstance(result, ToolMessage)
    assert chat.bind_tools([look_up]).invoke(messages + [answer, result]).usage_metadata["output_tokens"] > 0


def structured():
    for method in ("json_schema", "function_calling"):
        bird = long.with_structured_output(Bird, method=method).invoke(messages)
        assert isinstance(bird, Bird) and bird.legs == 2, (method, bird)
    kept = long.with_structured_output(Bird, include_raw=True).invoke(messages)
    assert kept["parsed"].legs == 2 and isinstance(kept["raw"], AIMessage) and kept["parsing_error"] is None, kept


def responses():
    newer = ChatOpenAI(**base, temperature=0, max_tokens=16, use_responses_api=True)
    answer = newer.invoke(messages)
    assert answer.text and answer.usage_metadata["output_tokens"] > 0, answer
    assert "".join(chunk.text for chunk in newer.stream(messages)) == answer.text


def continued():
    model = OpenAI(**base, temperature=0, max_tokens=4)
    assert model.invoke("heron") == "".join(model.stream("heron")) != ""


def embedded():
    # Other servers than OpenAI's get texts, and no tokens of a tokenizer that is not theirs.
    vectors = OpenAIEmbeddings(**base, check_embedding_ctx_length=False).embed_documents(["heron", "owl"])
    assert len(vectors) == 2 and vectors[0] != vectors[1]


check("a chat is answered, with its usage", whole)
check("a streamed chat says the same", streamed)
check("the asynchronous calls say the same", asynchronous)
check("a batch is answered", batch)
check("a chain of template, model and parser runs", chain)
check("a bound tool is called, whole and streamed, and its result goes back in", tools)
check("structured output is a pydantic model, by schema and by function", structured)
check("the newer API answers and streams", responses)
check("a text is continued", continued)
check("texts become vectors", embedded)
finish()
