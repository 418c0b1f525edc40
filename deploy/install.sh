#!/bin/bash
# Install edgefleet as a service on 64-bit Raspberry Pi OS or Debian (12, 13), or bring it to this version. As root:
#
#   deploy/install.sh [options]            install or upgrade; running it again changes nothing
#     --wheel FILE                         from a wheel, instead of from this checkout
#     --broker HOST[:PORT]                 use a broker that is there; default: Mosquitto is installed here, with an ACL
#     --broker-user NAME --broker-password-file FILE     how to log in there
#     --influx URL --influx-token-file FILE              also forward to an InfluxDB
#     --gateway NAME                       name of this gateway; default: the host's
#     --console HOST:PORT                  also serve the web page, such as 127.0.0.1:8080; `--console off` takes it away again
#   deploy/install.sh --uninstall          remove everything but the data in /var/lib/edgefleet (settings are kept there too)
#
# An upgrade keeps settings, journal, outbox and device state: the new version is put beside the old one, must accept the
# settings, and only then takes its place. What it makes: /opt/edgefleet, /etc/edgefleet, /var/lib/edgefleet, a user edgefleet,
# /usr/local/bin/edgefleet, a systemd unit, with the console a second one and /var/lib/edgefleet-console, and with the broker
# three files below /etc/mosquitto.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
CHECKOUT=$(dirname "$HERE")
OPT=/opt/edgefleet ETC=/etc/edgefleet STATE=/var/lib/edgefleet UNIT=/etc/systemd/system/edgefleet.service
CONSOLE_UNIT=/etc/systemd/system/edgefleet-console.service CONSOLE_ENV=$ETC/console.env
COMMAND=/usr/local/bin/edgefleet BROKER_CONF=/etc/mosquitto/conf.d/edgefleet.conf
BROKER_ACL=/etc/mosquitto/edgefleet.acl BROKER_PASSWORDS=/etc/mosquitto/edgefleet.passwords

say() { echo "edgefleet: $*" >&2; }
refuse() {
    say "refused: $*"
    exit 2
}
running_systemd() { [ -d /run/systemd/system ]; }

action=install wheel="" broker="" broker_user="" broker_password="" influx="" influx_token="" console=""
gateway=$(tr '[:upper:]' '[:lower:]' </etc/hostname 2>/dev/null | tr -cd 'a-z0-9-' | cut -c1-64 || true)
while [ $# -gt 0 ]; do
    case $1 in
    --uninstall) action=uninstall ;;
    --wheel | --broker | --broker-user | --broker-password-file | --influx | --influx-token-file | --gateway | --console)
        [ $# -ge 2 ] || refuse "$1 needs a value"
        case $1 in
        --wheel) wheel=$2 ;;
        --broker) broker=$2 ;;
        --broker-user) broker_user=$2 ;;
        --broker-password-file) broker_password=$2 ;;
        --influx) influx=$2 ;;
        --influx-token-file) influx_token=$2 ;;
        --gateway) gateway=$2 ;;
        --console) console=$2 ;;
        esac
        shift
        ;;
    -h | --help)
        sed -n '2,19s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    *) refuse "$1 is not an option; --help lists them" ;;
    esac
    shift
done

# ---- what must hold, all of it told at once --------------------------------------------------------------------------

check() {
    local faults=""
    [ "$(id -u)" -eq 0 ] || faults="$faults\n  run it as root: sudo $0"
    [ "$(getconf LONG_BIT)" = 64 ] || faults="$faults\n  this system is 32-bit; the models run on 64-bit Raspberry Pi OS only"
    # shellcheck disable=SC1091 # there on every Debian
    [ "$(. /etc/os-release && echo "${VERSION_ID:-0}")" -ge 12 ] 2>/dev/null || faults="$faults\n  Debian 12 or newer is needed"
    [ -z "$wheel" ] || [ -f "$wheel" ] || faults="$faults\n  --wheel $wheel is not a file"
    [ -z "$influx" ] || [ -f "$influx_token" ] || faults="$faults\n  --influx needs --influx-token-file, a file with the token"
    [ -z "$broker_user" ] || [ -f "$broker_password" ] || faults="$faults\n  --broker-user needs --broker-password-file"
    [ -z "$broker_user" ] || [ -n "$broker" ] || faults="$faults\n  --broker-user goes with --broker"
    [[ $gateway =~ ^[a-z0-9-]{1,64}$ ]] || faults="$faults\n  --gateway: a name of a-z, 0-9 and '-'"
    [[ $console =~ ^(|off|[]A-Za-z0-9:.[-]+:[0-9]{1,5})$ ]] || faults="$faults\n  --console: HOST:PORT, or off"
    [ -z "$faults" ] || refuse "nothing was changed.$(echo -e "$faults")"
}

