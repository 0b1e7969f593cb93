package query

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	arrows "github.com/apache/arrow-go/v18/arrow/array"
	allocator "github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"headless.ly/catalog/noun"
	"headless.ly/lakehouse"
)

// TestOlderFiles reads files of three declarations of a noun in one statement: columns that were renamed, gained, widened and
// dropped, and fields that were undeclared once.
func TestOlderFiles(t *testing.T) {
	table := thing(t)
	dir := t.TempDir()
	ids := map[string]string{} // column and the id that files of this test have for it
	for _, c := range table.columns {
		ids[c.Name] = fmt.Sprint(c.FieldID)
	}
	gone := lakehouse.Column{Name: "gone", Type: lakehouse.String, FieldID: 901}
	first := writeRows(t, dir, "first.parquet", []textColumn{
		{"id", ids["id"], []any{"a", "b"}}, {"mail", ids["email"], []any{"a@x", nil}},
		{"_extra", ids["_extra"], []any{nil, `{"phone":"7","n":1}`}}, {"gone", "901", []any{"x", nil}}})
	second := writeRows(t, dir, "second.parquet", []textColumn{
		{"_extra", ids["_extra"], []any{nil, `{"phone":7}`}}, {"phone", ids["phone"], []any{"8", nil}},
		{"id", ids["id"], []any{"c", "d"}}})
	phone, _ := table.column("phone")
	files := lakehouse.Files{
		Paths: []string{first, second},
		Older: map[string]bool{first: true, second: true},
		Past:  &lakehouse.Past{Young: []lakehouse.Column{phone}, Retired: []lakehouse.Column{gone}},
	}
	d := openDatabase(t, dir, table)
	for _, c := range []struct{ where, want string }{
		{"true", `[[a a@x <nil> {"gone":"x"}] [b <nil> 7 {"n":1}] [c <nil> 8 <nil>] [d <nil> <nil> {"phone":7}]]`},
		{"email = 'a@x'", `[[a a@x <nil> {"gone":"x"}]]`},
		{"phone = '7'", `[[b <nil> 7 {"n":1}]]`},
		{"phone is null and id > 'b'", `[[d <nil> <nil> {"phone":7}]]`},
	} {
		rows, err := d.run(context.Background(), "select id, email, phone, _extra from ("+published(table, files)+") where "+c.where+" order by id", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(rows); got != c.want {
			t.Errorf("where %s: %s, want %s", c.where, got, c.want)
		}
	}
	numbered := "select id, file_row_number from " + readParquet(files.Paths, byFieldID(table.columns), "file_row_number = true",
		"filename = true") + " where filename = ? and file_row_number = 1"
	rows, err := d.run(context.Background(), numbered, []any{second})
	if err != nil || !reflect.DeepEqual(rows, [][]any{{"d", int64(1)}}) {
		t.Errorf("row 1 of the second file: %v, %v", rows, err)
	}
}

func thing(t *testing.T) *schema {
	t.Helper()
	n, err := noun.Define(noun.Declaration{Name: "Contact", Properties: "name: string\nemail: string##\nphone: string"})
	if err != nil {
		t.Fatal(err)
	}
	return newSchema(n)
}

func openDatabase(t *testing.T, dir string, table *schema) *database {
	t.Helper()
	cfg := EngineConfig{Warehouse: dir}
	e, err := openEngine(cfg, newMemory(), schemas{table.noun.Name: table}, vocabulary{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	d, err := e.acquire("acme")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.release(d) })
	return d
}

type textColumn struct {
	name, id string
	values   []any
}

// writeRows writes a Parquet file of text columns with field ids.
func writeRows(t *testing.T, dir, name string, columns []textColumn) string {
	t.Helper()
	fields := make([]arrow.Field, len(columns))
	for i, c := range columns {
		fields[i] = arrow.Field{Name: c.name, Type: arrow.BinaryTypes.String, Nullable: true,
			Metadata: arrow.NewMetadata([]string{"PARQUET:field_id"}, []string{c.id})}
	}
	b := arrows.NewRecordBuilder(allocator.DefaultAllocator, arrow.NewSchema(fields, nil))
	defer b.Release()
	for i, c := range columns {
		for _, v := range c.values {
			if v == nil {
				b.Field(i).AppendNull()
			} else {
				b.Field(i).(*arrows.StringBuilder).Append(v.(string))
			}
		}
	}
	rows := b.NewRecordBatch()
	defer rows.Release()
	path := filepath.Join(dir, name)
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := pqarrow.NewFileWriter(rows.Schema(), f, nil, pqarrow.DefaultWriterProps())
	if err == nil {
		err = w.Write(rows)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}
