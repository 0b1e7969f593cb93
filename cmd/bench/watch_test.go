package main

import (
	"slices"
	"testing"
	"time"

	"headless.ly/cmd/bench/outside"
)

// A write is shown by the first version whose seq of its tenant has reached it; what no version shows is lost.
func TestDelaysCountToTheFirstVersionThatHoldsTheWrite(t *testing.T) {
	start := time.Now()
	after := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	sights := []sight{
		{&outside.Version{Seqs: map[string]int64{"a": 5}}, after(100)},
		{&outside.Version{Seqs: map[string]int64{"a": 5, "b": 2}}, after(300)},
		{&outside.Version{Seqs: map[string]int64{"a": 9, "b": 2}}, after(700)},
	}
	all := []written{
		{tenant: "a", seq: 4, at: after(0), warm: true}, {tenant: "a", seq: 5, at: after(10)}, {tenant: "a", seq: 6, at: after(20)},
		{tenant: "b", seq: 1, at: after(250)}, {tenant: "b", seq: 3, at: after(260)},
	}
	s, lost := delays(sights, all, func(*written) bool { return true })
	want := []time.Duration{50 * time.Millisecond, 90 * time.Millisecond, 680 * time.Millisecond}
	if !slices.Equal(s.Latencies, want) || lost != 1 {
		t.Errorf("%v, %d lost, want %v, 1 lost", s.Latencies, lost, want)
	}
}

// A version must have every event, and of a noun the last state, up to its own seq.
func TestRowsOfAVersion(t *testing.T) {
	all := []written{
		{tenant: "a", table: "contact", id: "x", seq: 1}, {tenant: "a", table: "contact", id: "x", seq: 3},
		{tenant: "a", table: "deal", id: "y", seq: 2}, {tenant: "a", table: "contact", id: "w", seq: 4},
		{tenant: "a", table: "contact", id: "x", seq: 5}, {tenant: "b", table: "contact", id: "z", seq: 1},
	}
	seqs := map[string]int64{"a": 4}
	for table, want := range map[string][]outside.Row{
		"contact": {{ID: "w", Seq: 4}, {ID: "x", Seq: 3}}, "deal": {{ID: "y", Seq: 2}},
		"events": {{ID: "w", Seq: 4}, {ID: "x", Seq: 1}, {ID: "x", Seq: 3}, {ID: "y", Seq: 2}},
	} {
		got := rowsOf(&outside.Version{Table: outside.Table{Name: table}, Seqs: seqs}, all)
		if len(got) != 1 || !slices.Equal(got["a"], want) {
			t.Errorf("%s: %v, want %v", table, got, want)
		}
	}
}
