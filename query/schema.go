package query

import (
	"strings"

	"headless.ly/catalog/noun"
	"headless.ly/lakehouse"
)

// Columns that every noun table has, beside the declared ones (analytics.md 1).
const (
	columnID      = "id"
	columnSeq     = "_seq"
	columnExtra   = "_extra"
	columnDeleted = "_deleted" // of our own tables only: the version is a delete
	columnFrom    = "_validFrom"
)

// versionColumns are what a noun's history has beside the table's columns, in front of _deleted (analytics.md 1).
var versionColumns = []lakehouse.Column{
	{Name: columnFrom, Type: lakehouse.Timestamp},
	{Name: "_verb", Type: lakehouse.String},
	{Name: "_actor", Type: lakehouse.String},
	{Name: "_event", Type: lakehouse.String},
}

// schema is the table of one noun as SQL sees it: what lakehouse.Row gives, in its order. The log has one too.
type schema struct {
	name    string
	noun    *noun.Noun         // nil: the log
	columns []lakehouse.Column // without tenant
	place   map[string]int
	list    string // the columns, quoted, comma separated
}

func newSchema(n *noun.Noun) *schema { return makeSchema(n.Table(), n, lakehouse.TableColumns(n)[1:]) }

// logSchema is the table of the log.
func logSchema() *schema { return makeSchema(tableEvents, nil, lakehouse.EventColumns()[1:]) }

func makeSchema(name string, n *noun.Noun, columns []lakehouse.Column) *schema {
	s := &schema{name: name, noun: n, columns: columns, place: map[string]int{}}
	for i, c := range columns {
		s.place[c.Name] = i
	}
	s.list = columnNames(columns)
	return s
}

// column finds a column by its name in the table.
func (s *schema) column(name string) (lakehouse.Column, bool) {
	i, ok := s.place[name]
	if !ok {
		return lakehouse.Column{}, false
	}
	return s.columns[i], true
}

// schemas are the tables of all nouns, by noun name. They are made once and never change.
type schemas map[string]*schema

func newSchemas(nouns *noun.Registry) schemas {
	all := schemas{}
	for _, n := range nouns.All() {
		all[n.Name] = newSchema(n)
	}
	return all
}

// metaColumns are the meta fields a filter, sort or projection may name, and the columns that hold them.
var metaColumns = map[string]string{
	"$id":        columnID,
	"$version":   "_version",
	"$createdAt": "_createdAt",
	"$createdBy": "_createdBy",
	"$updatedAt": "_updatedAt",
}

// metaType is the one meta field that is no column: a table holds one type.
const metaType = "$type"

// metaName gives the $ form of a meta field or of its bare alias, unless the noun declares a field of that name.
func metaName(n *noun.Noun, name string) (string, bool) {
	if strings.HasPrefix(name, "$") {
		_, ok := metaColumns[name]
		return name, ok || name == metaType
	}
	if _, declared := n.Column(name); declared {
		return "", false
	}
	if _, declared := n.Relationship(name); declared {
		return "", false
	}
	if _, ok := metaColumns["$"+name]; ok || name == "type" {
		return "$" + name, true
	}
	return "", false
}

// sqlType is the DuckDB type of a column.
func sqlType(c lakehouse.Column) string {
	switch c.Type {
	case lakehouse.Double:
		return "DOUBLE"
	case lakehouse.Boolean:
		return "BOOLEAN"
	case lakehouse.Long:
		return "BIGINT"
	case lakehouse.Timestamp:
		return "TIMESTAMPTZ"
	case lakehouse.Date:
		return "DATE"
	case lakehouse.Decimal:
		return decimalType(c)
	}
	return "VARCHAR"
}

func quoteName(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteText(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
