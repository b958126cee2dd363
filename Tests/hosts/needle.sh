#!/usr/bin/env bash
# Long contexts on four workers: every fact is found at 8K, 32K and 128K tokens, in pools that hold less than 40% of the
# cache each; a second question is answered without reading again, also after everything was killed.
#
# usage: Tests/hosts/needle.sh GLM
set -euo pipefail
glm=$(realpath "$1")
. "$(dirname "$0")/common.sh"

# report FILE EXPRESSION: whether a Python expression over the report r (and its cells by length, c) holds.
report() {
    python3 - "$1" "$2" <<'PYTHON'
import json, sys
r = json.load(open(sys.argv[1]))
c = {}
for cell in r["cells"]:
    c.setdefault(cell["length"], []).append(cell)
value = eval(sys.argv[2])
print(sys.argv[2], "is", value)
if not value:
    print([{k: x.get(k) for k in ("length", "cached_tokens", "found", "seconds")} for x in r["cells"]])
sys.exit(0 if value else 1)
PYTHON
}

# At 131,072 tokens the cache takes 64 MiB in f16: 16 MiB a worker, of 24.
f16() {
    timeout 180 "$glm" eval needle --lengths 8192,32768,131072 --depths 11 --layout 2x2 --kv-type f16 --kv-memory 24M \
        --json >"$work/f16.json"
}
check "all facts are found at 8K, 32K and 128K on 2x2 with f16 pages, within three minutes" f16
check "33 questions were asked" report "$work/f16.json" 'r["found"] == r["total"] == 33'
check "no worker's pool could hold 40% of the cache" report "$work/f16.json" \
    'all(w["kv_pool_bytes"] < 0.4 * 131072 * 512 for w in r["workers"])'
check "a second question starts in under 2% of the first one's time" report "$work/f16.json" \
    'max(x["seconds"] for x in c[131072][1:]) < 0.02 * c[131072][0]["seconds"]'
check "q8 pages find them too, in a pipeline of four stages" bash -c \
    "'$glm' eval needle --lengths 32768 --depths 5 --layout 4x1 --kv-type q8 >'$work/q8.txt'"

# Killed with everything it has, a cluster finds its pages on disk.
"$glm" model make needle --out "$work/needle" >/dev/null
export XDG_CACHE_HOME="$work/cache"
port=18${RANDOM:0:3}
gateway="http://127.0.0.1:$port"
begin() {
    start up "$glm" up --model "$work/needle" --layout 2x2 --kv-disk 1G --listen "127.0.0.1:$port"
    up=$last
    eventually 30 "$glm" status --gateway "$gateway"
    eventually 30 bash -c "'$glm' status --gateway '$gateway' --json | grep -q '^{\"state\":\"ready\"'"
}
# Pages are written in no order of the text: all of the three questions' must be there, or a hole ends what is found again.
kept() {
    "$glm" status --gateway "$gateway" --json | python3 -c '
import json, sys
members = json.load(sys.stdin)["members"]
sys.exit(not all(m["kv"]["places_on_disk"] >= 538 for m in members))'
}
begin
check "a long text is read" bash -c "'$glm' eval needle --lengths 32768 --depths 3 --gateway '$gateway' --json >'$work/before.json'"
check "its pages come to the disks of all four workers" eventually 30 kept
# Any thread of `glm up` may have started them. Who is left alive would keep the folder of its pages from the next worker.
read -r -d '' -a children < <(cat "/proc/$up/task/"*/children) || true
check "the cluster has its six processes" [ "${#children[@]}" = 6 ]
kill -9 "$up" "${children[@]}"
wait "$up" 2>/dev/null || true
gone() { ! kill -0 "${children[@]}" 2>/dev/null; }
check "all processes are gone" eventually 10 gone
begin
check "after kill -9 of all processes it is asked again" bash -c \
    "'$glm' eval needle --lengths 32768 --depths 3 --gateway '$gateway' --json >'$work/after.json'"
check "and is not read again" report "$work/after.json" \
    'min(x["cached_tokens"] for x in r["cells"]) > 32000 and r["found"] == 3'

echo
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
