package rest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	iceio "github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

var rowSchema = arrow.NewSchema([]arrow.Field{{Name: "writer", Type: arrow.BinaryTypes.String}, {Name: "n", Type: arrow.PrimitiveTypes.Int64}}, nil)

// rows are the rows of a writer from one number until another.
func rows(writer string, from, until int64) arrow.RecordBatch {
	b := array.NewRecordBuilder(memory.DefaultAllocator, rowSchema)
	defer b.Release()
	for n := from; n < until; n++ {
		b.Field(0).(*array.StringBuilder).Append(writer)
		b.Field(1).(*array.Int64Builder).Append(n)
	}
	return b.NewRecordBatch()
}

// client is a client of the server, as small as iceberg-go's tables need one. (iceberg-go's own takes a cloud's SDK with it.)
type client struct{ d *door }

// LoadTable implements table.CatalogIO.
func (c client) LoadTable(ctx context.Context, ident table.Identifier) (*table.Table, error) {
	return c.table(ident, "GET", nil)
}

// CommitTable implements table.CatalogIO.
func (c client) CommitTable(_ context.Context, ident table.Identifier, reqs []table.Requirement, updates []table.Update) (table.Metadata, string, error) {
	t, err := c.table(ident, "POST", object{"requirements": reqs, "updates": updates})
	if err != nil {
		return nil, "", err
	}
	return t.Metadata(), t.MetadataLocation(), nil
}

func (c client) table(ident table.Identifier, method string, body any) (*table.Table, error) {
	status, text, _ := c.d.raw(method, "/namespaces/"+ident[0]+"/tables/"+ident[1], body)
	switch {
	case status == http.StatusConflict:
		return nil, fmt.Errorf("%w: %s", table.ErrCommitFailed, text)
	case status != http.StatusOK:
		return nil, fmt.Errorf("%d: %s", status, text)
	}
	var answer struct {
		Location string          `json:"metadata-location"`
		Metadata json.RawMessage `json:"metadata"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	meta, err := table.ParseMetadataBytes(answer.Metadata)
	if err != nil {
		return nil, err
	}
	files := func(context.Context) (iceio.IO, error) { return c.d.cat.IO(), nil }
	return table.New(ident, meta, answer.Location, files, c), nil
}

// appendRows appends rows in one commit that it builds anew for as long as others come first. It reports how often they did.
func appendRows(ctx context.Context, c table.CatalogIO, ident table.Identifier, writer string, from, until int64) (conflicts int, err error) {
	for {
		t, err := c.LoadTable(ctx, ident)
		if err != nil {
			return conflicts, err
		}
		batch := rows(writer, from, until)
		reader, err := array.NewRecordReader(rowSchema, []arrow.RecordBatch{batch})
		if err != nil {
			return conflicts, err
		}
		_, err = t.Append(ctx, reader, nil)
		reader.Release()
		batch.Release()
		if err == nil || !errors.Is(err, table.ErrCommitFailed) {
			return conflicts, err
		}
		conflicts++
		time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond) // as clients do: so that nobody starves
	}
}

// TestWriters lets two clients and the server append to one table at once, from an empty one on: no row is lost, none doubled.
func TestWriters(t *testing.T) {
	const each, perCommit = 1000, 50
	d := open(t)
	d.lab()
	ident := table.Identifier{"lab", "shared"}
	d.ok("POST", "/namespaces/lab/tables", object{"name": "shared", "schema": object{"type": "struct", "fields": []object{
		{"id": 1, "name": "writer", "type": "string", "required": false}, {"id": 2, "name": "n", "type": "long", "required": false}}},
		"properties": object{"commit.retry.num-retries": "0", "commit.manifest-merge.enabled": "true", "commit.manifest.min-count-to-merge": "20"}})
	var writers sync.WaitGroup
	for name, c := range map[string]table.CatalogIO{"one": client{d}, "two": client{d}, "server": d.cat} {
		writers.Go(func() {
			met := 0
			for from := int64(0); from < each; from += perCommit {
				conflicts, err := appendRows(t.Context(), c, ident, name, from, from+perCommit)
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				met += conflicts
			}
			t.Logf("%s met %d conflicts", name, met)
		})
	}
	writers.Wait()
	seen := map[string]int{}
	for _, f := range d.files(ident) {
		for _, row := range f {
			seen[row]++
		}
	}
	for row, times := range seen {
		if times != 1 {
			t.Errorf("row %s is there %d times", row, times)
		}
	}
	if len(seen) != 3*each {
		t.Errorf("%d rows, want %d", len(seen), 3*each)
	}
}

// files reads the rows of a table, as text.
func (d *door) files(ident table.Identifier) [][]string {
	d.Helper()
	t, err := d.cat.LoadTable(d.Context(), ident)
	if err != nil {
		d.Fatal(err)
	}
	_, batches, err := t.Scan().ToArrowRecords(d.Context())
	if err != nil {
		d.Fatal(err)
	}
	var all [][]string
	for batch, err := range batches {
		if err != nil {
			d.Fatal(err)
		}
		var rows []string
		for i := range int(batch.NumRows()) {
			rows = append(rows, batch.Column(0).ValueStr(i)+" "+batch.Column(1).ValueStr(i))
		}
		batch.Release()
		all = append(all, rows)
	}
	return all
}

// TestForeignFile says that a snapshot which names a file of ours, written by a client or registered, is refused.
func TestForeignFile(t *testing.T) {
	d := open(t)
	d.ours("deal")
	d.lab()
	ident := table.Identifier{"lab", "t"}
	d.ok("POST", "/namespaces/lab/tables", object{"name": "t", "schema": schema, "properties": object{"commit.retry.num-retries": "0"}})
	c := client{d}
	tbl, err := c.LoadTable(t.Context(), ident)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{
		d.cat.Location() + "/deal/data/tenant=acme/deal-1.parquet", "file:" + catalog.Path(d.cat.Location()) + "/events/data/x.parquet",
		d.cat.Guests() + "/../iceberg/deal/x.parquet", d.cat.Guests() + "/%2e%2e/iceberg/deal/x.parquet", "file://" + d.dir + "/catalog.db",
	} {
		spec := tbl.Spec()
		b, err := iceberg.NewDataFileBuilder(spec, iceberg.EntryContentData, file, iceberg.ParquetFile, nil, nil, nil, 1, 1000)
		if err != nil {
			t.Fatal(err)
		}
		tx := tbl.NewTransaction()
		if err := tx.AddDataFiles(t.Context(), []iceberg.DataFile{b.Build()}, nil, table.WithoutDuplicateCheck(), table.WithoutAutoNameMapping()); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Commit(t.Context()); err == nil || !strings.Contains(fmt.Sprint(err), "belongs to the server") {
			t.Errorf("%s: %v", file, err)
		}
	}
	if now, err := c.LoadTable(t.Context(), ident); err != nil || now.CurrentSnapshot() != nil {
		t.Errorf("afterwards: %v, %v", now.CurrentSnapshot(), err)
	}
}
