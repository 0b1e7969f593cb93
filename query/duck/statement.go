package duck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

// Column is one column of a result.
type Column struct {
	Name string
	Type Type
	SQL  string // the type as DuckDB spells it
	JSON bool   // text that DuckDB knows to be JSON
	// Width and Scale of a Decimal.
	Width, Scale int
}

// Stmt is a prepared statement.
type Stmt struct {
	conn    *Conn
	handle  bindings.PreparedStatement
	columns []Column

	// Held asks for the whole result to be computed before the first row is given. EXPLAIN ANALYZE needs it.
	Held bool
}

// Prepare prepares one statement. What is prepared may run in part: only what was admitted may come here.
func (c *Conn) Prepare(ctx context.Context, text string) (*Stmt, error) {
	s := &Stmt{conn: c}
	err := c.guard(ctx, func() error {
		state := bindings.Prepare(c.handle, text, &s.handle)
		return stateError(state, func() string { return bindings.PrepareError(s.handle) })
	})
	if err != nil {
		s.Close()
		return nil, err
	}
	for i := range bindings.PreparedStatementColumnCount(s.handle) {
		s.columns = append(s.columns, columnOf(bindings.PreparedStatementColumnName(s.handle, i),
			bindings.PreparedStatementColumnLogicalType(s.handle, i)))
	}
	return s, nil
}

// columnOf reads a type and destroys it.
func columnOf(name string, t bindings.LogicalType) Column {
	c := Column{Name: name, Type: Type(bindings.GetTypeId(t)), JSON: bindings.LogicalTypeGetAlias(t) == "JSON"}
	if c.Type == Decimal {
		c.Width, c.Scale = int(bindings.DecimalWidth(t)), int(bindings.DecimalScale(t))
	}
	c.SQL = typeName(t)
	return c
}

// Close frees the statement. Its rows must be closed.
func (s *Stmt) Close() { bindings.DestroyPrepare(&s.handle) }

// Columns gives the columns of the result, where they are known before it runs; a parameter's type may leave them open.
func (s *Stmt) Columns() []Column { return s.columns }

// Resolved says whether the columns are known before the statement runs.
func (s *Stmt) Resolved() bool { return Resolved(s.columns) }

// Resolved says whether the columns of a prepared statement are known.
func Resolved(columns []Column) bool {
	for _, c := range columns {
		if c.Type == Unresolved || c.Type == Unknown {
			return false
		}
	}
	return len(columns) > 0
}

// Params gives the names of the parameters: $1 and ? are "1", $name is "name".
func (s *Stmt) Params() []string {
	names := make([]string, bindings.NParams(s.handle))
	for i := range names {
		names[i] = bindings.ParameterName(s.handle, bindings.IdxT(i+1))
	}
	return names
}

// ErrArguments is wrapped where the arguments do not fit the parameters of a statement.
var ErrArguments = errors.New("the parameters do not fit")

// Query runs the statement with positional arguments: nil, bool, int, int64, float64, string or time.Time.
func (s *Stmt) Query(ctx context.Context, args ...any) (*Rows, error) {
	if n := int(bindings.NParams(s.handle)); n != len(args) {
		return nil, fmt.Errorf("%w: the statement has %d and is given %d", ErrArguments, n, len(args))
	}
	for i, v := range args {
		if err := s.bind(bindings.IdxT(i+1), v); err != nil {
			return nil, err
		}
	}
	return s.run(ctx)
}

// QueryNamed runs the statement with an argument for each of its parameters, by name.
func (s *Stmt) QueryNamed(ctx context.Context, args map[string]any) (*Rows, error) {
	names := s.Params()
	for i, name := range names {
		v, ok := args[name]
		if !ok {
			return nil, fmt.Errorf("%w: $%s is not given", ErrArguments, name)
		}
		if err := s.bind(bindings.IdxT(i+1), v); err != nil {
			return nil, err
		}
	}
	if len(names) != len(args) {
		return nil, fmt.Errorf("%w: the statement has %d and is given %d", ErrArguments, len(names), len(args))
	}
	return s.run(ctx)
}

