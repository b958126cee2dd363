#!/usr/bin/env bash
# Many clients at once: 200 that stream, 1,000 connections that say nothing, readers that stall, a burst beyond the queue; how much memory the
# roles hold meanwhile, and what the gateway adds to a token's way.
#
# usage: load.sh GLM [SECONDS]        10 seconds are measured unless said otherwise; with 120, what the roles promise
set -euo pipefail
glm=$(readlink -f "$1")
seconds=${2:-10}
cd "$(dirname "$0")/../.."
. Tests/hosts/common.sh

queue=300
"$glm" model make random --preset tiny --layers 4 --out "$work/tiny"
control=tcp://127.0.0.1:$(free_port)
port=$(free_port)
export GLM_GATEWAY=http://127.0.0.1:$port
# A KV pool that is full after the warm-up: what it keeps for later prompts is no leak.
start coordinator "$glm" coordinator --model "$work/tiny" --layout 1x2 --bind "$control" --queue "$queue" --kv-tokens 32768
watched=("coordinator=$last")
start gateway "$glm" gateway --coordinator "$control" --listen "127.0.0.1:$port"
watched+=("gateway=$last")
for name in ada bob; do
    start "$name" "$glm" worker --coordinator "$control" --name "$name" --threads 1 --memory 256M --model "$work/tiny"
    watched+=("$name=$last")
done
ready() { "$glm" status --json | grep -q '"state":"ready"'; }
check "the cluster is ready" eventually 60 ready
ulimit -n 8192
load() { python3 Tests/clients/load.py "$GLM_GATEWAY" "$seconds" "$queue" "${watched[@]}" | tee "$work/load.txt"; }
result=0
load || result=$?
check "every client got what it should" [ "$result" -eq 0 ]
if [ "$failed" -gt 0 ]; then tail -n 3 "$work"/{coordinator,gateway,ada,bob}.log; fi
summary
