package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go"

	"headless.ly/catalog"
)

const (
	// stitchRows and stitchBytes bound what is held decoded, besides the row group that is being written.
	stitchRows  = 8 << 10
	stitchBytes = 4 << 20
	// stitchGroupBytes is the decoded size at which a row group of a stitched file ends before rowGroupRows: documents may
	// be large, and a row group is held until it is whole.
	stitchGroupBytes = 32 << 20
)

// stitch writes the rows of files, one behind the other, as one durable file. It holds one row group at a time. Content
// and order of rows stay; a column that an old file lacks is null.
func (t *Table) stitch(
	ctx context.Context, x *catalog.IO, location string, p placement, files []string, mem memory.Allocator,
) (iceberg.DataFile, error) {
	open := make([]*file.Reader, 0, len(files))
	defer func() {
		for _, r := range open {
			_ = r.Close() // only read
		}
	}()
	var rows int64
	for _, name := range files {
		r, err := openParquet(x, name, mem)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", filepath.Base(name), err)
		}
		open, rows = append(open, r), rows+r.NumRows()
	}
	return t.fillFile(x, location, p, rows, func(pw *pqarrow.FileWriter) error {
		to := &vessel{table: t, file: pw, mem: mem}
		for i, r := range open {
			if err := to.pour(ctx, r); err != nil {
				return fmt.Errorf("stitch %s: %w", filepath.Base(files[i]), err)
			}
		}
		return nil
	}, mem)
}

// openParquet opens a data file. Closing the reader closes the file.
func openParquet(x *catalog.IO, name string, mem memory.Allocator) (*file.Reader, error) {
	f, err := x.Open(name)
	if err != nil {
		return nil, err
	}
	r, err := file.NewParquetReader(f, file.WithReadProps(parquet.NewReaderProperties(mem)))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// vessel is a file that is being written from others.
type vessel struct {
	table *Table
	file  *pqarrow.FileWriter
	bytes int64 // decoded, of the row group that has begun
	mem   memory.Allocator
}

// pour appends the rows of an open file.
func (v *vessel) pour(ctx context.Context, from *file.Reader) error {
	fr, err := pqarrow.NewFileReader(from, pqarrow.ArrowReadProperties{BatchSize: batchRows(from)}, v.mem)
	if err != nil {
		return err
	}
	batches, err := fr.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return err
	}
	defer batches.Release()
	for batches.Next() {
		if err := v.add(from, batches.RecordBatch()); err != nil {
			return err
		}
	}
	return batches.Err()
}

// batchRows is how many rows of a file are decoded at a time.
func batchRows(r *file.Reader) int64 {
	rows := int64(stitchRows)
	for _, g := range r.MetaData().RowGroups {
		if g.NumRows > 0 {
			rows = min(rows, stitchBytes*g.NumRows/max(1, g.TotalByteSize))
		}
	}
	return max(1, rows)
}

func (v *vessel) add(from *file.Reader, batch arrow.RecordBatch) error {
	read := array.NewTableFromRecords(batch.Schema(), []arrow.RecordBatch{batch})
	defer read.Release()
	rows, err := v.table.align(from, read, v.mem)
	if err != nil {
		return err
	}
	defer rows.Release()
	if v.bytes >= stitchGroupBytes {
		if err := v.file.NewBufferedRowGroupChecked(); err != nil {
			return err
		}
		v.bytes = 0
	}
	v.bytes += sizeOf(rows)
	return v.file.WriteBuffered(rows)
}
