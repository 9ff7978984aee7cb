#!/usr/bin/env bash
# SPDX-License-Identifier: ISC
# make bench measures what it says, on a small scale, and reports it.

# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
command -v python3 >/dev/null || skip_all 'no python3 here'
plan 4

export BENCH_RUNS=1 BENCH_SCALE=1 BENCH_SYSTEMS='ours ngtcp2' \
    BENCH_RESULTS=$out/results
run bench "$top/tests/bench/run" --quick start limit throughput fanout \
    latency lossy handshakes
is "$(status bench)" 0 'every case runs'
is "$(grep failed "$out/bench.out")" '' 'none fails'
like "$(cat "$out"/results/*.json)" '"case": "lossy", "point": "0.5 % lost"' \
    'the samples are kept'
like "$("$top/tests/bench/report" --targets "$out"/results/*.json)" \
    'RSS at start, MB \|.*\| [0-9.]+ \|' 'the targets are filled in'
