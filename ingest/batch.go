package ingest

import (
	"cmp"
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// claim is a unique value: at most one live entity of a noun holds it.
type claim struct{ noun, field, value string }

// compare orders claims as the file does.
func (k claim) compare(other claim) int {
	return cmp.Or(strings.Compare(k.noun, other.noun), strings.Compare(k.field, other.field), strings.Compare(k.value, other.value))
}

// subject is an entity as a batch sees it.
type subject struct {
	id string
	state
	data []byte        // the stored document
	doc  entity.Object // data, parsed
}

// keyed is what an idempotency key stands for.
type keyed struct {
	hash [32]byte
	seq  int64
	at   int64
}

// failure is an after-hook that failed.
type failure struct {
	event   int64
	hook    string
	message string
}

// tally counts a noun's live entities and remembers its last event.
type tally struct{ live, last int64 }

// batch is the overlay of one commit: what its commands have done so far, seen by the commands behind them and by nobody
// else (correctness 3). Nothing of it touches the file before commit.
type batch struct {
	w     *writer
	now   int64 // milliseconds; one reading of the clock a batch, not before last
	head  int64 // seq of the last event, committed or in the batch
	last  int64 // no event may bear an earlier timestamp: the last event's, or what SeqAt has promised
	slow  bool  // a hook took long: commit now
	trial bool  // it is never committed
	size  int   // bytes of the events' documents

	records  []*record
	subjects map[string]*subject // by id: changed in the batch, or read
	claims   map[claim]string    // id of the holder; empty: released
	keys     map[string]keyed
	tallies  map[string]tally // of nouns changed in the batch
	failures []failure

	undo []func() // while an after-hook runs: how to take back what it did
	hook bool     // an after-hook is running
}

func newBatch(w *writer) *batch {
	last := max(w.last, w.floor)
	return &batch{w: w, now: max(w.clock().UnixMilli(), last), head: w.head, last: last, subjects: map[string]*subject{}}
}

// empty reports whether there is nothing to commit.
func (b *batch) empty() bool { return len(b.records) == 0 && len(b.failures) == 0 }

// due reports whether the batch must be committed before anything else runs on it (correctness 2).
func (b *batch) due() bool { return b.slow || b.size >= maxBatchBytes }

// onUndo remembers how to take back a change, if anybody may ask for it.
func (b *batch) onUndo(f func()) {
	if b.hook {
		b.undo = append(b.undo, f)
	}
}

func putIn[K comparable, V any](b *batch, m map[K]V, k K, v V) {
	old, had := m[k]
	b.onUndo(func() {
		if had {
			m[k] = old
		} else {
			delete(m, k)
		}
	})
	m[k] = v
}

// load reads an entity by id; nil where there is none.
func (b *batch) load(id string) (*subject, error) {
	if s, ok := b.subjects[id]; ok {
		return s, nil
	}
	if b.w.log == nil {
		return nil, nil
	}
	st, err := b.w.log.getState(id)
	if st == nil || err != nil {
		return nil, err
	}
	s := &subject{id: id, state: *st}
	if s.data, err = b.w.log.getData(st.seq); err != nil {
		return nil, err
	}
	if s.doc, err = entity.ParseStored(s.data); err != nil {
		return nil, fmt.Errorf("event %d: %w", st.seq, err)
	}
	b.subjects[id] = s
	return s, nil
}

// exists reports whether a live entity of the noun has this id; it does not read the document.
func (b *batch) exists(id, noun string) (bool, error) {
	if s, ok := b.subjects[id]; ok {
		return s != nil && !s.deleted && s.noun == noun, nil
	}
	if b.w.log == nil {
		return false, nil
	}
	s, err := b.w.log.getState(id)
	return s != nil && !s.deleted && s.noun == noun, err
}

// taken reports whether an id was ever used.
func (b *batch) taken(id string) (bool, error) {
	if b.subjects[id] != nil {
		return true, nil
	}
	if b.w.log == nil {
		return false, nil
	}
	s, err := b.w.log.getState(id)
	return s != nil, err
}

// holder finds who holds a unique value; empty where nobody does.
func (b *batch) holder(c claim) (string, error) {
	if id, ok := b.claims[c]; ok {
		return id, nil
	}
	if b.w.log == nil {
		return "", nil
	}
	return b.w.log.getClaim(c)
}

// replay finds what an idempotency key was used for.
func (b *batch) replay(key string) (keyed, bool, error) {
	if k, ok := b.keys[key]; ok {
		return k, true, nil
	}
	if b.w.log == nil {
		return keyed{}, false, nil
	}
	return b.w.log.getKey(key, b.now-b.w.cfg.IdempotencyTTL.Milliseconds())
}

// record finds an event of the log or of the batch.
func (b *batch) record(seq int64) (*lakehouse.Event, error) {
	if len(b.records) > 0 && seq >= b.records[0].Seq {
		return &b.records[seq-b.records[0].Seq].Event, nil
	}
	r, err := b.w.log.getRecord(sqlGetEvent, seq)
	if err != nil {
		return nil, err
	}
	if r != nil {
		return &r.Event, nil
	}
	if seq > b.w.trimmed.Load() {
		return nil, fmt.Errorf("event %d %w", seq, errNotInLog)
	}
	events, err := b.w.find(b.w.ctx, []int64{seq})
	if err != nil {
		return nil, err
	}
	return events[0], nil
}

// tick gives the timestamp of the next event: at, if the command is dated, else the clock's; never before the last one.
func (b *batch) tick(at time.Time) (int64, error) {
	if at.IsZero() {
		return b.now, nil
	}
	ms := at.UnixMilli()
	switch {
	case ms > b.now:
		return 0, refuse(problem.InvalidRequest, "at", "a dated write cannot lie in the future")
	case ms < b.last:
		return 0, refuse(problem.InvalidRequest, "at", "a dated write cannot lie before the tenant's last event, %s", time.UnixMilli(b.last).UTC().Format(timeFormat))
	}
	return ms, nil
}

// add appends an event and makes its entity's new state what later commands see.
func (b *batch) add(r *record, s *subject, before *subject) {
	head, last, n := b.head, b.last, len(b.records)
	b.onUndo(func() { b.head, b.last, b.records = head, last, b.records[:n] })
	b.head, b.last = r.Seq, r.Timestamp
	b.records = append(b.records, r)
	b.size += len(r.Data) + len(r.Before) + len(r.Changes) + len(r.Input)
	putIn(b, b.subjects, s.id, s)

	if b.tallies == nil {
		b.tallies = map[string]tally{}
	}
	t, ok := b.tallies[s.noun]
	if !ok {
		t = b.w.tallies[s.noun]
	}
	t.last = r.Seq
	if !s.deleted {
		t.live++
	}
	if before != nil && !before.deleted {
		t.live--
	}
	putIn(b, b.tallies, s.noun, t)
}

func (b *batch) setClaim(c claim, id string) {
	if b.claims == nil {
		b.claims = map[claim]string{}
	}
	putIn(b, b.claims, c, id)
}

func (b *batch) setKey(key string, k keyed) {
	if b.keys == nil {
		b.keys = map[string]keyed{}
	}
	putIn(b, b.keys, key, k)
}

// guarded runs an after-hook's work and takes all of it back if it fails.
func (b *batch) guarded(f func() error) error {
	outer := b.hook
	b.hook = true
	mark := len(b.undo)
	err := f()
	if err != nil {
		for i := len(b.undo) - 1; i >= mark; i-- {
			b.undo[i]()
		}
		b.undo = b.undo[:mark]
	}
	if b.hook = outer; !outer {
		b.undo = nil
	}
	return err
}

// write puts the batch into the file's open transaction.
func (b *batch) write(c *conn) error {
	for _, r := range b.records {
		if err := r.insert(c); err != nil {
			return err
		}
	}
	// In the order of the file's trees: each page is touched once, and one that leaves the cache is not needed again.
	for _, id := range slices.Sorted(maps.Keys(b.subjects)) {
		s := b.subjects[id]
		if s.seq <= b.w.head { // only read
			continue
		}
		if err := s.put(c, id); err != nil {
			return err
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(b.claims), claim.compare) {
		var err error
		id := b.claims[k]
		if id == "" {
			err = c.exec(sqlDropClaim, k.noun, k.field, k.value)
		} else {
			err = c.exec(sqlPutClaim, k.noun, k.field, k.value, id)
		}
		if err != nil {
			return err
		}
	}
	for noun, t := range b.tallies {
		if err := c.exec(sqlPutTally, noun, t.live, t.last); err != nil {
			return err
		}
	}
	for key, k := range b.keys {
		if err := c.exec(sqlPutKey, key, k.hash[:], k.seq, k.at); err != nil {
			return err
		}
	}
	if n := len(b.keys); n > 0 { // expired keys go twice as fast as new ones come
		if err := c.exec(sqlDropKeys, b.now-b.w.cfg.IdempotencyTTL.Milliseconds(), int64(2*n)); err != nil {
			return err
		}
	}
	for _, f := range b.failures {
		if err := c.exec(sqlPutFailure, f.event, f.hook, f.message, b.now); err != nil {
			return err
		}
	}
	return nil
}

// merged gives the writer's tallies after the batch.
func (b *batch) merged() map[string]tally {
	out := maps.Clone(b.w.tallies)
	maps.Copy(out, b.tallies)
	return out
}

// getKey reads an idempotency key that is not older than oldest.
func (c *conn) getKey(key string, oldest int64) (k keyed, ok bool, err error) {
	err = c.query(sqlGetKey, func(v []driver.Value) error {
		copy(k.hash[:], blob(v[0]))
		var row values
		if k.seq, k.at = row.int(v[1]), row.int(v[2]); row.odd {
			return fmt.Errorf("idempotency key: %w", ErrCorrupt)
		}
		ok = k.at >= oldest
		return errStop
	}, key)
	return k, ok, err
}
