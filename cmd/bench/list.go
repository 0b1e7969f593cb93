package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"headless.ly/cmd/bench/load"
)

// The bars of a list with a filter and a sort.
const (
	listRows      = 20_000
	listP50       = 15 * time.Millisecond
	busyTimes     = 3.0 // the quiet p50
	busyPerSecond = 500
	busyClients   = 64
	// settle is how long a server may take to publish what it was given before it counts as quiet.
	settle = 5 * time.Second

	listTenant = "one"
)

// list measures lists, first on a quiet server, then while writes arrive.
func (b *bench) list(ctx context.Context, r *report) (err error) {
	product, err := b.product(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, product.stop()) }()
	pocketBase, err := b.pocketBase(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pocketBase.stop()) }()
	rows := pick(b, listRows, 500)
	ids, err := b.fill(ctx, product, listTenant, rows)
	if err != nil {
		return err
	}
	if _, err := b.fill(ctx, pocketBase, listTenant, rows); err != nil {
		return err
	}
	if err := product.settle(ctx, pick(b, settle, 0)); err != nil {
		return err
	}
	known := make([]contact, rows)
	for i, w := 0, newWords(); i < rows; i++ {
		known[i] = w.contact(i)
	}
	r.title("lists of a tenant of %d contacts, filtered and sorted, quiet", rows)
	quiet, err := b.quietLists(ctx, r, product, pocketBase, known)
	if err != nil {
		return err
	}
	return b.busyLists(ctx, r, product, known, ids, quiet)
}

// settle lets a paused server work off what it was given.
func (t *target) settle(ctx context.Context, d time.Duration) error {
	if err := t.resume(); err != nil {
		return err
	}
	if err := wait(ctx, d); err != nil {
		return err
	}
	return t.pause()
}

// lists is a closed loop that asks a query in all its variants.
func (b *bench) lists(t *target, q *query, known []contact, clients int) row {
	ours := t.idKey == productDialect().idKey
	list := q.questions(t.contacts(listTenant), known, ours)
	return row{fmt.Sprintf("%s: %s", t.name, q.name), func(ctx context.Context) (load.Sample, error) {
		l := load.Closed{Clients: clients, Warm: b.warm(), For: b.each / 2, Requests: pick(b, 0, variants)}
		return b.closed(ctx, t, l, func(i int) load.Script { return &questions{list: list, at: i} })
	}}
}

// quietLists gives the product's figures, one a query.
func (b *bench) quietLists(ctx context.Context, r *report, product, pocketBase *target, known []contact) ([]figure, error) {
	var quiet []figure
	for _, q := range queries() {
		figures, err := b.measure(ctx, r, []row{
			b.lists(product, &q, known, 1), b.lists(pocketBase, &q, known, 1), b.lists(product, &q, known, 4),
		})
		if err != nil {
			return nil, err
		}
		r.head(q.name)
		r.line("headlessly, 1 client", figures[0], "")
		r.line("headlessly, 4 clients", figures[2], "")
		r.line(pocketBaseVersion+", 1 client", figures[1], "")
		r.bar(figures[0].p50 <= listP50, "list by %s: p50 %s ms (bar: ≤ %s ms)", q.name, ms(figures[0].p50), ms(listP50))
		quiet = append(quiet, figures[0])
	}
	return quiet, nil
}

// busyLists measures the same lists while writes arrive, and compares them with the quiet figures.
func (b *bench) busyLists(ctx context.Context, r *report, t *target, known []contact, ids []string, quiet []figure) error {
	rate := pick(b, busyPerSecond, 50)
	r.title("the same, while %d writes a second arrive in the same tenant (open loop; 4 updates, 1 create)", rate)
	if err := t.resume(); err != nil {
		return err
	}
	writing, stopWriting := context.WithCancel(ctx)
	defer stopWriting()
	var written load.Sample
	done := make(chan error, 1)
	go func() {
		var err error
		l := load.Open{Addr: t.addr, PerSecond: float64(rate), Clients: busyClients, For: time.Hour}
		written, err = l.Run(writing, func(int) load.Script { return &writes{creates: newCreates(t, []string{listTenant}), ids: ids} })
		done <- err
	}()
	err := b.listsWhileWriting(ctx, r, t, known, quiet)
	stopWriting()
	if err := errors.Join(err, <-done); err != nil {
		return fmt.Errorf("%w: %s said: %s", err, t.name, t.tail())
	}
	r.check("writes meanwhile", written)
	r.head("meanwhile")
	r.line("writes", newFigure(written), "latency from when each was due")
	return r.counted(t, []string{listTenant})
}

func (b *bench) listsWhileWriting(ctx context.Context, r *report, t *target, known []contact, quiet []figure) error {
	r.head("1 client")
	for i, q := range queries() {
		l := load.Closed{Addr: t.addr, Clients: 1, Warm: pick(b, time.Second, 0), For: b.each, Requests: pick(b, 0, 2*variants)}
		list := q.questions(t.contacts(listTenant), known, true)
		s, err := l.Run(ctx, func(int) load.Script { return &questions{list: list} })
		if err != nil {
			return err
		}
		r.check("list under writes by "+q.name, s)
		f := newFigure(s)
		r.line(q.name, f, fmt.Sprintf("%.2f × quiet", float64(f.p50)/float64(quiet[i].p50)))
		r.bar(float64(f.p50) <= busyTimes*float64(quiet[i].p50), "list under writes by %s: p50 %s ms (bar: ≤ %.0f × the quiet %s ms)",
			q.name, ms(f.p50), busyTimes, ms(quiet[i].p50))
	}
	return nil
}

// writes updates a random contact four times and creates one the fifth.
type writes struct {
	creates  *creates
	ids      []string
	turn     int
	creating bool
}

// Next implements load.Script.
func (w *writes) Next() []byte {
	c := w.creates
	w.turn++
	w.creating = w.turn%5 == 0
	if w.creating {
		made := c.words.busy(int(c.target.next.Add(1) - 1))
		return c.request(&made, c.paths[0])
	}
	c.body = fmt.Appendf(c.body[:0], `{"phone":"+1 555 %07d"}`, w.turn)
	id := w.ids[rand.IntN(len(w.ids))]
	c.wire = appendRequest(c.wire[:0], request{method: "PUT", path: c.paths[0] + "/" + id, body: c.body})
	return c.wire
}

// Check implements load.Script.
func (w *writes) Check(a load.Answer) error {
	if w.creating {
		return w.creates.Check(a)
	}
	if a.Status != 200 {
		return unexpected(a, 200)
	}
	return nil
}
