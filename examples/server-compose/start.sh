#!/bin/sh
# dpm serve or dpm worker with the queue and the samples of this composition.
command=$1
shift
exec node node_modules/dpm-native/dist/cli/main.js "$command" "$@" --queue "$DPM_QUEUE" --results "$DPM_RESULTS"
