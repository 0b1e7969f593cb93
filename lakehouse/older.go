package lakehouse

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
)

// storedColumns are the columns that files of the table may have: the declared ones, then those that are declared no more.
func (t *Table) storedColumns() []Column {
	if t.past == nil {
		return t.Columns
	}
	return slices.Concat(t.Columns, t.past.Retired)
}

// fit makes rows of a file, whatever its age, rows of the table as it is declared now. columns are those of storedColumns as the
// file has them, nil where it lacks one; they stay the caller's, who releases the result.
func (t *Table) fit(columns []arrow.Array, rows int64, mem memory.Allocator) (arrow.RecordBatch, error) {
	stored := t.storedColumns()
	typed := make([]arrow.Array, 0, len(stored))
	defer func() { release(typed) }()
	for i, c := range stored {
		if columns[i] == nil {
			typed = append(typed, array.MakeArrayOfNull(mem, arrowType(c), int(rows)))
			continue
		}
		wide, ok := widened(columns[i], arrowType(c))
		if !ok {
			return nil, fmt.Errorf("column %s is %s, declared %s", c.Name, columns[i].DataType(), arrowType(c))
		}
		typed = append(typed, wide)
	}
	declared, retired := typed[:len(t.Columns)], typed[len(t.Columns):]
	batch := array.NewRecordBatch(t.arrow, declared, rows)
	if t.Noun == nil || t.past == nil || !t.past.Lifts() {
		return batch, nil
	}
	defer batch.Release()
	return t.lift(batch, retired, mem)
}

func release(columns []arrow.Array) {
	for _, c := range columns {
		if c != nil {
			c.Release()
		}
	}
}

// widened gives an array as one of the type: itself, or a decimal of fewer digits as one of more; ok is false for any other.
// The caller releases it.
func widened(data arrow.Array, typ arrow.DataType) (out arrow.Array, ok bool) {
	if arrow.TypeEqual(data.DataType(), typ) {
		data.Retain()
		return data, true
	}
	from, isDecimal := data.DataType().(*arrow.Decimal128Type)
	to, wanted := typ.(*arrow.Decimal128Type)
	if !isDecimal || !wanted || from.Scale != to.Scale || from.Precision > to.Precision {
		return nil, false
	}
	d := data.Data()
	same := array.NewData(typ, d.Len(), d.Buffers(), nil, d.NullN(), d.Offset())
	defer same.Release()
	return array.MakeFromData(same), true
}

// lifted are rows of an older file, by place, that Lift changes.
type lifted struct {
	at     map[int]int // row → place in what follows
	values [][]any     // as Lift gives them
	extra  []any       // what _extra is then: text, or nil
}

// lift gives the undeclared and the retired fields of an older file's rows the place that they have today. retired are the
// columns t.past.Retired of the same rows. The caller releases the result.
func (t *Table) lift(rows arrow.RecordBatch, retired []arrow.Array, mem memory.Allocator) (arrow.RecordBatch, error) {
	l, err := t.lifts(rows, retired)
	if err != nil {
		return nil, err
	}
	if len(l.at) == 0 {
		rows.Retain()
		return rows, nil
	}
	columns := make([]arrow.Array, 0, len(t.Columns))
	defer func() { release(columns) }()
	for i := range t.Columns {
		c, err := t.lifting(rows.Column(i), i, l, mem)
		if err != nil {
			return nil, fmt.Errorf("lift %s.%s: %w", t.Name, t.Columns[i].Name, err)
		}
		columns = append(columns, c)
	}
	return array.NewRecordBatch(t.arrow, columns, rows.NumRows()), nil
}

// lifts works out what changes.
func (t *Table) lifts(rows arrow.RecordBatch, retired []arrow.Array) (lifted, error) {
	l := lifted{at: map[int]int{}}
	extra := rows.Column(len(t.Columns) - 1).(*array.String)
	for i := range int(rows.NumRows()) {
		var old entity.Object
		for j, c := range t.past.Retired {
			if !retired[j].IsNull(i) {
				old = append(old, entity.Member{Name: c.Name, Value: documentValue(c, retired[j], i)})
			}
		}
		if len(old) == 0 && extra.IsNull(i) {
			continue
		}
		text := "{}"
		if !extra.IsNull(i) {
			text = extra.Value(i)
		}
		values, rest, err := Lift(t.Noun.Columns(), t.Noun.Was(), text, string(old.Append(nil)))
		if err != nil {
			return l, fmt.Errorf("%s %s: %w", t.Name, ids(rows).Value(i), err)
		}
		var left any
		if rest != "" {
			left = rest
		}
		l.at[i] = len(l.values)
		l.values, l.extra = append(l.values, values), append(l.extra, left)
	}
	return l, nil
}

// lifting gives one column after lifting. A value that the column has stays.
func (t *Table) lifting(column arrow.Array, place int, l lifted, mem memory.Allocator) (arrow.Array, error) {
	declared, extra := place-2, place == len(t.Columns)-1 // behind tenant and id
	if !extra && (declared < 0 || declared >= len(t.Noun.Columns())) {
		column.Retain()
		return column, nil
	}
	b := array.NewBuilder(mem, column.DataType())
	defer b.Release()
	picks := make([]pick, column.Len())
	fresh := 0
	for i := range picks {
		picks[i] = pick{0, int32(i)}
		k, found := l.at[i]
		switch {
		case !found:
			continue
		case extra:
			if err := appendValue(b, l.extra[k]); err != nil {
				return nil, err
			}
		case column.IsNull(i) && l.values[k][declared] != nil:
			if err := appendValue(b, l.values[k][declared]); err != nil {
				return nil, err
			}
		default:
			continue
		}
		picks[i] = pick{1, int32(fresh)}
		fresh++
	}
	if fresh == 0 {
		column.Retain()
		return column, nil
	}
	values := b.NewArray()
	defer values.Release()
	return gather([]arrow.Array{column, values}, picks, mem)
}

// documentValue gives the value in row i of a column as a document holds it.
func documentValue(c Column, column arrow.Array, i int) jsontext.Value {
	switch a := column.(type) {
	case *array.String:
		if c.Type == JSON {
			return jsontext.Value(a.Value(i))
		}
		return entity.Quote(a.Value(i))
	case *array.Float64:
		return strconv.AppendFloat(nil, a.Value(i), 'f', -1, 64)
	case *array.Int64:
		return strconv.AppendInt(nil, a.Value(i), 10)
	case *array.Boolean:
		return strconv.AppendBool(nil, a.Value(i))
	case *array.Date32:
		return entity.Quote(a.Value(i).ToTime().Format(time.DateOnly))
	case *array.Timestamp:
		return entity.Quote(a.Value(i).ToTime(arrow.Microsecond).UTC().Format("2006-01-02T15:04:05.000Z"))
	case *array.Decimal128:
		return jsontext.Value(a.Value(i).ToString(int32(c.Scale)))
	}
	panic("no column type for " + column.DataType().String()) // columnsOf gives no other
}
