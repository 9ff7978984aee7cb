// SPDX-License-Identifier: ISC

package main

import (
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/yomorun/yomo/core"
	"github.com/yomorun/yomo/core/frame"
	"github.com/yomorun/yomo/pkg/frame-codec/y3codec"
)

// raw is a client that does as it is told, right or wrong.  It prints what
// happens: "connected", "received HEX", "fin", "closed: WHY" or "still open".
func runRaw(args []string) error {
	var c common
	fs := flag.NewFlagSet("raw", flag.ExitOnError)
	c.add(fs, "go-raw")
	alpn := fs.String("alpn", "yomo", "protocol to offer")
	noStream := fs.Bool("no-stream", false, "never open a stream")
	noHandshake := fs.Bool("no-handshake", false, "send only what -hex says")
	noRead := fs.Bool("no-read", false, "never read")
	kind := fs.Uint("type", 0x5f, "client type")
	version := fs.String("version", core.Version, "version in the handshake")
	extra := fs.String("hex", "", "bytes to send after the handshake")
	chunk := fs.Int("chunk", 0, "write so many bytes at a time")
	fin := fs.Bool("fin", false, "end the stream after the last byte")
	wait := fs.Duration("wait", 10*time.Second, "leave after so long")
	until := fs.String("until", "", "leave when so much (hex) has been received")
	fs.Parse(args)

	tail, err := hex.DecodeString(strings.ReplaceAll(*extra, " ", ""))
	if err != nil {
		return err
	}
	var out []byte
	if !*noHandshake {
		auth, payload, found := strings.Cut(c.credential, ":")
		if !found {
			auth, payload = "", auth
		}
		out, err = encode(&frame.HandshakeFrame{
			Name:            c.name,
			ID:              "raw-0",
			ClientType:      byte(*kind),
			ObserveDataTags: c.tags,
			AuthName:        auth,
			AuthPayload:     payload,
			Version:         *version,
			WantedTarget:    c.target,
		})
		if err != nil {
			return err
		}
	}
	out = append(out, tail...)

	ctx, cancel := context.WithTimeout(context.Background(), *wait)
	defer cancel()
	conn, err := quic.DialAddr(ctx, c.zipper,
		&tls.Config{InsecureSkipVerify: true, NextProtos: []string{*alpn}},
		&quic.Config{MaxIdleTimeout: 40 * time.Second, KeepAlivePeriod: time.Second})
	if err != nil {
		fmt.Fprintf(stdout, "closed: %s\n", why(err))
		return nil
	}
	fmt.Fprintln(stdout, "connected")
	tellReady(c.ready)
	if !*noStream {
		s, err := conn.OpenStreamSync(ctx)
		if err != nil {
			fmt.Fprintf(stdout, "closed: %s\n", why(err))
			return nil
		}
		go send(s, out, *chunk, *fin)
		if !*noRead {
			go receive(s, *until, cancel)
		}
	}
	select {
	case <-conn.Context().Done():
		fmt.Fprintf(stdout, "closed: %s\n", why(context.Cause(conn.Context())))
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			fmt.Fprintln(stdout, "still open")
		}
	}
	return conn.CloseWithError(0x13, "raw: done")
}

func encode(f frame.Frame) ([]byte, error) {
	value, err := y3codec.Codec().Encode(f)
	if err != nil {
		return nil, err
	}
	var w strings.Builder
	if err := y3codec.PacketReadWriter().WritePacket(&w, f.Type(), value); err != nil {
		return nil, err
	}
	return []byte(w.String()), nil
}

func send(s *quic.Stream, b []byte, chunk int, fin bool) {
	if chunk <= 0 {
		chunk = len(b)
	}
	for len(b) > 0 {
		n := min(chunk, len(b))
		if _, err := s.Write(b[:n]); err != nil {
			return // the connection's end is reported elsewhere
		}
		b = b[n:]
	}
	if fin {
		s.Close()
	}
}

// receive prints what comes, and leaves when the text until has come.
func receive(s *quic.Stream, until string, leave func()) {
	var all strings.Builder
	buf := make([]byte, 1<<16)
	for {
		n, err := s.Read(buf)
		if n > 0 {
			text := hex.EncodeToString(buf[:n])
			fmt.Fprintf(stdout, "received %s\n", text)
			all.WriteString(text)
			if until != "" && strings.Contains(all.String(), until) {
				leave()
			}
		}
		if err == io.EOF {
			fmt.Fprintln(stdout, "fin")
		}
		if err != nil {
			return
		}
	}
}

// why puts the end of a connection into words that tests can compare.
func why(err error) string {
	var app *quic.ApplicationError
	var transport *quic.TransportError
	var idle *quic.IdleTimeoutError
	var reset *quic.StatelessResetError
	var version *quic.VersionNegotiationError
	switch {
	case errors.As(err, &app):
		return fmt.Sprintf("application %#x %s", uint64(app.ErrorCode), app.ErrorMessage)
	case errors.As(err, &transport):
		return fmt.Sprintf("transport %#x %s", uint64(transport.ErrorCode), transport.ErrorMessage)
	case errors.As(err, &idle):
		return "idle"
	case errors.As(err, &reset):
		return "stateless reset"
	case errors.As(err, &version):
		return "version negotiation"
	}
	return err.Error()
}
