#!/usr/bin/env bash
# Starts the processes of compose.yaml on this machine: Redis, a server, two workers. Draws a job and writes its first image.
#
#   ./local.sh [IMAGE, default digit.png]
set -euo pipefail
image=${1:-digit.png}
dpm=(node "$(dirname "${BASH_SOURCE[0]}")/../../dist/cli/main.js")
work=$(mktemp -d)
processes=()
end() {
  kill "${processes[@]}" 2> /dev/null || true
  wait || true
  rm -rf "$work"
}
trap end EXIT

port=$((20000 + RANDOM % 20000))
redis-server --port "$port" --dir "$work" --appendonly yes --appendfsync always --save '' > "$work/redis.log" &
processes+=($!)
until redis-cli -p "$port" ping > /dev/null 2>&1; do sleep 0.1; done
place=(--queue "redis://127.0.0.1:$port" --results "file://$work/samples" --device cpu --port 0 --log-level warn)
"${dpm[@]}" serve mnist "${place[@]}" > "$work/server" &
processes+=($!)
for _ in 1 2; do
  "${dpm[@]}" worker mnist --threads 1 "${place[@]}" > "$work/worker" &
  processes+=($!)
done
until url=$(grep -Eo 'http://[0-9.:]+' "$work/server" 2> /dev/null); do sleep 0.1; done

job=$(curl --silent --fail -H 'Content-Type: application/json' "$url/v1/jobs" \
  -d '{ "model": "mnist", "sampler": "ddim", "steps": 10, "seed": 1, "count": 256 }' | grep -Eo '[0-9a-f-]{36}' | head -n 1)
curl --silent --fail --no-buffer "$url/v1/jobs/$job/events" | grep -E '^event: '
curl --silent --fail "$url/v1/jobs/$job/images/0" > "$image"
echo "job $job -> $image"
