package format

import (
	"bytes"
	"io"
	"strconv"

	"headless.ly/query/duck"
)

// table writes RFC 4180: a header row, lines that end in CR LF, nothing for null, "" for an empty text.
type table struct {
	w       io.Writer
	columns []duck.Column
	plain   bool // texts that spreadsheets would take for formulas are marked as texts
	buf     []byte
}

func newTable(f Format, w io.Writer, columns []duck.Column) (Encoder, error) {
	t := &table{w: w, columns: columns, plain: f == Spreadsheet}
	for i, c := range columns {
		if i > 0 {
			t.buf = append(t.buf, ',')
		}
		t.buf = appendCell(t.buf, []byte(c.Name))
	}
	t.buf = append(t.buf, "\r\n"...)
	return t, nil
}

func (t *table) Rows(chunk *duck.Chunk, n int) error {
	b := t.buf
	for row := range n {
		for i := range t.columns {
			if i > 0 {
				b = append(b, ',')
			}
			if t.plain && t.columns[i].Type == duck.Varchar && isFormula(&chunk.Columns[i], row) {
				b = appendCell(b, append([]byte{'\''}, chunk.Columns[i].Text(row)...))
				continue
			}
			b = appendField(b, &t.columns[i], &chunk.Columns[i], row)
		}
		b = append(b, "\r\n"...)
	}
	_, err := t.w.Write(b)
	t.buf = b[:0]
	return err
}

func (t *table) Close(Summary) error {
	_, err := t.w.Write(t.buf)
	return err
}

// isFormula says whether a spreadsheet would compute a text.
func isFormula(v *duck.Vector, row int) bool {
	if v.Null(row) {
		return false
	}
	text := v.Text(row)
	return len(text) > 0 && bytes.IndexByte([]byte("=+-@"), text[0]) >= 0
}

// appendField appends a value as a cell.
func appendField(b []byte, c *duck.Column, v *duck.Vector, row int) []byte {
	if v.Null(row) {
		return b
	}
	switch c.Type {
	case duck.Varchar:
		return appendCell(b, v.Text(row))
	case duck.Boolean:
		return strconv.AppendBool(b, v.Bool(row))
	case duck.UBigInt:
		return strconv.AppendUint(b, v.Uint(row), 10)
	case duck.Float, duck.Double:
		return append(b, bytes.Trim(appendFloat(nil, v.Float(row), floatBits(c.Type)), `"`)...)
	}
	return appendPlain(b, c, v, row)
}

// appendCell appends text, quoted where it has to be.
func appendCell(b, text []byte) []byte {
	if len(text) > 0 && !bytes.ContainsAny(text, ",\"\r\n") {
		return append(b, text...)
	}
	b = append(b, '"')
	for _, c := range text {
		if c == '"' {
			b = append(b, '"')
		}
		b = append(b, c)
	}
	return append(b, '"')
}
