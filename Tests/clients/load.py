#!/usr/bin/env python3
"""Many clients at once against a gateway, with sockets alone, so that the load costs little beside what it loads.

usage: load.py http://HOST:PORT SECONDS QUEUE NAME=PID...

SECONDS are measured, behind a warm-up. QUEUE is how many jobs may wait in the cluster; each NAME=PID is a process whose resident memory has to stay flat. With 90 seconds or more
the connections that say nothing are also watched until the gateway closes them. Prints a line for every check, and what was measured;
exits 1 when a check failed.
"""
import asyncio
import json
import os
import re
import socket
import statistics
import sys
import time
from urllib.parse import urlsplit

from checks import check, finish

CLIENTS = 200
SILENT = 1000
STALLED = 5
TOKENS = 24
WARM = 1500
HEARTBEATS = 20

if len(sys.argv) < 5:
    sys.exit("error: expected an address, seconds, the queue's length and processes; usage: load.py http://HOST:PORT SECONDS QUEUE NAME=PID...")
host, port = urlsplit(sys.argv[1]).hostname, urlsplit(sys.argv[1]).port
seconds, queue = float(sys.argv[2]), int(sys.argv[3])
# The short form runs where other things run; the long one says what the gateway can do.
own_latency_limit = 0.010 if seconds >= 90 else 0.025
# In ten seconds the workers' allocators still settle.
growth_limit = 1.05 if seconds >= 90 else 1.15
processes = dict(part.split("=") for part in sys.argv[4:])


class Refused(Exception):
    """An answer that is not 200."""

    def __init__(self, status, headers, body):
        super().__init__(f"{status}: {body[:200]}")
        self.status, self.headers = status, headers


async def ask(path, body=None, limit=1 << 20, buffer=None):
    """Sends a request; the reader and writer are behind the head of the answer."""
    if buffer is None:
        reader, writer = await asyncio.open_connection(host, port, limit=limit)
    else:
        # A reader with no room of its own: what it does not read stays in the gateway.
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (host, port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=limit)
    data = b"" if body is None else json.dumps(body).encode()
    head = f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + data)
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    status = int(lines[0].split()[1])
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
    if status not in (200, 202):
        text = (await reader.read()).decode()
        writer.close()
        raise Refused(status, headers, text)
    return reader, writer


async def whole(path, body=None):
    """A whole answer."""
    reader, writer = await ask(path, body)
    text = (await reader.read()).decode()
    writer.close()
    return text


def question(number, tokens):
    """A streamed request with a prompt of its own."""
    text = f"Note {number}: heron={number % 899 + 100}. It rained. What is it? heron="
    return {
        "messages": [{"role": "user", "content": text}], "max_tokens": tokens, "ignore_eos": True, "stream": True,
        "seed": number}


async def read_stream(reader, load=None):
    """Reads a stream to its end, which must be as it should; `load` counts the events."""
    ended = False
    async for line in reader:
        if line.startswith(b"data: {"):
            if load:
                load.events += 1
            if b'"error"' in line:
                raise AssertionError(line[:300].decode())
            ended = ended or b'"finish_reason":"length"' in line
        elif line.startswith(b"data: [DONE]"):
            assert ended, "a stream without a finish_reason"
            return
    raise AssertionError("a stream ended without [DONE]")


async def answered(body, load=None):
    """Asks and reads to the end; `load` counts the events."""
    reader, writer = await ask("/v1/chat/completions", body)
    try:
        await read_stream(reader, load)
    finally:
        writer.close()


class Load:
    """Clients that ask one question after another."""

    def __init__(self):
        self.streams = 0
        self.events = 0
        self.errors = []
        self.next = 0
        self.stop = False

    async def client(self):
        while not self.stop:
            self.next += 1
            try:
                await answered(question(self.next, TOKENS), self)
                self.streams += 1
            except Exception as error:  # whatever it is, it is counted
                self.errors.append(f"{type(error).__name__}: {error}")
                await asyncio.sleep(0.1)


