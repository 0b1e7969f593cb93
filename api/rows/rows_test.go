package rows

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
)

func TestCell(t *testing.T) {
	n := noun.Core()
	column := func(nounName, field string) noun.Column {
		m, ok := n.Get(nounName)
		if !ok {
			t.Fatal(nounName)
		}
		c, _ := m.Column(field)
		return c
	}
	number, boolean, document, plain := column("Deal", "value"), column("Activity", "allDay"), column("Event", "data"), noun.Column{}
	for _, c := range []struct {
		column     noun.Column
		text, want string
	}{
		{number, "12.50", "12.50"}, {number, " 7 ", "7"}, {number, "007", "7"}, {number, ".5", "0.5"}, {number, "+3", "3"},
		{number, "1e3", "1e3"}, {number, "9007199254740993", "9007199254740993"},
		{number, "1,5", `"1,5"`}, {number, "NaN", `"NaN"`}, {number, "0x10", `"0x10"`}, {number, "1_000", `"1_000"`}, {number, "ten", `"ten"`},
		{boolean, "TRUE", "true"}, {boolean, "false", "false"}, {boolean, "yes", `"yes"`},
		{document, `{"a": [1, 2]}`, `{"a":[1,2]}`}, {document, "free text", `"free text"`}, {document, "5", "5"},
		{plain, "5", `"5"`}, {plain, `a"b`, `"a\"b"`},
	} {
		if got := cell(c.column, c.text); string(got) != c.want {
			t.Errorf("%s of kind %s: %s, want %s", c.text, c.column.Kind, got, c.want)
		}
	}
}

// all reads every row: its JSON, or what is wrong with it behind a !.
func all(t testing.TB, format Format, file []byte) (out []string, err error) {
	t.Helper()
	n, _ := noun.Core().Get("Contact")
	r, err := Open(Source{Noun: n, Format: format, File: bytes.NewReader(file), Size: int64(len(file)), MaxRow: 1 << 20})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	for {
		o, err := r.Next()
		var bad *BadRow
		switch {
		case err == io.EOF:
			return out, nil
		case errors.As(err, &bad):
			out = append(out, "!"+strings.TrimPrefix(bad.Error(), "invalid_body: "))
		case err != nil:
			return out, err
		default:
			text := o.Append(nil)
			if !json.Valid(text) {
				t.Fatalf("the row is no JSON: %q", text)
			}
			out = append(out, string(text))
		}
	}
}

func TestFormats(t *testing.T) {
	for _, c := range []struct {
		name   string
		format Format
		file   string
		want   []string
		code   problem.Code
	}{
		{"array", JSON, ` [ {"name":"A"}, 7, {"b":1,"b":2} ] `, []string{`{"name":"A"}`, "!the row is not a JSON object", `!the row is not valid JSON: duplicate object member name "b"`}, ""},
		{"array with more behind", JSON, `[{"name":"A"}] x`, []string{`{"name":"A"}`}, problem.InvalidBody},
		{"array without end", JSON, `[{"name":"A"},{"name"`, []string{`{"name":"A"}`}, problem.InvalidBody},
		{"object", JSON, `{"name":"A"}`, nil, problem.InvalidBody},
		{"empty array text", JSON, ``, nil, problem.InvalidBody},
		{"lines", NDJSON, "{\"name\":\"A\"}\r\n\n  \n{\n{\"c\":3}", []string{`{"name":"A"}`, "!the row is not valid JSON: unexpected EOF after offset 1", `{"c":3}`}, ""},
		{"line too long", NDJSON, "{\"name\":\"A\"}\n{\"name\":\"" + strings.Repeat("x", 3<<20) + "\"}", []string{`{"name":"A"}`}, problem.PayloadTooLarge},
		{"table", CSV, "\uFEFFname,leadScore,_extra\n\"A, \"\"B\"\"\",007,\"{\"\"x\"\":[1]}\"\nC,,\nD\nE,1,no\n",
			[]string{`{"name":"A, \"B\"","leadScore":7,"x":[1]}`, `{"name":"C"}`, "!the row has 1 cells, the header 3", "!_extra is no JSON object"}, ""},
		{"table without header", CSV, "", nil, problem.InvalidBody},
		{"table with a nameless column", CSV, "a,,b\n", nil, problem.InvalidBody},
		{"no Parquet", Parquet, "name\nA\n", nil, problem.InvalidBody},
		{"no Parquet, but an end like one", Parquet, "PAR1\x00\x00\x00\x00\xff\xff\xff\x7fPAR1", nil, problem.InvalidBody},
		{"no format", "xml", "<a/>", nil, problem.UnsupportedMediaType},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := all(t, c.format, []byte(c.file))
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("rows\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			p, ok := errors.AsType[*problem.Problem](err)
			if (err != nil || c.code != "") && (!ok || p.Code != c.code) {
				t.Errorf("ends with %v, want %q", err, c.code)
			}
		})
	}
}

