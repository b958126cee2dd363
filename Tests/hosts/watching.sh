#!/usr/bin/env bash
# What operators use, on a cluster of two workers started by hand: logs with request ids, metrics, the timeline of steps, what commands
# print for programs, glm top and glm chat on a terminal, completions for shells.
#
# usage: watching.sh GLM        promtool (Debian: prometheus) checks metrics and alert rules where it is installed
set -euo pipefail
glm=$(readlink -f "$1")
cd "$(dirname "$0")/../.."
. Tests/hosts/common.sh

"$glm" model make needle --layers 4 --out "$work/needle"
control=tcp://127.0.0.1:$(free_port)
port=$(free_port)
url=http://127.0.0.1:$port
export GLM_GATEWAY=$url GLM_LOG_FORMAT=json
start coordinator "$glm" coordinator --model "$work/needle" --layout 2x1 --bind "$control"
start gateway "$glm" gateway --coordinator "$control" --listen "127.0.0.1:$port" --traces "$work/traces.jsonl"
for name in w0 w1; do
    start "$name" "$glm" worker --coordinator "$control" --name "$name" --threads 1 --memory 256M --model "$work/needle"
done
ready() { "$glm" status --json | grep -q '"state":"ready"'; }
check "the cluster is ready" eventually 60 ready

ask='{"messages":[{"role":"user","content":"Note: heron=719. What is it? heron="}],"max_tokens":4,"temperature":0}'
curl -fsS -D "$work/head" "$url/v1/chat/completions" -H 'X-Request-Id: watch-1' -d "$ask" >"$work/answer"
check "the request's name comes back" grep -qi '^x-request-id: watch-1' "$work/head"

logged() { python3 - "$work" "$@" <<'PYTHON'
import json, sys
work, role, message = sys.argv[1:4]
lines = [json.loads(line) for line in open(f"{work}/{role}.log")]
found = [line for line in lines if line["message"] == message and line.get("request_id") == "watch-1"]
assert found, (message, lines[-5:])
assert all(line["role"] == {"w0": "worker", "w1": "worker"}.get(role, role) for line in lines)
PYTHON
}
check "the gateway logs JSON, with the request's name" logged gateway request
check "the coordinator says when the job was accepted" logged coordinator "job accepted"
check "and how it ended" logged coordinator "job ended"
check "a worker says what it did for the request" eventually 10 logged w0 "sequence ended"
check "and so does the other" eventually 10 logged w1 "sequence ended"
spans() { python3 -c 'import json, sys; names = [s["name"] for line in open(sys.argv[1]) for s in json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"]]; assert {"job", "queue", "prefill", "decode", "POST /v1/chat/completions"} <= set(names), names' "$work/traces.jsonl"; }
check "spans of the request are in the file of traces" eventually 5 spans

curl -fsS "$url/metrics" >"$work/metrics"
check "metrics count the answer" grep -Eq '^glm_generation_tokens_total [1-9]' "$work/metrics"
if command -v promtool >/dev/null; then
    check "promtool accepts the metrics" promtool check metrics <"$work/metrics"
    check "promtool accepts the alert rules" promtool check config deploy/monitoring/prometheus.yml
    check "the alerts fire when they should" promtool test rules deploy/monitoring/alerts_test.yml
else
    echo "  note: promtool is not installed; apt-get install prometheus checks metrics and alert rules, too"
fi
timeline() { curl -fsS "$url/debug/steps" | python3 -c 'import json, sys; e = json.load(sys.stdin)["traceEvents"]; assert {x["pid"] for x in e if x["ph"] == "X"} == {1, 2}, e[:9]'; }
check "the timeline has slices of both stages" timeline
if command -v node >/dev/null; then
    modules() {
        for script in main api topology kvmap charts jobs chat; do
            curl -fsS "$url/dashboard/$script.js" >"$work/$script.mjs" && node --check "$work/$script.mjs" || return 1
        done
    }
    check "the dashboard's scripts are well formed" modules
else
    echo "  note: node is not installed; with it the dashboard's scripts would be parsed"
fi

# json COMMAND...: runs glm and checks what it prints, called `out`, with the Python expression in $1.
json() { local what=$1; shift; "$glm" "$@" | python3 -c "import json, sys; out = [json.loads(line) for line in sys.stdin]; assert $what, out"; }
printf 'The case of the heron=719.' >"$work/case.txt"
check "glm submit asks about a file, with a priority" json 'out[0]["text"].startswith("719")' \
    submit --file "$work/case.txt" --priority -7 --max-tokens 4 --temperature 0 --json 'heron='
check "which is shown with the job" json 'out[0][0]["priority"] == -7' jobs --json
form() { curl -fsS "$url/v1/jobs" -F 'request={"messages":[{"role":"user","content":"heron="}],"max_tokens":4,"temperature":0}' -F "file=@$work/case.txt"; }
check "a form brings a document with its job" form
check "about which it answers" json 'out[0]["text"].startswith("719")' jobs wait "$("$glm" jobs --json | python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["id"])')" --json
talk() { printf 'Note: heron=719. heron=\nAnd now?\n' | json 'len(out) == 2 and out[0]["content"].startswith("719") and out[1]["usage"]' chat --json --max-tokens 4 --temperature 0; }
check "glm chat answers a pipe in JSON" talk
check "glm keys make prints JSON" json 'len(out[0]["files"]) == 3' keys make --out "$work/keys" --json
check "glm model make prints JSON" json 'out[0]["layers"] == 2' model make random --preset tiny --layers 2 --out "$work/tiny" --json
check "glm logits prints JSON" json 'out[0]["shape"][0] == 3' logits --model "$work/tiny" --tokens 1,2,3 --out "$work/logits" --json
watched() { local lines; lines=$(timeout -s INT 2 "$glm" jobs watch --json | head -1); [ "$lines" = "[]" ]; }
check "glm jobs watch prints JSON" watched

export XDG_STATE_HOME=$work/state
check "glm top and glm chat work on a terminal" python3 Tests/hosts/terminal.py "$glm" "$work"
check "glm top prints a page where there is no terminal" sh -c "'$glm' top --interval 0.2 | grep -q w1"
check "and JSON with rates" sh -c "'$glm' top --json --interval 0.2 | python3 -c 'import json, sys; json.load(sys.stdin)[\"rates\"][\"steps_per_second\"]'"
for shell in bash zsh fish; do
    check "completions for $shell name every command" sh -c "'$glm' --generate-completion-script $shell | grep -q drain"
done
check "the completions are bash" sh -c "'$glm' --generate-completion-script bash >'$work/glm.bash' && bash -n '$work/glm.bash'"
if [ "$failed" -gt 0 ]; then tail -n 3 "$work"/{coordinator,gateway,w0,w1}.log; fi
summary
