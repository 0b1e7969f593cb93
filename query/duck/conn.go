package duck

import (
	"context"
	"fmt"
	"strconv"
	"time"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

// DB is one in-memory database.
type DB struct{ handle bindings.Database }

// Open makes an empty database that computes on so many threads; 0: as many as there are processors.
func Open(threads int) (*DB, error) {
	var config bindings.Config
	if bindings.CreateConfig(&config) == bindings.StateError {
		return nil, fmt.Errorf("open DuckDB: no configuration")
	}
	defer bindings.DestroyConfig(&config)
	if threads > 0 && bindings.SetConfig(config, "threads", strconv.Itoa(threads)) == bindings.StateError {
		return nil, fmt.Errorf("open DuckDB: %d threads are refused", threads)
	}
	db := &DB{}
	var message string
	if bindings.OpenExt("", &db.handle, config, &message) == bindings.StateError {
		return nil, fmt.Errorf("open DuckDB: %w", failure(message))
	}
	return db, nil
}

// Close frees the database. Its connections must be closed.
func (db *DB) Close() { bindings.Close(&db.handle) }

// Connect makes a connection with temporary objects and settings of its own.
func (db *DB) Connect() (*Conn, error) {
	c := &Conn{}
	if bindings.Connect(db.handle, &c.handle) == bindings.StateError {
		return nil, fmt.Errorf("connect to DuckDB: refused")
	}
	return c, nil
}

// Conn is a connection. It runs one statement at a time.
type Conn struct{ handle bindings.Connection }

// Close frees the connection. Statements and rows of it must be closed.
func (c *Conn) Close() { bindings.Disconnect(&c.handle) }

// Exec runs statements and drops what they give.
func (c *Conn) Exec(ctx context.Context, text string) error {
	var result bindings.Result
	defer bindings.DestroyResult(&result)
	return c.guard(ctx, func() error {
		return stateError(bindings.Query(c.handle, text, &result), func() string { return bindings.ResultError(&result) })
	})
}

// Query runs one statement with positional parameters. The rows must be closed.
func (c *Conn) Query(ctx context.Context, text string, args ...any) (*Rows, error) {
	s, err := c.Prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	rows, err := s.Query(ctx, args...)
	if err != nil {
		s.Close()
		return nil, err
	}
	rows.owned = s
	return rows, nil
}

// interruptEvery is how often a statement whose context ended is told so: DuckDB forgets an interrupt that comes before the
// statement has begun.
const interruptEvery = 2 * time.Millisecond

// guard runs a call into DuckDB and interrupts it when the context ends. It returns after the last interrupt.
func (c *Conn) guard(ctx context.Context, call func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		for {
			bindings.Interrupt(c.handle)
			select {
			case <-done:
				return
			case <-time.After(interruptEvery):
			}
		}
	})
	err := call()
	close(done)
	if stop() {
		return err
	}
	<-stopped
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
