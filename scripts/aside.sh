# Work beside other work. Sourced, after lib.sh, not run.

# Commands that run beside the others, one after another, at the lowest priority: aside NAME COMMAND.., aside_begin,
# and aside_end, which waits for them, shows what they said, and fails if one of them did.
aside_commands=()
aside() {
    local name=$1
    shift
    aside_commands+=("step $name; $*")
}
aside_begin() {
    mkdir -p target
    local command
    (
        set -e
        for command in "${aside_commands[@]}"; do eval "$command"; done
    ) >target/aside.txt 2>&1 &
    aside_pid=$!
    renice -n 19 -p "$aside_pid" >/dev/null
    # However this ends, they end too: each of them, by its parent.
    trap 'aside_stop "$aside_pid"' EXIT
}
aside_stop() {
    local child
    for child in $(ps -o pid= --ppid "$1"); do aside_stop "$child"; done
    kill "$1" 2>/dev/null || true
}
aside_end() {
    local code=0
    wait "$aside_pid" || code=$?
    trap - EXIT
    cat target/aside.txt
    return "$code"
}
