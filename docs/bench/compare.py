#!/usr/bin/env python3
"""glm beside llama.cpp on one machine: the same GGUF file, threads and depth, in turn, medians and their ratio.

usage: compare.py --glm GLM --llama-bench LLAMA_BENCH [--threads N] [--rounds N] [--csv FILE] CASE...

A CASE is FILE:prefill=512:decode=32:depth=0 with the parts that are wanted, e.g. m8q4/model.gguf:prefill=512 or
m2q4/model.gguf:decode=16:depth=32768. llama.cpp runs with and without its flash attention; the better one counts. Every
round measures each program once, alternately; the first round is for warming up and does not count.

Behind a depth both programs hold keys and values that nobody computed: glm by its --fill synthetic, llama-bench when built
with the patch that docs/performance.md describes (BENCH_SYNTHETIC in its environment; a plain llama-bench computes them).
"""
import argparse
import json
import os
import statistics
import subprocess
import sys


def run(command, environment=None):
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(environment or {})})
    if result.returncode != 0:
        sys.exit(f"error: {' '.join(command)} ended with {result.returncode}: {result.stderr.strip()[-300:]}")
    return result.stdout


def parse(case):
    file, *parts = case.split(":")
    values = {"prefill": 0, "decode": 0, "depth": 0}
    for part in parts:
        key, _, value = part.partition("=")
        if key not in values or not value.isdigit():
            sys.exit(f"error: '{part}' in '{case}': expected prefill=N, decode=N or depth=N")
        values[key] = int(value)
    if not os.path.exists(file):
        sys.exit(f"error: no file {file}")
    return file, values


class Peer:
    """llama-bench, tokens/s of prefill and decode by flash attention."""

    def __init__(self, options, file, values):
        self.command = [options.llama_bench, "-m", file, "-t", str(options.threads), "-r", "1", "-o", "json"]
        self.command += ["-p", str(values["prefill"]), "-n", str(values["decode"]), "-d", str(values["depth"])]

    def measure(self, flash):
        rows = json.loads(run(self.command + ["-fa", str(flash)], {"BENCH_SYNTHETIC": "1"}))
        return {("prefill" if row["n_prompt"] else "decode"): row["avg_ts"] for row in rows}


class Own:
    """glm bench model, tokens/s."""

    def __init__(self, options, file, values):
        self.command = [options.glm, "bench", "model", "--model", file, "--threads", str(options.threads), "--json", "--repeats", "1"]
        self.command += [word for key in values for word in (f"--{key}", str(values[key]))]
        if values["depth"]:
            self.command += ["--fill", "synthetic"]
        self.command += ["--kv-type", "f16"]

    def measure(self):
        row = json.loads(run(self.command))["rows"][0]
        rates = {name: row.get(f"{name}_tokens_per_second") for name in ("prefill", "decode")}
        return {name: rate for name, rate in rates.items() if rate}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glm", required=True)
    parser.add_argument("--llama-bench", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--csv", help="rows are added to this file")
    parser.add_argument("cases", nargs="+", metavar="CASE")
    options = parser.parse_args()
    print(f"{'model':<22} {'':<8} {'depth':>7} {'glm':>9} {'llama.cpp':>9}  ratio   (tokens/s, {options.threads} threads, medians of {options.rounds})")
    for case in options.cases:
        file, values = parse(case)
        own, peer = Own(options, file, values), Peer(options, file, values)
        seen = {}
        for turn in range(options.rounds + 1):
            for name, figures in (("glm", own.measure()), ("fa0", peer.measure(0)), ("fa1", peer.measure(1))):
                for measure, value in figures.items():
                    if turn:
                        seen.setdefault(measure, {}).setdefault(name, []).append(value)
        label = os.path.basename(os.path.dirname(os.path.abspath(file)))
        for measure, by in seen.items():
            middle = {name: statistics.median(values) for name, values in by.items()}
            best = max(middle["fa0"], middle["fa1"])
            print(f"{label:<22} {measure:<8} {values['depth']:>7} {middle['glm']:>9.2f} {best:>9.2f}  {middle['glm'] / best:.2f}   "
                  f"(fa 0: {middle['fa0']:.2f}, 1: {middle['fa1']:.2f})", flush=True)
            if options.csv:
                with open(options.csv, "a") as out:
                    row = [f"{measure} {values[measure]}", label, "", "f16", "1x1", options.threads, values["depth"]]
                    out.write(",".join(map(str, row + [f"{middle['glm']:.2f}", "tokens/s", f"llama.cpp {best:.2f}"])) + "\n")


main()
