package lakehouse

import (
	"maps"
	"slices"
	"sync"

	"headless.ly/catalog"
)

// standing is what is published of one tenant. It does not change; a commit replaces it.
type standing struct {
	seq   int64            // the events table holds the log up to here
	nouns map[string]shelf // by noun name
}

// shelf is one tenant's share of a noun table.
type shelf struct {
	seq     int64 // the table holds the tenant's state at this seq
	changed int64 // the noun's last event that the events table holds may be as late as this; above seq the table lags
	files   []dataFile
}

type dataFile struct {
	location string
	rows     int64
	past     *Past // of a file that was written before the table's schema last changed; else nil
}

func (s shelf) lags() bool { return s.changed > s.seq }

// stands gives the seq whose state the shelf holds: a table that does not lag has seen every event of its noun.
func (s shelf) stands(events int64) int64 {
	if s.lags() {
		return s.seq
	}
	return events
}

// ledger holds what is published of every tenant, as catalog.db says, and the views made of it. It is safe for concurrent
// use.
type ledger struct {
	mu      sync.RWMutex // guards the fields below
	tenants map[string]*standing
	views   map[string]*View
	behind  map[string]bool // tenants with a noun's table that lags
}

func newLedger(tenants map[string]*standing) *ledger {
	l := &ledger{tenants: map[string]*standing{}, views: map[string]*View{}, behind: map[string]bool{}}
	l.apply(tenants)
	return l
}

// apply replaces the standings of tenants, each with its view in one step.
func (l *ledger) apply(tenants map[string]*standing) {
	views := make(map[string]*View, len(tenants))
	for tenant, s := range tenants {
		views[tenant] = viewOf(tenant, s)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.Copy(l.tenants, tenants)
	maps.Copy(l.views, views)
	for tenant, s := range tenants {
		if s.lags() {
			l.behind[tenant] = true
		} else {
			delete(l.behind, tenant)
		}
	}
}

// lags reports whether a noun's table lags behind events.
func (s *standing) lags() bool {
	for _, shelf := range s.nouns {
		if shelf.lags() {
			return true
		}
	}
	return false
}

func viewOf(tenant string, s *standing) *View {
	v := &View{Tenant: tenant, Seq: s.seq, Nouns: make(map[string]Files, len(s.nouns))}
	for name, shelf := range s.nouns {
		f := Files{Seq: shelf.stands(s.seq)}
		for _, file := range shelf.files {
			f.Paths = append(f.Paths, catalog.Path(file.location))
			f.Rows += file.rows
			f.older(file)
		}
		v.Nouns[name] = f
	}
	return v
}

// at gives a tenant's standing; an empty one if nothing is published.
func (l *ledger) at(tenant string) *standing {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if s := l.tenants[tenant]; s != nil {
		return s
	}
	return &standing{}
}

// pin gives the tenant's view; an empty one if nothing is published.
func (l *ledger) pin(tenant string) *View {
	l.mu.RLock()
	defer l.mu.RUnlock()
	v := l.views[tenant]
	if v == nil {
		v = viewOf(tenant, &standing{})
	}
	v.pins.Add(1)
	return v
}

// names lists the tenants, sorted.
func (l *ledger) names() []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Sorted(maps.Keys(l.tenants))
}

// lagging lists the tenants with a noun's table that lags behind events.
func (l *ledger) lagging() []string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return slices.Collect(maps.Keys(l.behind))
}

// seqs gives for each tenant the seq at which a table stands; noun is empty for events.
func (l *ledger) seqs(noun string) map[string]int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	out := make(map[string]int64, len(l.tenants))
	for tenant, s := range l.tenants {
		if noun == "" {
			out[tenant] = s.seq
		} else if shelf, found := s.nouns[noun]; found {
			out[tenant] = shelf.stands(s.seq)
		}
	}
	return out
}
