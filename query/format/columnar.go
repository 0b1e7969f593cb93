package format

import (
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"headless.ly/query/duck"
)

// How many rows are gathered before they are written: of Arrow a batch, of Parquet a row group.
const (
	batchRows = 16 * 1024
	groupRows = 128 * 1024
	// parquetLevel is the fastest of Zstandard: what is exported is read soon, and once.
	parquetLevel = 1
	// gatherBytes bounds the text that is gathered.
	gatherBytes = 32 << 20
)

// columnar gathers rows into Arrow batches.
type columnar struct {
	columns []duck.Column
	builder *array.RecordBuilder
	copies  []copier
	most    int // rows
	rows    int
	bytes   int // of text
	valid   []bool
	write   func(arrow.RecordBatch) error
	close   func() error
}

// copier appends the first n values of a vector to its builder, and gives how many bytes of text they had.
type copier func(v *duck.Vector, n int, valid []bool) int

func newColumnar(f Format, w io.Writer, columns []duck.Column) (Encoder, error) {
	fields := make([]arrow.Field, len(columns))
	for i := range columns {
		fields[i] = arrow.Field{Name: columns[i].Name, Type: arrowType(&columns[i]), Nullable: true}
	}
	schema := arrow.NewSchema(fields, nil)
	c := &columnar{columns: columns, builder: array.NewRecordBuilder(memory.DefaultAllocator, schema), most: batchRows}
	for i := range columns {
		c.copies = append(c.copies, copierOf(&columns[i], c.builder.Field(i)))
	}
	if f == Arrow {
		stream := ipc.NewWriter(w, ipc.WithSchema(schema))
		c.write, c.close = stream.Write, stream.Close
		return c, nil
	}
	c.most = groupRows
	props := parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(parquetLevel))
	file, err := pqarrow.NewFileWriter(schema, w, props, pqarrow.DefaultWriterProps())
	if err != nil {
		return nil, err
	}
	c.write, c.close = file.Write, file.Close
	return c, nil
}

func arrowType(c *duck.Column) arrow.DataType {
	switch c.Type {
	case duck.Boolean:
		return arrow.FixedWidthTypes.Boolean
	case duck.TinyInt:
		return arrow.PrimitiveTypes.Int8
	case duck.SmallInt:
		return arrow.PrimitiveTypes.Int16
	case duck.Integer:
		return arrow.PrimitiveTypes.Int32
	case duck.BigInt:
		return arrow.PrimitiveTypes.Int64
	case duck.UTinyInt:
		return arrow.PrimitiveTypes.Uint8
	case duck.USmallInt:
		return arrow.PrimitiveTypes.Uint16
	case duck.UInteger:
		return arrow.PrimitiveTypes.Uint32
	case duck.UBigInt:
		return arrow.PrimitiveTypes.Uint64
	case duck.Float:
		return arrow.PrimitiveTypes.Float32
	case duck.Double:
		return arrow.PrimitiveTypes.Float64
	case duck.Date:
		return arrow.PrimitiveTypes.Date32
	case duck.Timestamp:
		return &arrow.TimestampType{Unit: arrow.Microsecond}
	case duck.TimestampTZ:
		return &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}
	case duck.Decimal:
		return &arrow.Decimal128Type{Precision: int32(c.Width), Scale: int32(c.Scale)}
	case duck.Blob:
		return arrow.BinaryTypes.Binary
	}
	return arrow.BinaryTypes.String
}

func copierOf(c *duck.Column, to array.Builder) copier {
	switch to := to.(type) {
	case *array.BooleanBuilder:
		return copies(to.AppendValues)
	case *array.Int8Builder:
		return copies(to.AppendValues)
	case *array.Int16Builder:
		return copies(to.AppendValues)
	case *array.Int32Builder:
		return copies(to.AppendValues)
	case *array.Int64Builder:
		return copies(to.AppendValues)
	case *array.Uint8Builder:
		return copies(to.AppendValues)
	case *array.Uint16Builder:
		return copies(to.AppendValues)
	case *array.Uint32Builder:
		return copies(to.AppendValues)
	case *array.Uint64Builder:
		return copies(to.AppendValues)
	case *array.Float32Builder:
		return copies(to.AppendValues)
	case *array.Float64Builder:
		return copies(to.AppendValues)
	case *array.Date32Builder:
		return copies(to.AppendValues)
	case *array.TimestampBuilder:
		return copies(to.AppendValues)
	case *array.Decimal128Builder:
		return copyDecimals(c.Width, to)
	case *array.StringBuilder:
		return copyText(to.BinaryBuilder)
	case *array.BinaryBuilder:
		return copyText(to)
	}
	panic("no copier for " + c.SQL)
}

// copies takes fixed-width values as they lie in memory: DuckDB and Arrow agree on them.
func copies[T any](appendValues func([]T, []bool)) copier {
	return func(v *duck.Vector, n int, valid []bool) int {
		appendValues(duck.Values[T](v, n), valid)
		return 0
	}
}

func copyDecimals(width int, to *array.Decimal128Builder) copier {
	return func(v *duck.Vector, n int, valid []bool) int {
		for i := range n {
			if valid != nil && !valid[i] {
				to.AppendNull()
				continue
			}
			high, low := v.Decimal(i, width)
			to.Append(decimal128.New(high, low))
		}
		return 0
	}
}

func copyText(to *array.BinaryBuilder) copier {
	return func(v *duck.Vector, n int, valid []bool) (size int) {
		to.Reserve(n)
		for i := range n {
			if valid != nil && !valid[i] {
				to.AppendNull()
				continue
			}
			text := v.Text(i)
			size += len(text)
			to.Append(text)
		}
		return size
	}
}

func (c *columnar) Rows(chunk *duck.Chunk, n int) error {
	for i := range c.columns {
		c.bytes += c.copies[i](&chunk.Columns[i], n, c.validity(&chunk.Columns[i], n))
	}
	c.rows += n
	if c.rows < c.most && c.bytes < gatherBytes {
		return nil
	}
	return c.flush()
}

// validity says which rows are not null; nil: all.
func (c *columnar) validity(v *duck.Vector, n int) []bool {
	if !v.Nullable() {
		return nil
	}
	c.valid = c.valid[:0]
	for i := range n {
		c.valid = append(c.valid, !v.Null(i))
	}
	return c.valid
}

func (c *columnar) flush() error {
	if c.rows == 0 {
		return nil
	}
	batch := c.builder.NewRecordBatch()
	defer batch.Release()
	c.rows, c.bytes = 0, 0
	return c.write(batch)
}

// Close writes what is gathered and the end of the format.
func (c *columnar) Close(Summary) error {
	defer c.builder.Release()
	if err := c.flush(); err != nil {
		return err
	}
	return c.close()
}
