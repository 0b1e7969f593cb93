package format

import (
	"encoding/base64"
	"io"
	"maps"
	"math"
	"math/big"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/query/duck"
)

// maxSafe is the largest integer up to which JSON numbers are exact in every client.
const maxSafe = 1<<53 - 1

// arrays writes one object with the rows as arrays.
type arrays struct {
	w       io.Writer
	columns []duck.Column
	buf     []byte
	some    bool
}

func newArrays(w io.Writer, columns []duck.Column) (Encoder, error) {
	return &arrays{w: w, columns: columns, buf: appendHead(nil, columns)}, nil
}

// appendHead appends {"columns":[…],"rows":[
func appendHead(b []byte, columns []duck.Column) []byte {
	b = append(b, `{"columns":[`...)
	for i, c := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"name":`...)
		b = appendText(b, c.Name)
		b = append(b, `,"type":`...)
		b = append(appendText(b, c.SQL), '}')
	}
	return append(b, `],"rows":[`...)
}

// appendTail closes what appendHead began.
func appendTail(b []byte, s Summary) []byte {
	b = append(b, `],"rowCount":`...)
	b = strconv.AppendInt(b, int64(s.Rows), 10)
	b = append(b, `,"truncated":`...)
	b = strconv.AppendBool(b, s.Truncated)
	if s.Truncated && s.Limit > 0 {
		b = append(b, `,"limit":`...)
		b = strconv.AppendInt(b, int64(s.Limit), 10)
	}
	b = appendSeqs(b, s)
	b = append(b, `,"asOf":`...)
	if s.AsOf == nil {
		b = append(b, "null"...)
	} else {
		b = appendTime(b, s.AsOf.UnixMicro(), true)
	}
	b = append(b, `,"elapsedMs":`...)
	b = strconv.AppendFloat(b, float64(s.Elapsed.Microseconds())/1000, 'f', -1, 64)
	return append(b, '}')
}

// appendSeqs appends at which seq the rows were read.
func appendSeqs(b []byte, s Summary) []byte {
	if s.Seqs == nil {
		return strconv.AppendInt(append(b, `,"seq":`...), s.Seq, 10)
	}
	b = append(b, `,"seqs":{`...)
	for i, tenant := range slices.Sorted(maps.Keys(s.Seqs)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, tenant), ':')
		b = strconv.AppendInt(b, s.Seqs[tenant], 10)
	}
	b = append(b, `},"freshness":{`...)
	for i, table := range slices.Sorted(maps.Keys(s.Freshness)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, table), `:{"ageMs":`...)
		b = append(strconv.AppendInt(b, s.Freshness[table].Milliseconds(), 10), '}')
	}
	return append(b, '}')
}

func (a *arrays) Rows(chunk *duck.Chunk, n int) error {
	b := a.buf
	for row := range n {
		if a.some {
			b = append(b, ',')
		}
		a.some = true
		b = append(b, '[')
		for i := range a.columns {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendValue(b, &a.columns[i], &chunk.Columns[i], row)
		}
		b = append(b, ']')
	}
	_, err := a.w.Write(b)
	a.buf = b[:0]
	return err
}

func (a *arrays) Close(s Summary) error {
	_, err := a.w.Write(appendTail(a.buf, s))
	return err
}

// objects writes rows as objects: one a line, or within the object that arrays writes.
type objects struct {
	w       io.Writer
	format  Format
	columns []duck.Column
	keys    [][]byte // "name":
	buf     []byte
	some    bool
}

func newObjects(f Format, w io.Writer, columns []duck.Column) (Encoder, error) {
	o := &objects{w: w, format: f, columns: columns}
	for _, c := range columns {
		o.keys = append(o.keys, append(appendText(nil, c.Name), ':'))
	}
	if f == Objects {
		o.buf = appendHead(nil, columns)
	}
	return o, nil
}

func (o *objects) Rows(chunk *duck.Chunk, n int) error {
	b := o.buf
	for row := range n {
		if o.some && o.format == Objects {
			b = append(b, ',')
		}
		o.some = true
		b = append(b, '{')
		for i := range o.columns {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, o.keys[i]...)
			b = appendValue(b, &o.columns[i], &chunk.Columns[i], row)
		}
		b = append(b, '}')
		if o.format == NDJSON {
			b = append(b, '\n')
		}
	}
	_, err := o.w.Write(b)
	o.buf = b[:0]
	return err
}

func (o *objects) Close(s Summary) error {
	if o.format == NDJSON {
		return nil
	}
	_, err := o.w.Write(appendTail(o.buf, s))
	return err
}

// appendValue appends a value as JSON.
func appendValue(b []byte, c *duck.Column, v *duck.Vector, row int) []byte {
	if v.Null(row) || c.Type == duck.SQLNull {
		return append(b, "null"...)
	}
	switch c.Type {
	case duck.Boolean:
		return strconv.AppendBool(b, v.Bool(row))
	case duck.Float, duck.Double:
		return appendFloat(b, v.Float(row), floatBits(c.Type))
	case duck.UBigInt:
		if n := v.Uint(row); n > maxSafe {
			return append(strconv.AppendUint(append(b, '"'), n, 10), '"')
		}
		return strconv.AppendUint(b, v.Uint(row), 10)
	case duck.Varchar:
		if c.JSON {
			return append(b, v.Text(row)...)
		}
		return appendText(b, v.Text(row))
	}
	if n := v.Int; isInteger(c.Type) && n(row) >= -maxSafe && n(row) <= maxSafe {
		return strconv.AppendInt(b, n(row), 10)
	}
	return append(appendPlain(append(b, '"'), c, v, row), '"')
}

func isInteger(t duck.Type) bool {
	switch t {
	case duck.TinyInt, duck.SmallInt, duck.Integer, duck.BigInt, duck.UTinyInt, duck.USmallInt, duck.UInteger:
		return true
	}
	return false
}

func floatBits(t duck.Type) int {
	if t == duck.Float {
		return 32
	}
	return 64
}

// appendPlain appends the text of a value that needs no escapes in JSON.
func appendPlain(b []byte, c *duck.Column, v *duck.Vector, row int) []byte {
	switch c.Type {
	case duck.Decimal:
		return appendDecimal(b, c, v, row)
	case duck.Date:
		return appendDate(b, v.Int(row))
	case duck.Timestamp:
		return appendInstant(b, v.Int(row), false)
	case duck.TimestampTZ:
		return appendInstant(b, v.Int(row), true)
	case duck.Blob:
		return base64.StdEncoding.AppendEncode(b, v.Text(row))
	}
	return strconv.AppendInt(b, v.Int(row), 10)
}

// appendFloat appends a number, or its name where JSON has none.
func appendFloat(b []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	if size := math.Abs(f); size != 0 && (size < 1e-6 || size >= 1e21) {
		return strconv.AppendFloat(b, f, 'e', -1, bits)
	}
	return strconv.AppendFloat(b, f, 'f', -1, bits)
}

// appendDecimal appends the digits of a decimal with its point.
func appendDecimal(b []byte, c *duck.Column, v *duck.Vector, row int) []byte {
	high, low := v.Decimal(row, c.Width)
	n := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(high), 64), new(big.Int).SetUint64(low))
	digits := new(big.Int).Abs(n).String()
	for len(digits) <= c.Scale {
		digits = "0" + digits
	}
	if n.Sign() < 0 {
		b = append(b, '-')
	}
	point := len(digits) - c.Scale
	b = append(b, digits[:point]...)
	if c.Scale > 0 {
		b = append(append(b, '.'), digits[point:]...)
	}
	return b
}

const secondsPerDay = 24 * 60 * 60

// appendDate appends days since 1970 as a date; DuckDB's infinities by name.
func appendDate(b []byte, days int64) []byte {
	switch days {
	case math.MaxInt32:
		return append(b, "infinity"...)
	case -math.MaxInt32:
		return append(b, "-infinity"...)
	}
	return time.Unix(days*secondsPerDay, 0).UTC().AppendFormat(b, time.DateOnly)
}

// appendInstant appends microseconds since 1970 in ISO 8601: three digits of the second, or six.
func appendInstant(b []byte, micros int64, zone bool) []byte {
	switch micros {
	case math.MaxInt64:
		return append(b, "infinity"...)
	case -math.MaxInt64:
		return append(b, "-infinity"...)
	}
	layout := "2006-01-02T15:04:05.000"
	if micros%1000 != 0 {
		layout = "2006-01-02T15:04:05.000000"
	}
	b = time.UnixMicro(micros).UTC().AppendFormat(b, layout)
	if zone {
		b = append(b, 'Z')
	}
	return b
}

func appendTime(b []byte, micros int64, zone bool) []byte {
	return append(appendInstant(append(b, '"'), micros, zone), '"')
}

// appendText appends a JSON string.
func appendText[T string | []byte](b []byte, text T) []byte {
	b, _ = jsontext.AppendQuote(b, text) // invalid UTF-8 becomes U+FFFD
	return b
}
