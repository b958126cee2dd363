#!/usr/bin/env python3
"""Files and batches with the openai package, unmodified.

usage: openai_batch.py http://HOST:PORT [API_KEY]

Prints what it did; exits 1 when an answer is not what it should be.
"""
import json
import sys
import time

import openai

if len(sys.argv) not in (2, 3):
    sys.exit("error: expected the gateway's address; usage: openai_batch.py http://HOST:PORT [API_KEY]")
key = sys.argv[2] if len(sys.argv) == 3 else "none"
client = openai.OpenAI(base_url=sys.argv[1].rstrip("/") + "/v1", api_key=key, max_retries=0, timeout=60)
values = [43 * n + 100 for n in range(20)]
lines = [
    json.dumps(
        {
            "custom_id": f"fact-{value}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {
                "messages": [{"role": "user", "content": f" Note: heron={value}. What is it? heron="}],
                "temperature": 0,
                "max_tokens": 8,
            },
        }
    )
    for value in values
]
lines.append(json.dumps({**json.loads(lines[0]), "custom_id": "wrong", "body": {"messages": 5}}))

file = client.files.create(file=("facts.jsonl", "\n".join(lines).encode()), purpose="batch")
assert client.files.retrieve(file.id).bytes == file.bytes and file.filename == "facts.jsonl"
assert file.id in [f.id for f in client.files.list(purpose="batch").data]
batch = client.batches.create(
    input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"what": "facts"})
for _ in range(600):
    batch = client.batches.retrieve(batch.id)
    if batch.status not in ("validating", "in_progress", "finalizing"):
        break
    time.sleep(0.1)
assert batch.status == "completed" and batch.metadata == {"what": "facts"}, batch
assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (21, 20, 1), batch
results = [json.loads(line) for line in client.files.content(batch.output_file_id).text.splitlines()]
assert [r["custom_id"] for r in results] == [f"fact-{value}" for value in values]
for result, value in zip(results, values):
    text = result["response"]["body"]["choices"][0]["message"]["content"]
    assert result["response"]["status_code"] == 200 and text.startswith(str(value)), (text, value)
errors = [json.loads(line) for line in client.files.content(batch.error_file_id).text.splitlines()]
assert [(e["custom_id"], e["response"]["status_code"]) for e in errors] == [("wrong", 400)]
assert batch.id in [b.id for b in client.batches.list().data]
document = client.files.create(file=("note.txt", b" Note: heron=719. It rained."), purpose="user_data")
parts = [
    {"type": "file", "file": {"file_id": document.id}}, {"type": "text", "text": " What is it? heron="}]
job = client.post("/jobs", cast_to=object, body={
    "messages": [{"role": "user", "content": parts}], "temperature": 0, "max_tokens": 8})
for _ in range(300):
    job = client.get(f"/jobs/{job['id']}", cast_to=object)
    if job["status"] in ("finished", "failed"):
        break
    time.sleep(0.1)
assert job["status"] == "finished" and "719" in job["text"], job
assert client.files.delete(document.id).deleted
try:
    client.files.retrieve(document.id)
    raise AssertionError("a deleted file is still there")
except openai.NotFoundError:
    pass
print("20 requests of a batch answered, 1 refused, files kept and deleted")
