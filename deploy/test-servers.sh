#!/bin/sh
# Install the servers that the tests run against from Debian's packages, where this user may (root on Debian).
# Elsewhere do nothing: each test that lacks its server is skipped and says so.
set -eu

missing=""
command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing="$missing mosquitto"
command -v mosquitto_pub >/dev/null || missing="$missing mosquitto-clients"
command -v influxd >/dev/null || missing="$missing influxdb"
command -v chromium >/dev/null || missing="$missing chromium"
command -v victoria-metrics >/dev/null || missing="$missing victoria-metrics"
# what drives Chromium brings a Node that needs this
find /usr/lib /lib -name libatomic.so.1 2>/dev/null | grep -q . || missing="$missing libatomic1"

# a root file system that was only just unpacked may not know its own name
if [ ! -e /etc/hosts ] && [ "$(id -u)" -eq 0 ]; then
    echo "127.0.0.1 localhost" >/etc/hosts
fi

[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed:$missing (needs root on Debian); the tests that need them will be skipped" >&2
    exit 0
fi

# a policy that refuses to start services: the tests start their own, on free ports
policy=/usr/sbin/policy-rc.d
made_policy=""
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    made_policy=yes
fi
trap '[ -z "$made_policy" ] || rm -f "$policy"' EXIT

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of words is meant
apt-get install -y -qq --no-install-recommends $missing >/dev/null
