package lakehouse

import (
	"headless.ly/catalog/noun"
)

// Type is how a column is stored. Every Type has one Iceberg, one Parquet, one DuckDB and one Go form.
type Type uint8

// The types of columns, with the Go value that Row gives for each. Any of them may be nil in an optional column.
const (
	String    Type = iota + 1 // string
	JSON                      // string: compact JSON text
	Double                    // float64, finite
	Boolean                   // bool
	Long                      // int64
	Timestamp                 // time.Time in UTC, whole microseconds
	Date                      // time.Time, midnight UTC
	Decimal                   // string: exact decimal text with Scale digits after the point
)

// Column is one column of a table, as analytics.md 1 lists them.
type Column struct {
	Name     string
	Type     Type
	Required bool
	FieldID  int  // of fieldids.json: never changes, is never given to another column
	Indexed  bool // dictionary pages, whatever the type
	Bloom    bool // the files hold a bloom filter for it
	Bounds   bool // its lower and upper bounds may stand in table metadata: ids, enums, numbers and times, never free text

	Precision, Scale int // of a Decimal
}

// eventsTable is the name of the log's table.
const eventsTable = "events"

// The decimal that a field without a stated precision gets.
const (
	defaultPrecision = 38
	defaultScale     = 9
)

// EventColumns gives the columns of the events table in order, tenant first.
func EventColumns() []Column {
	text := func(name string, required, bloom, bounds bool) Column {
		return Column{Name: name, Type: String, Required: required, Bloom: bloom, Indexed: bloom, Bounds: bounds}
	}
	return numbered(eventsTable, nil, []Column{
		text("tenant", true, false, true),
		{Name: "seq", Type: Long, Required: true, Bounds: true},
		text("id", true, true, true),
		text("kind", true, false, true),
		text("type", true, true, true),
		text("entity", true, false, true),
		text("target", true, true, true),
		text("verb", false, false, true),
		text("actor", false, true, false), // may be an address
		{Name: "timestamp", Type: Timestamp, Required: true, Bounds: true},
		{Name: "version", Type: Long, Required: true, Bounds: true},
		{Name: "data", Type: JSON},
		{Name: "before", Type: JSON},
		{Name: "changes", Type: JSON},
		{Name: "input", Type: JSON},
		text("source", false, false, false),
		text("requestId", false, false, false),
		text("cause", false, false, true),
	})
}

// TableColumns gives the columns of a noun's table in order, tenant first. It is the same for every call; the caller owns
// the slice.
func TableColumns(n *noun.Noun) []Column {
	own := n.Columns()
	columns := make([]Column, 0, len(own)+8)
	columns = append(columns,
		Column{Name: "tenant", Type: String, Required: true, Bounds: true},
		Column{Name: "id", Type: String, Required: true, Indexed: true, Bloom: true, Bounds: true})
	for _, c := range own {
		columns = append(columns, columnOf(c))
	}
	columns = append(columns,
		Column{Name: "_version", Type: Long, Required: true, Bounds: true},
		Column{Name: "_createdAt", Type: Timestamp, Required: true, Bounds: true},
		Column{Name: "_updatedAt", Type: Timestamp, Required: true, Bounds: true},
		Column{Name: "_createdBy", Type: String},
		Column{Name: "_seq", Type: Long, Required: true, Bounds: true},
		Column{Name: "_extra", Type: JSON})
	return numbered(n.Table(), n, columns)
}

// columnOf gives the stored form of a declared field or forward relationship.
func columnOf(c noun.Column) Column {
	out := Column{Name: c.Name, Type: typeOf(c), Required: c.Required}
	if f := c.Field; f != nil {
		out.Indexed = f.Indexed || f.Unique
		out.Bloom = out.Indexed
		if out.Type == Decimal {
			out.Precision, out.Scale = f.Precision, f.Scale
			if out.Precision == 0 {
				out.Precision, out.Scale = defaultPrecision, defaultScale
			}
		}
	}
	out.Bounds = !c.Kind.Text() && out.Type != JSON
	return out
}

func typeOf(c noun.Column) Type {
	if c.Field != nil && c.Field.Array || c.Relationship != nil && c.Relationship.Many {
		return JSON
	}
	switch c.Kind {
	case noun.Number, noun.Float:
		return Double
	case noun.Boolean:
		return Boolean
	case noun.Int:
		return Long
	case noun.Datetime, noun.Timestamp:
		return Timestamp
	case noun.Date:
		return Date
	case noun.JSON:
		return JSON
	case noun.Decimal:
		return Decimal
	default:
		return String
	}
}
