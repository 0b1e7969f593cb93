package query

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// memory is a log in memory: what ingest.Store does, without rules.
type memory struct {
	mu      sync.Mutex
	tenants map[string]*memoryTenant
	now     time.Time
	reads   int // calls of Read
}

type memoryTenant struct {
	events   []*lakehouse.Event
	byTarget map[string][]*lakehouse.Event
	byNoun   map[string][]*lakehouse.Event
}

func newMemory() *memory {
	return &memory{tenants: map[string]*memoryTenant{}, now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
}

// tick moves the clock.
func (m *memory) tick(d time.Duration) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
	return m.now
}

func (m *memory) clock() time.Time { return m.tick(0) }

// put writes an entity: fields is a JSON object that replaces the state. It gives the event.
func (m *memory) put(tenant string, n *noun.Noun, id, verb, fields string) *lakehouse.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tenants[tenant]
	if t == nil {
		t = &memoryTenant{byTarget: map[string][]*lakehouse.Event{}, byNoun: map[string][]*lakehouse.Event{}}
		m.tenants[tenant] = t
	}
	m.now = m.now.Add(time.Millisecond)
	past := t.byTarget[n.Name+"/"+id]
	created := formatTime(m.now.UnixMilli())
	if len(past) > 0 {
		first, _ := entity.ParseStored(past[0].Data)
		created = first.Text("$createdAt")
	}
	doc := entity.Object{
		{Name: "$type", Value: entity.Quote(n.Name)},
		{Name: "$id", Value: entity.Quote(id)},
		{Name: "$version", Value: jsontext.Value(fmt.Sprint(len(past) + 1))},
		{Name: "$createdAt", Value: entity.Quote(created)},
		{Name: "$createdBy", Value: entity.Quote("user_" + n.IDPrefix)},
		{Name: "$updatedAt", Value: entity.Quote(formatTime(m.now.UnixMilli()))},
	}
	if verb == "delete" {
		last, _ := entity.ParseStored(past[len(past)-1].Data)
		doc = append(doc, entity.Member{Name: "$deleted", Value: jsontext.Value("true")})
		doc = append(doc, last.Fields()...)
	} else {
		o, err := entity.Parse([]byte(fields))
		if err != nil {
			panic(err)
		}
		doc = append(doc, storedOrder(n, o)...)
	}
	pastTense := map[string]string{"create": "Created", "update": "Updated", "delete": "Deleted", "rollback": "Updated"}[verb]
	if v, ok := n.Verb(verb); ok {
		pastTense = v.Declared
	}
	e := &lakehouse.Event{
		Seq: int64(len(t.events) + 1), ID: noun.EventIDs(0).New(int64(len(t.events) + 1)), Kind: lakehouse.KindMutation, Type: n.Name + "." + pastTense,
		Entity: n.Name, Target: id, Verb: verb, Actor: "user_" + verb, Timestamp: m.now.UnixMilli(), Version: int64(len(past) + 1),
		Data: doc.Append(nil), Source: "test",
	}
	if n.Name == analyticsNoun {
		e.Kind, e.Type = lakehouse.KindAnalytics, doc.Text("type")
	}
	t.events = append(t.events, e)
	t.byTarget[n.Name+"/"+id] = append(past, e)
	t.byNoun[n.Name] = append(t.byNoun[n.Name], e)
	return e
}

// storedOrder puts declared fields first and leaves out nulls.
func storedOrder(n *noun.Noun, o entity.Object) (out entity.Object) {
	for _, c := range n.Columns() {
		if v, ok := o.Get(c.Name); ok && !entity.IsNull(v) {
			out = append(out, entity.Member{Name: c.Name, Value: v})
		}
	}
	for _, m := range o {
		if _, ok := n.Column(m.Name); !ok {
			out = append(out, m)
		}
	}
	return out
}

func (m *memory) tenant(name string) *memoryTenant {
	if t, ok := m.tenants[name]; ok {
		return t
	}
	return &memoryTenant{}
}

func (m *memory) Heads() map[string]int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	heads := map[string]int64{}
	for name, t := range m.tenants {
		heads[name] = int64(len(t.events))
	}
	return heads
}

func (m *memory) Head(_ context.Context, tenant string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(len(m.tenant(tenant).events)), nil
}

func (m *memory) Barrier(ctx context.Context, tenant string) (int64, error) {
	return m.Head(ctx, tenant)
}

func (m *memory) SeqAt(_ context.Context, tenant string, t time.Time) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	events := m.tenant(tenant).events
	i, _ := slices.BinarySearchFunc(events, t.UnixMilli()+1, func(e *lakehouse.Event, ms int64) int { return int(e.Timestamp - ms) })
	return int64(i), nil
}

