package ingest

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"headless.ly/catalog/noun"
	"headless.ly/lakehouse"
)

// rebuildRows is how many events share a transaction of a log that is being rebuilt: it is not used before it is whole.
const rebuildRows = 5000

// Rebuild is a log file that is written anew, in order: first Add with every event from the first on, trimmed ones too, then
// Finish. One goroutine uses it.
type Rebuild struct {
	c     *conn
	path  string
	plans map[string]*plan
	from  *LogFile // nil: the old file cannot be read
	ids   noun.EventIDs
	named bool // ids is known
	begun bool // a transaction is open
	rows  int
	head  int64
	lost  []string
}

// NewRebuild makes a log file at a path, of which the folder exists. from, the damaged file, may be nil.
func NewRebuild(path, tenant, vfs string, nouns *noun.Registry, from *LogFile) (*Rebuild, error) {
	c, err := openConn(path, vfs, "rwc", false)
	if err != nil {
		return nil, err
	}
	b := &Rebuild{c: c, path: path, plans: plansOf(nouns), from: from}
	c.plans = b.plans
	if from != nil && from.known {
		b.ids, b.named = from.ids, true
	}
	if err := errors.Join(c.makeTables(tenant, b.ids), c.script(fmt.Sprintf("PRAGMA cache_size=-%d", checkCacheKB))); err != nil {
		return nil, errors.Join(fmt.Errorf("rebuild log of %s: %w", tenant, err), c.close())
	}
	return b, nil
}

// Scan is Scan of the damaged file; it gives nothing where there is none.
func (b *Rebuild) Scan(ctx context.Context, after, upto int64, yield func(seq int64, e *lakehouse.Event, err error) error) error {
	if b.from == nil {
		return nil
	}
	return b.from.Scan(ctx, after, upto, yield)
}

// Add appends an event as it was written, and makes its entity's state.
func (b *Rebuild) Add(e *lakehouse.Event) error {
	if !b.begun {
		if err := b.c.exec("BEGIN IMMEDIATE"); err != nil {
			return err
		}
		b.begun = true
	}
	if !b.named {
		if err := b.name(e); err != nil {
			return err
		}
	}
	row, err := b.row(e)
	if err != nil {
		return err
	}
	deleted, err := Deleted(e)
	if err != nil {
		return err
	}
	r := &record{Event: *e, row: row}
	s := state{noun: e.Entity, row: row, seq: e.Seq, version: e.Version, deleted: deleted}
	if err := errors.Join(r.insert(b.c), s.put(b.c, e.Target)); err != nil {
		return fmt.Errorf("event %d: %w", e.Seq, err)
	}
	b.head = e.Seq
	if b.rows++; b.rows%rebuildRows == 0 {
		return b.commit()
	}
	return nil
}

// name finds the offset of the log's event ids by one of them.
func (b *Rebuild) name(e *lakehouse.Event) error {
	offset, ok := noun.EventIDsOf(e.ID, e.Seq)
	if !ok {
		return fmt.Errorf("event %d: %w: id %q", e.Seq, ErrCorrupt, e.ID)
	}
	b.ids, b.named = offset, true
	return b.c.exec(sqlPutMeta, "ids", int64(offset))
}

// row gives the number of an event's entity.
func (b *Rebuild) row(e *lakehouse.Event) (int64, error) {
	s, err := b.c.getState(e.Target)
	switch {
	case err != nil:
		return 0, err
	case s != nil:
		return s.row, nil
	case e.Version == 1:
		return e.Seq, nil
	}
	if b.from != nil { // what came before was trimmed
		if r, err := b.from.raw(e.Seq); err == nil && r != nil {
			return r.row, nil
		}
		if s, err := b.from.c.getState(e.Target); err == nil && s != nil {
			return s.row, nil
		}
	}
	return 0, fmt.Errorf("event %d: the number of %s is not known: %w", e.Seq, e.Target, ErrCorrupt)
}

func (b *Rebuild) commit() error {
	if !b.begun {
		return nil
	}
	b.begun = false
	return b.c.exec("COMMIT")
}

