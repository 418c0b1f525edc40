#!/bin/bash
# Install, run, upgrade and uninstall in a clean Debian root: `make install-test`. As root on Debian.
#
# systemd cannot run in a chroot; what it would do is checked as far as files go: the unit verifies, its confinement is
# measured (systemd-analyze security), it is enabled, and its ExecStart is run as its user. Broker and gateway run in a network
# of their own, so nothing of this machine is touched.
#
#   SUITES   Debian releases (default "bookworm trixie")
set -euo pipefail
cd "$(dirname "$0")/.."

SUITES=${SUITES:-"bookworm trixie"}
CACHE=${CACHE:-/var/tmp/edgefleet-roots}
WORK=$(mktemp -d)
ROOT=""

step() { echo "$(date -u +%T) $SUITE: $*"; }
fail() {
    echo "FAILED: $*" >&2
    exit 1
}

clean_root() {
    local tar=$CACHE/$SUITE.tar mirror
    if [ ! -s "$tar" ]; then
        command -v mmdebstrap >/dev/null ||
            { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -yqq --no-install-recommends mmdebstrap >/dev/null; }
        mkdir -p "$CACHE"
        # shellcheck disable=SC2016 # apt expands it
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v -- -security | grep '/debian/\?$' | head -n 1)
        printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
            "$mirror" "$SUITE" /usr/share/keyrings/debian-archive-keyring.gpg >"$WORK/sources"
        mmdebstrap --quiet --variant=minbase "$SUITE" "$CACHE/new-$SUITE.tar" "$WORK/sources"   # by its ending, not a folder
        mv "$CACHE/new-$SUITE.tar" "$tar"
    fi
    ROOT=$WORK/$SUITE
    mkdir "$ROOT"
    tar -x -C "$ROOT" --exclude=./dev -f "$tar"
    mkdir -p "$ROOT/dev" "$ROOT/usr/sbin"
    cp -L /etc/resolv.conf "$ROOT/etc/resolv.conf"
    echo store-4 >"$ROOT/etc/hostname"
    printf '#!/bin/sh\nexit 101\n' >"$ROOT/usr/sbin/policy-rc.d"   # packages start no service in a chroot
    chmod +x "$ROOT/usr/sbin/policy-rc.d"
    # this machine's way to PyPI may end TLS with an authority of its own
    mkdir -p "$ROOT/root"
    cp -L /etc/ssl/certs/ca-certificates.crt "$ROOT/root/authorities.pem"
    mkdir "$ROOT/root/edgefleet"
    { git ls-files -z --cached --others --exclude-standard; } | grep -zv '^tests/' | xargs -0 sh -c 'for f; do [ ! -f "$f" ] || echo "$f"; done' sh |
        tar -c -T - | tar -x -C "$ROOT/root/edgefleet"
}

inside() {
    # shellcheck disable=SC2016 # for the inner shell
    unshare --mount sh -c 'r=$1; shift; mount -t proc proc "$r/proc" && mount --rbind /dev "$r/dev" && exec chroot "$r" "$@"' sh "$ROOT" \
        env -i HOME=/root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        PIP_CERT=/root/authorities.pem SSL_CERT_FILE=/root/authorities.pem PIP_ROOT_USER_ACTION=ignore PIP_NO_CACHE_DIR=1 "$@"
}

# What is there, but for what packages' tools keep for themselves (netbase leaves the /etc/hosts that it made).
inventory() {
    (cd "$ROOT" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./tmp -o -path ./run -o -path ./root -o -path ./var/cache \
        -o -path ./var/log -o -path ./var/lib/apt -o -path ./var/lib/dpkg -o -path ./var/lib/edgefleet -o -path ./etc/ssl \
        -o -path ./var/lib/systemd -o -path ./var/lib/ucf -o -path ./etc/ld.so.cache -o -path ./etc/hosts \) -prune -o ! -name '*-' ! -name __pycache__ -print | sort)
}

