package lakehouse

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
)

const docHead = `{"$type":"Thing","$id":"thing_00000001","$version":3,"$createdAt":"2026-01-15T10:00:00.000Z",` +
	`"$createdBy":"user_1","$updatedAt":"2026-01-15T11:00:00.123Z"`

func thing(t testing.TB) *noun.Noun {
	t.Helper()
	n, err := noun.Define(noun.Declaration{Name: "Thing", Properties: `
		text:   string
		number: number
		flag:   boolean
		count:  int
		price:  decimal(10,2)
		at:     datetime
		day:    date
		doc:    json
		list:   string[]
		kind:   A | B
	`})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRow says what becomes of each spelling of a value.
func TestRow(t *testing.T) {
	n := thing(t)
	at := time.Date(2026, 1, 15, 10, 0, 0, 123000000, time.UTC)
	for _, tc := range []struct {
		member string // of the document
		column string // that it fills; _extra for what does not fit
		want   any
	}{
		{`"text":"a\"\u00e9\n"`, "text", "a\"é\n"},
		{`"text":5`, "_extra", `{"text":5}`},
		{`"text":null`, "text", nil},
		{`"number":1.50`, "number", 1.5},
		{`"number":9007199254740993`, "number", 9007199254740992.0},
		{`"number":1e400`, "_extra", `{"number":1e400}`},
		{`"number":"5"`, "_extra", `{"number":"5"}`},
		{`"flag":true`, "flag", true},
		{`"flag":false`, "flag", false},
		{`"flag":0`, "_extra", `{"flag":0}`},
		{`"count":9223372036854775807`, "count", int64(9223372036854775807)},
		{`"count":5.0`, "count", int64(5)},
		{`"count":1e3`, "count", int64(1000)},
		{`"count":5.5`, "_extra", `{"count":5.5}`},
		{`"count":9223372036854775808`, "_extra", `{"count":9223372036854775808}`},
		{`"count":1e999999999`, "_extra", `{"count":1e999999999}`},
		{`"price":12.3`, "price", "12.30"},
		{`"price":"-99999999.99"`, "price", "-99999999.99"},
		{`"price":0.001`, "_extra", `{"price":0.001}`},
		{`"price":100000000`, "_extra", `{"price":100000000}`},
		{`"at":"2026-01-15T10:00:00.123Z"`, "at", at},
		{`"at":"2026-01-15T12:00:00.123+02:00"`, "at", at},
		{`"at":"2026-01-15"`, "at", time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC)},
		{`"at":"soon"`, "_extra", `{"at":"soon"}`},
		{`"day":"2026-01-15"`, "day", time.Date(2026, 1, 15, 0, 0, 0, 0, time.UTC)},
		{`"day":"1900-02-28T23:59:59Z"`, "day", time.Date(1900, 2, 28, 0, 0, 0, 0, time.UTC)},
		{`"doc":{"a":[1,2]}`, "doc", `{"a":[1,2]}`},
		{`"doc":"text"`, "doc", `"text"`},
		{`"list":["a","b"]`, "list", `["a","b"]`},
		{`"kind":"A"`, "kind", "A"},
		{`"other":{"b":1},"text":"x","more":2`, "_extra", `{"other":{"b":1},"more":2}`},
	} {
		row, err := Row(n, &Event{Seq: 7, Data: []byte(docHead + "," + tc.member + "}")})
		if err != nil {
			t.Errorf("%s: %v", tc.member, err)
			continue
		}
		i := slices.IndexFunc(TableColumns(n)[1:], func(c Column) bool { return c.Name == tc.column })
		if row[i] != tc.want {
			t.Errorf("%s: %s is %#v, want %#v", tc.member, tc.column, row[i], tc.want)
		}
		if tc.column != "_extra" && row[len(row)-1] != nil {
			t.Errorf("%s: _extra is %v", tc.member, row[len(row)-1])
		}
	}
}

