// SPDX-License-Identifier: ISC

// gopeer: programs on YoMo's Go SDK, for the interoperation tests and the
// benchmarks: gopeer source|sfn|zipper|raw [flags].
package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxMessage bounds what a len32 header may make us allocate.
const maxMessage = 1 << 30

// stdout carries data only: the SDK prints its status lines on os.Stdout,
// which main points at stderr.
var stdout = os.Stdout

var commands = map[string]func(args []string) error{
	"source": runSource,
	"sfn":    runSfn,
	"zipper": runZipper,
	"raw":    runRaw,
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("gopeer: ")
	os.Stdout = os.Stderr
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: gopeer source|sfn|zipper|raw [flags]")
		os.Exit(64)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

// common holds the flags that mean the same everywhere.
type common struct {
	zipper     string
	name       string
	tags       tagList
	credential string
	target     string
	format     string
	ready      int
	retry      bool
}

func (c *common) add(fs *flag.FlagSet, name string) {
	c.tags = tagList{0x33}
	fs.StringVar(&c.zipper, "z", "localhost:9000", "zipper")
	fs.StringVar(&c.name, "n", name, "name")
	fs.Var(&c.tags, "t", "tags, comma list")
	fs.StringVar(&c.credential, "d", "", "credential")
	fs.StringVar(&c.target, "T", "", "target: sent, or wanted")
	fs.StringVar(&c.format, "F", "lines", "lines or len32; sfn also: show, count, latency")
	fs.IntVar(&c.ready, "R", -1, "descriptor to write a newline to when ready")
	fs.BoolVar(&c.retry, "retry", false, "go on dialling until the first connection is made")
}

// tellReady says on descriptor fd that all is set up.
func tellReady(fd int) {
	if fd < 0 {
		return
	}
	f := os.NewFile(uintptr(fd), "ready")
	fmt.Fprintln(f)
	f.Close()
}

type tagList []uint32

func (t *tagList) String() string { return fmt.Sprint(*t) }

func (t *tagList) Set(text string) error {
	*t = nil
	for _, s := range strings.Split(text, ",") {
		v, err := strconv.ParseUint(s, 0, 32)
		if err != nil {
			return err
		}
		*t = append(*t, uint32(v))
	}
	return nil
}

// scanner reads messages from stdin into one of two buffers in turn.
type scanner struct {
	in   *bufio.Reader
	read func(s *scanner) ([]byte, error)
	buf  [2][]byte
	turn int
}

func newScanner(format string) (*scanner, error) {
	s := &scanner{in: bufio.NewReaderSize(os.Stdin, 1<<20)}
	switch format {
	case "lines":
		s.read = readLine
	case "len32":
		s.read = readLen32
	default:
		return nil, fmt.Errorf("unknown input format '%s'", format)
	}
	return s, nil
}

// next returns a message that stays valid until the call after the next one;
// io.EOF after the last.
func (s *scanner) next() ([]byte, error) { return s.read(s) }

func readLine(s *scanner) ([]byte, error) {
	line, err := s.in.ReadBytes('\n')
	if err != nil && (err != io.EOF || len(line) == 0) {
		return nil, err
	}
	return bytes.TrimSuffix(line, []byte{'\n'}), nil
}

func readLen32(s *scanner) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head[:]))
	if n > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes is over the limit", n)
	}
	s.turn ^= 1
	if cap(s.buf[s.turn]) < n {
		s.buf[s.turn] = make([]byte, n)
	}
	b := s.buf[s.turn][:n]
	_, err := io.ReadFull(s.in, b)
	return b, err
}

// now is CLOCK_MONOTONIC in ns: the clock of tests/tools/pace and meter.
func now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		log.Fatal(err)
	}
	return ts.Nano()
}
