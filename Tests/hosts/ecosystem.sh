#!/usr/bin/env bash
# Programs of other makers, unmodified, against a cluster: litellm, langchain-openai, instructor, llm, lm-eval, guidellm.
#
# usage: ecosystem.sh GLM [PROGRAM...]      all of them unless named; makes .build/clients/PROGRAM from PyPI on the first run
#
# deploy/test runs langchain and instructor. guidellm brings PyTorch along, some 6 GB.
set -euo pipefail
glm=$(readlink -f "$1")
shift
cd "$(dirname "$0")/../.."
. Tests/hosts/common.sh

declare -A packages=(
    [litellm]="litellm" [langchain]="langchain-openai" [instructor]="instructor" [llm]="llm" [lm_eval]="lm-eval[api]"
    [guidellm]="guidellm"
)
[ $# -gt 0 ] || set -- litellm langchain instructor llm lm_eval guidellm

# Each has an environment of its own: together they do not agree about versions.
for program in "$@"; do
    [ -n "${packages[$program]:-}" ] || { echo "error: no program $program; expected one of ${!packages[*]}" >&2; exit 2; }
    place=.build/clients/$program
    [ -e "$place/complete" ] && continue
    rm -rf "$place"
    mkdir -p .build/clients
    python3 -m venv "$place"
    "$place/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[$program]}" ||
        { echo "error: ${packages[$program]} cannot be fetched from PyPI; is the network there?" >&2; exit 1; }
    touch "$place/complete"
done

# Random weights talk nonsense, but in the real template; the needle model recalls facts, so that there is something to score.
"$glm" model make random --preset tiny --layers 4 --out "$work/tiny"
"$glm" model make needle --layers 4 --out "$work/needle"
for model in tiny needle; do
    port=$(free_port)
    start "$model" "$glm" up --workers 2 --layout 1x2 --threads 1 --model "$work/$model" --listen "127.0.0.1:$port"
    declare "$model=http://127.0.0.1:$port"
    ready() { "$glm" status --gateway "http://127.0.0.1:$port" --json | grep -q '"state":"ready"'; }
    check "a cluster with the $model model is ready" eventually 60 ready
done

for program in "$@"; do
    url=$tiny
    [ "$program" = lm_eval ] && url=$needle
    if ".build/clients/$program/bin/python" "Tests/clients/${program}_client.py" "$url" >"$work/client.txt" 2>"$work/client.err"; then
        result=0
    else
        result=$?
    fi
    grep -E '^(ok|FAILED|        |[0-9]+ of)' "$work/client.txt" || true
    [ "$result" -eq 0 ] || tail -n 20 "$work/client.err"
    check "$program does what it does elsewhere" [ "$result" -eq 0 ]
done
summary
