package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headless.ly/catalog/noun"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

var errKilled = errors.New("killed")

// memoryLog keeps one tenant's events, and after dieAt of them loses the rest of a call, as a crash does.
type memoryLog struct {
	mu     sync.Mutex
	events []*lakehouse.Event
	bodies []string
	dieAt  int
	calls  int
}

func (l *memoryLog) Head(context.Context, string) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.events)), nil
}

func (l *memoryLog) Read(_ context.Context, _ string, r lakehouse.Range, yield func(*lakehouse.Event) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.Seq > r.After && (r.Upto == 0 || e.Seq <= r.Upto) {
			if err := yield(e); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *memoryLog) Do(_ context.Context, _ string, cmds []ingest.Command) ([]ingest.Result, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	var results []ingest.Result
	for _, c := range cmds {
		if l.dieAt > 0 && len(l.events) == l.dieAt {
			return nil, errKilled
		}
		seq := int64(len(l.events) + 1)
		e := &lakehouse.Event{Seq: seq, Entity: c.Noun, Target: c.ID, Verb: c.Verb, Timestamp: c.At.UnixMilli(), Source: c.Source}
		if c.Op == ingest.OpCreate {
			e.Verb, e.Target = "create", fmt.Sprintf("%s_%08d", strings.ToLower(c.Noun), seq)
		}
		l.events = append(l.events, e)
		l.bodies = append(l.bodies, string(c.Body.Append(nil)))
		results = append(results, ingest.Result{Event: e})
	}
	return results, nil
}

func TestLoad(t *testing.T) {
	demo := Tenants(mustRead(t))[0]
	log, done := &memoryLog{}, 0
	if err := Load(t.Context(), log, demo, func(n int) { done += n }); err != nil {
		t.Fatal(err)
	}
	if len(log.events) != len(demo.Steps) || done != len(demo.Steps) {
		t.Fatalf("%d events, %d done, want %d", len(log.events), done, len(demo.Steps))
	}
	if log.calls > 200 {
		t.Errorf("%d calls", log.calls)
	}
	for seq, want := range map[int]string{
		1:  `{"name":"Acme Corporation","industry":"technology","foundedYear":1996,"annualRevenue":1100040000,"employeeCount":2822,"country":"United States"}`,
		71: `{"name":"Bluth Company","industry":"technology","foundedYear":1993,"annualRevenue":1242320000,"employeeCount":3027,"country":"United States","parent":"organization_00000001"}`,
		86: `{"name":"GTX Basic","status":"Active","price":550,"series":"GTX"}`,
		93: `{"name":"Dustin Brinkmann","department":"Central"}`,
		99: `{"name":"Anna Snelling","department":"Central","manager":"contact_00000093"}`,
		134: `{"name":"1C1I7A6R","value":1096,"stage":"Qualification","organization":"organization_00000008",` +
			`"owner":"contact_00000103","product":"product_00000091"}`,
	} {
		if log.bodies[seq-1] != want {
			t.Errorf("event %d\n got %s\nwant %s", seq, log.bodies[seq-1], want)
		}
	}
	id, err := ID(t.Context(), log, demo, Key{"Deal", "1C1I7A6R"})
	if err != nil || id != "deal_00000134" {
		t.Errorf("ID = %s, %v", id, err)
	}
	if err := Load(t.Context(), log, demo, func(int) {}); err != nil || len(log.events) != len(demo.Steps) {
		t.Errorf("second load: %d events, %v", len(log.events), err)
	}
}

// TestLoadAfterDeath kills the load at many places and expects the log of an undisturbed one.
func TestLoadAfterDeath(t *testing.T) {
	east := Tenants(mustRead(t))[2]
	whole := &memoryLog{}
	if err := Load(t.Context(), whole, east, func(int) {}); err != nil {
		t.Fatal(err)
	}
	broken := &memoryLog{}
	for at := 1; at < len(east.Steps); at += 97 {
		broken.dieAt = at
		if ok, err := Loaded(t.Context(), broken, east); ok || err != nil {
			t.Fatalf("loaded = %v, %v with %d events", ok, err, len(broken.events))
		}
		if err := Load(t.Context(), broken, east, func(int) {}); !errors.Is(err, errKilled) {
			t.Fatalf("load until %d: %v", at, err)
		}
	}
	broken.dieAt = 0
	done := 0
	if err := Load(t.Context(), broken, east, func(n int) { done += n }); err != nil {
		t.Fatal(err)
	}
	if ok, err := Loaded(t.Context(), broken, east); !ok || err != nil || done != len(east.Steps) {
		t.Errorf("loaded = %v, %v, done = %d", ok, err, done)
	}
	if !slices.Equal(whole.bodies, broken.bodies) {
		t.Error("the log differs from that of an undisturbed load")
	}
}

func TestLoadRefusesForeignData(t *testing.T) {
	east := Tenants(mustRead(t))[2]
	now := ingest.Command{Op: ingest.OpCreate, Noun: "Contact", At: time.Now(), Source: "rest"}
	for _, loaded := range []int{0, 1, 600} {
		log := &memoryLog{dieAt: loaded}
		if loaded > 0 {
			_ = Load(t.Context(), log, east, func(int) {})
		}
		log.dieAt = 0
		if _, err := log.Do(t.Context(), east.Name, []ingest.Command{now}); err != nil {
			t.Fatal(err)
		}
		if err := Load(t.Context(), log, east, func(int) {}); !errors.Is(err, ErrForeign) {
			t.Errorf("with %d events loaded: %v", loaded, err)
		}
		if len(log.events) != loaded+1 {
			t.Errorf("%d events after the refusal, want %d", len(log.events), loaded+1)
		}
	}
}

func TestLoadKeepsLaterWrites(t *testing.T) {
	east := Tenants(mustRead(t))[2]
	log := &memoryLog{}
	if err := Load(t.Context(), log, east, func(int) {}); err != nil {
		t.Fatal(err)
	}
	later := ingest.Command{Op: ingest.OpCreate, Noun: "Contact", At: time.Now(), Source: "rest"}
	if _, err := log.Do(t.Context(), east.Name, []ingest.Command{later}); err != nil {
		t.Fatal(err)
	}
	if err := Load(t.Context(), log, east, func(int) {}); err != nil || len(log.events) != len(east.Steps)+1 {
		t.Errorf("%d events, %v", len(log.events), err)
	}
}

// registrar is no catalog.
type registrar struct{}

func (registrar) MarkOpen(context.Context, string) error   { return nil }
func (registrar) MarkClosed(context.Context, string) error { return nil }

func openStore(t *testing.T, dir string) *ingest.Store {
	t.Helper()
	store, err := ingest.Open(t.Context(), ingest.Config{Dir: dir, Nouns: noun.Core(), Registrar: registrar{}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// TestLoadResumesOnDisk stops the loading of a real store, and the store with it, and expects the next one to finish it.
func TestLoadResumesOnDisk(t *testing.T) {
	tenants, dir := Tenants(mustRead(t))[2:], t.TempDir() // east and west
	var done atomic.Int64
	for _, stopAt := range []int64{1, 700, 3000, 5500} {
		store := openStore(t, dir)
		ctx, stop := context.WithCancel(t.Context())
		done.Store(0)
		err := LoadAll(ctx, store, tenants, func(n int) {
			if done.Add(int64(n)) >= stopAt {
				stop()
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("load until %d: %v", stopAt, err)
		}
		if err := store.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	store := openStore(t, dir)
	done.Store(0)
	if err := LoadAll(t.Context(), store, tenants, func(n int) { done.Add(int64(n)) }); err != nil {
		t.Fatal(err)
	}
	if want := int64(len(tenants[0].Steps) + len(tenants[1].Steps)); done.Load() != want {
		t.Errorf("%d steps done, want %d", done.Load(), want)
	}
	checkStore(t, store, tenants[0], map[string]int64{"Organization": 85, "Product": 7, "Contact": 14, "Deal": 2291})
	checkStore(t, store, tenants[1], map[string]int64{"Organization": 85, "Product": 7, "Contact": 14, "Deal": 2997})
	if err := store.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// checkStore compares a tenant's log with its steps, event for event, and counts what lives.
func checkStore(t *testing.T, store *ingest.Store, tenant Tenant, want map[string]int64) {
	t.Helper()
	n := 0
	err := store.Read(t.Context(), tenant.Name, lakehouse.Range{}, func(e *lakehouse.Event) error {
		if n++; n > len(tenant.Steps) || !tenant.Steps[n-1].is(e) || e.Seq != int64(n) {
			return fmt.Errorf("event %d is %s of %s at %d", e.Seq, e.Verb, e.Target, e.Timestamp)
		}
		return nil
	})
	if err != nil || n != len(tenant.Steps) {
		t.Errorf("%s: %d events, want %d: %v", tenant.Name, n, len(tenant.Steps), err)
	}
	counts, err := store.Counts(t.Context(), tenant.Name)
	if err != nil || !maps.Equal(counts, want) {
		t.Errorf("%s: counts %v, want %v: %v", tenant.Name, counts, want, err)
	}
}
