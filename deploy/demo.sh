#!/usr/bin/env bash
# rainbow's main job from start to end. Prints each command as one would type it, keeps everything in a
# temporary folder, and stops what it started. Needs `python` and `rainbow` of the environment; see `make demo`.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
server=
agent=
second_agent=

finish() {
    local status=$? process
    trap - EXIT
    for process in $agent $second_agent $server; do
        kill "$process" 2>/dev/null || true
        wait "$process" || true
    done
    if ((status)); then
        printf '\nThe demo did not reach its end. The server said:\n' >&2
        cat "$folder/server.log" >&2 || true
        cat "$folder"/*agent.log >&2 2>/dev/null || true
    fi
    rm -rf "$folder"
    exit "$status"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

step() { printf '\n# %s\n' "$1"; }
run() {
    printf '$ %s\n' "$1"
    eval "$1"
}
free_port() { python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
connects() { (: <"/dev/tcp/${1/://}") 2>/dev/null; }
wait_for_server() {
    local deadline=$((SECONDS + 30))
    until connects "$RAINBOW_HOST"; do
        if ! kill -0 "$server" 2>/dev/null || ((SECONDS > deadline)); then return 1; fi
        sleep 0.1
    done
}

wait_for_facts() {
    local deadline=$((SECONDS + 30))
    until [[ $(rainbow clusters --cluster-name "$1" --json) == *'"local"'* ]]; do
        if ((SECONDS > deadline)); then return 1; fi
        sleep 0.1
    done
}

# What the caller set up for servers of their own stays out of this.
for name in $(compgen -e | grep '^RAINBOW_' || true); do unset "$name"; done

step "A server, on an embedded database. Only who knows its registration secret may add clusters."
run "export DATABASE_URL=sqlite:///$folder/rainbow.db RAINBOW_REGISTRATION_SECRET=only-for-this-demo"
run "export RAINBOW_HOST=127.0.0.1:$(free_port) RAINBOW_CONFIG=$folder/config.toml"
run "python manage.py grpcserver --address \$RAINBOW_HOST >$folder/server.log 2>&1 &"
server=$!
wait_for_server
run "rainbow version"

step "The cluster registers. --save keeps its token and its secret for the commands that follow."
run "rainbow register --cluster-name keebler --save"

step "Those who have the token submit jobs, from anywhere."
run "rainbow submit --nodes 1 --tasks 1 --command hostname"
run "rainbow submit --nodes 2 --tasks 4 --command 'for step in 1 2 3; do echo step \$step; done' --job-name simulate"
run "rainbow submit --nodes 1 --command 'echo no data >&2; exit 7' --job-name plot"
run "rainbow jobs"

step "The cluster looks at what waits for it. This reserves nothing."
run "rainbow request"

step "It accepts the first, which leaves the queue and is now its own to run."
run "rainbow request --max-jobs 1 --accept 1"
run "rainbow summary"

step "An agent does all this by itself, and reports. This one runs jobs as processes of this machine."
run "rainbow agent --executor local --slots 8 --state-dir $folder/agent 2>$folder/agent.log &"
agent=$!
run "rainbow watch 2 3 || echo exited with \$?"

step "A submitter may wait for the end: the output is the job's, and so is the exit code."
run "rainbow submit --wait --command 'echo greetings from the cluster'"

step "What became of the jobs."
run "rainbow jobs"
run "rainbow logs 2"
run "rainbow job 3"

step "A second, larger cluster with data of its own. Clusters tell what they have."
run "rainbow register --cluster-name noether --save"
run "rainbow agent --cluster-name noether --executor local --slots 16 --fact data=imagenet --state-dir $folder/second 2>$folder/second-agent.log &"
second_agent=$!
wait_for_facts noether
run "rainbow clusters --cluster-name noether noether"

step "The operator makes a pool of the two: its submitters need not know which cluster is free."
run "python manage.py pool create science keebler noether --json >$folder/science.json"
token=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["token"])' "$folder/science.json")
printf '$ export RAINBOW_CLUSTER=science RAINBOW_TOKEN=...\n'
export RAINBOW_CLUSTER=science RAINBOW_TOKEN=$token
run "rainbow clusters"

step "Each job of the pool runs where it fits: twelve tasks on the larger cluster, the data where it is, the rest elsewhere."
run "rainbow submit --tasks 12 --job-name large --command 'echo twelve tasks'"
run "rainbow submit --need data=imagenet --job-name train --command 'echo near the data'"
run "rainbow submit --need '!data' --job-name other --command 'echo anywhere else'"
run "rainbow watch 5 6 7"
run "rainbow jobs"
unset RAINBOW_CLUSTER RAINBOW_TOKEN

step "The agents are told to stop, and the first says what it did."
run "kill $agent $second_agent"
wait "$agent" "$second_agent"
agent= second_agent=
run "cat $folder/agent.log"

step "What the server's operator sees."
run "cat $folder/server.log"

step "To see the operators' console with a whole fleet in it: make console"
