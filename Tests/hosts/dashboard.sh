#!/usr/bin/env bash
# The dashboard in a real browser (headless Chromium), against a cluster of four workers of which one is killed.
#
# usage: dashboard.sh GLM [SCREENSHOTS]      needs Debian's chromium; fetches playwright and axe from PyPI on the first run
#
# Not part of deploy/test: the browser is large. What does not need one, routes, policy and scripts, is tested there.
set -euo pipefail
glm=$(readlink -f "$1")
shots=$(readlink -m "${2:-/tmp/glm-dashboard}")
cd "$(dirname "$0")/../.."
. Tests/hosts/common.sh

command -v chromium >/dev/null || { echo "error: chromium is not installed; apt-get install chromium" >&2; exit 1; }
python_environment
if ! "$python" -c 'import playwright, axe_playwright_python' 2>/dev/null; then
    "$python" -m pip install --quiet --disable-pip-version-check playwright axe-playwright-python ||
        { echo "error: playwright cannot be fetched from PyPI; is the network there?" >&2; exit 1; }
fi

"$glm" model make needle --layers 4 --out "$work/needle"
control=tcp://127.0.0.1:$(free_port)
port=$(free_port)
export GLM_GATEWAY=http://127.0.0.1:$port
worker() {
    start "$1" "$glm" worker --coordinator "$control" --name "$1" --threads 1 --memory 256M --model "$work/needle"
}
start coordinator "$glm" coordinator --model "$work/needle" --layout 2x2 --bind "$control"
start gateway "$glm" gateway --coordinator "$control" --listen "127.0.0.1:$port"
for name in ada bob cid; do worker "$name"; done
worker dot
victim=$last
ready() { "$glm" status --json | grep -q '"state":"ready"'; }
check "the cluster is ready" eventually 60 ready

mkdir -p "$shots"
start browser "$python" Tests/hosts/dashboard_browser.py "$GLM_GATEWAY" "$shots" "$work/lost" "$work/back"
browser=$last
# The browser says when it has seen enough: then a worker dies, and later another takes its place.
check "the page shows the cluster at work" eventually 120 test -e "$work/lost"
kill -9 "$victim"
check "the page shows that a worker is gone" eventually 60 test -e "$work/back"
worker eve
result=0
wait "$browser" || result=$?
cat "$work/browser.log"
check "everything in the browser went well" [ "$result" -eq 0 ]
echo "  screenshots: $shots"
summary
