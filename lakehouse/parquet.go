package lakehouse

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

// Sizes within a Parquet file.
const (
	rowGroupRows = 128 << 10 // rows of a row group: DuckDB reads one per thread
	pageBytes    = 256 << 10 // raw bytes of a data page; below dictBytes, so that a dictionary column has a dictionary page
	eventPage    = 64 << 10  // of events, which are read one by one as well
	dictBytes    = 1 << 20   // a larger dictionary falls back to plain (ruling 19)
	bloomFPP     = 0.01
)

// writerProperties gives the seed's encodings (interfaces.md 9.2): text in dictionaries, numbers and times plain, booleans
// RLE, JSON plain, indexed columns in dictionaries with a bloom filter that fits the rows.
func (t *Table) writerProperties(rows int64, sorted string, mem memory.Allocator) *parquet.WriterProperties {
	page := int64(pageBytes)
	if t.Noun == nil {
		page = eventPage
	}
	props := []parquet.WriterProperty{
		parquet.WithAllocator(mem),
		parquet.WithVersion(parquet.V2_6),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithDictionaryDefault(false),
		parquet.WithDictionaryPageSizeLimit(dictBytes),
		parquet.WithDataPageSize(page),
		parquet.WithMaxRowGroupLength(rowGroupRows),
		parquet.WithPageIndexEnabled(true),
		parquet.WithCreatedBy("headlessly"),
		parquet.WithStoreDecimalAsInteger(true), // Iceberg demands it where the digits fit
	}
	for i, c := range t.Columns {
		if c.Indexed || c.Type == String {
			props = append(props, parquet.WithDictionaryFor(c.Name, true))
		}
		switch c.Type {
		case Boolean:
			props = append(props, parquet.WithDictionaryFor(c.Name, false), parquet.WithEncodingFor(c.Name, parquet.Encodings.RLE))
		case JSON: // bounds of documents would only make footers long; of events it is said where the pages are
			props = append(props, parquet.WithStatsFor(c.Name, false), parquet.WithPageIndexEnabledFor(c.Name, t.Noun == nil))
		}
		if c.Bloom && c.Type != Boolean {
			props = append(props, parquet.WithBloomFilterEnabledFor(c.Name, true), parquet.WithBloomFilterFPPFor(c.Name, bloomFPP),
				parquet.WithBloomFilterNDVFor(c.Name, max(1, min(rows, rowGroupRows))))
		}
		if c.Name == sorted {
			props = append(props, parquet.WithSortingColumns([]parquet.SortingColumn{{ColumnIdx: int32(i)}}))
		}
	}
	return parquet.NewWriterProperties(props...)
}

// sortedBy names the column that the rows of a file are in order of.
func (t *Table) sortedBy() string {
	if t.Noun == nil {
		return "seq"
	}
	return "id"
}

// placement is where a data file goes and which partition it belongs to.
type placement struct {
	tenant string
	date   arrow.Date32 // of an events file
	name   string       // of the file
}

// folder gives the file's place below the table's data folder.
func (p placement) folder(t *Table) string {
	if t.Noun != nil {
		return "tenant=" + p.tenant
	}
	return "tenant=" + p.tenant + "/date=" + p.date.FormattedString()
}

// uri is where the file goes in the table at a location.
func (p placement) uri(t *Table, location string) string {
	return location + "/" + path.Join("data", p.folder(t), p.name)
}

// writeFile writes rows as one durable data file and describes it to Iceberg.
func (t *Table) writeFile(
	x *catalog.IO, location string, p placement, rows arrow.RecordBatch, mem memory.Allocator,
) (iceberg.DataFile, error) {
	e, err := t.encodeRows(rows, mem)
	if err != nil {
		return nil, err
	}
	return t.storeFile(x, location, p, e)
}

// encoded is a data file in memory.
type encoded struct {
	bytes  []byte
	footer any
}

// encodeRows makes a data file of rows in memory.
func (t *Table) encodeRows(rows arrow.RecordBatch, mem memory.Allocator) (*encoded, error) {
	var b bytes.Buffer
	footer, err := t.encode(&b, rows.NumRows(), func(w *pqarrow.FileWriter) error { return w.Write(rows) }, mem)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", t.Name, err)
	}
	return &encoded{b.Bytes(), footer}, nil
}

// storeFile writes an encoded data file durably and describes it to Iceberg.
func (t *Table) storeFile(x *catalog.IO, location string, p placement, e *encoded) (iceberg.DataFile, error) {
	uri := p.uri(t, location)
	if err := x.WriteFile(uri, e.bytes); err != nil {
		return nil, fmt.Errorf("write %s: %w", filepath.Base(uri), err)
	}
	return t.describe(x, uri, p, e.footer, int64(len(e.bytes)))
}

// fillFile writes one durable data file, of which fill writes the rows, about so many, and describes it to Iceberg.
func (t *Table) fillFile(
	x *catalog.IO, location string, p placement, rows int64, fill func(*pqarrow.FileWriter) error, mem memory.Allocator,
) (iceberg.DataFile, error) {
	uri := p.uri(t, location)
	footer, size, err := writeParquet(x, uri, func(w io.Writer) (any, error) { return t.encode(w, rows, fill, mem) })
	if err != nil {
		return nil, err
	}
	return t.describe(x, uri, p, footer, size)
}

