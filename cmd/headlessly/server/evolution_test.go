package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
	"headless.ly/query"
)

// The generations of one noun. The names stand in lakehouse/fieldids.json, or are old or new names of those that do.
var generations = []noun.Declaration{
	{Name: "Contact", Properties: `
		name:      string!
		email:     string##
		stage:     enum(Lead, Qualified)=Lead
		leadScore: decimal(6,2)
		language:  string
		timezone:  string
		mobile:    string!
	`},
	{Name: "Contact", Properties: `
		title:     string
		name:      string
		mail:      string##
		stage:     enum(Lead, Qualified, Customer)=Lead
		leadScore: decimal(10,2)
		zone:      string
		mobile:    string
	`, Was: map[string][]string{"mail": {"email"}, "zone": {"timezone"}}},
	{Name: "Contact", Properties: `
		name:           string
		title:          string
		mail:           string##
		stage:          enum(Lead, Qualified, Customer, Partner)=Lead
		leadScore:      decimal(12,2)
		area:           string
		language:       string
		phone:          string!
		department:     string
		avatar:         json
		lastEngagement: datetime
		role:           boolean
		source:         int
	`, Was: map[string][]string{"mail": {"email"}, "area": {"zone", "timezone"}}},
}

// lake is everything behind the doors, over one data folder, with the nouns of one generation.
type lake struct {
	*testing.T
	noun   *noun.Noun
	lake   *lakehouse.Lake
	store  *ingest.Store
	reader *query.Reader
}

