#!/usr/bin/env bash
# API keys and proxies that end TLS: deploy/nginx.conf and deploy/Caddyfile before a gateway that wants keys; batches, and a slow reader.
#
# usage: access.sh GLM        needs nginx, caddy, openssl, curl; makes .build/python with the openai package on the first run
set -euo pipefail
glm=$(readlink -f "$1")
cd "$(dirname "$0")/../.."
. Tests/hosts/common.sh

python_environment
if ! "$python" -c 'import openai' 2>/dev/null; then
    "$python" -m pip install --quiet --disable-pip-version-check openai ||
        { echo "error: the openai package cannot be fetched from PyPI; is the network there?" >&2; exit 1; }
fi

"$glm" model make needle --layers 4 --out "$work/needle"
port=$(free_port)
store="$work/store.db"
"$glm" keys create --store "$store" --name tester --scope admin >"$work/key" 2>"$work/key-id"
"$glm" keys create --store "$store" --name narrow --requests-per-minute 2 >"$work/narrow" 2>/dev/null
start up "$glm" up --workers 2 --layout 1x2 --threads 1 --model "$work/needle" --store "$store" --listen "127.0.0.1:$port"
ready() { "$glm" status --gateway "http://127.0.0.1:$port" --api-key "$work/key" --json | grep -Eq '"state" ?: ?"ready"'; }
check "the cluster is ready for who has a key" eventually 60 ready
status() { [ "$(curl --silent --output /dev/null --write-out '%{http_code}' "${@:2}")" = "$1" ]; }
check "nobody is let in without one" status 401 "http://127.0.0.1:$port/v1/models"

openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=glm.example.org -addext subjectAltName=DNS:glm.example.org \
    -keyout "$work/privkey.pem" -out "$work/fullchain.pem" 2>/dev/null
head -c 3000000 /dev/zero | tr '\0' a >"$work/long.txt"

# through PROXY PLAIN SECURE STATUS: what a proxy that ends TLS at the port SECURE has to do, and at PLAIN to send to it.
through() {
    local name=$1 plain=$2 secure=$3 moved=$4 url=https://glm.example.org:$3
    web() {
        curl --silent --show-error --max-time 60 --cacert "$work/fullchain.pem" --resolve "glm.example.org:$secure:127.0.0.1" \
            -H "authorization: Bearer $(cat "$work/key")" "$@"
    }
    streams() {
        web --no-buffer "$url/v1/chat/completions" -H 'content-type: application/json' \
            -d '{"messages":[{"role":"user","content":" Note: heron=719. What is it? heron="}],"temperature":0,"max_tokens":8,"stream":true}' |
            grep -q 'data: \[DONE\]'
    }
    own_page() { web --fail "$url/v1/models" -H "origin: $url"; }
    long() { web --fail "$url/v1/files" -F purpose=user_data -F "file=@$work/long.txt"; }
    check "$name answers over TLS" eventually 10 web --fail "$url/v1/models"
    check "$name sends plain requests to TLS" status "$moved" -H "host: glm.example.org" "http://127.0.0.1:$plain/"
    check "a stream passes $name" streams
    check "a page of the name that $name has may call" own_page
    check "a long file passes $name" long
}

mkdir "$work/nginx" "$work/caddy"
plain=$(free_port)
secure=$(free_port)
{
    printf 'daemon off;\nmaster_process off;\npid %s/nginx/pid;\nerror_log stderr;\nevents {}\nhttp {\naccess_log off;\n' "$work"
    for kind in client_body proxy fastcgi uwsgi scgi; do printf '%s_temp_path %s/nginx/%s;\n' $kind "$work" $kind; done
    sed -e "s|127.0.0.1:8080|127.0.0.1:$port|; s|listen 80;|listen 127.0.0.1:$plain;|; s|listen 443|listen 127.0.0.1:$secure|" \
        -e "s|/etc/ssl/glm|$work|" deploy/nginx.conf
    echo '}'
} >"$work/nginx.conf"
start nginx "$(command -v nginx || echo /usr/sbin/nginx)" -e stderr -c "$work/nginx.conf"
through "nginx with deploy/nginx.conf" "$plain" "$secure" 301

