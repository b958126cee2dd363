#!/usr/bin/env python3
"""Layouts of one model on one machine: how long several jobs take that come at the same time, through the gateway, in turn.

usage: layouts.py --glm GLM --model FILE [--jobs N] [--prompt N] [--answer N] [--rounds N] LAYOUT,THREADS...

e.g. layouts.py --glm glm --model m8q4 1x1,2 2x1,2 1x2,1. A cluster for each layout stays up; every round asks each once, the first round is for
warming up and does not count. What is said is the median time, and the throughput as a share of the first layout's.
"""
import argparse
import json
import socket
import statistics
import subprocess
import threading
import time
import urllib.request


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Cluster:
    """`glm up` with one layout."""

    def __init__(self, options, case):
        layout, threads = case.split(",")
        stages, ranks = map(int, layout.split("x"))
        self.name, self.glm, self.url = case, options.glm, f"http://127.0.0.1:{free_port()}"
        self.process = subprocess.Popen(
            [options.glm, "up", "--model", options.model, "--workers", str(stages * ranks), "--layout", layout, "--threads", threads,
             "--listen", self.url.removeprefix("http://")], stdout=subprocess.DEVNULL)

    def wait_until_ready(self):
        while self.process.poll() is None:
            status = subprocess.run([self.glm, "status", "--gateway", self.url, "--json"], capture_output=True, text=True).stdout
            if status.startswith('{"state":"ready"'):
                return
            time.sleep(0.2)
        raise SystemExit(f"error: the cluster {self.name} ended")

    def ask(self, options, seed):
        # Prompts that nothing is known of yet, and no guesses: made-up text would say nothing about them.
        body = {"prompt": [(seed * 7919 + place * 31) % 250 for place in range(options.prompt)], "max_tokens": options.answer,
                "ignore_eos": True, "speculate": False, "temperature": 0}
        request = urllib.request.Request(
            self.url + "/v1/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
        answer = json.load(urllib.request.urlopen(request))
        assert answer["usage"]["completion_tokens"] == options.answer, answer

    def time(self, options, seeds):
        threads = [threading.Thread(target=self.ask, args=(options, seed)) for seed in seeds]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glm", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--prompt", type=int, default=512)
    parser.add_argument("--answer", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("layouts", nargs="+", metavar="LAYOUT,THREADS")
    options = parser.parse_args()
    clusters = [Cluster(options, case) for case in options.layouts]
    try:
        for cluster in clusters:
            cluster.wait_until_ready()
        times = {cluster.name: [] for cluster in clusters}
        seed = 0
        for turn in range(options.rounds + 1):
            for cluster in clusters if turn % 2 else reversed(clusters):
                took = cluster.time(options, range(seed, seed + options.jobs))
                seed += options.jobs
                if turn:
                    times[cluster.name].append(took)
        first = statistics.median(times[clusters[0].name])
        for name, took in times.items():
            middle = statistics.median(took)
            print(f"{name:8} {options.jobs} jobs of {options.prompt} + {options.answer} tokens: {middle:6.2f} s  {first / middle:.2f}   "
                  + " ".join(f"{value:.2f}" for value in took))
    finally:
        for cluster in clusters:
            cluster.process.terminate()
        for cluster in clusters:
            cluster.process.wait()


main()
