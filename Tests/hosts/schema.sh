#!/usr/bin/env bash
# The OpenAPI document that the gateway serves, by programs that know nothing of this one: it is valid, and no request that it describes, or
# almost describes, is answered by a server error, outside of the described statuses, headers and bodies, or not at all.
#
# usage: schema.sh GLM [EXAMPLES]      10 examples an operation unless said otherwise; makes .build/clients/schema from PyPI on the first run
#
# Left out are the two routes that would change the cluster under the run, and the checks that ask that a document say everything about a
# valid request: docs/api.md tells what it does not.
set -euo pipefail
glm=$(readlink -f "$1")
examples=${2:-10}
cd "$(dirname "$0")/../.."
. Tests/hosts/common.sh

place=$PWD/.build/clients/schema
if ! [ -e "$place/complete" ]; then
    rm -rf "$place"
    mkdir -p .build/clients
    python3 -m venv "$place"
    "$place/bin/python" -m pip install --quiet --disable-pip-version-check openapi-spec-validator schemathesis ||
        { echo "error: schemathesis cannot be fetched from PyPI; is the network there?" >&2; exit 1; }
    touch "$place/complete"
fi

"$glm" model make random --preset tiny --layers 2 --out "$work/tiny"
port=$(free_port)
url=http://127.0.0.1:$port
start up "$glm" up --workers 1 --layout 1x1 --threads 1 --model "$work/tiny" --listen "127.0.0.1:$port" --store "$work/store.db"
ready() { "$glm" status --gateway "$url" --json | grep -q '"state":"ready"'; }
check "a cluster is ready" eventually 60 ready
fetch() { "$place/bin/python" -c 'import sys, urllib.request as r; open(sys.argv[2], "wb").write(r.urlopen(sys.argv[1]).read())' "$@"; }
check "the document is served" fetch "$url/openapi.json" "$work/openapi.json"
check "the document is valid" "$place/bin/openapi-spec-validator" "$work/openapi.json"
fuzz() {
    (cd "$work" && "$place/bin/schemathesis" run "$url/openapi.json" --exclude-path-regex /v1/cluster --max-examples "$examples" \
        --request-timeout 60 --seed 1 --no-color \
        --checks not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,ignored_auth,negative_data_rejection) >"$work/fuzz.log" 2>&1
}
fuzzed=0
fuzz || fuzzed=$?
grep -aE "generated|^=====" "$work/fuzz.log" | tail -3 || true
if [ "$fuzzed" -ne 0 ]; then grep -a -A200 -E "= (ERRORS|FAILURES) =" "$work/fuzz.log" | cut -c1-400; fi
check "requests made from it are answered as it says" [ "$fuzzed" -eq 0 ]
check "the cluster serves on" ready
summary
