package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"headless.ly/cmd/bench/load"
)

// The bar of steady memory.
const (
	steadyQueries = 100_000
	steadyParts   = 10
	steadyGrowth  = 1.1 // the last part's mean ÷ the second's
	steadyTenants = 20
	steadyRows    = 1000 // contacts of each
	steadyClients = 4
)

// steady measures the memory of the product's processes over many queries: lists and statements of some tenants in turn.
func (b *bench) steady(ctx context.Context, r *report) (err error) {
	t, err := b.product(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	questions, err := b.steadyQuestions(ctx, t)
	if err != nil {
		return err
	}
	queries := pick(b, steadyQueries, 200)
	r.title("memory of both processes over %d queries: %d tenants of %d contacts, %d clients", queries, steadyTenants, pick(b, steadyRows, 50), steadyClients)
	var means, engines []float64
	for part := range steadyParts {
		sampling, stop := context.WithCancel(ctx)
		mean := make(chan [2]float64, 1)
		go func() { mean <- meanMB(sampling, t.pid()) }()
		l := load.Closed{Clients: steadyClients, For: time.Hour, Requests: queries / steadyParts}
		s, err := b.closed(ctx, t, l, questions)
		stop()
		if err != nil {
			<-mean
			return err
		}
		r.check(fmt.Sprintf("part %d", part+1), s)
		m := <-mean
		means, engines = append(means, m[0]), append(engines, m[1])
		r.line(fmt.Sprintf("queries %d to %d", part*queries/steadyParts+1, (part+1)*queries/steadyParts), newFigure(s),
			fmt.Sprintf("mean %.0f MB, %.0f of them the engine's", means[part], engines[part]))
	}
	growth := means[steadyParts-1] / means[1]
	fmt.Fprintf(r.out, "  growth of the engine's process %.3f, of the server's %.3f\n", engines[steadyParts-1]/engines[1],
		(means[steadyParts-1]-engines[steadyParts-1])/(means[1]-engines[1]))
	r.bar(growth <= steadyGrowth, "memory of the last tenth ÷ the second over %d queries: %.3f (bar: ≤ %.1f)", queries, growth, steadyGrowth)
	return nil
}

// steadyQuestions fills the tenants, and gives what each client asks: all lists and statements of one tenant after the other.
func (b *bench) steadyQuestions(ctx context.Context, t *target) (func(int) load.Script, error) {
	rows := pick(b, steadyRows, 50)
	known := make([]contact, rows)
	for i, w := 0, newWords(); i < rows; i++ {
		known[i] = w.contact(i)
	}
	var list []question
	for _, tenant := range tenantNames("steady", steadyTenants) {
		t.next.Store(0) // the same contacts in each
		if _, err := b.fill(ctx, t, tenant, rows); err != nil {
			return nil, err
		}
		if err := t.resume(); err != nil {
			return nil, err
		}
		for _, q := range queries() {
			list = append(list, q.questions(t.contacts(tenant), known, true)...)
		}
		for _, text := range steadyStatements {
			path := "/~" + tenant + "/sql?q=" + url.QueryEscape(text)
			var first answerRows
			if err := t.ask(path, &first); err != nil {
				return nil, err
			}
			list = append(list, question{wire: appendRequest(nil, request{method: "GET", path: path}), check: checkRows(first.Rows)})
		}
	}
	return func(i int) load.Script { return &questions{list: list, at: i * len(list) / steadyClients} }, nil
}

// steadyStatements are deterministic.
var steadyStatements = []string{
	"select count(*) from contact",
	"select stage, count(*) n, avg(leadScore) from contact group by all order by all",
	"select name, email, rank() over (order by leadScore desc, email) from contact order by all limit 50",
	"select count(*) from contact a join contact b on a.leadScore = b.leadScore where a.name < b.name",
}

// meanMB looks at the memory of a process and its descendants again and again until ctx ends: all, and the descendants' alone.
func meanMB(ctx context.Context, pid int) (mean [2]float64) {
	count := 0
	for wait(ctx, sampleEvery) == nil {
		all, own, err := readFootprints(pid)
		if err != nil {
			continue
		}
		mean[0] += all.residentMB()
		mean[1] += all.residentMB() - own.residentMB()
		count++
	}
	for i := range mean {
		mean[i] /= float64(max(count, 1))
	}
	return mean
}
