package query

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math"
	"strings"
	"time"

	"headless.ly/lakehouse"
	"headless.ly/query/engine"
)

// columnUntil holds the seq at which a version was superseded; current marks that it was not.
const (
	columnUntil = "_until"
	current     = math.MaxInt64
)

// columnTo holds the time at which a version was superseded, in tables that tell; null marks that it was not.
const columnTo = "_validTo"

// versionRows is a table of versions of one noun's entities. Each says in columnUntil at which seq it was superseded.
// Versions are only ever appended and marked as superseded: statements that run bound _seq and _until by their instant and are
// not disturbed. One caller at a time changes it.
type versionRows struct {
	database, name string
	whole          bool // with the columns of a history; a delete is a version too

	rows       int64            // versions
	superseded int64            // of them
	places     map[uint64]int64 // row numbers of current versions by the hash of their id; nil: not needed so far
	seed       maphash.Seed
}

// table is the table in SQL.
func (t *versionRows) table() string { return quoteName(t.database) + "." + quoteName(t.name) }

// stateAt is the condition on versions that they are the state at a seq.
func stateAt(seq int64) string {
	return "_seq <= " + number(seq) + " and " + columnUntil + " > " + number(seq)
}

// change is an event as a row of versionRows.
type change struct {
	values []any // of the columns in front of columnUntil
	id     string
	seq    int64
	at     time.Time
	until  int64
	to     any // a time, nil
	delete bool
}

// changes reads the events of a noun within a span, but not more than most, as rows. next is the seq up to which they are all
// there is.
func (d *database) changes(ctx context.Context, of *schema, within span, most int, row func(*lakehouse.Event) ([]any, error)) (
	out []change, next int64, err error) {
	r := lakehouse.Range{After: within.after, Upto: within.upto, Noun: of.noun.Name}
	err = d.engine.log.Read(ctx, d.tenant, r, func(e *lakehouse.Event) error {
		if len(out) >= most {
			return errEnough
		}
		values, err := row(e)
		out = append(out, change{values: values, id: e.Target, seq: e.Seq, at: time.UnixMilli(e.Timestamp), until: current, delete: e.Verb == "delete"})
		return err
	})
	switch {
	case errors.Is(err, errEnough) && len(out) > 0:
		return out, out[len(out)-1].seq, nil
	case errors.Is(err, errEnough):
		return nil, within.after, nil
	}
	return out, within.upto, err
}

// change appends changes, and marks what they supersede. An error leaves the table in an unknown state.
func (t *versionRows) change(ctx context.Context, conn *engine.Conn, changes []change) error {
	if t.places == nil {
		if err := t.find(ctx, conn); err != nil {
			return fmt.Errorf("find versions in %s: %w", t.name, err)
		}
	}
	marks := t.place(changes)
	if err := t.add(conn, changes); err != nil {
		return fmt.Errorf("append to %s: %w", t.name, err)
	}
	if err := t.mark(ctx, conn, marks); err != nil {
		return fmt.Errorf("mark in %s: %w", t.name, err)
	}
	return nil
}

// find reads where the current versions are. All rows are, until something is marked.
func (t *versionRows) find(ctx context.Context, conn *engine.Conn) error {
	rows, err := conn.Query(ctx, "select id, rowid from "+t.table())
	if err != nil {
		return err
	}
	defer rows.Close()
	t.places, t.seed = make(map[uint64]int64, t.rows), maphash.MakeSeed()
	for {
		chunk, err := rows.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for i := range chunk.Rows {
			t.places[maphash.Bytes(t.seed, chunk.Columns[0].Text(i))] = chunk.Columns[1].Int(i)
		}
	}
}

// mark is a row that was superseded.
type mark struct {
	row, seq int64
	at       time.Time
}

// place numbers the rows that changes become and gives the older ones that they supersede.
func (t *versionRows) place(changes []change) (marks []mark) {
	next, of := t.rows, map[int64]int{}
	for i := range changes {
		c := &changes[i]
		key := maphash.String(t.seed, c.id)
		if row, ok := t.places[key]; ok {
			t.superseded++
			if row >= t.rows {
				old := &changes[of[row]]
				old.until, old.to = c.seq, c.at
			} else {
				marks = append(marks, mark{row, c.seq, c.at})
			}
		}
		if !t.keeps(c) {
			delete(t.places, key)
			continue
		}
		t.places[key], of[next] = next, i
		next++
	}
	return marks
}

// keeps says whether a change becomes a row.
func (t *versionRows) keeps(c *change) bool { return t.whole || !c.delete }

// add appends the rows of changes.
func (t *versionRows) add(conn *engine.Conn, changes []change) (err error) {
	appender, err := conn.AppendTo(t.database, t.name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, appender.Close()) }()
	for i := range changes {
		c := &changes[i]
		if !t.keeps(c) {
			continue
		}
		values := append(c.values, c.until)
		if t.whole {
			values = append(values, c.to)
		}
		if err := appender.Row(values...); err != nil {
			return err
		}
		t.rows++
	}
	return nil
}

// maxMarks bounds one statement that marks rows.
const maxMarks = 1000

// mark sets when rows were superseded. Each has to be there, and current.
func (t *versionRows) mark(ctx context.Context, conn *engine.Conn, marks []mark) error {
	for len(marks) > 0 {
		some := marks[:min(len(marks), maxMarks)]
		marks = marks[len(some):]
		var values strings.Builder
		for i, m := range some {
			if i > 0 {
				values.WriteString(", ")
			}
			values.WriteString("(" + number(m.row) + ", " + number(m.seq) + ", " + number(m.at.UnixMicro()) + ")")
		}
		set := columnUntil + " = m.seq"
		if t.whole {
			set += ", " + columnTo + " = make_timestamptz(m.instant)"
		}
		count, err := readAll(ctx, conn, "update "+t.table()+" v set "+set+" from (values "+values.String()+") m(place, seq, instant) where v.rowid = m.place and v."+
			columnUntil+" = "+number(current))
		if err != nil {
			return err
		}
		if n, _ := count[0][0].(int64); n != int64(len(some)) {
			return fmt.Errorf("%d of %d rows are there", n, len(some))
		}
	}
	return nil
}
