"""The instructor package, unmodified, against a gateway.

usage: instructor_client.py http://HOST:PORT        prints a line for each check and exits 1 when one failed.
"""
import asyncio
from typing import Literal

import instructor
import openai
from pydantic import BaseModel

from checks import check, finish, gateway

at = dict(base_url=gateway() + "/v1", api_key="none", max_retries=0, timeout=60)
# No second attempt: the first answer has to conform.
ask = dict(
    model="tiny", messages=[{"role": "user", "content": "What is a heron?"}], temperature=0, max_tokens=120, max_retries=0)


class Bird(BaseModel):
    """A bird."""

    name: Literal["heron", "owl"]
    legs: Literal[2]
    flies: bool


def mode(mode):
    bird = instructor.from_openai(openai.OpenAI(**at), mode=mode).create(response_model=Bird, **ask)
    assert isinstance(bird, Bird) and bird.legs == 2, bird


def partial():
    client = instructor.from_openai(openai.OpenAI(**at), mode=instructor.Mode.JSON_SCHEMA)
    birds = list(client.create_partial(response_model=Bird, **ask))
    assert birds[-1].model_dump() == client.create(response_model=Bird, **ask).model_dump(), birds[-1]
    assert any(bird.name and bird.legs is None for bird in birds)


def completion():
    client = instructor.from_openai(openai.OpenAI(**at), mode=instructor.Mode.TOOLS)
    bird, raw = client.create_with_completion(response_model=Bird, **ask)
    assert bird.legs == 2 and raw.usage.completion_tokens > 0


def asynchronous():
    client = instructor.from_openai(openai.AsyncOpenAI(**at), mode=instructor.Mode.JSON_SCHEMA)
    assert asyncio.run(client.create(response_model=Bird, **ask)).legs == 2


check("an object by a function's arguments", lambda: mode(instructor.Mode.TOOLS))
check("an object by a strict function's arguments", lambda: mode(instructor.Mode.TOOLS_STRICT))
check("an object by a JSON schema", lambda: mode(instructor.Mode.JSON_SCHEMA))
check("an object that grows while it is streamed", partial)
check("an object with its raw answer", completion)
check("the asynchronous client says the same", asynchronous)
finish()
