"""A client that asks for a long stream and does not read it: others are answered meanwhile, and its job goes on to its end.

usage: stalled_reader.py URL [KEY]
"""
import http.client
import json
import socket
import sys
import time
import urllib.parse

url = urllib.parse.urlsplit(sys.argv[1])
headers = {"content-type": "application/json"}
if len(sys.argv) > 2:
    headers["authorization"] = "Bearer " + sys.argv[2]


def ask(method, path, body=None):
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    connection.request(method, path, json.dumps(body) if body is not None else None, headers)
    answer = json.load(connection.getresponse())
    connection.close()
    return answer


def jobs():
    return {job["id"]: job for job in ask("GET", "/v1/jobs")["data"]}


# A small window, and some thousand events of some kilobytes: far more than the kernels of both sides take.
tokens = 10_000
wish = {"prompt": " Note: heron=719.", "max_tokens": tokens, "ignore_eos": True, "logprobs": 20, "stream": True}
body = json.dumps(wish)
before = jobs()
stalled = socket.socket()
stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
stalled.connect((url.hostname, url.port))
head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
stalled.sendall(
    f"POST /v1/completions HTTP/1.1\r\nhost: {url.hostname}\r\n{head}content-length: {len(body)}\r\n\r\n{body}".encode())

deadline = time.monotonic() + 120
while True:
    new = [job for name, job in jobs().items() if name not in before]
    if new and new[0]["completion_tokens"] > 0:
        break
    assert time.monotonic() < deadline, new
    time.sleep(0.05)
name = new[0]["id"]
answer = ask("POST", "/v1/completions", {"prompt": " Note: heron=719. heron=", "max_tokens": 4, "temperature": 0})
assert answer["usage"]["completion_tokens"] > 0, answer
while True:
    job = ask("GET", f"/v1/jobs/{name}")
    if job["status"] == "finished":
        break
    assert time.monotonic() < deadline, "the job waits for its reader: " + json.dumps({**job, "tokens": None})
    time.sleep(0.2)
assert job["completion_tokens"] == tokens, {**job, "tokens": None, "text": None}

# What was not read is still there, every event of it.
stalled.settimeout(60)
data = b""
while piece := stalled.recv(1 << 16):
    data += piece
events = data.count(b"data: {")
assert events >= tokens and len(data) > 6 << 20 and b"data: [DONE]" in data, (len(data), events)
print(f"{len(data)} bytes waited for their reader")
