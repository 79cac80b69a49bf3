# The toolchain of the static binaries. Sourced, after lib.sh, not run.

STATIC_TARGETS="armv7-unknown-linux-musleabihf arm-unknown-linux-musleabihf aarch64-unknown-linux-musl x86_64-unknown-linux-musl"

# Checks the name of a target; sets BINUTILS, the prefix of its nm and strip, and QEMU, what runs its programs.
static_target() {
    case $1 in
    armv7-unknown-linux-musleabihf | arm-unknown-linux-musleabihf) BINUTILS=arm-linux-gnueabihf- QEMU=qemu-arm-static ;;
    aarch64-unknown-linux-musl) BINUTILS=aarch64-linux-gnu- QEMU=qemu-aarch64-static ;;
    x86_64-unknown-linux-musl) BINUTILS=x86_64-linux-gnu- QEMU=qemu-x86_64-static ;;
    *)
        echo "no such target: $1; there are $STATIC_TARGETS" >&2
        exit 2
        ;;
    esac
    export BINUTILS QEMU
}

# Prints the emulator of a program's processor: qemu-arm, qemu-aarch64 or qemu-x86_64. (Its static one has -static after that.)
emulator_of() {
    case $(LC_ALL=C readelf -h "$1" | sed -n 's/^ *Machine: *//p') in
    ARM) echo qemu-arm ;;
    AArch64) echo qemu-aarch64 ;;
    *X86-64) echo qemu-x86_64 ;;
    *)
        echo "$1 is for none of the processors that there are static binaries for" >&2
        exit 2
        ;;
    esac
}

# Installs what builds for a target, takes the first toolchain that works, and says which. Sets CARGO_STATIC, the command
# before its verb, and the array STATIC_OPTIONS, the options after it. The flags are in .cargo/config.toml.
# SHARELOCK_TOOLCHAIN=rustup, =std or =debian takes that one, or none.
static_toolchain() {
    target=$1
    static_target "$target"
    package=binutils-${BINUTILS%-}
    need_packages python3 perl make gcc libc6-dev "${package//_/-}"
    need_cargo
    need_zig
    wanted=${SHARELOCK_TOOLCHAIN:-any}
    CARGO_STATIC=cargo
    STATIC_OPTIONS=(--target "$target" --target-dir target/static)
    sysroot=$(rustc --print sysroot)
    rustlib=$sysroot/lib/rustlib
    has() { [ "$wanted" = any ] || [ "$wanted" = "$1" ]; }
    # Its std built with the program's own options first: rustup's is made for speed, and with tables for unwinding.
    std=1
    if has std && { [ -d "$rustlib/src/rust/library" ] || rustup component add rust-src >/dev/null 2>&1; }; then
        echo "toolchain: $(rustc --version), its std built for $target"
    elif has rustup && { [ -d "$rustlib/$target" ] || said=$(rustup target add "$target" 2>&1); }; then
        echo "toolchain: $(rustc --version), its target $target"
        std=
    elif has debian && need_packages rustc-web cargo-web rust-web-src; then
        export PATH="/usr/bin:$PATH" RUSTC=/usr/bin/rustc
        CARGO_STATIC=/usr/bin/cargo
        sysroot=$(rustc --print sysroot)
        echo "toolchain: Debian's $(rustc --version), its std built for $target"
    else
        case $wanted in
        any) echo "no toolchain for $target: neither rustup's rust-src, nor its target, nor Debian's rustc-web" >&2 ;;
        std) echo "no toolchain for $target: SHARELOCK_TOOLCHAIN=std wants rustup's rust-src" >&2 ;;
        rustup) echo "no toolchain for $target: SHARELOCK_TOOLCHAIN=rustup wants its target, and rustup says: $(grep -m 1 -A 3 '^error' <<<"${said:-}")" >&2 ;;
        debian) echo "no toolchain for $target: SHARELOCK_TOOLCHAIN=debian wants its packages rustc-web, cargo-web and rust-web-src" >&2 ;;
        *) echo "SHARELOCK_TOOLCHAIN is std, rustup or debian, not $wanted" >&2 ;;
        esac
        exit 1
    fi
    if [ -n "$std" ]; then
        export RUSTC_BOOTSTRAP=1
        # Of its features, none but this: a stripped program has no names for a backtrace to show.
        STATIC_OPTIONS+=("-Zbuild-std=std,panic_abort" "-Zbuild-std-features=optimize_for_size")
    fi
    # What cross/cc would otherwise have asked rustc for each file.
    CARGO_ZIGBUILD_RUSTC_VERSION=$("${RUSTC:-rustc}" --version | cut -d' ' -f2)
    export CARGO_ZIGBUILD_RUSTC_VERSION
    # Code for x86_64 is longer, and OpenSSL has more assembly for it: only the smallest fits the budget.
    case $target in x86_64*) STATIC_OPTIONS+=(--config 'profile.release.opt-level = "z"') ;; esac
    # Nothing of what comes out names a place of this machine.
    STATIC_OPTIONS+=(--config "target.$target.rustflags = ['--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo', '--remap-path-prefix=$sysroot=/rust', '--remap-path-prefix=$PWD=/sharelock']")
}

# Builds the cipher bench for that toolchain's target, with more options of cargo's if need be, and prints where it is.
static_bench() {
    $CARGO_STATIC build --quiet --profile bench --bench cipher --message-format json "${STATIC_OPTIONS[@]}" "$@" |
        python3 -c 'import json, sys
for line in sys.stdin:
    m = json.loads(line)
    if m.get("executable") and m["target"]["name"] == "cipher": print(m["executable"])'
}
