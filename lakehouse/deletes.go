package lakehouse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strconv"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

// The columns of a position-delete file, with the ids that Iceberg reserves for them.
const (
	deletePathID     = 2147483546
	deletePositionID = 2147483545
)

// deleteColumns are the columns of a position-delete file. The path, which is the same in all rows, is a dictionary of one.
var deleteColumns = arrow.NewSchema([]arrow.Field{
	deleteColumn("file_path", deletePathID, &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}),
	deleteColumn("pos", deletePositionID, arrow.PrimitiveTypes.Int64),
}, nil)

func deleteColumn(name string, id int, of arrow.DataType) arrow.Field {
	return arrow.Field{Name: name, Type: of, Metadata: arrow.NewMetadata([]string{"PARQUET:field_id"}, []string{strconv.Itoa(id)})}
}

// deleteProperties gives the encodings of a position-delete file: positions, which ascend, as differences.
func deleteProperties(mem memory.Allocator) *parquet.WriterProperties {
	return parquet.NewWriterProperties(
		parquet.WithAllocator(mem),
		parquet.WithVersion(parquet.V2_6),
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithDictionaryFor("pos", false),
		parquet.WithEncodingFor("pos", parquet.Encodings.DeltaBinaryPacked),
		parquet.WithDataPageSize(pageBytes),
		parquet.WithMaxRowGroupLength(math.MaxUint32), // one group: a file has as many rows as its data file at most
		parquet.WithCreatedBy("headlessly"),
	)
}

// writeDeletes writes the deleted positions of a data file, all of them, as one durable position-delete file in the same
// folder, and describes it to Iceberg: engines see by its bounds that it is about this one file.
func (t *Table) writeDeletes(
	x *catalog.IO, location string, p placement, of string, deleted *roaring.Bitmap, mem memory.Allocator,
) (iceberg.DataFile, error) {
	rows := deleteRows(of, deleted, mem)
	defer rows.Release()
	uri := p.uri(t, location)
	footer, size, err := writeParquet(x, uri, func(w io.Writer) (any, error) {
		return encode(w, deleteColumns, deleteProperties(mem), func(pw *pqarrow.FileWriter) error { return pw.Write(rows) }, mem)
	})
	if err != nil {
		return nil, err
	}
	described, err := t.characterizeDeletes(uri, p, of, footer, size)
	if err != nil {
		_ = x.Remove(uri) // an orphan if it stays
	}
	return described, err
}

// characterizeDeletes describes a position-delete file about one data file to Iceberg.
func (t *Table) characterizeDeletes(uri string, p placement, of string, footer any, size int64) (iceberg.DataFile, error) {
	described, err := table.DataFileFromMetadata(table.DataFileArgs{
		Schema: iceberg.PositionalDeleteSchema, Spec: t.spec, Format: iceberg.ParquetFile, Metadata: footer, FilePath: uri,
		FileSize: size, Content: iceberg.EntryContentPosDeletes, ReferencedDataFile: &of, FormatVersion: 2,
		Properties:      iceberg.Properties{"write.metadata.metrics.default": "full"},
		PartitionValues: map[int]any{partitionTenant: p.tenant},
	})
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", filepath.Base(uri), err)
	}
	return described, nil
}

// deletedFile gives the location of the data file that a position-delete file is about.
func deletedFile(ctx context.Context, x *catalog.IO, name string) (string, error) {
	s, err := openStream(ctx, x, name, []int{deletePathID}, 1, defaultMemory)
	if err != nil {
		return "", err
	}
	defer s.close()
	columns, rows, err := s.next()
	if err != nil {
		return "", err
	}
	paths, ok := columns[0].(*array.String)
	if !ok || rows == 0 {
		return "", errors.New("not a position-delete file")
	}
	return string([]byte(paths.Value(0))), nil
}

// deletesOf gives the location of the one data file that a position-delete file is about; empty where there are several. Its
// bounds say so: manifests of format version 2 need not name the file.
func deletesOf(f iceberg.DataFile) string {
	lower, upper := f.LowerBoundValues()[deletePathID], f.UpperBoundValues()[deletePathID]
	if !bytes.Equal(lower, upper) {
		return ""
	}
	return string(lower)
}

// deleteRows gives the rows of a position-delete file. The caller releases them.
func deleteRows(of string, deleted *roaring.Bitmap, mem memory.Allocator) arrow.RecordBatch {
	count := int(deleted.GetCardinality())
	b := array.NewInt64Builder(mem)
	defer b.Release()
	b.Reserve(count)
	for positions := deleted.Iterator(); positions.HasNext(); {
		b.UnsafeAppend(int64(positions.Next()))
	}
	pos := b.NewArray()
	defer pos.Release()
	indices := array.NewInt32Builder(mem)
	defer indices.Release()
	indices.AppendValues(make([]int32, count), nil)
	index := indices.NewArray()
	defer index.Release()
	names := array.NewStringBuilder(mem)
	defer names.Release()
	names.Append(of)
	name := names.NewArray()
	defer name.Release()
	path := array.NewDictionaryArray(deleteColumns.Field(0).Type, index, name)
	defer path.Release()
	return array.NewRecordBatch(deleteColumns, []arrow.Array{path, pos}, int64(count))
}

// readDeletes gives the deleted positions that a position-delete file names, which are all of one data file.
func readDeletes(ctx context.Context, x *catalog.IO, name, of string, mem memory.Allocator) (*roaring.Bitmap, error) {
	s, err := openStream(ctx, x, name, []int{deletePathID, deletePositionID}, streamRows, mem)
	if err != nil {
		return nil, err
	}
	defer s.close()
	deleted := roaring.New()
	for {
		columns, _, err := s.next()
		if errors.Is(err, io.EOF) {
			deleted.RunOptimize()
			return deleted, nil
		}
		if err == nil {
			err = addDeleted(deleted, columns, of)
		}
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", filepath.Base(name), err)
		}
	}
}

func addDeleted(deleted *roaring.Bitmap, columns []arrow.Array, of string) error {
	paths, ok := columns[0].(*array.String)
	positions, fine := columns[1].(*array.Int64)
	if !ok || !fine {
		return errors.New("not a position-delete file")
	}
	for i := range positions.Len() {
		if paths.Value(i) != of {
			return fmt.Errorf("deletes rows of %s, not of %s", paths.Value(i), of)
		}
		if at := positions.Value(i); at < 0 || at > math.MaxUint32 {
			return fmt.Errorf("position %d", at)
		}
		deleted.Add(uint32(positions.Value(i)))
	}
	return nil
}
