// SPDX-License-Identifier: ISC

package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"time"

	"github.com/yomorun/yomo"
	"github.com/yomorun/yomo/serverless"
)

// runIdle connects many functions, says how long that took, and keeps them
// until stdin ends.
func runIdle(args []string) error {
	var c common
	fs := flag.NewFlagSet("idle", flag.ExitOnError)
	c.add(fs, "go-idle")
	n := fs.Int("count", 1000, "connections")
	parallel := fs.Int("j", 16, "dial so many at once")
	fs.Parse(args)

	var wg sync.WaitGroup
	var mu sync.Mutex
	failed := 0
	work := make(chan int)
	t0 := time.Now()
	for range *parallel {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range work {
				if err := connectIdle(&c, i); err != nil {
					log.Printf("connection %d: %v", i, err)
					mu.Lock()
					failed++
					mu.Unlock()
				}
			}
		}()
	}
	for i := range *n {
		work <- i
	}
	close(work)
	wg.Wait()
	seconds := time.Since(t0).Seconds()
	fmt.Fprintf(stdout, `{"connections":%d,"failed":%d,"seconds":%.3f,"per_second":%.1f}`+"\n",
		*n-failed, failed, seconds, float64(*n-failed)/seconds)
	tellReady(c.ready)
	io.Copy(io.Discard, os.Stdin)
	return nil
}

func connectIdle(c *common, i int) error {
	f := yomo.NewStreamFunction(fmt.Sprintf("%s-%d", c.name, i), c.zipper,
		yomo.WithSfnCredential(c.credential), yomo.DisableOtelTrace())
	f.SetObserveDataTags(c.tags...)
	f.SetHandler(func(serverless.Context) {})
	f.SetErrorHandler(func(err error) { log.Printf("%s-%d: %v", c.name, i, err) })
	return f.Connect()
}