func (s *Stmt) bind(i bindings.IdxT, v any) error {
	var state bindings.State
	switch v := v.(type) {
	case nil:
		state = bindings.BindNull(s.handle, i)
	case bool:
		state = bindings.BindBoolean(s.handle, i, v)
	case int:
		state = bindings.BindInt64(s.handle, i, int64(v))
	case int64:
		state = bindings.BindInt64(s.handle, i, v)
	case float64:
		state = bindings.BindDouble(s.handle, i, v)
	case string:
		state = bindings.BindVarcharLength(s.handle, i, v, bindings.IdxT(len(v)))
	case time.Time:
		state = bindings.BindTimestampTZ(s.handle, i, bindings.NewTimestamp(v.UnixMicro()))
	default:
		return fmt.Errorf("bind parameter %d: a %T is no argument", i, v)
	}
	return stateError(state, func() string { return bindings.PrepareError(s.handle) })
}

func (s *Stmt) run(ctx context.Context) (*Rows, error) {
	r := &Rows{conn: s.conn}
	err := s.conn.guard(ctx, func() error {
		var pending bindings.PendingResult
		defer func() { bindings.DestroyPending(&pending) }()
		begin := bindings.PendingPreparedStreaming
		if s.Held {
			begin = bindings.PendingPrepared
		}
		state := begin(s.handle, &pending)
		if err := stateError(state, func() string { return bindings.PendingError(pending) }); err != nil {
			return err
		}
		state = bindings.ExecutePending(pending, &r.result)
		return stateError(state, func() string { return bindings.ResultError(&r.result) })
	})
	if err != nil {
		r.Close()
		return nil, err
	}
	for i := range bindings.ColumnCount(&r.result) {
		r.columns = append(r.columns, columnOf(bindings.ColumnName(&r.result, i), bindings.ColumnLogicalType(&r.result, i)))
	}
	return r, nil
}

// Rows are the rows of a result, read chunk by chunk.
type Rows struct {
	conn    *Conn
	owned   *Stmt // closed with the rows
	result  bindings.Result
	columns []Column
	chunk   Chunk
}

// Own closes the statement with the rows.
func (r *Rows) Own(s *Stmt) { r.owned = s }

// Columns gives the columns of the result.
func (r *Rows) Columns() []Column { return r.columns }

// Next gives the next rows, at least one; io.EOF behind the last. They are valid until the next call.
func (r *Rows) Next(ctx context.Context) (*Chunk, error) {
	r.drop()
	for {
		if err := r.conn.guard(ctx, r.fetch); err != nil {
			return nil, err
		}
		if r.chunk.handle.Ptr == nil {
			return nil, io.EOF
		}
		if r.chunk.read(r.columns); r.chunk.Rows > 0 {
			return &r.chunk, nil
		}
		r.drop()
	}
}

func (r *Rows) fetch() error {
	r.chunk.handle = bindings.FetchChunk(r.result)
	if r.chunk.handle.Ptr == nil {
		if text := bindings.ResultError(&r.result); text != "" {
			return failure(text)
		}
	}
	return nil
}

func (r *Rows) drop() {
	if r.chunk.handle.Ptr != nil {
		bindings.DestroyDataChunk(&r.chunk.handle)
		r.chunk.handle.Ptr = nil
	}
}

// Close ends the result, read or not.
func (r *Rows) Close() {
	r.drop()
	bindings.DestroyResult(&r.result)
	if r.owned != nil {
		r.owned.Close()
	}
}

// All reads every row that is left: strings, int64, float64, bool, time.Time and nil.
func (r *Rows) All(ctx context.Context) ([][]any, error) { return All(ctx, r) }

// Source gives the rows of a result as Rows does.
type Source interface {
	Next(ctx context.Context) (*Chunk, error)
}

// All reads every row of a result as Rows.All does.
func All(ctx context.Context, r Source) ([][]any, error) {
	var out [][]any
	for {
		chunk, err := r.Next(ctx)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		for i := range chunk.Rows {
			row := make([]any, len(chunk.Columns))
			for j := range chunk.Columns {
				if row[j], err = chunk.Columns[j].Value(i); err != nil {
					return nil, errors.New("column " + strconv.Itoa(j) + ": " + err.Error())
				}
			}
			out = append(out, row)
		}
	}
}