// Finish makes claims and tallies of the states, takes over what stands in the damaged file only (settings, idempotency keys,
// failures of hooks) and makes the file durable. It says what could not be taken over.
func (b *Rebuild) Finish(ctx context.Context) (lost []string, err error) {
	err = b.commit()
	if err == nil {
		err = b.claim(ctx)
	}
	if err == nil {
		_, err = b.c.transact(func() error {
			return errors.Join(b.c.exec("DELETE FROM tally"),
				b.c.exec("INSERT INTO tally (noun, live, last) SELECT noun, sum(deleted = 0), max(seq) FROM state GROUP BY noun"))
		})
	}
	if err == nil {
		b.takeOver()
		err = b.c.checkpoint("TRUNCATE")
	}
	if err = errors.Join(err, b.c.close()); err == nil {
		err = syncDir(filepath.Dir(b.path))
	}
	return b.lost, err
}

// Abandon closes and removes the file.
func (b *Rebuild) Abandon() {
	_ = b.c.close()
	for _, end := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(b.path + end)
	}
}

// claim gives every unique value of a live entity to it.
func (b *Rebuild) claim(ctx context.Context) error {
	last := ""
	for {
		var page []string
		_, err := b.c.transact(func() error {
			err := b.c.query("SELECT id FROM state WHERE id > ? AND deleted = 0 ORDER BY id LIMIT ?", func(v []driver.Value) error {
				id, _ := v[0].(string)
				page = append(page, id)
				return nil
			}, last, int64(pageRows))
			for _, id := range page {
				err = errors.Join(err, b.claimOf(id))
			}
			return err
		})
		if err != nil || len(page) < pageRows || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		last = page[len(page)-1]
	}
}

func (b *Rebuild) claimOf(id string) error {
	s, err := b.c.getState(id)
	if err != nil {
		return err
	}
	return b.c.claimAll(b.plans[s.noun], id, *s, func(k claim, holder string) error {
		b.lost = append(b.lost, fmt.Sprintf("%s and %s both have %s %q", holder, id, k.field, k.value))
		return nil
	})
}

// takeOver copies the tables that nothing else gives, as far as they can be read.
func (b *Rebuild) takeOver() {
	if b.from == nil {
		b.lost = append(b.lost, "idempotency keys and failures of hooks")
		return
	}
	for _, t := range []struct{ what, read, write string }{
		{"settings", "SELECT key, value FROM meta WHERE key NOT IN ('ids', 'format', 'trimmed')", sqlPutMeta},
		{"idempotency keys", "SELECT key, hash, seq, at FROM idempotency WHERE seq <= " + fmt.Sprint(b.head), sqlPutKey},
		{"failures of hooks", "SELECT event, hook, message, at FROM hook_failure", sqlPutFailure},
	} {
		_, err := b.c.transact(func() error {
			return b.from.c.query(t.read, func(v []driver.Value) error {
				args := make([]any, len(v))
				for i := range v {
					args[i] = v[i]
				}
				return b.c.exec(t.write, args...)
			})
		})
		if err != nil {
			b.lost = append(b.lost, t.what)
		}
	}
}

// Settle moves what the write-ahead log of the damaged file holds into it, as opening it would, so that the file is all there
// is. It reports failure: then the write-ahead log must be kept beside the file.
func Settle(path, vfs string) error {
	c, err := openConn(path, vfs, "rw", false)
	if err != nil {
		return err
	}
	return errors.Join(c.checkpoint("TRUNCATE"), c.close())
}

// Live yields the last events up to a seq of the entities of a noun that live then, in order of id, fields under their present
// names.
func (l *LogFile) Live(ctx context.Context, noun string, upto int64, yield func(*lakehouse.Event) error) error {
	last := ""
	for {
		var page []string
		err := l.c.query("SELECT id FROM state WHERE id > ? AND noun = ? AND row <= ? ORDER BY id LIMIT ?", func(v []driver.Value) error {
			id, ok := v[0].(string)
			if !ok {
				return ErrCorrupt
			}
			page = append(page, id)
			return nil
		}, last, noun, upto, int64(pageRows))
		if err = errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		for _, id := range page {
			e, err := l.Version(id, upto)
			if err != nil {
				return err
			}
			if e == nil {
				return fmt.Errorf("%s has no event up to %d in the log: %w", id, upto, ErrCorrupt)
			}
			deleted, err := Deleted(e)
			if err != nil {
				return err
			}
			if !deleted {
				if err := yield(e); err != nil {
					return err
				}
			}
		}
		if len(page) < pageRows {
			return nil
		}
		last = page[len(page)-1]
	}
}