// parquetFile writes rows of many types.
func parquetFile(t testing.TB, rows int, codec compress.Compression) []byte {
	t.Helper()
	fields := []arrow.Field{
		{Name: "name", Type: arrow.BinaryTypes.String},
		{Name: "leadScore", Type: arrow.PrimitiveTypes.Float64, Nullable: true},
		{Name: "count", Type: arrow.PrimitiveTypes.Int64},
		{Name: "ok", Type: arrow.FixedWidthTypes.Boolean},
		{Name: "day", Type: arrow.FixedWidthTypes.Date32},
		{Name: "at", Type: &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}},
		{Name: "price", Type: &arrow.Decimal128Type{Precision: 10, Scale: 2}},
		{Name: "tags", Type: arrow.ListOf(arrow.BinaryTypes.String)},
		{Name: "place", Type: arrow.StructOf(arrow.Field{Name: "city", Type: arrow.BinaryTypes.String})},
		{Name: "_extra", Type: arrow.BinaryTypes.String, Nullable: true},
	}
	schema := arrow.NewSchema(fields, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range rows {
		b.Field(0).(*array.StringBuilder).Append("N" + strings.Repeat("o", i%7))
		if i%3 == 1 {
			b.Field(1).AppendNull()
		} else {
			b.Field(1).(*array.Float64Builder).Append(float64(i) / 4)
		}
		b.Field(2).(*array.Int64Builder).Append(math.MaxInt64 - int64(i))
		b.Field(3).(*array.BooleanBuilder).Append(i%2 == 0)
		b.Field(4).(*array.Date32Builder).Append(arrow.Date32FromTime(time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)))
		b.Field(5).(*array.TimestampBuilder).Append(1700000000123)
		b.Field(6).(*array.Decimal128Builder).Append(decimal128.FromI64(-1205))
		l := b.Field(7).(*array.ListBuilder)
		l.Append(true)
		l.ValueBuilder().(*array.StringBuilder).AppendValues([]string{"a", "b"}, nil)
		s := b.Field(8).(*array.StructBuilder)
		s.Append(true)
		s.FieldBuilder(0).(*array.StringBuilder).Append("Bergen")
		if i == 0 {
			b.Field(9).(*array.StringBuilder).Append(`{"shoeSize":42}`)
		} else {
			b.Field(9).AppendNull()
		}
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(parquet.WithCompression(codec)), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(batch), w.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestParquet(t *testing.T) {
	for _, codec := range []compress.Compression{compress.Codecs.Uncompressed, compress.Codecs.Snappy, compress.Codecs.Zstd, compress.Codecs.Gzip} {
		got, err := all(t, Parquet, parquetFile(t, 2000, codec))
		if err != nil || len(got) != 2000 {
			t.Fatalf("%v: %d rows, %v", codec, len(got), err)
		}
		want := []string{
			`{"name":"N","leadScore":0,"count":9223372036854775807,"ok":true,"day":"2024-02-29","at":"2023-11-14T22:13:20.123Z","price":-12.05,` +
				`"tags":["a","b"],"place":{"city":"Bergen"},"shoeSize":42}`,
			`{"name":"No","count":9223372036854775806,"ok":false,"day":"2024-02-29","at":"2023-11-14T22:13:20.123Z","price":-12.05,` +
				`"tags":["a","b"],"place":{"city":"Bergen"}}`,
		}
		for i, w := range want {
			if got[i] != w {
				t.Errorf("row %d:\n%s\nwant\n%s", i+1, got[i], w)
			}
		}
	}
}

// A Parquet file whose pages are small on disk and huge in memory is refused before the memory is used up.
func TestParquetBomb(t *testing.T) {
	kind := &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: arrow.BinaryTypes.String}
	schema := arrow.NewSchema([]arrow.Field{{Name: "name", Type: kind}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	text := strings.Repeat("x", 1<<20)
	for range 600 {
		if err := b.Field(0).(*array.BinaryDictionaryBuilder).AppendString(text); err != nil {
			t.Fatal(err)
		}
	}
	batch := b.NewRecordBatch()
	defer batch.Release()
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, parquet.NewWriterProperties(parquet.WithCompression(compress.Codecs.Zstd)), pqarrow.DefaultWriterProps())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Write(batch), w.Close()); err != nil {
		t.Fatal(err)
	}
	_, err = all(t, Parquet, out.Bytes())
	if p, ok := errors.AsType[*problem.Problem](err); !ok || p.Code != problem.PayloadTooLarge {
		t.Errorf("%d bytes on disk, 600 MB of text: %v", out.Len(), err)
	}
}

func FuzzText(f *testing.F) {
	for _, text := range []string{"name\na\nb\n", "name,x\r\n\"a\nb\",1\r\n\r\nc\"d,2\n", "name\n\"", "\uFEFFname\n\n\na",
		"{\"a\":1}\n\n2\n{", `[{"a":1},{"b":[{}]}]`, "[,]", "a,_extra\n1,\"{}\""} {
		for i := range 3 {
			f.Add(text, i)
		}
	}
	f.Fuzz(func(t *testing.T, text string, format int) {
		formats := []Format{JSON, NDJSON, CSV}
		kind := formats[uint(format)%3]
		got, err := all(t, kind, []byte(text))
		if _, ok := errors.AsType[*problem.Problem](err); err != nil && !ok {
			t.Fatalf("%v is no problem", err)
		}
		if kind != CSV || err != nil {
			return
		}
		r := csv.NewReader(strings.NewReader(strings.TrimPrefix(text, "\uFEFF")))
		r.FieldsPerRecord = -1
		n := -1
		for {
			_, err := r.Read()
			if _, bad := errors.AsType[*csv.ParseError](err); err != nil && !bad {
				break
			}
			n++
		}
		if n != len(got) {
			t.Fatalf("%d rows, the file has %d", len(got), n)
		}
	})
}

func FuzzParquet(f *testing.F) {
	f.Add(parquetFile(f, 3, compress.Codecs.Uncompressed))
	f.Add(parquetFile(f, 1, compress.Codecs.Zstd))
	f.Add([]byte("PAR1PAR1PAR1"))
	f.Fuzz(func(t *testing.T, file []byte) {
		_, err := all(t, Parquet, file)
		if _, ok := errors.AsType[*problem.Problem](err); err != nil && !ok {
			t.Fatalf("%v is no problem", err)
		}
	})
}
