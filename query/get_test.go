package query

import (
	"context"
	"strings"
	"testing"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// wantProblem checks the code of an error.
func wantProblem(t *testing.T, what string, err error, code problem.Code) {
	t.Helper()
	if !problem.Is(err, code) {
		t.Errorf("%s: got %v, want %s", what, err, code)
	}
}

func TestGet(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, nil)
	contact := mustNoun("Contact")
	created := w.put("acme", contact, "contact_noor1", "create", `{"name":"Noor","email":"noor@birch.example","stage":"Lead"}`)
	early := w.tick(time.Hour)
	w.tick(time.Hour)
	w.put("acme", contact, "contact_noor1", "qualify", `{"name":"Noor","email":"noor@new.example","stage":"Qualified"}`)
	w.put("acme", contact, "contact_gone1", "create", `{"name":"Gone","email":"gone@birch.example"}`)
	w.tick(time.Hour)
	deleted := w.put("acme", contact, "contact_gone1", "delete", "")
	w.tick(time.Hour)

	get := func(key string, o Options) Answer {
		t.Helper()
		a, err := w.Get(ctx, "acme", contact, key, o)
		if err != nil {
			t.Fatalf("get %s %+v: %v", key, o, err)
		}
		return a
	}
	text := func(a Answer, name string) string {
		o, err := entity.Parse(a.Document)
		if err != nil {
			t.Fatal(err)
		}
		return o.Text(name)
	}
	a := get("contact_noor1", Options{})
	if a.Version != 2 || a.Seq != deleted.Seq || a.Mode != Eventual || text(a, "$context") != "https://headless.ly/~acme" {
		t.Errorf("%+v %s", a, a.Document)
	}
	if a := get("contact_noor1", Options{Strong: true}); a.Mode != Strong || a.Version != 2 {
		t.Errorf("%+v", a)
	}
	if a := get("noor@new.example", Options{}); a.Version != 2 {
		t.Errorf("by email: %+v", a)
	}
	past := Options{AsOf: early.Format(time.RFC3339Nano)}
	if a := get("contact_noor1", past); a.Version != 1 || a.Seq != created.Seq || a.Mode != AsOf || !a.AsOf.Equal(early) ||
		text(a, "stage") != "Lead" {
		t.Errorf("%+v %s", a, a.Document)
	}
	if a := get("noor@birch.example", past); a.Version != 1 {
		t.Errorf("by the email it had: %+v", a)
	}
	if a := get("contact_noor1", Options{AtVersion: 1}); text(a, "stage") != "Lead" {
		t.Errorf("%s", a.Document)
	}
	if a := get("contact_noor1", Options{AsOf: "2100-01-01"}); a.Version != 2 || a.Seq != deleted.Seq {
		t.Errorf("far future: %+v", a)
	}
	before := formatTime(deleted.Timestamp - 1)
	if a := get("contact_gone1", Options{AsOf: before}); a.Version != 1 {
		t.Errorf("before its deletion: %+v", a)
	}
	if a := get("contact_gone1", Options{IncludeDeleted: true}); !strings.Contains(string(a.Document), `"$deleted":true`) {
		t.Errorf("%s", a.Document)
	}
	for _, miss := range []struct {
		key string
		o   Options
	}{
		{"contact_gone1", Options{}},
		{"contact_gone1", Options{AsOf: formatTime(deleted.Timestamp)}},
		{"contact_gone1", Options{AsOf: "2000-01-01"}},
		{"contact_none1", Options{}},
		{"contact_none1", Options{AsOf: before}},
		{"noor@new.example", past},
		{"noor@birch.example", Options{}},
		{"contact_noor1", Options{AtVersion: 9}},
		{"contact_gone1", Options{AtVersion: 2}},
		{"deal_noor1", Options{}},
	} {
		_, err := w.Get(ctx, "acme", contact, miss.key, miss.o)
		wantProblem(t, miss.key, err, problem.NotFound)
	}
	if _, err := w.Get(ctx, "birch", contact, "contact_noor1", Options{}); !problem.Is(err, problem.NotFound) {
		t.Errorf("another tenant's entity: %v", err)
	}
	wantProblem(t, "asOf and strong", second(w.Get(ctx, "acme", contact, "contact_noor1", Options{Strong: true, AsOf: "now"})), problem.InvalidRequest)
	wantProblem(t, "asOf and version", second(w.Get(ctx, "acme", contact, "contact_noor1", Options{AtVersion: 1, AsOf: "now"})), problem.InvalidRequest)
	wantProblem(t, "asOf", second(w.Get(ctx, "acme", contact, "contact_noor1", Options{AsOf: "yesteryear"})), problem.InvalidAsOf)
	wantProblem(t, "id", second(w.Get(ctx, "acme", contact, "a b", Options{})), problem.InvalidID)
	wantProblem(t, "id", second(w.Get(ctx, "acme", contact, "", Options{})), problem.InvalidID)
	wantProblem(t, "id", second(w.Get(ctx, "acme", contact, strings.Repeat("x", 129), Options{})), problem.InvalidID)
}

