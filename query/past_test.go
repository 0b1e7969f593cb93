package query

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestPast compares what is read from a past of many parts with the same read from the log, at instants all over history, while
// it grows.
func TestPast(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Engine.CheckpointRows = 15 })
	cfg := Config{Log: w.memory, Lake: w.lake, Nouns: w.Reader.nouns, Clock: w.memory.clock, Engine: EngineConfig{Warehouse: w.engine.cfg.Warehouse,
		MaxHistoryRows: 1}}
	plain, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	other, deal := &world{w.memory, plain, w.lake}, mustNoun("Deal")
	g := rand.New(rand.NewPCG(1, 2))
	deleted := map[string]bool{}
	for round := range 12 {
		for range 5 + g.IntN(60) {
			id := fmt.Sprintf("deal_%05d", g.IntN(40))
			gone, known := deleted[id]
			verb := "create"
			switch {
			case gone:
				verb = "rollback"
			case known && g.IntN(5) == 0:
				verb = "delete"
			case known:
				verb = "update"
			}
			deleted[id] = verb == "delete"
			w.put("acme", deal, id, verb, fmt.Sprintf(`{"name":"n%d","value":%d}`, g.IntN(9), g.IntN(9)))
		}
		if round%4 == 3 {
			w.publish(t)
		}
		events := w.tenant("acme").events
		for range 4 {
			at, then := formatTime(events[g.IntN(len(events))].Timestamp), formatTime(events[g.IntN(len(events))].Timestamp)
			for _, q := range []SQL{
				{AsOf: at, Text: "select to_json(d)::varchar from deal d order by all"},
				{AsOf: at, Text: "select to_json(d)::varchar from deal_history d order by all"},
				{Text: "select to_json(d)::varchar from deal_history d order by all"},
				{AsOf: at, Text: "select to_json(d)::varchar from deal_at('" + then + "') d order by all"},
				{Text: "select to_json(d)::varchar from deal_at('" + then + "') d order by all"},
			} {
				got, want := w.texts(t, q), other.texts(t, q)
				if !slices.Equal(got, want) {
					t.Fatalf("round %d, asOf %q: %s:\n%s\nwant\n%s", round, q.AsOf, q.Text, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
			q := Query{Options: Options{AsOf: at, IncludeDeleted: true}, Sort: "name,id"}
			if got, want := w.allIDs(t, "acme", deal, q), other.allIDs(t, "acme", deal, q); !slices.Equal(got, want) {
				t.Fatalf("round %d, asOf %q: %v, want %v", round, at, got, want)
			}
		}
	}
	if held := w.Cache(); held.Histories != 1 || held.Failures > 0 {
		t.Errorf("the past did not answer: %+v", held)
	}
	if held := other.Cache(); held.Histories != 0 {
		t.Errorf("the past is held: %+v", held)
	}
}
