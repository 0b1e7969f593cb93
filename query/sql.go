package query

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"headless.ly/catalog/problem"
	"headless.ly/query/duck"
	"headless.ly/query/engine"
)

// Limits of a tenant's statement (analytics.md 2).
const (
	DefaultRows    = 10_000
	MaxRows        = 10_000_000
	DefaultTimeout = 10 * time.Second
	MaxTimeout     = time.Minute
	maxParams      = 1000
	maxWidth       = 5000 // columns of a result
)

// SQL is a statement of a tenant's own. The zero value of a field means the default in its comment.
type SQL struct {
	Text    string
	Args    []any          // of ? and $1: nil, bool, int64, float64 or string
	Named   map[string]any // of $name
	Strong  bool
	AsOf    string
	MinSeq  int64
	Limit   int           // DefaultRows, at most MaxRows; what is beyond is left out
	Timeout time.Duration // DefaultTimeout, at most MaxTimeout: from the start to the last row read
}

func (q *SQL) check() error {
	if q.Limit == 0 {
		q.Limit = DefaultRows
	}
	if q.Timeout == 0 {
		q.Timeout = DefaultTimeout
	}
	switch {
	case q.Limit < 0 || q.Limit > MaxRows:
		p := problem.New(problem.LimitExceeded, "limit is 1 to %d", MaxRows)
		p.Field = "limit"
		return p
	case q.Timeout < 0 || q.Timeout > MaxTimeout:
		p := problem.New(problem.LimitExceeded, "timeoutMs is 1 to %d", MaxTimeout.Milliseconds())
		p.Field = "timeoutMs"
		return p
	case len(q.Args)+len(q.Named) > maxParams:
		p := problem.New(problem.LimitExceeded, "at most %d params are allowed", maxParams)
		p.Field = "params"
		return p
	}
	return nil
}

// Result is the answer to a statement, computed as it is read. It must be closed, and not be used by two goroutines at once.
type Result struct {
	At
	Columns   []duck.Column // names are unique; every type is Readable, or a Decimal
	Limit     int
	Seqs      map[string]int64 // by tenant
	Tables    []string         // the nouns' tables that were read, and events
	Truncated bool             // there were more rows than Limit; known when Next has given io.EOF

	engine  *Engine
	d       *database
	ctx     context.Context
	caller  context.Context
	timeout time.Duration
	rows    *engine.Rows
	read    int
	free    []func() // in reverse
}

// SQL runs one statement that only reads, over the tables of analytics.md 1 at one instant. Errors are problems; of a
// statement that is refused, invalid_sql. The context has to live until the result is closed.
func (r *Reader) SQL(ctx context.Context, tenant string, q SQL) (*Result, error) {
	return r.statement(ctx, tenant, []string{tenant}, q)
}

// maxTenants bounds the tenants of one statement of operators.
const maxTenants = 1000

// Across runs one statement as SQL does, over the tables of several tenants, which have a column tenant in front. Each tenant is
// read at one seq of its own; Result.Seqs says which. It is for operators.
func (r *Reader) Across(ctx context.Context, tenants []string, q SQL) (*Result, error) {
	if len(tenants) == 0 || len(tenants) > maxTenants {
		p := problem.New(problem.LimitExceeded, "tenants are 1 to %d", maxTenants)
		p.Field = "tenants"
		return nil, p
	}
	return r.statement(ctx, operators, tenants, q)
}

// statement runs a statement in a database, over some tenants.
func (r *Reader) statement(ctx context.Context, database string, tenants []string, q SQL) (_ *Result, err error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	res := &Result{Limit: q.Limit, Seqs: map[string]int64{}, engine: r.engine, caller: ctx, timeout: q.Timeout}
	limited, expire := context.WithTimeout(ctx, q.Timeout)
	res.ctx = limited
	res.after(expire)
	defer func() {
		if err != nil {
			err = res.explain(err)
			res.Close()
		}
	}()
	d, err := r.engine.acquire(database)
	if err != nil {
		return nil, err
	}
	res.d = d
	res.after(func() { r.engine.release(d) })
	scopes, err := r.scopes(res, tenants, q)
	if err != nil {
		return nil, err
	}
	return res, res.start(scopes, q)
}

