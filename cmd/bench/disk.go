package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
	return b.repeat(ctx, func() error {
		_, err := f.Write(page)
		return errors.Join(err, f.Sync())
	})
}

// repeat does something on the disk again and again, and takes the time of each.
func (b *bench) repeat(ctx context.Context, do func() error) (s load.Sample, err error) {
	start := time.Now()
	for end := start.Add(pick(b, b.each/3, 200*time.Millisecond)); time.Now().Before(end) && ctx.Err() == nil; {
		begin := time.Now()
		if err := do(); err != nil {
			return s, fmt.Errorf("measure the disk: %w", err)
		}
		s.Latencies = append(s.Latencies, time.Since(begin))
	}
	s.Elapsed = time.Since(start)
	slices.Sort(s.Latencies)
	return s, nil
}

// renames makes files visible one after the other, and takes the time of each: written, synced, renamed, and the folder
// synced. Nothing that outside readers see can be published faster.
func (b *bench) renames(ctx context.Context) (load.Sample, error) {
	dir, err := b.folder("renames")
	if err != nil {
		return load.Sample{}, err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return load.Sample{}, fmt.Errorf("measure the disk: %w", err)
	}
	defer folder.Close()
	name := filepath.Join(dir, "file")
	return b.repeat(ctx, func() error {
		return errors.Join(writeSynced(name+".tmp", make([]byte, syncBytes)), os.Rename(name+".tmp", name), folder.Sync())
	})
}

func writeSynced(name string, data []byte) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}
