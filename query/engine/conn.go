package engine

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"headless.ly/query/duck"
)

// stopPatience is how long a statement may go on after it was stopped. A process that takes longer is beyond interrupts, and
// is ended with all its queries.
const stopPatience = 30 * time.Second

// DB is one in-memory database of the engine process. It is open from the first connection to the last, and never longer
// than the process.
type DB struct {
	child *child
	name  []byte
}

// Lives says whether the process of the database still runs. Nothing of one that has ended comes back.
func (db *DB) Lives() bool {
	return db.child.lives()
}

// Connect makes a connection with temporary objects and settings of its own.
func (db *DB) Connect(ctx context.Context) (*Conn, error) {
	link, err := db.child.dial()
	if err != nil {
		db.child.lose(err)
		return nil, unavailable(err)
	}
	c := &Conn{child: db.child, link: link, in: bufio.NewReader(link)}
	if err := c.ask(ctx, kindOpen, db.name, c.finish); err != nil {
		_ = link.Close() // nothing was begun
		return nil, err
	}
	return c, nil
}

// Conn is a connection. It runs one statement at a time and is used by one goroutine at a time.
type Conn struct {
	// Expendable lets the engine stop the connection's statements when it is short of memory: they fail with ErrMemory.
	Expendable bool

	child  *child
	link   *net.UnixConn
	in     *bufio.Reader
	out    []byte // a request, made anew each time
	body   []byte // of an answer, likewise
	number uint32 // of the last request
	open   bool   // its answer has not ended
	broken error  // why nothing more can be asked
}

// Close frees the connection and what belongs to it; with the last one of a database, the database. It returns when that is done.
func (c *Conn) Close() {
	if c.broken == nil && c.link.CloseWrite() == nil && c.link.SetReadDeadline(time.Now().Add(stopPatience)) == nil {
		_, _ = io.Copy(io.Discard, c.in) // the end says that the engine is done; an error, that it is gone
	}
	_ = c.link.Close() // in memory: nothing can be lost
}

// lose gives the process up, with all its connections: it has ended, or does not do what it should. All that can be said to
// a caller is to try again, since another process takes over.
func (c *Conn) lose(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("a statement did not end when it was stopped")
	}
	if c.broken == nil {
		c.broken = unavailable(err)
		c.child.lose(err)
	}
	return c.broken
}

// send writes a request. The engine reads at all times, so that this does not wait for what runs.
func (c *Conn) send(k kind, body []byte) error {
	if c.broken != nil {
		return c.broken
	}
	if len(body) > maxMessageBytes {
		return fmt.Errorf("a request of %d bytes is too large", len(body))
	}
	c.number++
	h := newHead(k, len(body))
	buffers := net.Buffers{h[:], body}
	if _, err := buffers.WriteTo(c.link); err != nil {
		return c.lose(err)
	}
	return nil
}

// receive reads an answer. Its body is valid until the next one.
func (c *Conn) receive() (kind, message, error) {
	if c.broken != nil {
		return 0, message{}, c.broken
	}
	k, body, err := readMessage(c.in, c.body)
	if err != nil {
		return 0, message{}, c.lose(err)
	}
	c.body = body[:0]
	m := message{rest: body}
	switch k {
	case kindFailed:
		c.open = false
		return k, m, m.failure()
	case kindDone:
		c.open = false
	}
	return k, m, nil
}

// finish reads the end of an answer.
func (c *Conn) finish() error {
	k, _, err := c.receive()
	if err == nil && k != kindDone {
		err = c.lose(errMessage)
	}
	return err
}

// ask sends a request, and reads what answers it.
func (c *Conn) ask(ctx context.Context, k kind, body []byte, answer func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.send(k, body); err != nil {
		return err
	}
	c.open = true
	return c.guard(ctx, answer)
}

