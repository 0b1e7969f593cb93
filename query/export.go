package query

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"golang.org/x/sync/semaphore"

	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
	"headless.ly/query/duck"
	"headless.ly/query/engine"
)

// ExportTimeout is how long an export may take, its reader's time included.
const ExportTimeout = 2 * time.Hour

// Export is all entities that a query matches, at one instant, computed as they are read. It must be closed, and not be used by
// two goroutines at once.
type Export struct {
	At
	Columns []duck.Column // of Next: types are Readable, or a Decimal

	r     *Reader
	ctx   context.Context
	in    scope
	shape *shape
	d     *database
	rows  *engine.Rows
	free  []func() // in reverse
}

// exportMeta are the columns of an export beside the declared ones, by the names that documents give them.
var exportMeta = []struct{ name, column string }{
	{"$id", columnID}, {"$version", "_version"}, {"$createdAt", "_createdAt"}, {"$createdBy", "_createdBy"}, {"$updatedAt", "_updatedAt"},
}

// ExportRows begins an export as a table, whose columns bear the names of the fields: $type and $id, the declared fields, the
// other meta fields, and _extra, a JSON object of the undeclared ones; or those of q.Fields. Next gives its rows. The context has to
// live until the export is closed.
func (r *Reader) ExportRows(ctx context.Context, tenant string, n *noun.Noun, q Query) (*Export, error) {
	if len(names(q.Include)) > 0 {
		return nil, problem.New(problem.InvalidInclude, "a table holds no other entities: export json or ndjson to include them")
	}
	return r.export(ctx, tenant, n, q, func(s *statement, shown *shape) {
		r.tableColumns(s, n, shown)
	})
}

// ExportDocuments begins an export as documents, which Documents gives: in the shape of a list.
func (r *Reader) ExportDocuments(ctx context.Context, tenant string, n *noun.Noun, q Query) (*Export, error) {
	return r.export(ctx, tenant, n, q, func(s *statement, _ *shape) { s.write("r0.id, r0._seq, r0._version") })
}

// export plans a query and begins to run it; columns writes what it selects of the row r0.
func (r *Reader) export(ctx context.Context, tenant string, n *noun.Noun, q Query, columns func(*statement, *shape)) (_ *Export, err error) {
	if q.IncludeDeleted || q.Sort != "" || q.Limit != 0 || q.Offset != 0 || q.Cursor != "" || q.CountOnly {
		return nil, problem.New(problem.InvalidRequest, "an export gives all live entities that match: no sort, limit, offset, cursor, countOnly or includeDeleted")
	}
	p, err := r.plan(tenant, n, q, nil)
	if err != nil {
		return nil, err
	}
	e := &Export{r: r, shape: p.shape}
	limited, expire := context.WithTimeout(ctx, ExportTimeout)
	e.ctx = limited
	e.after(expire)
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	view := r.lake.Pin(tenant) // before the head is read
	e.after(view.Release)
	if e.At, err = r.fix(limited, tenant, q.Options, p.now); err != nil {
		return nil, err
	}
	e.in = scope{tenant, view, e.Seq}
	s := &statement{}
	s.write(" select ")
	columns(s, p.shape)
	r.matching(&compiler{statement: s, now: p.now}, p)
	if err := e.start(s); err != nil {
		return nil, e.explain(ctx, err)
	}
	return e, nil
}

// tableColumns writes the columns of an export as a table.
func (r *Reader) tableColumns(s *statement, n *noun.Noun, shown *shape) {
	table := r.schemas[n.Name]
	wanted := func(name string) bool { return shown.fields == nil || shown.fields[name] }
	s.write(quoteText(n.Name), ` as "$type", r0.id as "$id"`)
	declared := n.Columns()
	for _, c := range table.columns {
		if slices.ContainsFunc(declared, func(d noun.Column) bool { return d.Name == c.Name }) && wanted(c.Name) {
			s.write(", r0.", quoteName(c.Name))
		}
	}
	for _, m := range exportMeta[1:] {
		if wanted(m.name) {
			s.write(", r0.", quoteName(m.column), " as ", quoteName(m.name))
		}
	}
	if shown.fields == nil {
		s.write(", r0.", quoteName(columnExtra))
	}
}

func (e *Export) after(f func()) { e.free = append(e.free, f) }

// start runs the statement on a connection that is the export's until it is closed.
func (e *Export) start(s *statement) (err error) {
	eng := e.r.engine
	if e.d, err = eng.acquire(e.in.tenant); err != nil {
		return err
	}
	e.after(func() { eng.release(e.d) })
	for _, turns := range []*semaphore.Weighted{e.d.exports, eng.exports} { // the tenant's first: it holds up no other
		leave, err := admit(e.ctx, turns, eng.cfg.QueueTimeout)
		if err != nil {
			return err
		}
		e.after(leave)
	}
	text, done, err := e.d.with(e.ctx, e.in, s.relations)
	e.after(done)
	if err != nil {
		return err
	}
	conn, err := e.d.connection(e.ctx)
	if err != nil {
		return err
	}
	conn.Expendable = true
	e.after(func() {
		conn.Expendable = false
		e.d.putBack(conn)
	})
	end, err := begin(e.ctx, conn)
	e.after(end)
	if err != nil {
		return err
	}
	if e.rows, err = conn.Query(e.ctx, text+s.text.String(), s.args...); err != nil {
		return err
	}
	e.after(e.rows.Close)
	e.Columns = e.rows.Columns()
	return nil
}

// explain turns a failure into what the caller may know of it.
func (e *Export) explain(caller context.Context, err error) error {
	switch {
	case errors.Is(err, engine.ErrMemory):
		return problem.New(problem.MemoryExceeded, "the export was cancelled: the service is short of memory")
	case caller.Err() == nil && e.ctx.Err() != nil:
		return problem.New(problem.Timeout, "the export took longer than %s", ExportTimeout)
	case e.d == nil:
		return err
	}
	return e.r.engine.explain(caller, e.ctx, e.d, err)
}

// Next gives the next rows of a table; io.EOF behind the last. They are valid until the next call.
func (e *Export) Next() (*duck.Chunk, error) {
	chunk, err := e.rows.Next(e.ctx)
	if err != nil && !errors.Is(err, io.EOF) {
		err = e.explain(e.ctx, err)
	}
	return chunk, err
}

// Documents gives the next documents, as lists show them; io.EOF behind the last. They are the caller's.
func (e *Export) Documents() ([][]byte, error) {
	chunk, err := e.Next()
	if err != nil {
		return nil, err
	}
	states := make([]state, chunk.Rows)
	for i := range states {
		c := chunk.Columns
		states[i].Pointer = lakehouse.Pointer{ID: string(c[0].Text(i)), Seq: c[1].Int(i), Version: c[2].Int(i)}
	}
	if err := e.r.load(e.ctx, e.in.tenant, states); err != nil {
		return nil, err
	}
	return e.r.render(e.ctx, e.in, e.shape, states)
}

// Close ends the export, read or not.
func (e *Export) Close() {
	for _, f := range slices.Backward(e.free) {
		f()
	}
	e.free = nil
}
