package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"headless.ly/cmd/bench/load"
)

// bench is what all commands share.
type bench struct {
	short  bool
	repo   string        // the product's folder
	binary string        // the product's binary, built if it is empty
	dir    string        // where the data folders go
	rounds int           // measurements per figure
	each   time.Duration // length of a measurement
	given  time.Duration // the same if it was said: for those that have a length of their own

	commitCount int           // commits of the longest run of commits
	commitTick  time.Duration // on the lake's clock, a commit
	largeRows   int           // of the large tenant
	sqlRows     int           // contacts that statements are run over
	importRows  int           // of the file that is imported
	extensions  string        // folder of DuckDB's Iceberg extension; "": the large table is read by its manifests
}

// eachDefault is the length of a measurement that has none of its own.
const eachDefault = 3 * time.Second

// command is one thing to measure.
type command struct {
	name string
	run  func(*bench, context.Context, *report) error
}

func commands() []command {
	return []command{
		{"write", (*bench).writeAndGet}, {"get", (*bench).get}, {"list", (*bench).list},
		{"asof", (*bench).asOf}, {"memory", (*bench).memory}, {"freshness", (*bench).freshness},
		{"commits", (*bench).commits}, {"large", (*bench).large}, {"sql", (*bench).sql}, {"steady", (*bench).steady},
		{"catalog", (*bench).catalog}, {"import", (*bench).imports}, {"isolation", (*bench).isolation}, {"export", (*bench).export},
		{"all", (*bench).all},
	}
}

func commandNames() []string {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	return names
}

// run runs the command called name.
func (b *bench) run(ctx context.Context, name string) error {
	for _, c := range commands() {
		if c.name == name {
			return b.runIn(ctx, c)
		}
	}
	return fmt.Errorf("unknown command %q, want one of %v", name, commandNames())
}

// runIn runs a command in a folder that is new and gone afterwards.
func (b *bench) runIn(ctx context.Context, c command) (err error) {
	dir, err := b.folder("headlessly-bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b.dir = dir
	b.each = cmp.Or(b.given, eachDefault)
	if b.short {
		b.rounds, b.each = 1, 10*time.Second // the number of requests ends it long before
	}
	if err := b.build(ctx); err != nil {
		return err
	}
	r := &report{out: os.Stdout, short: b.short}
	fmt.Fprintf(r.out, "%s, %d CPUs, data in %s, medians of %d rounds\n", runtime.Version(), runtime.NumCPU(), dir, b.rounds)
	if err := c.run(b, ctx, r); err != nil {
		return err
	}
	return r.end()
}

func (b *bench) all(ctx context.Context, r *report) error {
	for _, run := range []func(context.Context, *report) error{
		b.writeAndGet, b.list, b.asOf, b.memory, b.freshness, b.commits, b.large, b.sql, b.steady, b.catalog, b.imports, b.isolation, b.export,
	} {
		if err := run(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) writeAndGet(ctx context.Context, r *report) error {
	if err := b.write(ctx, r); err != nil {
		return err
	}
	return b.get(ctx, r)
}

// folder makes a new folder for a server's data.
func (b *bench) folder(name string) (string, error) {
	dir, err := os.MkdirTemp(b.dir, name+"-")
	if err != nil {
		return "", fmt.Errorf("make a folder for the data: %w", err)
	}
	return filepath.Abs(dir)
}

// pick is long, or short in a short run.
func pick[T any](b *bench, long, short T) T {
	if b.short {
		return short
	}
	return long
}

// row is a line of a table: a name and how to measure it once.
type row struct {
	name    string
	measure func(context.Context) (load.Sample, error)
}

// measure measures the rows in turns and gives a figure for each.
func (b *bench) measure(ctx context.Context, r *report, rows []row) ([]figure, error) {
	rounds := make([][]figure, len(rows))
	for range b.rounds {
		for i, row := range rows {
			s, err := row.measure(ctx)
			if err != nil {
				return nil, fmt.Errorf("measure %s: %w", row.name, err)
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			r.check(row.name, s)
			rounds[i] = append(rounds[i], newFigure(s))
		}
	}
	figures := make([]figure, len(rows))
	for i := range rows {
		figures[i] = median(rounds[i])
	}
	return figures, nil
}
