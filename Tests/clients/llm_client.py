"""The program `llm`, unmodified, with an OpenAI-compatible model of its configuration.

usage: llm_client.py http://HOST:PORT        prints a line for each check and exits 1 when one failed.
"""
import json
import os
import subprocess
import sys
import tempfile

from checks import check, finish, gateway

MODELS = """
- model_id: glm
  model_name: tiny
  api_base: "{base}"
  supports_tools: true
  supports_schema: true
- model_id: glm-text
  model_name: tiny
  api_base: "{base}"
  completion: true
"""
home = tempfile.TemporaryDirectory()
with open(os.path.join(home.name, "extra-openai-models.yaml"), "w") as models:
    models.write(MODELS.format(base=gateway() + "/v1"))
OPTIONS = ["-o", "temperature", "0", "-o", "max_tokens", "60"]


def llm(*arguments, text=None):
    """What the program prints."""
    run = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "llm"), *arguments], input=text, capture_output=True, text=True,
        timeout=120, env={**os.environ, "LLM_USER_PATH": home.name})
    assert run.returncode == 0, run.stderr[-500:]
    return run.stdout


def whole():
    assert llm("-m", "glm", "--no-stream", "What is a heron?", *OPTIONS) == llm("-m", "glm", "What is a heron?", *OPTIONS) != "\n"


def piped():
    assert llm("-m", "glm", "-s", "Say what it is.", *OPTIONS, text="heron\n" * 50).strip()


def conversation():
    llm("-m", "glm", "What is a heron?", *OPTIONS)
    assert llm("-c", "And an owl?", *OPTIONS).strip()
    logged = json.loads(llm("logs", "-c", "--json"))
    assert len(logged) == 2 and logged[-1]["output_tokens"] > 0, logged


def schema():
    bird = {
        "type": "object", "properties": {"name": {"enum": ["heron", "owl"]}}, "required": ["name"],
        "additionalProperties": False,
    }
    answer = llm("-m", "glm", "--schema", json.dumps(bird), "a bird", *OPTIONS)
    assert json.loads(answer)["name"] in ("heron", "owl"), answer


def tool():
    """The model may call it or not; that the program and the gateway agree about the layout is what is seen here."""
    assert llm("-m", "glm", "-T", "llm_time", "What time is it?", *OPTIONS) is not None


def continued():
    assert llm("-m", "glm-text", "heron", *OPTIONS).strip()


check("an answer, whole and streamed", whole)
check("a text that is piped in", piped)
check("a conversation that goes on, with its usage in the log", conversation)
check("an answer that keeps to a schema", schema)
check("a question with a tool", tool)
check("a text that is continued", continued)
finish()