func second[T any](_ T, err error) error { return err }

func TestShape(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, nil)
	contact, deal, org := mustNoun("Contact"), mustNoun("Deal"), mustNoun("Organization")
	w.put("acme", org, "organization_o1aaa", "create", `{"name":"Acme"}`)
	w.put("acme", org, "organization_o2aaa", "create", `{"name":"Gone"}`)
	w.put("acme", contact, "contact_c1aaa", "create", `{"name":"Noor","organization":"organization_o1aaa","nick":"n"}`)
	w.put("acme", contact, "contact_c2aaa", "create", `{"name":"Lena","organization":"organization_o2aaa"}`)
	w.put("acme", deal, "deal_d1aaa", "create", `{"name":"One","value":1,"contact":"contact_c1aaa"}`)
	w.put("acme", deal, "deal_d2aaa", "create", `{"name":"Two","value":2,"contact":"contact_c1aaa"}`)
	w.put("acme", contact, "contact_c1aaa", "qualify", `{"name":"Noor","organization":"organization_o1aaa","stage":"Qualified"}`)
	mid := formatTime(w.tick(time.Hour).UnixMilli())
	w.tick(time.Hour)
	w.put("acme", org, "organization_o2aaa", "delete", "")
	w.put("acme", deal, "deal_d1aaa", "delete", "")
	w.put("acme", org, "organization_o1aaa", "update", `{"name":"Acme 2"}`)

	get := func(key string, o Options) string {
		t.Helper()
		a, err := w.Get(ctx, "acme", contact, key, o)
		if err != nil {
			t.Fatal(err)
		}
		return string(a.Document)
	}
	contains := func(doc string, parts ...string) {
		t.Helper()
		for _, part := range parts {
			if not, ok := strings.CutPrefix(part, "!"); ok == strings.Contains(doc, not) && ok {
				t.Errorf("%s holds %s", doc, not)
			} else if !ok && !strings.Contains(doc, part) {
				t.Errorf("%s lacks %s", doc, part)
			}
		}
	}
	if got := get("contact_c1aaa", Options{Fields: []string{"name"}}); got != `{"$type":"Contact","$id":"contact_c1aaa","name":"Noor"}` {
		t.Error(got)
	}
	contains(get("contact_c1aaa", Options{Fields: []string{"name", "createdAt", "$version", "qualifiedAt", "qualifiedBy", "enrichedAt"}}),
		`"$createdAt":"2026`, `"$version":2`, `"qualifiedAt":"2026-`, `"qualifiedBy":"user_qualify"`, "!enrichedAt", "!$context")
	contains(get("contact_c1aaa", Options{Include: []string{"audit"}}), `"qualifiedBy":"user_qualify"`, `"$context"`)
	contains(get("contact_c1aaa", Options{}), "!qualifiedBy")
	contains(get("contact_c1aaa", Options{Include: []string{"organization", "deals"}}),
		`"organization":{"$type":"Organization","$id":"organization_o1aaa","$context":"https://headless.ly/~acme",`, `"name":"Acme 2"`,
		`"deals":[{"$type":"Deal","$id":"deal_d2aaa"`, "!deal_d1aaa")
	contains(get("contact_c1aaa", Options{Include: []string{"organization", "deals"}, AsOf: mid}),
		`"name":"Acme"`, `"deals":[{"$type":"Deal","$id":"deal_d2aaa"`, `deal_d1aaa`)
	contains(get("contact_c2aaa", Options{Include: []string{"organization", "deals", "deals"}}), `"organization":null`, `"deals":[]`)
	contains(get("contact_c2aaa", Options{Include: []string{"organization"}, AsOf: mid}), `"name":"Gone"`)

	page, err := w.List(ctx, "acme", contact, Query{Options: Options{Include: []string{"organization", "deals"}, Fields: []string{"name"}}, Sort: "name"})
	if err != nil {
		t.Fatal(err)
	}
	contains(string(page.Results[0]), `"name":"Lena","organization":null,"deals":[]`)
	contains(string(page.Results[1]), `"name":"Noor","organization":{`, `"deals":[{`)

	for _, bad := range []struct {
		o    Options
		code problem.Code
	}{
		{Options{Include: []string{"deals.contact"}}, problem.InvalidInclude},
		{Options{Include: []string{"nothing"}}, problem.InvalidInclude},
		{Options{Include: []string{"name"}}, problem.InvalidInclude},
		{Options{Fields: []string{"nick"}}, problem.InvalidFields},
		{Options{Fields: []string{"$foo"}}, problem.InvalidFields},
	} {
		_, err := w.Get(ctx, "acme", contact, "contact_c1aaa", bad.o)
		wantProblem(t, strings.Join(append(bad.o.Include, bad.o.Fields...), ","), err, bad.code)
	}
}

