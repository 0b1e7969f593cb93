package rows

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
)

// maxColumns bounds the header of a CSV import.
const maxColumns = 2000

// tableRows are the records of a CSV text below its header. Cells take the type of their column; an empty one is absent.
type tableRows struct {
	*rowReader
	r       *csv.Reader
	names   []string
	columns []noun.Column // the zero Column where the noun declares none of the name
}

func newTableRows(n *noun.Noun, body *rowReader) (Reader, error) {
	text := bufio.NewReader(bounded{body})
	if mark, _ := text.Peek(3); bytes.Equal(mark, []byte("\uFEFF")) {
		text.Discard(3) // peeked already
	}
	t := &tableRows{rowReader: body, r: csv.NewReader(text)}
	t.r.FieldsPerRecord = -1
	header, err := t.r.Read()
	if err == io.EOF {
		return nil, problem.New(problem.InvalidBody, "the body is empty; CSV begins with a header row")
	}
	if err != nil {
		return nil, ended(err)
	}
	if len(header) > maxColumns {
		return nil, problem.New(problem.InvalidBody, "the header has more than %d columns", maxColumns)
	}
	for _, name := range header {
		name = strings.TrimSpace(name)
		if name == "" || slices.Contains(t.names, name) {
			return nil, problem.New(problem.InvalidBody, "each column of the header needs a name of its own; %.80q is not one", name)
		}
		column, _ := n.Column(name)
		t.names, t.columns = append(t.names, name), append(t.columns, column)
	}
	t.r.ReuseRecord = true
	return t, nil
}

func (t *tableRows) Next() (entity.Object, error) {
	t.nextRow()
	record, err := t.r.Read()
	if bad, ok := errors.AsType[*csv.ParseError](err); ok {
		return nil, &BadRow{problem.New(problem.InvalidBody, "the row is not valid CSV: %v", bad.Err)}
	}
	if err == io.EOF {
		return nil, err
	}
	if err != nil {
		return nil, ended(err)
	}
	if len(record) != len(t.names) {
		return nil, &BadRow{problem.New(problem.InvalidBody, "the row has %d cells, the header %d", len(record), len(t.names))}
	}
	o := make(entity.Object, 0, len(record))
	for i, text := range record {
		switch {
		case text == "":
		case t.names[i] == Extra:
			if o, err = spread(o, []byte(text)); err != nil {
				return nil, err
			}
		default:
			o = append(o, entity.Member{Name: t.names[i], Value: cell(t.columns[i], text)})
		}
	}
	return o, nil
}

// spread adds the members of a JSON object, the undeclared fields of an entity.
func spread(o entity.Object, text []byte) (entity.Object, error) {
	more, err := entity.Parse(text)
	if err != nil {
		return nil, &BadRow{problem.New(problem.InvalidBody, "%s is no JSON object", Extra)}
	}
	for _, m := range more {
		o.Set(m.Name, m.Value)
	}
	return o, nil
}

// cell is the text of a CSV cell as the JSON value its column wants. Text that does not fit stays text: the writer says
// what is wrong with it.
func cell(c noun.Column, text string) jsontext.Value {
	if c.Field != nil && c.Field.Array {
		return document(text)
	}
	switch {
	case c.Kind.Numeric():
		return number(text)
	case c.Kind == noun.JSON:
		return document(text)
	case c.Kind == noun.Boolean:
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "true":
			return jsontext.Value("true")
		case "false":
			return jsontext.Value("false")
		}
	}
	return entity.Quote(text)
}

// number keeps the digits of what JSON calls a number and rewrites what only people do (007, +5, .5).
func number(text string) jsontext.Value {
	text = strings.TrimSpace(text)
	v := jsontext.Value(text)
	if v.IsValid() && v.Kind() == '0' {
		return v
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) || strings.ContainsAny(text, "xX_pP") {
		return entity.Quote(text)
	}
	return strconv.AppendFloat(nil, f, 'g', -1, 64)
}

// document is JSON where the text is JSON, and a string where it is not.
func document(text string) jsontext.Value {
	v := jsontext.Value(text)
	if v.Compact() == nil {
		return v
	}
	return entity.Quote(text)
}
