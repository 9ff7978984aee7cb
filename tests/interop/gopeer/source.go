// SPDX-License-Identifier: ISC

package main

import (
	"errors"
	"flag"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/yomorun/yomo"
)

// closeWait bounds Source.Close, which never returns once the zipper has
// closed the connection.
const closeWait = 2 * time.Second

func runSource(args []string) error {
	var c common
	fs := flag.NewFlagSet("source", flag.ExitOnError)
	c.add(fs, "go-source")
	linger := fs.Duration("linger", 500*time.Millisecond, "wait so long before closing")
	hold := fs.Bool("hold", false, "stay connected until SIGTERM")
	fs.Parse(args)

	in, err := newScanner(c.format)
	if err != nil {
		return err
	}
	opts := []yomo.SourceOption{yomo.WithCredential(c.credential)}
	if c.retry {
		opts = append(opts, yomo.WithSourceReConnect())
	}
	s := yomo.NewSource(c.name, c.zipper, opts...)
	s.SetErrorHandler(func(err error) { log.Printf("error handler: %v", err) })
	if err := s.Connect(); err != nil {
		return err
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() { // also while stdin says nothing
		<-term
		time.AfterFunc(closeWait, func() { os.Exit(3) })
		s.Close()
		os.Exit(0)
	}()
	tellReady(c.ready)

	for {
		// Write hands the frame to the connection's goroutine, which has
		// encoded the frame before this one: two buffers are enough.
		b, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if c.target != "" {
			err = s.WriteWithTarget(c.tags[0], b, c.target)
		} else {
			err = s.Write(c.tags[0], b)
		}
		if err != nil {
			return err
		}
	}
	if *hold {
		select {}
	} else {
		// Close drops what is still queued, and nothing says when it is not.
		time.Sleep(*linger)
	}
	time.AfterFunc(closeWait, func() { os.Exit(3) })
	return s.Close()
}
