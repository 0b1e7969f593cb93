package demo

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"headless.ly/catalog/entity"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// source marks the demo's events in the log.
const source = "demo"

// groupSize is how many commands share a call, and so, at best, a commit.
const groupSize = 500

// ErrForeign is wrapped by Load's error for a tenant whose log holds something else than a beginning of the history.
var ErrForeign = errors.New("the tenant holds other data; choose another data folder")

// Log is what loading needs of the write path; *ingest.Store is one.
type Log interface {
	Do(ctx context.Context, tenant string, cmds []ingest.Command) ([]ingest.Result, error)
	Head(ctx context.Context, tenant string) (int64, error)
	Read(ctx context.Context, tenant string, r lakehouse.Range, yield func(*lakehouse.Event) error) error
}

// Tenant is a tenant of the demo.
type Tenant struct {
	Name  string
	Steps []Step
}

// Tenants are the company and each of its regional offices, with their histories.
func Tenants(d *Dataset) []Tenant {
	return []Tenant{
		{"demo", History(d, "")},
		{"demo-central", History(d, "Central")},
		{"demo-east", History(d, "East")},
		{"demo-west", History(d, "West")},
	}
}

// LoadAll loads what is missing of the tenants, at the same time, and calls done, from any goroutine, with the number of
// steps that are in the log, first those that were there already.
func LoadAll(ctx context.Context, log Log, tenants []Tenant, done func(steps int)) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range tenants {
		g.Go(func() error { return Load(ctx, log, t, done) })
	}
	return g.Wait()
}

// Load writes the steps that the tenant's log does not hold yet and returns when they are durable. Step n is event n, so
// what is missing is what lies behind the head: a load that died is finished by calling again. done is as in LoadAll.
func Load(ctx context.Context, log Log, t Tenant, done func(steps int)) error {
	l := loader{log: log, tenant: t, ids: make(map[Key]string, len(t.Steps))}
	loaded, err := l.resume(ctx)
	if err != nil {
		return fmt.Errorf("load %s: %w", t.Name, err)
	}
	done(loaded)
	for loaded < len(t.Steps) {
		n, err := l.group(ctx, t.Steps[loaded:])
		if err != nil {
			return fmt.Errorf("load %s: %w", t.Name, err)
		}
		loaded += n
		done(n)
	}
	return nil
}

// Loaded reports whether the tenant's log holds all steps.
func Loaded(ctx context.Context, log Log, t Tenant) (bool, error) {
	l := loader{log: log, tenant: t}
	n, err := l.loaded(ctx)
	return n == len(t.Steps), err
}

// ID is the id of an entity of a loaded tenant.
func ID(ctx context.Context, log Log, t Tenant, k Key) (string, error) {
	for i, s := range t.Steps {
		if s.Op != ingest.OpCreate || s.Entity != k {
			continue
		}
		e, err := event(ctx, log, t.Name, int64(i+1))
		if err != nil {
			return "", err
		}
		return e.Target, nil
	}
	return "", fmt.Errorf("no %s %s in the data", k.Noun, k.Name)
}

// event is the event with this seq.
func event(ctx context.Context, log Log, tenant string, seq int64) (*lakehouse.Event, error) {
	var found *lakehouse.Event
	err := log.Read(ctx, tenant, lakehouse.Range{After: seq - 1, Upto: seq}, func(e *lakehouse.Event) error {
		found = e
		return nil
	})
	if err == nil && found == nil {
		err = fmt.Errorf("no event %d of %s", seq, tenant)
	}
	return found, err
}

// loader loads one tenant.
type loader struct {
	log    Log
	tenant Tenant
	ids    map[Key]string // of the entities that stand in the log
}

// loaded is the number of steps in the log. The last one there is compared with the step it must be: only Load writes
// with these times, and it writes in order, so the ones before it are right too.
func (l *loader) loaded(ctx context.Context) (int, error) {
	head, err := l.log.Head(ctx, l.tenant.Name)
	if err != nil || head == 0 {
		return 0, err
	}
	n := int(min(head, int64(len(l.tenant.Steps))))
	e, err := event(ctx, l.log, l.tenant.Name, int64(n))
	if err != nil {
		return 0, err
	}
	if !l.tenant.Steps[n-1].is(e) {
		return 0, fmt.Errorf("event %d: %w", n, ErrForeign)
	}
	return n, nil
}

// is says whether the event is the step's.
func (s *Step) is(e *lakehouse.Event) bool {
	verb := s.Verb
	if s.Op == ingest.OpCreate {
		verb = "create"
	}
	return e.Source == source && e.Entity == s.Entity.Noun && e.Verb == verb && e.Timestamp == s.At.UnixMilli()
}

// resume is loaded, and learns the ids that the missing steps may need.
func (l *loader) resume(ctx context.Context) (int, error) {
	n, err := l.loaded(ctx)
	if err != nil || n == 0 || n == len(l.tenant.Steps) {
		return n, err
	}
	err = l.log.Read(ctx, l.tenant.Name, lakehouse.Range{Upto: int64(n)}, func(e *lakehouse.Event) error {
		l.ids[l.tenant.Steps[e.Seq-1].Entity] = e.Target
		return nil
	})
	return n, err
}

// group runs the first of these steps, up to one that needs the id of an entity which this very group creates.
func (l *loader) group(ctx context.Context, steps []Step) (int, error) {
	var cmds []ingest.Command
	for _, s := range steps[:min(len(steps), groupSize)] {
		c, ready := l.command(s)
		if !ready {
			break
		}
		cmds = append(cmds, c)
	}
	if len(cmds) == 0 {
		return 0, fmt.Errorf("%s %s needs an entity that no earlier step creates", steps[0].Entity.Noun, steps[0].Entity.Name)
	}
	results, err := l.log.Do(ctx, l.tenant.Name, cmds)
	if err != nil {
		return 0, err
	}
	for i, r := range results {
		if r.Err != nil {
			return 0, fmt.Errorf("%s %s: %w", steps[i].Entity.Noun, steps[i].Entity.Name, r.Err)
		}
		l.ids[steps[i].Entity] = r.Event.Target
	}
	return len(results), nil
}

// command is the step with names replaced by ids; ready is false while one of the ids is not known.
func (l *loader) command(s Step) (c ingest.Command, ready bool) {
	c = ingest.Command{Op: s.Op, Noun: s.Entity.Noun, Verb: s.Verb, At: s.At, Source: source, Body: make(entity.Object, len(s.Body))}
	if s.Op == ingest.OpVerb {
		if c.ID, ready = l.ids[s.Entity]; !ready {
			return c, false
		}
	}
	for i, m := range s.Body {
		v := m.Value
		if m.Ref != (Key{}) {
			id, ready := l.ids[m.Ref]
			if !ready {
				return c, false
			}
			v = entity.Quote(id)
		}
		c.Body[i] = entity.Member{Name: m.Name, Value: v}
	}
	return c, true
}