broker_and_gateway() { # broker_and_gateway SCRIPT COUNT: both run while the script does and COUNT samples are stored
    cat >"$ROOT/root/run.sh" <<'RUN'
set -eu
mkdir -p /run/mosquitto && chown mosquitto /run/mosquitto
mosquitto -c /etc/mosquitto/mosquitto.conf & broker=$!
cd /
setpriv --reuid edgefleet --regid edgefleet --init-groups \
    /opt/edgefleet/current/bin/edgefleet gateway -c /etc/edgefleet/gateway.yaml >/tmp/gateway.log 2>&1 & gateway=$!
trap 'kill $gateway $broker 2>/dev/null || true' EXIT
python3 - <<'WAIT'
import time
end = time.monotonic() + 60
while "broker connected" not in open("/tmp/gateway.log").read():
    assert time.monotonic() < end, open("/tmp/gateway.log").read()
    time.sleep(0.1)
WAIT
sh -eu /root/script.sh
python3 - "$1" <<'WAIT'
import json, subprocess, sys, time
end, wanted, found = time.monotonic() + 60, int(sys.argv[1]), None
while found != wanted:
    assert time.monotonic() < end, f"{found} samples arrived, not {wanted}"
    time.sleep(0.5)
    said = subprocess.run(["edgefleet", "audit", "--state", "/var/lib/edgefleet", "--json"], capture_output=True, text=True)
    found = sum(row["stored"] for row in json.loads(said.stdout or "[]"))
WAIT
kill $gateway
wait $gateway || { cat /tmp/gateway.log; exit 1; }
kill $broker; wait $broker || true
trap - EXIT
RUN
    printf '%s\n' "$1" >"$ROOT/root/script.sh"
    # shellcheck disable=SC2016 # for the inner shell
    unshare --net --mount sh -c 'ip link set lo up; r=$1; mount -t proc proc "$r/proc" && mount --rbind /dev "$r/dev" && exec chroot "$r" sh /root/run.sh "$2"' sh "$ROOT" "$2"
}

