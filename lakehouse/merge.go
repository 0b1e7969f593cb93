package lakehouse

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// merge applies changes to the published rows of one tenant in a noun table: rows whose entity changed go, the last version
// of each changed entity that still lives comes, in order of id. old is sorted by id, or nil where nothing is published;
// changes holds each changed entity's last event by id. The caller releases the result, which is nil when no row is left.
func (t *Table) merge(tenant string, old arrow.RecordBatch, changes map[string]*Event, mem memory.Allocator) (arrow.RecordBatch, error) {
	fresh, err := t.changed(tenant, changes, mem)
	if err != nil {
		return nil, err
	}
	defer fresh.Release()
	if old == nil {
		if fresh.NumRows() == 0 {
			return nil, nil
		}
		fresh.Retain()
		return fresh, nil
	}
	picks := picked(ids(old), ids(fresh), changes)
	if len(picks) == 0 {
		return nil, nil
	}
	return t.gatherAll([]arrow.RecordBatch{old, fresh}, picks, mem)
}

// changed decodes the changed entities that live, in order of id.
func (t *Table) changed(tenant string, changes map[string]*Event, mem memory.Allocator) (arrow.RecordBatch, error) {
	rows := make([][]any, 0, len(changes))
	for _, e := range changes {
		row, deleted, err := decode(t.Noun, e)
		if err != nil {
			return nil, fmt.Errorf("%s of %s: %w", t.Name, tenant, err)
		}
		if !deleted {
			rows = append(rows, row)
		}
	}
	slices.SortFunc(rows, func(a, b []any) int { return cmp.Compare(a[0].(string), b[0].(string)) })
	return t.nounRows(tenant, rows, mem)
}

// ids gives the id column of rows of a noun table.
func ids(rows arrow.RecordBatch) *array.String { return rows.Column(1).(*array.String) }

// pick names a row: of which source, and its place there.
type pick struct{ source, row int32 }

// picked lists the rows of the result in order of id: 0 is old, 1 fresh.
func picked(old, fresh *array.String, changes map[string]*Event) []pick {
	picks := make([]pick, 0, old.Len()+fresh.Len())
	j := 0
	for i := range old.Len() {
		id := old.Value(i)
		for ; j < fresh.Len() && fresh.Value(j) <= id; j++ {
			picks = append(picks, pick{1, int32(j)})
		}
		if _, gone := changes[id]; !gone {
			picks = append(picks, pick{0, int32(i)})
		}
	}
	for ; j < fresh.Len(); j++ {
		picks = append(picks, pick{1, int32(j)})
	}
	return picks
}

// gather builds a column of the picked rows of sources of one type.
func gather(sources []arrow.Array, picks []pick, mem memory.Allocator) (arrow.Array, error) {
	switch typ := sources[0].DataType().(type) {
	case *arrow.StringType:
		return gatherStrings(sources, picks, mem), nil
	case *arrow.Float64Type:
		return collect[float64](array.NewFloat64Builder(mem), arrays[*array.Float64](sources), picks), nil
	case *arrow.Int64Type:
		return collect[int64](array.NewInt64Builder(mem), arrays[*array.Int64](sources), picks), nil
	case *arrow.BooleanType:
		return collect[bool](array.NewBooleanBuilder(mem), arrays[*array.Boolean](sources), picks), nil
	case *arrow.Date32Type:
		return collect[arrow.Date32](array.NewDate32Builder(mem), arrays[*array.Date32](sources), picks), nil
	case *arrow.TimestampType:
		return collect[arrow.Timestamp](array.NewTimestampBuilder(mem, typ), arrays[*array.Timestamp](sources), picks), nil
	case *arrow.Decimal128Type:
		return collect(array.NewDecimal128Builder(mem, typ), arrays[*array.Decimal128](sources), picks), nil
	}
	return nil, fmt.Errorf("no column type for %s", sources[0].DataType())
}

// arrays gives arrays of one type as such.
func arrays[A arrow.Array](sources []arrow.Array) []A {
	out := make([]A, len(sources))
	for i, s := range sources {
		out[i] = s.(A)
	}
	return out
}

// gatherAll builds rows of the picked ones.
func (t *Table) gatherAll(sources []arrow.RecordBatch, picks []pick, mem memory.Allocator) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, 0, len(t.Columns))
	defer func() { release(columns) }()
	of := make([]arrow.Array, len(sources))
	runs := runsOf(picks)
	for i := range t.Columns {
		for j, s := range sources {
			of[j] = s.Column(i)
		}
		var c arrow.Array
		var err error
		if len(runs)*longRun <= len(picks) {
			c, err = joinRuns(of, runs, mem)
		} else {
			c, err = gather(of, picks, mem)
		}
		if err != nil {
			return nil, fmt.Errorf("merge %s.%s: %w", t.Name, t.Columns[i].Name, err)
		}
		columns = append(columns, c)
	}
	return array.NewRecordBatch(t.arrow, columns, int64(len(picks))), nil
}

// longRun is the average length from which runs are copied as such: a copy of a run costs as much as picking some ten rows.
const longRun = 16

// run is picks that follow each other.
type run struct {
	source   int32
	from, to int64
}

// runsOf parts picks into runs.
func runsOf(picks []pick) []run {
	var runs []run
	for _, p := range picks {
		if n := len(runs); n > 0 && runs[n-1].source == p.source && runs[n-1].to == int64(p.row) {
			runs[n-1].to++
		} else {
			runs = append(runs, run{p.source, int64(p.row), int64(p.row) + 1})
		}
	}
	return runs
}

// joinRuns builds a column of runs.
func joinRuns(sources []arrow.Array, runs []run, mem memory.Allocator) (arrow.Array, error) {
	parts := make([]arrow.Array, len(runs))
	for i, r := range runs {
		parts[i] = array.NewSlice(sources[r.source], r.from, r.to)
	}
	defer release(parts)
	return array.Concatenate(parts, mem)
}

// builder and values are what arrow's typed builders and arrays share.
type builder[V any] interface {
	array.Builder
	UnsafeAppend(V)
}

type values[V any] interface {
	arrow.Array
	Value(int) V
}

func collect[V any, A values[V]](b builder[V], sources []A, picks []pick) arrow.Array {
	defer b.Release()
	b.Reserve(len(picks))
	for _, p := range picks {
		from, i := sources[p.source], int(p.row)
		if from.IsNull(i) {
			b.UnsafeAppendBoolToBitmap(false)
			continue
		}
		b.UnsafeAppend(from.Value(i))
	}
	return b.NewArray()
}

func gatherStrings(sources []arrow.Array, picks []pick, mem memory.Allocator) arrow.Array {
	texts := arrays[*array.String](sources)
	b := array.NewStringBuilder(mem)
	defer b.Release()
	b.Reserve(len(picks))
	size := 0
	for _, s := range texts {
		size += len(s.ValueBytes())
	}
	b.ReserveData(size)
	for _, p := range picks {
		from, i := texts[p.source], int(p.row)
		if from.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(from.Value(i))
	}
	return b.NewArray()
}
