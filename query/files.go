package query

import (
	"strconv"
	"strings"

	"headless.ly/lakehouse"
)

// published selects the rows of the published table, with the columns of today's declaration.
func published(table *schema, files lakehouse.Files) string {
	var current, older []string
	for _, path := range files.Paths {
		if files.Older[path] {
			older = append(older, path)
		} else {
			current = append(current, path)
		}
	}
	var parts []string
	if len(current) > 0 {
		parts = append(parts, "select "+table.list+" from "+readParquet(current))
	}
	if len(older) > 0 && files.Past.Lifts() {
		parts = append(parts, table.lift(files.Past, older))
	} else if len(older) > 0 {
		parts = append(parts, "select "+table.list+" from "+readParquet(older, byFieldID(table.columns)))
	}
	if len(parts) == 0 {
		return empty(table)
	}
	return strings.Join(parts, " union all ")
}

// readParquet is the one place that names files: a FROM over them, columns by name unless an option says otherwise. With
// "file_row_number = true" and "filename = true" rows say where they stand, whatever the other options.
func readParquet(paths []string, options ...string) string {
	quoted := make([]string, len(paths))
	for i, p := range paths {
		quoted[i] = quoteText(p)
	}
	options = append([]string{"read_parquet([" + strings.Join(quoted, ", ") + "]", "hive_partitioning = false"}, options...)
	return strings.Join(options, ", ") + ")"
}

// byFieldID is the option by which files of several declarations are read: columns by field id, under today's name and type,
// null where a file lacks one. It costs more than columns by name (DuckDB answers no count from the footer then), so it is
// for older files only.
func byFieldID(columns []lakehouse.Column) string {
	fields := make([]string, len(columns))
	for i, c := range columns {
		fields[i] = strconv.Itoa(c.FieldID) + ": {name: " + quoteText(c.Name) + ", type: " + quoteText(sqlType(c)) +
			", default_value: NULL}"
	}
	return "schema = MAP {" + strings.Join(fields, ", ") + "}"
}

// lift selects the rows of older files some of whose fields lie in _extra though they have a column by now, or in a column
// that they have no more.
func (s *schema) lift(past *lakehouse.Past, paths []string) string {
	young := map[string]bool{}
	for _, c := range past.Young {
		young[c.Name] = true
	}
	columns := make([]string, len(s.columns))
	for i, c := range s.columns {
		name := quoteName(c.Name)
		switch {
		case c.Name == columnExtra:
			columns[i] = "json_extract_string(lifted, '/" + columnExtra + "') as " + name
		case young[c.Name]:
			columns[i] = "coalesce(" + name + ", cast(json_extract_string(lifted, '/" + c.Name + "') as " + sqlType(c) + ")) as " + name
		default:
			columns[i] = name
		}
	}
	stored := s.columns[:len(s.columns):len(s.columns)]
	old := []string{columnExtra + " is not null"}
	var members []string
	for _, c := range past.Retired {
		key := quoteText(c.Name)
		c.Name = "retired " + strconv.Itoa(c.FieldID) // in no declared column's way, whatever its case
		stored = append(stored, c)
		old = append(old, quoteName(c.Name)+" is not null")
		members = append(members, key+", "+documentValue(c))
	}
	return "select " + strings.Join(columns, ", ") + " from (select *, case when " + strings.Join(old, " or ") + " then " +
		functionLift + "(" + quoteText(s.noun.Name) + ", coalesce(" + columnExtra + ", '{}'), cast(json_object(" +
		strings.Join(members, ", ") + ") as varchar)) end as lifted from " + readParquet(paths, byFieldID(stored)) + ")"
}

// documentValue is a column's value as a document holds it.
func documentValue(c lakehouse.Column) string {
	name := quoteName(c.Name)
	switch c.Type {
	case lakehouse.JSON:
		return "cast(" + name + " as json)"
	case lakehouse.Timestamp:
		return "strftime(" + name + ", '%Y-%m-%dT%H:%M:%S.%gZ')"
	case lakehouse.Date:
		return "strftime(" + name + ", '%Y-%m-%d')"
	case lakehouse.Decimal:
		return "cast(cast(" + name + " as varchar) as json)"
	}
	return name
}
