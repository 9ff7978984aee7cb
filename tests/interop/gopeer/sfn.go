// SPDX-License-Identifier: ISC

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/yomorun/yomo"
	"github.com/yomorun/yomo/core/frame"
	"github.com/yomorun/yomo/serverless"
)

var shownKeys = []string{"yomo-source-id", "yomo-tid", "yomo-target", "yomo-wanted-target"}

// sink is what a function does with what it gets.
type sink struct {
	format string
	limit  int64
	only   int // count messages of this size; 0: all
	out    *bufio.Writer
	mu     sync.Mutex
	meter  meter
	full   chan struct{} // closed when limit messages have come
	count  atomic.Int64
	bytes  atomic.Int64
}

func runSfn(args []string) error {
	var c common
	fs := flag.NewFlagSet("sfn", flag.ExitOnError)
	c.add(fs, "go-sfn")
	outTag := fs.Uint("o", 0, "write the message in upper case to this tag")
	outTarget := fs.String("W", "", "target of what is written")
	limit := fs.Int64("c", 0, "end after so many messages; 0: never")
	only := fs.Int("only", 0, "-F count, latency: count only messages of this size; 0: all")
	ai := fs.String("ai", "", "describe it as a function for language models")
	fs.Parse(args)

	opts := []yomo.SfnOption{yomo.WithSfnCredential(c.credential), yomo.DisableOtelTrace()}
	if c.retry {
		opts = append(opts, yomo.WithSfnReConnect())
	}
	if *ai != "" {
		opts = append(opts, yomo.WithSfnAIFunctionDefinition(*ai, nil))
	}
	f := yomo.NewStreamFunction(c.name, c.zipper, opts...)
	f.SetObserveDataTags(c.tags...)
	f.SetWantedTarget(c.target)
	f.SetErrorHandler(func(err error) { log.Printf("error handler: %v", err) })

	s := &sink{
		format: c.format,
		limit:  *limit,
		only:   *only,
		out:    bufio.NewWriterSize(stdout, 1<<16),
		full:   make(chan struct{}),
	}
	switch c.format {
	case "lines", "len32":
		if *outTag != 0 {
			return fmt.Errorf("-o needs -F show or count")
		}
		// Only a pipe handler sees messages in their order.
		f.SetPipeHandler(func(in <-chan []byte, _ chan<- *frame.DataFrame) {
			for b := range in {
				s.take(b)
			}
		})
	case "show", "count", "latency":
		f.SetHandler(func(ctx serverless.Context) {
			s.handle(ctx)
			if *outTag == 0 {
				return
			}
			b := bytes.ToUpper(ctx.Data())
			if *outTarget != "" {
				ctx.WriteWithTarget(uint32(*outTag), b, *outTarget)
			} else {
				ctx.Write(uint32(*outTag), b)
			}
		})
	default:
		return fmt.Errorf("unknown output format '%s'", c.format)
	}
	if err := f.Connect(); err != nil {
		return err
	}
	tellReady(c.ready)

	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-term:
	case <-s.full:
	}
	s.finish()
	// Close never returns once the zipper has closed the connection.
	time.AfterFunc(closeWait, func() { os.Exit(0) })
	return f.Close()
}

// took counts one message, in any goroutine.
func (s *sink) took(n int) {
	s.bytes.Add(int64(n))
	count := s.count.Add(1)
	if count == 1 {
		s.meter.first = now()
	}
	if count == s.limit {
		s.meter.last = now()
		close(s.full)
	}
}

// take writes one message of an ordered stream.
func (s *sink) take(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit != 0 && s.count.Load() >= s.limit {
		return
	}
	if s.format == "len32" {
		var head [4]byte
		binary.BigEndian.PutUint32(head[:], uint32(len(b)))
		s.out.Write(head[:])
		s.out.Write(b)
	} else {
		s.out.Write(b)
		s.out.WriteByte('\n')
	}
	s.out.Flush()
	s.took(len(b))
}

// handle is for messages in any order and any number of goroutines.
func (s *sink) handle(ctx serverless.Context) {
	b := ctx.Data()
	if s.only != 0 && len(b) != s.only {
		return
	}
	switch s.format {
	case "show":
		s.mu.Lock()
		fmt.Fprintln(s.out, show(ctx))
		s.out.Flush()
		s.mu.Unlock()
	case "latency":
		s.meter.add(now() - int64(binary.BigEndian.Uint64(b)))
	}
	s.took(len(b))
}

// show is one line: tag, length, payload if it is short, known metadata.
func show(ctx serverless.Context) string {
	var w strings.Builder
	b := ctx.Data()
	fmt.Fprintf(&w, "%#x %d", ctx.Tag(), len(b))
	if len(b) <= 200 {
		fmt.Fprintf(&w, " %q", b)
	}
	for _, k := range shownKeys {
		if v, ok := ctx.Metadata(k); ok {
			fmt.Fprintf(&w, " %s=%s", k, v)
		}
	}
	return w.String()
}

func (s *sink) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out.Flush()
	if s.format == "count" || s.format == "latency" {
		s.meter.report(s.count.Load(), s.bytes.Load())
	}
}
