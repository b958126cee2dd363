#!/usr/bin/env bash
# How fast two hosts with a link of some rate between them read a prompt: two network namespaces of this machine, one worker of one thread
# in each, layout 1x2, CURVE keys. Prompts of 2,048 tokens that nothing is known of, one after the other; the first does not count.
#
# usage: two-hosts.sh GLM MODEL RATE [PROMPTS]        as root, with iproute2; RATE as tc takes it, like 1gbit
set -euo pipefail
if [ $# -lt 3 ]; then
    sed -n '2,5s/^# //p' "$0" >&2
    exit 2
fi
glm=$(readlink -f "$1") model=$(readlink -f "$2") rate=$3 prompts=${4:-3}
. "$(dirname "$0")/../../Tests/hosts/common.sh"
export PATH=$PATH:/usr/sbin

tag=g$$
clean_up() { for host in 1 2; do ip netns del "$tag-$host" 2>/dev/null || true; done; }
for host in 1 2; do ip netns add "$tag-$host"; done
ip link add cable netns "$tag-1" type veth peer name cable netns "$tag-2"
for host in 1 2; do
    ip -n "$tag-$host" addr add "10.77.0.$host/24" dev cable
    ip -n "$tag-$host" link set cable up
    ip -n "$tag-$host" link set lo up
    ip netns exec "$tag-$host" tc qdisc add dev cable root tbf rate "$rate" burst 512kb latency 100ms
done

"$glm" keys make --out "$work/keys" >/dev/null
coordinator=tcp://10.77.0.1:7070
start coordinator ip netns exec "$tag-1" "$glm" coordinator --model "$model" --layout 1x2 --bind "$coordinator" --keys "$work/keys/cluster.key"
start gateway ip netns exec "$tag-1" "$glm" gateway --coordinator "$coordinator" --listen 127.0.0.1:8080 --keys "$work/keys/gateway.key"
for host in 1 2; do
    start "worker-$host" ip netns exec "$tag-$host" "$glm" worker --coordinator "$coordinator" --name "host-$host" --model "$model" \
        --bind "tcp://10.77.0.$host:*" --threads 1 --cache "$work/cache-$host" --keys "$work/keys/cluster.key"
done
ready() { ip netns exec "$tag-1" "$glm" status --json | grep -q '"state":"ready"'; }
eventually 60 ready

ip netns exec "$tag-1" python3 - "$rate" "$prompts" <<'P'
import json, random, statistics, sys, time, urllib.request

def seconds(seed):
    random.seed(seed)
    body = {"prompt": [random.randrange(1000) for _ in range(2048)], "max_tokens": 1, "temperature": 0}
    request = urllib.request.Request(
        "http://127.0.0.1:8080/v1/completions", json.dumps(body).encode(), {"content-type": "application/json"})
    start = time.monotonic()
    json.load(urllib.request.urlopen(request))
    return time.monotonic() - start

times = [seconds(seed) for seed in range(int(sys.argv[2]) + 1)][1:]
middle = statistics.median(times)
print(f"{sys.argv[1]}: {middle:.2f} s, {2048 / middle:.0f} tokens/s, median of {[round(t, 2) for t in times]}")
P
