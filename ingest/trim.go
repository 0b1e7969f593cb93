package ingest

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"headless.ly/lakehouse"
)

// Older reads the events that logs have let go from where they were published, as the logs gave them. *lakehouse.Lake is one.
type Older interface {
	// ReadEvents is Store.Read of events that are published; Upto is given.
	ReadEvents(ctx context.Context, tenant string, r lakehouse.Range, yield func(*lakehouse.Event) error) error
	// FindEvents gives the events with these seqs, in the order asked.
	FindEvents(ctx context.Context, tenant string, seqs []int64) ([]*lakehouse.Event, error)
	// EventAt gives the seq of the last event up to a seq that is stamped at or before an instant, in ms; 0: none.
	EventAt(ctx context.Context, tenant string, upto, at int64) (int64, error)
	// Tagged gives the seq up to which events are published for good: in a snapshot that a daily or monthly tag names.
	Tagged(ctx context.Context, tenant string) (int64, error)
}

const (
	// trimRound is the time between two looks for logs that can be trimmed.
	trimRound = time.Minute
	// trimRetry is the time after which a log is looked at again whose old events are not tagged, or could not be trimmed.
	trimRetry = time.Hour
	// trimPages is the number of free pages that one transaction gives back to the file system.
	trimPages = 1000
	// trimShare is the share of the time for which trimming works.
	trimShare = 0.25
	// trimChores bounds the free pages given back at a time: trimPages each. The next round goes on.
	trimChores = 100_000
)

// ErrOlder is returned where the archive does not give an event as the log has it. It stays in the log.
var ErrOlder = errors.New("the events table and the log differ")

// Trimmed says what Trim did.
type Trimmed struct {
	Upto   int64 // the trim point
	Events int64 // how many it has passed
	Bytes  int64 // of the log file, afterwards
}

// Trim lets those events of a tenant leave its log that are older than Config.KeepLog and published for good, after comparing
// each with what the archive gives for it. It works in short transactions beside the writes, and may be cut short anywhere. A
// tenant that does not exist is left alone.
func (s *Store) Trim(ctx context.Context, tenant string) (t Trimmed, err error) {
	err = s.existing(ctx, tenant, func(w *writer) (err error) { t, err = w.trim(ctx, func(time.Duration) {}); return err })
	return t, err
}

// trimAll trims all logs, round after round.
func (s *Store) trimAll() {
	next := map[string]time.Time{} // when a tenant is looked at again
	t := time.NewTicker(trimRound)
	defer t.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-t.C:
		}
		tenants, err := s.Tenants(s.ctx)
		if err != nil {
			s.cfg.Logger.Error("trim logs", "error", err)
			continue
		}
		for _, tenant := range tenants {
			if s.ctx.Err() != nil {
				return
			}
			if now := s.cfg.Clock(); now.Before(next[tenant]) {
				continue
			}
			err := s.existing(s.ctx, tenant, func(w *writer) (err error) { next[tenant], err = w.trimInTurn(s.ctx); return err })
			if err != nil {
				next[tenant] = s.cfg.Clock().Add(trimRetry)
			}
			if err != nil && s.ctx.Err() == nil {
				s.cfg.Logger.Error("trim log", "tenant", tenant, "error", err)
			}
		}
	}
}

// trimInTurn trims beside other work, and says when there may be more to do.
func (w *writer) trimInTurn(ctx context.Context) (next time.Time, err error) {
	began := w.clock()
	t, err := w.trim(ctx, func(spent time.Duration) {
		rest := time.NewTimer(time.Duration(float64(spent)/trimShare) - spent)
		defer rest.Stop()
		select {
		case <-ctx.Done():
		case <-rest.C:
		}
	})
	if err != nil {
		return next, err
	}
	if t.Events > 0 {
		w.cfg.Logger.Info("log trimmed", "tenant", w.tenant, "upto", t.Upto, "events", t.Events, "bytes", t.Bytes, "took", w.clock().Sub(began))
	}
	next = began.Add(w.cfg.KeepLog)
	err = w.read(func(c *conn) error {
		at, left, err := c.getInt(sqlGetTime, t.Upto+1)
		if left {
			next = time.UnixMilli(at).Add(w.cfg.KeepLog)
		}
		return err
	})
	if next.Before(began) { // what is old enough is not tagged yet
		next = began.Add(trimRetry)
	}
	return next, err
}

