package rows

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
)

const (
	// maxHeldBytes bounds what a Parquet file makes its reader hold: pages and one batch of rows, decoded.
	maxHeldBytes = 256 << 20
	// parquetBatch is how many rows are decoded at a time.
	parquetBatch = 512
	// maxFooterBytes bounds the metadata at the end of a Parquet file, which is decoded as a whole.
	maxFooterBytes = 16 << 20
	// maxParquetRows bounds the rows of a Parquet file: a few bytes can say that there are any number of nulls.
	maxParquetRows = 50_000_000
)

// parquetRows are the rows of a Parquet file.
type parquetRows struct {
	size    int64
	rows    int64 // in the file, as it says
	read    int64
	file    *file.Reader
	records pqarrow.RecordReader
	batch   arrow.RecordBatch
	names   []string
	values  []func(i int) (jsontext.Value, error) // of the batch's columns
	columns []noun.Column
	next    int // row of the batch
}

func newParquetRows(s Source) (_ Reader, err error) {
	p := &parquetRows{size: s.Size}
	defer func() {
		if err != nil {
			p.Close()
			err = notParquet(err)
		}
	}()
	return p, caught(func() error { return p.open(s) })
}

// caught turns a panic of the library, which files that lie about themselves lead to, into an error.
func caught(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("damaged: %v", v)
			if e, ok := v.(error); ok && errors.Is(e, errHeld) {
				err = e
			}
		}
	}()
	return f()
}

func notParquet(err error) error {
	if _, ok := errors.AsType[*problem.Problem](err); ok {
		return err
	}
	p := problem.New(problem.InvalidBody, "the body is no Parquet file that can be read")
	if errors.Is(err, errHeld) {
		p = problem.New(problem.PayloadTooLarge, "the pages of the Parquet file need more than %d bytes of memory", maxHeldBytes)
	}
	p.Cause = err
	return p
}

func (p *parquetRows) open(s Source) (err error) {
	if err := checkFooter(s); err != nil {
		return err
	}
	held := &ration{left: maxHeldBytes}
	props := parquet.NewReaderProperties(held)
	props.BufferedStreamEnabled = true
	p.file, err = file.NewParquetReader(io.NewSectionReader(s.File, 0, s.Size), file.WithReadProps(props))
	if err != nil {
		return err
	}
	if p.rows = p.file.NumRows(); p.rows > maxParquetRows {
		return tooManyRows()
	}
	if p.file.MetaData().Schema.NumColumns() > maxColumns {
		return problem.New(problem.InvalidBody, "the file has more than %d columns", maxColumns)
	}
	reader, err := pqarrow.NewFileReader(p.file, pqarrow.ArrowReadProperties{BatchSize: parquetBatch}, held)
	if err != nil {
		return err
	}
	if p.file.NumRowGroups() == 0 {
		return nil
	}
	if p.records, err = reader.GetRecordReader(context.Background(), nil, nil); err != nil {
		return err
	}
	for _, f := range p.records.Schema().Fields() {
		if f.Name == "" || slices.Contains(p.names, f.Name) {
			return problem.New(problem.InvalidBody, "each column needs a name of its own; %.80q is not one", f.Name)
		}
		column, _ := s.Noun.Column(f.Name)
		p.names, p.columns = append(p.names, f.Name), append(p.columns, column)
	}
	return nil
}

func tooManyRows() error {
	return problem.New(problem.PayloadTooLarge, "a Parquet file may have at most %d rows", maxParquetRows)
}

// checkFooter reads how long the metadata says to be before anybody makes room for it.
func checkFooter(s Source) error {
	var tail [8]byte
	if s.Size < 12 {
		return errors.New("too short")
	}
	if _, err := s.File.ReadAt(tail[:], s.Size-8); err != nil {
		return err
	}
	length := int64(tail[0]) | int64(tail[1])<<8 | int64(tail[2])<<16 | int64(tail[3])<<24
	if string(tail[4:]) != "PAR1" || length > s.Size-12 {
		return errors.New("no footer")
	}
	if length > maxFooterBytes {
		return problem.New(problem.PayloadTooLarge, "the footer of the Parquet file is larger than %d bytes", maxFooterBytes)
	}
	return nil
}

// Read implements Reader.
func (p *parquetRows) Read() int64 {
	if p.rows <= 0 || p.read >= p.rows {
		return p.size
	}
	return int64(float64(p.size) * float64(p.read) / float64(p.rows))
}

// Close implements Reader.
func (p *parquetRows) Close() {
	_ = caught(func() error { // nothing is written: what fails is the library's
		if p.batch != nil {
			p.batch.Release()
		}
		if p.records != nil {
			p.records.Release()
		}
		return nil
	})
	p.batch, p.records = nil, nil
}

// Next implements Reader.
func (p *parquetRows) Next() (o entity.Object, err error) {
	if p.records == nil {
		return nil, io.EOF
	}
	if p.batch == nil || p.next >= int(p.batch.NumRows()) {
		if err := caught(p.advance); err != nil {
			if errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			return nil, notParquet(err)
		}
	}
	row := p.next
	p.next++
	if p.read++; p.read > maxParquetRows {
		return nil, tooManyRows()
	}
	err = caught(func() error { o, err = p.row(row); return err })
	if _, bad := errors.AsType[*BadRow](err); err != nil && !bad {
		err = notParquet(err)
	}
	return o, err
}

