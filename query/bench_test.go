package query

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"headless.ly/catalog/noun"
)

// pipelineRows is the tenant of the list bar (design 9).
const pipelineRows = 20_000

// fill writes the sales pipeline of one tenant: deals of 85 organizations and 40 contacts.
func fill(b testing.TB, w *world, rows int) *noun.Noun {
	b.Helper()
	g := rand.New(rand.NewPCG(1, 2))
	deal := mustNoun("Deal")
	stages := []string{"Won", "Lost", "Qualification", "Prospecting"}
	for i := range 85 {
		w.put("acme", mustNoun("Organization"), fmt.Sprintf("organization_o%05d", i), "create",
			fmt.Sprintf(`{"name":"Org %d","industry":"sector %d","country":"US"}`, i, i%9))
	}
	for i := range 40 {
		w.put("acme", mustNoun("Contact"), fmt.Sprintf("contact_c%05d", i), "create", fmt.Sprintf(`{"name":"Agent %d"}`, i))
	}
	for i := range rows {
		w.put("acme", deal, fmt.Sprintf("deal_d%05d", i), "create", fmt.Sprintf(
			`{"name":"Deal %d","value":%d,"currency":"USD","stage":%q,"actualCloseDate":"2017-%02d-%02d","organization":"organization_o%05d","owner":"contact_c%05d","product":"product_%d"}`,
			i, g.IntN(100_000), stages[g.IntN(4)], 1+g.IntN(12), 1+g.IntN(28), g.IntN(85), g.IntN(40), g.IntN(7)))
	}
	return deal
}

// touch updates some deals.
func touch(w *world, deal *noun.Noun, count int) {
	g := rand.New(rand.NewPCG(3, 4))
	for range count {
		w.put("acme", deal, fmt.Sprintf("deal_d%05d", g.IntN(pipelineRows)), "update",
			fmt.Sprintf(`{"name":"Deal x","value":%d,"currency":"USD","stage":"Won","organization":"organization_o%05d"}`, g.IntN(100_000), g.IntN(85)))
	}
}

// measure runs f b.N times and reports percentiles.
func (w *world) measure(b *testing.B, f func()) {
	b.Helper()
	f() // opens and feeds
	times := make([]time.Duration, 0, b.N)
	before := w.cpu(b)
	for b.Loop() {
		start := time.Now()
		f()
		times = append(times, time.Since(start))
	}
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64((w.cpu(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// cpu is the processor time that this process and the engine's have used, where the system tells: on a busy machine it says
// more than the clock.
func (w *world) cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	used := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", w.EngineStatus().PID))
	if err != nil {
		return used
	}
	_, rest, _ := strings.Cut(string(stat), ") ")       // behind the program's name
	for _, ticks := range strings.Fields(rest)[11:13] { // in user mode and in the kernel
		n, err := strconv.Atoi(ticks)
		if err != nil {
			b.Fatal(err)
		}
		used += time.Duration(n) * 10 * time.Millisecond
	}
	return used
}

// BenchmarkList lists 20,000 rows with filter and sort, from files alone and with a tail of 2,000 rows, and as of an
// instant that only history knows. Bar of this stage: p50 15 ms.
func BenchmarkList(b *testing.B) {
	w := newWorld(b, nil)
	deal := fill(b, w, pipelineRows)
	w.publish(b)
	queries := []struct {
		name string
		q    Query
	}{
		{"filter+sort", Query{Filter: object(b, `{"stage":{"$in":["Won","Lost"]},"value":{"$gt":1000}}`), Sort: "-value"}},
		{"default", Query{}},
		{"dotted", Query{Filter: object(b, `{"organization.industry":"sector 3","value":{"$gt":1000}}`), Sort: "-value"}},
		{"undeclared", Query{Filter: object(b, `{"product":"product_3"}`), Sort: "-value"}},
		{"text", Query{Text: "deal 1999"}},
		{"count", Query{Filter: object(b, `{"stage":"Won"}`), CountOnly: true}},
		{"include", Query{Filter: object(b, `{"stage":"Won"}`), Options: Options{Include: []string{"organization", "owner"}}}},
	}
	run := func(name, asOf string) {
		for _, x := range queries {
			b.Run(x.name+"/"+name, func(b *testing.B) {
				x.q.AsOf = asOf
				w.measure(b, func() {
					if _, err := w.List(context.Background(), "acme", deal, x.q); err != nil {
						b.Fatal(err)
					}
				})
			})
		}
	}
	run("files", "")
	before := formatTime(w.tick(time.Second).UnixMilli())
	w.tick(time.Second)
	touch(w, deal, 2000)
	run("files+tail", "")
	w.publish(b)
	run("asOf", before)
}

// BenchmarkGet reads one entity by id.
func BenchmarkGet(b *testing.B) {
	w := newWorld(b, nil)
	deal := fill(b, w, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Get(context.Background(), "acme", deal, "deal_d00500", Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
