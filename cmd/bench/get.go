package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"headless.ly/cmd/bench/load"
)

// The bars of a get by id.
const (
	getClients = 16
	getTimes   = 3.0 // PocketBase's requests per second
	getP50     = time.Millisecond
	getRows    = 10_000
)

// get measures gets by id.
func (b *bench) get(ctx context.Context, r *report) (err error) {
	rs, err := b.startRivals(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rs.stop()) }()
	rows := pick(b, getRows, 200)
	r.title("get by id over HTTP: random ids of %d contacts, closed loop, one connection a client", rows)
	const tenant = "one"
	productIDs, err := b.fill(ctx, rs.product, tenant, rows)
	if err != nil {
		return err
	}
	pocketBaseIDs, err := b.fill(ctx, rs.pocketBase, tenant, rows)
	if err != nil {
		return err
	}
	for _, clients := range []int{getClients, 64} {
		get := func(name string, t *target, ids []string, exact bool) row {
			return row{name, func(ctx context.Context) (load.Sample, error) {
				l := load.Closed{Clients: clients, Warm: b.warm(), For: b.each, Requests: pick(b, 0, 200)}
				return b.closed(ctx, t, l, func(int) load.Script {
					return &gets{path: t.contacts(tenant), ids: ids, exact: exact}
				})
			}}
		}
		figures, err := b.measure(ctx, r, []row{
			get("headlessly", rs.product, productIDs, true),
			get("PocketBase", rs.pocketBase, pocketBaseIDs, true),
			get("empty handler", rs.empty, productIDs, false),
		})
		if err != nil {
			return err
		}
		printGets(r, clients, figures)
	}
	return nil
}

// printGets prints the figures of get's rows, in their order, and judges them.
func printGets(r *report, clients int, figures []figure) {
	ours, pocketBase, empty := figures[0], figures[1], figures[2]
	times := func(f figure) string {
		return fmt.Sprintf("%.2f × PocketBase", f.perSecond/pocketBase.perSecond)
	}
	r.head(fmt.Sprintf("%d clients", clients))
	r.line("headlessly", ours, times(ours))
	r.line(pocketBaseVersion, pocketBase, "")
	r.line("empty handler (the ceiling)", empty, times(empty))
	r.bar(ours.perSecond >= getTimes*pocketBase.perSecond, "gets by %d clients: %.0f/s, %.2f × PocketBase's %.0f/s (bar: ≥ %.0f ×)",
		clients, ours.perSecond, ours.perSecond/pocketBase.perSecond, pocketBase.perSecond, getTimes)
	if clients == getClients {
		r.bar(ours.p50 <= getP50, "gets by %d clients: p50 %s ms (bar: ≤ %s ms)", clients, ms(ours.p50), ms(getP50))
	}
}
