#!/usr/bin/env bash
# Six hosts on one machine: network namespaces with addresses of their own on one bridge. A coordinator, a gateway and
# four workers, each on its host, find one another with CURVE keys and answer.
#
# usage: namespaces.sh GLM        needs root and iproute2; says so and passes nothing when they are missing
set -euo pipefail
glm=$(readlink -f "$1")
. "$(dirname "$0")/common.sh"

if [ "$(id -u)" -ne 0 ]; then
    echo "skipped: network namespaces need root"
    echo "0 passed, 0 failed"
    exit 0
fi
export PATH=$PATH:/usr/sbin
if ! command -v ip >/dev/null; then
    echo "skipped: ip is missing; apt-get install iproute2"
    echo "0 passed, 0 failed"
    exit 0
fi
tag=g$$
net=10.$((RANDOM % 200 + 20)).$((RANDOM % 250))
if ! ip netns add "$tag-0" 2>"$work/ip.log"; then
    echo "skipped: this machine allows no network namespaces ($(head -1 "$work/ip.log"))"
    echo "0 passed, 0 failed"
    exit 0
fi
ip netns del "$tag-0"

clean_up() {
    local host
    for host in 1 2 3 4 5 6; do ip netns del "$tag-$host" 2>/dev/null || true; done
    ip link del "$tag" 2>/dev/null || true
}

ip link add "$tag" type bridge
ip link set "$tag" up
for host in 1 2 3 4 5 6; do
    ip netns add "$tag-$host"
    ip link add "$tag.$host" type veth peer name eth0 netns "$tag-$host"
    ip link set "$tag.$host" master "$tag" up
    ip -n "$tag-$host" addr add "$net.$host/24" dev eth0
    ip -n "$tag-$host" link set eth0 up
    ip -n "$tag-$host" link set lo up
done
on() {
    local host=$1
    shift
    ip netns exec "$tag-$host" "$@"
}

"$glm" keys make --out "$work/keys"
"$glm" keys make --out "$work/other"
"$glm" model make needle --layers 4 --out "$work/needle"
coordinator=tcp://$net.1:7070

start coordinator ip netns exec "$tag-1" "$glm" coordinator --model "$work/needle" --layout 2x2 --bind "$coordinator" \
    --keys "$work/keys/cluster.key"
start gateway ip netns exec "$tag-2" "$glm" gateway --coordinator "$coordinator" --listen 127.0.0.1:8080 \
    --keys "$work/keys/gateway.key"
# Hosts 3 and 4 hold a copy of the model; hosts 5 and 6 are sent their slices by the coordinator.
for host in 3 4 5 6; do
    model=()
    [ "$host" -le 4 ] && model=(--model "$work/needle")
    start "worker-$host" ip netns exec "$tag-$host" "$glm" worker --coordinator "$coordinator" --name "host-$host" \
        --bind "tcp://$net.$host:*" --threads 1 --memory 64M --cache "$work/cache-$host" \
        --keys "$work/keys/cluster.key" "${model[@]}"
done

ready() { on 2 "$glm" status --gateway http://127.0.0.1:8080 --json | grep -Eq '"state" ?: ?"ready"'; }
answers() {
    local said
    said=$(on 2 "$glm" submit --gateway http://127.0.0.1:8080 --temperature 0 " Note: heron=719. It rained. What is it? heron=")
    echo "said: $said"
    [[ "$said" == 719* ]]
}
no_stranger() {
    start stranger ip netns exec "$tag-3" "$glm" worker --coordinator "$coordinator" --name stranger \
        --bind "tcp://$net.3:*" --threads 1 --memory 64M --cache none --keys "$work/other/cluster.key" --model "$work/needle"
    sleep 3
    ! on 2 "$glm" status --gateway http://127.0.0.1:8080 --json | grep -q stranger
}
refuses_open_bind() {
    local said
    ! said=$(on 1 timeout 20 "$glm" coordinator --model "$work/needle" --bind "tcp://$net.1:7071" 2>&1) || return 1
    echo "$said"
    [[ "$said" == error:*keys* ]]
}

check "four workers on hosts of their own join with keys" eventually 60 ready
check "they answer a prompt together" answers
check "the facts of a long text are found" on 2 "$glm" eval needle --gateway http://127.0.0.1:8080 --context 1024 --depths 3
check "a worker with another cluster's key stays outside" no_stranger
check "an address that others can reach is refused without keys" refuses_open_bind
check "the cluster still answers" answers
if [ "$failed" -gt 0 ]; then tail -5 "$work"/*.log; fi
summary