// trim moves the trim point as far as it may go, and gives the space back. It calls pause with the time that each step took.
func (w *writer) trim(ctx context.Context, pause func(time.Duration)) (t Trimmed, err error) {
	w.trimming.Lock()
	defer w.trimming.Unlock()
	from := w.cut.Load()
	defer func() {
		t = Trimmed{Upto: w.cut.Load(), Bytes: fileSize(logFile(w.cfg.Dir, w.tenant))}
		t.Events = t.Upto - from
	}()
	if w.cfg.Older == nil || w.cfg.KeepLog <= 0 {
		return t, nil
	}
	goal, err := w.trimmable(ctx)
	if err != nil {
		return t, err
	}
	for w.cut.Load() < goal {
		began := time.Now()
		if err := w.trimStep(ctx, goal); err != nil {
			return t, fmt.Errorf("trim log of %s: %w", w.tenant, err)
		}
		pause(time.Since(began))
		if err := ctx.Err(); err != nil {
			return t, err
		}
	}
	return t, w.giveBack(ctx, pause)
}

// trimmable gives the seq up to which events may leave the log.
func (w *writer) trimmable(ctx context.Context) (seq int64, err error) {
	tagged, err := w.cfg.Older.Tagged(ctx, w.tenant)
	if err != nil {
		return 0, err
	}
	old := w.clock().Add(-w.cfg.KeepLog).UnixMilli() - 1
	floor, upto := w.cut.Load(), min(tagged, w.view.Load().head)
	if w.cfg.Published != nil {
		upto = min(upto, w.cfg.Published(w.tenant))
	}
	if upto <= floor {
		return floor, nil
	}
	err = w.read(func(c *conn) (err error) { seq, err = c.seqAt(floor, upto, old); return err })
	return seq, err
}

// trimStep lets a page of events leave the log. They are compared first; then readers are sent to the archive; then the rows go.
func (w *writer) trimStep(ctx context.Context, goal int64) error {
	from := w.cut.Load()
	p := pager{after: from, upto: goal}
	var page []*record
	if err := w.read(func(c *conn) (err error) { page, err = p.next(c, from); return err }); err != nil {
		return err
	}
	if len(page) == 0 {
		return fmt.Errorf("event %d is not in the log", from+1)
	}
	to := page[len(page)-1].Seq
	if err := w.compare(ctx, from, to, page); err != nil {
		return err
	}
	w.trimmed.Store(max(w.trimmed.Load(), to))
	err := w.chore(ctx, func(c *conn) error {
		err := c.exec(sqlTrim, from, to)
		if err == nil {
			err = c.exec(sqlPutMeta, "trimmed", to)
		}
		if err == nil {
			err = c.exec(sqlPutMeta, "format", int64(trimmedVersion))
		}
		return err
	})
	if err == nil {
		w.cut.Store(to)
	}
	return err
}

// compare holds the archive's events behind a seq to be those of the log.
func (w *writer) compare(ctx context.Context, after, upto int64, page []*record) error {
	n := 0
	err := w.cfg.Older.ReadEvents(ctx, w.tenant, lakehouse.Range{After: after, Upto: upto}, func(e *lakehouse.Event) error {
		if err := today(w.plans, e); err != nil {
			return err
		}
		if n == len(page) || page[n].Seq != after+int64(n)+1 || !sameEvent(e, &page[n].Event) {
			return fmt.Errorf("event %d: %w", e.Seq, ErrOlder)
		}
		n++
		return nil
	})
	if err == nil && n != len(page) {
		err = fmt.Errorf("event %d: %w", upto, ErrOlder)
	}
	return err
}

