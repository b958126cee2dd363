#!/usr/bin/env python3
"""Runs a glm binary over Tests/Golden and compares: logits, greedy tokens, one answer in every layout, tokens, templates, damaged files.

usage: golden_check.py GLM [--only FOLDER]          Python's own library only.
       golden_check.py GLM --smollm2 FILE.gguf      the small real model alone: text to ids, greedy answers, top logits.
The last line is `N passed, N failed`.
"""
import argparse
import array
import json
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GOLDEN = Path(__file__).resolve().parent / "Golden"
LAYOUTS = (
    ["--layout", "2x1"],
    ["--layout", "1x2"],
    ["--layout", "2x2"],
    ["--layout", "1x3"],
    ["--chunk", "7"],
    ["--layout", "1x4", "--chunk", "64"],
    ["--batch-with", "5,6,7,8,9"],
)


class Score:
    """Counts what holds and says what does not."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, ok, what):
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print(f"  FAILED {what}"[:500], flush=True)


def read_tensors(path):
    """The f32 and i32 tensors of a safetensors file: name -> (shape, values)."""
    raw = Path(path).read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    tensors = {}
    for name, entry in json.loads(raw[8 : 8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        values = array.array({"F32": "f", "I32": "i"}[entry["dtype"]])
        values.frombytes(raw[8 + size + begin : 8 + size + end])
        tensors[name] = (entry["shape"], values)
    return tensors


def run(arguments, seconds=120, stdin=None):
    """Exit status, standard output and standard error; 124 when it took too long."""
    try:
        done = subprocess.run(
            [str(a) for a in arguments],
            stdin=subprocess.DEVNULL if stdin is None else None,
            input=stdin,
            capture_output=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return 124, b"", b"took too long"
    return done.returncode, done.stdout, done.stderr


def words(raw):
    return raw.decode("utf-8", "replace").strip()


def ids(tokens):
    return ",".join(str(t) for t in tokens)


class Goldens:
    def __init__(self, glm, scratch):
        self.glm, self.scratch, self.score = glm, scratch, Score()

    def logits(self, model, tokens, *more):
        """The bytes of the file that `glm logits` writes, or a sentence why there is none."""
        out = self.scratch / "logits.safetensors"
        status, _, err = run([self.glm, "logits", "--model", model, "--tokens", ids(tokens), "--out", out, *more])
        return (out.read_bytes() if status == 0 else None), words(err)

    def model(self, folder):
        model = folder / "model.gguf" if (folder / "model.gguf").exists() else folder
        want = read_tensors(folder / "expected.safetensors")
        expected = json.loads((folder / "expected.json").read_text())
        allowed, worst = expected["tolerance"], 0.0
        count = len(expected["greedy"])
        for i in range(count):
            what = f"{folder.name}: logits of prompt {i}"
            tokens = want[f"tokens_{i}"][1]
            raw, err = self.logits(model, tokens)
            if raw is None:
                self.score.check(False, f"{what}: {err}")
                continue
            shape, got = read_tensors(self.scratch / "logits.safetensors")["logits"]
            (rows, vocabulary), values = want[f"logits_{i}"]
            if shape != [len(tokens), vocabulary]:
                self.score.check(False, f"{what}: shape {shape}, expected {[len(tokens), vocabulary]}")
                continue
            holds = True
            for r, row in enumerate(want[f"rows_{i}"][1]):
                for v in range(vocabulary):
                    right = values[r * vocabulary + v]
                    off = abs(got[row * vocabulary + v] - right)
                    worst = max(worst, off)
                    holds &= off <= allowed["absolute"] + allowed["relative"] * abs(right)
            self.score.check(holds, f"{what}: off by up to {worst:.5f}, allowed {allowed['absolute']}")
        tokens = want[f"tokens_{count - 1}"][1]
        base, err = self.logits(model, tokens)
        # The models in K-quants have one layer: they are cut into ranks only.
        single = folder.name.endswith("_k")
        for more in LAYOUTS:
            if single and more[0] == "--layout" and more[1].startswith("2"):
                continue
            raw, err = self.logits(model, tokens, *more)
            same = base is not None and raw == base
            self.score.check(same, f"{folder.name}: one answer with {' '.join(more)}: {err or 'bytes differ'}")
        for i, greedy in enumerate(expected["greedy"]):
            layout = ("1x1", "1x2" if single else "2x2", "1x3", "1x4" if single else "2x1")[i % 4]
            status, out, err = run(
                [self.glm, "generate", "--model", model, "--tokens", ids(greedy["prompt"])]
                + ["--max-tokens", len(greedy["tokens"]), "--temperature", 0, "--layout", layout, "--json"]
            )
            got = json.loads(out) if status == 0 else {}
            certain = greedy["certain"]
            holds = got.get("tokens", [])[:certain] == greedy["tokens"][:certain]
            if certain == len(greedy["tokens"]):
                holds &= got.get("finish_reason") == greedy["finish"]
            self.score.check(holds, f"{folder.name}: greedy {i} on {layout}: {got.get('tokens')} {words(err)}")
        print(f"{folder.name}: logits off by at most {worst:.5f}, allowed {allowed['absolute']}", flush=True)

    def lines(self, model, rows, *more):
        """One answer of `glm tokenize --jsonl` for each row."""
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        status, out, err = run([self.glm, "tokenize", "--model", model, "--jsonl", *more], stdin=text.encode())
        answers = [json.loads(line) for line in out.decode("utf-8", "replace").split("\n") if line.strip()]
        self.score.check(
            status == 0 and len(answers) == len(rows),
            f"tokenize --jsonl {' '.join(more)}: status {status}, {len(answers)} of {len(rows)} lines: {words(err)}",
        )
        return zip(rows, answers)

    def tokenizer(self, folder):
        vectors = json.loads((folder / "vectors.json").read_text())
        cases = {case["text"]: case for case in vectors["encode"]}
        texts = [{"text": text} for text in cases]
        for row, got in self.lines(folder, texts):
            want = cases[row["text"]]["ids"]
            self.score.check(got.get("tokens") == want, f"tokens of {row['text'][:40]!r}: {got.get('tokens')}, not {want}")
        trusted = [{"text": text} for text, case in cases.items() if "ids_trusted" in case]
        for row, got in self.lines(folder, trusted, "--trusted"):
            self.score.check(got.get("tokens") == cases[row["text"]]["ids_trusted"], f"trusted {row['text'][:40]!r}")
        back = [{"tokens": case["ids"]} for case in vectors["encode"]]
        for case, (_, got) in zip(vectors["encode"], self.lines(folder, back)):
            self.score.check(got.get("text") == case["text"], f"text of {case['ids'][:20]}: {got.get('text')!r}")
        invalid = [{"tokens": case["ids"]} for case in vectors["decode_invalid"]]
        for case, (_, got) in zip(vectors["decode_invalid"], self.lines(folder, invalid)):
            self.score.check(got.get("text") == case["text"], f"invalid bytes {case['ids']}: {got.get('text')!r}")
        print("tokenizer", flush=True)

    def chat(self, folder):
        cases = [case for case in json.loads((folder / "conversations.json").read_text())["cases"] if "ids" in case]
        for template in sorted({case["template"] for case in cases}):
            of_template = [case for case in cases if case["template"] == template]
            rows = [{k: case[k] for k in ("messages", "tools") if case.get(k)} for case in of_template]
            answers = self.lines(GOLDEN / "tokenizer", rows, "--template", template)
            for case, (row, got) in zip(of_template, answers):
                said = json.dumps(row["messages"], ensure_ascii=False)[:80]
                self.score.check(got.get("tokens") == case["ids"], f"template {template} of {said}")
        print("chat templates", flush=True)

    def damaged(self, folder):
        def load(path):
            begin = time.monotonic()
            generate = [self.glm, "generate", "--model", folder / path, "--tokens", "1,2", "--max-tokens", 1, "--json"]
            status, _, err = run(generate, 20)
            return status, words(err), time.monotonic() - begin

        if (folder / "undamaged").exists():
            status, err, _ = load("undamaged")
            self.score.check(status == 0, f"undamaged is refused: {err}")
        for case in json.loads((folder / "expected.json").read_text())["cases"]:
            status, err, seconds = load(case["path"])
            refused = status == 1 and err.startswith("error:") and "\n" not in err and seconds < 5
            named = case["a_good_message_contains"].lower() in err.lower()
            self.score.check(refused and named, f"{case['path']} ({case['why']}): status {status}, {err!r}")
        print("damaged files", flush=True)

    def small_real_model(self, gguf):
        folder = GOLDEN / "smollm2"
        expected = json.loads((folder / "expected.json").read_text())
        tensors = read_tensors(folder / "expected.safetensors")
        for case, (_, got) in zip(expected["tokenize"], self.lines(gguf, [{"text": c["text"]} for c in expected["tokenize"]])):
            self.score.check(got.get("tokens") == case["ids"], f"tokens of {case['text'][:40]!r}: {got.get('tokens')}")
        for i, greedy in enumerate(expected["greedy"]):
            for layout in ("1x1", "2x2") if i < 2 else ("1x1",):
                status, out, err = run(
                    [self.glm, "generate", "--model", gguf, "--tokens", ids(greedy["prompt"])]
                    + ["--max-tokens", len(greedy["tokens"]), "--temperature", 0, "--layout", layout, "--json"]
                )
                got = json.loads(out) if status == 0 else {}
                certain = greedy["certain"]
                self.score.check(
                    got.get("tokens", [])[:certain] == greedy["tokens"][:certain],
                    f"{greedy['user']!r} on {layout}: {got.get('text')!r} {words(err)}",
                )
            raw, err = self.logits(gguf, greedy["prompt"])
            if raw is None:
                self.score.check(False, f"logits of {greedy['user']!r}: {err}")
                continue
            (count, vocabulary), values = read_tensors(self.scratch / "logits.safetensors")["logits"]
            last = values[(count - 1) * vocabulary :]
            pairs = zip(tensors[f"top_ids_{i}"][1], tensors[f"top_logits_{i}"][1])
            off = max(abs(last[token] - right) for token, right in pairs)
            self.score.check(off <= expected["tolerance"]["absolute"], f"{greedy['user']!r}: top logits off by {off:.3f}")
        print("the small real model", flush=True)

    def everything(self, only):
        chapters = {"tokenizer": self.tokenizer, "chat": self.chat, "damaged": self.damaged}
        for folder in sorted(p for p in GOLDEN.iterdir() if p.is_dir()):
            if only and folder.name != only:
                continue
            if folder.name in chapters:
                chapters[folder.name](folder)
            elif (folder / "expected.safetensors").exists() and folder.name != "smollm2":
                self.model(folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("glm", type=Path)
    parser.add_argument("--only")
    parser.add_argument("--smollm2", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        goldens = Goldens(options.glm.resolve(), Path(scratch))
        if options.smollm2:
            goldens.small_real_model(options.smollm2)
        else:
            goldens.everything(options.only)
    score = goldens.score
    print(f"{score.passed} passed, {score.failed} failed")
    sys.exit(0 if score.passed and not score.failed else 1)


main()
