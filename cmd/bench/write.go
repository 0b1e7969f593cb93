package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"headless.ly/cmd/bench/load"
)

// The bars of durable creates. An fsync is the disk's own.
const (
	judgedClients    = 64
	createTimes      = 2.0 // PocketBase's requests per second
	createP99        = 50 * time.Millisecond
	createSyncs      = 2 // fsyncs that one client's create may take,
	createOverheadMS = 0.3
)

// pocketBaseName says in every table what PocketBase's figure is worth.
const (
	pocketBaseVersion  = "PocketBase 0.39.9"
	pocketBaseName     = pocketBaseVersion + ", default: commits without fsync"
	pocketBaseFullName = pocketBaseVersion + ", synchronous=FULL"
)

// rivals are the product and the servers beside it.
type rivals struct {
	product, pocketBase, pocketBaseFull, empty *target
}

// startRivals starts them all, paused.
func (b *bench) startRivals(ctx context.Context) (rs *rivals, err error) {
	rs = &rivals{}
	defer func() {
		if err != nil {
			err = errors.Join(err, rs.stop())
		}
	}()
	for _, start := range []struct {
		t     **target
		start func() (*target, error)
	}{
		{&rs.product, func() (*target, error) { return b.product(ctx) }},
		{&rs.pocketBase, func() (*target, error) { return b.pocketBase(ctx, false) }},
		{&rs.pocketBaseFull, func() (*target, error) { return b.pocketBase(ctx, true) }},
		{&rs.empty, func() (*target, error) { return b.empty(ctx) }},
	} {
		t, err := start.start()
		if err != nil {
			return rs, err
		}
		*start.t = t
		if err := t.pause(); err != nil {
			return rs, err
		}
	}
	return rs, nil
}

// stop stops those that were started.
func (rs *rivals) stop() error {
	var errs []error
	for _, t := range []*target{rs.product, rs.pocketBase, rs.pocketBaseFull, rs.empty} {
		if t != nil {
			errs = append(errs, t.stop())
		}
	}
	return errors.Join(errs...)
}

// tenantNames are names of n tenants.
func tenantNames(prefix string, n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s%04d", prefix, i)
	}
	return names
}

// write measures durable creates.
func (b *bench) write(ctx context.Context, r *report) (err error) {
	rs, err := b.startRivals(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rs.stop()) }()
	r.title("durable creates over HTTP: a contact of 8 fields with a unique email, closed loop, one connection a client")
	one, many := tenantNames("one", 1), tenantNames("many", 16)
	for _, clients := range pick(b, []int{1, 16, 64, 256}, []int{1, 16}) {
		create := func(name string, t *target, tenants []string) row {
			return row{name, func(ctx context.Context) (load.Sample, error) {
				l := load.Closed{Clients: clients, Warm: b.warm(), For: b.each, Requests: pick(b, 0, 100)}
				return b.closed(ctx, t, l, func(int) load.Script { return newCreates(t, tenants) })
			}}
		}
		figures, err := b.measure(ctx, r, []row{
			{"disk: write 4 KiB and fsync, one after the other", b.syncs},
			create("headlessly, one tenant", rs.product, one),
			create(pocketBaseName, rs.pocketBase, one),
			create("headlessly, 16 tenants", rs.product, many),
			create(pocketBaseFullName, rs.pocketBaseFull, one),
			create("empty handler (the ceiling)", rs.empty, one),
		})
		if err != nil {
			return err
		}
		printCreates(r, clients, figures)
	}
	return errors.Join(
		r.counted(rs.product, append(one, many...)), r.counted(rs.pocketBase, one), r.counted(rs.pocketBaseFull, one))
}

// warm is how long a load runs before it counts.
func (b *bench) warm() time.Duration { return pick(b, b.each/6, 0) }

// printCreates prints the figures of write's rows, in their order, and judges them.
func printCreates(r *report, clients int, figures []figure) {
	disk, one, pocketBase, many, full, empty := figures[0], figures[1], figures[2], figures[3], figures[4], figures[5]
	times := func(f figure) string {
		return fmt.Sprintf("%.2f × PocketBase", f.perSecond/pocketBase.perSecond)
	}
	r.head(fmt.Sprintf("%d clients", clients))
	r.line("headlessly, one tenant", one, times(one))
	r.line("headlessly, 16 tenants", many, times(many))
	r.line(pocketBaseName, pocketBase, "")
	r.line(pocketBaseFullName, full, times(full))
	r.line("empty handler (the ceiling)", empty, times(empty))
	r.line("disk: write 4 KiB and fsync, one after the other", disk, "")
	switch clients {
	case 1:
		limit := createSyncs*disk.p50 + time.Duration(createOverheadMS*float64(time.Millisecond))
		r.bar(one.p50 <= limit, "a create by 1 client: p50 %s ms (bar: ≤ %s ms, %d × the disk's fsync of %s ms + %.1f ms)",
			ms(one.p50), ms(limit), createSyncs, ms(disk.p50), createOverheadMS)
	case judgedClients:
		r.bar(one.perSecond >= createTimes*pocketBase.perSecond,
			"creates by %d clients: %.0f/s, %.2f × PocketBase's %.0f/s (bar: ≥ %.0f ×; PocketBase commits without fsync)",
			clients, one.perSecond, one.perSecond/pocketBase.perSecond, pocketBase.perSecond, createTimes)
		r.bar(one.p99 <= createP99, "creates by %d clients: p99 %s ms (bar: ≤ %s ms)", clients, ms(one.p99), ms(createP99))
	}
}

// counted checks that the server has what it acknowledged.
func (r *report) counted(t *target, tenants []string) error {
	if err := t.resume(); err != nil {
		return err
	}
	n, err := t.contactCount(tenants)
	if err != nil {
		return err
	}
	if want := int(t.acknowledged.Load()); n != want {
		r.fault("%s acknowledged %d creates and has %d contacts", t.name, want, n)
	}
	return t.pause()
}
