package format_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"headless.ly/query/duck"
	"headless.ly/query/format"
)

// everyType gives a value of every type that is written, and nulls.
const everyType = `select if(i % 3 = 1, null, i % 100)::tinyint a, (i % 30000)::smallint b, i::int c, (i * 10000000000)::bigint d, (i % 200)::utinyint e, (i % 60000)::usmallint f,
	i::uinteger g, 18446744073709551615::ubigint h, (i / 4.0)::float j, i / 8.0 k, i % 2 = 0 l, if(i % 3 = 1, null, 'text "' || i || '", longer than twelve') m,
	date '2020-02-28' + i::int n, timestamp '1969-12-31 23:59:59.5' + to_seconds(i) o, timestamptz '2020-01-01 00:00:00.000001+00' p, 'ab'::blob q,
	(i % 50 - 5)::decimal(3,1) r, (i - 5)::decimal(9,2) s, (i - 5)::decimal(18,3) t, (i - 5)::decimal(38,4) u from range($rows) t(i)`

func statement(rows int) string { return strings.Replace(everyType, "$rows", strconv.Itoa(rows), 1) }

// encoded runs a statement and gives the result in a format.
func encoded(t testing.TB, f format.Format, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	write(t, f, text, &out)
	return out.Bytes()
}

func write(t testing.TB, f format.Format, text string, out io.Writer) {
	t.Helper()
	db, err := duck.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	c, err := db.Connect()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Exec(t.Context(), "set timezone = 'UTC'"); err != nil {
		t.Fatal(err)
	}
	rows, err := c.Query(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	enc, err := format.New(f, out, rows.Columns())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for {
		chunk, err := rows.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := enc.Rows(chunk, chunk.Rows); err != nil {
			t.Fatal(err)
		}
		n += chunk.Rows
	}
	if err := enc.Close(format.Summary{Rows: n, Elapsed: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
}

const row4 = `null,4,4,"40000000000",4,4,4,"18446744073709551615",1,0.5,true,null,"2020-03-03","1970-01-01T00:00:03.500",` +
	`"2020-01-01T00:00:00.000001Z","YWI=","-1.0","-1.00","-1.000","-1.0000"`

func TestJSON(t *testing.T) {
	var got struct {
		Rows     [][]json.RawMessage
		RowCount int
	}
	if err := json.Unmarshal(encoded(t, format.JSON, statement(5000)), &got); err != nil {
		t.Fatal(err)
	}
	var cells []string
	for _, cell := range got.Rows[4] {
		cells = append(cells, string(cell))
	}
	want := strings.Replace(row4, `"40000000000"`, "40000000000", 1)
	if text := strings.Join(cells, ","); text != want || got.RowCount != 5000 || len(got.Rows) != 5000 {
		t.Errorf("%d rows, row 4:\n%s\nwant\n%s", got.RowCount, text, want)
	}
}

// Rows as objects and lines hold what rows as arrays hold.
func TestObjects(t *testing.T) {
	var whole struct{ Rows []map[string]any }
	if err := json.Unmarshal(encoded(t, format.Objects, statement(3000)), &whole); err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(encoded(t, format.NDJSON, statement(3000))))
	for i := range whole.Rows {
		var line map[string]any
		if err := d.Decode(&line); err != nil || !reflect.DeepEqual(line, whole.Rows[i]) {
			t.Fatalf("line %d: %v, %v; want %v", i, line, err, whole.Rows[i])
		}
	}
	if d.More() {
		t.Error("there are more lines")
	}
}

func TestCSV(t *testing.T) {
	records, err := csv.NewReader(bytes.NewReader(encoded(t, format.CSV, statement(3000)))).ReadAll()
	if err != nil || len(records) != 3001 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	if records[0][11] != "m" || records[4][11] != `text "3", longer than twelve` || records[5][11] != "" || records[5][19] != "-1.0000" {
		t.Errorf("%q\n%q", records[4], records[5])
	}
}

// Arrow and Parquet hold the same columns, which another reader finds as JSON has them.
func TestColumnar(t *testing.T) {
	const rows = 40_000
	text := statement(rows)
	stream, err := ipc.NewReader(bytes.NewReader(encoded(t, format.Arrow, text)))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Release()
	n := int64(0)
	var first string
	for stream.Next() {
		if n == 0 {
			first = values(stream.RecordBatch(), 4)
		}
		n += stream.RecordBatch().NumRows()
	}
	if err := stream.Err(); err != nil || n != rows {
		t.Fatalf("arrow: %d rows, %v", n, err)
	}
	want := `(null) 4 4 40000000000 4 4 4 18446744073709551615 1 0.5 true (null) 2020-03-03 1970-01-01T00:00:03.5 ` +
		`2020-01-01T00:00:00.000001Z YWI= -1 -1 -1 -1`
	if first != want {
		t.Errorf("arrow row 4:\n%s\nwant\n%s", first, want)
	}
	pq, err := file.NewParquetReader(bytes.NewReader(encoded(t, format.Parquet, text)))
	if err != nil {
		t.Fatal(err)
	}
	defer pq.Close()
	reader, err := pqarrow.NewFileReader(pq, pqarrow.ArrowReadProperties{BatchSize: 100}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	all, err := reader.GetRecordReader(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer all.Release()
	if !all.Next() || values(all.RecordBatch(), 4) != want || pq.NumRows() != rows {
		t.Errorf("parquet: %d rows, row 4: %s", pq.NumRows(), values(all.RecordBatch(), 4))
	}
}

func values(batch arrow.RecordBatch, row int) string {
	var out []string
	for _, c := range batch.Columns() {
		out = append(out, c.ValueStr(row))
	}
	return strings.Join(out, " ")
}

func TestEmpty(t *testing.T) {
	for f := format.JSON; f <= format.Parquet; f++ {
		if out := encoded(t, f, "select 1 as a where false"); len(out) == 0 && f != format.NDJSON {
			t.Errorf("format %d is empty", f)
		}
	}
}

func TestForAccept(t *testing.T) {
	for accept, want := range map[string]format.Format{
		"": format.JSON, "*/*": format.JSON, "text/html, text/csv;q=0.5": format.CSV, "application/vnd.apache.arrow.stream": format.Arrow,
		"Application/VND.Apache.Parquet": format.Parquet, "application/x-ndjson, */*": format.NDJSON, "image/png": format.JSON,
	} {
		if got := format.ForAccept(accept); got != want {
			t.Errorf("%q: %d, want %d", accept, got, want)
		}
	}
}

func BenchmarkFormats(b *testing.B) {
	const text = `select i, i * 0.5 as f, 'customer number ' || (i % 100000) as name, timestamptz '2020-01-01' + to_seconds(i) as at from range(1000000) t(i)`
	for f, name := range []string{"JSON", "Objects", "NDJSON", "CSV", "Arrow", "Parquet"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				write(b, format.Format(f), text, io.Discard)
			}
			b.ReportMetric(float64(b.N)*1e6/b.Elapsed().Seconds(), "rows/s")
		})
	}
}
