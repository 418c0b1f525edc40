#!/bin/sh
# The compose stack from the command line, called by make:
#   stack.sh up              start, wait until all is well, say where to look
#   stack.sh credentials     show the secrets
#   stack.sh down            stop; volumes stay
# PROFILE: any of pi, tls, chaos, separated by commas.
set -eu
cd "$(dirname "$0")/../.."

profile=",${PROFILE:-},"
set -- "$1" -f docker-compose.yml
for name in pi tls; do
    case "$profile" in *",$name,"*) set -- "$@" -f "deploy/compose/$name.yaml" ;; esac
done
case "$profile" in *",chaos,"*) set -- "$@" --profile chaos ;; esac
verb=$1
shift

setting() { # setting NAME DEFAULT: from the environment, else from .env, else the default
    eval "value=\${$1:-}"
    [ -n "$value" ] || value=$(sed -n "s/^$1=//p" .env 2>/dev/null | tail -n 1)
    echo "${value:-$2}"
}

case "$verb" in
up)
    docker compose "$@" up --detach --build --wait
    cat <<TEXT

The stack is up.
  Grafana    http://127.0.0.1:$(setting EDGEFLEET_GRAFANA_PORT 3000)   user admin; password: make credentials
             Fleet overview: who is online, silent, alerting.  Maintenance alerts: what is wrong, since when and why.
  Console    http://127.0.0.1:$(setting EDGEFLEET_CONSOLE_PORT 8080)   any name; password: make credentials
             The fleet, its alerts and why; acknowledge them, say what was found.
  InfluxDB   http://127.0.0.1:$(setting EDGEFLEET_INFLUX_PORT 8086)   user admin; buckets edgefleet, edgefleet-alerts
  Broker     mqtt://127.0.0.1:$(setting EDGEFLEET_MQTT_PORT 1883)     user viewer; alerts stand retained on fleet/v1/+/+/+/alert
The first alerts come from the day of history that the simulator sends first: within a minute or two.
TEXT
    ;;
credentials) docker compose "$@" run --rm --quiet-pull init show ;;
down) docker compose "$@" --profile '*' down ;;
*)
    sed -n '2,6p' "$0"
    exit 2
    ;;
esac
