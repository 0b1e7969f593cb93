package query

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"headless.ly/catalog/noun"
)

// warm reads a noun until its base answers.
func (w *world) warm(t *testing.T, tenant string, n *noun.Noun) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); w.Cache().Hits == 0; {
		if _, err := w.List(context.Background(), tenant, n, Query{}); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(end) {
			t.Fatalf("no base answers: %+v", w.Cache())
		}
	}
}

// TestBase compares lists with the oracle after each write, over a base that is decoded anew several times: updates, deletes,
// entities that come back, and instants on both sides of what the base holds.
func TestBase(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Engine.RebaseRows = 50 })
	deal := mustNoun("Deal")
	write := func(g *rand.Rand) {
		id, verb := fmt.Sprintf("deal_%05d", g.IntN(60)), "update"
		switch p, err := w.Lookup(context.Background(), "acme", "Deal", id); {
		case err != nil:
			verb = "create"
		case p.Deleted:
			verb = "rollback"
		case g.IntN(4) == 0:
			verb = "delete"
		}
		w.put("acme", deal, id, verb, fmt.Sprintf(`{"name":"n%d","value":%d}`, g.IntN(9), g.IntN(9)))
	}
	g := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		write(g)
	}
	w.publish(t)
	w.warm(t, "acme", deal)
	for i := range 250 {
		for range 1 + g.IntN(4) {
			write(g)
		}
		if i%20 == 0 {
			w.publish(t)
		}
		w.checkPage(t, g, "acme", deal)
	}
	if held := w.Cache(); held.Hits < 50 || held.Loads < 2 || held.Failures > 0 {
		t.Errorf("bases answered too seldom: %+v", held)
	}
}

// TestBasesAreBounded fills the cache with the bases of several tenants.
func TestBasesAreBounded(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Engine.CacheMB = 1 })
	deal := mustNoun("Deal")
	tenants := []string{"acme", "birch", "cedar", "dahlia", "elm", "fir"}
	for _, tenant := range tenants {
		for i := range 10 {
			w.put(tenant, deal, fmt.Sprintf("deal_%05d", i), "create", fmt.Sprintf(`{"name":"n%d","value":%d}`, i, i))
		}
	}
	w.publish(t)
	for end := time.Now().Add(10 * time.Second); w.Cache().Evictions == 0; {
		for _, tenant := range tenants {
			if got := w.allIDs(t, tenant, deal, Query{}); len(got) != 10 {
				t.Fatalf("%s: %v", tenant, got)
			}
		}
		if held := w.Cache(); held.Bytes > held.Limit {
			t.Fatalf("more is held than may be: %+v", held)
		}
		if time.Now().After(end) {
			t.Fatalf("nothing is evicted: %+v", w.Cache())
		}
	}
}

// TestBaseFarBehind lets more be written than a base follows: reads go on without it.
func TestBaseFarBehind(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Engine.RebaseRows = 10 })
	deal := mustNoun("Deal")
	for i := range 20 {
		w.put("acme", deal, fmt.Sprintf("deal_%05d", i), "create", `{"name":"n","value":1}`)
	}
	w.publish(t)
	w.warm(t, "acme", deal)
	for i := range 200 {
		w.put("acme", deal, fmt.Sprintf("deal_%05d", i%40), []string{"create", "update"}[min(1, i/40)], `{"name":"n","value":2}`)
	}
	g := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		w.checkPage(t, g, "acme", deal)
	}
	if held := w.Cache(); held.Tables != 0 {
		t.Errorf("the base is held still: %+v", held)
	}
}
