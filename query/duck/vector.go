package duck

import (
	"fmt"
	"time"
	"unsafe"

	bindings "github.com/duckdb/duckdb-go-bindings"
)

// Type is the type of a column.
type Type uint32

// The types whose values can be read. Anything else has to be cast to one of them in SQL.
const (
	Boolean     = Type(bindings.TypeBoolean)
	TinyInt     = Type(bindings.TypeTinyInt)
	SmallInt    = Type(bindings.TypeSmallInt)
	Integer     = Type(bindings.TypeInteger)
	BigInt      = Type(bindings.TypeBigInt)
	UTinyInt    = Type(bindings.TypeUTinyInt)
	USmallInt   = Type(bindings.TypeUSmallInt)
	UInteger    = Type(bindings.TypeUInteger)
	UBigInt     = Type(bindings.TypeUBigInt)
	Float       = Type(bindings.TypeFloat)
	Double      = Type(bindings.TypeDouble)
	Varchar     = Type(bindings.TypeVarchar)
	Date        = Type(bindings.TypeDate)
	Timestamp   = Type(bindings.TypeTimestamp)
	TimestampTZ = Type(bindings.TypeTimestampTZ)
	Blob        = Type(bindings.TypeBlob)

	// Those that callers have to cast first; of a Decimal there is Vector.Decimal.
	TimestampS  = Type(bindings.TypeTimestampS)
	TimestampMS = Type(bindings.TypeTimestampMS)
	TimestampNS = Type(bindings.TypeTimestampNS)
	Variant     = Type(bindings.TypeVariant)
	Decimal     = Type(bindings.TypeDecimal)
	List        = Type(bindings.TypeList)
	Array       = Type(bindings.TypeArray)
	Struct      = Type(bindings.TypeStruct)
	Map         = Type(bindings.TypeMap)
	Union       = Type(bindings.TypeUnion)
	SQLNull     = Type(bindings.TypeSQLNull)

	Unresolved = Type(bindings.TypeInvalid)
	Unknown    = Type(bindings.TypeAny)
)

// Readable says whether a Vector of the type can be read.
func (t Type) Readable() bool {
	switch t {
	case Boolean, TinyInt, SmallInt, Integer, BigInt, UTinyInt, USmallInt, UInteger, UBigInt, Float, Double, Varchar, Date,
		Timestamp, TimestampTZ, Blob:
		return true
	}
	return false
}

// Chunk is some rows of a result, column by column.
type Chunk struct {
	Rows    int
	Columns []Vector
	handle  bindings.DataChunk
}

// read finds the memory of a fetched chunk.
func (c *Chunk) read(columns []Column) {
	c.Rows = int(bindings.DataChunkGetSize(c.handle))
	if c.Columns == nil {
		c.Columns = make([]Vector, len(columns))
	}
	for i := range c.Columns {
		v := bindings.DataChunkGetVector(c.handle, bindings.IdxT(i))
		c.Columns[i] = Vector{
			Type: columns[i].Type,
			data: bindings.VectorGetData(v),
			mask: (*uint64)(bindings.VectorGetValidity(v)),
		}
	}
}

// Vector is the values of one column of a chunk, and lives as long as it.
type Vector struct {
	Type Type
	data unsafe.Pointer
	mask *uint64 // a bit for each row, 1: not null; nil: none is null
	flat []byte  // of text that came in a message: all bytes; data says where each begins
}

// Null says whether a row has no value.
func (v *Vector) Null(i int) bool {
	return v.mask != nil && *at[uint64](unsafe.Pointer(v.mask), i/64)>>(i%64)&1 == 0
}

func at[T any](base unsafe.Pointer, i int) *T {
	var one T
	return (*T)(unsafe.Add(base, i*int(unsafe.Sizeof(one))))
}

// Values gives the values of a fixed-width column as they lie in memory; T must have its width. Those of null rows mean
// nothing.
func Values[T any](v *Vector, rows int) []T { return unsafe.Slice((*T)(v.data), rows) }

// text is DuckDB's string: its length, then its bytes if there are at most 12, else four of them and where all are.
type text struct {
	length uint32
	inline [4]byte
	all    unsafe.Pointer
}

// inlined is how many bytes a text holds itself.
const inlined = 12

// Text gives the bytes of a Varchar or Blob; they must not be kept.
func (v *Vector) Text(i int) []byte {
	if v.flat != nil {
		begin, end := *at[uint32](v.data, i), *at[uint32](v.data, i+1)
		return v.flat[begin:end:end]
	}
	t := at[text](v.data, i)
	if t.length <= inlined {
		return unsafe.Slice((*byte)(unsafe.Pointer(&t.inline)), t.length)
	}
	return unsafe.Slice((*byte)(t.all), t.length)
}

// Bool gives a Boolean.
func (v *Vector) Bool(i int) bool { return *at[bool](v.data, i) }

// Int gives an integer, a Date in days or a Timestamp in microseconds since 1970; of a UBigInt use Uint.
func (v *Vector) Int(i int) int64 {
	switch v.Type {
	case TinyInt:
		return int64(*at[int8](v.data, i))
	case SmallInt:
		return int64(*at[int16](v.data, i))
	case Integer, Date:
		return int64(*at[int32](v.data, i))
	case UTinyInt:
		return int64(*at[uint8](v.data, i))
	case USmallInt:
		return int64(*at[uint16](v.data, i))
	case UInteger:
		return int64(*at[uint32](v.data, i))
	}
	return *at[int64](v.data, i)
}

// Uint gives a UBigInt.
func (v *Vector) Uint(i int) uint64 { return *at[uint64](v.data, i) }

// Float gives a Float or Double.
func (v *Vector) Float(i int) float64 {
	if v.Type == Float {
		return float64(*at[float32](v.data, i))
	}
	return *at[float64](v.data, i)
}

// Widths up to which DuckDB holds decimals in integers of 16, 32 and 64 bits; wider ones take 128.
const (
	width16 = 4
	width32 = 9
	width64 = 18
)

// Decimal gives the digits of a Decimal of a width as one integer of 128 bits, two's complement.
func (v *Vector) Decimal(i, width int) (high int64, low uint64) {
	var n int64
	switch {
	case width <= width16:
		n = int64(*at[int16](v.data, i))
	case width <= width32:
		n = int64(*at[int32](v.data, i))
	case width <= width64:
		n = *at[int64](v.data, i)
	default:
		wide := *at[[2]uint64](v.data, i)
		return int64(wide[1]), wide[0]
	}
	return n >> 63, uint64(n)
}

// secondsPerDay turns Dates into times.
const secondsPerDay = 24 * 60 * 60

// Value gives any value as a Go one of its own.
func (v *Vector) Value(i int) (any, error) {
	switch {
	case v.Null(i), v.Type == SQLNull:
		return nil, nil
	case !v.Type.Readable():
		return nil, fmt.Errorf("a value of type %d cannot be read", v.Type)
	}
	switch v.Type {
	case Boolean:
		return v.Bool(i), nil
	case Float, Double:
		return v.Float(i), nil
	case Varchar, Blob:
		return string(v.Text(i)), nil
	case Date:
		return time.Unix(v.Int(i)*secondsPerDay, 0).UTC(), nil
	case Timestamp, TimestampTZ:
		return time.UnixMicro(v.Int(i)).UTC(), nil
	case UBigInt:
		return v.Uint(i), nil
	}
	return v.Int(i), nil
}

// Nullable says whether any row may be null.
func (v *Vector) Nullable() bool { return v.mask != nil }