// TestRowMeta says where the meta fields go, and that a document without them is refused.
func TestRowMeta(t *testing.T) {
	n := thing(t)
	row, err := Row(n, &Event{Seq: 7, Data: []byte(docHead + "}")})
	if err != nil {
		t.Fatal(err)
	}
	names := TableColumns(n)[1:]
	want := map[string]any{"id": "thing_00000001", "_version": int64(3), "_createdBy": "user_1", "_seq": int64(7),
		"_createdAt": time.Date(2026, 1, 15, 10, 0, 0, 0, time.UTC),
		"_updatedAt": time.Date(2026, 1, 15, 11, 0, 0, 123000000, time.UTC)}
	for i, c := range names {
		if row[i] != want[c.Name] {
			t.Errorf("%s is %v, want %v", c.Name, row[i], want[c.Name])
		}
	}
	if _, deleted, _ := decode(n, &Event{Data: []byte(docHead + `,"$deleted":true}`)}); !deleted {
		t.Error("not deleted")
	}
	for _, bad := range []string{`{"$id":"x"}`, `[]`, ``, strings.Replace(docHead, `"$version":3`, `"$version":"3"`, 1) + "}"} {
		if _, err := Row(n, &Event{Data: []byte(bad)}); !errors.Is(err, ErrDocument) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// FuzzRow says that no document makes Row panic, and that nothing it holds is lost: every member fills a column, or is in
// _extra, or is null.
func FuzzRow(f *testing.F) {
	n := thing(f)
	f.Add(`"text":"a","number":1e5`)
	f.Add(`"count":1.5e2,"price":"1.10","at":"2026-01-15T10:00:00Z","zzz":[{}]`)
	f.Fuzz(func(t *testing.T, members string) {
		doc, err := entity.Parse([]byte(docHead + "," + members + "}"))
		if err != nil {
			return
		}
		row, err := Row(n, &Event{Data: doc.Append(nil)})
		if err != nil {
			return // a second $id or the like
		}
		extra := entity.Object{}
		if text, ok := row[len(row)-1].(string); ok {
			if extra, err = entity.Parse([]byte(text)); err != nil {
				t.Fatalf("_extra: %v", err)
			}
		}
		for _, m := range doc.Fields() {
			_, kept := extra.Get(m.Name)
			i := slices.IndexFunc(TableColumns(n)[1:], func(c Column) bool { return c.Name == m.Name && !strings.HasPrefix(c.Name, "_") && c.Name != "id" })
			if null := string(m.Value) == "null"; !kept && !null && (i < 0 || row[i] == nil) {
				t.Errorf("%s: %s is lost", m.Name, m.Value)
			}
		}
	})
}

// TestPace says that tables are rewritten within their share.
func TestPace(t *testing.T) {
	p := newPace(0.25, 1) // a table may take 0.05
	now := time.Unix(0, 0)
	small, large := paceKey{"acme", "Contact"}, paceKey{"acme", "Deal"}
	if !p.allows(small, now) || !p.allows(large, now) {
		t.Fatal("a new table may be rewritten")
	}
	p.spent(large, 200*time.Millisecond, rewriteShare, now)
	p.spent(small, 4*time.Millisecond, rewriteShare, now)
	now = now.Add(time.Second)
	if !p.allows(small, now) || p.allows(large, now) {
		t.Error("a table waits twenty times its cost")
	}
	now = now.Add(2900 * time.Millisecond)
	if p.allows(large, now) {
		t.Error("a table waits twenty times its cost")
	}
	now = now.Add(200 * time.Millisecond)
	if !p.allows(large, now) {
		t.Error("a table that has waited may be rewritten")
	}
	waiting := paceKey{"acme", "Task"}
	p.spent(waiting, 500*time.Millisecond, rewriteShare, now)
	for range 3 {
		if p.allows(waiting, now) || !p.since(waiting, now.Add(time.Minute)).Equal(now) {
			t.Error("a table waits since it was first held back")
		}
	}
	now = now.Add(10 * time.Second)
	if !p.allows(waiting, now) {
		t.Error("a table that has waited may be rewritten")
	}
	p.spent(waiting, 500*time.Millisecond, deltaShare, now)
	if now = now.Add(2600 * time.Millisecond); !p.allows(waiting, now) {
		t.Error("a delta may take more than what is written anew")
	}
	p.spent(waiting, 0, rewriteShare, now)
	if later := now.Add(time.Minute); !p.since(waiting, later).Equal(later) {
		t.Error("a table that was rewritten does not wait")
	}
	rewrites := 0
	for i := range 1000 { // many tables, each cheap enough for itself
		now = now.Add(10 * time.Millisecond)
		for j := range 10 {
			key := paceKey{fmt.Sprint(i % 10), fmt.Sprint(j)}
			if p.allows(key, now) {
				rewrites++
				p.spent(key, 10*time.Millisecond, rewriteShare, now)
			}
		}
	}
	if share := float64(rewrites) * 0.010 / 10; share < 0.2 || share > 0.36 {
		t.Errorf("%.2f of a processor", share)
	}
}

// TestCache says that the cache is bounded by bytes.
func TestCache(t *testing.T) {
	n, _ := noun.Core().Get("Contact")
	tbl, err := newTable("contact", n, TableColumns(n))
	if err != nil {
		t.Fatal(err)
	}
	log := newFakeLog()
	for i := range 50 {
		log.contact("acme", i, "name")
	}
	changes := map[string]*Event{}
	for _, e := range log.events["acme"] {
		changes[e.Target] = e
	}
	rows, err := tbl.merge("acme", nil, changes, mem)
	if err != nil {
		t.Fatal(err)
	}
	c := newCache(10 * sizeOf(rows))
	for i := range 20 {
		c.put(fmt.Sprint(i), rows)
	}
	if c.bytes != 10*sizeOf(rows) || c.get("9") != nil || c.get("10") == nil || c.get("19") == nil {
		t.Errorf("%d bytes", c.bytes)
	}
	c.remove("19")
	if c.get("19") != nil || c.bytes != 9*sizeOf(rows) {
		t.Errorf("%d bytes", c.bytes)
	}
	newCache(sizeOf(rows)).put("too large", rows)
	c.clear()
	if c.bytes != 0 {
		t.Errorf("%d bytes", c.bytes)
	}
}
