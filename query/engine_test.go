package query

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// TestLargestFilter runs filters at the limits.
func TestLargestFilter(t *testing.T) {
	w := newWorld(t, nil)
	deal := mustNoun("Deal")
	for i := range 3 {
		w.put("acme", deal, fmt.Sprintf("deal_d%daaa", i), "create", fmt.Sprintf(`{"name":"n%d","value":%d}`, i, i))
	}
	w.publish(t)
	w.put("acme", deal, "deal_d0aaa", "update", `{"name":"n0","value":0}`)
	wide := `{"$or":[` + strings.TrimSuffix(strings.Repeat(`{"value":7},`, 5000), ",") + `,{"value":2}]}`
	members := `{"name":{"$in":["n1"` + strings.Repeat(`,"x"`, 999) + `]}}`
	undeclared := `{"price":{"$nin":["n1"` + strings.Repeat(`,"x"`, 999) + `]}}`
	deep := strings.Repeat(`{"$or":[`, 15) + `{"value":1}` + strings.Repeat(`]}`, 15)
	hops := `{"contact.organization.contacts.name":{"$ne":"x"},"organization.contacts.organization.name":{"$exists":false}}`
	for filter, want := range map[string]int{wide: 1, members: 1, undeclared: 3, deep: 1, hops: 0} {
		start := time.Now()
		got := w.allIDs(t, "acme", deal, Query{Filter: object(t, filter)})
		if len(got) != want {
			t.Errorf("%.60s: got %v", filter, got)
		}
		t.Logf("%.60s: %s", filter, time.Since(start))
	}
}

// TestConcurrent reads while others write and publish: every page is the state at the seq it names.
func TestConcurrent(t *testing.T) {
	t.Run("wide", func(t *testing.T) { checkConcurrent(t, EngineConfig{}) })
	t.Run("often decoded", func(t *testing.T) { checkConcurrent(t, EngineConfig{RebaseRows: 50}) })
	t.Run("narrow", func(t *testing.T) { // two tenants push each other out, tails are compacted, histories too long
		checkConcurrent(t, EngineConfig{MaxDatabases: 1, MaxTailRows: 200, MaxHistoryRows: 800})
	})
	t.Run("many checkpoints", func(t *testing.T) { checkConcurrent(t, EngineConfig{CheckpointRows: 30}) })
	t.Run("little held", func(t *testing.T) { // bases and pasts push each other out
		checkConcurrent(t, EngineConfig{CheckpointRows: 100, CacheMB: 1})
	})
}

