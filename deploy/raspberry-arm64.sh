#!/bin/bash
# Run the gateway on arm64 under emulation: `make arm64`. As root on Debian; what it lacks it installs from Debian's packages.
#
# Unpacks an arm64 Debian with Python, Mosquitto and InfluxDB, puts the aarch64 wheels of the lock file beside it, the ones
# that a Raspberry Pi would get, and runs in it the unit tests of contract and gateway, the pipeline's, the ports', and the
# walk from a sensor through a broker and the gateway to an alert. Timing is not shown: emulation is 10 to 40 times slower.
#
#   ARM64_ROOT   where the root file system is made, and kept for the next time (default /var/tmp/edgefleet-arm64)
#   SUITE        Debian release: bookworm (Python 3.11) or trixie (3.13)
set -euo pipefail
cd "$(dirname "$0")/.."

ROOT=${ARM64_ROOT:-/var/tmp/edgefleet-arm64}
SUITE=${SUITE:-bookworm}
UV=${UV:-.venv/bin/uv}
TESTS=${TESTS:-"tests/contract tests/gateway tests/pipeline tests/conformance tests/edgefleet/test_walk_through.py"}
PACKAGES="bash dash coreutils grep sed findutils procps libc-bin base-files base-passwd netbase tzdata libstdc++6 python3
    mosquitto mosquitto-clients influxdb ca-certificates"

say() { echo "arm64: $*" >&2; }

emulation() {
    if ! { command -v mmdebstrap && command -v qemu-aarch64-static && command -v update-binfmts; } >/dev/null; then
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends \
            mmdebstrap qemu-user-static binfmt-support >/dev/null
    fi
    [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64
}

# Unpacked, not configured: under emulation dpkg would take minutes, and no maintainer script is needed to run Python.
root_file_system() {
    [ -x "$ROOT/usr/bin/python3" ] && return
    local mirror sources
    # shellcheck disable=SC2016 # apt expands it
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v -- -security | grep '/debian/\?$' | head -n 1)
    sources=$(mktemp)
    printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
        "$mirror" "$SUITE" /usr/share/keyrings/debian-archive-keyring.gpg >"$sources"
    mmdebstrap --quiet --variant=extract --architectures=arm64 --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
        --include="$(echo $PACKAGES)" "$SUITE" "$ROOT" "$sources"
    rm -f "$sources"
    mkdir -p "$ROOT"/{proc,dev,root,tmp,work,opt/wheels}
    cp "$ROOT/usr/share/base-passwd/passwd.master" "$ROOT/etc/passwd"
    cp "$ROOT/usr/share/base-passwd/group.master" "$ROOT/etc/group"
    echo '127.0.0.1 localhost' >"$ROOT/etc/hosts"
}

wheels() {
    local python requirements
    python=$(inside python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    requirements=$(mktemp)
    "$UV" export --quiet --frozen --no-emit-project --extra demo --extra dev >"$requirements"
    rm -rf "$ROOT/opt/wheels"
    "$UV" pip install --quiet --require-hashes --python-platform aarch64-manylinux_2_36 --python-version "$python" \
        --only-binary :all: --target "$ROOT/opt/wheels" --requirements "$requirements"
    rm -f "$requirements"
}

# A copy, so that nothing changes under a run; and a profile for the property tests, which else would find it too slow.
sources() {
    rm -rf "$ROOT/work"
    mkdir "$ROOT/work"
    git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c 'for file; do [ ! -f "$file" ] || printf "%s\0" "$file"; done' sh |
        tar -c --null -T - | tar -x -C "$ROOT/work"
    cat >"$ROOT/opt/wheels/emulated.py" <<'PLUGIN'
from hypothesis import HealthCheck, settings

settings.register_profile("emulated", deadline=None, suppress_health_check=list(HealthCheck))
settings.load_profile("emulated")
PLUGIN
}

# No /sys: with the host's, libraries that read the CPU's topology there crash under qemu 7.2.
inside() {
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount sh -c '
        root=$1; shift
        mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" &&
        exec chroot "$root" "$@"' sh "$ROOT" env -i HOME=/root LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1 \
        PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH=/opt/wheels:/work "$@"
}

[ "$(id -u)" -eq 0 ] || { say "needs root, for a chroot and emulation"; exit 1; }
emulation
root_file_system
wheels
sources
say "$(inside uname -m), $(inside python3 --version), Debian $(cat "$ROOT/etc/debian_version"), $(date -u +%F)"
# the time limits of the tests were made for a machine that is ten times faster
# left out: amqtt, the demo's broker, which runs in the tests' own process and does not keep their time limits when emulated
# shellcheck disable=SC2086 # lists of words are meant
inside sh -c 'cd /work && exec python3 -m pytest -p emulated -p no:cacheprovider -o timeout=1200 "$@"' sh ${PYTEST_ARGS:--q} \
    --ignore tests/gateway/mqtt/test_session_on_amqtt.py $TESTS
