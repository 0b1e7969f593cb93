package lakehouse

import (
	"fmt"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
)

// eventRows gives events of one tenant as rows of the events table. The caller releases them.
func (t *Table) eventRows(tenant string, events []*Event, mem memory.Allocator) arrow.RecordBatch {
	b := array.NewRecordBuilder(mem, t.arrow)
	defer b.Release()
	b.Reserve(len(events))
	for _, e := range events {
		values := [...]any{tenant, e.Seq, e.ID, e.Kind, e.Type, e.Entity, e.Target, optional(e.Verb), optional(e.Actor),
			e.Timestamp, e.Version, e.Data, e.Before, e.Changes, e.Input, optional(e.Source), optional(e.RequestID),
			optional(e.Cause)}
		for i, v := range values {
			appendEvent(b.Field(i), v)
		}
	}
	return b.NewRecordBatch()
}

// optional is a text that is null when empty.
type optional string

func appendEvent(b array.Builder, v any) {
	switch v := v.(type) {
	case string:
		b.(*array.StringBuilder).Append(v)
	case optional:
		if v == "" {
			b.AppendNull()
			return
		}
		b.(*array.StringBuilder).Append(string(v))
	case []byte:
		if v == nil {
			b.AppendNull()
			return
		}
		b.(*array.StringBuilder).BinaryBuilder.Append(v)
	case int64:
		if ts, ok := b.(*array.TimestampBuilder); ok {
			ts.Append(arrow.Timestamp(v * 1000)) // milliseconds to microseconds
			return
		}
		b.(*array.Int64Builder).Append(v)
	}
}

// nounRows gives rows of Row as rows of the table. The caller releases them. A required column without a value is an error.
func (t *Table) nounRows(tenant string, rows [][]any, mem memory.Allocator) (arrow.RecordBatch, error) {
	b := array.NewRecordBuilder(mem, t.arrow)
	defer b.Release()
	b.Reserve(len(rows))
	for _, row := range rows {
		b.Field(0).(*array.StringBuilder).Append(tenant)
		for i, v := range row {
			c := t.Columns[1+i]
			if v == nil && c.Required {
				return nil, fmt.Errorf("%w: %s %v has no %s, which is required", ErrDocument, t.Name, row[0], c.Name)
			}
			if err := appendValue(b.Field(1+i), v); err != nil {
				return nil, fmt.Errorf("%s %v: %s: %w", t.Name, row[0], c.Name, err)
			}
		}
	}
	return b.NewRecordBatch(), nil
}

// appendValue appends a value of Row to the builder of its column.
func appendValue(b array.Builder, v any) error {
	if v == nil {
		b.AppendNull()
		return nil
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		b.Append(v.(string))
	case *array.Float64Builder:
		b.Append(v.(float64))
	case *array.Int64Builder:
		b.Append(v.(int64))
	case *array.BooleanBuilder:
		b.Append(v.(bool))
	case *array.TimestampBuilder:
		b.Append(arrow.Timestamp(v.(time.Time).UnixMicro()))
	case *array.Date32Builder:
		b.Append(arrow.Date32FromTime(v.(time.Time)))
	case *array.Decimal128Builder:
		typ := b.Type().(*arrow.Decimal128Type)
		n, err := decimal128.FromString(v.(string), typ.Precision, typ.Scale)
		if err != nil {
			return err
		}
		b.Append(n)
	default:
		return fmt.Errorf("no column type for %T", b)
	}
	return nil
}