func TestRelated(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, nil)
	contact, deal, org := mustNoun("Contact"), mustNoun("Deal"), mustNoun("Organization")
	w.put("acme", org, "organization_o1aaa", "create", `{"name":"Acme"}`)
	w.put("acme", contact, "contact_c1aaa", "create", `{"name":"Noor","organization":"organization_o1aaa"}`)
	w.put("acme", contact, "contact_c2aaa", "create", `{"name":"Lena"}`)
	for _, id := range []string{"deal_d1aaa", "deal_d2aaa", "deal_d3aaa"} {
		w.put("acme", deal, id, "create", `{"name":"One","value":1,"contact":"contact_c1aaa"}`)
	}
	w.put("acme", deal, "deal_d4aaa", "create", `{"name":"Other","value":1,"contact":"contact_c2aaa"}`)
	page, err := w.Related(ctx, "acme", contact, "contact_c1aaa", "deals", Query{Sort: "$id", Limit: 2})
	if err != nil || page.Total != 3 || strings.Join(ids(t, page.Results), " ") != "deal_d1aaa deal_d2aaa" {
		t.Fatalf("%v %+v", err, page)
	}
	rest, err := w.Related(ctx, "acme", contact, "contact_c1aaa", "deals", Query{Sort: "$id", Limit: 2, Cursor: page.Cursor})
	if err != nil || strings.Join(ids(t, rest.Results), " ") != "deal_d3aaa" || rest.HasMore {
		t.Fatalf("%v %+v", err, rest)
	}
	_, err = w.Related(ctx, "acme", contact, "contact_c2aaa", "deals", Query{Sort: "$id", Limit: 2, Cursor: page.Cursor})
	wantProblem(t, "another's cursor", err, problem.InvalidCursor)
	page, err = w.Related(ctx, "acme", contact, "contact_c1aaa", "organization", Query{})
	if err != nil || page.Total != 1 {
		t.Fatalf("%v %+v", err, page)
	}
	page, err = w.Related(ctx, "acme", contact, "contact_c2aaa", "organization", Query{})
	if err != nil || page.Total != 0 {
		t.Fatalf("%v %+v", err, page)
	}
	_, err = w.Related(ctx, "acme", contact, "contact_c9aaa", "deals", Query{})
	wantProblem(t, "missing root", err, problem.NotFound)
	_, err = w.Related(ctx, "acme", contact, "contact_c1aaa", "foes", Query{})
	wantProblem(t, "missing relationship", err, problem.NotFound)
}

func TestResolve(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, nil)
	flag, metric := mustNoun("FeatureFlag"), mustNoun("Metric")
	w.put("acme", flag, "featureflag_f1aaa", "create", `{"name":"Dark","key":"dark-mode"}`)
	w.put("acme", metric, "metric_m1aaa", "create", `{"name":"mrr","value":1,"timestamp":"2026-03-01T00:00:00.000Z"}`)
	for key, want := range map[string]string{"dark-mode": "featureflag_f1aaa", "featureflag_f1aaa": "featureflag_f1aaa"} {
		if got, err := w.Resolve(ctx, "acme", flag, key); err != nil || got != want {
			t.Errorf("%s: %s %v", key, got, err)
		}
	}
	if got, err := w.Resolve(ctx, "acme", metric, "mrr"); err != nil || got != "metric_m1aaa" {
		t.Errorf("metric by name: %s %v", got, err)
	}
	if a, err := w.Get(ctx, "acme", metric, "mrr", Options{}); err != nil || a.Version != 1 {
		t.Errorf("metric by name: %+v %v", a, err)
	}
	_, err := w.Resolve(ctx, "acme", flag, "light-mode")
	wantProblem(t, "unknown", err, problem.NotFound)
}

