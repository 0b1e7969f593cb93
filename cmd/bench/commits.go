package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog/noun"
	"headless.ly/cmd/bench/load"
	"headless.ly/cmd/bench/outside"
	"headless.ly/lakehouse"
)

// The bars of flat commits.
const (
	commitTimes    = 1.5 // the last hundred commits beside the second hundred
	loadP50        = 20 * time.Millisecond
	metadataMB     = 1.0
	filesPerDay    = 3 // live files of events for each tenant and day,
	filesMore      = 200
	commitWindow   = 100
	commitEvents   = 100
	commitTenants  = 5
	commitEntities = 100 // of a tenant, updated again and again, so that the noun's table does not grow
	curvePoints    = 20
	curveLoads     = 21 // of the metadata, at each point
)

// commits measures what commits cost as they add up, with maintenance on. The lake runs in this process on a log in memory;
// its clock goes by a tick a commit, whatever the commit takes, so that all that goes by time is sped up alike.
func (b *bench) commits(ctx context.Context, r *report) error {
	for _, c := range []commitRun{
		{commits: pick(b, b.commitCount, 60), tenants: pick(b, 50, 10)},
		{commits: pick(b, b.commitCount/10, 20), tenants: pick(b, 2000, 20)},
	} {
		if err := b.runCommits(ctx, r, c); err != nil {
			return fmt.Errorf("%d commits over %d tenants: %w", c.commits, c.tenants, err)
		}
	}
	return nil
}

// commitRun is how many commits are made, and of how many tenants each takes its five.
type commitRun struct{ commits, tenants int }

func (b *bench) runCommits(ctx context.Context, r *report, c commitRun) (err error) {
	data, err := b.folder("lake")
	if err != nil {
		return err
	}
	log := newMemoryLog(tenantNames("flat", c.tenants), b.commitTick)
	lake, err := lakehouse.Open(ctx, lakehouse.Config{Dir: data, Nouns: noun.Core(), Interval: -1, MaintainEvery: -1,
		Now: log.time, Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lake.Close()) }()
	lake.Start(log)
	m := &commitMeter{bench: b, lake: lake, log: log, data: data}
	log.fill() // every tenant exists before the first commit that counts
	if _, err := m.commit(ctx); err != nil {
		return err
	}
	r.title("%d commits of %d events of one noun, each over %d of %d tenants; maintenance on, %s on its clock a commit",
		c.commits, commitEvents, commitTenants, c.tenants, b.commitTick)
	if err := m.run(ctx, r, c.commits); err != nil {
		return err
	}
	return m.judge(ctx, r, c)
}

// commitMeter makes commits and keeps what each took.
type commitMeter struct {
	*bench
	lake *lakehouse.Lake
	log  *memoryLog
	data string

	publish, processor, maintain []time.Duration // of each commit
	points                       []curvePoint
}

// curvePoint is how the events table stands after some commits.
type curvePoint struct {
	commits                      int
	publish, processor, maintain time.Duration // of a commit, mean since the point before
	load                         load.Sample   // of the metadata
	metadataBytes                int64
	snapshots                    int
	live, bytes                  int64 // data files
}

// run makes n commits and prints the curve.
func (m *commitMeter) run(ctx context.Context, r *report, n int) error {
	fmt.Fprintf(r.out, "  %8s %11s %13s %12s %9s %12s %10s %12s %10s\n", "commits", "commit ms", "processor ms",
		"maintain ms", "load ms", "metadata KB", "snapshots", "event files", "of MB")
	every := max(1, n/curvePoints)
	for i := 1; i <= n; i++ {
		m.log.write(commitTenants, commitEvents)
		before, err := processor()
		if err != nil {
			return err
		}
		published, err := m.commit(ctx)
		if err != nil {
			return err
		}
		after, err := processor()
		if err != nil {
			return err
		}
		began := time.Now()
		if err := m.lake.Maintain(ctx); err != nil {
			return fmt.Errorf("maintain after commit %d: %w", i, err)
		}
		m.publish, m.maintain = append(m.publish, published), append(m.maintain, time.Since(began))
		m.processor = append(m.processor, after-before)
		if i%every != 0 && i != n {
			continue
		}
		p, err := m.point(ctx, every)
		if err != nil {
			return err
		}
		m.points = append(m.points, p)
		fmt.Fprintf(r.out, "  %8d %11s %13s %12s %9s %12.0f %10d %12d %10.1f\n", p.commits, ms(p.publish), ms(p.processor), ms(p.maintain),
			ms(p.load.Quantile(0.5)), float64(p.metadataBytes)/1024, p.snapshots, p.live, float64(p.bytes)/(1<<20))
	}
	return nil
}

// commit publishes what was written and lets the log forget it.
func (m *commitMeter) commit(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	if err := m.lake.Publish(ctx); err != nil {
		return 0, err
	}
	took := time.Since(began)
	m.log.forget()
	return took, nil
}

