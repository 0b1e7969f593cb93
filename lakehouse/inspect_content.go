package lakehouse

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go"

	"headless.ly/catalog"
)

var defaultMemory = memory.DefaultAllocator

// probes is how many values of each row group a bloom filter is asked for.
const probes = 64

// content compares a data file's footer with what its manifest says, and of a current one asks the bloom filters.
func (n *Inspection) content(ctx context.Context, t *inspected, df iceberg.DataFile, current bool) {
	err := n.footer(ctx, t, df, current)
	if err != nil {
		t.bad[df.FilePath()] = true
		n.found(t, Flaw{Kind: FlawData, File: catalog.Path(df.FilePath()), Detail: err.Error()})
	}
}

func (n *Inspection) footer(ctx context.Context, t *inspected, df iceberg.DataFile, current bool) (err error) {
	defer func() {
		if r := recover(); r != nil { // arrow-go panics on files that are no Parquet inside
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	f, err := n.io.Open(df.FilePath())
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != df.FileSizeBytes() {
		return fmt.Errorf("%w: it has %d bytes, its manifest says %d", ErrDamaged, info.Size(), df.FileSizeBytes())
	}
	pr, err := file.NewParquetReader(f)
	if err != nil {
		return err
	}
	defer pr.Close()
	if pr.NumRows() != df.Count() {
		return fmt.Errorf("%w: it has %d rows, its manifest says %d", ErrDamaged, pr.NumRows(), df.Count())
	}
	if !current || df.ContentType() != iceberg.EntryContentData {
		return nil
	}
	return n.blooms(ctx, t, df.FilePath(), pr)
}

// blooms asks the bloom filters of a file for values that are there.
func (n *Inspection) blooms(ctx context.Context, t *inspected, location string, pr *file.Reader) error {
	fr, err := pqarrow.NewFileReader(pr, pqarrow.ArrowReadProperties{BatchSize: probes}, n.mem)
	if err != nil {
		return err
	}
	root := pr.MetaData().Schema.Root()
	for i := range root.NumFields() {
		c, found := t.indexed(int(root.Field(i).FieldID()))
		if !found {
			continue
		}
		for group := range pr.NumRowGroups() {
			denied, err := n.denied(ctx, fr, pr, i, group)
			if err != nil {
				return fmt.Errorf("bloom filter of %s: %w", c.Name, err)
			}
			if denied != "" {
				n.found(t, Flaw{Kind: FlawBloom, File: catalog.Path(location), Detail: fmt.Sprintf("the bloom filter of %s denies %s", c.Name, denied)})
			}
		}
	}
	return nil
}

// indexed gives the column with a bloom filter that a field id stands for.
func (t *Table) indexed(fieldID int) (Column, bool) {
	for _, c := range t.Columns {
		if c.FieldID == fieldID && c.Bloom && c.Type != Boolean {
			return c, true
		}
	}
	return Column{}, false
}

// denied gives a value of a row group that the column's bloom filter denies; empty: none. A file that was written before the
// column was indexed has no filter, and denies nothing.
func (n *Inspection) denied(ctx context.Context, fr *pqarrow.FileReader, pr *file.Reader, column, group int) (value string, err error) {
	blooms, err := pr.GetBloomFilterReader().RowGroup(group)
	if err != nil || blooms == nil {
		return "", err
	}
	filter, err := blooms.GetColumnBloomFilter(column)
	if err != nil || filter == nil {
		return "", err
	}
	reader, err := fr.GetRecordReader(ctx, []int{column}, []int{group})
	if err != nil {
		return "", err
	}
	defer reader.Release()
	if !reader.Next() {
		return "", reader.Err()
	}
	values := reader.RecordBatch().Column(0)
	for i := range values.Len() {
		if hash, known := bloomHash(filter.Hasher(), values, i); known && !filter.CheckHash(hash) {
			return values.ValueStr(i), nil
		}
	}
	return "", nil
}

// bloomHash gives the hash by which a bloom filter knows a value; of nulls and decimals it has none that is told here.
func bloomHash(h metadata.Hasher, values arrow.Array, i int) (hash uint64, known bool) {
	if values.IsNull(i) {
		return 0, false
	}
	switch a := values.(type) {
	case *array.String:
		return metadata.GetHash(h, parquet.ByteArray(a.Value(i))), true
	case *array.Float64:
		return metadata.GetHash(h, a.Value(i)), true
	case *array.Int64:
		return metadata.GetHash(h, a.Value(i)), true
	case *array.Timestamp:
		return metadata.GetHash(h, int64(a.Value(i))), true
	case *array.Date32:
		return metadata.GetHash(h, int32(a.Value(i))), true
	}
	return 0, false
}