func TestMinSeq(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, nil)
	contact := mustNoun("Contact")
	w.put("acme", contact, "contact_c1aaa", "create", `{"name":"Noor"}`)
	go func() {
		time.Sleep(50 * time.Millisecond)
		w.put("acme", contact, "contact_c2aaa", "create", `{"name":"Lena"}`)
	}()
	page, err := w.List(ctx, "acme", contact, Query{Options: Options{MinSeq: 2}})
	if err != nil || page.Total != 2 || page.Seq != 2 {
		t.Errorf("%+v %v", page, err)
	}
	_, err = w.Get(ctx, "acme", contact, "contact_c1aaa", Options{MinSeq: 99})
	wantProblem(t, "never reached", err, problem.NotYet)
}

func TestDiff(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, nil)
	contact := mustNoun("Contact")
	w.tick(time.Hour)
	first := w.put("acme", contact, "contact_c1aaa", "create", `{"name":"Noor","leadScore":1,"address":{"a":1,"b":[1,2]}}`)
	w.tick(time.Hour)
	w.put("acme", contact, "contact_c1aaa", "update", `{"name":"Noor","leadScore":1.0,"title":"CEO","address":{"b":[1,2],"a":1}}`)
	w.tick(time.Hour)
	w.put("acme", contact, "contact_c1aaa", "delete", "")
	w.tick(time.Hour)

	d, err := w.Diff(ctx, "acme", contact, "contact_c1aaa", "1", "2")
	if err != nil || len(d.Changes) != 1 || d.Changes[0].Field != "title" || string(d.Changes[0].From) != "null" || len(d.Events) != 1 {
		t.Fatalf("%+v %v", d, err)
	}
	d, err = w.Diff(ctx, "acme", contact, "contact_c1aaa", "2020-01-01", formatTime(first.Timestamp))
	if err != nil || d.Before != nil || d.After == nil || len(d.Changes) != 3 || len(d.Events) != 1 {
		t.Fatalf("%+v %v", d, err)
	}
	d, err = w.Diff(ctx, "acme", contact, "contact_c1aaa", "1", "")
	if err != nil || d.Before == nil || d.After != nil || len(d.Events) != 2 {
		t.Fatalf("%+v %v", d, err)
	}
	for _, bad := range []struct {
		from, to string
		code     problem.Code
	}{
		{"", "2", problem.InvalidRequest},
		{"later", "2", problem.InvalidRequest},
		{"2", "1", problem.InvalidRequest},
		{"1", "99", problem.NotFound},
	} {
		_, err := w.Diff(ctx, "acme", contact, "contact_c1aaa", bad.from, bad.to)
		wantProblem(t, bad.from+".."+bad.to, err, bad.code)
	}
	_, err = w.Diff(ctx, "acme", contact, "contact_c9aaa", "1", "2")
	wantProblem(t, "missing", err, problem.NotFound)
}

