package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// group is what the model knows of one group.
type group struct {
	count    int
	sum      float64
	distinct map[string]bool
	values   []float64
}

// groupsOf gathers documents by the value of a column, in plain Go.
func (o *oracle) groupsOf(n *noun.Noun, ids []string, by, number noun.Column) map[string]*group {
	out := map[string]*group{}
	for _, id := range ids {
		doc := o.docs[n.Name][id]
		key := fmt.Sprint(o.native(by.Kind, doc[by.Name]))
		g := out[key]
		if g == nil {
			g = &group{distinct: map[string]bool{}}
			out[key] = g
		}
		g.count++
		if v := o.native(number.Kind, doc[number.Name]); v != nil {
			f := floatOf(v)
			g.sum += f
			g.distinct[fmt.Sprint(v)] = true
			g.values = append(g.values, f)
		}
	}
	return out
}

func floatOf(v any) float64 {
	if r, ok := v.(*big.Rat); ok {
		f, _ := r.Float64()
		return f
	}
	f := 0.0
	_, _ = fmt.Sscan(fmt.Sprint(v), &f)
	return f
}

// quantile interpolates between the values.
func (g *group) quantile(q float64) any {
	if len(g.values) == 0 {
		return nil
	}
	slices.Sort(g.values)
	place := q * float64(len(g.values)-1)
	low := math.Floor(place)
	high := math.Ceil(place)
	return g.values[int(low)] + (g.values[int(high)]-g.values[int(low)])*(place-low)
}

// scalars are the columns of a noun that can be grouped by, and those that are numbers.
func scalars(n *noun.Noun) (all, numbers []noun.Column) {
	for _, c := range n.Columns() {
		if c.Kind == noun.JSON || c.Field != nil && c.Field.Array || c.Relationship != nil {
			continue
		}
		all = append(all, c)
		if c.Kind == noun.Number || c.Kind == noun.Float {
			numbers = append(numbers, c)
		}
	}
	return all, numbers
}

// aggregates compares one aggregate with the model.
func (g *generator) aggregates(t *testing.T, w *world, o *oracle, n *noun.Noun, q Query) {
	t.Helper()
	all, numbers := scalars(n)
	if len(all) == 0 || len(numbers) == 0 || q.IncludeDeleted {
		return
	}
	by, number := all[g.IntN(len(all))], numbers[g.IntN(len(numbers))]
	out, err := w.Aggregate(context.Background(), "acme", n, Aggregate{
		Options: q.Options, Filter: q.Filter, GroupBy: []GroupKey{{Field: by.Name, As: "key"}},
		Metrics: []Metric{{As: "n", Op: "$count"}, {As: "sum", Op: "$sum", Field: number.Name},
			{As: "distinct", Op: "$countDistinct", Field: number.Name}, {As: "p", Op: "$quantile", Field: number.Name, Quantile: 0.3}},
	})
	if err != nil {
		t.Fatalf("aggregate %s by %s, filter %s: %v", n.Name, by.Name, q.Filter.Append(nil), err)
	}
	want := o.groupsOf(n, o.list(n, q.Filter, nil), by, number)
	if len(out.Results) != len(want) {
		t.Fatalf("aggregate %s by %s, filter %s: %s, want %d groups", n.Name, by.Name, q.Filter.Append(nil), out.Results, len(want))
	}
	for _, text := range out.Results {
		got := decoded(text).(map[string]any)
		key := fmt.Sprint(o.native(by.Kind, got["key"]))
		model, ok := want[key]
		if !ok {
			t.Fatalf("aggregate %s by %s: no group %q in %v", n.Name, by.Name, key, slices.Collect(maps.Keys(want)))
		}
		var sum any = model.sum
		if len(model.values) == 0 {
			sum = nil
		}
		if !near(got["n"], float64(model.count)) || !near(got["sum"], sum) || !near(got["distinct"], float64(len(model.distinct))) ||
			!near(got["p"], model.quantile(0.3)) {
			t.Fatalf("aggregate %s by %s, filter %s: %s, want %+v", n.Name, by.Name, q.Filter.Append(nil), text, model)
		}
	}
}