// advance decodes the next batch.
func (p *parquetRows) advance() error {
	if p.batch != nil {
		p.batch.Release()
		p.batch = nil
	}
	batch, err := p.records.Read()
	if err != nil {
		return err
	}
	if batch == nil || batch.NumRows() == 0 {
		return io.EOF
	}
	batch.Retain()
	p.batch, p.next, p.values = batch, 0, p.values[:0]
	for i := range p.names {
		p.values = append(p.values, valueOf(batch.Column(i)))
	}
	return nil
}

func (p *parquetRows) row(i int) (entity.Object, error) {
	o := make(entity.Object, 0, len(p.names))
	for c, name := range p.names {
		column := p.batch.Column(c)
		if column.IsNull(i) {
			continue
		}
		v, err := p.values[c](i)
		if err != nil {
			return nil, &BadRow{problem.New(problem.InvalidBody, "%.80s: %s", name, err)}
		}
		if name == Extra && v.Kind() == '"' {
			if o, err = spread(o, []byte(entity.Unquote(v))); err != nil {
				return nil, err
			}
			continue
		}
		if v.Kind() == '"' && isDocument(p.columns[c]) {
			v = document(entity.Unquote(v))
		}
		o = append(o, entity.Member{Name: name, Value: v})
	}
	return o, nil
}

// isDocument says whether texts of a column are JSON.
func isDocument(c noun.Column) bool {
	return c.Kind == noun.JSON || c.Field != nil && c.Field.Array || c.Relationship != nil && c.Relationship.Many
}

var errNotText = errors.New("the value is no UTF-8 text")

// valueOf gives what makes JSON of the values of a column that are not null.
func valueOf(column arrow.Array) func(i int) (jsontext.Value, error) {
	switch a := column.(type) {
	case *array.String:
		return func(i int) (jsontext.Value, error) { return quoted(a.Value(i)) }
	case *array.LargeString:
		return func(i int) (jsontext.Value, error) { return quoted(a.Value(i)) }
	case *array.Binary:
		return func(i int) (jsontext.Value, error) { return quoted(a.ValueString(i)) }
	case *array.Boolean:
		return func(i int) (jsontext.Value, error) { return strconv.AppendBool(nil, a.Value(i)), nil }
	case *array.Float64:
		return func(i int) (jsontext.Value, error) { return float(a.Value(i), 64) }
	case *array.Float32:
		return func(i int) (jsontext.Value, error) { return float(float64(a.Value(i)), 32) }
	case *array.Int64:
		return func(i int) (jsontext.Value, error) { return strconv.AppendInt(nil, a.Value(i), 10), nil }
	case *array.Int32:
		return func(i int) (jsontext.Value, error) { return strconv.AppendInt(nil, int64(a.Value(i)), 10), nil }
	case *array.Date32:
		return func(i int) (jsontext.Value, error) {
			return entity.Quote(a.Value(i).ToTime().Format(time.DateOnly)), nil
		}
	case *array.Timestamp:
		unit := a.DataType().(*arrow.TimestampType).Unit
		return func(i int) (jsontext.Value, error) {
			return entity.Quote(a.Value(i).ToTime(unit).UTC().Format(time.RFC3339Nano)), nil
		}
	case *array.Decimal128:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return func(i int) (jsontext.Value, error) { return jsontext.Value(a.Value(i).ToString(scale)), nil }
	case *array.Decimal256:
		scale := a.DataType().(arrow.DecimalType).GetScale()
		return func(i int) (jsontext.Value, error) { return jsontext.Value(a.Value(i).ToString(scale)), nil }
	}
	return func(i int) (jsontext.Value, error) {
		text, err := json.Marshal(column.GetOneForMarshal(i))
		v := jsontext.Value(text)
		if err == nil {
			err = v.Compact()
		}
		return v, err
	}
}

func quoted(text string) (jsontext.Value, error) {
	if !utf8.ValidString(text) {
		return nil, errNotText
	}
	return entity.Quote(text), nil
}

// float gives NaN and infinities as the texts that exports write; the writer says what is wrong with them.
func float(f float64, bits int) (jsontext.Value, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return entity.Quote(strconv.FormatFloat(f, 'f', -1, 64)), nil
	}
	if v := strconv.AppendFloat(nil, f, 'f', -1, bits); len(v) < 32 {
		return v, nil
	}
	return strconv.AppendFloat(nil, f, 'e', -1, bits), nil
}

// errHeld ends a reader that would hold more than its ration.
var errHeld = errors.New("too much memory")

// ration is an allocator that gives so many bytes and no more: beyond them it panics with errHeld, as allocators of Arrow have
// to. It is used by one goroutine at a time.
type ration struct{ left int64 }

func (r *ration) take(n int) {
	if r.left -= int64(n); r.left < 0 {
		panic(errHeld)
	}
}

// Allocate implements memory.Allocator.
func (r *ration) Allocate(n int) []byte {
	r.take(n)
	return memory.DefaultAllocator.Allocate(n)
}

// Reallocate implements memory.Allocator.
func (r *ration) Reallocate(n int, b []byte) []byte {
	r.take(n - len(b))
	return memory.DefaultAllocator.Reallocate(n, b)
}

// Free implements memory.Allocator.
func (r *ration) Free(b []byte) {
	r.left += int64(len(b))
	memory.DefaultAllocator.Free(b)
}
