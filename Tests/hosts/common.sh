# Sourced by the scripts beside it: processes that are ended by their ids, checks that are counted.
# The last line of a script is `N passed, N failed`.

passed=0
failed=0
work=$(mktemp -d)
processes=()

# start NAME COMMAND...: runs COMMAND in the background; its output goes to $work/NAME.log, its id to $last.
start() {
    local name=$1
    shift
    "$@" >"$work/$name.log" 2>&1 </dev/null &
    last=$!
    processes+=("$last")
}

# Ends every process started here; one that does not end in ten seconds is killed.
stop_all() {
    local id tenths
    for id in "${processes[@]}"; do kill "$id" 2>/dev/null || true; done
    for id in "${processes[@]}"; do
        for ((tenths = 0; tenths < 100; tenths++)); do
            kill -0 "$id" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$id" 2>/dev/null || true
        wait "$id" 2>/dev/null || true
    done
    processes=()
}

finish() {
    local status=$?
    stop_all
    clean_up
    rm -rf "$work"
    exit "$status"
}
clean_up() { :; }
trap finish EXIT

# check SENTENCE COMMAND...: passes when COMMAND succeeds.
check() {
    local what=$1
    shift
    if "$@" >"$work/check.log" 2>&1; then
        passed=$((passed + 1))
        echo "  ok: $what"
    else
        failed=$((failed + 1))
        echo "  FAILED: $what"
        sed 's/^/    | /' "$work/check.log" | tail -20
    fi
}

# eventually SECONDS COMMAND...: repeats COMMAND until it succeeds.
eventually() {
    local tenths=$(($1 * 10)) i
    shift
    for ((i = 0; i < tenths; i++)); do
        "$@" >/dev/null 2>&1 && return 0
        sleep 0.1
    done
    "$@"
}

# Makes .build/python, an environment for the Python packages that tests use as clients; run it in the package's top.
python_environment() {
    python=.build/python/bin/python
    "$python" -m pip --version >/dev/null 2>&1 && return 0
    rm -rf .build/python
    mkdir -p .build
    python3 -m venv .build/python || {
        echo "error: python3 cannot make an environment; apt-get install python3-venv" >&2
        return 1
    }
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

summary() {
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
