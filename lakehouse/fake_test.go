package lakehouse

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"
	"github.com/google/uuid"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
)

// fakeLog is a Log in memory.
type fakeLog struct {
	mu      sync.Mutex
	events  map[string][]*Event
	version map[string]int64
	fail    func(tenant string, r Range) error
}

func newFakeLog() *fakeLog {
	return &fakeLog{events: map[string][]*Event{}, version: map[string]int64{}}
}

func (l *fakeLog) Heads() map[string]int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	heads := map[string]int64{}
	for tenant, events := range l.events {
		heads[tenant] = int64(len(events))
	}
	return heads
}

func (l *fakeLog) Read(ctx context.Context, tenant string, r Range, yield func(*Event) error) error {
	l.mu.Lock()
	events := slices.Clone(l.events[tenant])
	fail := l.fail
	l.mu.Unlock()
	if fail != nil {
		if err := fail(tenant, r); err != nil {
			return err
		}
	}
	for _, e := range events {
		if e.Seq <= r.After || r.Upto > 0 && e.Seq > r.Upto || r.Noun != "" && e.Entity != r.Noun {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(e); err != nil {
			return err
		}
	}
	return nil
}

const startMS = 1768471200000 // 2026-01-15T10:00:00Z

// write appends an event that leaves the entity with these fields (JSON members without braces); verb "delete" deletes it.
func (l *fakeLog) write(tenant, nounName, id, verb, fields string) *Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := int64(len(l.events[tenant]) + 1)
	return l.append(tenant, nounName, id, verb, fields, startMS+seq*1000)
}

func (l *fakeLog) append(tenant, nounName, id, verb, fields string, at int64) *Event {
	seq := int64(len(l.events[tenant]) + 1)
	l.version[tenant+id]++
	stamp := time.UnixMilli(at).UTC().Format("2006-01-02T15:04:05.000Z")
	doc := fmt.Sprintf(`{"$type":%q,"$id":%q,"$version":%d,"$createdAt":"2026-01-15T10:00:00.000Z","$updatedAt":%q`,
		nounName, id, l.version[tenant+id], stamp)
	if verb == "delete" {
		doc += `,"$deleted":true`
	}
	if fields != "" {
		doc += "," + fields
	}
	e := &Event{
		Seq: seq, ID: "evt_" + strings.ReplaceAll(uuid.NewString(), "-", "")[:12], Kind: KindMutation,
		Type: nounName + "." + verb, Entity: nounName, Target: id, Verb: verb, Timestamp: at,
		Version: l.version[tenant+id], Data: []byte(doc + "}"), Source: "test", RequestID: "req_1",
	}
	l.events[tenant] = append(l.events[tenant], e)
	return e
}

// contact writes a contact.
func (l *fakeLog) contact(tenant string, n int, name string) {
	l.write(tenant, "Contact", fmt.Sprintf("contact_%08d", n), "update", fmt.Sprintf(`"name":%q,"leadScore":%d`, name, n))
}