func TestEvents(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, nil)
	contact, deal, event := mustNoun("Contact"), mustNoun("Deal"), mustNoun("Event")
	w.tick(time.Hour)
	all := []*lakehouse.Event{
		w.put("acme", contact, "contact_c1aaa", "create", `{"name":"Noor"}`),
		w.put("acme", contact, "contact_c1aaa", "qualify", `{"name":"Noor","stage":"Qualified"}`),
		w.put("acme", deal, "deal_d1aaa", "create", `{"name":"One","value":1}`),
		w.put("acme", event, "event_e1aaa", "create", `{"name":"home","type":"page","timestamp":"2026-03-01T00:00:00.000Z"}`),
		w.put("acme", deal, "deal_d1aaa", "win", `{"name":"One","value":1,"stage":"Won"}`),
	}
	w.tick(time.Hour)
	check := func(q EventQuery, want ...int) {
		t.Helper()
		page, err := w.Events(ctx, "acme", q)
		if err != nil {
			t.Errorf("%+v: %v", q, err)
			return
		}
		var got []int
		for _, e := range page.Events {
			got = append(got, int(e.Seq))
		}
		if len(got) != len(want) {
			t.Errorf("%+v: got %v, want %v", q, got, want)
			return
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%+v: got %v, want %v", q, got, want)
				return
			}
		}
	}
	ts := func(i int) string { return formatTime(all[i].Timestamp) }
	check(EventQuery{}, 1, 2, 3, 4, 5)
	check(EventQuery{Order: "desc"}, 5, 4, 3, 2, 1)
	check(EventQuery{Type: "deal.WON"}, 5)
	check(EventQuery{Type: "Deal.win"}, 5)
	check(EventQuery{Type: "Deal"}, 3, 5)
	check(EventQuery{Type: "deals"}, 3, 5)
	check(EventQuery{Type: "*.Created"}, 1, 3, 4)
	check(EventQuery{Type: "Event.*"}, 4)
	check(EventQuery{Type: "Deal.**, Event"}, 3, 4, 5)
	check(EventQuery{Type: "page"}, 4)
	check(EventQuery{Type: "track"})
	check(EventQuery{Type: "!Deal.*"}, 1, 2, 4)
	check(EventQuery{Type: "Contact.*,!Deal.Created"}, 1, 2, 4, 5)
	check(EventQuery{Type: "contact_c1aaa"}, 1, 2)
	check(EventQuery{Type: "Contact.contact_c1aaa.*"}, 1, 2)
	check(EventQuery{Type: "Contact.contact_c1aaa.Qualified"}, 2)
	check(EventQuery{Type: "*"}, 1, 2, 3, 4, 5)
	check(EventQuery{Type: "!*"})
	check(EventQuery{Target: "deal_d1aaa"}, 3, 5)
	check(EventQuery{Noun: "Contact", Target: "contact_c1aaa", Verb: "qualify"}, 2)
	check(EventQuery{Verb: "create,win"}, 1, 3, 4, 5)
	check(EventQuery{Actor: "user_win"}, 5)
	check(EventQuery{Since: ts(2)}, 3, 4, 5)
	check(EventQuery{Since: ts(2), Until: ts(3)}, 3, 4)
	check(EventQuery{After: ts(2), Before: ts(3)}, 3, 4)
	check(EventQuery{After: all[2].ID}, 4, 5)
	check(EventQuery{Cursor: all[2].ID, Order: "desc"}, 2, 1)
	check(EventQuery{Before: all[2].ID}, 1, 2)
	check(EventQuery{Before: all[0].ID})
	check(EventQuery{Until: "2100-01-01"}, 1, 2, 3, 4, 5)
	check(EventQuery{Since: "2100-01-01"})
	check(EventQuery{AsOf: ts(1)}, 1, 2)
	check(EventQuery{AsOf: "2000-01-01"})

	page, err := w.Events(ctx, "acme", EventQuery{Limit: 2})
	if err != nil || !page.HasMore || page.Cursor != all[1].ID {
		t.Errorf("%+v %v", page, err)
	}
	page, err = w.Events(ctx, "acme", EventQuery{Cursor: all[4].ID})
	if err != nil || page.HasMore || page.Cursor != all[4].ID || len(page.Events) != 0 {
		t.Errorf("%+v %v", page, err)
	}
	if e, err := w.Event(ctx, "acme", all[3].ID); err != nil || e.Seq != 4 {
		t.Errorf("%v %v", e, err)
	}
	_, err = w.Event(ctx, "acme", "evt_000000000000")
	wantProblem(t, "event", err, problem.NotFound)
	for _, bad := range []struct {
		q    EventQuery
		code problem.Code
	}{
		{EventQuery{Cursor: "evt_000000000000"}, problem.InvalidCursor},
		{EventQuery{Cursor: "yesterday"}, problem.InvalidCursor},
		{EventQuery{After: "evt_000000000000"}, problem.InvalidCursor},
		{EventQuery{Since: "soon"}, problem.InvalidRequest},
		{EventQuery{Order: "up"}, problem.InvalidRequest},
		{EventQuery{Limit: 1001}, problem.LimitExceeded},
	} {
		_, err := w.Events(ctx, "acme", bad.q)
		wantProblem(t, "events", err, bad.code)
	}
}
