package lakehouse

import (
	"headless.ly/catalog/noun"
)

// Type is how a column is stored. Every Type has one Iceberg, one Parquet, one DuckDB and one Go form.
type Type uint8

// The types of columns, with the Go value that Row gives for each. Any of them may be nil in an optional column.
const (
	String    Type = iota + 1 // string; UTF-8, dictionary
	JSON                      // string: compact JSON text; plain
	Double                    // float64
	Boolean                   // bool
	Long                      // int64
	Timestamp                 // time.Time, UTC; microseconds
	Date                      // time.Time, midnight UTC
	Decimal                   // string: exact decimal text with Scale digits after the point
)

// Column is one column of a table, as analytics.md 1 lists them.
type Column struct {
	Name     string
	Type     Type
	Required bool
	FieldID  int  // of fieldids.json; never changes, never reused
	Bloom    bool // the files hold a bloom filter for it
	FreeText bool // neither id, enum, number nor time: no bounds of it are written to metadata

	Precision, Scale int // of a Decimal
}

// TableColumns gives the columns of a noun's table in order, tenant first. It is the same for every call; the caller may
// keep it and must not change it.
func TableColumns(n *noun.Noun) []Column { panic("not yet") }