// openLake opens a lake that publishes on request only.
func openLake(t testing.TB, dir string, log Log, change ...func(*Config)) *Lake {
	t.Helper()
	cfg := Config{Dir: dir, Nouns: noun.Core(), Interval: -1, Logger: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&cfg)
	}
	l, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	l.Start(log)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func publish(t testing.TB, l *Lake) {
	t.Helper()
	if err := l.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// eventFiles lists the data files that the current metadata of a table names.
func currentFiles(t testing.TB, l *Lake, name string) []string {
	t.Helper()
	tbl, err := l.cat.LoadTable(t.Context(), []string{"headlessly", name})
	if err != nil {
		t.Fatal(err)
	}
	declared := l.tables[slices.IndexFunc(l.tables, func(t *Table) bool { return t.Name == name })]
	files, _, err := readManifests(declared, tbl, l.cat.IO(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, of := range files {
		for _, f := range of {
			out = append(out, strings.TrimPrefix(f.location, "file://"))
		}
	}
	slices.Sort(out)
	return out
}

// duckDB is shared by all tests: opening one takes longer than most queries.
var duckDB = sync.OnceValue(func() *sql.DB {
	db, err := sql.Open("duckdb", "")
	if err != nil {
		panic(err)
	}
	return db
})

// query runs SQL in DuckDB with {table} replaced by a scan of the files; every row is a line of values parted by a bar.
func query(t testing.TB, files []string, q string) []string {
	t.Helper()
	for i, f := range files {
		files[i] = "'" + f + "'"
	}
	return queryScan(t, fmt.Sprintf("read_parquet([%s], hive_partitioning=false)", strings.Join(files, ",")), q)
}

// scanOf gives a scan of a view's files without the deleted rows.
func scanOf(files Files) string {
	var parts []string
	for _, f := range files.Data {
		part := fmt.Sprintf("select * from read_parquet('%s', hive_partitioning=false, file_row_number=true)", f.Path)
		if f.Deletes != "" {
			part += fmt.Sprintf(" where file_row_number not in (select pos from read_parquet('%s'))", f.Deletes)
		}
		parts = append(parts, part)
	}
	return "(" + strings.Join(parts, " union all by name ") + ")"
}

// queryScan runs SQL in DuckDB with {table} replaced by a scan.
func queryScan(t testing.TB, scan, q string) []string {
	t.Helper()
	rows, err := duckDB().Query(strings.ReplaceAll(q, "{table}", scan))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for rows.Next() {
		values := make([]any, len(names))
		places := make([]any, len(names))
		for i := range values {
			places[i] = &values[i]
		}
		if err := rows.Scan(places...); err != nil {
			t.Fatal(err)
		}
		var line []string
		for _, v := range values {
			if ts, ok := v.(time.Time); ok {
				v = ts.UTC().Format(time.RFC3339Nano)
			}
			line = append(line, fmt.Sprint(v))
		}
		lines = append(lines, strings.Join(line, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

// check holds everything published against the log: each event once, in each table the state of the log, at the seq that
// is said. The rows of the tenant guest are another program's.
func check(t testing.TB, l *Lake, log *fakeLog) {
	t.Helper()
	log.mu.Lock()
	defer log.mu.Unlock()
	var want []string
	for _, tenant := range l.ledger.names() {
		for _, e := range log.events[tenant][:l.Published(tenant)] {
			want = append(want, fmt.Sprintf("%s|%d|%s|%s", tenant, e.Seq, e.ID, e.Data))
		}
	}
	var got []string
	if files := currentFiles(t, l, "events"); len(files) > 0 {
		got = query(t, files, "select tenant, seq, id, data from {table} where tenant <> 'guest' order by tenant, seq")
	}
	if !slices.Equal(got, want) {
		t.Fatalf("events: %d rows, want %d\n got %.300v\nwant %.300v", len(got), len(want), got, want)
	}
	for _, tenant := range l.ledger.names() {
		v := l.Pin(tenant)
		if v.Seq != l.Published(tenant) {
			t.Errorf("view of %s stands at %d, published %d", tenant, v.Seq, l.Published(tenant))
		}
		for _, tbl := range l.tables[1:] {
			checkNoun(t, v, tbl, log.events[tenant])
			checkFiles(t, l, v, tbl)
		}
		v.Release()
	}
}

func checkNoun(t testing.TB, v *View, tbl *Table, events []*Event) {
	t.Helper()
	files := v.Nouns[tbl.Noun.Name]
	state := map[string]*Event{}
	for _, e := range events {
		if e.Seq <= files.Seq && e.Entity == tbl.Noun.Name {
			state[e.Target] = e
		}
		if e.Seq > files.Seq && e.Seq <= v.Seq && e.Entity == tbl.Noun.Name && files.Seq == v.Seq {
			t.Errorf("%s of %s says %d but lacks event %d", tbl.Name, v.Tenant, files.Seq, e.Seq)
		}
	}
	var want []string
	for id, e := range state {
		doc, err := entity.ParseStored(e.Data)
		if err != nil {
			t.Fatal(err)
		}
		if _, deleted := doc.Get("$deleted"); !deleted {
			name := doc.Text("name")
			if name == "" {
				name = "<nil>"
			}
			want = append(want, fmt.Sprintf("%s|%s|%d|%d|%s", v.Tenant, id, e.Version, e.Seq, name))
		}
	}
	slices.Sort(want)
	if int64(len(want)) != files.Rows {
		t.Errorf("%s of %s says %d rows, want %d", tbl.Name, v.Tenant, files.Rows, len(want))
	}
	var got []string
	if len(files.Data) > 0 {
		name := "null"
		if _, found := tbl.Noun.Column("name"); found {
			name = "name"
		}
		got = queryScan(t, scanOf(files), "select tenant, id, _version, _seq, "+name+" from {table} order by id")
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s of %s: %d rows\n got %.600v\nwant %.600v", tbl.Name, v.Tenant, len(got), got, want)
	}
}

// checkFiles holds a view to the table's metadata: both name the same files.
func checkFiles(t testing.TB, l *Lake, v *View, tbl *Table) {
	t.Helper()
	want := v.Nouns[tbl.Noun.Name].Data
	if len(want) == 0 {
		return
	}
	current, err := l.cat.LoadTable(t.Context(), tbl.ident)
	if err != nil {
		t.Fatal(err)
	}
	files, _, err := readManifests(tbl, current, l.cat.IO(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []DataFile
	for _, f := range files[v.Tenant] {
		got = append(got, f.view())
	}
	byPath := func(a, b DataFile) int { return strings.Compare(a.Path, b.Path) }
	if slices.SortFunc(got, byPath); !slices.Equal(got, slices.SortedFunc(slices.Values(want), byPath)) {
		t.Errorf("%s of %s:\nmetadata %+v\n    view %+v", tbl.Name, v.Tenant, got, want)
	}
}

// mem is what benchmarks and tests allocate from.
var mem = memory.DefaultAllocator

var errFake = errors.New("fake failure")
