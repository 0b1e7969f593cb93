package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"headless.ly/catalog/noun"
	"headless.ly/cmd/bench/load"
	"headless.ly/lakehouse"
)

// The bars of the Iceberg REST catalog.
const (
	catalogLoadP50 = 20 * time.Millisecond // a load of the events table after many commits
	catalogSameP50 = 3 * time.Millisecond  // one whose answer the client has
	catalogTimes   = 1.25                  // p99 of writes beside loads ÷ without
	catalogLoads   = 50                    // a second, beside the writes
	catalogFor     = 30 * time.Second
)

// catalog measures loads of a table with a long past, and what loads cost the writes beside them.
func (b *bench) catalog(ctx context.Context, r *report) error {
	if err := b.loads(ctx, r); err != nil {
		return err
	}
	return b.besideLoads(ctx, r)
}

// loads makes many commits in a lake in this process, and then loads the events table through a server on its folder.
func (b *bench) loads(ctx context.Context, r *report) (err error) {
	data, err := b.folder("lake")
	if err != nil {
		return err
	}
	commits := pick(b, b.commitCount, 20)
	if err := b.makeCommits(ctx, data, commits); err != nil {
		return fmt.Errorf("make %d commits: %w", commits, err)
	}
	server, err := b.start(ctx, "headlessly", b.binary, "serve", "--addr", "127.0.0.1:0", "--data", data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	r.title("loads of the events table through the REST catalog, after %d commits, 1 client", commits)
	r.head("load")
	all, refs, same := eventsLoad{}, eventsLoad{query: "?snapshots=refs"}, eventsLoad{same: true}
	figures := map[string]figure{}
	for _, l := range []eventsLoad{all, refs, same} {
		s, err := load.Closed{Addr: server.addr, Clients: 1, For: b.each, Requests: pick(b, 0, 50)}.
			Run(ctx, func(int) load.Script { return &l })
		if err != nil {
			return err
		}
		r.check(l.String(), s)
		figures[l.String()] = newFigure(s)
		r.line(l.String(), newFigure(s), fmt.Sprintf("%d KB", l.bytes/1024))
	}
	p50 := max(figures[all.String()].p50, figures[refs.String()].p50)
	r.bar(p50 <= catalogLoadP50, "loading the table after %d commits takes p50 %s ms (bar: ≤ %s ms)", commits, ms(p50), ms(catalogLoadP50))
	p50 = figures[same.String()].p50
	r.bar(p50 <= catalogSameP50, "a load whose answer the client has takes p50 %s ms (bar: ≤ %s ms)", ms(p50), ms(catalogSameP50))
	return nil
}

// makeCommits makes commits on a clock that goes by a tick with each, with maintenance.
func (b *bench) makeCommits(ctx context.Context, data string, n int) (err error) {
	log := newMemoryLog(tenantNames("flat", pick(b, 50, 10)), b.commitTick)
	lake, err := lakehouse.Open(ctx, lakehouse.Config{Dir: data, Nouns: noun.Core(), Interval: -1, MaintainEvery: -1, Now: log.time})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lake.Close()) }()
	lake.Start(log)
	m := &commitMeter{bench: b, lake: lake, log: log, data: data}
	log.fill()
	for range n {
		if _, err := m.commit(ctx); err != nil {
			return err
		}
		if err := lake.Maintain(ctx); err != nil {
			return err
		}
		log.write(commitTenants, commitEvents)
	}
	return nil
}

// eventsLoad loads the events table again and again; same: with the tag of the last answer.
type eventsLoad struct {
	query string
	same  bool
	wire  []byte
	bytes int // of the last answer
}

// String names the kind of load.
func (l eventsLoad) String() string {
	if l.same {
		return "304: the client has it"
	}
	return "load" + l.query
}

// Next implements load.Script.
func (l *eventsLoad) Next() []byte {
	l.wire = fmt.Appendf(l.wire[:0], "GET /iceberg/v1/namespaces/headlessly/tables/events%s HTTP/1.1\r\nHost: localhost\r\n", l.query)
	if l.same {
		l.wire = append(l.wire, "If-None-Match: *\r\n"...)
	}
	l.wire = append(l.wire, "\r\n"...)
	return l.wire
}

// Check implements load.Script.
func (l *eventsLoad) Check(a load.Answer) error {
	l.bytes = len(a.Body)
	want := http.StatusOK
	if l.same {
		want = http.StatusNotModified
	}
	if a.Status != want {
		return unexpected(a, want)
	}
	return nil
}

// besideLoads measures writes alone and beside loads, in turns, on one server.
func (b *bench) besideLoads(ctx context.Context, r *report) (err error) {
	t, err := b.product(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	rate, length := pick(b, freshPerSecond, 50), pick(b, cmp.Or(b.given, catalogFor), 2*time.Second)
	tenants := tenantNames("beside", pick(b, freshTenants, 3))
	write := func(ctx context.Context) (load.Sample, error) {
		_, s, err := b.writeFresh(ctx, t, tenants, freshNouns(), load.Open{PerSecond: float64(rate), Clients: freshClients, For: length})
		return s, err
	}
	var loads load.Sample
	figures, err := b.measure(ctx, r, []row{
		{"writes alone", write},
		{"writes beside loads", func(ctx context.Context) (load.Sample, error) {
			beside, stop := context.WithCancel(ctx)
			done := make(chan error, 1)
			go func() {
				var err error
				loads, err = load.Open{Addr: t.addr, PerSecond: catalogLoads, Clients: 8, For: length + time.Minute}.
					Run(beside, func(int) load.Script { return &eventsLoad{} })
				done <- err
			}()
			s, err := write(ctx)
			stop()
			return s, errors.Join(err, <-done)
		}},
	})
	if err != nil {
		return err
	}
	r.title("%d writes/s for %s, alone and beside %d loads/s of the events table (open loops)", rate, length, catalogLoads)
	r.head("writes")
	r.line("alone", figures[0], "")
	r.line("beside loads", figures[1], "")
	r.line("the loads", newFigure(loads), "")
	r.check("loads", loads)
	times := float64(figures[1].p99) / float64(figures[0].p99)
	r.bar(times <= catalogTimes, "%d loads/s make the p99 of %d writes/s %.2f × what it is without (bar: ≤ %.2f ×)", catalogLoads, rate, times, catalogTimes)
	return nil
}
