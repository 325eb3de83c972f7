#!/usr/bin/env bash
# From nothing to a job that has ended, with deploy/compose.yaml, and down again. Prints each command as one would type
# it. COMPOSE says what runs the file: `docker compose`, or `podman-compose`, whichever is found first.
set -euo pipefail
cd "$(dirname "$0")"

if [ -z "${COMPOSE:-}" ]; then
    if docker compose version >/dev/null 2>&1; then COMPOSE='docker compose'; else COMPOSE=podman-compose; fi
fi
compose() {
    printf '\n$ %s %s\n' "$COMPOSE" "$*"
    # shellcheck disable=SC2086  # it may be two words
    $COMPOSE --file compose.yaml --profile try "$@"
}
secret() { openssl rand -hex 32; }

folder=$(mktemp -d)
finish() {
    local status=$?
    trap - EXIT
    if ((status)); then compose logs >&2 || true; fi
    compose down --volumes >/dev/null 2>&1 || true
    rm -rf "$folder"
    exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# A certificate of its own for the names by which the proxy is reached; the proxy's user has to read it.
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=rainbow -addext subjectAltName=DNS:localhost,DNS:proxy \
    -keyout "$folder/key.pem" -out "$folder/ca.pem" 2>/dev/null
cat "$folder/ca.pem" "$folder/key.pem" >"$folder/rainbow.pem"
secret >"$folder/metrics-token"
chmod 755 "$folder" && chmod 644 "$folder"/*

RAINBOW_SECRET_KEY=$(secret) RAINBOW_REGISTRATION_SECRET=$(secret) RAINBOW_DATABASE_PASSWORD=$(secret)
export RAINBOW_SECRET_KEY RAINBOW_REGISTRATION_SECRET RAINBOW_DATABASE_PASSWORD
export RAINBOW_TLS_DIR=$folder RAINBOW_METRICS_TOKEN_FILE=$folder/metrics-token RAINBOW_HOSTNAME=localhost

compose up --detach
# Registers once there is a server; until then the agent is started again and again.
deadline=$((SECONDS + ${PATIENCE_SECONDS:-300}))
until curl --silent --fail --cacert "$folder/ca.pem" "https://localhost:${RAINBOW_PORT:-8443}/readyz" >/dev/null &&
    compose exec -T agent rainbow summary >/dev/null 2>&1; do
    if ((SECONDS > deadline)); then echo 'it was not ready in time' >&2; exit 1; fi
    sleep 1
done
compose ps
compose exec -T agent rainbow submit --wait -- hostname
compose exec -T agent rainbow jobs
# What a Prometheus in this network reads of the other server.
compose exec -T server-1 python -c '
from urllib.request import Request, urlopen
token = open("/etc/rainbow/metrics-token").read().strip()
scrape = Request("http://server-2:9464/metrics", headers={"Authorization": f"Bearer {token}"})
lines = urlopen(scrape).read().decode().splitlines()
print(*[line for line in lines if line.startswith(("rainbow_build_info", "rainbow_jobs{"))], sep="\n")
'
