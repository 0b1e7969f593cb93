package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"headless.ly/cmd/bench/load"
	"headless.ly/cmd/bench/outside"
)

// The bars of freshness: from the acknowledgement of a write to the moment at which table metadata on disk shows it.
const (
	freshP50       = time.Second
	freshP99       = 2 * time.Second
	freshPerSecond = 500
	freshTenants   = 20
	freshClients   = 64
	freshFor       = 3 * time.Minute
	// freshLimit is how long the last write may take to become visible before it counts as lost.
	freshLimit = 30 * time.Second
	// freshReads is how many of the versions seen are read row by row afterwards, for each table.
	freshReads = 3
	// createEvery: one write of so many creates, the rest update.
	createEvery = 5
)

// freshNouns are the nouns written, each with the field that names an instance.
func freshNouns() []writable {
	return []writable{
		{"Contact", "contact", `{"name":"%s"}`}, {"Organization", "organization", `{"name":"%s"}`},
		{"Deal", "deal", `{"name":"%s","value":100}`}, {"Ticket", "ticket", `{"subject":"%s"}`}, {"Issue", "issue", `{"title":"%s"}`},
	}
}

// writable is a noun with its table and the body of a create or an update, %s for a name.
type writable struct{ noun, table, body string }

// freshness measures how soon outside readers see a write, while writes arrive.
func (b *bench) freshness(ctx context.Context, r *report) (err error) {
	t, err := b.product(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	tenants, nouns := tenantNames("fresh", pick(b, freshTenants, 3)), freshNouns()
	rate, length := pick(b, freshPerSecond, 50), pick(b, cmp.Or(b.given, freshFor), 3*time.Second)
	r.title("freshness: %d writes/s, 1 create to %d updates, over %d tenants and %d nouns for %s (open loop)",
		rate, createEvery-1, len(tenants), len(nouns), length)
	renames, err := b.renames(ctx)
	if err != nil {
		return err
	}
	w := watch(ctx, t.data, tableNames(nouns))
	written, sent, err := b.writeFresh(ctx, t, tenants, nouns, load.Open{PerSecond: float64(rate), Clients: freshClients, For: length})
	if err != nil {
		return err
	}
	r.check("writes", sent)
	r.head("meanwhile")
	r.line("writes", newFigure(sent), "latency from when each was due")
	seen, err := w.stop(written, freshLimit)
	if err != nil {
		return err
	}
	r.printFreshness(seen, written, newFigure(renames))
	return r.readBack(ctx, seen, written)
}

func tableNames(nouns []writable) []string {
	names := []string{"events"}
	for _, n := range nouns {
		names = append(names, n.table)
	}
	return names
}

// written is a write and when its answer arrived.
type written struct {
	tenant, table, id string
	seq               int64
	at                time.Time
	warm              bool // not counted
}

// writeFresh makes one instance of everything, so that the tenants are open and there is something to update, and then
// writes in an open loop. It gives all writes in no order.
func (b *bench) writeFresh(
	ctx context.Context, t *target, tenants []string, nouns []writable, l load.Open,
) ([]written, load.Sample, error) {
	first := &freshWrites{nouns: nouns, tenants: tenants, warm: true}
	warm := load.Closed{Addr: t.addr, Clients: 1, For: time.Minute, Requests: len(tenants) * len(nouns)}
	s, err := warm.Run(ctx, func(int) load.Script { return first })
	if err == nil {
		err = s.Failure
	}
	if err != nil {
		return nil, s, fmt.Errorf("first writes: %w: %s said: %s", err, t.name, t.tail())
	}
	var scripts []*freshWrites
	l.Addr = t.addr
	s, err = l.Run(ctx, func(int) load.Script {
		script := &freshWrites{nouns: nouns, tenants: tenants, known: slices.Clone(first.written)}
		scripts = append(scripts, script)
		return script
	})
	if err != nil {
		return nil, s, fmt.Errorf("%w: %s said: %s", err, t.name, t.tail())
	}
	all := first.written
	for _, script := range scripts {
		all = append(all, script.written...)
	}
	return all, s, nil
}

// freshWrites creates and updates at random; warm: creates one of each noun in each tenant in turn.
type freshWrites struct {
	nouns   []writable
	tenants []string
	warm    bool
	known   []written // may be updated
	written []written

	turn       int
	last       written
	creating   bool
	body, wire []byte
}

// Next implements load.Script.
func (f *freshWrites) Next() []byte {
	n := f.turn
	f.turn++
	f.creating = f.warm || n%createEvery == 0
	if !f.warm {
		n = rand.IntN(len(f.nouns) * len(f.tenants))
	}
	noun := f.nouns[n%len(f.nouns)]
	f.last = written{tenant: f.tenants[n/len(f.nouns)], table: noun.table, warm: f.warm}
	if !f.creating {
		f.last = f.known[rand.IntN(len(f.known))]
		noun = f.nouns[slices.IndexFunc(f.nouns, func(n writable) bool { return n.table == f.last.table })]
	}
	f.body = fmt.Appendf(f.body[:0], noun.body, fmt.Sprint("name ", f.turn))
	path := "/~" + f.last.tenant + "/" + noun.noun
	if f.creating {
		f.wire = appendRequest(f.wire[:0], request{method: "POST", path: path, body: f.body})
	} else {
		f.wire = appendRequest(f.wire[:0], request{method: "PUT", path: path + "/" + f.last.id, body: f.body})
	}
	return f.wire
}

// Check implements load.Script.
func (f *freshWrites) Check(a load.Answer) error {
	now := time.Now()
	if f.creating {
		if a.Status != 201 {
			return unexpected(a, 201)
		}
		id, err := productDialect().id(a.Body)
		if err != nil {
			return err
		}
		f.last.id = string(id)
	} else if a.Status != 200 {
		return unexpected(a, 200)
	}
	if a.Seq == 0 {
		return fmt.Errorf("no X-Seq: %.300s", a.Body)
	}
	w := f.last
	w.seq, w.at, w.warm = a.Seq, now, f.warm
	f.written = append(f.written, w)
	if f.creating {
		f.known = append(f.known, w)
	}
	return nil
}

// printFreshness prints the delays of each table and judges those of events and of the noun tables together.
func (r *report) printFreshness(seen map[string][]sight, all []written, renames figure) {
	fmt.Fprintf(r.out, "  %-58s %9s %10s %10s %10s\n", "acknowledged → shown by the table's metadata on disk", "writes", "p50 ms", "p99 ms", "max ms")
	line := func(name string, s load.Sample, note string) {
		fmt.Fprintf(r.out, "  %-58s %9d %10s %10s %10s  %s\n", name, len(s.Latencies),
			ms(s.Quantile(0.5)), ms(s.Quantile(0.99)), ms(s.Quantile(1)), note)
	}
	var nouns, events load.Sample
	for _, table := range slices.Sorted(maps.Keys(seen)) {
		s, lost := delays(seen[table], all, func(w *written) bool { return table == "events" || w.table == table })
		line(table, s, fmt.Sprintf("%d versions seen", len(seen[table])))
		if lost > 0 {
			r.fault("%s never showed %d of its writes", table, lost)
		}
		if table == "events" {
			events = s
		} else {
			nouns.Latencies = append(nouns.Latencies, s.Latencies...)
		}
	}
	slices.Sort(nouns.Latencies)
	line("the write's noun table, whichever it is", nouns, "")
	fmt.Fprintf(r.out, "  %-58s %9s %10s %10s\n", "a clock of 1 s that publishes in no time (the floor)", "", "500.00", "990.00")
	fmt.Fprintf(r.out, "  %-58s %9s %10s %10s\n", "disk: write 4 KiB, fsync, rename, fsync the folder", "", ms(renames.p50), ms(renames.p99))
	for _, of := range []struct {
		name string
		s    load.Sample
	}{{"events", events}, {"the write's noun table", nouns}} {
		r.bar(of.s.Quantile(0.5) <= freshP50 && of.s.Quantile(0.99) <= freshP99 && len(of.s.Latencies) > 0,
			"freshness of %s: p50 %s ms, p99 %s ms, max %s ms (bars: p50 ≤ %s ms, p99 ≤ %s ms)", of.name,
			ms(of.s.Quantile(0.5)), ms(of.s.Quantile(0.99)), ms(of.s.Quantile(1)), ms(freshP50), ms(freshP99))
	}
}

// readBack reads the rows of some of the versions that were seen, and of the last, with DuckDB, and holds them against what
// was written up to the seqs that they claim.
func (r *report) readBack(ctx context.Context, seen map[string][]sight, all []written) (err error) {
	reader, err := outside.NewReader()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	versions, rows := 0, 0
	for name, sights := range seen {
		for i := range freshReads {
			v := sights[(len(sights)-1)*(i+1)/freshReads].version
			n, err := r.compare(ctx, reader, v, all)
			if err != nil {
				return fmt.Errorf("read back %s: %w", name, err)
			}
			versions, rows = versions+1, rows+n
		}
	}
	fmt.Fprintf(r.out, "  read back with DuckDB: %d versions, %d rows\n", versions, rows)
	return nil
}

// compare reads every tenant's rows of a version.
func (r *report) compare(ctx context.Context, reader *outside.Reader, v *outside.Version, all []written) (rows int, err error) {
	id, seq := "id", "_seq"
	if v.Table.Name == "events" {
		id, seq = "target", "seq"
	}
	files, err := v.Files()
	if err != nil {
		return 0, err
	}
	for tenant, want := range rowsOf(v, all) {
		got, err := reader.Rows(ctx, files.Of(tenant), id, seq)
		if err != nil {
			return rows, err
		}
		rows += len(got)
		if !slices.Equal(got, want) {
			r.fault("%s at %s says that it holds %s up to %d: its %d rows are not the %d that were written",
				v.Table.Name, v.Hint, tenant, v.Seqs[tenant], len(got), len(want))
		}
	}
	return rows, nil
}

// rowsOf gives by tenant the rows that a version must have: of events every write up to the version's seq, of a noun's table
// the last one of each entity.
func rowsOf(v *outside.Version, all []written) map[string][]outside.Row {
	last := map[written]int64{} // key: tenant, id and, for events, seq
	for _, one := range all {
		key := written{tenant: one.tenant, id: one.id}
		switch {
		case one.seq > v.Seqs[one.tenant]:
			continue
		case v.Table.Name == "events":
			key.seq = one.seq
		case v.Table.Name != one.table:
			continue
		}
		last[key] = max(last[key], one.seq)
	}
	rows := map[string][]outside.Row{}
	for key, seq := range last {
		rows[key.tenant] = append(rows[key.tenant], outside.Row{ID: key.id, Seq: seq})
	}
	for _, of := range rows {
		slices.SortFunc(of, func(a, b outside.Row) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Seq, b.Seq)) })
	}
	return rows
}
