package lakehouse

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
)

// ErrDocument is wrapped where a stored document lacks what every document has.
var ErrDocument = errors.New("stored document is damaged")

// Places of the columns that Row fills around the declared ones: id before them, these after.
const (
	rowVersion = iota
	rowCreatedAt
	rowUpdatedAt
	rowCreatedBy
	rowSeq
	rowExtra
	rowTail // how many they are
)

// Row decodes the stored document of an event into one value per column of TableColumns(n) except tenant, in that order.
// The values are as the comments of the Types say. A field under an old name goes to the column it has now. A value that
// does not fit its column (written under an older declaration) is kept in _extra under its name, as all undeclared fields
// are. The values do not share the event's memory.
func Row(n *noun.Noun, e *Event) ([]any, error) {
	row, _, err := decode(n, e)
	return row, err
}

// decode is Row that also says whether the document is of a deleted entity.
func decode(n *noun.Noun, e *Event) (row []any, deleted bool, err error) {
	doc, err := entity.ParseStored(e.Data)
	if err != nil {
		return nil, false, fmt.Errorf("%w: event %d: %w", ErrDocument, e.Seq, err)
	}
	columns := n.Columns()
	row = make([]any, 1+len(columns)+rowTail)
	tail := row[1+len(columns):]
	tail[rowSeq] = e.Seq
	doc.Rename(n.Was())
	extra := place(columns, doc, row[1:], func(m entity.Member) { deleted = meta(m, row, tail) || deleted })
	if len(extra) > 0 {
		tail[rowExtra] = string(extra.Append(nil))
	}
	if row[0] == nil || tail[rowVersion] == nil || tail[rowCreatedAt] == nil || tail[rowUpdatedAt] == nil {
		return nil, false, fmt.Errorf("%w: event %d lacks $id, $version, $createdAt or $updatedAt", ErrDocument, e.Seq)
	}
	return row, deleted, nil
}

// place puts the fields that are declared and fit into values, one per column, and gives the others. The $ members go to meta.
func place(columns []noun.Column, doc entity.Object, values []any, meta func(entity.Member)) (extra entity.Object) {
	next := 0
	for _, m := range doc {
		if strings.HasPrefix(m.Name, "$") {
			meta(m)
			continue
		}
		i := find(columns, m.Name, next)
		if i < 0 {
			extra = append(extra, m)
			continue
		}
		next = i + 1
		if v, ok := value(columnOf(columns[i]), m.Value); ok {
			values[i] = v
		} else {
			extra = append(extra, m)
		}
	}
	return extra
}

// Lift gives the undeclared fields of an older row their place under today's declaration, a noun's columns and the names they
// had before: one value for each column, nil for most, and what stays undeclared. extra is the row's _extra, a JSON object;
// retired is one with the values of its columns that are declared no more. rest is empty where nothing stays.
func Lift(columns []noun.Column, was map[string]string, extra, retired string) (values []any, rest string, err error) {
	var doc entity.Object
	for _, text := range []string{retired, extra} { // declared fields stood first
		o, err := entity.ParseStored([]byte(text))
		if err != nil {
			return nil, "", fmt.Errorf("%w: undeclared fields: %w", ErrDocument, err)
		}
		for _, m := range o {
			if !entity.IsNull(m.Value) {
				doc.Set(m.Name, m.Value)
			}
		}
	}
	doc.Rename(was)
	values = make([]any, len(columns))
	if left := place(columns, doc, values, func(entity.Member) {}); len(left) > 0 {
		rest = string(left.Append(nil))
	}
	return values, rest, nil
}

// find looks for a column from place next on, where a document in order of declaration has it, then from the start.
func find(columns []noun.Column, name string, next int) int {
	for i := next; i < len(columns); i++ {
		if columns[i].Name == name {
			return i
		}
	}
	for i := 0; i < min(next, len(columns)); i++ {
		if columns[i].Name == name {
			return i
		}
	}
	return -1
}

