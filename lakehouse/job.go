package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"headless.ly/catalog"
)

// ErrGap is wrapped where a tenant's log does not continue where the last publish ended.
var ErrGap = errors.New("log has a gap")

// job is one tenant's part of a tick: from what is published to a prefix of what its log holds. It belongs to one goroutine
// until the commit.
type job struct {
	tenant string
	from   *standing
	head   int64 // acknowledged head when the tick began
	force  bool  // rewrite noun tables whatever their pace

	prepared bool  // it had its turn
	upto     int64 // the prefix ends here; from.seq where there is nothing new
	behind   bool  // there is more than one commit takes
	added    []iceberg.DataFile
	rewrites []*rewrite // of the nouns that changed or lag
	err      error      // why nothing of this tenant is published; its files are removed
}

// rewrite is a job's part for one noun table: its files written anew, or a delta to them.
type rewrite struct {
	table    *Table
	from, to shelf
	done     bool               // the table is published this time; else only its lag is recorded
	adds     []iceberg.DataFile // data files and position-delete files that were written
	removes  []string           // locations of those of from that are no more
	rows     arrow.RecordBatch  // of the one file, where it is written anew
	err      error              // why it is not done, if that is an error
	cost     time.Duration      // of computing
}

// postpone leaves the table where it stands. That it lags is recorded in the same commit as the events. What was written is
// for the caller to remove.
func (r *rewrite) postpone(events int64, err error) {
	r.to = shelf{seq: r.from.stands(events), changed: r.to.changed, files: r.from.files}
	r.done, r.adds, r.removes, r.err = false, nil, nil, err
	r.release()
}

func (r *rewrite) edit() edit { return edit{adds: r.adds, removes: r.removes} }

// locations lists the files that were written.
func (r *rewrite) locations() []string {
	var out []string
	for _, f := range r.adds {
		out = append(out, f.FilePath())
	}
	return out
}

func (r *rewrite) release() {
	if r.rows != nil {
		r.rows.Release()
		r.rows = nil
	}
}

func (j *job) release() {
	for _, r := range j.rewrites {
		r.release()
	}
}

// locations lists the files that the job has written.
func (j *job) locations() []string {
	var out []string
	for _, f := range j.added {
		out = append(out, f.FilePath())
	}
	for _, r := range j.rewrites {
		out = append(out, r.locations()...)
	}
	return out
}

// workshop is what preparing a job needs. It does not change.
type workshop struct {
	cfg   Config
	log   Log
	io    *catalog.IO
	root  string // location of the folder that holds the tables
	event *Table
	nouns map[string]*Table // by noun name
	cache *cache
	pace  *pace
	mem   memory.Allocator
	turns chan struct{} // one for each goroutine that may compute at a time

	positions *kept[*positions]      // by data file
	deleted   *kept[*roaring.Bitmap] // by position-delete file
}

// compute runs f in its turn and adds to cost how long it took. Preparing takes half of the processors at most, however many
// tenants it does at once: the writes go on meanwhile, and what waits for the disk needs no processor.
func (w *workshop) compute(cost *time.Duration, f func() error) error {
	w.turns <- struct{}{}
	began := time.Now()
	defer func() { *cost += time.Since(began); <-w.turns }()
	return f()
}

// remove removes files that nothing names.
func (w *workshop) remove(locations []string) {
	for _, location := range locations {
		_ = w.io.Remove(location) // an orphan if it stays
	}
}

// forget drops what is kept of files that are not current any more.
func (w *workshop) forget(locations []string) {
	for _, location := range locations {
		w.cache.remove(location)
		w.positions.remove(location)
		w.deleted.remove(location)
	}
}

// prepare reads the job's events and writes its files, all durable; nothing names them yet.
func (w *workshop) prepare(ctx context.Context, j *job) error {
	events, err := w.read(ctx, j)
	if err != nil {
		return err
	}
	if err := w.writeEvents(ctx, j, events); err != nil {
		return err
	}
	changes := map[string]map[string]*Event{}
	for _, e := range events {
		if w.nouns[e.Entity] == nil {
			continue // analytics rows, and nouns that are no more
		}
		if changes[e.Entity] == nil {
			changes[e.Entity] = map[string]*Event{}
		}
		changes[e.Entity][e.Target] = e
	}
	names := dueNouns(j.from, changes)
	j.rewrites = make([]*rewrite, len(names))
	var g errgroup.Group
	g.SetLimit(filesAtOnce)
	for i, name := range names {
		g.Go(func() error { j.rewrites[i] = w.rewrite(ctx, j, name, changes[name]); return nil })
	}
	return g.Wait() // the rewrites keep their errors
}

