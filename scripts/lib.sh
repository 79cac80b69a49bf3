# Shared by the scripts: steps, packages, tools. Sourced, not run.

step() { printf '\n== %s\n' "$*"; }

# Installs Debian packages that are missing, if this user may.
need_packages() {
    missing=
    for p in "$@"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q "install ok installed" || missing="$missing $p"
    done
    [ -z "$missing" ] && return 0
    echo "installing:$missing"
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# Rust from Debian's packages where there is none, or an old one.
need_cargo() {
    [ -n "${HOME:-}" ] && [ -d "$HOME/.cargo/bin" ] && PATH="$HOME/.cargo/bin:$PATH"
    if ! command -v cargo >/dev/null; then
        need_packages rustc-web cargo-web
    fi
    command -v cargo >/dev/null || { echo "cargo is missing: https://rustup.rs" >&2; exit 1; }
}

# Sets PYTHON to an interpreter that has these modules, in a virtual environment of the build directory if need be.
python_with() {
    PYTHON=python3
    # Twice: what one interpreter had, the next one may lack.
    for m in "$@" "$@"; do
        if ! "$PYTHON" -c "import $m" 2>/dev/null; then
            [ -x target/python/bin/python ] || python3 -m venv target/python
            PYTHON=target/python/bin/python
            "$PYTHON" -c "import $m" 2>/dev/null || "$PYTHON" -m pip install -q "$m"
        fi
    done
    export PYTHON
}

# zig, a C compiler and linker for every target, and cargo-zigbuild, in target/zig/bin ($zig). Their versions stand in
# cross/requirements.txt.
need_zig() {
    need_packages python3-venv
    zig=$PWD/target/zig
    if ! cmp -s cross/requirements.txt "$zig/requirements.txt"; then
        rm -rf "$zig"
        python3 -m venv "$zig"
        "$zig/bin/pip" install -q --require-hashes -r cross/requirements.txt
        ln -s "$("$zig/bin/python" -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__))')/zig" "$zig/bin/zig"
        cp cross/requirements.txt "$zig/"
    fi
}

# Prosody and ejabberd for the tests, which start their own: the packages' services stay off.
need_xmpp_servers() {
    for p in prosody ejabberd; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q "install ok installed" || missing_servers=1
    done
    [ -n "${missing_servers:-}" ] || return 0
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    # invoke-rc.d(8) asks this file; one that is there already is somebody's decision and stays.
    made=
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' | $sudo tee /usr/sbin/policy-rc.d >/dev/null
        $sudo chmod 755 /usr/sbin/policy-rc.d
        made=1
    fi
    need_packages prosody ejabberd || true
    [ -z "$made" ] || $sudo rm -f /usr/sbin/policy-rc.d
}
