package rows

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/problem"
)

// arrayRows are the elements of a JSON array.
type arrayRows struct {
	*rowReader
	d *jsontext.Decoder
}

func newArrayRows(body *rowReader) (Reader, error) {
	// What is wrong inside an element is the matter of that row: entity.Parse finds it.
	d := jsontext.NewDecoder(bounded{body}, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	tok, err := d.ReadToken()
	if err != nil || tok.Kind() != '[' {
		if p, ok := errors.AsType[*problem.Problem](err); ok {
			return nil, p
		}
		return nil, problem.New(problem.InvalidBody, "the body is not a JSON array")
	}
	return &arrayRows{body, d}, nil
}

func (a *arrayRows) Next() (entity.Object, error) {
	a.nextRow()
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
		return nil, &BadRow{problem.New(problem.InvalidBody, "the row is not a JSON object")}
	}
	if err != nil {
		return nil, &BadRow{problem.New(problem.InvalidBody, "the row is not valid JSON: %s", entity.Syntax(err))}
	}
	return o, nil
}

// lineRows are the lines of NDJSON. Blank lines are no rows.
type lineRows struct {
	*rowReader
	lines *bufio.Scanner
}

func newLineRows(body *rowReader) Reader {
	lines := bufio.NewScanner(bounded{body})
	lines.Buffer(make([]byte, 0, 64<<10), int(min(body.limit, math.MaxInt32)))
	return &lineRows{body, lines}
}

func (l *lineRows) Next() (entity.Object, error) {
	l.nextRow()
	for l.lines.Scan() {
		if line := bytes.TrimSpace(l.lines.Bytes()); len(line) > 0 {
			return parseRow(line)
		}
	}
	switch err := l.lines.Err(); {
	case err == nil:
		return nil, io.EOF
	case errors.Is(err, bufio.ErrTooLong):
		return nil, problem.New(problem.PayloadTooLarge, "a row is larger than %d bytes", l.limit)
	default:
		return nil, ended(err)
	}
}