func near(got, want any) bool {
	if got == nil || want == nil {
		return got == want
	}
	x, y := floatOf(got), want.(float64)
	return math.Abs(x-y) <= 1e-9*max(1, math.Abs(x), math.Abs(y))
}

// series compares a series of counts with the model at each instant.
func (g *generator) series(t *testing.T, w *world, events []*lakehouse.Event, n *noun.Noun, filter entity.Object) {
	t.Helper()
	now := w.memory.now
	from := time.UnixMilli(events[g.IntN(len(events))].Timestamp).UTC()
	out, err := w.Aggregate(context.Background(), "acme", n, Aggregate{
		Filter: filter, Metrics: []Metric{{As: "n", Op: "$count"}}, Every: "4d", From: formatTime(from.UnixMilli()),
	})
	if err != nil {
		t.Fatalf("series of %s, filter %s: %v", n.Name, filter.Append(nil), err)
	}
	i := 0
	for at := from; !at.After(now); at = at.Add(4 * 24 * time.Hour) {
		seq := int64(0)
		for _, e := range events {
			if e.Timestamp <= at.UnixMilli() {
				seq = e.Seq
			}
		}
		want := len(newOracle(events, seq, now, false).list(n, filter, nil))
		if got := decoded(out.Results[i]).(map[string]any); !near(got["n"], float64(want)) {
			t.Fatalf("series of %s from %s, filter %s: %s, want %d", n.Name, formatTime(from.UnixMilli()), filter.Append(nil), out.Results[i], want)
		}
		i++
	}
	if i != len(out.Results) {
		t.Fatalf("series of %s: %d instants, want %d", n.Name, len(out.Results), i)
	}
}

// statements compares SQL with the model, at the instant of a list.
func (g *generator) statements(t *testing.T, w *world, events []*lakehouse.Event, o *oracle, n *noun.Noun, q Query, seq int64) {
	t.Helper()
	if q.IncludeDeleted {
		return
	}
	ask := SQL{Strong: q.Strong, AsOf: q.AsOf, Limit: 100_000}
	ask.Text = "select id from " + n.Table() + " order by id"
	want := slices.Sorted(maps.Keys(o.docs[n.Name]))
	if got := w.texts(t, ask); !slices.Equal(got, want) {
		t.Fatalf("%s asOf %q: %v, want %v", ask.Text, q.AsOf, got, want)
	}
	past := events[g.IntN(len(events))].Timestamp
	then := int64(0)
	versions := 0
	for _, e := range events[:seq] {
		if e.Timestamp <= past {
			then = e.Seq
		}
		if e.Entity == n.Name {
			versions++
		}
	}
	ask.Text = "select id from " + n.Table() + "_at($at) order by id"
	ask.Named = map[string]any{"at": formatTime(past)}
	want = slices.Sorted(maps.Keys(newOracle(events, then, o.now, false).docs[n.Name]))
	if got := w.texts(t, ask); !slices.Equal(got, want) {
		t.Fatalf("%s at %s, asOf %q: %v, want %v", ask.Text, formatTime(past), q.AsOf, got, want)
	}
	ask.Named = nil
	ask.Text = "select cast(count(*) as varchar) || ' ' || (select count(*) from " + n.Table() + "_history) from events"
	if got := w.texts(t, ask); got[0] != fmt.Sprint(seq, versions) {
		t.Fatalf("%s asOf %q: %v, want %d %d", ask.Text, q.AsOf, got, seq, versions)
	}
}

// texts reads the only column of a statement.
func (w *world) texts(t *testing.T, q SQL) []string {
	t.Helper()
	result, err := w.SQL(context.Background(), "acme", q)
	if err != nil {
		t.Fatalf("%s: %v", q.Text, err)
	}
	defer result.Close()
	out := []string{}
	for {
		chunk, n, err := result.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%s: %v", q.Text, err)
		}
		for i := range n {
			out = append(out, string(chunk.Columns[0].Text(i)))
		}
	}
}

