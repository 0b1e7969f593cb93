package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"headless.ly/cmd/bench/load"
)

// syncBytes is what is written between two fsyncs: a page of SQLite's log.
const syncBytes = 4 << 10

// syncs appends and syncs one page after the other, and takes the time of each pair. Nothing that acknowledges after one
// fsync can be faster with one client.
func (b *bench) syncs(ctx context.Context) (s load.Sample, err error) {
	f, err := os.CreateTemp(b.dir, "sync-")
	if err != nil {
		return s, fmt.Errorf("measure the disk: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	page := make([]byte, syncBytes)
	start := time.Now()
	for end := start.Add(pick(b, b.each/3, 200*time.Millisecond)); time.Now().Before(end) && ctx.Err() == nil; {
		begin := time.Now()
		if _, err := f.Write(page); err != nil {
			return s, fmt.Errorf("measure the disk: %w", err)
		}
		if err := f.Sync(); err != nil {
			return s, fmt.Errorf("measure the disk: %w", err)
		}
		s.Latencies = append(s.Latencies, time.Since(begin))
	}
	s.Elapsed = time.Since(start)
	slices.Sort(s.Latencies)
	return s, nil
}
