package lakehouse

import (
	"fmt"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
	"headless.ly/catalog/noun"
)

// Ids of the partition fields, as Iceberg numbers them.
const (
	partitionTenant = 1000
	partitionDate   = 1001
)

// Table is one Iceberg table as this program declares it: events, or a noun's. It does not change.
type Table struct {
	Name    string     // events, contact
	Noun    *noun.Noun // nil for events
	Columns []Column

	ident  table.Identifier
	schema *iceberg.Schema
	spec   iceberg.PartitionSpec
	arrow  *arrow.Schema
	stats  iceberg.Properties // which columns have bounds in the manifests

	past    *Past // what older files hold otherwise; nil before the stored table is known
	evolved int64 // data files up to this sequence number are older
	stored  int   // id of the stored schema
}

// newTables declares events and a table for every noun that has one, events first. The noun Event has none: its instances
// are rows of events.
func newTables(nouns *noun.Registry) ([]*Table, error) {
	events, err := newTable(eventsTable, nil, EventColumns())
	if err != nil {
		return nil, err
	}
	tables := []*Table{events}
	for _, n := range nouns.All() {
		if n.Name == "Event" {
			continue
		}
		t, err := newTable(n.Table(), n, TableColumns(n))
		if err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return tables, nil
}

func newTable(name string, n *noun.Noun, columns []Column) (*Table, error) {
	t := &Table{Name: name, Noun: n, Columns: columns, ident: table.Identifier{catalog.Namespace, name}}
	fields := make([]iceberg.NestedField, len(columns))
	arrows := make([]arrow.Field, len(columns))
	t.stats = iceberg.Properties{"write.metadata.metrics.default": "counts"}
	owner := map[int]string{}
	for i, c := range columns {
		if c.FieldID == 0 {
			return nil, fmt.Errorf("column %s.%s has no id in lakehouse/fieldids.json", name, c.Name)
		}
		if other := owner[c.FieldID]; other != "" {
			return nil, fmt.Errorf("columns %s and %s of %s have one id in lakehouse/fieldids.json", other, c.Name, name)
		}
		owner[c.FieldID] = c.Name
		fields[i] = iceberg.NestedField{ID: c.FieldID, Name: c.Name, Type: icebergType(c), Required: c.Required, Doc: docOf(c)}
		arrows[i] = arrow.Field{Name: c.Name, Type: arrowType(c), Nullable: !c.Required,
			Metadata: arrow.NewMetadata([]string{"PARQUET:field_id"}, []string{strconv.Itoa(c.FieldID)})}
		if c.Bounds {
			t.stats["write.metadata.metrics.column."+c.Name] = "full"
		}
	}
	t.schema = iceberg.NewSchema(0, fields...)
	t.arrow = arrow.NewSchema(arrows, nil)
	t.spec = t.partition()
	return t, nil
}

// partition is identity(tenant), for events also day(timestamp) under the name date.
func (t *Table) partition() iceberg.PartitionSpec {
	fields := []iceberg.PartitionField{{SourceIDs: []int{t.fieldID("tenant")}, FieldID: partitionTenant, Name: "tenant",
		Transform: iceberg.IdentityTransform{}}}
	if t.Noun == nil {
		fields = append(fields, iceberg.PartitionField{SourceIDs: []int{t.fieldID("timestamp")}, FieldID: partitionDate,
			Name: "date", Transform: iceberg.DayTransform{}})
	}
	return iceberg.NewPartitionSpec(fields...)
}

func (t *Table) fieldID(name string) int {
	for _, c := range t.Columns {
		if c.Name == name {
			return c.FieldID
		}
	}
	panic("no column " + name + " in " + t.Name)
}

// properties is what every table is made with. Retries are off: a repeated commit must be rebuilt from what is there, never
// sent again. Old metadata is not deleted by the library: files outlive snapshots by an hour (correctness 15).
func properties() iceberg.Properties {
	return iceberg.Properties{
		"commit.manifest-merge.enabled":              "true",
		"commit.manifest.min-count-to-merge":         "20",
		"commit.retry.num-retries":                   "0",
		"write.metadata.delete-after-commit.enabled": "false",
		"write.metadata.previous-versions-max":       "20",
		"write.parquet.compression-codec":            "zstd",
		"write.delete.mode":                          "merge-on-read",
		"write.update.mode":                          "merge-on-read",
		"write.merge.mode":                           "merge-on-read",
	}
}

func icebergType(c Column) iceberg.Type {
	switch c.Type {
	case Double:
		return iceberg.PrimitiveTypes.Float64
	case Boolean:
		return iceberg.PrimitiveTypes.Bool
	case Long:
		return iceberg.PrimitiveTypes.Int64
	case Timestamp:
		return iceberg.PrimitiveTypes.TimestampTz
	case Date:
		return iceberg.PrimitiveTypes.Date
	case Decimal:
		return iceberg.DecimalTypeOf(c.Precision, c.Scale)
	default:
		return iceberg.PrimitiveTypes.String
	}
}

func docOf(c Column) string {
	if c.Type == JSON {
		return docJSON
	}
	return ""
}

func arrowType(c Column) arrow.DataType {
	switch c.Type {
	case Double:
		return arrow.PrimitiveTypes.Float64
	case Boolean:
		return arrow.FixedWidthTypes.Boolean
	case Long:
		return arrow.PrimitiveTypes.Int64
	case Timestamp:
		return arrow.FixedWidthTypes.Timestamp_us
	case Date:
		return arrow.FixedWidthTypes.Date32
	case Decimal:
		return &arrow.Decimal128Type{Precision: int32(c.Precision), Scale: int32(c.Scale)}
	default:
		return arrow.BinaryTypes.String
	}
}