// meta puts a $ member into its column and reports whether it says that the entity is deleted.
func meta(m entity.Member, row, tail []any) (deleted bool) {
	put := func(place *any, c Column) {
		if v, ok := value(c, m.Value); ok {
			*place = v
		}
	}
	switch m.Name {
	case "$id":
		put(&row[0], Column{Type: String})
	case "$version":
		put(&tail[rowVersion], Column{Type: Long})
	case "$createdAt":
		put(&tail[rowCreatedAt], Column{Type: Timestamp})
	case "$updatedAt":
		put(&tail[rowUpdatedAt], Column{Type: Timestamp})
	case "$createdBy":
		put(&tail[rowCreatedBy], Column{Type: String})
	case "$deleted":
		return m.Value.Kind() == 't'
	}
	return false
}

// value gives a JSON value as the column's Go value; ok is false where it does not fit. JSON null is nil.
func value(c Column, v jsontext.Value) (any, bool) {
	kind := v.Kind()
	if kind == 'n' {
		return nil, true
	}
	switch c.Type {
	case JSON:
		return string(v), true
	case String:
		return entity.Unquote(v), kind == '"'
	case Boolean:
		return kind == 't', kind == 't' || kind == 'f'
	case Double:
		return double(v, kind)
	case Long:
		return long(v, kind)
	case Decimal:
		return decimal(v, kind, c.Precision, c.Scale)
	case Timestamp:
		t, ok := instant(entity.Unquote(v))
		return t, ok && kind == '"'
	case Date:
		t, ok := instant(entity.Unquote(v))
		return t.Truncate(24 * time.Hour), ok && kind == '"'
	}
	return nil, false
}

func double(v jsontext.Value, kind jsontext.Kind) (any, bool) {
	if kind != '0' {
		return nil, false
	}
	f, err := strconv.ParseFloat(string(v), 64)
	return f, err == nil && !math.IsInf(f, 0)
}

// long takes every spelling of an integer of 64 bits: 5, 5.0, 1e3.
func long(v jsontext.Value, kind jsontext.Kind) (any, bool) {
	if kind != '0' {
		return nil, false
	}
	if i, err := strconv.ParseInt(string(v), 10, 64); err == nil {
		return i, true
	}
	r, ok := rational(string(v))
	if !ok || !r.IsInt() || !r.Num().IsInt64() {
		return nil, false
	}
	return r.Num().Int64(), true
}

// decimal takes a number, or a string that holds one, if no digit is lost.
func decimal(v jsontext.Value, kind jsontext.Kind, precision, scale int) (any, bool) {
	text := string(v)
	if kind == '"' {
		text = entity.Unquote(v)
	} else if kind != '0' {
		return nil, false
	}
	r, ok := rational(text)
	if !ok {
		return nil, false
	}
	exact := r.FloatString(scale)
	digits := strings.TrimLeft(strings.NewReplacer("-", "", ".", "").Replace(exact), "0")
	back, ok := new(big.Rat).SetString(exact)
	return exact, ok && back.Cmp(r) == 0 && len(digits) <= precision
}

// rational reads a decimal number exactly. Numbers with far exponents are refused: writing them out would take gigabytes.
func rational(text string) (*big.Rat, bool) {
	const farthest = 400
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if exp, err := strconv.Atoi(text[i+1:]); err != nil || exp > farthest || exp < -farthest {
			return nil, false
		}
	}
	if strings.ContainsAny(text, "/_xXoObBpP") { // big.Rat's own notations
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// instant reads a timestamp with zone, or a date as the midnight UTC that begins it, to the microsecond.
func instant(text string) (time.Time, bool) {
	layout := time.RFC3339Nano
	if len(text) == len(time.DateOnly) {
		layout = time.DateOnly
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return time.Time{}, false
	}
	return t.UTC().Truncate(time.Microsecond), true
}
