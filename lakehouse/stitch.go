package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go"

	"headless.ly/catalog"
)

// stitchGroupBytes is the decoded size at which a row group of a stitched file ends before rowGroupRows: documents may be
// large, and a row group is held until it is whole.
const stitchGroupBytes = 32 << 20

// stitch writes the rows of files, one behind the other, as one durable file. It holds one row group at a time. Content
// and order of rows stay; rows of older files become rows of the table as it is declared now.
func (t *Table) stitch(
	ctx context.Context, x *catalog.IO, location string, p placement, files []string, mem memory.Allocator,
) (iceberg.DataFile, error) {
	var rows int64
	streams := make([]*rowStream, 0, len(files))
	defer func() {
		for _, s := range streams {
			s.close()
		}
	}()
	for _, name := range files {
		s, err := openStream(ctx, x, name, t.storedIDs(), streamRows, mem)
		if err != nil {
			return nil, err
		}
		streams, rows = append(streams, s), rows+s.parent.NumRows()
	}
	return t.fillFile(x, location, p, rows, func(pw *pqarrow.FileWriter) error {
		to := &vessel{table: t, file: pw, mem: mem}
		for _, s := range streams {
			if err := to.pour(s); err != nil {
				return fmt.Errorf("stitch %s: %w", filepath.Base(s.name), err)
			}
		}
		return nil
	}, mem)
}

// storedIDs lists the field ids of storedColumns.
func (t *Table) storedIDs() []int {
	var ids []int
	for _, c := range t.storedColumns() {
		ids = append(ids, c.FieldID)
	}
	return ids
}

// vessel is a file that is being filled from others.
type vessel struct {
	table *Table
	file  *pqarrow.FileWriter
	bytes int64 // decoded, of the row group that has begun
	mem   memory.Allocator
}

// pour appends all rows of a stream of the table's stored columns.
func (v *vessel) pour(from *rowStream) error {
	for {
		columns, rows, err := from.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := v.add(columns, int64(rows)); err != nil {
			return err
		}
	}
}

func (v *vessel) add(columns []arrow.Array, rows int64) error {
	batch, err := v.table.fit(columns, rows, v.mem)
	if err != nil {
		return err
	}
	defer batch.Release()
	return v.addRows(batch)
}

// addRows appends rows of the table as it is declared now.
func (v *vessel) addRows(batch arrow.RecordBatch) error {
	if v.bytes >= stitchGroupBytes {
		if err := v.file.NewBufferedRowGroupChecked(); err != nil {
			return err
		}
		v.bytes = 0
	}
	v.bytes += sizeOf(batch)
	return v.file.WriteBuffered(batch)
}
