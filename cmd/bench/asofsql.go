package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"headless.ly/cmd/bench/load"
	"headless.ly/cmd/bench/outside"
	"headless.ly/cmd/bench/rival"
)

// The bars of statements as of an instant.
const (
	asOfRows      = 20_000
	asOfTimes     = 1.25 // the same statement now
	asOfInstants  = 5
	asOfEvery     = 20 * time.Millisecond // between two commits to the tables, at most
	asOfPerSecond = 200                   // updates meanwhile
	asOfClients   = 8
	asOfLimit     = time.Hour // for all commits
)

// asOfInstant is an instant and what the statements answered then.
type asOfInstant struct {
	at      time.Time
	commits int // to the table of events until then
	answers [][][]any
}

// asOfStatements measures twelve statements now and as of five instants, from the oldest to the newest, of a tenant whose
// contacts were updated while the log was committed to the tables many times.
func (b *bench) asOfStatements(ctx context.Context, r *report) (err error) {
	rows, commits := pick(b, asOfRows, 1000), pick(b, b.commitCount, 10)
	t, err := b.product(ctx, "--publish-every", asOfEvery.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	r.title("statements as of %d instants: %d contacts, %d updates/s until the events have %d commits", asOfInstants, rows, asOfPerSecond, commits)
	w := watch(ctx, t.data, []string{"events", "contact", "organization"})
	if err := b.importStatementRows(ctx, r, t, rows); err != nil {
		return err
	}
	var instants []*asOfInstant
	for i := range asOfInstants {
		if err := b.updateUntil(ctx, r, t, rows, commits*(i+1)/asOfInstants); err != nil {
			return err
		}
		one, err := t.asOfInstant(rows)
		if err != nil {
			return err
		}
		instants = append(instants, one)
	}
	var count struct{ Rows [][]int64 }
	if err := t.ask(sqlPath+"?q="+url.QueryEscape("select count(*), max(_seq) from contact_history"), &count); err != nil {
		return err
	}
	fmt.Fprintf(r.out, "  %d commits, %d versions of contacts\n", instants[len(instants)-1].commits, count.Rows[0][0])
	seen, err := w.stop([]written{{tenant: largeTenant, table: "contact", seq: count.Rows[0][1]}}, publishLimit)
	if err != nil {
		return err
	}
	duck, err := b.duckOver(ctx, r, t, seen, "organization", "contact")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, duck.stop()) }()
	return b.compareInstants(ctx, r, t, duck, rows, instants)
}

// updateUntil updates random contacts until the table of events has had so many commits.
func (b *bench) updateUntil(ctx context.Context, r *report, t *target, rows, commits int) error {
	running, stop := context.WithTimeout(ctx, asOfLimit)
	defer stop()
	table := outside.Open(t.data, "events")
	go func() {
		defer stop()
		for commitsOf(table) < commits && wait(running, asOfEvery) == nil {
		}
	}()
	l := load.Open{Addr: t.addr, PerSecond: asOfPerSecond, Clients: asOfClients, For: asOfLimit}
	s, err := l.Run(running, func(int) load.Script { return &updates{path: t.contacts(largeTenant), rows: rows, scores: true} })
	if err == nil && ctx.Err() == nil && commitsOf(table) < commits {
		err = fmt.Errorf("%d commits of %d in %s: %s", commitsOf(table), commits, asOfLimit, t.tail())
	}
	r.check("updates", s)
	return err
}

// commitsOf is how many metadata files the table has had.
func commitsOf(t outside.Table) int {
	number, _, _ := strings.Cut(t.Hint(), "-")
	n, _ := strconv.Atoi(number) // "" before the first
	return n
}

// asOfInstant asks every statement now.
func (t *target) asOfInstant(rows int) (*asOfInstant, error) {
	one := &asOfInstant{at: time.Now().UTC(), commits: commitsOf(outside.Open(t.data, "events"))}
	for _, s := range statements(rows) {
		var answer answerRows
		if err := t.ask(sqlPath+"?strong=true&q="+url.QueryEscape(s.text), &answer); err != nil {
			return nil, err
		}
		one.answers = append(one.answers, answer.Rows)
	}
	time.Sleep(time.Millisecond) // what follows is later
	return one, nil
}

// compareInstants measures every statement now and as of each instant, and beside DuckDB over the table as it is now.
func (b *bench) compareInstants(ctx context.Context, r *report, t, duck *target, rows int, instants []*asOfInstant) error {
	b.rounds = pick(b, max(b.rounds, sqlRounds), 1)
	if b.given == 0 && !b.short {
		b.each = 200 * time.Millisecond
	}
	r.title("1 client, p50 ms through HTTP, medians of %d rounds; as of each instant: × now", b.rounds)
	fmt.Fprintf(r.out, "  %-16s %10s %10s", "", "native", "now")
	for _, one := range instants {
		fmt.Fprintf(r.out, " %10d", one.commits)
	}
	fmt.Fprintln(r.out, " commits")
	times := make([][]float64, len(instants))
	for i, s := range statements(rows) {
		last := instants[len(instants)-1].answers[i]
		list := []row{b.asked(duck, s, rival.NativePath, last), b.asked(t, s, sqlPath, last)}
		for _, one := range instants {
			list = append(list, b.asked(t, s, sqlPath+"?asOf="+one.at.Format("2006-01-02T15:04:05.000Z"), one.answers[i]))
		}
		f, err := b.measure(ctx, r, list)
		if err != nil {
			return err
		}
		fmt.Fprintf(r.out, "  %-16s %10s %10s", s.name, ms(f[0].p50), ms(f[1].p50))
		for k := range instants {
			times[k] = append(times[k], ratio(f[k+2], f[1]))
			fmt.Fprintf(r.out, " %10.2f", times[k][i])
		}
		fmt.Fprintln(r.out)
	}
	for k, one := range instants {
		r.bar(geometricMean(times[k]) <= asOfTimes, "%d statements as of commit %d of %d: %.2f × now, geometric mean (bar: ≤ %.2f ×)", len(times[k]),
			one.commits, instants[len(instants)-1].commits, geometricMean(times[k]), asOfTimes)
	}
	return nil
}
