package lakehouse

import (
	"sync"
	"time"
)

// Status is what is known about a tenant's publishing.
type Status struct {
	Published int64                  // seq in the events table
	Head      int64                  // acknowledged head when the publisher last looked
	Lag       time.Duration          // since when events have been waiting; 0: none
	Behind    bool                   // more was due than one commit takes
	Error     string                 // of the last attempt; empty after a success
	Tables    map[string]TableStatus // by table; those that hold something of the tenant
}

// TableStatus is a tenant's share of one table.
type TableStatus struct {
	Seq   int64 // the table holds the tenant's state at this seq
	Files int   // not counted for events
	Rows  int64 // not counted for events
}

// health keeps what Status says beyond what is published. It is safe for concurrent use.
type health struct {
	mu      sync.Mutex // guards tenants
	tenants map[string]*condition
}

type condition struct {
	head   int64
	since  time.Time // dirty since; zero: clean
	behind bool
	err    string
}

func newHealth() *health { return &health{tenants: map[string]*condition{}} }

// dirty notes that jobs have something to publish.
func (h *health) dirty(jobs []*job, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, j := range jobs {
		c := h.tenants[j.tenant]
		if c == nil {
			c = &condition{}
			h.tenants[j.tenant] = c
		}
		c.head = j.head
		if c.since.IsZero() {
			c.since = now
		}
	}
}

// since says since when a tenant has been dirty.
func (h *health) since(tenant string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.tenants[tenant]; c != nil {
		return c.since
	}
	return time.Time{}
}

// note keeps the result of a job.
func (h *health) note(j *job, now *standing, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.tenants[j.tenant]
	c.behind, c.err = j.behind, ""
	if err != nil {
		c.err = err.Error()
	}
	if now.seq >= j.head {
		c.since = time.Time{}
	}
}

// Status says how far the tenant is published. It does no I/O.
func (l *Lake) Status(tenant string) Status {
	at := l.ledger.at(tenant)
	s := Status{Published: at.seq, Head: at.seq, Tables: map[string]TableStatus{}}
	if at.seq > 0 {
		s.Tables[eventsTable] = TableStatus{Seq: at.seq}
	}
	for name, shelf := range at.nouns {
		t := TableStatus{Seq: shelf.stands(at.seq), Files: len(shelf.files)}
		for _, f := range shelf.files {
			t.Rows += f.live()
		}
		if n, found := l.cfg.Nouns.Get(name); found {
			s.Tables[n.Table()] = t
		}
	}
	l.health.mu.Lock()
	defer l.health.mu.Unlock()
	if c := l.health.tenants[tenant]; c != nil {
		s.Head, s.Behind, s.Error = max(s.Head, c.head), c.behind, c.err
		if !c.since.IsZero() {
			s.Lag = time.Since(c.since)
		}
	}
	return s
}