// sameEvent says whether two events are the same, byte for byte.
func sameEvent(a, b *lakehouse.Event) bool {
	same := func(x, y []byte) bool { return (x == nil) == (y == nil) && bytes.Equal(x, y) }
	return a.Seq == b.Seq && a.ID == b.ID && a.Kind == b.Kind && a.Type == b.Type && a.Entity == b.Entity && a.Target == b.Target &&
		a.Verb == b.Verb && a.Actor == b.Actor && a.Timestamp == b.Timestamp && a.Version == b.Version && a.Source == b.Source &&
		a.RequestID == b.RequestID && a.Cause == b.Cause && same(a.Data, b.Data) && same(a.Before, b.Before) &&
		same(a.Changes, b.Changes) && same(a.Input, b.Input)
}

// giveBack returns the free pages of the log to the file system, some at a time.
func (w *writer) giveBack(ctx context.Context, pause func(time.Duration)) error {
	for range trimChores {
		var free int64
		if err := w.read(func(c *conn) (err error) { free, _, err = c.getInt("PRAGMA freelist_count"); return err }); err != nil || free == 0 {
			return err
		}
		began := time.Now()
		vacuum := fmt.Sprintf("PRAGMA incremental_vacuum(%d)", trimPages)
		err := w.chore(ctx, func(c *conn) error { return c.query(vacuum, func([]driver.Value) error { return nil }) })
		if err != nil {
			return fmt.Errorf("give back space of %s: %w", w.tenant, err)
		}
		pause(time.Since(began))
	}
	return nil
}

// chore is a short transaction of the log's upkeep.
type chore struct {
	run  func(*conn) error
	err  error
	done chan struct{}
}

// chore runs a short transaction in the writer's turn, when no call waits for it.
func (w *writer) chore(ctx context.Context, run func(*conn) error) error {
	c := &chore{run: run, done: make(chan struct{})}
	select {
	case w.chores <- c:
	case <-w.ended:
		return shuttingDown()
	case <-ctx.Done():
		return ctx.Err()
	}
	<-c.done
	return c.err
}

// doChore runs a chore. One whose commit fails has the log reopened, as any commit does.
func (w *writer) doChore(c *chore) {
	defer close(c.done)
	if w.log == nil || w.broken && !w.recover() {
		c.err = unavailable()
		return
	}
	unknown, err := w.log.transact(func() error { return c.run(w.log) })
	if unknown {
		w.cfg.Logger.Error("commit failed, reopening the log", "tenant", w.tenant, "error", err)
		w.stumble()
		w.recover()
	}
	c.err = err
	w.commits++
}

// find gives events of the archive that the log does not have any more, under the names that fields have now.
func (w *writer) find(ctx context.Context, seqs []int64) ([]*lakehouse.Event, error) {
	if w.cfg.Older == nil {
		return nil, errNoOlder
	}
	events, err := w.cfg.Older.FindEvents(ctx, w.tenant, seqs)
	for _, e := range events {
		if err == nil {
			err = today(w.plans, e)
		}
	}
	return events, err
}

// errNoOlder is returned where a log has been trimmed and there is nothing to read its older events from.
var errNoOlder = errors.New("the log has been trimmed, and there is no archive")

// older calls yield with events of the archive, under the names that fields have now.
func (w *writer) older(ctx context.Context, r lakehouse.Range, yield func(*lakehouse.Event) error) error {
	if w.cfg.Older == nil {
		return errNoOlder
	}
	return w.cfg.Older.ReadEvents(ctx, w.tenant, r, func(e *lakehouse.Event) error {
		if err := today(w.plans, e); err != nil {
			return err
		}
		return yield(e)
	})
}

// olderState finds the event of an entity that one of two holds for, among those that have left the log: it has a version, or,
// where that is 0, it is the last one at or before an instant. nil where there is none.
func (w *writer) olderState(noun, id string, row, version, at int64) (found *lakehouse.Event, err error) {
	r := lakehouse.Range{Noun: noun, Target: id, After: row - 1, Upto: w.trimmed.Load(), Desc: version == 0}
	if row > r.Upto {
		return nil, nil
	}
	err = w.older(w.ctx, r, func(e *lakehouse.Event) error {
		if version > 0 && e.Version != version || version == 0 && e.Timestamp > at {
			return nil
		}
		found = e
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return found, err
}
