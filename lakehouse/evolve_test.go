package lakehouse

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog/noun"
)

func contacts(t *testing.T, properties string, was map[string][]string) *noun.Registry {
	t.Helper()
	return registry(t, noun.Declaration{Name: "Contact", Properties: properties, Was: was})
}

func registry(t *testing.T, d noun.Declaration) *noun.Registry {
	t.Helper()
	n, err := noun.Define(d)
	if err != nil {
		t.Fatal(err)
	}
	nouns, err := noun.NewRegistry(n)
	if err != nil {
		t.Fatal(err)
	}
	return nouns
}

// columnsNow lists the contact table's stored columns: name, field id, type, ! for a required one.
func columnsNow(t *testing.T, l *Lake) string {
	t.Helper()
	tbl, err := l.cat.LoadTable(t.Context(), table.Identifier{"headlessly", "contact"})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range tbl.Schema().Fields() {
		if f.Name == "id" || f.Name == "tenant" || strings.HasPrefix(f.Name, "_") {
			continue
		}
		text := f.Name + ":" + f.Type.String()
		if f.Required {
			text += "!"
		}
		out = append(out, text)
	}
	return strings.Join(out, " ")
}

// TestEvolve opens one data folder with one declaration after the other: the table follows by metadata alone, or Open says
// what it cannot do, and leaves everything as it was.
func TestEvolve(t *testing.T) {
	dir, log := t.TempDir(), newFakeLog()
	steps := []struct {
		properties string
		was        map[string][]string
		want       string // the table's columns, or the error's text
	}{
		{"name: string!\nemail: string##\nleadScore: decimal(6,2)\nrole: string", nil,
			"name:string! email:string leadScore:decimal(6, 2) role:string"},
		{"leadScore: decimal(9,2)!\nmail: string##\nname: string\nphone: string!", map[string][]string{"mail": {"email"}},
			"leadScore:decimal(9, 2) mail:string name:string phone:string"},
		{"leadScore: decimal(6,2)\nmail: string##\nname: string!\nphone: string!", map[string][]string{"mail": {"email"}},
			"contact.leadScore holds decimal(9, 2) and is declared decimal(6, 2)"},
		{"leadScore: number\nemail: string\nname: json", nil, "contact.leadScore holds decimal(9, 2) and is declared double"},
		{"leadScore: decimal(9,2)\nmail: string##\nname: json", map[string][]string{"mail": {"email"}},
			"contact.name holds string and is declared JSON"},
		{"role: number", nil, "contact.role holds string and is declared double"}, // dropped before: the files have it
		{"name: string!\nrole: string", nil, "name:string role:string"},
	}
	for i, step := range steps {
		cfg := Config{Dir: dir, Nouns: contacts(t, step.properties, step.was), Interval: -1, Logger: slog.New(slog.DiscardHandler)}
		l, err := Open(t.Context(), cfg)
		if err != nil {
			if !errors.Is(err, ErrEvolution) || !strings.Contains(err.Error(), step.want) {
				t.Fatalf("step %d: %v, want %s", i, err, step.want)
			}
			continue
		}
		l.Start(log)
		if got := columnsNow(t, l); got != step.want {
			t.Errorf("step %d: columns %s\nwant %s", i, got, step.want)
		}
		log.contact("acme", i, "Ann")
		publish(t, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestColumnsOfOthers says that a column which another program drops comes back under its field id, with its values, that one
// which it adds stays, and that what we publish lands either way.
func TestColumnsOfOthers(t *testing.T) {
	dir, log := t.TempDir(), newFakeLog()
	l := openLake(t, dir, log)
	log.contact("acme", 0, "Ann")
	publish(t, l)
	before := columnsNow(t, l)
	outside(t, l, func(u *table.UpdateSchema) *table.UpdateSchema {
		return u.DeleteColumn([]string{"name"}).AddColumn([]string{"theirs"}, iceberg.PrimitiveTypes.Int64, "", false, nil)
	})
	log.contact("acme", 1, "Bob")
	publish(t, l)
	restored := strings.Replace(before, "name:string!", "name:string", 1) + " theirs:long"
	if got := columnsNow(t, l); got != restored {
		t.Errorf("columns %s\nwant %s", got, restored)
	}
	check(t, l, log)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLake(t, dir, log)
	outside(t, l, func(u *table.UpdateSchema) *table.UpdateSchema { return u.RenameColumn([]string{"email"}, "address") })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = openLake(t, dir, log)
	if got := columnsNow(t, l); got != restored {
		t.Errorf("columns after Open %s\nwant %s", got, restored)
	}
	log.contact("acme", 2, "Cid")
	publish(t, l)
	check(t, l, log)
	if names := query(t, currentFiles(t, l, "contact"), "select name from {table} order by name"); !slices.Equal(names, []string{"Ann", "Bob", "Cid"}) {
		t.Errorf("names %v", names)
	}
}

// outside changes the schema as another program would.
func outside(t *testing.T, l *Lake, change func(*table.UpdateSchema) *table.UpdateSchema) {
	t.Helper()
	tbl, err := l.cat.LoadTable(t.Context(), table.Identifier{"headlessly", "contact"})
	if err != nil {
		t.Fatal(err)
	}
	tx := tbl.NewTransaction()
	if err := change(tx.UpdateSchema(true, true)).Commit(); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestOlderRows reads a file of an earlier declaration, and stitches it into one of today's: undeclared and retired fields have
// their place of today in both.
func TestOlderRows(t *testing.T) {
	dir, log := t.TempDir(), newFakeLog()
	open := func(properties string) *Lake {
		l, err := Open(t.Context(), Config{Dir: dir, Nouns: contacts(t, properties, nil), Interval: -1, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		l.Start(log)
		return l
	}
	l := open("name: string\nrole: string\nleadScore: decimal(6,2)")
	log.write("acme", "Contact", "contact_00000001", "create", `"name":"Ann","role":"boss","leadScore":1.25,"phone":"7","n":1`)
	log.write("acme", "Contact", "contact_00000002", "create", `"name":"Bob","phone":8`)
	publish(t, l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open("name: string\nphone: string\nleadScore: decimal(20,2)")
	defer l.Close()
	x, mem, contact := l.cat.IO(), l.mem, l.tables[1]
	old := "file://" + currentFiles(t, l, "contact")[0]
	stitched, err := contact.stitch(t.Context(), x, l.cat.TableLocation(contact.ident), placement{tenant: "acme", name: "contact-all.parquet"}, []string{old, old}, mem)
	if err != nil {
		t.Fatal(err)
	}
	ann, bob := `Ann 1.25 7 {"role":"boss","n":1}`, `Bob (null) (null) {"phone":8}`
	for file, want := range map[string][]string{old: {ann, bob}, stitched.FilePath(): {ann, bob, ann, bob}} {
		rows, err := contact.readFile(t.Context(), x, file, mem)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i := range int(rows.NumRows()) {
			var line []string
			for _, name := range []string{"name", "leadScore", "phone", "_extra"} {
				line = append(line, rows.Column(rows.Schema().FieldIndices(name)[0]).ValueStr(i))
			}
			got = append(got, strings.Join(line, " "))
		}
		rows.Release()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

// TestNounThatComesBack publishes events of a noun while it is not declared. When it is again, its table has them.
func TestNounThatComesBack(t *testing.T) {
	dir, log := t.TempDir(), newFakeLog()
	contact := noun.Declaration{Name: "Contact", Properties: "name: string\nleadScore: number"}
	for i, d := range []noun.Declaration{contact, {Name: "Deal", Properties: "name: string"}, contact, contact} {
		l, err := Open(t.Context(), Config{Dir: dir, Nouns: registry(t, d), Interval: -1, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		l.Start(log)
		if i < 2 { // the second time nobody but the log knows of it
			log.contact("acme", i, "Ann")
			log.contact("birch", 0, "Bob")
		}
		publish(t, l)
		check(t, l, log)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