# Caddy fetches its certificate by itself, which nobody signs here: it is given one.
plain=$(free_port)
secure=$(free_port)
{
    printf '{\n\tadmin off\n\thttp_port %s\n\thttps_port %s\n\tdefault_bind 127.0.0.1\n}\n' "$plain" "$secure"
    sed -e "s|127.0.0.1:8080|127.0.0.1:$port|; s|^glm.example.org {|&\n\ttls $work/fullchain.pem $work/privkey.pem|" deploy/Caddyfile
} >"$work/Caddyfile"
start caddy env HOME="$work/caddy" XDG_DATA_HOME="$work/caddy" XDG_CONFIG_HOME="$work/caddy" \
    caddy run --adapter caddyfile --config "$work/Caddyfile"
through "caddy with deploy/Caddyfile" "$plain" "$secure" 308
check "a page of another site may not call" status 403 -H "origin: https://evil.example" -H "authorization: Bearer $(cat "$work/key")" "http://127.0.0.1:$port/v1/models"

# Asks three times with a key that may ask twice a minute; the third time it is told when to come back.
limited() {
    local answers
    answers=$(for _ in 1 2 3; do
        curl --silent --dump-header - --output /dev/null "http://127.0.0.1:$port/v1/completions" \
            -H "authorization: Bearer $(cat "$work/narrow")" -d '{"prompt":"a","max_tokens":1}' | grep -iE '^(HTTP|retry-after)'
    done | tr -d '\r' | sed -E 's/^HTTP[^ ]* ([0-9]+).*/\1/; s/: [0-9]+$//I' | tr '\n' ' ')
    [ "${answers,,}" = "200 200 429 retry-after " ]
}
check "beyond a key's limit the answer is 429, with the time to come back" limited
head -c 70000 /dev/zero | tr '\0' x | sed 's/^/x-long: /' >"$work/long-head"
check "a head of 70 KB is refused" status 400 -H "@$work/long-head" "http://127.0.0.1:$port/health"
head -c 69000000 /dev/zero | tr '\0' a >"$work/longer.txt"
check "a body of 69 MB is refused" status 413 -H "authorization: Bearer $(cat "$work/key")" --data-binary "@$work/longer.txt" "http://127.0.0.1:$port/v1/completions"
rm "$work/longer.txt"

check "a reader that stalls holds up nobody, and loses nothing" "$python" Tests/clients/stalled_reader.py "http://127.0.0.1:$port" "$(cat "$work/key")"
check "the openai client runs a batch with a key" "$python" Tests/clients/openai_batch.py "http://127.0.0.1:$port" "$(cat "$work/key")"
printf '%s\n' '{"custom_id":"a","method":"POST","url":"/v1/completions","body":{"prompt":" Note: heron=719. heron=","max_tokens":4,"temperature":0}}' >"$work/batch.jsonl"
batch() { "$glm" submit --batch "$work/batch.jsonl" --gateway "http://127.0.0.1:$port" --api-key "$work/key" | grep -q '"status_code" \?: \?200'; }
check "glm submit --batch prints its results" batch
check "what a key used is counted" eval '"$glm" keys list --store "$store" --json | grep -Eq "\"jobs\" ?: ?[1-9]"'
id=$(sed -n 's/^\(key-[0-9a-f]*\):.*/\1/p' "$work/key-id")
check "a key is revoked" eval '"$glm" keys revoke "$id" --store "$store" --json | grep -q "\"state\":\"revoked\""'
revoked() { status 401 -H "authorization: Bearer $(cat "$work/key")" "http://127.0.0.1:$port/v1/models"; }
check "and opens nothing soon after" eventually 5 revoked
if [ "$failed" -gt 0 ]; then tail -n 5 "$work/up.log" "$work/nginx.log" "$work/caddy.log"; fi
summary