// scopes pins what is published of each tenant, then fixes the instants: the heads are at or behind what is published.
func (r *Reader) scopes(res *Result, tenants []string, q SQL) ([]scope, error) {
	scopes := make([]scope, len(tenants))
	for i, tenant := range tenants {
		view := r.lake.Pin(tenant)
		res.after(view.Release)
		scopes[i] = scope{tenant: tenant, view: view}
	}
	now := r.now()
	for i := range scopes {
		at, err := r.fix(res.ctx, scopes[i].tenant, Options{Strong: q.Strong, AsOf: q.AsOf, MinSeq: q.MinSeq}, now)
		if err != nil {
			return nil, err
		}
		scopes[i].seq, res.At = at.Seq, at
		res.Seqs[scopes[i].tenant] = at.Seq
	}
	return scopes, nil
}

func (r *Result) after(f func()) { r.free = append(r.free, f) }

// start admits the statement, defines what it names and runs it.
func (r *Result) start(in []scope, q SQL) error {
	for _, turns := range []*semaphore.Weighted{r.d.foreign, r.engine.foreign} { // the tenant's first: it holds up no other
		leave, err := admit(r.ctx, turns, r.engine.cfg.QueueTimeout)
		if err != nil {
			return err
		}
		r.after(leave)
	}
	conn, err := r.d.connection(r.ctx)
	if err != nil {
		return err
	}
	conn.Expendable = true
	r.after(func() {
		conn.Expendable = false
		r.d.putBack(conn)
	})
	a, err := r.engine.known.admit(r.ctx, conn, r.engine.words, q.Text)
	if err != nil {
		return err
	}
	r.Tables = a.tableNames()
	release, err := r.d.define(r.ctx, conn, in, a.tables)
	if err != nil {
		return err
	}
	r.after(release)
	end, err := begin(r.ctx, conn)
	r.after(end)
	if err != nil {
		return err
	}
	switch a.kind {
	case kindTables:
		a.text = r.engine.showTables()
	case kindExplain:
		return r.explainPlan(conn, "explain (format json) ", a, q)
	case kindAnalyze:
		return r.explainPlan(conn, "explain (analyze, format json) ", a, q)
	}
	return r.run(conn, a, q)
}

// run runs an admitted statement, each column cast to a type that can be read.
func (r *Result) run(conn *engine.Conn, a admitted, q SQL) error {
	columns, err := r.engine.known.describe(r.ctx, conn, a, q, r.d.tenant == operators)
	if err != nil {
		return err
	}
	if len(columns) > maxWidth {
		return problem.New(problem.LimitExceeded, "the result has more than %d columns", maxWidth)
	}
	r.Columns = unique(columns)
	var text strings.Builder
	text.WriteString("select ")
	for i := range r.Columns {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString(readable(&r.Columns[i], "c"+strconv.Itoa(i)))
	}
	text.WriteString(" from (\n" + trimStatement(a.text) + "\n) t(")
	for i := range r.Columns {
		if i > 0 {
			text.WriteString(", ")
		}
		text.WriteString("c" + strconv.Itoa(i))
	}
	text.WriteString(") limit " + strconv.Itoa(q.Limit+1))
	r.rows, err = query(r.ctx, conn, text.String(), q)
	if err != nil {
		return err
	}
	r.after(r.rows.Close)
	return nil
}

// describe gives the columns of a statement. Where a parameter decides a type, only running says it.
func describe(ctx context.Context, conn *engine.Conn, a admitted, q SQL) ([]duck.Column, error) {
	s, err := conn.Prepare(ctx, a.text)
	if err != nil {
		return nil, a.positioned(err)
	}
	defer s.Close()
	if s.Resolved() {
		return s.Columns(), nil
	}
	rows, err := q.run(ctx, s)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return rows.Columns(), nil
}

// positioned moves the position of an error to the caller's statement.
func (a admitted) positioned(err error) error {
	if failure, ok := errors.AsType[*duck.Error](err); ok && failure.Position >= 0 {
		moved := *failure
		moved.Position += a.before
		return &moved
	}
	return err
}

// query runs a statement of ours around a caller's. The rows own it.
func query(ctx context.Context, conn *engine.Conn, text string, q SQL) (*engine.Rows, error) {
	s, err := conn.Prepare(ctx, text)
	if err != nil {
		return nil, unpositioned(err)
	}
	rows, err := q.run(ctx, s)
	if err != nil {
		s.Close()
		return nil, unpositioned(err)
	}
	rows.Own(s)
	return rows, nil
}

// unpositioned takes away a position that is none of the caller's statement.
func unpositioned(err error) error {
	if failure, ok := errors.AsType[*duck.Error](err); ok {
		moved := *failure
		moved.Position = -1
		return &moved
	}
	return err
}

