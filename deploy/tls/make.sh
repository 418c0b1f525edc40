#!/bin/sh
# Make a private authority and certificates for the broker, the gateway and the simulated fleet; or one for a device:
#   deploy/tls/make.sh                     what is missing, into deploy/tls/certs (git-ignored)
#   deploy/tls/make.sh device NAME         NAME.pem and NAME.key as well
# TLS_HOSTS names further hosts and addresses under which clients reach the broker: "DNS:farm.local,IP:192.168.1.5"
set -eu
umask 077
cd "$(dirname "$0")"
mkdir -p certs
cd certs
DAYS=825

if [ ! -e ca.key ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 -subj "/CN=edgefleet private CA" \
        -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
        -keyout ca.key -out ca.pem 2>/dev/null
fi

certify() { # certify NAME USAGE [SUBJECT-ALTERNATIVE-NAMES]
    [ ! -e "$1.pem" ] || return 0
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$1" -keyout "$1.key" -out "$1.csr" 2>/dev/null
    printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\nauthorityKeyIdentifier=keyid\n%s\n' \
        "$2" "${3:+subjectAltName=$3}" >"$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days "$DAYS" -sha256 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
    rm -f "$1.csr" "$1.ext"
    echo "made deploy/tls/certs/$1.pem, valid for $DAYS days"
}

case "${1:-}" in
'')
    certify server serverAuth "DNS:mosquitto,DNS:chaos-link,DNS:localhost,IP:127.0.0.1${TLS_HOSTS:+,$TLS_HOSTS}"
    certify gateway clientAuth
    certify fleet clientAuth
    ;;
device)
    case "${2:?a name}" in *[!a-z0-9-]*) echo "a device's name is of a-z, 0-9 and '-'" >&2; exit 2 ;; esac
    certify "$2" clientAuth
    ;;
*)
    sed -n '2,5p' "$0"
    exit 2
    ;;
esac
