// SPDX-License-Identifier: ISC

package main

import (
	"fmt"
	"slices"
	"sync"
)

// meter reports as tests/tools/meter does.
type meter struct {
	mu      sync.Mutex
	latency []int64 // ns
	first   int64   // when the first message had come, and the last
	last    int64
}

func (m *meter) add(ns int64) {
	m.mu.Lock()
	m.latency = append(m.latency, ns)
	m.mu.Unlock()
}

// percentile is of the sorted latencies, in microseconds.
func (m *meter) percentile(p float64) float64 {
	if len(m.latency) == 0 {
		return 0
	}
	return float64(m.latency[int(p/100*float64(len(m.latency)-1))]) / 1e3
}

func (m *meter) report(count, bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.Sort(m.latency)
	fmt.Fprintf(stdout,
		`{"count":%d,"bytes":%d,"first_ns":%d,"last_ns":%d,"p50_us":%.1f,"p90_us":%.1f,"p99_us":%.1f,"p999_us":%.1f,"max_us":%.1f}`+"\n",
		count, bytes, m.first, m.last, m.percentile(50), m.percentile(90), m.percentile(99), m.percentile(99.9), m.percentile(100))
}
