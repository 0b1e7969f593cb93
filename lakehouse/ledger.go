package lakehouse

import (
	"maps"
	"slices"
	"sync"

	"github.com/apache/iceberg-go"

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

// dataFile is one file of a noun's table, with the rows of it that are deleted.
type dataFile struct {
	location string
	bytes    int64
	rows     int64  // with the deleted ones
	deletes  string // location of the file that names them; empty: none
	deleted  int64
	past     *Past // of a file that was written before the table's schema last changed; else nil
}

// live counts the rows that are not deleted.
func (f dataFile) live() int64 { return f.rows - f.deleted }

func (s shelf) lags() bool { return s.changed > s.seq }

// live counts the rows that are not deleted.
func (s shelf) live() (rows int64) {
	for _, f := range s.files {
		rows += f.live()
	}
	return rows
}

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
	behind  map[string]bool    // tenants with a noun's table that lags
	old     map[string][]*View // by tenant: replaced while they were pinned

	verify func(path string) error // of views' files; does not change
}

func newLedger(tenants map[string]*standing, verify func(path string) error) *ledger {
	l := &ledger{tenants: map[string]*standing{}, views: map[string]*View{}, behind: map[string]bool{}, old: map[string][]*View{}, verify: verify}
	l.apply(tenants)
	return l
}

// apply replaces the standings of tenants, each with its view in one step.
func (l *ledger) apply(tenants map[string]*standing) {
	views := make(map[string]*View, len(tenants))
	for tenant, s := range tenants {
		views[tenant] = viewOf(tenant, s)
		views[tenant].verify = l.verify
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for tenant := range views {
		l.retire(tenant)
	}
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

// retire keeps a tenant's view that is being replaced while it is pinned, and forgets older ones that are not any more. The
// lock is held.
func (l *ledger) retire(tenant string) {
	old := l.old[tenant]
	if v := l.views[tenant]; v != nil {
		old = append(old, v)
	}
	old = slices.DeleteFunc(old, func(v *View) bool { return v.pins.Load() == 0 })
	if len(old) == 0 {
		delete(l.old, tenant)
		return
	}
	l.old[tenant] = old
}

// holds reports whether the tenant's view, or one that is pinned still, has a file.
func (l *ledger) holds(location string) bool {
	tenant, path := seek(location).tenant, catalog.Path(location)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, v := range l.old[tenant] {
		if v.pins.Load() > 0 && v.holds(path) {
			return true
		}
	}
	v := l.views[tenant]
	return v != nil && v.holds(path)
}

// retired counts the files of replaced views that are pinned still.
func (l *ledger) retired() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	n := 0
	for _, views := range l.old {
		for _, v := range views {
			for _, f := range v.Nouns {
				n += 2 * len(f.Data)
			}
		}
	}
	return n
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
			f.Data = append(f.Data, file.view())
			f.Rows += file.live()
			if file.past != nil {
				f.Past = file.past
			}
		}
		v.Nouns[name] = f
	}
	return v
}

// newDataFile gives a data file as Iceberg describes it.
func newDataFile(f iceberg.DataFile) dataFile {
	return dataFile{location: f.FilePath(), bytes: f.FileSizeBytes(), rows: f.Count()}
}

// reshelved gives a tenant's files after an edit.
func (e edit) reshelved(tenant string, files []dataFile) []dataFile {
	gone := make(map[string]bool, len(e.removes))
	for _, location := range e.removes {
		gone[location] = true
	}
	deletes := map[string]iceberg.DataFile{} // by the data file that they are about
	var next []dataFile
	for _, f := range e.adds {
		if f.ContentType() != iceberg.EntryContentData {
			deletes[deletesOf(f)] = f
		} else if f.Partition()[partitionTenant] == tenant {
			next = append(next, newDataFile(f))
		}
	}
	for _, f := range files {
		if gone[f.deletes] {
			f.deletes, f.deleted = "", 0
		}
		if !gone[f.location] {
			next = append(next, f)
		}
	}
	for i := range next {
		next[i].mark(deletes[next[i].location])
	}
	return next
}

// mark notes the file of the deleted positions, if there is one.
func (f *dataFile) mark(deletes iceberg.DataFile) {
	if deletes != nil {
		f.deletes, f.deleted = deletes.FilePath(), deletes.Count()
	}
}

// locations lists the data file and what is said about it.
func (f dataFile) locations() []string {
	if f.deletes == "" {
		return []string{f.location}
	}
	return []string{f.location, f.deletes}
}

func (f dataFile) view() DataFile {
	v := DataFile{Path: catalog.Path(f.location), Rows: f.rows, Deleted: f.deleted, Older: f.past != nil}
	if f.deletes != "" {
		v.Deletes = catalog.Path(f.deletes)
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