func openGeneration(t *testing.T, dir string, d noun.Declaration) *lake {
	t.Helper()
	n, err := noun.Define(d)
	if err != nil {
		t.Fatal(err)
	}
	nouns, err := noun.NewRegistry(n)
	if err != nil {
		t.Fatal(err)
	}
	ctx, quiet := t.Context(), slog.New(slog.DiscardHandler)
	l := &lake{T: t}
	l.noun, _ = nouns.Get("Contact")
	if l.lake, err = lakehouse.Open(ctx, lakehouse.Config{Dir: dir, Nouns: nouns, Interval: -1, Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	sweep, err := l.lake.Database().OpenTenants(ctx)
	if err != nil {
		t.Fatal(err)
	}
	l.store, err = ingest.Open(ctx, ingest.Config{Dir: dir, Nouns: nouns, Registrar: l.lake.Database(), Published: l.lake.Published, Logger: quiet}, sweep)
	if err != nil {
		t.Fatal(err)
	}
	l.lake.Start(l.store)
	l.reader, err = query.Open(query.Config{Log: l.store, Lake: l.lake, Nouns: nouns,
		Engine: query.EngineConfig{Warehouse: filepath.Join(dir, "warehouse")}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// close publishes nothing: what is not published is read from the log by the next generation.
func (l *lake) close() {
	l.Helper()
	for _, err := range []error{l.reader.Close(), l.store.Close(context.Background()), l.lake.Close()} {
		if err != nil {
			l.Fatal(err)
		}
	}
}

func (l *lake) publish() {
	l.Helper()
	if err := l.lake.Publish(l.Context()); err != nil {
		l.Fatal(err)
	}
}

// do writes, and gives the entity's id.
func (l *lake) do(tenant string, op ingest.Op, id, body string) string {
	l.Helper()
	cmd := ingest.Command{Op: op, Noun: "Contact", ID: id}
	if body != "" {
		var err error
		if cmd.Body, err = entity.Parse([]byte(body)); err != nil {
			l.Fatal(err)
		}
	}
	results, err := l.store.Do(l.Context(), tenant, []ingest.Command{cmd})
	if err == nil {
		err = results[0].Err
	}
	if err != nil {
		l.Fatalf("%s %s %s: %v", op, id, body, err)
	}
	return results[0].Event.Target
}

// refuse says that a create is refused.
func (l *lake) refuse(tenant, body string, code problem.Code) {
	l.Helper()
	o, err := entity.Parse([]byte(body))
	if err != nil {
		l.Fatal(err)
	}
	results, err := l.store.Do(l.Context(), tenant, []ingest.Command{{Op: ingest.OpCreate, Noun: "Contact", Body: o}})
	if err != nil || !problem.Is(results[0].Err, code) {
		l.Errorf("create %s: %v %v, want %s", body, results, err, code)
	}
}

// get gives an entity's fields, without $ members.
func (l *lake) get(tenant, key string, o query.Options) string {
	l.Helper()
	a, err := l.reader.Get(l.Context(), tenant, l.noun, key, o)
	if err != nil {
		l.Fatalf("get %s: %v", key, err)
	}
	doc, err := entity.Parse(a.Document)
	if err != nil {
		l.Fatal(err)
	}
	return string(doc.Fields().Append(nil))
}

// list gives the names of the entities that pass a filter, in order.
func (l *lake) list(tenant, filter string, o query.Options) string {
	l.Helper()
	f, err := entity.Parse([]byte(filter))
	if err != nil {
		l.Fatal(err)
	}
	page, err := l.reader.List(l.Context(), tenant, l.noun, query.Query{Filter: f, Sort: "name", Options: o})
	if err != nil {
		l.Fatalf("list %s: %v", filter, err)
	}
	var out []string
	for _, doc := range page.Results {
		o, err := entity.Parse(doc)
		if err != nil {
			l.Fatal(err)
		}
		out = append(out, o.Text("name"))
	}
	if int(page.Total) != len(out) {
		l.Errorf("list %s: %d, total %d", filter, len(out), page.Total)
	}
	return strings.Join(out, " ")
}

// TestGenerations opens one data folder with three generations of a noun. Each tenant but acme is written by one generation
// only, so that files of all stay in the table; acme is written by all.
func TestGenerations(t *testing.T) {
	dir := t.TempDir()
	one := openGeneration(t, dir, generations[0])
	ids := map[string]string{}
	for _, tenant := range []string{"acme", "first"} {
		ids[tenant] = one.do(tenant, ingest.OpCreate, "", `{"name":"Ann","email":"ann@x.io","leadScore":12.5,"language":"de","timezone":"CET","mobile":"1",
			"title":"Dr","department":7,"lastEngagement":"2026-01-02T03:04:05.678Z","avatar":{"a":[1,2]},"role":true,"source":9007199254740993,"loose":1}`)
		one.do(tenant, ingest.OpCreate, "", `{"name":"Bob","stage":"Qualified","mobile":"2","leadScore":1,"source":1.5,"lastEngagement":"never"}`)
		one.do(tenant, ingest.OpUpdate, ids[tenant], `{"timezone":"EET"}`)
	}
	one.publish()
	one.close()

	two := openGeneration(t, dir, generations[1])
	for _, tenant := range []string{"acme", "second"} {
		two.do(tenant, ingest.OpCreate, "", `{"name":"Cid","mail":"cid@x.io","leadScore":12345678.25,"zone":"PST","stage":"Customer","language":"fr"}`)
		two.do(tenant, ingest.OpCreate, "", `{"email":"dot@x.io","name":"Dot","title":"Prof"}`)
	}
	two.do("acme", ingest.OpUpdate, "ann@x.io", `{"leadScore":99}`)
	two.publish()
	two.do("acme", ingest.OpUpdate, "dot@x.io", `{"zone":"UTC"}`) // stays unpublished
	two.close()

	three := openGeneration(t, dir, generations[2])
	defer three.close()
	three.checkReads(ids)
	three.checkTable([]string{"id", "name", "mail", "stage", "leadScore", "area", "_version", "_seq"}, "first", "second")
	three.publish()
	three.checkReads(ids)
	for _, tenant := range []string{"first", "second"} { // merges rows of an old file with the change
		three.do(tenant, ingest.OpCreate, "", `{"name":"Eve","phone":"+1","mail":"eve@x.io"}`)
	}
	three.refuse("first", `{"name":"Eva","phone":"+2","mail":"ann@x.io"}`, problem.Conflict) // written as email
	three.refuse("first", `{"name":"Eva"}`, problem.Validation)                              // a phone is required of new ones
	three.do("first", ingest.OpUpdate, ids["first"], `{"area":"WET"}`)
	three.publish()
	var all []string
	for _, c := range lakehouse.TableColumns(three.noun)[1:] {
		all = append(all, c.Name)
	}
	three.checkTable(all, "acme", "first", "second")
}

// checkReads reads everything through our own doors.
func (l *lake) checkReads(ids map[string]string) {
	l.Helper()
	equal := func(what, got, want string) {
		l.Helper()
		if got != want {
			l.Errorf("%s: %s\nwant %s", what, got, want)
		}
	}
	const ann = `{"name":"Ann","mail":"ann@x.io","stage":"Lead","leadScore":12.5,"language":"de","area":"EET","mobile":"1","title":"Dr","department":7,` +
		`"lastEngagement":"2026-01-02T03:04:05.678Z","avatar":{"a":[1,2]},"role":true,"source":9007199254740993,"loose":1}`
	equal("get by id", l.get("first", ids["first"], query.Options{}), ann)
	equal("get by unique value", l.get("first", "ann@x.io", query.Options{}), ann)
	equal("get a version", l.get("first", ids["first"], query.Options{AtVersion: 1}), strings.Replace(ann, "EET", "CET", 1))
	equal("projection", l.get("first", ids["first"], query.Options{Fields: []string{"area", "mail"}}), `{"mail":"ann@x.io","area":"EET"}`)
	d, err := l.reader.Diff(l.Context(), "first", l.noun, ids["first"], "1", "2")
	if err != nil {
		l.Fatal(err)
	}
	equal("diff", fmt.Sprintf("%s", d.Changes), `[{area "CET" "EET"}]`)
	equal("history", string(d.Events[0].Changes), `[{"field":"area","from":"CET","to":"EET"}]`)
	equal("before", string(d.Events[0].Before), strings.Replace(ann, "EET", "CET", 1))
	for _, c := range []struct{ filter, first, second, acme string }{
		{`{}`, "Ann Bob", "Cid Dot", "Ann Bob Cid Dot"},
		{`{"mail":"ann@x.io"}`, "Ann", "", "Ann"},
		{`{"area":{"$exists":true}}`, "Ann", "Cid", "Ann Cid Dot"},
		{`{"area":"EET"}`, "Ann", "", "Ann"},
		{`{"timezone":"EET"}`, "Ann", "", "Ann"}, // by an old name
		{`{"title":{"$in":["Dr","Prof"]}}`, "Ann", "Dot", "Ann Dot"},
		{`{"title":{"$exists":false}}`, "Bob", "Cid", "Bob Cid"},
		{`{"stage":"Customer"}`, "", "Cid", "Cid"},
		{`{"leadScore":{"$gt":10}}`, "Ann", "Cid", "Ann Cid"},
		{`{"leadScore":12345678.25}`, "", "Cid", "Cid"},
		{`{"language":{"$exists":true}}`, "Ann", "Cid", "Ann Cid"},
		{`{"lastEngagement":{"$gte":"2026-01-02T03:04:05.678Z"}}`, "Ann", "", "Ann"},
		{`{"lastEngagement":{"$lt":"2026-01-02T03:04:05.678Z"}}`, "", "", ""},
		{`{"avatar.a.1":2}`, "Ann", "", "Ann"},
		{`{"role":true}`, "Ann", "", "Ann"},
		{`{"source":9007199254740993}`, "Ann", "", "Ann"},
		{`{"source":{"$lt":2}}`, "", "", ""},
		{`{"department":"7"}`, "", "", ""},
		{`{"mobile":{"$in":["1","2"]}}`, "Ann Bob", "", "Ann Bob"}, // declared no more
		{`{"loose":1}`, "Ann", "", "Ann"},
	} {
		for tenant, want := range map[string]string{"first": c.first, "second": c.second, "acme": c.acme} {
			equal(tenant+" "+c.filter, l.list(tenant, c.filter, query.Options{}), want)
			equal(tenant+" from the log "+c.filter, l.list(tenant, c.filter, query.Options{IncludeDeleted: true}), want)
		}
	}
}

// checkTable reads columns of the table as others do, with iceberg-go, and holds them against the tenants' state.
func (l *lake) checkTable(columns []string, tenants ...string) {
	l.Helper()
	t, err := l.lake.Database().Iceberg().LoadTable(l.Context(), table.Identifier{catalog.Namespace, "contact"})
	if err != nil {
		l.Fatal(err)
	}
	_, batches, err := t.Scan().ToArrowRecords(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	var got, want []string
	for rows, err := range batches {
		if err != nil {
			l.Fatal(err)
		}
		for i := range int(rows.NumRows()) {
			at := func(name string) any { return cell(rows.Column(rows.Schema().FieldIndices(name)[0]), i) }
			if tenant := at("tenant").(string); slices.Contains(tenants, tenant) {
				got = append(got, tenant+line(columns, at))
			}
		}
		rows.Release()
	}
	places := map[string]int{}
	for i, c := range lakehouse.TableColumns(l.noun)[1:] {
		places[c.Name] = i
	}
	for _, tenant := range tenants {
		for _, e := range l.latest(tenant) {
			row, err := lakehouse.Row(l.noun, e)
			if err != nil {
				l.Fatal(err)
			}
			want = append(want, tenant+line(columns, func(name string) any { return row[places[name]] }))
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		l.Errorf("the table holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// latest gives each entity's last event.
func (l *lake) latest(tenant string) map[string]*lakehouse.Event {
	l.Helper()
	last := map[string]*lakehouse.Event{}
	err := l.store.Read(l.Context(), tenant, lakehouse.Range{Noun: "Contact"}, func(e *lakehouse.Event) error {
		last[e.Target] = e
		return nil
	})
	if err != nil {
		l.Fatal(err)
	}
	return last
}

func line(columns []string, at func(string) any) string {
	var b strings.Builder
	for _, name := range columns {
		fmt.Fprintf(&b, " %s=%v", name, at(name))
	}
	return b.String()
}

// cell gives a value as lakehouse.Row does.
func cell(column arrow.Array, i int) any {
	if column.IsNull(i) {
		return nil
	}
	switch a := column.(type) {
	case *array.String:
		return a.Value(i)
	case *array.LargeString:
		return a.Value(i)
	case *array.Timestamp:
		return a.Value(i).ToTime(arrow.Microsecond).UTC()
	case *array.Decimal128:
		return a.Value(i).ToString(a.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Int64:
		return a.Value(i)
	case *array.Boolean:
		return a.Value(i)
	}
	panic(column.DataType())
}
