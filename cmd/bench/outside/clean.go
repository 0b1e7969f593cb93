package outside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	footer "github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// How FORMAT.md says that data files are laid out.
const (
	rowGroupRows    = 128 << 10
	pageBytes       = 256 << 10
	dictionaryBytes = 1 << 20
)

// Recode writes the rows of a Parquet file to a new one that has, column by column, the encodings of a table's data file.
func Recode(ctx context.Context, from, like, to string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("recode %s: %w", from, err)
		}
	}()
	encodings, err := encodingsOf(like)
	if err != nil {
		return err
	}
	source, err := file.OpenParquetFile(from, true)
	if err != nil {
		return err
	}
	defer source.Close()
	rows, err := pqarrow.NewFileReader(source, pqarrow.ArrowReadProperties{BatchSize: rowGroupRows}, memory.DefaultAllocator)
	if err != nil {
		return err
	}
	batches, err := rows.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return err
	}
	defer batches.Release()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	w, err := pqarrow.NewFileWriter(batches.Schema(), struct{ io.Writer }{out}, parquet.NewWriterProperties(encodings...), pqarrow.DefaultWriterProps())
	if err != nil {
		return errors.Join(err, out.Close())
	}
	for batches.Next() && err == nil {
		err = w.Write(batches.RecordBatch())
	}
	return errors.Join(err, batches.Err(), w.Close(), out.Close())
}

// encodingsOf gives the properties with which a data file was written.
func encodingsOf(name string) ([]parquet.WriterProperty, error) {
	r, err := file.OpenParquetFile(name, false)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	props := []parquet.WriterProperty{
		parquet.WithVersion(parquet.V2_6), parquet.WithCompression(compress.Codecs.Zstd), parquet.WithDictionaryDefault(false),
		parquet.WithMaxRowGroupLength(rowGroupRows), parquet.WithDataPageSize(pageBytes), parquet.WithDictionaryPageSizeLimit(dictionaryBytes),
	}
	return props, eachChunk(r.MetaData(), func(c *footer.ColumnChunkMetaData) {
		path := c.PathInSchema().String()
		switch {
		case c.HasDictionaryPage():
			props = append(props, parquet.WithDictionaryFor(path, true))
		case c.Type() == parquet.Types.Boolean:
			props = append(props, parquet.WithEncodingFor(path, parquet.Encodings.RLE))
		}
	})
}

// eachChunk gives the columns of a file's first row group.
func eachChunk(m *footer.FileMetaData, f func(*footer.ColumnChunkMetaData)) error {
	g := m.RowGroup(0)
	for i := range g.NumColumns() {
		c, err := g.ColumnChunk(i)
		if err != nil {
			return err
		}
		f(c)
	}
	return nil
}