func (m *memory) Lookup(_ context.Context, tenant, name, key string) (lakehouse.Pointer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tenant(tenant)
	if past := t.byTarget[name+"/"+key]; len(past) > 0 {
		return stateOf(past[len(past)-1]).Pointer, nil
	}
	n, _ := noun.Core().Get(name)
	for _, f := range n.Uniques() {
		for key2, past := range t.byTarget {
			last := past[len(past)-1]
			doc, _ := entity.ParseStored(last.Data)
			if strings.HasPrefix(key2, name+"/") && last.Verb != "delete" && doc.Text(f.Name) == key {
				return stateOf(last).Pointer, nil
			}
		}
	}
	return lakehouse.Pointer{}, problem.New(problem.NotFound, "no %s %q", name, key)
}

func (m *memory) Documents(_ context.Context, tenant string, seqs []int64) (out [][]byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, seq := range seqs {
		out = append(out, m.tenant(tenant).events[seq-1].Data)
	}
	return out, nil
}

func (m *memory) LastChange(_ context.Context, tenant, name string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	events := m.tenant(tenant).byNoun[name]
	if len(events) == 0 {
		return 0, nil
	}
	return events[len(events)-1].Seq, nil
}

func (m *memory) Read(ctx context.Context, tenant string, r lakehouse.Range, yield func(*lakehouse.Event) error) error {
	m.mu.Lock()
	m.reads++
	t := m.tenant(tenant)
	events := t.events
	switch {
	case r.Target != "":
		events = t.byTarget[r.Noun+"/"+r.Target]
	case r.Noun != "":
		events = t.byNoun[r.Noun]
	}
	events = slices.Clone(events)
	m.mu.Unlock()
	if r.Desc {
		slices.Reverse(events)
	}
	count := 0
	for _, e := range events {
		if e.Seq <= r.After || r.Upto > 0 && e.Seq > r.Upto || r.Noun != "" && e.Entity != r.Noun {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(e); err != nil {
			return err
		}
		if count++; count == r.Limit {
			return nil
		}
	}
	return nil
}

func (m *memory) EventSeq(_ context.Context, tenant, id string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.tenant(tenant).events {
		if e.ID == id {
			return e.Seq, nil
		}
	}
	return 0, nil
}

// world is a reader over a log in memory and a lake on disk.
type world struct {
	*memory
	*Reader
	lake *lakehouse.Lake
}

// newWorld opens everything, with changes of the reader's and of the lake's configuration; the lake publishes only when told
// to.
func newWorld(t testing.TB, change func(*Config), of ...func(*lakehouse.Config)) *world {
	t.Helper()
	dir := t.TempDir()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	lakeCfg := lakehouse.Config{Dir: dir, Nouns: noun.Core(), Interval: -1, Logger: quiet}
	for _, change := range of {
		change(&lakeCfg)
	}
	lake, err := lakehouse.Open(t.Context(), lakeCfg)
	if err != nil {
		t.Fatal(err)
	}
	log := newMemory()
	lake.Start(log)
	cfg := Config{Log: log, Lake: lake, Nouns: noun.Core(), Secret: []byte("secret"), Clock: log.clock,
		Engine: EngineConfig{Warehouse: dir + "/warehouse", TempDir: dir + "/tmp"}}
	if change != nil {
		change(&cfg)
	}
	reader, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
		if err := lake.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{log, reader, lake}
}

func (w *world) publish(t testing.TB) {
	t.Helper()
	if err := w.lake.Publish(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func mustNoun(name string) *noun.Noun {
	n, ok := noun.Core().Get(name)
	if !ok {
		panic(name)
	}
	return n
}

// object parses a filter.
func object(t testing.TB, text string) entity.Object {
	t.Helper()
	if text == "" {
		return nil
	}
	o, err := entity.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return o
}

// ids reads the $id of each document.
func ids(t testing.TB, docs [][]byte) []string {
	t.Helper()
	out := []string{}
	for _, doc := range docs {
		o, err := entity.ParseStored(doc)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, o.Text("$id"))
	}
	return out
}

// allIDs reads all pages.
func (w *world) allIDs(t testing.TB, tenant string, n *noun.Noun, q Query) []string {
	t.Helper()
	q.Limit = maxLimit
	out := []string{}
	for {
		page, err := w.List(context.Background(), tenant, n, q)
		if err != nil {
			t.Fatalf("list %s %s sort %q: %v", n.Name, q.Filter.Append(nil), q.Sort, err)
		}
		out = append(out, ids(t, page.Results)...)
		if !page.HasMore {
			if page.Total != int64(len(out)) {
				t.Fatalf("total %d, rows %d", page.Total, len(out))
			}
			return out
		}
		q.Cursor = page.Cursor
	}
}
