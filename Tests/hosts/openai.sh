#!/usr/bin/env bash
# The openai and anthropic Python packages, unmodified, against a cluster of four workers.
#
# usage: openai.sh GLM        makes .build/python with the packages from PyPI on the first run
set -euo pipefail
glm=$(readlink -f "$1")
cd "$(dirname "$0")/../.."
. Tests/hosts/common.sh

python_environment
if ! "$python" -c 'import openai, anthropic' 2>/dev/null; then
    "$python" -m pip install --quiet --disable-pip-version-check openai anthropic ||
        { echo "error: the packages cannot be fetched from PyPI; is the network there?" >&2; exit 1; }
fi

# Random weights talk nonsense, but in the real template: functions are called as in a GLM-4.
"$glm" model make random --preset tiny --layers 4 --out "$work/tiny"
port=$(free_port)
start up "$glm" up --workers 4 --layout 2x2 --threads 1 --model "$work/tiny" --listen "127.0.0.1:$port"
ready() { "$glm" status --gateway "http://127.0.0.1:$port" --json | grep -Eq '"state" ?: ?"ready"'; }
check "the cluster is ready" eventually 60 ready
check "the openai client completes, streams, calls and gets its errors" \
    "$python" Tests/clients/openai_client.py "http://127.0.0.1:$port"
check "the anthropic client asks, streams, uses tools and gets its errors" \
    "$python" Tests/clients/anthropic_client.py "http://127.0.0.1:$port"
if [ "$failed" -gt 0 ]; then tail -5 "$work/up.log"; fi
summary