def resident(pid):
    """Resident memory, in KiB."""
    with open(f"/proc/{pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def used(pid):
    """Seconds of processor time."""
    with open(f"/proc/{pid}/stat") as status:
        fields = status.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def sampled(span):
    """The median of each process's resident memory over some seconds."""
    found = {name: [] for name in processes}
    end = time.monotonic() + span
    while time.monotonic() < end:
        for name, pid in processes.items():
            found[name].append(resident(pid))
        await asyncio.sleep(0.25)
    return {name: statistics.median(values) for name, values in found.items()}


async def histogram(name):
    """A histogram's cumulated buckets: bound to count."""
    text = await whole("/metrics")
    buckets = re.findall(rf'^{name}_bucket{{le="([^"]+)"}} (\d+)', text, re.M)
    return {float(bound): int(count) for bound, count in buckets}


def quantile(before, after, share):
    """The smallest bound that so large a share of what came between is under."""
    grown = {bound: count - before.get(bound, 0) for bound, count in after.items()}
    total = grown[float("inf")]
    return next(bound for bound in sorted(grown) if grown[bound] >= share * total), total


async def silent():
    """Connections that say nothing."""
    return await asyncio.gather(*(asyncio.open_connection(host, port) for _ in range(SILENT)))


async def closed(connections, patience):
    """How many of them the gateway closed within some seconds."""
    async def one(reader):
        try:
            return await asyncio.wait_for(reader.read(1), patience) == b""
        except (asyncio.TimeoutError, ConnectionError) as error:
            return isinstance(error, ConnectionError)
    return sum(await asyncio.gather(*(one(reader) for reader, _ in connections)))


async def stalled():
    """Readers that take the head of a long stream and no more, with the names of their jobs."""
    found = []
    for number in range(STALLED):
        body = {**question(number, 1500), "logprobs": True, "top_logprobs": 20}
        reader, writer = await ask("/v1/chat/completions", body, limit=4096, buffer=4096)
        while not (line := await reader.readline()).startswith(b"data: {"):
            pass
        found.append((json.loads(line[6:])["id"].removeprefix("chatcmpl-"), reader, writer))
    return found


async def burst(count):
    """Requests at one moment: how many were answered, and the refusals."""
    async def one(number):
        try:
            await answered(question(number, TOKENS))
            return None
        except Exception as error:
            return error
    found = await asyncio.gather(*(one(number) for number in range(count)))
    return sum(error is None for error in found), [error for error in found if error is not None]


async def run():
    """Everything in order; what was seen, for the checks."""
    seen = {}
    load = Load()
    clients = [asyncio.create_task(load.client()) for _ in range(CLIENTS)]
    # Warm is what has a full KV pool, has begun to forget jobs, and has heartbeats of streams that ended run out.
    start = time.monotonic()
    while (load.streams < WARM or time.monotonic() - start < HEARTBEATS) and not load.errors:
        await asyncio.sleep(0.1)
    name = "glm_gateway_token_latency_seconds"
    memory, latency, start = await sampled(2), await histogram(name), time.monotonic()
    events, processor = load.events, {name: used(pid) for name, pid in processes.items()}
    await asyncio.sleep(seconds)
    seen["latency"] = [quantile(latency, await histogram(name), share)[0] for share in (0.5, 0.9, 0.99)]
    seen["rate"] = (load.events - events) / (time.monotonic() - start)
    seen["processor"] = {name: (used(pid) - processor[name]) / (load.events - events) for name, pid in processes.items()}
    after = await sampled(2)
    seen["memory"] = {name: (memory[name], after[name]) for name in processes}

    # The same load beside readers that stall: their jobs end, and the others go on.
    readers = await stalled()
    events, start = load.events, time.monotonic()
    left, seen["jobs"] = [job for job, _, _ in readers], []
    while left and time.monotonic() - start < 120:
        for job in list(left):
            state = json.loads(await whole(f"/v1/jobs/{job}"))
            if state["status"] in ("finished", "failed", "cancelled"):
                seen["jobs"].append((state["status"], state["completion_tokens"]))
                left.remove(job)
        await asyncio.sleep(0.1)
    seen["rate beside"] = (load.events - events) / (time.monotonic() - start)
    for _, reader, writer in readers:
        await read_stream(reader)
        writer.close()

    # And beside connections that say nothing.
    connections, start = await silent(), time.monotonic()
    asked = time.monotonic()
    await whole("/health")
    seen["health"] = time.monotonic() - asked
    events = load.events
    await asyncio.sleep(3)
    seen["rate among silent"] = (load.events - events) / 3
    if seconds >= 90:
        seen["closed"] = await closed(connections, 90)
        seen["closed after"] = time.monotonic() - start
    for _, writer in connections:
        writer.close()
    load.stop = True
    await asyncio.gather(*clients)
    seen["errors"], seen["streams"] = load.errors, load.streams

    seen["burst"] = await burst(3 * queue + CLIENTS)
    await answered(question(0, 4))
    return seen


seen = asyncio.run(run())
print(f"        {CLIENTS} clients: {seen['streams']} streams, {seen['rate']:.0f} events/s; beside stalled readers "
      f"{seen['rate beside']:.0f}, among {SILENT} silent connections {seen['rate among silent']:.0f}")
print("        the gateway's own latency of a token: "
      + ", ".join(f"p{p} <= {bound * 1000:g} ms" for p, bound in zip((50, 90, 99), seen["latency"])))
print("        processor time for an event, us: "
      + ", ".join(f"{name} {share * 1e6:.0f}" for name, share in seen["processor"].items()))
print("        resident memory after warm-up and at the end, MiB: "
      + ", ".join(f"{name} {a / 1024:.1f} {b / 1024:.1f}" for name, (a, b) in seen["memory"].items()))


def no_errors():
    assert not seen["errors"], f"{len(seen['errors'])} errors, such as {seen['errors'][:3]}"
    assert seen["streams"] >= CLIENTS


def flat():
    grown = {name: b / a for name, (a, b) in seen["memory"].items() if b > a * growth_limit}
    assert not grown, grown


def own_latency():
    assert seen["latency"][2] <= own_latency_limit, seen["latency"]


def stalled_readers():
    assert seen["jobs"] == [("finished", 1500)] * STALLED, seen["jobs"]
    assert seen["rate beside"] > seen["rate"] / 3, (seen["rate"], seen["rate beside"])


def silent_connections():
    assert seen["health"] < 1 and seen["rate among silent"] > seen["rate"] / 3, (seen["health"], seen["rate among silent"])
    if "closed" in seen:
        assert seen["closed"] == SILENT and seen["closed after"] < 75, (seen["closed"], seen["closed after"])


def refused_burst():
    answered, refused = seen["burst"]
    assert answered >= queue and refused, (answered, len(refused))
    strange = [e for e in refused if not (isinstance(e, Refused) and e.status == 429 and int(e.headers["retry-after"]) >= 1)]
    assert not strange, strange[:3]


check(f"{CLIENTS} streaming clients at once meet no error", no_errors)
check(f"resident memory is flat within {growth_limit * 100 - 100:.0f}%", flat)
check(f"99 of 100 tokens leave the gateway within {own_latency_limit * 1000:g} ms", own_latency)
check("readers that stall hold up neither their jobs nor others, and find all when they go on", stalled_readers)
check(f"{SILENT} connections that say nothing do not matter", silent_connections)
check("a burst beyond the queue is refused with 429 and Retry-After, and the rest answered", refused_burst)
finish()