// point looks at the events table as it is on disk.
func (m *commitMeter) point(ctx context.Context, window int) (p curvePoint, err error) {
	p = curvePoint{commits: len(m.publish), publish: mean(last(m.publish, window)), processor: mean(last(m.processor, window)),
		maintain: mean(last(m.maintain, window))}
	events := outside.Open(m.data, "events")
	v, err := events.Read(events.Hint())
	if err != nil {
		return p, err
	}
	info, err := os.Stat(v.Path())
	if err != nil {
		return p, err
	}
	p.metadataBytes = info.Size()
	for range curveLoads {
		began := time.Now()
		t, err := table.NewFromLocation(ctx, table.Identifier{"headlessly", "events"}, "file://"+v.Path(), localFiles, nil)
		if err != nil {
			return p, fmt.Errorf("load events: %w", err)
		}
		p.load.Latencies = append(p.load.Latencies, time.Since(began))
		p.snapshots = len(t.Metadata().Snapshots())
	}
	slices.Sort(p.load.Latencies)
	files, err := v.Files()
	for _, f := range files.Data {
		p.live++
		p.bytes += f.Bytes
	}
	return p, err
}

func localFiles(context.Context) (io.IO, error) { return io.LocalFS{}, nil }

// judge holds the curve against the bars and the rows against what was written.
func (m *commitMeter) judge(ctx context.Context, r *report, c commitRun) error {
	renames, err := m.renames(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "  disk: write 4 KiB, fsync, rename, fsync the folder: %s ms\n", ms(renames.Quantile(0.5)))
	from := min(commitWindow, len(m.publish)/3) // the first ones make the manifests that all the others find
	to := min(2*commitWindow, 2*from)
	early, late := mean(m.publish[from:to]), mean(last(m.publish, to-from))
	times := float64(late) / float64(early)
	fmt.Fprintf(r.out, "  processor: the last %d commits take %s ms each, commits %d to %d %s ms\n", to-from,
		ms(mean(last(m.processor, to-from))), from, to, ms(mean(m.processor[from:to])))
	end := m.points[len(m.points)-1]
	var largest int64
	var slowest time.Duration
	for _, p := range m.points {
		largest, slowest = max(largest, p.metadataBytes), max(slowest, p.load.Quantile(0.5))
	}
	days := m.log.days()
	limit := int64(filesPerDay*c.tenants*days + filesMore)
	r.bar(times <= commitTimes, "%d tenants: the last %d commits take %s ms each, commits %d to %d %s ms: %.2f × (bar: ≤ %.1f ×)",
		c.tenants, to-from, ms(late), from, to, ms(early), times, commitTimes)
	r.bar(slowest <= loadP50, "%d tenants: loading the table: p50 %s ms at its slowest point (bar: ≤ %s ms)", c.tenants, ms(slowest), ms(loadP50))
	r.bar(float64(largest) <= metadataMB*(1<<20), "%d tenants: metadata of at most %.0f KB (bar: ≤ %.0f KB)", c.tenants, float64(largest)/1024, metadataMB*1024)
	r.bar(end.live <= limit, "%d tenants: %d live files of events (bar: ≤ %d × %d tenants × %d days + %d = %d)",
		c.tenants, end.live, filesPerDay, c.tenants, days, filesMore, limit)
	return m.readBack(ctx, r)
}

// readBack reads both tables whole and holds them against the log.
func (m *commitMeter) readBack(ctx context.Context, r *report) (err error) {
	reader, err := outside.NewReader()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	for name, q := range map[string]string{
		"events":  "select tenant, count(*), count(distinct seq), max(seq) from %s group by all",
		"contact": "select tenant, count(*), count(distinct id), max(_seq) from %s group by all",
	} {
		t := outside.Open(m.data, name)
		v, err := t.Read(t.Hint())
		if err != nil {
			return err
		}
		files, err := v.Files()
		if err != nil {
			return err
		}
		relation, err := reader.Relation(ctx, files)
		if err != nil {
			return err
		}
		got, took, err := reader.Time(ctx, fmt.Sprintf(q, relation))
		if err != nil {
			return err
		}
		if want := m.log.summary(name); got != want {
			r.fault("%s does not hold what was written: got\n%.500s\nwant\n%.500s", name, got, want)
		}
		fmt.Fprintf(r.out, "  read back with DuckDB: %s, %d rows in %d files, %s ms\n", name, files.Rows(), len(files.Data), ms(took))
	}
	return nil
}

// processor is the processor time that this process has taken.
func processor() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read the processor time: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// last gives the last n of a list.
func last[T any](list []T, n int) []T { return list[max(0, len(list)-n):] }

func mean(list []time.Duration) (m time.Duration) {
	for _, d := range list {
		m += d
	}
	return m / time.Duration(max(1, len(list)))
}
