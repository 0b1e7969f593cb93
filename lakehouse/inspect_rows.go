package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"headless.ly/catalog"
)

// Events calls yield with what the events table holds of a tenant, file by file in order of seq. A file that is damaged is
// reported and passed over: its events are missing. Events are the caller's.
func (n *Inspection) Events(ctx context.Context, tenant string, yield func(file string, e *Event) error) error {
	return n.EventsBetween(ctx, tenant, 1, math.MaxInt64, yield)
}

// EventsBetween is Events of the files that may hold events from one seq to another.
func (n *Inspection) EventsBetween(ctx context.Context, tenant string, from, upto int64, yield func(file string, e *Event) error) error {
	t := n.tables[0]
	for _, s := range t.events[tenant] {
		if t.bad[s.location] || s.last < from || s.first > upto {
			continue
		}
		var stopped error
		err := t.readEvents(ctx, n.io, s.location, func(e *Event) error {
			stopped = yield(catalog.Path(s.location), e)
			return stopped
		})
		if stopped != nil || ctx.Err() != nil {
			return errors.Join(stopped, ctx.Err())
		}
		if err != nil {
			t.bad[s.location] = true
			n.found(t, Flaw{Kind: FlawData, File: catalog.Path(s.location), Detail: err.Error()})
		}
	}
	return nil
}

// EventFile is a current file of the events table, named for the seqs that it holds.
type EventFile struct {
	Path        string
	First, Last int64
	Bad         bool // it is missing or not as it was written
}

// EventFiles lists a tenant's files of the events table, in order of seq.
func (n *Inspection) EventFiles(tenant string) []EventFile {
	var out []EventFile
	for _, s := range n.tables[0].events[tenant] {
		out = append(out, EventFile{catalog.Path(s.location), s.first, s.last, n.tables[0].bad[s.location]})
	}
	return out
}

// Listed says whether the tables' current manifests could be read, so that Events and Rows know all files: of events and of
// a noun.
func (n *Inspection) Listed(noun string) bool {
	for _, t := range n.tables {
		if t.Noun == nil && noun == "" || t.Noun != nil && t.Noun.Name == noun {
			return t.listed
		}
	}
	return false
}

// readEvents yields the rows of a file of the events table.
func (t *Table) readEvents(ctx context.Context, x *catalog.IO, location string, yield func(*Event) error) error {
	s, err := openStream(ctx, x, location, t.storedIDs(), streamRows, defaultMemory)
	if err != nil {
		return err
	}
	defer s.close()
	for {
		columns, rows, err := s.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := t.yieldEvents(columns, rows, yield); err != nil {
			return err
		}
	}
}

func (t *Table) yieldEvents(columns []arrow.Array, rows int, yield func(*Event) error) error {
	batch, err := t.fit(columns, int64(rows), defaultMemory)
	if err != nil {
		return err
	}
	defer batch.Release()
	for i := range rows {
		if err := yield(eventAt(batch, i)); err != nil {
			return err
		}
	}
	return nil
}

// eventAt gives a row of the events table as the event that eventRows made it of.
func eventAt(batch arrow.RecordBatch, i int) *Event {
	text := func(column int) string {
		c := batch.Column(column).(*array.String)
		if c.IsNull(i) {
			return ""
		}
		return string([]byte(c.Value(i)))
	}
	doc := func(column int) []byte {
		c := batch.Column(column).(*array.String)
		if c.IsNull(i) {
			return nil
		}
		return []byte(c.Value(i))
	}
	number := func(column int) int64 { return batch.Column(column).(*array.Int64).Value(i) }
	return &Event{
		Seq: number(1), ID: text(2), Kind: text(3), Type: text(4), Entity: text(5), Target: text(6), Verb: text(7), Actor: text(8),
		Timestamp: int64(batch.Column(9).(*array.Timestamp).Value(i)) / 1000, Version: number(10), Data: doc(11), Before: doc(12),
		Changes: doc(13), Input: doc(14), Source: text(15), RequestID: text(16), Cause: text(17),
	}
}

// Rows compares the rows of a tenant in a noun's table with the events they must be made of: version gives the last event of
// an entity up to a seq, or nil, and whether it leaves the entity deleted. It gives how many live rows the table has; how
// many there must be is for the caller to compare. What differs is reported.
func (n *Inspection) Rows(ctx context.Context, tenant, noun string, version func(id string, upto int64) (e *Event, deleted bool, err error)) (rows int64, err error) {
	for _, t := range n.tables[1:] {
		if t.Noun.Name != noun {
			continue
		}
		c := &rowCheck{Inspection: n, t: t, tenant: tenant, upto: n.Stands(tenant)[noun], version: version}
		for _, f := range t.files[tenant] {
			if t.bad[f.location] || f.deletes != "" && t.bad[f.deletes] {
				continue
			}
			live, err := c.file(ctx, f)
			rows += live
			if ctx.Err() != nil {
				return rows, ctx.Err()
			}
			if err != nil {
				n.found(t, Flaw{Kind: FlawData, File: catalog.Path(f.location), Detail: err.Error()})
			}
		}
	}
	return rows, nil
}