// describe describes a written data file to Iceberg. Where that fails the file is removed.
func (t *Table) describe(x *catalog.IO, uri string, p placement, footer any, size int64) (iceberg.DataFile, error) {
	described, err := t.characterize(uri, p, footer, size)
	if err != nil {
		_ = x.Remove(uri) // an orphan if it stays
	}
	return described, err
}

// characterize describes a data file to Iceberg.
func (t *Table) characterize(uri string, p placement, footer any, size int64) (iceberg.DataFile, error) {
	args := table.DataFileArgs{Schema: t.schema, Spec: t.spec, Format: iceberg.ParquetFile, Metadata: footer, FilePath: uri,
		FileSize: size, Content: iceberg.EntryContentData, Properties: t.stats, FormatVersion: 2,
		PartitionValues: map[int]any{partitionTenant: p.tenant}}
	if t.Noun == nil {
		args.PartitionValues[partitionDate] = iceberg.Date(p.date)
	}
	described, err := table.DataFileFromMetadata(args)
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", filepath.Base(uri), err)
	}
	return described, nil
}

// writeParquet writes one durable file, whose bytes encode writes, and gives what encode gives and the file's size.
func writeParquet(x *catalog.IO, uri string, encode func(io.Writer) (any, error)) (footer any, size int64, err error) {
	err = x.WriteWith(uri, func(w io.Writer) (err error) { footer, err = encode(w); return err })
	if err != nil {
		return nil, 0, fmt.Errorf("write %s: %w", filepath.Base(uri), err)
	}
	size, _ = x.Written(uri)
	return footer, size, nil
}

// encode writes the Parquet bytes of a data file and gives the footer.
func (t *Table) encode(
	w io.Writer, rows int64, fill func(*pqarrow.FileWriter) error, mem memory.Allocator,
) (footer any, err error) {
	return encode(w, t.arrow, t.writerProperties(rows, t.sortedBy(), mem), fill, mem)
}

// encode writes Parquet bytes and gives the footer. It does not close w.
func encode(
	w io.Writer, schema *arrow.Schema, props *parquet.WriterProperties, fill func(*pqarrow.FileWriter) error, mem memory.Allocator,
) (footer any, err error) {
	defer func() {
		if r := recover(); r != nil { // arrow-go panics on errors of the file beneath
			err = fmt.Errorf("encode parquet: %v", r)
		}
	}()
	pw, err := pqarrow.NewFileWriter(schema, struct{ io.Writer }{w}, props, pqarrow.NewArrowWriterProperties(pqarrow.WithAllocator(mem)))
	if err != nil {
		return nil, err
	}
	if err := fill(pw); err != nil {
		return nil, err
	}
	if err := pw.Close(); err != nil {
		return nil, err
	}
	return pw.FileMetadata()
}

// readFile decodes a data file into one batch with the columns of the table: found by field id, null where the file was
// written before the column was declared and nothing undeclared stands in its place. The caller releases it.
func (t *Table) readFile(ctx context.Context, x *catalog.IO, name string, mem memory.Allocator) (arrow.RecordBatch, error) {
	rows, err := t.decodeFile(ctx, x, name, mem)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Base(name), err)
	}
	return rows, nil
}

func (t *Table) decodeFile(ctx context.Context, x *catalog.IO, name string, mem memory.Allocator) (rows arrow.RecordBatch, err error) {
	f, err := x.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pr, err := file.NewParquetReader(f, file.WithReadProps(parquet.NewReaderProperties(mem)))
	if err != nil {
		return nil, err
	}
	defer pr.Close()
	fr, err := pqarrow.NewFileReader(pr, pqarrow.ArrowReadProperties{BatchSize: rowGroupRows}, mem)
	if err != nil {
		return nil, err
	}
	read, err := fr.ReadTable(ctx)
	if err != nil {
		return nil, err
	}
	defer read.Release()
	return t.align(pr, read, mem)
}

// align brings a decoded file to the table's columns.
func (t *Table) align(pr *file.Reader, read arrow.Table, mem memory.Allocator) (arrow.RecordBatch, error) {
	place := map[int]int{} // field id → column of the file
	root := pr.MetaData().Schema.Root()
	for i := range root.NumFields() {
		place[int(root.Field(i).FieldID())] = i
	}
	stored := t.storedColumns()
	columns := make([]arrow.Array, len(stored))
	defer func() { release(columns) }()
	for i, c := range stored {
		at, found := place[c.FieldID]
		if !found {
			continue
		}
		var err error
		if columns[i], err = joined(read.Column(at).Data(), mem); err != nil {
			return nil, err
		}
	}
	return t.fit(columns, read.NumRows(), mem)
}

// joined gives a column's chunks as one array, which the caller releases.
func joined(column *arrow.Chunked, mem memory.Allocator) (arrow.Array, error) {
	switch chunks := column.Chunks(); len(chunks) {
	case 0:
		return array.MakeArrayOfNull(mem, column.DataType(), 0), nil
	case 1:
		chunks[0].Retain()
		return chunks[0], nil
	default:
		return array.Concatenate(chunks, mem)
	}
}
