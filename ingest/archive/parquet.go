package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"headless.ly/lakehouse"
)

// Places of the columns that are no texts.
const (
	columnSeq = iota
	columnVersion
	columnTimestamp
	firstText
)

// column is a text of an event.
type column struct {
	name     string
	text     func(*lakehouse.Event) *string
	document func(*lakehouse.Event) *[]byte
	optional bool
}

// columns are the texts of an event, in the order that they stand in behind the numbers.
var columns = []column{
	{name: "id", text: func(e *lakehouse.Event) *string { return &e.ID }},
	{name: "kind", text: func(e *lakehouse.Event) *string { return &e.Kind }},
	{name: "type", text: func(e *lakehouse.Event) *string { return &e.Type }},
	{name: "entity", text: func(e *lakehouse.Event) *string { return &e.Entity }},
	{name: "target", text: func(e *lakehouse.Event) *string { return &e.Target }},
	{name: "verb", text: func(e *lakehouse.Event) *string { return &e.Verb }},
	{name: "actor", text: func(e *lakehouse.Event) *string { return &e.Actor }},
	{name: "source", text: func(e *lakehouse.Event) *string { return &e.Source }},
	{name: "requestId", text: func(e *lakehouse.Event) *string { return &e.RequestID }},
	{name: "cause", text: func(e *lakehouse.Event) *string { return &e.Cause }},
	{name: "data", document: func(e *lakehouse.Event) *[]byte { return &e.Data }},
	{name: "before", document: func(e *lakehouse.Event) *[]byte { return &e.Before }, optional: true},
	{name: "changes", document: func(e *lakehouse.Event) *[]byte { return &e.Changes }, optional: true},
	{name: "input", document: func(e *lakehouse.Event) *[]byte { return &e.Input }, optional: true},
}

// schema is that of a part.
func schema() *arrow.Schema {
	fields := []arrow.Field{
		columnSeq:       {Name: "seq", Type: arrow.PrimitiveTypes.Int64},
		columnVersion:   {Name: "version", Type: arrow.PrimitiveTypes.Int64},
		columnTimestamp: {Name: "timestamp", Type: &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}},
	}
	for _, c := range columns {
		fields = append(fields, arrow.Field{Name: c.name, Type: arrow.BinaryTypes.String, Nullable: c.optional})
	}
	return arrow.NewSchema(fields, nil)
}

// encode gives events as a Parquet file.
func encode(events []*lakehouse.Event) ([]byte, error) {
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema())
	defer b.Release()
	for _, e := range events {
		b.Field(columnSeq).(*array.Int64Builder).Append(e.Seq)
		b.Field(columnVersion).(*array.Int64Builder).Append(e.Version)
		b.Field(columnTimestamp).(*array.TimestampBuilder).Append(arrow.Timestamp(e.Timestamp))
		for i, c := range columns {
			text := b.Field(firstText + i).(*array.StringBuilder)
			switch {
			case c.text != nil:
				text.Append(*c.text(e))
			case *c.document(e) == nil:
				text.AppendNull()
			default:
				text.BinaryBuilder.Append(*c.document(e))
			}
		}
	}
	rows := b.NewRecordBatch()
	defer rows.Release()
	var out bytes.Buffer
	props := parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCreatedBy("headlessly"),
		parquet.WithDictionaryFor("data", false), parquet.WithStats(false), parquet.WithMaxRowGroupLength(partEvents))
	w, err := pqarrow.NewFileWriter(rows.Schema(), &out, props, pqarrow.NewArrowWriterProperties())
	if err != nil {
		return nil, err
	}
	if err := w.Write(rows); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// decode reads a part. Its checksum has been compared, so what is wrong with it was meant to be.
func decode(ctx context.Context, content []byte) (events []*lakehouse.Event, err error) {
	defer func() {
		if r := recover(); r != nil { // arrow-go panics on some files that are none
			err = fmt.Errorf("decode parquet: %v", r)
		}
	}()
	pr, err := file.NewParquetReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	defer pr.Close()
	if n := pr.NumRows(); n < 0 || n > partEvents {
		return nil, fmt.Errorf("it has %d rows", n)
	}
	raw := int64(0)
	for _, g := range pr.MetaData().RowGroups {
		if raw += max(0, g.TotalByteSize); raw > maxPart {
			return nil, errors.New("its rows are too large")
		}
	}
	fr, err := pqarrow.NewFileReader(pr, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	read, err := fr.ReadTable(ctx)
	if err != nil {
		return nil, err
	}
	defer read.Release()
	if err := fits(read.Schema()); err != nil {
		return nil, err
	}
	batches := array.NewTableReader(read, partEvents)
	defer batches.Release()
	for batches.Next() {
		events = appendEvents(events, batches.RecordBatch())
	}
	return events, batches.Err()
}

// fits says what is wrong with the columns of a file.
func fits(got *arrow.Schema) error {
	want := schema()
	if got.NumFields() != want.NumFields() {
		return fmt.Errorf("it has %d columns, not %d", got.NumFields(), want.NumFields())
	}
	for i, f := range want.Fields() {
		if g := got.Field(i); g.Name != f.Name || !arrow.TypeEqual(g.Type, f.Type) || g.Nullable && !f.Nullable {
			return fmt.Errorf("column %d is %s %s, not %s %s", i, g.Name, g.Type, f.Name, f.Type)
		}
	}
	return nil
}

// appendEvents reads rows, whose bytes are copied.
func appendEvents(events []*lakehouse.Event, rows arrow.RecordBatch) []*lakehouse.Event {
	seqs, versions := rows.Column(columnSeq).(*array.Int64), rows.Column(columnVersion).(*array.Int64)
	stamps := rows.Column(columnTimestamp).(*array.Timestamp)
	texts := make([]*array.String, len(columns))
	for i := range columns {
		texts[i] = rows.Column(firstText + i).(*array.String)
	}
	for row := range int(rows.NumRows()) {
		e := &lakehouse.Event{Seq: seqs.Value(row), Version: versions.Value(row), Timestamp: int64(stamps.Value(row))}
		for i, c := range columns {
			switch {
			case c.text != nil:
				*c.text(e) = strings.Clone(texts[i].Value(row))
			case !texts[i].IsNull(row):
				*c.document(e) = []byte(texts[i].Value(row))
			}
		}
		events = append(events, e)
	}
	return events
}