// rowCheck compares a tenant's rows of one noun.
type rowCheck struct {
	*Inspection
	t       *inspected
	tenant  string
	upto    int64
	version func(string, int64) (*Event, bool, error)
}

// file compares the rows of one file.
func (c *rowCheck) file(ctx context.Context, f dataFile) (live int64, err error) {
	deleted := roaring.New()
	if f.deletes != "" {
		if deleted, err = readDeletes(ctx, c.io, f.deletes, f.location, c.mem); err != nil {
			return 0, err
		}
	}
	s, err := openStream(ctx, c.io, f.location, c.t.storedIDs(), streamRows, c.mem)
	if err != nil {
		return 0, err
	}
	defer s.close()
	at, last := uint32(0), ""
	for {
		columns, rows, err := s.next()
		if errors.Is(err, io.EOF) {
			return live, nil
		}
		if err != nil {
			return live, err
		}
		batch, err := c.t.fit(columns, int64(rows), c.mem)
		if err != nil {
			return live, err
		}
		n, err := c.batch(batch, deleted, at, &last, f)
		batch.Release()
		live, at = live+n, at+uint32(rows)
		if err != nil {
			return live, err
		}
	}
}

// batch compares rows that begin at a position of the file.
func (c *rowCheck) batch(batch arrow.RecordBatch, deleted *roaring.Bitmap, at uint32, last *string, f dataFile) (live int64, err error) {
	names, tenants := ids(batch), batch.Column(0).(*array.String)
	seqs := batch.Column(len(c.t.Columns) - 2).(*array.Int64)
	var want [][]any
	var rows []int
	for i := range int(batch.NumRows()) {
		id := string([]byte(names.Value(i)))
		switch {
		case id <= *last && at+uint32(i) > 0:
			c.row(f, 0, "%s stands behind %s", id, *last)
		case tenants.Value(i) != c.tenant:
			c.row(f, 0, "%s is of tenant %s", id, tenants.Value(i))
		}
		*last = id
		if deleted.Contains(at + uint32(i)) {
			continue
		}
		live++
		e, gone, err := c.version(id, c.upto)
		switch {
		case err != nil:
			continue // the log is damaged there, which is told by itself
		case e == nil || gone:
			c.row(f, seqs.Value(i), "%s does not live at seq %d", id, c.upto)
			continue
		case e.Seq != seqs.Value(i):
			c.row(f, seqs.Value(i), "%s stands at event %d, at seq %d its last one is %d", id, seqs.Value(i), c.upto, e.Seq)
			continue
		}
		row, err := Row(c.t.Noun, e)
		if err != nil {
			continue // the log holds no document there, which is told by itself
		}
		want, rows = append(want, row), append(rows, i)
	}
	return live, c.same(batch, want, rows, f)
}

// same compares the rows of a batch at some places with those that Row made.
func (c *rowCheck) same(batch arrow.RecordBatch, want [][]any, rows []int, f dataFile) error {
	made, err := c.t.nounRows(c.tenant, want, c.mem)
	if err != nil {
		return err
	}
	defer made.Release()
	for i, column := range c.t.Columns {
		have, must := batch.Column(i), made.Column(i)
		for j, row := range rows {
			if !array.SliceEqual(have, int64(row), int64(row)+1, must, int64(j), int64(j)+1) {
				c.row(f, want[j][len(want[j])-2].(int64), "%s of %s is not as the log has it", column.Name, want[j][0])
			}
		}
	}
	return nil
}

func (c *rowCheck) row(f dataFile, seq int64, format string, args ...any) {
	c.found(c.t, Flaw{Kind: FlawRows, Tenant: c.tenant, File: filepath.Clean(catalog.Path(f.location)), Seq: seq, Detail: fmt.Sprintf(format, args...)})
}

// Report lets the caller report a flaw of a table that it found itself.
func (n *Inspection) Report(f Flaw) { n.cfg.Found(f) }

// Bad says whether a file of a tenant in a noun's table is damaged, so that its rows are not all counted.
func (n *Inspection) Bad(tenant, noun string) bool {
	for _, t := range n.tables[1:] {
		for _, f := range t.files[tenant] {
			if t.Noun.Name == noun && (t.bad[f.location] || f.deletes != "" && t.bad[f.deletes]) {
				return true
			}
		}
	}
	return false
}
