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
		Data: []lakehouse.DataFile{{Path: first, Rows: 2, Older: true}, {Path: second, Rows: 2, Older: true}},
		Past: &lakehouse.Past{Young: []lakehouse.Column{phone}, Retired: []lakehouse.Column{gone}},
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
	numbered := "select id, file_row_number from " + readParquet(paths(files.Data), byFieldID(table.columns), "file_row_number = true",
		"filename = true") + " where filename = ? and file_row_number = 1"
	rows, err := d.run(context.Background(), numbered, []any{second})
	if err != nil || !reflect.DeepEqual(rows, [][]any{{"d", int64(1)}}) {
		t.Errorf("row 1 of the second file: %v, %v", rows, err)
	}
}

// TestDeletedRows reads files with deleted rows, small and large, of this declaration and of an earlier one, in one statement.
func TestDeletedRows(t *testing.T) {
	table := thing(t)
	dir := t.TempDir()
	field := map[string]string{}
	for _, c := range table.columns {
		field[c.Name] = fmt.Sprint(c.FieldID)
	}
	files := lakehouse.Files{Past: &lakehouse.Past{}}
	want := map[string]bool{}
	for i, size := range []int{7, bitmapRows + 100, 1, 30, bitmapRows, 9, 5} {
		f := lakehouse.DataFile{Path: filepath.Join(dir, fmt.Sprintf("rows%d.parquet", i)), Rows: int64(size), Older: i >= 4}
		var rows []textColumn
		for _, c := range table.columns {
			rows = append(rows, textColumn{c.Name, field[c.Name], make([]any, size)})
		}
		deletes := deleteRows{path: f.Path}
		for row := range size {
			id := fmt.Sprintf("contact_%d_%d", i, row)
			rows[0].values[row] = id
			if i%3 < 2 && row*7%3 == 0 && size > 1 {
				deletes.rows = append(deletes.rows, int64(row))
			} else {
				want[id] = true
			}
		}
		writeRows(t, dir, filepath.Base(f.Path), rows)
		if len(deletes.rows) > 0 {
			f.Deletes, f.Deleted = deletes.write(t, dir, fmt.Sprintf("deletes%d.parquet", i)), int64(len(deletes.rows))
		}
		files.Data = append(files.Data, f)
	}
	d := openDatabase(t, dir, table)
	rows, err := d.run(context.Background(), "select id from ("+published(table, files)+")", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		if !want[row[0].(string)] {
			t.Fatalf("%s is deleted, or there twice", row[0])
		}
		delete(want, row[0].(string))
	}
	if len(want) > 0 {
		t.Errorf("%d rows are missing", len(want))
	}
}

// deleteRows are the rows of a position-delete file.
type deleteRows struct {
	path string
	rows []int64
}

func (d deleteRows) write(t *testing.T, dir, name string) string {
	t.Helper()
	b := arrows.NewRecordBuilder(allocator.DefaultAllocator, arrow.NewSchema([]arrow.Field{
		{Name: "file_path", Type: arrow.BinaryTypes.String}, {Name: "pos", Type: arrow.PrimitiveTypes.Int64}}, nil))
	defer b.Release()
	for _, row := range d.rows {
		b.Field(0).(*arrows.StringBuilder).Append("file://" + d.path)
		b.Field(1).(*arrows.Int64Builder).Append(row)
	}
	rows := b.NewRecordBatch()
	defer rows.Release()
	return writeFile(t, dir, name, rows)
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
	return writeFile(t, dir, name, rows)
}

func writeFile(t *testing.T, dir, name string, rows arrow.RecordBatch) string {
	t.Helper()
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
