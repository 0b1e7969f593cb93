package query

import (
	"strconv"
	"strings"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// maxSortKeys bounds a sort.
const maxSortKeys = 8

// sortKey is one column that rows are ordered by; nulls come last in both directions.
type sortKey struct {
	column  lakehouse.Column
	place   int // in what lakehouse.Row gives
	descend bool
}

// ordering is a total order of a noun's rows: the last key is always the id.
type ordering struct {
	relevance bool // first by how often the terms of a text were found, most first
	standard  bool // -createdAt: an id may stand for a cursor
	keys      []sortKey
}

// parseSort reads any spelling of interfaces.md 2.4. Without one it is newest first, or relevance where there is a text.
func parseSort(table *schema, text string, hasText bool) (ordering, error) {
	if text = strings.TrimSpace(text); text == "" && hasText {
		o := ordering{relevance: true}
		return o, o.add(table, columnID, false)
	}
	if text == "" {
		text = "-$createdAt"
	}
	var o ordering
	each := func(name string, descend bool) error { return o.named(table, name, descend) }
	split := splitSort
	if strings.HasPrefix(text, "{") {
		split = splitSortObject
	}
	if err := split(text, each); err != nil {
		return ordering{}, err
	}
	if len(o.keys) > maxSortKeys {
		return ordering{}, problem.New(problem.InvalidSort, "at most %d sort keys are allowed", maxSortKeys)
	}
	o.standard = len(o.keys) == 1 && o.keys[0].column.Name == "_createdAt" && o.keys[0].descend
	return o, o.add(table, columnID, false)
}

// splitSort reads "a,-b,c:desc".
func splitSort(text string, each func(name string, descend bool) error) error {
	for part := range strings.SplitSeq(text, ",") {
		name, direction, _ := strings.Cut(strings.TrimSpace(part), ":")
		descend, err := parseDirection(direction)
		if err != nil {
			return err
		}
		if rest, ok := strings.CutPrefix(name, "-"); ok {
			name, descend = rest, true
		}
		if err := each(strings.TrimPrefix(name, "+"), descend); err != nil {
			return err
		}
	}
	return nil
}

// splitSortObject reads {"a": 1, "b": "desc"}.
func splitSortObject(text string, each func(name string, descend bool) error) error {
	o, err := entity.Parse([]byte(text))
	if err != nil || len(o) == 0 {
		return problem.New(problem.InvalidSort, "sort is not an object of fields and directions")
	}
	for _, m := range o {
		direction := entity.Unquote(m.Value)
		if m.Value.Kind() == '0' {
			direction = string(m.Value)
		} else if direction == "" {
			direction = "?"
		}
		descend, err := parseDirection(direction)
		if err != nil {
			return err
		}
		if err := each(m.Name, descend); err != nil {
			return err
		}
	}
	return nil
}

func parseDirection(text string) (descend bool, err error) {
	switch strings.ToLower(text) {
	case "", "1", "asc", "ascending":
		return false, nil
	case "-1", "desc", "descending":
		return true, nil
	}
	return false, problem.New(problem.InvalidSort, "%q is no direction: asc, desc, 1 or -1", text)
}

// named adds a field or meta field.
func (o *ordering) named(table *schema, name string, descend bool) error {
	name = table.noun.Current(name)
	column := name
	if meta, ok := metaName(table.noun, name); ok {
		if meta == metaType { // the same for all rows
			return nil
		}
		column = metaColumns[meta]
	} else if _, ok := table.noun.Column(name); !ok {
		p := problem.New(problem.InvalidSort, "%s has no field %q to sort by", table.noun.Name, name)
		p.Field = name
		return p
	}
	return o.add(table, column, descend)
}

// add appends a key, unless the order is decided without it: a column counts once, and nothing counts behind the id.
func (o *ordering) add(table *schema, column string, descend bool) error {
	for _, k := range o.keys {
		if k.column.Name == column || k.column.Name == columnID {
			return nil
		}
	}
	place := table.place[column]
	o.keys = append(o.keys, sortKey{table.columns[place], place, descend})
	return nil
}

// canonical names the order, the same for all spellings of it.
func (o ordering) canonical() string {
	var b strings.Builder
	if o.relevance {
		b.WriteString("relevance,")
	}
	for _, k := range o.keys {
		if k.descend {
			b.WriteByte('-')
		}
		b.WriteString(k.column.Name)
		b.WriteByte(',')
	}
	return b.String()
}

// columns writes the columns that order writes about: ", row.x as k0, …".
func (o ordering) columns(s *statement, row string) {
	for i, k := range o.keys {
		s.write(", ", row, ".", quoteName(k.column.Name), " as ", keyName(i))
	}
}

func keyName(i int) string { return "k" + strconv.Itoa(i) }

// orderBy writes the order of rows that have the columns.
func (o ordering) orderBy(s *statement) {
	s.write(" order by ")
	if o.relevance {
		s.write("score desc, ")
	}
	for i, k := range o.keys {
		if i > 0 {
			s.write(", ")
		}
		s.write(keyName(i))
		if k.descend {
			s.write(" desc nulls last")
		} else {
			s.write(" asc nulls last")
		}
	}
}

// position is where a page ended: the sort values of its last row.
type position struct {
	score  int64
	values []any // one per key; nil is null
}

// behind writes the condition that a row comes after the position.
func (o ordering) behind(s *statement, at position) {
	s.write("(")
	if o.relevance {
		s.write("score < ")
		s.bind(at.score)
		s.write(" or score = ")
		s.bind(at.score)
		s.write(" and (")
	}
	for i := range o.keys {
		if i > 0 {
			s.write(" or ")
		}
		s.write("(")
		for j, k := range o.keys[:i] {
			s.write(keyName(j), " is not distinct from ")
			k.bind(s, at.values[j])
			s.write(" and ")
		}
		o.keys[i].beyond(s, keyName(i), at.values[i])
		s.write(")")
	}
	if o.relevance {
		s.write(")")
	}
	s.write(")")
}

// beyond writes that a value comes strictly after another in the key's order.
func (k sortKey) beyond(s *statement, name string, v any) {
	if v == nil { // null is last
		s.write("false")
		return
	}
	s.write("(", name)
	if k.descend {
		s.write(" < ")
	} else {
		s.write(" > ")
	}
	k.bind(s, v)
	s.write(" or ", name, " is null)")
}

// bind writes a value of the key's column as a parameter of its type.
func (k sortKey) bind(s *statement, v any) {
	s.write("cast(")
	if t, ok := v.(time.Time); ok && k.column.Type == lakehouse.Date {
		v = t.Format(time.DateOnly)
	}
	s.bind(v)
	s.write(" as ", sqlType(k.column), ")")
}
