"""lm-eval, unmodified, against a gateway that serves the needle model: what it scores is known beforehand.

usage: lm_eval_client.py http://HOST:PORT        prints a line for each check and exits 1 when one failed.

Its data are here and its tokenizer is the gateway's (/tokenize, /tokenizer_info): it needs nothing from elsewhere.
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

from checks import check, finish, gateway

folder = tempfile.TemporaryDirectory()
FACTS = [
    {
        "text": f" Note: {name}={value}. It rained. What is it? {name}=", "value": str(value),
        "choices": [str(value + 111), str(value)],
    }
    for name, value in [("heron", 719), ("owl", 233), ("crane", 541), ("egret", 168), ("stork", 826)]
]
HEAD = """
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
doc_to_text: "{{{{text}}}}"
metadata:
  version: 1
"""
TASKS = {
    "facts_likelihood": """
output_type: loglikelihood
doc_to_target: "{{value}}"
target_delimiter: ""
metric_list:
  - metric: acc
  - metric: perplexity
""",
    "facts_choice": """
output_type: multiple_choice
doc_to_choice: "{{choices}}"
doc_to_target: 1
target_delimiter: ""
metric_list:
  - metric: acc
""",
    "facts_answer": """
output_type: generate_until
doc_to_target: "{{value}}"
generation_kwargs:
  until: [".", "\\n", " "]
  max_gen_toks: 8
metric_list:
  - metric: exact_match
""",
}


def path(name):
    return os.path.join(folder.name, name)


with open(path("facts.jsonl"), "w") as data:
    data.writelines(json.dumps(fact) + "\n" for fact in FACTS)
for name, text in TASKS.items():
    with open(path(f"{name}.yaml"), "w") as task:
        task.write(f"task: {name}\n" + HEAD.format(data=path("facts.jsonl")) + text)


def evaluate(model, route, tasks, flags=()):
    """Runs the program; the results of its tasks."""
    out = tempfile.mkdtemp(dir=folder.name)
    served = gateway()
    run = subprocess.run(
        [
            sys.executable, "-m", "lm_eval", "run", "--model", model, "--model_args",
            f"model=needle,base_url={served}{route},num_concurrent=4", "--tasks", ",".join(tasks),
            "--include_path", folder.name, "--output_path", out, *flags,
        ],
        capture_output=True, text=True, timeout=240,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": path("home")})
    assert run.returncode == 0, run.stderr[-1500:]
    (results,) = glob.glob(f"{out}/**/results_*.json", recursive=True)
    with open(results) as file:
        return json.load(file)["results"]


def scored():
    results = evaluate("local-completions", "/v1/completions", ["facts_likelihood", "facts_choice", "facts_answer"])
    likelihood = results["facts_likelihood"]
    # What the model says by itself is its likeliest continuation, and all but certain.
    assert likelihood["acc,none"] == 1 and 1 <= likelihood["perplexity,none"] < 1.5, likelihood
    assert results["facts_choice"]["acc,none"] == 1, results["facts_choice"]
    assert results["facts_answer"]["exact_match,none"] == 1, results["facts_answer"]


def batched():
    results = evaluate(
        "local-completions", "/v1/completions", ["facts_likelihood", "facts_choice"], ["--batch_size", "4"])
    assert results["facts_likelihood"]["acc,none"] == results["facts_choice"]["acc,none"] == 1, results


def chatted():
    results = evaluate(
        "local-chat-completions", "/v1/chat/completions", ["facts_answer"], flags=["--apply_chat_template"])
    assert results["facts_answer"]["exact_match,none"] == 1, results


check("likelihoods, choices and answers are what the model knows", scored)
check("several prompts in one request are scored the same", batched)
check("a chat answers what the model knows", chatted)
finish()