// dueNouns lists the nouns that changed or lag, sorted.
func dueNouns(from *standing, changes map[string]map[string]*Event) []string {
	due := map[string]bool{}
	for name := range changes {
		due[name] = true
	}
	for name, s := range from.nouns {
		if s.lags() {
			due[name] = true
		}
	}
	return slices.Sorted(maps.Keys(due))
}

// errFull ends a read whose bound is reached.
var errFull = errors.New("bound reached")

// read gives the events of the job: all from the last publish to the head, or as many as the bounds allow.
func (w *workshop) read(ctx context.Context, j *job) ([]*Event, error) {
	j.upto = j.from.seq
	if j.head == j.from.seq {
		return nil, nil
	}
	if j.head < j.from.seq {
		return nil, fmt.Errorf("%w: log of %s ends at %d, but %d is published", ErrGap, j.tenant, j.head, j.from.seq)
	}
	var events []*Event
	var size, dates int
	day := int64(-1)
	err := w.log.Read(ctx, j.tenant, Range{After: j.from.seq, Upto: j.head}, func(e *Event) error {
		if e.Seq != j.upto+1 {
			return fmt.Errorf("%w: event %d of %s follows %d", ErrGap, e.Seq, j.tenant, j.upto)
		}
		if d := dayOf(e); d != day {
			if dates == w.cfg.MaxFilesPerCommit {
				return errFull
			}
			day, dates = d, dates+1
		}
		events, size, j.upto = append(events, e), size+weight(e), e.Seq
		if size >= w.cfg.MaxBytesPerRead {
			return errFull
		}
		return nil
	})
	if err != nil && !errors.Is(err, errFull) {
		return nil, fmt.Errorf("read log of %s: %w", j.tenant, err)
	}
	j.behind = j.upto < j.head
	if j.behind && err == nil {
		return nil, fmt.Errorf("%w: log of %s ends at %d before its head %d", ErrGap, j.tenant, j.upto, j.head)
	}
	return events, nil
}

// weight is about the memory that an event takes.
func weight(e *Event) int {
	const fixed = 400
	return fixed + len(e.Data) + len(e.Before) + len(e.Changes) + len(e.Input)
}

const dayMS = 24 * 60 * 60 * 1000

// dayOf gives the event's UTC day, counted from 1970.
func dayOf(e *Event) int64 {
	if e.Timestamp < 0 {
		return (e.Timestamp+1)/dayMS - 1
	}
	return e.Timestamp / dayMS
}

// filesAtOnce is how many files of a tenant are written at once: mostly they wait for the disk.
const filesAtOnce = 4

// writeEvents writes one file for each day.
func (w *workshop) writeEvents(ctx context.Context, j *job, events []*Event) error {
	days := byDay(events)
	files := make([]iceberg.DataFile, len(days))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(filesAtOnce)
	for i, day := range days {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			files[i], err = w.writeDay(j.tenant, day)
			return err
		})
	}
	err := g.Wait()
	j.added = slices.DeleteFunc(files, func(f iceberg.DataFile) bool { return f == nil })
	return err
}

// byDay parts events, whose days never fall, by day.
func byDay(events []*Event) [][]*Event {
	var days [][]*Event
	for len(events) > 0 {
		n := 1
		for n < len(events) && dayOf(events[n]) == dayOf(events[0]) {
			n++
		}
		days, events = append(days, events[:n]), events[n:]
	}
	return days
}

func (w *workshop) writeDay(tenant string, events []*Event) (iceberg.DataFile, error) {
	p := placement{tenant: tenant, date: arrow.Date32(dayOf(events[0])),
		name: fmt.Sprintf("events-%d-%d-%s.parquet", events[0].Seq, events[len(events)-1].Seq, uuid.New())}
	var e *encoded
	err := w.compute(new(time.Duration), func() (err error) {
		rows := w.event.eventRows(tenant, events, w.mem)
		defer rows.Release()
		e, err = w.event.encodeRows(rows, w.mem)
		return err
	})
	if err != nil {
		return nil, err
	}
	return w.event.storeFile(w.io, w.location(w.event), p, e)
}

func (w *workshop) location(t *Table) string { return w.root + "/" + t.Name }

// rewrite brings one noun table of the tenant to the job's seq, or postpones it: while the tenant's events lie behind their
// head, so that its tables stand at one instant, and while the table's pace does not allow it.
func (w *workshop) rewrite(ctx context.Context, j *job, name string, changes map[string]*Event) *rewrite {
	r := &rewrite{table: w.nouns[name], from: j.from.nouns[name]}
	r.to.changed = r.from.changed
	for _, e := range changes {
		r.to.changed = max(r.to.changed, e.Seq)
	}
	key := paceKey{j.tenant, name}
	if j.behind || !j.force && !w.pace.allows(key, time.Now()) {
		r.postpone(j.from.seq, nil)
		return r
	}
	if err := w.bring(ctx, j, r, changes); err != nil {
		w.remove(r.locations())
		r.postpone(j.from.seq, err)
		w.pace.hold(key, time.Now().Add(w.cfg.ErrorDelay))
		return r
	}
	share := deltaShare
	if r.rows != nil {
		share = rewriteShare
	}
	w.pace.spent(key, r.cost, share, time.Now())
	return r
}

