package main_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"headless.ly/catalog/entity"
	"headless.ly/lakehouse"
)

// standing is what a client may rely on about a write.
type standing int

const (
	open         standing = iota // not answered, or answered that the outcome is unknown: either way is right
	acknowledged                 // exactly once in the log, in state, and in the lake
	refused                      // nowhere
)

// promise is one write and what its client was told. Its token is in the event: as an undeclared field of the body, or,
// for a delete, as the entity's id, which nobody deletes twice.
type promise struct {
	tenant   string
	token    string
	standing standing
	target   string // of an acknowledged one
	version  int64  // 0: the answer does not tell, that of a delete
}

// promises is everything that the clients of one data folder were told. It is safe for concurrent use.
type promises struct {
	mu  sync.Mutex
	all []*promise // guarded by mu
}

// add notes a write that is about to be sent, and numbers it.
func (p *promises) add(tenant, token string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, &promise{tenant: tenant, token: token})
	return len(p.all) - 1
}

// keep notes an acknowledgement.
func (p *promises) keep(i int, target string, version int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.all[i]
	w.standing, w.target, w.version = acknowledged, target, version
}

// refuse notes a definite refusal, after which the write was not tried again.
func (p *promises) refuse(i int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all[i].standing = refused
}

// count gives the number of writes of each standing.
func (p *promises) count() (open, acknowledged, refused int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var n [3]int
	for _, w := range p.all {
		n[w.standing]++
	}
	return n[0], n[1], n[2]
}

// at gives the promises as they stood when only these had been answered.
func (p *promises) at(answered map[int]bool) *promises {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := &promises{}
	for i, w := range p.all {
		c := *w
		if !answered[i] {
			c.standing = open
		}
		out.all = append(out.all, &c)
	}
	return out
}

// broken says which promises the logs break, tenant by tenant.
func (p *promises) broken(logs map[string][]*lakehouse.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	type key struct{ tenant, token string }
	events := map[key][]*lakehouse.Event{}
	var errs []error
	for tenant, log := range logs {
		errs = append(errs, sound(tenant, log))
		for _, e := range log {
			k := key{tenant, tokenOf(e)}
			events[k] = append(events[k], e)
		}
	}
	for i, w := range p.all {
		k := key{w.tenant, w.token}
		if err := w.broken(events[k]); err != nil {
			errs = append(errs, fmt.Errorf("write %d, %s of %s: %w", i, w.token, w.tenant, err))
		}
		delete(events, k)
	}
	for k, es := range events {
		errs = append(errs, fmt.Errorf("event %d of %s, %s %s: nobody wrote it", es[0].Seq, k.tenant, es[0].Verb, k.token))
	}
	return errors.Join(errs...)
}

// broken says whether the events that bear the write's token break its promise.
func (w *promise) broken(events []*lakehouse.Event) error {
	switch {
	case len(events) > 1:
		return fmt.Errorf("written %d times", len(events))
	case w.standing == acknowledged && len(events) == 0:
		return errors.New("acknowledged and lost")
	case w.standing == refused && len(events) > 0:
		return fmt.Errorf("refused, and event %d all the same", events[0].Seq)
	}
	if w.standing != acknowledged {
		return nil
	}
	if e := events[0]; e.Target != w.target || w.version > 0 && e.Version != w.version {
		return fmt.Errorf("acknowledged as version %d of %s, written as %d of %s", w.version, w.target, e.Version, e.Target)
	}
	return nil
}

// sound holds a log against what is promised of every log.
func sound(tenant string, log []*lakehouse.Event) error {
	var errs []error
	versions, ids, last := map[string]int64{}, map[string]bool{}, int64(0)
	for i, e := range log {
		if e.Seq != int64(i)+1 {
			errs = append(errs, fmt.Errorf("log of %s: event %d stands where %d belongs", tenant, e.Seq, i+1))
		}
		if e.Timestamp < last {
			errs = append(errs, fmt.Errorf("log of %s: time falls at %d", tenant, e.Seq))
		}
		if ids[e.ID] {
			errs = append(errs, fmt.Errorf("log of %s: id %s twice", tenant, e.ID))
		}
		if e.Version != versions[e.Target]+1 {
			errs = append(errs, fmt.Errorf("log of %s: %s goes from version %d to %d", tenant, e.Target, versions[e.Target], e.Version))
		}
		last, ids[e.ID], versions[e.Target] = e.Timestamp, true, e.Version
	}
	return errors.Join(errs...)
}

// tokenOf gives the token of the write that made an event.
func tokenOf(e *lakehouse.Event) string {
	if e.Verb == "delete" {
		return "delete " + e.Target
	}
	source := e.Data
	if e.Input != nil {
		source = e.Input
	}
	o, err := entity.Parse(source)
	if err != nil {
		return fmt.Sprintf("(event %d: %v)", e.Seq, err)
	}
	return o.Text("token")
}

// replayed gives the state that a log leads to: the last event of every entity, by id.
func replayed(log []*lakehouse.Event) map[string]*lakehouse.Event {
	state := map[string]*lakehouse.Event{}
	for _, e := range log {
		state[e.Target] = e
	}
	return state
}

// live leaves out what is deleted.
func live(state map[string]*lakehouse.Event) []*lakehouse.Event {
	var out []*lakehouse.Event
	for _, e := range state {
		if e.Verb != "delete" {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *lakehouse.Event) int { return int(a.Seq - b.Seq) })
	return out
}
