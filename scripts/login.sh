#!/bin/sh
# Starts sharelock at login where neither systemd nor cron does it: a chroot on a Chromebook, a plain window manager.
# For any POSIX sh; needs no terminal. Starting it again does no harm: one agent runs, and one ssh-agent.
#
#   from a window manager's autostart:   sh login.sh
#   from ~/.profile:                     sh login.sh
#   with an ssh-agent, from ~/.profile:  eval "$(sh login.sh --ssh-agent)"
#
# Everything else is for sharelock, for instance --vault NAME or --password-file FILE. The password comes from where the
# configuration says (password_command, password_file, or a key kept by --start-without-password); only on a terminal is
# it asked for. Another program than the sharelock of PATH or ~/.local/bin is named by the variable SHARELOCK.
set -u

say() { printf 'login.sh: %s\n' "$*" >&2; }

# True if it is a directory of ours that nobody else can look into. (A link is none.)
private() {
    # Mode, links, numeric owner, ...
    private_is=$(LC_ALL=C ls -ldn -- "$1" 2>/dev/null) || return 1
    case $private_is in
        "drwx------ "* | "drwx------. "*) ;;
        *) return 1 ;;
    esac
    private_uid=$(printf '%s\n' "$private_is" | awk '{ print $3 }')
    [ "$private_uid" = "$(id -u)" ]
}

# True if an ssh-agent answers there (ssh-add: 0 it has keys, 1 it has none, 2 it does not answer).
answers() {
    [ -S "$1" ] || return 1
    SSH_AUTH_SOCK=$1 ssh-add -l >/dev/null 2>&1
    [ $? -le 1 ]
}

# One at a time, so that two logins do not start two. A lock older than ten seconds was left by a crash.
lock() {
    lock_tries=0
    until mkdir "$1" 2>/dev/null; do
        lock_tries=$((lock_tries + 1))
        if [ "$lock_tries" -gt 10 ]; then
            rmdir "$1" 2>/dev/null
            lock_tries=0
        fi
        [ -d "${1%/*}" ] || return 1
        sleep 1
    done
}

# Sets SSH_AUTH_SOCK to an ssh-agent that lives on after this login, and prints it for the shell that asked.
ssh_agent() {
    if ! command -v ssh-agent >/dev/null || ! command -v ssh-add >/dev/null; then
        say "there is no ssh-agent here (package openssh-client); going on without"
        return 0
    fi
    # The agent of a remote login goes away with it.
    if [ -z "${SSH_CONNECTION:-}" ] && answers "${SSH_AUTH_SOCK:-}"; then
        return 0
    fi
    # Never a name in /tmp that somebody else can guess and take first.
    if [ -n "${XDG_RUNTIME_DIR:-}" ] && private "$XDG_RUNTIME_DIR"; then
        agent_dir=$XDG_RUNTIME_DIR/sharelock-ssh
    else
        agent_dir=${XDG_STATE_HOME:-$HOME/.local/state}/sharelock-ssh
        mkdir -p "${agent_dir%/*}" || return 1
    fi
    mkdir -m 700 "$agent_dir" 2>/dev/null
    if ! private "$agent_dir"; then
        say "$agent_dir is not a folder that only you can look into: no ssh-agent started"
        return 1
    fi
    lock "$agent_dir/lock" || return 1
    if ! answers "$agent_dir/socket"; then
        rm -f "$agent_dir/socket"
        ssh-agent -a "$agent_dir/socket" >/dev/null
    fi
    rmdir "$agent_dir/lock"
    answers "$agent_dir/socket" || { say "the ssh-agent does not answer"; return 1; }
    SSH_AUTH_SOCK=$agent_dir/socket
    export SSH_AUTH_SOCK
}

if [ -z "${HOME:-}" ]; then
    say "HOME is not set"
    exit 2
fi

wants_agent=
if [ "${1:-}" = --ssh-agent ]; then
    wants_agent=yes
    shift
fi

program=${SHARELOCK:-}
if [ -z "$program" ]; then
    program=$(command -v sharelock) || program=$HOME/.local/bin/sharelock
fi
if [ ! -x "$program" ]; then
    say "there is no sharelock in PATH or ~/.local/bin"
    exit 1
fi

if [ -n "$wants_agent" ]; then
    # Without an ssh-agent keys without a passphrase still serve.
    ssh_agent || :
    if [ -n "${SSH_AUTH_SOCK:-}" ]; then
        printf "SSH_AUTH_SOCK='%s'; export SSH_AUTH_SOCK;\n" "$(printf '%s' "$SSH_AUTH_SOCK" | sed "s/'/'\\\\''/g")"
    fi
fi

# Its standard output is not the shell's that asked. It detaches by itself, and exits with 0 if one runs.
exec "$program" "$@" run --daemon >&2