// bring writes the table's next files.
func (w *workshop) bring(ctx context.Context, j *job, r *rewrite, changes map[string]*Event) error {
	upto := j.upto
	if r.from.lags() { // the job's own events are not all that is missing
		var err error
		if changes, upto, err = w.missed(ctx, j, r); err != nil {
			return err
		}
	}
	r.to = shelf{seq: upto, changed: r.to.changed}
	r.done = true
	var err error
	switch {
	case len(changes) == 0:
	case w.replaces(r.from, len(changes)):
		err = w.replace(ctx, j, r, changes)
	default:
		err = w.delta(ctx, j, r, changes)
	}
	r.to.files = r.edit().reshelved(j.tenant, r.from.files)
	return err
}

// replace writes the table's rows anew, as one file.
func (w *workshop) replace(ctx context.Context, j *job, r *rewrite, changes map[string]*Event) error {
	old, err := w.published(ctx, r.table, r.from.files)
	if err != nil {
		return err
	}
	if old != nil {
		defer old.Release()
	}
	merge := func() (err error) { r.rows, err = r.table.merge(j.tenant, old, changes, w.mem); return err }
	if err := w.compute(&r.cost, merge); err != nil {
		return err
	}
	for _, f := range r.from.files {
		r.removes = append(r.removes, f.locations()...)
	}
	if r.rows == nil {
		return nil
	}
	file, err := w.writeRows(j, r, r.rows)
	if err != nil {
		return err
	}
	r.adds = []iceberg.DataFile{file}
	return nil
}

// missed reads the noun's events since its table's seq, as many as the bound allows, and says up to where it has read.
func (w *workshop) missed(ctx context.Context, j *job, r *rewrite) (changes map[string]*Event, upto int64, err error) {
	changes = map[string]*Event{}
	size, last := 0, r.from.seq
	rng := Range{After: r.from.seq, Upto: j.upto, Noun: r.table.Noun.Name}
	err = w.log.Read(ctx, j.tenant, rng, func(e *Event) error {
		changes[e.Target], last = e, e.Seq
		if size += weight(e); size >= w.cfg.MaxBytesPerRead {
			return errFull
		}
		return nil
	})
	if errors.Is(err, errFull) {
		return changes, last, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("read %s of %s: %w", r.table.Noun.Name, j.tenant, err)
	}
	return changes, j.upto, nil
}

// published gives the rows of the files that are not deleted, sorted by id, from the cache or the disk; nil where there are
// no files. The caller releases them.
func (w *workshop) published(ctx context.Context, t *Table, files []dataFile) (arrow.RecordBatch, error) {
	var parts []arrow.RecordBatch
	defer func() {
		for _, p := range parts {
			p.Release()
		}
	}()
	for _, f := range files {
		rows, err := w.live(ctx, t, f)
		if err != nil {
			return nil, err
		}
		parts = append(parts, rows)
	}
	switch len(parts) {
	case 0:
		return nil, nil
	case 1:
		parts[0].Retain()
		return parts[0], nil
	default:
		return t.union(parts, w.mem)
	}
}

// live gives the rows of a file that are not deleted. The caller releases them.
func (w *workshop) live(ctx context.Context, t *Table, f dataFile) (arrow.RecordBatch, error) {
	if rows := w.cache.get(f.location); rows != nil && f.deletes == "" {
		return rows, nil
	}
	rows, err := t.readFile(ctx, w.io, f.location, w.mem)
	if err != nil || f.deletes == "" {
		return rows, err
	}
	defer rows.Release()
	deleted, err := w.deletedOf(ctx, f)
	if err != nil {
		return nil, err
	}
	picks := make([]pick, 0, f.live())
	for i := range int(rows.NumRows()) {
		if !deleted.Contains(uint32(i)) {
			picks = append(picks, pick{0, int32(i)})
		}
	}
	return t.gatherAll([]arrow.RecordBatch{rows}, picks, w.mem)
}

// union puts rows of several files in order of id.
func (t *Table) union(parts []arrow.RecordBatch, mem memory.Allocator) (arrow.RecordBatch, error) {
	var picks []pick
	for i, p := range parts {
		for row := range int(p.NumRows()) {
			picks = append(picks, pick{int32(i), int32(row)})
		}
	}
	id := func(p pick) string { return ids(parts[p.source]).Value(int(p.row)) }
	slices.SortFunc(picks, func(x, y pick) int { return strings.Compare(id(x), id(y)) })
	return t.gatherAll(parts, picks, mem)
}
