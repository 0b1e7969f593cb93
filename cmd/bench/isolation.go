package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"headless.ly/cmd/bench/load"
)

// The bar of isolation.
const (
	isolationRows      = 20_000 // contacts of the victim
	isolationPerSecond = 20.0   // its reads
	isolationClients   = 8
	isolationFor       = 20 * time.Second
	isolationTimes     = 3.0 // its quiet p99
	isolationHostile   = 10  // tenants, each with a statement that runs at all times

	victim = "victim"
)

// hostileStatements are what the hostile tenants run, each the next one when it is stopped.
var hostileStatements = []string{
	"with recursive t(n) as (select 1 union all select n + 1 from t) select count(*) from t",
	"select count(*) from range(100000) a, range(100000) b where hash(a.range, b.range) = 1",
	"with recursive t(s) as (select 'x' union all select s || s from t) select max(length(s)) from t",
	"select sum(length(repeat(md5(i::varchar), 3000))) from range(100000000) t(i)",
	"select count(*) from range(1000000) where regexp_matches(repeat('a', 30000), '(a*)*b')",
	"select string_agg(repeat('x', 100000), '') from range(10000)",
	"select i, count(*) from range(1000000000) t(i) group by i",
	"select * from range(1000000000) a order by hash(range)",
	"select count(*) from contact a, contact b, contact c where a.name || b.name < c.name",
	"select max(a.x) from (select hash(i) x from range(100000000) t(i)) a join (select hash(i) x from range(100000000) t(i)) b on a.x = b.x",
}

// isolation measures the reads of one tenant, alone and while others run statements that never end.
func (b *bench) isolation(ctx context.Context, r *report) (err error) {
	t, err := b.product(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	rows, length := pick(b, isolationRows, 500), pick(b, isolationFor, 2*time.Second)
	if b.given > 0 {
		length = b.given
	}
	r.title("reads of a tenant of %d contacts, %.0f/s for %s (open loop): lists and statements, quiet and while %d other tenants each run a hostile statement",
		rows, isolationPerSecond, length, isolationHostile)
	victims, err := b.victims(ctx, t, rows)
	if err != nil {
		return err
	}
	read := func() (load.Sample, error) {
		l := load.Open{Addr: t.addr, PerSecond: isolationPerSecond, Clients: isolationClients, For: length}
		return l.Run(ctx, victims)
	}
	if _, err := (load.Closed{Addr: t.addr, Clients: 1, For: length / 4}).Run(ctx, victims); err != nil { // what is read often is decoded
		return err
	}
	quiet, err := read()
	if err != nil {
		return err
	}
	r.check("quiet", quiet)
	hostile, err := b.attack(ctx, t, read)
	if err != nil {
		return err
	}
	r.check("beside hostile statements", hostile.reads)
	before, beside := newFigure(quiet), newFigure(hostile.reads)
	r.head("reads of the victim")
	r.line("quiet", before, "")
	r.line("beside hostile statements", beside, fmt.Sprintf("p99 %.2f × quiet", float64(beside.p99)/float64(before.p99)))
	fmt.Fprintf(r.out, "  hostile statements by status: %v\n", hostile.answers)
	for _, wrong := range hostile.wrong {
		r.fault("a hostile statement: %s", wrong)
	}
	r.bar(float64(beside.p99) <= isolationTimes*float64(before.p99), "p99 of a victim beside %d hostile statements: %s ms, %.2f × the quiet %s ms (bar: ≤ %.0f ×)",
		isolationHostile, ms(beside.p99), float64(beside.p99)/float64(before.p99), ms(before.p99), isolationTimes)
	return nil
}

// victims fills the victim's tenant and the hostile ones, and gives what the victim asks: lists and statements in turn.
func (b *bench) victims(ctx context.Context, t *target, rows int) (func(int) load.Script, error) {
	if _, err := b.fill(ctx, t, victim, rows); err != nil {
		return nil, err
	}
	known := make([]contact, rows)
	for i, w := 0, newWords(); i < rows; i++ {
		known[i] = w.contact(i)
	}
	for _, tenant := range tenantNames("hostile", isolationHostile) {
		t.next.Store(0)
		if _, err := b.fill(ctx, t, tenant, pick(b, 1000, 50)); err != nil {
			return nil, err
		}
	}
	if err := t.resume(); err != nil {
		return nil, err
	}
	if err := wait(ctx, pick(b, settle, time.Second)); err != nil {
		return nil, err
	}
	var list []question
	for _, q := range queries() {
		list = append(list, q.questions(t.contacts(victim), known, true)...)
	}
	for i := range list { // as many statements
		path := "/~" + victim + "/sql?q=" + url.QueryEscape(steadyStatements[i%3])
		var first answerRows
		if err := t.ask(path, &first); err != nil {
			return nil, err
		}
		list = append(list, question{wire: getRequest(path), check: checkRows(first.Rows)})
	}
	return func(i int) load.Script {
		return &questions{list: interleave(list), at: i * len(list) / isolationClients}
	}, nil
}

// interleave takes in turns of the first and the second half.
func interleave(list []question) (out []question) {
	for i := range len(list) / 2 {
		out = append(out, list[i], list[len(list)/2+i])
	}
	return out
}

// attacked is what was seen while hostile statements ran.
type attacked struct {
	reads   load.Sample
	answers map[int]int // to the hostile statements, by status
	wrong   []string
}

// attack runs hostile statements while read runs, one at all times in each hostile tenant.
func (b *bench) attack(ctx context.Context, t *target, read func() (load.Sample, error)) (a attacked, err error) {
	running, stop := context.WithCancel(ctx)
	defer stop()
	a.answers = map[int]int{}
	var mu sync.Mutex // guards a
	var hostile sync.WaitGroup
	for i, tenant := range tenantNames("hostile", isolationHostile) {
		hostile.Go(func() {
			for n := i; running.Err() == nil; n++ {
				status, wrong := t.hostile(tenant, hostileStatements[n%len(hostileStatements)])
				mu.Lock()
				a.answers[status]++
				if wrong != "" {
					a.wrong = append(a.wrong, wrong)
				}
				mu.Unlock()
			}
		})
	}
	if err := wait(ctx, time.Second); err != nil {
		return a, err
	}
	reads, err := read()
	stop()
	hostile.Wait()
	a.reads = reads
	return a, err
}

// hostile runs one hostile statement: it has to be refused or stopped within its limit.
func (t *target) hostile(tenant, text string) (status int, wrong string) {
	conn, err := load.Dial(t.addr, time.Now().Add(askLimit))
	if err != nil {
		return 0, err.Error()
	}
	defer conn.Close()
	body, _ := json.Marshal(map[string]any{"sql": text, "timeoutMs": 10_000}) // of a text and a number: cannot fail
	a, err := conn.Do(appendRequest(nil, request{method: "POST", path: "/~" + tenant + "/sql", body: body}))
	switch {
	case err != nil:
		return 0, err.Error()
	case a.Status >= 500 && a.Status != 503 || strings.Contains(string(a.Body), t.data):
		return a.Status, string(a.Body)
	}
	return a.Status, ""
}