// Two hours that clocks show alike are two buckets, and months of a zone begin when its clocks say so.
func TestBucketsAtTheChangeOfClocks(t *testing.T) {
	w := newWorld(t, nil)
	deal := mustNoun("Deal")
	for i, created := range []string{"2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-31T22:59:00Z", "2026-10-31T23:01:00Z"} {
		at, _ := time.Parse(time.RFC3339, created)
		w.memory.mu.Lock()
		w.memory.now = at
		w.memory.mu.Unlock()
		w.put("acme", deal, fmt.Sprintf("deal_00000000000%d", i), "create", `{"name":"x"}`)
	}
	for bucket, want := range map[string]string{
		"hour":  "2026-10-25T02:00:00+02:00 2026-10-25T02:00:00+01:00 2026-10-31T23:00:00+01:00 2026-11-01T00:00:00+01:00",
		"month": "2026-10-01 2026-11-01",
		"week":  "2026-10-19 2026-10-26",
	} {
		out, err := w.Aggregate(context.Background(), "acme", deal, Aggregate{
			GroupBy: []GroupKey{{Field: "$createdAt", Bucket: bucket, Zone: "Europe/Berlin", As: "at"}}, Metrics: []Metric{{As: "n", Op: "$count"}}})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, row := range out.Results {
			got = append(got, decoded(row).(map[string]any)["at"].(string))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", bucket, got, want)
		}
	}
}

func TestSteps(t *testing.T) {
	from := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{"1mo": "2026-02-28 2026-03-31", "1q": "2026-04-30 2026-07-31", "1y": "2027-01-31 2028-01-31", "2w": "2026-02-14 2026-02-28"} {
		step, ok := parseStep(text)
		if !ok {
			t.Fatal(text)
		}
		if got := step(from, 1).Format(time.DateOnly) + " " + step(from, 2).Format(time.DateOnly); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"", "w", "0d", "-1d", "1x", "1.5d", "9999999d"} {
		if _, ok := parseStep(text); ok {
			t.Errorf("%q is a step", text)
		}
	}
}

func FuzzParseAggregate(f *testing.F) {
	for _, text := range []string{
		`{"metrics":{"n":{"$count":true},"p":{"$quantile":["value",0.9]}},"groupBy":["stage",{"field":"$createdAt","bucket":"day","timeZone":"UTC"}]}`,
		`{"filter":{"a":1},"having":{"n":{"$gt":1}},"sort":{"n":-1},"every":"1d","from":"2020","limit":1}`, `{"groupBy":"x","asOf":null}`,
	} {
		f.Add(text)
	}
	r := &Reader{nouns: noun.Core(), schemas: newSchemas(noun.Core()), clock: time.Now}
	r.resolver = &resolver{r.nouns, r.schemas}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := entity.Parse([]byte(text))
		if err != nil {
			return
		}
		q, err := ParseAggregate(o)
		if err == nil {
			_, err = r.planAggregate(mustNoun("Deal"), q)
		}
		if _, ok := errors.AsType[*problem.Problem](err); err != nil && !ok {
			t.Fatalf("%s: %v", text, err)
		}
	})
}

func FuzzAggregateValues(f *testing.F) {
	f.Add("groupBy=stage&metrics=count,sum(value),quantile(value,0.9)&value[$gt]=1&having={}")
	f.Fuzz(func(t *testing.T, text string) {
		v, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		_, err = ParseAggregateValues(mustNoun("Deal"), v)
		if _, ok := errors.AsType[*problem.Problem](err); err != nil && !ok {
			t.Fatalf("%s: %v", text, err)
		}
	})
}

// Results are JSON whatever the values are.
func TestResultIsJSON(t *testing.T) {
	for _, v := range []any{nil, true, 1.5, 1e300, math.NaN(), math.Inf(1), int64(1) << 60, "x\"y", time.Unix(0, 0)} {
		o := output{column: lakehouse.Column{Type: lakehouse.String}}
		if text := o.json(v); !json.Valid(text) {
			t.Errorf("%v: %s", v, text)
		}
	}
}
