package api

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
)

// rows are the rows of an import, one at a time.
type rows interface {
	// next gives the next row; io.EOF behind the last; a *badRowError for a row that is none, after which the next one
	// can be had. Any other error ends the rows.
	next() (entity.Object, error)
}

// badRowError says that one row cannot be read, and that the rows go on.
type badRowError struct{ err error }

func (e *badRowError) Error() string { return e.err.Error() }
func (e *badRowError) Unwrap() error { return e.err }

// rows opens the body as what its content type says.
func (r *request) rows() (rows, error) {
	if coding := r.header("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return nil, problem.New(problem.UnsupportedMediaType, "the body is encoded as %q; send it as it is", cut(coding))
	}
	whole := http.MaxBytesReader(r.c.Writer, r.c.Request.Body, r.s.cfg.MaxImport)
	body := &rowReader{r: whole, limit: r.s.cfg.MaxBody}
	body.nextRow()
	switch kind := mediaType(r.header("Content-Type")); kind {
	case "application/json":
		return newArrayRows(body)
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines":
		return newLineRows(body), nil
	case "text/csv", "application/csv":
		return newTableRows(r.noun, body)
	default:
		return nil, problem.New(problem.UnsupportedMediaType,
			"an import is application/json (an array), application/x-ndjson or text/csv, not %q", cut(r.header("Content-Type")))
	}
}

// rowReader bounds what one row may take of the body. Readers above it read ahead, so the bound is loose by a buffer.
type rowReader struct {
	r     io.Reader
	limit int64
	left  int64
}

const readAhead = 1 << 20

func (r *rowReader) nextRow() { r.left = r.limit + readAhead }

func (r *rowReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, problem.New(problem.PayloadTooLarge, "a row is larger than %d bytes", r.limit)
	}
	n, err := r.r.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		err = problem.New(problem.PayloadTooLarge, "the import is too large for one request: send it in parts")
	}
	return n, err
}

// ended makes a problem of an error that ends the rows.
func ended(err error) error {
	if _, ok := errors.AsType[*problem.Problem](err); ok {
		return err
	}
	return problem.New(problem.InvalidBody, "the rows cannot be read any further: %s", syntax(err))
}

// arrayRows are the elements of a JSON array.
type arrayRows struct {
	body *rowReader
	d    *jsontext.Decoder
}

func newArrayRows(body *rowReader) (rows, error) {
	// What is wrong inside an element is the matter of that row: entity.Parse finds it.
	d := jsontext.NewDecoder(body, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	tok, err := d.ReadToken()
	if err != nil || tok.Kind() != '[' {
		if p, ok := errors.AsType[*problem.Problem](err); ok {
			return nil, p
		}
		return nil, problem.New(problem.InvalidBody, "the body is not a JSON array")
	}
	return &arrayRows{body, d}, nil
}

func (a *arrayRows) next() (entity.Object, error) {
	a.body.nextRow()
	if a.d.PeekKind() == ']' {
		if _, err := a.d.ReadToken(); err != nil {
			return nil, ended(err)
		}
		if _, err := a.d.ReadToken(); err != io.EOF {
			return nil, problem.New(problem.InvalidBody, "there is more behind the end of the array")
		}
		return nil, io.EOF
	}
	v, err := a.d.ReadValue()
	if err != nil {
		return nil, ended(err)
	}
	return parseRow(v)
}

// parseRow reads a row that has been cut out of the body.
func parseRow(v []byte) (entity.Object, error) {
	o, err := entity.Parse(v)
	if errors.Is(err, entity.ErrNotObject) {
		return nil, &badRowError{problem.New(problem.InvalidBody, "the row is not a JSON object")}
	}
	if err != nil {
		return nil, &badRowError{problem.New(problem.InvalidBody, "the row is not valid JSON: %s", syntax(err))}
	}
	return o, nil
}

// lineRows are the lines of NDJSON. Blank lines are no rows.
type lineRows struct {
	body  *rowReader
	lines *bufio.Scanner
}

func newLineRows(body *rowReader) rows {
	lines := bufio.NewScanner(body)
	lines.Buffer(make([]byte, 0, 64<<10), int(min(body.limit, math.MaxInt32)))
	return &lineRows{body, lines}
}

func (l *lineRows) next() (entity.Object, error) {
	l.body.nextRow()
	for l.lines.Scan() {
		if line := bytes.TrimSpace(l.lines.Bytes()); len(line) > 0 {
			return parseRow(line)
		}
	}
	switch err := l.lines.Err(); {
	case err == nil:
		return nil, io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		return nil, problem.New(problem.PayloadTooLarge, "a row is larger than %d bytes", l.body.limit)
	default:
		return nil, ended(err)
	}
}

// maxColumns bounds the header of a CSV import.
const maxColumns = 2000

// tableRows are the records of a CSV text below its header. Cells take the type of their column; an empty one is absent.
type tableRows struct {
	body    *rowReader
	r       *csv.Reader
	names   []string
	columns []noun.Column // the zero Column where the noun declares none of the name
}

func newTableRows(n *noun.Noun, body *rowReader) (rows, error) {
	text := bufio.NewReader(body)
	if mark, _ := text.Peek(3); bytes.Equal(mark, []byte("\uFEFF")) {
		text.Discard(3) // peeked already
	}
	t := &tableRows{body: body, r: csv.NewReader(text)}
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
			return nil, problem.New(problem.InvalidBody, "each column of the header needs a name of its own; %q is not one", cut(name))
		}
		column, _ := n.Column(name)
		t.names, t.columns = append(t.names, name), append(t.columns, column)
	}
	t.r.ReuseRecord = true
	return t, nil
}

func (t *tableRows) next() (entity.Object, error) {
	t.body.nextRow()
	record, err := t.r.Read()
	if bad, ok := errors.AsType[*csv.ParseError](err); ok {
		return nil, &badRowError{problem.New(problem.InvalidBody, "the row is not valid CSV: %v", bad.Err)}
	}
	if err == io.EOF {
		return nil, err
	}
	if err != nil {
		return nil, ended(err)
	}
	if len(record) != len(t.names) {
		return nil, &badRowError{problem.New(problem.InvalidBody, "the row has %d cells, the header %d", len(record), len(t.names))}
	}
	o := make(entity.Object, 0, len(record))
	for i, text := range record {
		if text != "" {
			o = append(o, entity.Member{Name: t.names[i], Value: cell(t.columns[i], text)})
		}
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