SENSOR='
from gateway.mqtt import Session, SessionSettings
import asyncio, json, pathlib, sys, time
async def main(first, count):
    password = pathlib.Path("/etc/edgefleet/sensors.password").read_text().strip()
    settings = SessionSettings(client_id="sensor", subscriptions=(), username="sensors", password=password)
    async with Session(settings) as session:
        for n in range(first, first + count):
            reading = {"Time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60 + n)), "ENERGY": {"Current": 1 + n / 100}, "n": n}
            await session.publish("tele/plug/SENSOR", json.dumps(reading).encode())
    await asyncio.sleep(0)
asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
'
SOURCES='
sources:
  plugs:
    topic: tele/{device}/SENSOR
    domain: industrial
    fields: {ENERGY.Current: current_a}
    time: Time
    seq: n
'

# The console as its unit runs it: a user of its own in the gateway's group. It must answer, and may not write the state; the
# gateway reads what operators say, and neither the password nor anything else can it write there.
CONSOLE='
import os, pathlib, pwd, shutil, subprocess, urllib.request
own, user = pathlib.Path("/var/lib/edgefleet-console"), pwd.getpwnam("edgefleet-console")
own.mkdir(mode=0o750)  # as StateDirectory= does
os.chown(own, user.pw_uid, user.pw_gid)
password = pathlib.Path("/tmp/console.password")
password.write_text(pathlib.Path("/etc/edgefleet/console.password").read_text())
os.chown(password, user.pw_uid, user.pw_gid)
who = dict(user="edgefleet-console", group="edgefleet", extra_groups=[], umask=0o027)
gateway = dict(user="edgefleet", group="edgefleet", extra_groups=[])
assert subprocess.run(["touch", "/var/lib/edgefleet/x"], stderr=subprocess.DEVNULL, **who).returncode, "it may write the state"
command = f"edgefleet console --state /var/lib/edgefleet --own {own} --listen 127.0.0.1:8080 --password-file {password}"
console = subprocess.Popen(command.split(), stdout=subprocess.PIPE, text=True, **who)
try:
    assert console.stdout.readline() == "console: http://127.0.0.1:8080\n"
    answer = urllib.request.urlopen("http://127.0.0.1:8080/", timeout=10)
    assert answer.url.endswith("/login?next=/"), answer.url
    assert b"Password" in answer.read()
finally:
    console.terminate()
    console.wait(20)
SAY = """
from pathlib import Path
from console.labels import Label, LabelStore
words = dict.fromkeys(("operator", "note", "alert_id", "site", "domain", "device", "rule", "severity", "model_version"), "x")
numbers = dict.fromkeys(("at_s", "until_s", "onset_s", "score", "window_start_s", "window_end_s"), 1.0)
LabelStore(Path("/var/lib/edgefleet-console")).add(Label(verdict="confirmed", **words, **numbers))
"""
READ = """
from pathlib import Path
from gateway.answers import ConsoleAnswers
from gateway.settings_file import load
print([one.verdict for one in ConsoleAnswers(load(Path("/etc/edgefleet/gateway.yaml")).console_dir).after(0)])
"""
python = "/opt/edgefleet/current/bin/python"
subprocess.run([python, "-c", SAY], check=True, **who)
assert subprocess.run([python, "-c", READ], check=True, capture_output=True, **gateway).stdout == b"[\x27confirmed\x27]\n"
for command in ("touch {}/x", "cat {}/console-passwords.json"):
    assert subprocess.run(command.format(own).split(), capture_output=True, **gateway).returncode, command
shutil.rmtree(own)
'

stored() { inside edgefleet audit --state /var/lib/edgefleet --json | python3 -c 'import json,sys; print([(r["stored"], r["lost"]) for r in json.load(sys.stdin)])'; }
# Outputs that wait in the outbox for the InfluxDB that is not there; looking changes nothing.
waiting() { python3 -c 'import sqlite3,sys; print(*sqlite3.connect(f"file:{sys.argv[1]}?immutable=1", uri=True).execute("SELECT count(*) FROM features").fetchone())' \
    "$ROOT/var/lib/edgefleet/outbox.db"; }
checksums() { (cd "$ROOT" && find opt/edgefleet etc usr/local etc/systemd -xdev -type f ! -path '*/__pycache__/*' ! -name '*-' -exec sha256sum {} + | sort); }

install_test() {
    local first
    step "a clean root"
    clean_root
    inside apt-get update -qq
    inventory >"$WORK/before"

    step "refusals come before any change"
    inside /root/edgefleet/deploy/install.sh --gateway 'No Name' --wheel /nowhere 2>"$WORK/refused" && fail "a wrong name was taken"
    grep -q -- --gateway "$WORK/refused" && grep -q /nowhere "$WORK/refused" || fail "not every fault was told"
    inventory | diff "$WORK/before" - || fail "a refused installation left something"

    step "install"
    echo a-token >"$ROOT/root/token"
    inside /root/edgefleet/deploy/install.sh --influx http://127.0.0.1:8086 --influx-token-file /root/token   # nobody is there
    inside /opt/edgefleet/current/bin/edgefleet gateway -c /etc/edgefleet/gateway.yaml --check
    [ "$(stat -c '%a %U' "$ROOT/var/lib/edgefleet")" = "750 $(inside id -u edgefleet | xargs -I{} getent passwd {} | cut -d: -f1 || true)" ] ||
        [ "$(inside stat -c '%a %U' /var/lib/edgefleet)" = "750 edgefleet" ] || fail "state folder"
    [ "$(inside stat -c '%a %U %G' /etc/edgefleet/broker.password)" = "640 root edgefleet" ] || fail "password's mode"
    [ "$(inside stat -c '%a %U' /etc/edgefleet/sensors.password)" = "640 root" ] || fail "password's mode"
    [ "$(inside stat -c '%a %U %G' /etc/edgefleet/influx.token)" = "640 root edgefleet" ] || fail "token's mode"
    for shelf in agriculture industrial retail traffic; do
        [ -s "$ROOT/opt/edgefleet/current/share/edgefleet/models/$shelf/model.tflite" ] || [ -s "$(echo "$ROOT"/opt/edgefleet/releases/*/share/edgefleet/models/$shelf/model.tflite)" ] ||
            fail "the wheel lacks the shelf $shelf"
    done
    inside edgefleet models verify >"$WORK/verify" || inside edgefleet models list >"$WORK/verify" || fail "the installed shelves do not load"
    [ -s "$(echo "$ROOT"/opt/edgefleet/releases/*/share/edgefleet/grafana/dashboards/edgefleet-alerts.json)" ] || fail "the wheel lacks dashboards"
    cp "$ROOT/etc/systemd/system/edgefleet.service" "$WORK/edgefleet.service"
    if command -v systemd-analyze >/dev/null; then
        systemd-analyze security --offline=yes --no-pager "$WORK/edgefleet.service" | tail -n 1
    fi

    step "again: nothing changes"
    checksums >"$WORK/sums"
    inside /root/edgefleet/deploy/install.sh
    checksums | diff "$WORK/sums" - || fail "the second installation changed something"

    step "a sensor, the broker and the gateway"
    printf '%s' "$SOURCES" >>"$ROOT/etc/edgefleet/gateway.yaml"
    printf '%s' "$SENSOR" >"$ROOT/root/sensor.py"
    broker_and_gateway '/opt/edgefleet/current/bin/python /root/sensor.py 0 30' 30
    [ "$(stored)" = "[(30, 0)]" ] || fail "stored: $(stored)"
    first=$(waiting)
    [ "$first" -gt 0 ] || fail "nothing waits in the outbox"

    step "upgrade: settings, journal, outbox and device state stay"
    echo '# a newer release' >>"$ROOT/root/edgefleet/gateway/backoff.py"
    (cd "$ROOT" && sha256sum var/lib/edgefleet/* etc/edgefleet/* etc/mosquitto/edgefleet.*) >"$WORK/state"
    inside /root/edgefleet/deploy/install.sh
    (cd "$ROOT" && sha256sum -c --quiet "$WORK/state") || fail "the upgrade touched data or settings"
    [ "$(find "$ROOT/opt/edgefleet/releases" -mindepth 1 -maxdepth 1 | wc -l)" = 2 ] || fail "the release before is not kept"
    grep -q 'a newer release' "$(inside readlink -f /opt/edgefleet/current | sed "s|^|$ROOT|")"/lib/python3*/site-packages/gateway/backoff.py || fail "the old release runs"
    broker_and_gateway '/opt/edgefleet/current/bin/python /root/sensor.py 30 20' 50
    [ "$(stored)" = "[(50, 0)]" ] || fail "after the upgrade: $(stored)"
    [ "$(waiting)" -gt "$first" ] || fail "the outbox holds $(waiting) entries, $first before the upgrade"

    step "the console, asked for afterwards, and taken away again"
    inside /root/edgefleet/deploy/install.sh --console 127.0.0.1:8080
    grep -qx 'LISTEN=127.0.0.1:8080' "$ROOT/etc/edgefleet/console.env" || fail "where the console listens"
    [ "$(inside stat -c '%a %U %G' /etc/edgefleet/console.password)" = "640 root root" ] || fail "password's mode"
    if command -v systemd-analyze >/dev/null; then
        systemd-analyze security --offline=yes --no-pager "$ROOT/etc/systemd/system/edgefleet-console.service" | tail -n 1
    fi
    printf '%s' "$CONSOLE" >"$ROOT/root/console.py"
    # shellcheck disable=SC2016 # for the inner shell
    unshare --net --mount sh -c 'ip link set lo up; r=$1; mount -t proc proc "$r/proc" && mount --rbind /dev "$r/dev" && exec chroot "$r" python3 /root/console.py' \
        sh "$ROOT"
    rm -rf "$ROOT/tmp/console.password"
    inside /root/edgefleet/deploy/install.sh
    [ -f "$ROOT/etc/systemd/system/edgefleet-console.service" ] || fail "installing again took the console away"
    inside /root/edgefleet/deploy/install.sh --console off
    [ ! -e "$ROOT/etc/systemd/system/edgefleet-console.service" ] && [ ! -e "$ROOT/etc/edgefleet/console.env" ] || fail "the console is still there"
    ! grep -q edgefleet-console "$ROOT/etc/passwd" || fail "the console's user is still there"

    step "an upgrade that the settings do not suit is refused, and the old release goes on"
    cp "$ROOT/etc/edgefleet/gateway.yaml" "$WORK/good.yaml"
    echo 'colour: blue' >>"$ROOT/etc/edgefleet/gateway.yaml"
    echo '# newer still' >>"$ROOT/root/edgefleet/gateway/backoff.py"
    inside readlink /opt/edgefleet/current >"$WORK/current"
    inside /root/edgefleet/deploy/install.sh 2>"$WORK/refused" && fail "settings with a fault were taken"
    grep -q 'colour' "$WORK/refused" || fail "the fault was not told"
    inside readlink /opt/edgefleet/current | diff "$WORK/current" - || fail "the release changed"
    cp "$WORK/good.yaml" "$ROOT/etc/edgefleet/gateway.yaml"

    step "uninstall leaves no trace but the data"
    cp -r "$ROOT/var/lib/edgefleet" "$WORK/data"
    inside /opt/edgefleet/install.sh --uninstall
    inventory | diff "$WORK/before" - || fail "the removal left something, or took what was there"
    ! grep -q edgefleet "$ROOT/etc/passwd" "$ROOT/etc/group" "$ROOT/etc/shadow" || fail "the user is still there"
    for file in journal.db outbox.db store.db; do
        cmp "$WORK/data/$file" "$ROOT/var/lib/edgefleet/$file" || fail "$file was touched"
    done

    step "installed once more, it finds its data and settings"
    inside /root/edgefleet/deploy/install.sh
    diff "$WORK/good.yaml" "$ROOT/etc/edgefleet/gateway.yaml" || fail "the settings did not come back"
    broker_and_gateway '/opt/edgefleet/current/bin/python /root/sensor.py 50 10' 60
    [ "$(stored)" = "[(60, 0)]" ] || fail "after all: $(stored)"
    step "passed"
    rm -rf "$ROOT" "$WORK"/data
}

[ "$(id -u)" -eq 0 ] || fail "needs root, for a chroot"
trap 'rm -rf "$WORK"' EXIT
for SUITE in $SUITES; do
    install_test
done
