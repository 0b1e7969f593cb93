package ingest_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/problem"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// model is what a tenant should look like: plain maps, no batches, no files.
type model struct {
	people map[string][]entity.Object // versions of each person's fields, the first at 0; nil: deleted
	order  []string
	emails map[string]string // who holds a value
}

func (m *model) now(id string) entity.Object {
	v := m.people[id]
	if len(v) == 0 {
		return nil
	}
	return v[len(v)-1]
}

// TestRandomCommands runs random commands in random groups, with restarts between, against the store and the model: every
// answer, every present state and every past state must agree.
func TestRandomCommands(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { randomRun(t, rand.New(rand.NewPCG(seed, 7)), 400) })
	}
}

func randomRun(t *testing.T, r *rand.Rand, groups int) {
	b := open(t, nil)
	m := &model{people: map[string][]entity.Object{}, emails: map[string]string{}}
	for range groups {
		if r.IntN(100) == 0 {
			b.reopen()
		}
		cmds := make([]ingest.Command, 1+r.IntN(6))
		for i := range cmds {
			cmds[i] = m.command(t, r)
		}
		rs, err := b.Do(context.Background(), "acme", cmds)
		if err != nil {
			t.Fatal(err)
		}
		for i, res := range rs {
			m.apply(t, cmds[i], res)
		}
	}
	b.check("acme")
	m.compare(t, b)
}

// command makes one that may be good or bad.
func (m *model) command(t *testing.T, r *rand.Rand) ingest.Command {
	email := fmt.Sprintf("p%d@x.org", r.IntN(40))
	if len(m.order) == 0 || r.IntN(4) == 0 {
		return create(t, "Contact", fmt.Sprintf(`{"name":"%d","email":%q,"extra":%d}`, r.IntN(9), email, r.IntN(9)))
	}
	c := ingest.Command{Noun: "Contact", ID: m.order[r.IntN(len(m.order))], Source: "test"}
	switch r.IntN(6) {
	case 0:
		c.Op = ingest.OpDelete
	case 1:
		c.Op, c.Verb = ingest.OpVerb, "qualify"
	case 2:
		c.Op, c.ToVersion = ingest.OpRollback, int64(1+r.IntN(6))
	case 3:
		c.Op, c.IfVersion = ingest.OpUpdate, int64(1+r.IntN(4))
	case 4:
		c.Op, c.Body = ingest.OpUpdate, body(t, `{"extra":null,"stage":"Churned"}`)
	default:
		c.Op, c.Body = ingest.OpUpdate, body(t, fmt.Sprintf(`{"email":%q}`, email))
	}
	return c
}

// apply predicts a command's outcome and compares.
func (m *model) apply(t *testing.T, c ingest.Command, res ingest.Result) {
	t.Helper()
	id := c.ID
	if c.Op == ingest.OpCreate && res.Event != nil {
		id = res.Event.Target
	}
	next, code := m.predict(c)
	if code != "" {
		wantCode(t, res.Err, code)
		return
	}
	if res.Err != nil {
		t.Fatalf("%s %s: %v", c.Op, c.ID, res.Err)
	}
	if old := m.now(id); old != nil && m.emails[old.Text("email")] == id {
		delete(m.emails, old.Text("email"))
	}
	if next != nil {
		m.emails[next.Text("email")] = id
	}
	if c.Op == ingest.OpCreate {
		m.order = append(m.order, id)
	}
	m.people[id] = append(m.people[id], next)
}

func (m *model) predict(c ingest.Command) (entity.Object, problem.Code) {
	old := m.now(c.ID)
	next := old.Clone()
	switch {
	case c.Op == ingest.OpCreate:
		next = c.Body.Clone()
		next.Set("stage", entity.Quote("Lead"))
	case c.Op == ingest.OpRollback:
		v := m.people[c.ID]
		if int(c.ToVersion) > len(v) || v[c.ToVersion-1] == nil {
			return nil, problem.NotFound
		}
		next = v[c.ToVersion-1]
	case old == nil:
		return nil, problem.NotFound
	case c.IfVersion != 0 && c.IfVersion != int64(len(m.people[c.ID])):
		return nil, problem.PreconditionFailed
	case c.Op == ingest.OpDelete:
		return nil, ""
	case c.Op == ingest.OpVerb:
		next.Set("stage", entity.Quote("Qualified"))
	}
	if c.Op == ingest.OpUpdate {
		for _, f := range c.Body {
			if entity.IsNull(f.Value) {
				next.Delete(f.Name)
			} else {
				next.Set(f.Name, f.Value)
			}
		}
	}
	if holder := m.emails[next.Text("email")]; holder != "" && holder != c.ID {
		return nil, problem.Conflict
	}
	return next, ""
}

// compare holds the log and every version of everybody against the model.
func (m *model) compare(t *testing.T, b *bench) {
	t.Helper()
	total := 0
	for id, versions := range m.people {
		total += len(versions)
		var got []*lakehouse.Event
		err := b.Read(context.Background(), "acme", lakehouse.Range{Noun: "Contact", Target: id}, func(e *lakehouse.Event) error { got = append(got, e); return nil })
		if err != nil || len(got) != len(versions) {
			t.Fatalf("%s: %d events, want %d, %v", id, len(got), len(versions), err)
		}
		for i, want := range versions {
			o := fields(t, got[i])
			if _, deleted := o.Get("$deleted"); deleted != (want == nil) {
				t.Errorf("%s version %d: deleted %v", id, i+1, deleted)
			}
			if want != nil && sorted(o.Fields()) != sorted(want) {
				t.Errorf("%s version %d: %s, want %s", id, i+1, sorted(o.Fields()), sorted(want))
			}
		}
	}
	if n := len(b.log("acme")); n != total {
		t.Errorf("%d events, want %d", n, total)
	}
}

func sorted(o entity.Object) string {
	o = o.Clone()
	slices.SortFunc(o, func(a, b entity.Member) int { return strings.Compare(a.Name, b.Name) })
	return string(o.Append(nil))
}
