package query

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"headless.ly/lakehouse"
	"headless.ly/query/engine"
)

// segment is a part of one noun's history as a typed table: one row per event, with _seq, and _deleted for a delete.
// The log's segment has the log's columns alone. A segment holds every event with after < seq <= fed, except that below floor only the latest of each entity is kept. So it
// answers for an instant between floor and fed. Rows are only ever appended, in order of seq: statements that run bound
// _seq by their instant and are not disturbed.
type segment struct {
	table  string // quoted
	schema *schema
	whole  bool // with the columns of a history
	after  int64
	floor  int64
	fed    int64
	seqs   []int64 // of its rows, ascending

	lease
}

// newSegment makes an empty segment behind a seq.
func (d *database) newSegment(ctx context.Context, key feedKey, after int64) (*segment, error) {
	g := d.nameSegment(key.table, after)
	g.whole = key.history
	columns := g.schema.columns[:len(g.schema.columns):len(g.schema.columns)]
	if g.schema.noun != nil {
		if g.whole {
			columns = append(columns, versionColumns...)
		}
		columns = append(columns, lakehouse.Column{Name: columnDeleted, Type: lakehouse.Boolean})
	}
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = quoteName(c.Name) + " " + sqlType(c)
	}
	if err := d.exec(ctx, "create table "+g.table+" ("+strings.Join(list, ", ")+")"); err != nil {
		return nil, fmt.Errorf("make segment of %s: %w", g.schema.name, err)
	}
	return g, nil
}

func (d *database) nameSegment(table *schema, after int64) *segment {
	name := table.name + "/" + strconv.FormatInt(d.engine.tables.Add(1), 10)
	g := &segment{table: quoteName(name), schema: table, after: after, floor: after, fed: after}
	g.lease.drop = func() error { return d.drop(g) }
	return g
}

// holds says whether the segment has, or will have when it is fed, what a reader needs.
func (g *segment) holds(need span) bool { return g.after <= need.after && g.floor <= need.upto }

// skip leaves out events that no reader from a seq on needs, if none behind it was fed yet. Rows below stay for the readers
// that use them.
func (g *segment) skip(seq int64) {
	if g.fed < seq {
		g.after, g.floor, g.fed = seq, seq, seq
	}
}

// Why a read of the log into a segment ended early.
var (
	errEnough = errors.New("enough events")
	errAppend = errors.New("append to segment") // the segment's content is unknown
)

// extend appends the events of a range that choose keeps. Rows that were appended before a failure stay, and count, unless
// it is errAppend.
func (d *database) extend(ctx context.Context, g *segment, r lakehouse.Range, choose func(*lakehouse.Event) (bool, error)) error {
	return d.use(ctx, func(conn *engine.Conn) (err error) {
		appender, err := conn.Append(unquoteName(g.table))
		if err != nil {
			return fmt.Errorf("%w: %w", errAppend, err)
		}
		defer func() {
			if failed := appender.Close(); failed != nil {
				err = errors.Join(err, errAppend, failed)
			}
		}()
		return d.engine.log.Read(ctx, d.tenant, r, func(e *lakehouse.Event) error {
			if keep, err := choose(e); err != nil || !keep {
				return err
			}
			row, err := g.row(e)
			if err != nil {
				return err
			}
			if err := appender.Row(row...); err != nil {
				return fmt.Errorf("%w: event %d: %w", errAppend, e.Seq, err)
			}
			g.seqs = append(g.seqs, e.Seq)
			d.rows.Add(1)
			return nil
		})
	})
}

func unquoteName(quoted string) string { return quoted[1 : len(quoted)-1] }

// row is the table row of an event.
func (g *segment) row(e *lakehouse.Event) ([]any, error) {
	if g.schema.noun == nil {
		return logRow(e), nil
	}
	if g.whole {
		return versionRow(g.schema, e)
	}
	values, err := lakehouse.Row(g.schema.noun, e)
	return append(values, e.Verb == "delete"), err
}

// state implements history.
func (g *segment) state(upto int64, deleted bool) string { return versions(g, span{0, upto}, deleted) }

// all implements history.
func (g *segment) all(upto int64) string {
	return "select " + g.schema.list + ", " + columnFrom + ", lead(" + columnFrom + ") over (partition by id order by _seq) as " + columnTo + ", " +
		columnDeleted + ", _verb, _actor, _event from " + g.table + " where _seq <= " + number(upto)
}

// at implements history.
func (g *segment) at(upto int64) string {
	return "select " + g.schema.list + " from " + g.table + " where not " + columnDeleted + " and _seq in (select max(_seq) from " + g.table +
		" where _seq <= " + number(upto) + " and " + columnFrom + " <= cast(ts as timestamptz) group by id)"
}

// logRow is an event in the columns of the log.
func logRow(e *lakehouse.Event) []any {
	return []any{
		e.Seq, e.ID, e.Kind, e.Type, e.Entity, e.Target, textOrNull(e.Verb), textOrNull(e.Actor), time.UnixMilli(e.Timestamp), e.Version,
		textOrNull(string(e.Data)), textOrNull(string(e.Before)), textOrNull(string(e.Changes)), textOrNull(string(e.Input)),
		textOrNull(e.Source), textOrNull(e.RequestID), textOrNull(e.Cause),
	}
}

func textOrNull(text string) any {
	if text == "" {
		return nil
	}
	return text
}

func decimalType(c lakehouse.Column) string {
	return "DECIMAL(" + strconv.Itoa(c.Precision) + "," + strconv.Itoa(c.Scale) + ")"
}

// below counts the rows with _seq <= seq.
func (g *segment) below(seq int64) int {
	i, _ := slices.BinarySearch(g.seqs, seq+1)
	return i
}

// latest copies the rows behind a seq into a new segment, of each entity the latest only.
func (d *database) latest(ctx context.Context, g *segment, after int64) (*segment, error) {
	next := d.nameSegment(g.schema, after)
	next.fed, next.floor = g.fed, g.fed
	err := d.exec(ctx, "create table "+next.table+" as select * from "+g.table+" where _seq in ("+
		latestSeqs(g.table, span{after, g.fed})+")")
	if err != nil {
		return nil, fmt.Errorf("compact segment of %s: %w", g.schema.name, err)
	}
	return d.counted(ctx, next)
}

// behind copies the rows behind a seq into a new segment.
func (d *database) behind(ctx context.Context, g *segment, after int64) (*segment, error) {
	next := d.nameSegment(g.schema, after)
	next.fed, next.floor = g.fed, max(g.floor, after)
	err := d.exec(ctx, "create table "+next.table+" as select * from "+g.table+" where _seq > "+strconv.FormatInt(after, 10))
	if err != nil {
		return nil, fmt.Errorf("prune segment of %s: %w", g.schema.name, err)
	}
	return d.counted(ctx, next)
}

// counted reads back which rows a copied segment has.
func (d *database) counted(ctx context.Context, g *segment) (*segment, error) {
	rows, err := d.run(ctx, "select _seq from "+g.table+" order by _seq", nil)
	if err != nil {
		return nil, errors.Join(err, d.drop(g))
	}
	g.seqs = make([]int64, len(rows))
	for i, row := range rows {
		g.seqs[i], _ = row[0].(int64)
	}
	d.rows.Add(int64(len(g.seqs)))
	return g, nil
}

// drop frees a segment's table. It does not stop for a caller who left.
func (d *database) drop(g *segment) error {
	d.rows.Add(-int64(len(g.seqs)))
	return d.exec(context.Background(), "drop table if exists "+g.table)
}