# ---- installation ------------------------------------------------------------------------------------------------------

packages() {
    local wanted="python3 python3-venv ca-certificates" missing="" before
    [ -n "$broker" ] || wanted="$wanted mosquitto"
    for package in $wanted; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "installing$missing"
    before=$(mktemp)
    dpkg-query -W -f '${binary:Package}\n' | sort >"$before"
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of words is meant
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    mkdir -p "$OPT"
    dpkg-query -W -f '${binary:Package}\n' | sort | comm -13 "$before" - >>"$OPT/packages"   # to be removed with us
    rm -f "$before"
}

user() {
    getent passwd edgefleet >/dev/null ||
        useradd --system --user-group --home-dir "$STATE" --no-create-home --shell /usr/sbin/nologin edgefleet
    install -d -m 0750 -o edgefleet -g edgefleet "$STATE"
    # data that outlived an uninstall belong to a number; settings that did come back
    [ "$(stat -c %U "$STATE")" = edgefleet ] && find "$STATE" -xdev ! -user edgefleet -exec chown -h edgefleet:edgefleet {} +
    if [ ! -d "$ETC" ] && [ -d "$STATE/etc-edgefleet" ]; then
        say "taking back the settings of the last installation"
        mv "$STATE/etc-edgefleet" "$ETC"
        chown -R root:edgefleet "$ETC"
    fi
    install -d -m 0750 -o root -g edgefleet "$ETC"
}

# Whether the console is wanted: now, or since an installation before.
with_console() { [ "$console" != off ] && { [ -n "$console" ] || [ -f "$CONSOLE_ENV" ]; }; }

# Says what this release is, so that the same one is not installed twice.
fingerprint() {
    if [ -n "$wheel" ]; then
        sha256sum <"$wheel" | cut -c1-12
    else
        (cd "$CHECKOUT" && find contract gateway simulator edgefleet console grafana models examples deploy pyproject.toml uv.lock -type f \
            ! -path '*/__pycache__/*' ! -path 'models/training/*' -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)
    fi
}

release() {
    local name target
    name=$(fingerprint)
    ! with_console || name=$name-console
    target=$OPT/releases/$name
    if [ -f "$target/complete" ]; then
        say "release $name is there"
    else
        say "installing release $name in $target; this takes minutes on a small board"
        rm -rf "$target"
        mkdir -p "$OPT/releases"
        python3 -m venv "$target"
        if [ -n "$wheel" ]; then
            "$target/bin/pip" install --quiet --disable-pip-version-check "$wheel$(! with_console || echo '[console]')"
        else
            from_checkout "$target"
        fi
        "$target/bin/python" -m compileall -q "$target/lib" || true   # the service may not write there
        touch "$target/complete"
    fi
    NEW=$target
}

# Dependencies as the lock file has them, checked by hash; then the project itself.
from_checkout() {
    local target=$1 tools build
    tools=$(mktemp -d)
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check uv hatchling
    (cd "$CHECKOUT" && "$tools/venv/bin/uv" export --quiet --frozen --no-emit-project --no-dev --no-default-groups \
        $(! with_console || echo --extra console)) >"$tools/requirements.txt"
    "$tools/venv/bin/uv" pip install --quiet --no-cache --python "$target/bin/python" --require-hashes -r "$tools/requirements.txt"
    build=$tools/checkout
    mkdir "$build"
    (cd "$CHECKOUT" && tar -c --exclude=__pycache__ contract gateway simulator edgefleet console grafana models examples deploy \
        pyproject.toml README.md LICENSE) | tar -x -C "$build"
    (cd "$build" && "$tools/venv/bin/python" -m hatchling build -t wheel -d "$tools/wheels" >/dev/null)
    "$target/bin/pip" install --quiet --disable-pip-version-check --no-deps "$tools"/wheels/edgefleet-*.whl
    rm -rf "$tools"
}

