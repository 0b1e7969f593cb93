package duck_test

import (
	"reflect"
	"testing"
	"unsafe"

	"headless.ly/query/duck"
)

// everyKind has a column of each kind of layout.
const everyKind = `select i % 3 = 0 as b, cast(i as tinyint) as i1, cast(i as smallint) as i2, cast(i as integer) as i4, i, cast(i as double) as d,
	if(i % 5 = 0, null, 'text ' || i) as s, cast(i as decimal(4,1)) as d2, cast(i as decimal(38,2)) as d16, '' as e, null as n,
	date '2020-01-01' + cast(i as integer) as day from range(100) r(i)`

// words are bytes that begin at a multiple of eight.
func words(b []byte) []byte {
	room := make([]uint64, len(b)/8+1)
	return append(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(room))), len(room)*8)[:0], b...)
}

// What a chunk holds is in the messages of its rows, wherever they are cut.
func TestRowsAsMessages(t *testing.T) {
	c := connect(t)
	rows, err := c.Query(t.Context(), everyKind)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	chunk, err := rows.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	columns := rows.Columns()
	for _, size := range []int{1, 100, 1000, 3000, 1 << 20} {
		for from := 0; from < chunk.Rows; {
			to := from + chunk.Fit(columns, from, size)
			b, err := chunk.AppendRows(nil, columns, from, to)
			if err != nil {
				t.Fatal(err)
			}
			var read duck.Chunk
			if err := read.ReadRows(words(b), columns); err != nil || read.Rows != to-from {
				t.Fatalf("%d rows, %v", read.Rows, err)
			}
			for i := range columns {
				for row := from; row < to; row++ {
					want, got := cell(chunk, columns, i, row), cell(&read, columns, i, row-from)
					if !reflect.DeepEqual(got, want) {
						t.Fatalf("size %d, column %s, row %d: %v, want %v", size, columns[i].Name, row, got, want)
					}
				}
			}
			from = to
		}
	}
}

// cell is a value, of a decimal its digits.
func cell(c *duck.Chunk, columns []duck.Column, i, row int) any {
	v := &c.Columns[i]
	if columns[i].Type == duck.Decimal {
		high, low := v.Decimal(row, columns[i].Width)
		return [2]any{high, low}
	}
	value, err := v.Value(row)
	if err != nil {
		return err.Error()
	}
	return value
}

// Whatever a message says, nothing but its own bytes is read.
func FuzzReadRows(f *testing.F) {
	c := connect(f)
	rows, err := c.Query(f.Context(), everyKind)
	if err != nil {
		f.Fatal(err)
	}
	defer rows.Close()
	chunk, err := rows.Next(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	columns := rows.Columns()
	for _, to := range []int{1, 7, 64, 65} {
		b, err := chunk.AppendRows(nil, columns, 0, to)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var read duck.Chunk
		if read.ReadRows(words(b), columns) != nil {
			return
		}
		for i := range columns {
			for row := range read.Rows {
				cell(&read, columns, i, row)
			}
		}
	})
}