func checkConcurrent(t *testing.T, limits EngineConfig) {
	w := newWorld(t, func(c *Config) {
		c.Engine.MaxTailRows, c.Engine.MaxHistoryRows, c.Engine.MaxDatabases = limits.MaxTailRows, limits.MaxHistoryRows, limits.MaxDatabases
		c.Engine.RebaseRows, c.Engine.CheckpointRows, c.Engine.CacheMB = limits.RebaseRows, limits.CheckpointRows, limits.CacheMB
	})
	nouns := []*noun.Noun{mustNoun("Contact"), mustNoun("Deal")}
	tenants := []string{"acme", "birch"}
	for _, tenant := range tenants {
		for _, n := range nouns {
			w.put(tenant, n, n.IDPrefix+"_start", "create", `{"name":"n","value":1}`)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var running sync.WaitGroup
	var pages atomic.Int64
	running.Go(func() { w.writeMany(ctx, tenants, nouns) })
	running.Go(func() {
		for ctx.Err() == nil {
			if err := w.lake.Publish(context.Background()); err != nil {
				t.Error(err)
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	for i := range 6 {
		running.Go(func() {
			g := rand.New(rand.NewPCG(7, uint64(i)))
			for ctx.Err() == nil && !t.Failed() {
				w.checkPage(t, g, tenants[g.IntN(2)], nouns[g.IntN(2)])
				pages.Add(1)
			}
		})
	}
	running.Wait()
	held := w.Cache()
	if held.Failures > 0 {
		t.Errorf("bases could not be loaded: %+v", held)
	}
	t.Logf("%+v", held)
	t.Logf("%d pages over %d events", pages.Load(), w.Heads()["acme"]+w.Heads()["birch"])
}

func (w *world) writeMany(ctx context.Context, tenants []string, nouns []*noun.Noun) {
	g := rand.New(rand.NewPCG(5, 6))
	for ctx.Err() == nil {
		n, tenant := nouns[g.IntN(2)], tenants[g.IntN(2)]
		id := fmt.Sprintf("%s_%05d", n.IDPrefix, g.IntN(60))
		verb := "update"
		switch p, err := w.Lookup(ctx, tenant, n.Name, id); {
		case err != nil:
			verb = "create"
		case p.Deleted:
			verb = "rollback"
		case g.IntN(6) == 0:
			verb = "delete"
		}
		w.put(tenant, n, id, verb, fmt.Sprintf(`{"name":"n%d","value":%d,"contact":"contact_%05d"}`, g.IntN(9), g.IntN(9), g.IntN(60)))
		if g.IntN(20) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

// checkPage lists and compares with the oracle at the page's seq.
func (w *world) checkPage(t *testing.T, g *rand.Rand, tenant string, n *noun.Noun) {
	q := Query{Limit: 100, Sort: "name", Filter: object(t, `{"name":{"$gte":"n4"}}`)}
	if n.Name == "Deal" {
		q.Filter = object(t, `{"$or":[{"value":{"$gte":4}},{"contact.name":"n1"}]}`)
	}
	head, _ := w.Head(context.Background(), tenant)
	switch g.IntN(4) {
	case 0:
		w.mu.Lock()
		q.AsOf = formatTime(w.tenant(tenant).events[g.Int64N(head)].Timestamp)
		w.mu.Unlock()
	case 1:
		q.IncludeDeleted = true
	}
	page, err := w.List(context.Background(), tenant, n, q)
	if err != nil {
		t.Errorf("%s %s: %v", tenant, n.Name, err)
		return
	}
	if page.Seq < head && q.AsOf == "" {
		t.Errorf("read at %d, head was %d before", page.Seq, head)
	}
	w.mu.Lock()
	events := slices.Clone(w.tenant(tenant).events)
	w.mu.Unlock()
	live := newOracle(events, page.Seq, time.Time{}, false)
	want := live.list(n, q.Filter, []oracleKey{{"name", false}})
	if q.IncludeDeleted {
		want = withDeleted(live, newOracle(events, page.Seq, time.Time{}, true), n, q.Filter, []oracleKey{{"name", false}})
	}
	if got := ids(t, page.Results); page.Total != int64(len(want)) || !slices.Equal(got, want[:min(len(want), 100)]) {
		t.Errorf("%s %s at %d asOf %q deleted %v:\n got %v\nwant %v", tenant, n.Name, page.Seq, q.AsOf, q.IncludeDeleted, got, want)
	}
}

// staleLake pins a view of the past.
type staleLake struct {
	*lakehouse.Lake
	stale atomic.Pointer[lakehouse.View]
}

func (l *staleLake) Pin(tenant string) *lakehouse.View {
	if v := l.stale.Swap(nil); v != nil {
		return v
	}
	return l.Lake.Pin(tenant)
}

// TestOlderView reads with a view that was pinned before the tail was cut.
func TestOlderView(t *testing.T) {
	var stale *staleLake
	w := newWorld(t, func(c *Config) {
		stale = &staleLake{Lake: c.Lake.(*lakehouse.Lake)}
		c.Lake = stale
	})
	deal := mustNoun("Deal")
	put := func(id, verb string, value int) {
		w.put("acme", deal, id, verb, fmt.Sprintf(`{"name":"n","value":%d}`, value))
	}
	check := func(step string, want ...string) {
		t.Helper()
		got := w.allIDs(t, "acme", deal, Query{Sort: "value"})
		if !slices.Equal(got, want) {
			t.Fatalf("%s: got %v, want %v", step, got, want)
		}
	}
	put("deal_d1aaa", "create", 1)
	put("deal_d2aaa", "create", 2)
	w.publish(t)
	old := w.lake.Pin("acme")
	put("deal_d1aaa", "update", 9)
	put("deal_d3aaa", "create", 3)
	check("tail", "deal_d2aaa", "deal_d3aaa", "deal_d1aaa")
	w.publish(t)
	put("deal_d2aaa", "delete", 0)
	check("newer tail", "deal_d3aaa", "deal_d1aaa")
	stale.stale.Store(old)
	check("older view", "deal_d3aaa", "deal_d1aaa")
	check("newer view", "deal_d3aaa", "deal_d1aaa")
}

// brokenLog fails reads of the log half-way.
type brokenLog struct {
	*memory
	after atomic.Int64 // fail once this many events were yielded; 0: never
}

func (l *brokenLog) Read(ctx context.Context, tenant string, r lakehouse.Range, yield func(*lakehouse.Event) error) error {
	left := l.after.Swap(0)
	if left == 0 {
		return l.memory.Read(ctx, tenant, r, yield)
	}
	return l.memory.Read(ctx, tenant, r, func(e *lakehouse.Event) error {
		if left--; left < 0 {
			return errors.New("disk on fire")
		}
		return yield(e)
	})
}

// TestBrokenFeed reads on after the log failed while it was read into a tail or a history.
func TestBrokenFeed(t *testing.T) {
	var log *brokenLog
	w := newWorld(t, func(c *Config) {
		log = &brokenLog{memory: c.Log.(*memory)}
		c.Log = log
	})
	deal := mustNoun("Deal")
	var want []string
	for i := range 10 {
		id := fmt.Sprintf("deal_d%daaa", i)
		want = append(want, id)
		w.put("acme", deal, id, "create", `{"name":"n","value":1}`)
	}
	for _, deleted := range []bool{false, true} {
		q := Query{Sort: "$id", Options: Options{IncludeDeleted: deleted}}
		log.after.Store(4)
		if _, err := w.List(context.Background(), "acme", deal, q); err == nil || !strings.Contains(err.Error(), "disk on fire") {
			t.Fatal(err)
		}
		if got := w.allIDs(t, "acme", deal, q); !slices.Equal(got, want) {
			t.Fatalf("got %v", got)
		}
	}
}

// TestBounds holds the engine's limits.
func TestBounds(t *testing.T) {
	ctx := context.Background()
	deal := mustNoun("Deal")
	w := newWorld(t, func(c *Config) {
		c.Engine.MaxDatabases = 2
		c.Engine.MaxRunning = 1
		c.Engine.QueueTimeout = 20 * time.Millisecond
	})
	for _, tenant := range []string{"a", "b", "c", "d"} {
		w.put(tenant, deal, "deal_d1aaa", "create", `{"name":"n","value":1}`)
		if _, err := w.List(ctx, tenant, deal, Query{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := w.engine.databases.Len(); n > 2 {
		t.Errorf("%d databases are open", n)
	}
	if !w.engine.running.TryAcquire(1) {
		t.Fatal("a turn was not given back")
	}
	_, err := w.List(ctx, "d", deal, Query{})
	wantProblem(t, "no turn", err, problem.Unavailable)
	w.engine.running.Release(1)

	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := w.List(gone, "d", deal, Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := w.Ping(ctx); err != nil {
		t.Error(err)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	_, err = w.List(ctx, "d", deal, Query{})
	wantProblem(t, "closed", err, problem.Unavailable)
}

// TestIdle closes databases that nobody reads, with their folders.
func TestIdle(t *testing.T) {
	dir := t.TempDir()
	w := newWorld(t, func(c *Config) {
		c.Engine.IdleClose = 40 * time.Millisecond
		c.Engine.TempDir = dir
		c.Engine.QueryTimeout = time.Nanosecond
	})
	deal := mustNoun("Deal")
	w.put("a", deal, "deal_d1aaa", "create", `{"name":"n","value":1}`)
	_, err := w.List(context.Background(), "a", deal, Query{})
	wantProblem(t, "too slow", err, problem.Timeout)
	deadline := time.Now().Add(5 * time.Second)
	for {
		w.engine.mu.Lock()
		open := w.engine.databases.Len()
		w.engine.mu.Unlock()
		if open == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the database stays open")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if left, err := os.ReadDir(dir + "/query"); err == nil && len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestJail tries to read and write outside the warehouse.
func TestJail(t *testing.T) {
	w := newWorld(t, nil)
	d, err := w.engine.acquire("acme")
	if err != nil {
		t.Fatal(err)
	}
	defer w.engine.release(d)
	for _, text := range []string{
		"select * from read_text('/etc/passwd')",
		"copy (select 1) to '/tmp/out.parquet'",
		"set enable_external_access = true",
		"attach '/tmp/x.db'",
		"install httpfs",
		"load httpfs",
	} {
		if _, err := d.run(context.Background(), text, nil); err == nil {
			t.Errorf("%s: allowed", text)
		}
	}
}

// What is written between planning a statement and running it is not seen, though DuckDB leaves a bound on _seq out of the
// plan where all rows were within it.
func TestReadsAreOfTheirInstant(t *testing.T) {
	w := newWorld(t, nil)
	deal := mustNoun("Deal")
	w.put("acme", deal, "deal_00000", "create", `{"name":"n","value":1}`)
	if err := w.lake.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var running sync.WaitGroup
	running.Go(func() {
		for i := 1; ctx.Err() == nil && !t.Failed(); i++ {
			w.put("acme", deal, fmt.Sprintf("deal_%05d", i), "create", `{"name":"n","value":1}`)
			time.Sleep(300 * time.Microsecond)
		}
	})
	for i := range 4 {
		running.Go(func() {
			for ctx.Err() == nil && !t.Failed() {
				if i%2 == 0 {
					w.countBySQL(t)
					continue
				}
				page, err := w.List(context.Background(), "acme", deal, Query{Limit: 1})
				if err != nil || page.Total != page.At.Seq {
					t.Errorf("a list at %d has %d rows: %v", page.At.Seq, page.Total, err)
				}
			}
		})
	}
	running.Wait()
}

// countBySQL counts the deals, of which every event made one.
func (w *world) countBySQL(t *testing.T) {
	result, err := w.SQL(context.Background(), "acme", SQL{Text: "select count(*) from deal", Limit: 10, Timeout: time.Minute})
	if problem.Is(err, problem.Unavailable) {
		return // another statement of the tenant runs
	}
	if err != nil {
		t.Error(err)
		return
	}
	defer result.Close()
	chunk, _, err := result.Next()
	if err != nil || chunk.Columns[0].Int(0) != result.At.Seq {
		t.Errorf("a statement at %d: %v, %v", result.At.Seq, chunk, err)
	}
}
