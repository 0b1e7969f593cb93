package ingest

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/lakehouse"
)

// ErrNoLog is wrapped where a tenant has no log.
var ErrNoLog = errors.New("no log")

// ErrFormat is wrapped where a newer program has written a log.
var ErrFormat = errors.New("log format")

// checkCacheKB is the page cache of a connection that reads a whole log out of its order.
const checkCacheKB = 32 << 10

// LogFile is a tenant's log file, read beside whoever has it open. It changes nothing. One goroutine uses it.
type LogFile struct {
	c     *conn
	path  string
	plans map[string]*plan
	head  int64
	ids   noun.EventIDs
	known bool // ids could be read

	trimmed int64
}

// LogPath is where a tenant's log lives in a data folder.
func LogPath(dir, tenant string) string { return logFile(dir, tenant) }

// LogTenants lists the tenants that have a log in the data folder, sorted, and the names of other things that lie there.
func LogTenants(dir string) (tenants, others []string, err error) {
	entries, err := os.ReadDir(filepath.Join(dir, "tenants"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	for _, e := range entries {
		switch {
		case !ValidTenant(e.Name()) || !e.IsDir():
			others = append(others, e.Name())
		case fileSize(logFile(dir, e.Name())) > 0:
			tenants = append(tenants, e.Name())
		}
	}
	return tenants, others, err
}

// OpenLogFile opens the log file at a path. ErrNoLog where there is none.
func OpenLogFile(path, vfs string, nouns *noun.Registry) (*LogFile, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoLog, path)
	}
	c, err := openConn(path, vfs, "ro", true)
	if err != nil {
		return nil, err
	}
	l := &LogFile{c: c, path: path, plans: plansOf(nouns)}
	if err := l.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), c.close())
	}
	return l, nil
}

func (l *LogFile) open() error {
	if err := l.c.script(fmt.Sprintf("PRAGMA cache_size=-%d", checkCacheKB)); err != nil {
		return err
	}
	v, found, err := l.c.getInt(sqlGetMeta, "format")
	if err == nil && found && v > trimmedVersion {
		return fmt.Errorf("%w: %d; this program reads %d", ErrFormat, v, trimmedVersion)
	}
	if err != nil && !isStorage(err) {
		return err
	}
	if l.trimmed, _, err = l.c.getInt(sqlGetMeta, "trimmed"); err != nil {
		return err
	}
	var ids error
	l.ids, ids = l.c.eventIDs()
	l.known = ids == nil
	l.head, _, _, err = l.c.summary()
	if err != nil { // the tallies may be what is damaged
		l.head, _, err = l.c.getInt("SELECT seq FROM log ORDER BY seq DESC LIMIT 1")
	}
	return err
}

// plansOf gives the nouns as logs are read with.
func plansOf(nouns *noun.Registry) map[string]*plan {
	plans := map[string]*plan{}
	for _, n := range nouns.All() {
		plans[n.Name] = newPlan(n)
	}
	return plans
}

// Head is the seq of the last event when the file was opened; 0 for an empty log.
func (l *LogFile) Head() int64 { return l.head }

// Trimmed is the seq up to which events may have left the log; 0: none has.
func (l *LogFile) Trimmed() int64 { return l.trimmed }

// Close closes the file.
func (l *LogFile) Close() error { return l.c.close() }

// Scan calls yield with the events after a seq and up to another, as they were written, in order, in short transactions. A
// row that is damaged or cannot be read is yielded as its error, which wraps ErrCorrupt or is SQLite's, with its seq; rows
// that are missing are passed over. An error of yield ends it and is returned.
func (l *LogFile) Scan(ctx context.Context, after, upto int64, yield func(seq int64, e *lakehouse.Event, err error) error) error {
	return l.scan(ctx, after, upto, func(seq int64, r *record, err error) error {
		if err != nil {
			return yield(seq, nil, err)
		}
		return yield(seq, &r.Event, nil)
	})
}

func (l *LogFile) scan(ctx context.Context, after, upto int64, yield func(int64, *record, error) error) error {
	for after < upto {
		if err := ctx.Err(); err != nil {
			return err
		}
		last, rows, size := after, 0, 0
		var stopped error
		err := l.c.query(sqlScan, func(v []driver.Value) error {
			var row values
			last, rows = row.int(v[0]), rows+1
			r, err := readRecord(v)
			if stopped = yield(last, r, err); stopped != nil {
				return stopped
			}
			if err == nil {
				size += len(r.Data) + len(r.Before) + len(r.Changes) + len(r.Input)
			}
			if size >= pageBytes {
				return errStop
			}
			return nil
		}, after, upto, int64(pageRows))
		switch {
		case stopped != nil:
			return stopped
		case err != nil: // a page of the file cannot be read: go on row by row
			if last, err = l.pick(ctx, last, min(upto, last+pageRows), yield); err != nil {
				return err
			}
		case rows == 0 || rows < pageRows && size < pageBytes:
			return nil
		}
		after = last
	}
	return nil
}

// pick yields rows one by one, those that cannot be read too, and gives the last seq.
func (l *LogFile) pick(ctx context.Context, after, upto int64, yield func(int64, *record, error) error) (int64, error) {
	for seq := after + 1; seq <= upto; seq++ {
		if err := ctx.Err(); err != nil {
			return seq, err
		}
		r, err := l.raw(seq)
		if r == nil && err == nil {
			continue // missing
		}
		if err := yield(seq, r, err); err != nil {
			return seq, err
		}
	}
	return upto, nil
}

// raw reads one event as it was written; nil where there is none.
func (l *LogFile) raw(seq int64) (r *record, err error) {
	err = l.c.query(sqlGetEvent, func(v []driver.Value) (err error) {
		if r, err = readRecord(v); err != nil {
			return err
		}
		return errStop
	}, seq)
	return r, err
}

// Event reads one event, fields under their present names; nil where there is none.
func (l *LogFile) Event(seq int64) (*lakehouse.Event, error) {
	r, err := l.raw(seq)
	if err != nil || r == nil {
		return nil, err
	}
	return &r.Event, l.Today(&r.Event)
}

// Today gives the fields of an event the names that they have by now.
func (l *LogFile) Today(e *lakehouse.Event) error {
	return today(l.plans, e)
}

// Version gives the last event of an entity up to a seq, fields under their present names; nil where it has none.
func (l *LogFile) Version(id string, upto int64) (*lakehouse.Event, error) {
	s, err := l.c.getState(id)
	if err != nil || s == nil {
		return nil, err
	}
	if s.seq <= upto {
		return l.Event(s.seq)
	}
	var r *record
	err = l.c.query(sqlEventAtSeq, func(v []driver.Value) (err error) {
		if r, err = readRecord(v); err != nil {
			return err
		}
		return errStop
	}, s.row, upto)
	if err != nil || r == nil {
		return nil, err
	}
	return &r.Event, l.Today(&r.Event)
}

// Deleted says whether an event leaves its entity deleted.
func Deleted(e *lakehouse.Event) (bool, error) {
	doc, err := entity.ParseStored(e.Data)
	if err != nil {
		return false, fmt.Errorf("event %d: %w", e.Seq, err)
	}
	v, _ := doc.Get("$deleted")
	return v.Kind() == 't', nil
}
