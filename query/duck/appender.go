package duck

import (
	"fmt"
	"math/big"
	"time"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

// chunkRows is how many rows DuckDB takes at once.
var chunkRows = int(bindings.VectorSize())

// Appender adds rows to a table. Rows that are not closed in may be lost.
type Appender struct {
	handle  bindings.Appender
	types   []bindings.LogicalType
	columns []Column
	chunk   bindings.DataChunk
	vectors []bindings.Vector
	data    []unsafe.Pointer
	rows    int
}

// Append opens an appender to a table of the database itself.
func (c *Conn) Append(table string) (*Appender, error) { return c.AppendTo("", table) }

// AppendTo opens an appender to a table of an attached database.
func (c *Conn) AppendTo(database, table string) (*Appender, error) {
	a := &Appender{}
	if bindings.AppenderCreateExt(c.handle, database, "", table, &a.handle) == bindings.StateError {
		err := a.failure()
		bindings.AppenderDestroy(&a.handle)
		return nil, fmt.Errorf("append to %s: %w", table, err)
	}
	for i := range bindings.AppenderColumnCount(a.handle) {
		t := bindings.AppenderColumnType(a.handle, i)
		a.types = append(a.types, t)
		a.columns = append(a.columns, columnOf("", bindings.AppenderColumnType(a.handle, i)))
	}
	a.chunk = bindings.CreateDataChunk(a.types)
	a.vectors = make([]bindings.Vector, len(a.types))
	a.data = make([]unsafe.Pointer, len(a.types))
	a.begin()
	return a, nil
}

func (a *Appender) failure() error { return failure(bindings.AppenderError(a.handle)) }

// begin makes the chunk empty.
func (a *Appender) begin() {
	bindings.DataChunkReset(a.chunk)
	for i := range a.vectors {
		a.vectors[i] = bindings.DataChunkGetVector(a.chunk, bindings.IdxT(i))
		a.data[i] = bindings.VectorGetData(a.vectors[i])
	}
	a.rows = 0
}

// Row adds a row: nil, bool, int64, float64, string or time.Time for each column as its type has it; of a Decimal its text
// with all digits of the scale.
func (a *Appender) Row(values ...any) error {
	if len(values) != len(a.columns) {
		return fmt.Errorf("append: %d values for %d columns", len(values), len(a.columns))
	}
	for i, v := range values {
		if !a.set(i, v) {
			return fmt.Errorf("append: a %T does not fit column %d", v, i)
		}
	}
	if a.rows++; a.rows == chunkRows {
		return a.flush()
	}
	return nil
}

// set writes one value; false if it is of another type than the column.
func (a *Appender) set(i int, v any) bool {
	switch v := v.(type) {
	case nil:
		bindings.VectorEnsureValidityWritable(a.vectors[i])
		bindings.ValiditySetRowInvalid(bindings.VectorGetValidity(a.vectors[i]), bindings.IdxT(a.rows))
		return true
	case string:
		if a.columns[i].Type == Varchar {
			bindings.VectorAssignStringElement(a.vectors[i], bindings.IdxT(a.rows), v)
			return true
		}
		return a.columns[i].Type == Decimal && a.setDecimal(i, v)
	case bool:
		return put(a, i, v, Boolean)
	case int64:
		return put(a, i, v, BigInt)
	case float64:
		return put(a, i, v, Double)
	case time.Time:
		return put(a, i, int32(v.Unix()/secondsPerDay), Date) || put(a, i, v.UnixMicro(), TimestampTZ)
	}
	return false
}

// put writes a value of fixed width if the column has the type.
func put[T any](a *Appender, i int, v T, of Type) bool {
	if a.columns[i].Type != of {
		return false
	}
	*at[T](a.data[i], a.rows) = v
	return true
}

// setDecimal writes the digits of a decimal as the integer that DuckDB holds it in.
func (a *Appender) setDecimal(i int, digits string) bool {
	plain := make([]byte, 0, len(digits))
	for _, c := range []byte(digits) {
		if c != '.' {
			plain = append(plain, c)
		}
	}
	unscaled, ok := new(big.Int).SetString(string(plain), 10)
	if !ok {
		return false
	}
	switch width := a.columns[i].Width; {
	case width <= width16:
		*at[int16](a.data[i], a.rows) = int16(unscaled.Int64())
	case width <= width32:
		*at[int32](a.data[i], a.rows) = int32(unscaled.Int64())
	case width <= width64:
		*at[int64](a.data[i], a.rows) = unscaled.Int64()
	default:
		low := new(big.Int).And(unscaled, new(big.Int).SetUint64(1<<64-1))
		high := new(big.Int).Rsh(unscaled, 64) // rounds down, as two's complement does
		*at[[2]uint64](a.data[i], a.rows) = [2]uint64{low.Uint64(), uint64(high.Int64())}
	}
	return true
}

func (a *Appender) flush() error {
	bindings.DataChunkSetSize(a.chunk, bindings.IdxT(a.rows))
	if bindings.AppendDataChunk(a.handle, a.chunk) == bindings.StateError {
		return a.failure()
	}
	a.begin()
	return nil
}

// Close adds the rows that are waiting, and frees the appender.
func (a *Appender) Close() (err error) {
	if a.rows > 0 {
		err = a.flush()
	}
	if bindings.AppenderClose(a.handle) == bindings.StateError && err == nil {
		err = a.failure()
	}
	bindings.AppenderDestroy(&a.handle)
	bindings.DestroyDataChunk(&a.chunk)
	for i := range a.types {
		bindings.DestroyLogicalType(&a.types[i])
	}
	return err
}