secret() { # secret FILE GROUP: a random password, made once
    if [ ! -s "$1" ]; then
        (umask 077 && python3 -c 'import secrets; print(secrets.token_urlsafe(24))' >"$1")
        chown "root:$2" "$1"
        chmod 0640 "$1"
    fi
}

settings() {
    local host=127.0.0.1 port=1883 login influx_section="" zone
    [ -f "$ETC/gateway.yaml" ] && return
    zone=$(cat /etc/timezone 2>/dev/null || readlink -f /etc/localtime 2>/dev/null | sed 's|.*/zoneinfo/||')
    [[ ${zone:-} =~ ^[A-Za-z][A-Za-z0-9_+/-]*$ ]] || zone=UTC
    if [ -n "$broker" ]; then
        host=${broker%:*}
        [ "$host" = "$broker" ] || port=${broker##*:}
        login=""
        if [ -n "$broker_user" ]; then
            install -m 0640 -o root -g edgefleet "$broker_password" "$ETC/broker.password"
            login="  username: $broker_user\n  password_file: $ETC/broker.password"
        fi
    else
        login="  username: gateway\n  password_file: $ETC/broker.password"
    fi
    if [ -n "$influx" ]; then
        install -m 0640 -o root -g edgefleet "$influx_token" "$ETC/influx.token"
        influx_section="influx:\n  url: $influx\n  token_file: $ETC/influx.token\n"
    fi
    sed -e "s|@GATEWAY@|$gateway|" -e "s|@BROKER_HOST@|$host|" -e "s|@BROKER_PORT@|$port|" -e "s|@BROKER_LOGIN@|$login|" \
        -e "s|@TIME_ZONE@|$zone|" -e "s|@INFLUX@|$influx_section|" "$NEW/share/edgefleet/raspberry/gateway.yaml" | sed '/^$/d' >"$ETC/gateway.yaml.new"
    chown root:edgefleet "$ETC/gateway.yaml.new"
    chmod 0640 "$ETC/gateway.yaml.new"
    mv "$ETC/gateway.yaml.new" "$ETC/gateway.yaml"
}

local_broker() {
    [ -z "$broker" ] || return 0
    grep -q 'host: 127.0.0.1' "$ETC/gateway.yaml" || return 0   # an upgrade without --broker, of an installation with one
    secret "$ETC/broker.password" edgefleet
    secret "$ETC/sensors.password" root
    secret "$ETC/viewer.password" root
    if [ ! -f "$BROKER_CONF" ]; then
        if grep -rqs '^[[:space:]]*\(listener\|port\|allow_anonymous\)' /etc/mosquitto/mosquitto.conf /etc/mosquitto/conf.d; then
            say "Mosquitto has listeners of its own here: left as they are. Merge $NEW/share/edgefleet/raspberry/mosquitto.conf yourself."
            return 0
        fi
        install -m 0644 "$NEW/share/edgefleet/raspberry/mosquitto.conf" "$BROKER_CONF"
        install -m 0644 "$NEW/share/edgefleet/raspberry/mosquitto.acl" "$BROKER_ACL"
    fi
    if [ ! -f "$BROKER_PASSWORDS" ]; then
        : >"$BROKER_PASSWORDS"
        chmod 0640 "$BROKER_PASSWORDS"
        chown root:mosquitto "$BROKER_PASSWORDS"
        for name in gateway:broker sensors:sensors viewer:viewer; do
            mosquitto_passwd -b "$BROKER_PASSWORDS" "${name%:*}" "$(head -n1 "$ETC/${name#*:}.password")"
        done
        ! running_systemd || systemctl restart mosquitto
    fi
}

console() {
    if ! with_console; then
        rm -f "$CONSOLE_ENV" "$ETC/console.password"
        return 0
    fi
    getent passwd edgefleet-console >/dev/null ||
        useradd --system --gid edgefleet --home-dir "$STATE-console" --no-create-home --shell /usr/sbin/nologin edgefleet-console
    secret "$ETC/console.password" root   # systemd hands it over
    if [ -n "$console" ]; then
        echo "LISTEN=$console" >"$CONSOLE_ENV.new"
        chmod 0640 "$CONSOLE_ENV.new"
        mv "$CONSOLE_ENV.new" "$CONSOLE_ENV"
    fi
}

accepted() { # the new release must accept the settings, as the user that it will run as, before it takes over
    runuser -u edgefleet -- "$NEW/bin/edgefleet" gateway -c "$ETC/gateway.yaml" --check ||
        refuse "the settings do not hold for this release; the old one goes on. Mend $ETC/gateway.yaml and run this again."
}

take_over() {
    local before="" release
    before=$(readlink "$OPT/current" 2>/dev/null || true)
    ln -sfn "$NEW" "$OPT/current.new"
    mv -T "$OPT/current.new" "$OPT/current"
    ln -sfn "$OPT/current/bin/edgefleet" "$COMMAND"
    cmp -s "$NEW/share/edgefleet/edgefleet.service" "$UNIT" || install -D -m 0644 "$NEW/share/edgefleet/edgefleet.service" "$UNIT"
    if with_console; then
        cmp -s "$NEW/share/edgefleet/edgefleet-console.service" "$CONSOLE_UNIT" ||
            install -D -m 0644 "$NEW/share/edgefleet/edgefleet-console.service" "$CONSOLE_UNIT"
    else
        remove_console
    fi
    install -m 0755 "$HERE/install.sh" "$OPT/install.sh" 2>/dev/null || true   # for --uninstall, when the checkout is gone
    if command -v systemctl >/dev/null; then
        ! running_systemd || systemctl daemon-reload
        systemctl enable --quiet edgefleet
        if running_systemd && { [ "$before" != "$NEW" ] || ! systemctl --quiet is-active edgefleet; }; then
            systemctl restart edgefleet
        fi
        ! with_console || systemctl enable --quiet edgefleet-console
        if with_console && running_systemd &&
            { [ "$before" != "$NEW" ] || [ -n "$console" ] || ! systemctl --quiet is-active edgefleet-console; }; then
            systemctl restart edgefleet-console
        fi
    fi
    for release in "$OPT"/releases/*; do   # the one before is kept, to go back to
        [ "$release" = "$NEW" ] || [ "$release" = "$before" ] || rm -rf "$release"
    done
}

# ---- removal -----------------------------------------------------------------------------------------------------------

remove_console() { # what operators said stays, in /var/lib/edgefleet-console
    if command -v systemctl >/dev/null && [ -f "$CONSOLE_UNIT" ]; then
        ! running_systemd || systemctl stop edgefleet-console
        systemctl disable --quiet edgefleet-console
    fi
    rm -f "$CONSOLE_UNIT"
    if getent passwd edgefleet-console >/dev/null; then
        userdel edgefleet-console
    fi
}

uninstall() {
    [ "$(id -u)" -eq 0 ] || refuse "run it as root"
    remove_console
    if command -v systemctl >/dev/null && [ -f "$UNIT" ]; then
        ! running_systemd || systemctl stop edgefleet
        systemctl disable --quiet edgefleet
    fi
    rm -f "$UNIT" "$COMMAND"
    ! running_systemd || systemctl daemon-reload
    if [ -f "$BROKER_CONF" ]; then
        rm -f "$BROKER_CONF" "$BROKER_ACL" "$BROKER_PASSWORDS"
        ! running_systemd || systemctl restart mosquitto || true
    fi
    if [ -d "$ETC" ]; then
        rm -rf "$STATE/etc-edgefleet"
        install -d -m 0750 "$STATE"
        mv "$ETC" "$STATE/etc-edgefleet"
    fi
    # packages that came with us and that nothing else needs by now
    if [ -s "$OPT/packages" ]; then
        # shellcheck disable=SC2046 # a list of words is meant
        DEBIAN_FRONTEND=noninteractive dpkg --purge $(cat "$OPT/packages") >/dev/null 2>&1 ||
            say "left installed, something else needs them now: $(tr '\n' ' ' <"$OPT/packages")"
    fi
    rm -rf "$OPT"
    if getent passwd edgefleet >/dev/null; then
        userdel edgefleet
    fi
    say "removed; the data and settings are in $STATE, delete it if you want to be rid of them too"
}

if [ "$action" = uninstall ]; then
    uninstall
    exit 0
fi
check
packages
user
release
settings
local_broker
console
accepted
take_over
say "release $(basename "$NEW") is installed; settings: $ETC/gateway.yaml"
[ -n "$broker" ] || say "sensors log in to the broker as 'sensors', password in $ETC/sensors.password; people as 'viewer'"
! with_console || say "console: $(cat "$CONSOLE_ENV"), password in $ETC/console.password"
running_systemd || say "systemd does not run here: start it with runuser -u edgefleet -- $COMMAND gateway -c $ETC/gateway.yaml"
