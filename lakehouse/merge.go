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
	return t.gatherAll(old, fresh, picks, mem)
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

// pick names a row: of the old rows from 0, of the fresh ones as ^place.
type pick int

// picked lists the rows of the result in order of id.
func picked(old, fresh *array.String, changes map[string]*Event) []pick {
	picks := make([]pick, 0, old.Len()+fresh.Len())
	j := 0
	for i := range old.Len() {
		id := old.Value(i)
		for ; j < fresh.Len() && fresh.Value(j) <= id; j++ {
			picks = append(picks, pick(^j))
		}
		if _, gone := changes[id]; !gone {
			picks = append(picks, pick(i))
		}
	}
	for ; j < fresh.Len(); j++ {
		picks = append(picks, pick(^j))
	}
	return picks
}

// gather builds a column of the picked rows.
func gather(old, fresh arrow.Array, picks []pick, mem memory.Allocator) (arrow.Array, error) {
	switch old := old.(type) {
	case *array.String:
		return gatherStrings(old, fresh.(*array.String), picks, mem), nil
	case *array.Float64:
		return collect[float64](array.NewFloat64Builder(mem), old, fresh.(*array.Float64), picks), nil
	case *array.Int64:
		return collect[int64](array.NewInt64Builder(mem), old, fresh.(*array.Int64), picks), nil
	case *array.Boolean:
		return collect[bool](array.NewBooleanBuilder(mem), old, fresh.(*array.Boolean), picks), nil
	case *array.Date32:
		return collect[arrow.Date32](array.NewDate32Builder(mem), old, fresh.(*array.Date32), picks), nil
	case *array.Timestamp:
		b := array.NewTimestampBuilder(mem, old.DataType().(*arrow.TimestampType))
		return collect[arrow.Timestamp](b, old, fresh.(*array.Timestamp), picks), nil
	case *array.Decimal128:
		b := array.NewDecimal128Builder(mem, old.DataType().(*arrow.Decimal128Type))
		return collect(b, old, fresh.(*array.Decimal128), picks), nil
	}
	return nil, fmt.Errorf("no column type for %s", old.DataType())
}

// gatherAll builds rows of the picked ones.
func (t *Table) gatherAll(old, fresh arrow.RecordBatch, picks []pick, mem memory.Allocator) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, 0, old.NumCols())
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i := range int(old.NumCols()) {
		c, err := gather(old.Column(i), fresh.Column(i), picks, mem)
		if err != nil {
			return nil, fmt.Errorf("merge %s.%s: %w", t.Name, t.Columns[i].Name, err)
		}
		columns = append(columns, c)
	}
	return array.NewRecordBatch(t.arrow, columns, int64(len(picks))), nil
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

func collect[V any](b builder[V], old, fresh values[V], picks []pick) arrow.Array {
	defer b.Release()
	b.Reserve(len(picks))
	for _, p := range picks {
		from, i := old, int(p)
		if p < 0 {
			from, i = fresh, ^int(p)
		}
		if from.IsNull(i) {
			b.UnsafeAppendBoolToBitmap(false)
			continue
		}
		b.UnsafeAppend(from.Value(i))
	}
	return b.NewArray()
}

func gatherStrings(old, fresh *array.String, picks []pick, mem memory.Allocator) arrow.Array {
	b := array.NewStringBuilder(mem)
	defer b.Release()
	b.Reserve(len(picks))
	b.ReserveData(len(old.ValueBytes()) + len(fresh.ValueBytes()))
	for _, p := range picks {
		from, i := old, int(p)
		if p < 0 {
			from, i = fresh, ^int(p)
		}
		if from.IsNull(i) {
			b.AppendNull()
			continue
		}
		b.Append(from.Value(i))
	}
	return b.NewArray()
}
