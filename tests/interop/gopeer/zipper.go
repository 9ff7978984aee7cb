// SPDX-License-Identifier: ISC

package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"strconv"
	"strings"

	"github.com/yomorun/yomo"
	"github.com/yomorun/yomo/core"
	"github.com/yomorun/yomo/core/frame"
	"github.com/yomorun/yomo/pkg/config"
)

// meshList is -mesh NAME=HOST:PORT[,CREDENTIAL], again and again.
type meshList map[string]config.Mesh

func (m meshList) String() string { return "" }

func (m meshList) Set(text string) error {
	name, rest, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("not NAME=HOST:PORT[,CREDENTIAL]")
	}
	addr, credential, _ := strings.Cut(rest, ",")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return err
	}
	m[name] = config.Mesh{Host: host, Port: n, Credential: credential}
	return nil
}

// bell is a listener that never has a connection: the server asks it for the
// first one when the real listener is set up.
type bell struct {
	ring func()
	done chan struct{}
}

func (b *bell) Accept(ctx context.Context) (frame.Conn, error) {
	b.ring()
	select {
	case <-ctx.Done():
	case <-b.done:
	}
	return nil, ctx.Err()
}

func (b *bell) Close() error { return nil }

// pickPort asks the kernel for a free port when addr ends in ":0".
func pickPort(addr string) (string, error) {
	if !strings.HasSuffix(addr, ":0") {
		return addr, nil
	}
	c, err := net.ListenPacket("udp", addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	return c.LocalAddr().String(), nil
}

func runZipper(args []string) error {
	mesh := meshList{}
	fs := flag.NewFlagSet("zipper", flag.ExitOnError)
	listen := fs.String("l", "127.0.0.1:9000", "listen here")
	name := fs.String("n", "go-zipper", "name")
	token := fs.String("token", "", "ask clients for this token")
	ready := fs.Int("R", -1, "descriptor to write a newline to when ready")
	connectTo := fs.String("connect-to", "", "send every client to this address")
	fs.Var(mesh, "mesh", "NAME=HOST:PORT[,CREDENTIAL]: a zipper to pass messages on to")
	fs.Parse(args)

	addr, err := pickPort(*listen)
	if err != nil {
		return err
	}
	b := &bell{ring: func() {
		log.Printf("listening on %s", addr)
		tellReady(*ready)
	}}
	opts := []yomo.ZipperOption{
		yomo.WithZipperFrameMiddleware(core.RejectReservedTagMiddleware),
		yomo.WithFrameListener(b),
	}
	if *token != "" {
		opts = append(opts, yomo.WithAuth("token", *token))
	}
	if *connectTo != "" {
		opts = append(opts, yomo.WithVersionNegotiateFunc(func(_, _ string) error {
			return &core.ErrConnectTo{Endpoint: *connectTo}
		}))
	}
	z, err := yomo.NewZipper(*name, mesh, opts...)
	if err != nil {
		return err
	}
	return z.ListenAndServe(context.Background(), addr)
}
