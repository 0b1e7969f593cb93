package lakehouse

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	iceio "github.com/apache/iceberg-go/io"

	"headless.ly/catalog"
)

// streamRows and streamBytes bound what is decoded at a time: by one rowStream, or by all whose rows are merged.
const (
	streamRows  = 4 << 10
	streamBytes = 4 << 20
	streamLeast = 256 // rows of one of them, however many they are
)

// rowStream reads columns of a data file batch by batch, in memory that does not grow with the file. One goroutine uses it.
type rowStream struct {
	name   string
	file   iceio.File
	meta   *metadata.FileMetaData // nil: it is read from the file
	groups []int                  // the row groups to read; nil: all
	parent *file.Reader
	reader pqarrow.RecordReader
	place  []int // of each wanted column in a batch; -1: the file does not have it
}

// openStream opens a file to read the columns with these field ids, so many rows at a time at most. The caller closes it.
func openStream(ctx context.Context, x *catalog.IO, name string, fields []int, rows int, mem memory.Allocator) (*rowStream, error) {
	f, err := x.Open(name)
	if err != nil {
		return nil, err
	}
	s := &rowStream{name: name, file: f}
	if err := s.open(ctx, fields, rows, mem); err != nil {
		s.close()
		return nil, fmt.Errorf("read %s: %w", filepath.Base(name), err)
	}
	return s, nil
}

func (s *rowStream) open(ctx context.Context, fields []int, rows int, mem memory.Allocator) (err error) {
	props := parquet.NewReaderProperties(mem)
	props.BufferedStreamEnabled = true // pages, not whole column chunks
	if s.parent, err = file.NewParquetReader(s.file, file.WithReadProps(props), file.WithMetadata(s.meta)); err != nil {
		return err
	}
	fr, err := pqarrow.NewFileReader(s.parent, pqarrow.ArrowReadProperties{BatchSize: batchRows(s.parent, int64(rows))}, mem)
	if err != nil {
		return err
	}
	columns := make([]int, len(fields))
	root := s.parent.MetaData().Schema.Root()
	for i, id := range fields {
		columns[i] = -1
		for column := range root.NumFields() {
			if int(root.Field(column).FieldID()) == id {
				columns[i] = column
			}
		}
	}
	present := slices.DeleteFunc(slices.Sorted(slices.Values(columns)), func(c int) bool { return c < 0 })
	for _, column := range columns { // a batch holds the columns in the file's order
		s.place = append(s.place, slices.Index(present, column))
	}
	s.reader, err = fr.GetRecordReader(ctx, present, s.groups)
	return err
}

// batchRows is how many of so many rows of a file are decoded at a time: documents may be large.
func batchRows(r *file.Reader, rows int64) int64 {
	for _, g := range r.MetaData().RowGroups {
		if g.NumRows > 0 {
			rows = min(rows, streamBytes*g.NumRows/max(1, g.TotalByteSize))
		}
	}
	return max(1, rows)
}

// next gives the next rows: a column for each wanted one, nil where the file does not have it. They are borrowed until the
// following call. io.EOF at the end.
func (s *rowStream) next() ([]arrow.Array, int, error) {
	if !s.reader.Next() {
		if err := s.reader.Err(); err != nil {
			return nil, 0, fmt.Errorf("read %s: %w", filepath.Base(s.name), err)
		}
		return nil, 0, io.EOF
	}
	batch := s.reader.RecordBatch()
	columns := make([]arrow.Array, len(s.place))
	for i, at := range s.place {
		if at >= 0 {
			columns[i] = batch.Column(at)
		}
	}
	return columns, int(batch.NumRows()), nil
}

// seek has the next rows begin with one, counted from the first of the row groups that are read.
func (s *rowStream) seek(row int64) error {
	if err := s.reader.SeekToRow(row); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(s.name), err)
	}
	return nil
}

func (s *rowStream) close() {
	if s.reader != nil {
		s.reader.Release()
	}
	_ = s.file.Close()
}
