package ingest

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/mattn/go-sqlite3"
)

// conn is one SQLite connection with its prepared statements, used by one goroutine at a time. It speaks to the driver
// directly: database/sql's pool, locks and conversions cost more than the statements themselves.
type conn struct {
	db    *sqlite3.SQLiteConn
	stmts map[string]*statement
	plans map[string]*plan // of the nouns whose events are read, by name
}

type statement struct {
	stmt *sqlite3.SQLiteStmt
	args []driver.NamedValue // reused between runs
	row  []driver.Value
}

// cacheKB bounds a connection's page cache: 1,000 tenants × 2 connections must fit beside everything else (correctness 7).
const cacheKB = 256

// openConn opens a connection to a log file. A reader refuses to change anything; mode is a URI mode: rw, or rwc to make
// the file.
func openConn(path, vfs, mode string, reader bool) (*conn, error) {
	q := url.Values{"mode": {mode}, "_busy_timeout": {"5000"}, "_txlock": {"immediate"}}
	if vfs != "" {
		q.Set("vfs", vfs)
	}
	u := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}
	c, err := (&sqlite3.SQLiteDriver{}).Open(u.String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	out := &conn{db: c.(*sqlite3.SQLiteConn), stmts: map[string]*statement{}}
	pragmas := []string{
		"PRAGMA journal_mode=WAL",
		"PRAGMA synchronous=FULL",
		"PRAGMA wal_autocheckpoint=0", // the writer chooses when, see checkpoint
		"PRAGMA temp_store=MEMORY",
		fmt.Sprintf("PRAGMA cache_size=-%d", cacheKB),
	}
	if mode == "rwc" { // counts only before the first table; said again, it would be written and synced again
		pragmas = append([]string{"PRAGMA auto_vacuum=INCREMENTAL"}, pragmas...)
	}
	if reader {
		pragmas = []string{fmt.Sprintf("PRAGMA cache_size=-%d", cacheKB), "PRAGMA query_only=ON", "PRAGMA wal_autocheckpoint=0"}
	}
	for _, p := range pragmas {
		if err := out.script(p); err != nil { // a prepared PRAGMA that answers a row would stay open
			return nil, errors.Join(fmt.Errorf("open %s: %s: %w", path, p, err), out.close())
		}
	}
	return out, nil
}

func (c *conn) prepare(query string) (*statement, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	st, err := c.db.Prepare(query)
	if err != nil {
		return nil, err
	}
	s := &statement{stmt: st.(*sqlite3.SQLiteStmt)}
	c.stmts[query] = s
	return s, nil
}

func (s *statement) bind(args []any) []driver.NamedValue {
	s.args = s.args[:0]
	for i, a := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return s.args
}

// exec runs a statement that answers no rows. Arguments are int64, string, []byte or nil.
func (c *conn) exec(query string, args ...any) error {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	_, err = s.stmt.ExecContext(context.Background(), s.bind(args))
	return err
}

// script runs several statements without arguments.
func (c *conn) script(statements string) error {
	_, err := c.db.ExecContext(context.Background(), statements, nil)
	return err
}

// errStop ends a query early.
var errStop = errors.New("enough rows")

// query calls yield with each row's values, which are valid during the call; []byte values may be kept.
func (c *conn) query(query string, yield func(row []driver.Value) error, args ...any) (err error) {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.stmt.QueryContext(context.Background(), s.bind(args))
	if err != nil {
		return err
	}
	defer func() {
		if cerr := rows.Close(); err == nil {
			err = cerr
		}
	}()
	if s.row == nil {
		s.row = make([]driver.Value, len(rows.Columns()))
	}
	for {
		if err := rows.Next(s.row); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := yield(s.row); err == errStop {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// close finalizes the statements and closes the connection.
func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.stmt.Close())
	}
	c.stmts = nil
	return errors.Join(append(errs, c.db.Close())...)
}

// isStorage reports whether an error is the log's, not a refusal.
func isStorage(err error) bool {
	_, ok := errors.AsType[sqlite3.Error](err)
	return ok || errors.Is(err, ErrCorrupt)
}

// isDamage reports whether what is stored is not as it was written.
func isDamage(err error) bool {
	e, ok := errors.AsType[sqlite3.Error](err)
	return ok && (e.Code == sqlite3.ErrCorrupt || e.Code == sqlite3.ErrNotADB) || errors.Is(err, ErrCorrupt)
}

// isFull reports whether SQLite gave up for want of space.
func isFull(err error) bool {
	e, ok := errors.AsType[sqlite3.Error](err)
	return ok && e.Code == sqlite3.ErrFull
}