// guard reads from the answer to a request, and stops the request when the context ends. It returns after the stop is sent,
// if it is: the next request cannot be hit by it.
func (c *Conn) guard(ctx context.Context, read func() error) error {
	if ctx.Done() == nil {
		return read()
	}
	stopped := make(chan struct{})
	undo := context.AfterFunc(ctx, func() {
		defer close(stopped)
		c.stop()
	})
	err := read()
	if undo() {
		return err
	}
	<-stopped
	_ = c.link.SetReadDeadline(time.Time{}) // fails only on a closed connection, which says so itself
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// stop asks the engine to end the request that runs, if one does.
func (c *Conn) stop() {
	h := newHead(kindStop, 4)
	text := binary.LittleEndian.AppendUint32(h[:], c.number)
	_, _ = c.link.Write(text)                                // what is broken shows when the answer is read
	_ = c.link.SetReadDeadline(time.Now().Add(stopPatience)) // likewise
}

// request begins a request about a statement.
func (c *Conn) request() []byte { return appendFlag(c.out[:0], c.Expendable) }

// Exec runs statements and drops what they give.
func (c *Conn) Exec(ctx context.Context, text string) error {
	c.out = append(c.request(), text...)
	return c.ask(ctx, kindExec, c.out, c.finish)
}

// Query runs one statement with positional parameters. The rows must be closed.
func (c *Conn) Query(ctx context.Context, text string, args ...any) (*Rows, error) {
	return c.query(ctx, kindQuery, appendText(appendFlag(c.request(), false), text), args, nil)
}

// query sends a request for rows, and reads their columns.
func (c *Conn) query(ctx context.Context, k kind, body []byte, args []any, named map[string]any) (*Rows, error) {
	body, err := appendArgs(body, args, named)
	if err != nil {
		return nil, err
	}
	c.out = body
	r := &Rows{conn: c}
	err = c.ask(ctx, k, body, func() (err error) {
		r.columns, err = c.columns()
		return err
	})
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// columns reads the columns of a statement.
func (c *Conn) columns() ([]duck.Column, error) {
	k, m, err := c.receive()
	if err != nil {
		return nil, err
	}
	columns := m.columns()
	if k != kindColumns || m.end() != nil {
		return nil, c.lose(errMessage)
	}
	return columns, nil
}

// Stmt is a prepared statement.
type Stmt struct {
	conn    *Conn
	id      uint64
	columns []duck.Column

	// Held asks for the whole result to be computed before the first row is given. EXPLAIN ANALYZE needs it.
	Held bool
}

// Prepare prepares one statement. What is prepared may run in part: only what was admitted may come here.
func (c *Conn) Prepare(ctx context.Context, text string) (*Stmt, error) {
	c.out = append(c.request(), text...)
	s := &Stmt{conn: c}
	err := c.ask(ctx, kindPrepare, c.out, func() (err error) {
		s.id = uint64(c.number)
		if s.columns, err = c.columns(); err != nil {
			return err
		}
		return c.finish()
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Close frees the statement. Its rows must be closed.
func (s *Stmt) Close() {
	_ = s.conn.send(kindFree, binary.AppendUvarint(nil, s.id)) // a broken connection has none
}

// Columns gives the columns of the result, where they are known before it runs; a parameter's type may leave them open.
func (s *Stmt) Columns() []duck.Column { return s.columns }

// Resolved says whether the columns are known before the statement runs.
func (s *Stmt) Resolved() bool { return duck.Resolved(s.columns) }

// Query runs the statement with positional arguments: nil, bool, int, int64, float64, string or time.Time.
func (s *Stmt) Query(ctx context.Context, args ...any) (*Rows, error) {
	return s.query(ctx, args, nil)
}

// QueryNamed runs the statement with an argument for each of its parameters, by name.
func (s *Stmt) QueryNamed(ctx context.Context, args map[string]any) (*Rows, error) {
	return s.query(ctx, nil, args)
}

func (s *Stmt) query(ctx context.Context, args []any, named map[string]any) (*Rows, error) {
	body := binary.AppendUvarint(appendFlag(s.conn.request(), s.Held), s.id)
	return s.conn.query(ctx, kindRun, body, args, named)
}

// Rows are the rows of a result, read chunk by chunk.
type Rows struct {
	conn    *Conn
	owned   *Stmt // closed with the rows
	columns []duck.Column
	chunk   duck.Chunk
	closed  bool
}

// Own closes the statement with the rows.
func (r *Rows) Own(s *Stmt) { r.owned = s }

// Columns gives the columns of the result.
func (r *Rows) Columns() []duck.Column { return r.columns }

// Next gives the next rows, at least one; io.EOF behind the last. They are valid until the next call on the connection.
func (r *Rows) Next(ctx context.Context) (*duck.Chunk, error) {
	if !r.conn.open {
		return nil, io.EOF
	}
	return &r.chunk, r.conn.guard(ctx, r.read)
}

func (r *Rows) read() error {
	k, m, err := r.conn.receive()
	switch {
	case err != nil:
		return err
	case k == kindDone:
		return io.EOF
	case k != kindChunk || r.chunk.ReadRows(m.rest, r.columns) != nil:
		return r.conn.lose(errMessage)
	}
	return nil
}

// Close ends the result, read or not.
func (r *Rows) Close() {
	if r.closed {
		return
	}
	r.closed = true
	if c := r.conn; c.open {
		c.stop()
		for c.open && c.broken == nil {
			_, _, _ = c.receive() // what comes is not wanted, its end is
		}
		_ = c.link.SetReadDeadline(time.Time{})
	}
	if r.owned != nil {
		r.owned.Close()
	}
}

// All reads every row that is left: strings, int64, float64, bool, time.Time and nil.
func (r *Rows) All(ctx context.Context) ([][]any, error) { return duck.All(ctx, r) }