func (q SQL) run(ctx context.Context, s *engine.Stmt) (*engine.Rows, error) {
	if q.Named != nil {
		return s.QueryNamed(ctx, q.Named)
	}
	return s.Query(ctx, q.Args...)
}

// trimStatement leaves out what ends a statement: spaces and semicolons. A comment behind them ends at the line's end.
func trimStatement(text string) string { return strings.TrimRight(text, "; \t\r\n") }

// unique tells columns of one name apart: a, a_1, a_2.
func unique(columns []duck.Column) []duck.Column {
	out := slices.Clone(columns)
	taken := map[string]bool{}
	for i, c := range out {
		for n := 1; taken[out[i].Name]; n++ {
			out[i].Name = c.Name + "_" + strconv.Itoa(n)
		}
		taken[out[i].Name] = true
	}
	return out
}

// readable gives the expression that brings a column into a type that can be read, and changes its Type accordingly.
func readable(c *duck.Column, name string) string {
	if c.Type.Readable() || c.Type == duck.Decimal {
		return name
	}
	from := c.Type
	c.Type = duck.Varchar
	switch from {
	case duck.List, duck.Array, duck.Struct, duck.Map, duck.Union, duck.Variant:
		c.JSON = true
		return "cast(to_json(" + name + ") as varchar)"
	case duck.TimestampS, duck.TimestampMS:
		c.Type = duck.Timestamp
		return "cast(" + name + " as timestamp)"
	case duck.TimestampNS:
		return "replace(cast(" + name + " as varchar), ' ', 'T')"
	}
	return "cast(" + name + " as varchar)"
}

// Next gives the next rows and how many of them count; io.EOF behind the last. They are valid until the next call.
func (r *Result) Next() (*duck.Chunk, int, error) {
	if r.Truncated || r.rows == nil {
		return nil, 0, io.EOF
	}
	chunk, err := r.rows.Next(r.ctx)
	if errors.Is(err, io.EOF) {
		return nil, 0, io.EOF
	}
	if err != nil {
		return nil, 0, r.explain(unpositioned(err))
	}
	count := chunk.Rows
	if r.read+count > r.Limit {
		count, r.Truncated = r.Limit-r.read, true
	}
	r.read += count
	if count == 0 {
		return nil, 0, io.EOF
	}
	return chunk, count, nil
}

// Rows is how many rows Next has given.
func (r *Result) Rows() int { return r.read }

// Close ends the statement, read or not.
func (r *Result) Close() {
	for _, f := range slices.Backward(r.free) {
		f()
	}
	r.free = nil
}

// explain turns a failure into what the caller may know of it: never a path, an address or a name that is not the caller's.
func (r *Result) explain(err error) error {
	if _, ok := errors.AsType[*problem.Problem](err); ok {
		return err
	}
	if err := r.caller.Err(); err != nil {
		return err
	}
	if errors.Is(err, engine.ErrMemory) {
		return problem.New(problem.MemoryExceeded, "the query was cancelled: the service is short of memory")
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return problem.New(problem.Timeout, "the query took longer than %s", r.timeout)
	}
	if errors.Is(err, duck.ErrArguments) {
		p := invalidSQL(-1, "%s", err.Error())
		p.Field = "params"
		return p
	}
	failure, ok := errors.AsType[*duck.Error](err)
	if !ok || r.d == nil {
		return err
	}
	switch failure.Kind {
	case duck.OutOfMemory:
		p := problem.New(problem.MemoryExceeded, "the query needs more than the %d MB of memory that a query may have", r.engine.cfg.MemoryMB)
		p.Cause = err
		return p
	case duck.Fatal, duck.Internal: // the database refuses everything from here on
		r.engine.discard(r.d)
		return fmt.Errorf("query %s: %w", r.d.tenant, err)
	case duck.IO, duck.Permission: // files are ours
		return fmt.Errorf("query %s: %w", r.d.tenant, err)
	}
	p := invalidSQL(failure.Position, "%s", failure.Message)
	p.Cause = err
	if r.engine.reveals(failure.Message) {
		p.Message = "the statement cannot be run"
	}
	return p
}

// reveals says whether a text names a folder of the server.
func (e *Engine) reveals(text string) bool {
	return strings.Contains(text, e.cfg.Warehouse) || e.cfg.TempDir != "" && strings.Contains(text, e.cfg.TempDir)
}
