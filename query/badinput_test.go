package query

import (
	"context"
	"errors"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
)

// TestBadInput holds each malformed list to its documented code.
func TestBadInput(t *testing.T) {
	w := newWorld(t, nil)
	deal := mustNoun("Deal")
	w.put("acme", deal, "deal_d1aaa", "create", `{"name":"One","value":1}`)
	deep := strings.Repeat(`{"$and":[`, 17) + `{"name":"x"}` + strings.Repeat(`]}`, 17)
	many := `[` + strings.TrimSuffix(strings.Repeat("1,", 1001), ",") + `]`
	for _, bad := range []struct {
		values string
		code   problem.Code
	}{
		{"limit=0", problem.LimitExceeded},
		{"limit=101", problem.LimitExceeded},
		{"limit=-1", problem.LimitExceeded},
		{"limit=ten", problem.LimitExceeded},
		{"offset=-1", problem.InvalidRequest},
		{"offset=x", problem.InvalidRequest},
		{"strong=maybe", problem.InvalidRequest},
		{"atVersion=0", problem.InvalidRequest},
		{"strong=true&asOf=2020-01-01", problem.InvalidRequest},
		{"asOf=soon", problem.InvalidAsOf},
		{"asOf=", problem.InvalidAsOf},
		{"asOf=2020-13-01", problem.InvalidAsOf},
		{"asOf=-3d ago", problem.InvalidAsOf},
		{"sort=nothing", problem.InvalidSort},
		{"sort=organization.name", problem.InvalidSort},
		{"sort=value:up", problem.InvalidSort},
		{`sort={"value":0}`, problem.InvalidSort},
		{`sort={"value":null}`, problem.InvalidSort},
		{`sort={`, problem.InvalidSort},
		{`sort={}`, problem.InvalidSort},
		{"sort=name,value,stage,currency,source,probability,description,nextStep,wonReason", problem.InvalidSort},
		{"sort=,", problem.InvalidSort},
		{"include=nothing", problem.InvalidInclude},
		{"include=contact.organization", problem.InvalidInclude},
		{"fields=nothing", problem.InvalidFields},
		{"cursor=abc", problem.InvalidCursor},
		{"cursor=q1.abc", problem.InvalidCursor},
		{"cursor=q1." + strings.Repeat("A", 86), problem.InvalidCursor},
		{"cursor=deal_none00", problem.InvalidCursor},
		{"cursor=deal_d1aaa&sort=name", problem.InvalidCursor},
		{"cursor=deal_d1aaa&offset=5", problem.InvalidCursor},
		{"filter=x", problem.InvalidFilter},
		{"filter=[]", problem.InvalidFilter},
		{"filter=null", problem.InvalidFilter},
		{`filter={"a":1,"a":2}`, problem.InvalidFilter},
		{`filter={"$nor":[{}]}`, problem.InvalidFilter},
		{`filter={"$where":"1"}`, problem.InvalidFilter},
		{`filter={"$not":{"name":"x"}}`, problem.InvalidFilter},
		{`filter={"$context":"x"}`, problem.InvalidFilter},
		{`filter={"$deleted":true}`, problem.InvalidFilter},
		{`filter={"$and":[]}`, problem.InvalidFilter},
		{`filter={"$or":{}}`, problem.InvalidFilter},
		{`filter={"$or":[1]}`, problem.InvalidFilter},
		{`filter={"$or":[[]]}`, problem.InvalidFilter},
		{`filter={"$text":5}`, problem.InvalidFilter},
		{`filter={"$and":[{"$text":"a"}]}`, problem.InvalidFilter},
		{`filter={"name":{"$text":"a"}}`, problem.InvalidFilter},
		{`filter={"name":{"$size":1}}`, problem.InvalidFilter},
		{`filter={"name":{"$all":[1]}}`, problem.InvalidFilter},
		{`filter={"name":{"$elemMatch":{}}}`, problem.InvalidFilter},
		{`filter={"name":{"$eq":1,"b":2}}`, problem.InvalidFilter},
		{`filter={"name":{"$not":"x"}}`, problem.InvalidFilter},
		{`filter={"name":{"$not":{}}}`, problem.InvalidFilter},
		{`filter={"name":{"$not":{"x":1}}}`, problem.InvalidFilter},
		{`filter={"name":{"$in":"x"}}`, problem.InvalidFilter},
		{`filter={"name":{"$in":null}}`, problem.InvalidFilter},
		{`filter={"value":{"$nin":` + many + `}}`, problem.InvalidFilter},
		{`filter={"name":{"$exists":1}}`, problem.InvalidFilter},
		{`filter={"name":{"$regex":"("}}`, problem.InvalidFilter},
		{`filter={"name":{"$regex":"(?=a)"}}`, problem.InvalidFilter},
		{`filter={"name":{"$regex":5}}`, problem.InvalidFilter},
		{`filter={"name":{"$regex":"` + strings.Repeat("a", 513) + `"}}`, problem.InvalidFilter},
		{`filter={"name":{"$regex":"a","$options":"x"}}`, problem.InvalidFilter},
		{`filter={"name":{"$options":"i"}}`, problem.InvalidFilter},
		{`filter={"name":{"$regex":"((((a{30}){30}){30}){30}){30}"}}`, problem.InvalidFilter},
		{`filter={"":1}`, problem.InvalidFilter},
		{`filter={"a..b":1}`, problem.InvalidFilter},
		{`filter={".":1}`, problem.InvalidFilter},
		{`filter={"organization.":1}`, problem.InvalidFilter},
		{`filter={"organization.$foo":1}`, problem.InvalidFilter},
		{`filter={"price.$gt":1}`, problem.InvalidFilter},
		{`filter={"$id.x":1}`, problem.InvalidFilter},
		{`filter={"contact.organization.contacts.organization.name":1}`, problem.InvalidFilter},
		{"filter=" + deep, problem.InvalidFilter},
		{`filter={"name":"` + strings.Repeat("x", 70_000) + `"}`, problem.InvalidFilter},
		{"q=" + strings.Repeat("a b c d e f g h i j k l m n o p q r s t u v w x y z 1 2 3 4 5 6 7 8 9", 2), problem.InvalidFilter},
		{"value[$foo]=1", problem.InvalidFilter},
		{"value[gte]=1", problem.InvalidFilter},
		{"value[$gte=1", problem.InvalidFilter},
		{"value[$exists]=often", problem.InvalidFilter},
		{"value[$not]=5", problem.InvalidFilter},
		{"name[$regex]=(", problem.InvalidFilter},
	} {
		v := url.Values{}
		for pair := range strings.SplitSeq(bad.values, "&") {
			key, value, _ := strings.Cut(pair, "=")
			v.Add(key, value)
		}
		q, err := ParseValues(deal, v)
		if err == nil {
			_, err = w.List(context.Background(), "acme", deal, q)
		}
		wantProblem(t, bad.values[:min(len(bad.values), 80)], err, bad.code)
		if bad.code == problem.InvalidFilter {
			p, _ := err.(*problem.Problem)
			if p == nil || !slices.Contains(p.Supported, "$regex") {
				t.Errorf("%.80s: no list of operators", bad.values)
			}
		}
	}
}

// TestParseValues reads the spellings of interfaces.md 2.4.
func TestParseValues(t *testing.T) {
	deal := mustNoun("Deal")
	for _, x := range []struct{ values, filter string }{
		{"", `{}`},
		{"stage=Won", `{"stage":"Won"}`},
		{"stage=Won&stage=Lost", `{"stage":{"$in":["Won","Lost"]}}`},
		{"stage=", `{"stage":null}`},
		{"stage=null", `{"stage":null}`},
		{"value=5", `{"value":5}`},
		{"value=05", `{"value":5}`},
		{"value=five", `{"value":"five"}`},
		{"value=Inf", `{"value":"Inf"}`},
		{"value=0x10p1", `{"value":32}`},
		{"name=5", `{"name":"5"}`},
		{"price=5", `{"price":{"$in":["5",5]}}`},
		{"price[$gte]=5", `{"price":{"$gte":5}}`},
		{"value[$gte]=5&value[$lt]=9", `{"value":{"$gte":5,"$lt":9}}`},
		{"stage[$in]=Won,Lost", `{"stage":{"$in":["Won","Lost"]}}`},
		{`stage[$in]=["Won",null]`, `{"stage":{"$in":["Won",null]}}`},
		{"stage[$in]=", `{"stage":{"$in":[]}}`},
		{"stage[$exists]=false", `{"stage":{"$exists":false}}`},
		{"name[$regex]=^5&name[$options]=i", `{"name":{"$options":"i","$regex":"^5"}}`},
		{`value[$not]={"$gt":5}`, `{"value":{"$not":{"$gt":5}}}`},
		{"stage[$ne]=null", `{"stage":{"$ne":null}}`},
		{`filter={"stage":"Won"}&value=5`, `{"stage":"Won","value":5}`},
		{`filter={"stage":"Won"}&stage=Lost`, `{"$and":[{"stage":"Won"},{"stage":"Lost"}]}`},
		{`filter={"stage":"Won","$text":"x"}&stage=Lost`, `{"$text":"x","$and":[{"stage":"Won"},{"stage":"Lost"}]}`},
		{"stage=Won&stage[$ne]=Lost", `{"$and":[{"stage":"Won"},{"stage":{"$ne":"Lost"}}]}`},
		{"organization.name=Acme", `{"organization.name":"Acme"}`},
	} {
		v := url.Values{}
		for pair := range strings.SplitSeq(x.values, "&") {
			if key, value, ok := strings.Cut(pair, "="); ok {
				v.Add(key, value)
			}
		}
		q, err := ParseValues(deal, v)
		if err != nil {
			t.Errorf("%s: %v", x.values, err)
			continue
		}
		if got := string(q.Filter.Append(nil)); got != x.filter {
			t.Errorf("%s: got %s, want %s", x.values, got, x.filter)
		}
	}
	q, err := ParseValues(deal, url.Values{"sort": {"-value"}, "limit": {"7"}, "offset": {"3"}, "populate": {"contact, owner"}, "select": {"name"},
		"q": {"acme"}, "countOnly": {"true"}, "asOf": {"2020-01-01"}, "includeDeleted": {""}})
	if err != nil || q.Sort != "-value" || q.Limit != 7 || q.Offset != 3 || len(q.Include) != 2 || len(q.Fields) != 1 || q.Text != "acme" ||
		!q.CountOnly || q.AsOf != "2020-01-01" || !q.IncludeDeleted {
		t.Errorf("%+v %v", q, err)
	}
}

// TestSortSpellings lists the same order by all of them.
func TestSortSpellings(t *testing.T) {
	table := newSchema(mustNoun("Deal"))
	for _, text := range []string{"-value,name", "value:desc,name:asc", "value:DESC, +name", `{"value":-1,"name":1}`, `{"value":"desc","name":"asc"}`,
		"-value,name,-value,$type"} {
		o, err := parseSort(table, text, false)
		if err != nil || o.canonical() != "-value,name,id," {
			t.Errorf("%s: %s %v", text, o.canonical(), err)
		}
	}
	for text, want := range map[string]string{"": "-_createdAt,id,", "-createdAt": "-_createdAt,id,", "$id,value": "id,", "-id": "-id,"} {
		if o, err := parseSort(table, text, false); err != nil || o.canonical() != want {
			t.Errorf("%s: %s %v", text, o.canonical(), err)
		}
	}
	if o, err := parseSort(table, "", true); err != nil || o.canonical() != "relevance,id," {
		t.Errorf("%s %v", o.canonical(), err)
	}
}

func TestMoments(t *testing.T) {
	now := time.Date(2026, 3, 31, 15, 4, 5, 123456789, time.UTC)
	for text, want := range map[string]string{
		"2017-06-30":                       "2017-06-30T00:00:00Z",
		"2017-06-30T12:00":                 "2017-06-30T12:00:00Z",
		"2017-06-30T12:00Z":                "2017-06-30T12:00:00Z",
		"2017-06-30 12:00:01":              "2017-06-30T12:00:01Z",
		"2017-06-30t12:00:01z":             "2017-06-30T12:00:01Z",
		"2017-06-30T12:00:01.25+02:00":     "2017-06-30T10:00:01.25Z",
		"2017-06-30T12:00:01+0200":         "2017-06-30T10:00:01Z",
		"2017-06-30T12:00:01-02":           "2017-06-30T14:00:01Z",
		"2017-06-30T12:00:01.123456789Z":   "2017-06-30T12:00:01.123456Z",
		"now":                              "2026-03-31T15:04:05.123456Z",
		"Today":                            "2026-03-31T00:00:00Z",
		"yesterday":                        "2026-03-30T00:00:00Z",
		"7d ago":                           "2026-03-24T15:04:05.123456Z",
		"1w ago":                           "2026-03-24T15:04:05.123456Z",
		"2 h ago":                          "2026-03-31T13:04:05.123456Z",
		"90m ago":                          "2026-03-31T13:34:05.123456Z",
		"5s ago":                           "2026-03-31T15:04:00.123456Z",
		"2mo ago":                          "2026-01-31T15:04:05.123456Z",
		"1y ago":                           "2025-03-31T15:04:05.123456Z",
		"":                                 "",
		"2017":                             "",
		"2017-6-30":                        "",
		"2017-02-30":                       "",
		"30 days ago":                      "",
		"tomorrow":                         "",
		"1498780800":                       "",
		"2017-06-30T25:00:00Z":             "",
		"9999999d ago":                     "",
		"999999y ago":                      "",
		"0000-01-01":                       "",
		"9999-12-31T23:59:59-01:00":        "",
		"0001-01-01":                       "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999999Z":      "9999-12-31T23:59:59.999999Z",
		"2017-06-30T12:00:00Z; drop table": "",
	} {
		got, ok := parseMoment(text, now)
		if want == "" {
			if ok {
				t.Errorf("%q: got %s", text, got)
			}
			continue
		}
		if !ok || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%q: got %s, want %s", text, got.Format(time.RFC3339Nano), want)
		}
	}
}

// TestCursor holds cursors to one query, to ten minutes and to their bytes.
func TestCursor(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t, nil)
	contact := mustNoun("Contact")
	for _, id := range []string{"contact_c1aaa", "contact_c2aaa", "contact_c3aaa", "contact_c4aaa"} {
		w.put("acme", contact, id, "create", `{"name":"acme"}`)
		w.put("birch", contact, id, "create", `{"name":"acme"}`)
	}
	base := Query{Limit: 2, Sort: "name", Filter: object(t, `{"name":"acme"}`)}
	page, err := w.List(ctx, "acme", contact, base)
	if err != nil || !page.HasMore {
		t.Fatal(err)
	}
	next := func(tenant string, change func(*Query)) error {
		q := base
		q.Cursor = page.Cursor
		change(&q)
		_, err := w.List(ctx, tenant, contact, q)
		return err
	}
	if err := next("acme", func(q *Query) { q.Limit = 1; q.Fields = []string{"name"} }); err != nil {
		t.Error(err)
	}
	if err := next("acme", func(q *Query) { q.Sort = "name:asc" }); err != nil {
		t.Error("another spelling of the sort", err)
	}
	for name, change := range map[string]func(*Query){
		"sort":    func(q *Query) { q.Sort = "-name" },
		"filter":  func(q *Query) { q.Filter = nil },
		"text":    func(q *Query) { q.Text = "acme" },
		"asOf":    func(q *Query) { q.AsOf = "2026-03-01" },
		"deleted": func(q *Query) { q.IncludeDeleted = true },
		"bytes":   func(q *Query) { q.Cursor = q.Cursor[:10] + string(q.Cursor[10]^1) + q.Cursor[11:] },
		"longer":  func(q *Query) { q.Cursor += "A" },
	} {
		wantProblem(t, name, next("acme", change), problem.InvalidCursor)
	}
	wantProblem(t, "tenant", next("birch", func(*Query) {}), problem.InvalidCursor)
	_, err = w.List(ctx, "acme", mustNoun("Deal"), Query{Sort: "name", Filter: base.Filter, Cursor: page.Cursor})
	wantProblem(t, "noun", err, problem.InvalidCursor)
	w.tick(9 * time.Minute)
	if err := next("acme", func(*Query) {}); err != nil {
		t.Error(err)
	}
	w.tick(2 * time.Minute)
	wantProblem(t, "age", next("acme", func(*Query) {}), problem.InvalidCursor)

	byID, err := w.List(ctx, "acme", contact, Query{Cursor: "contact_c3aaa"})
	if err != nil || strings.Join(ids(t, byID.Results), " ") != "contact_c2aaa contact_c1aaa" || byID.Total != 4 {
		t.Errorf("an id as cursor: %+v %v", byID, err)
	}
	text, err := w.List(ctx, "acme", contact, Query{Text: "acme", Limit: 3})
	if err != nil || !text.HasMore {
		t.Fatal(err)
	}
	text, err = w.List(ctx, "acme", contact, Query{Text: "acme", Limit: 3, Cursor: text.Cursor})
	if err != nil || strings.Join(ids(t, text.Results), " ") != "contact_c4aaa" {
		t.Errorf("relevance: %+v %v", text, err)
	}
	for _, offset := range []int{50, math.MaxInt64} {
		end, err := w.List(ctx, "acme", contact, Query{Offset: offset})
		if err != nil || len(end.Results) != 0 || end.Total != 4 {
			t.Errorf("beyond the end: %+v %v", end, err)
		}
	}
}

// FuzzCursor opens arbitrary cursors: none but sealed ones open, and those give back what was sealed.
func FuzzCursor(f *testing.F) {
	s := sealer{[]byte("secret")}
	now := time.UnixMilli(1_700_000_000_000)
	f.Add("q1.", int64(5), int64(7))
	f.Add(s.seal(cursor{issued: now, now: now}), int64(1), int64(2))
	f.Fuzz(func(t *testing.T, text string, score, seq int64) {
		hash := queryHash("t", text)
		if _, err := s.open(text, hash, now); !problem.Is(err, problem.InvalidCursor) {
			t.Fatalf("%q opened: %v", text, err)
		}
		want := cursor{issued: now, now: now.Add(-time.Hour), score: score, seq: seq, query: hash}
		sealed := s.seal(want)
		got, err := s.open(sealed, hash, now)
		if err != nil || got != want {
			t.Fatalf("got %+v %v, want %+v", got, err, want)
		}
		for i := range sealed {
			broken := []byte(sealed)
			broken[i] ^= 1
			if _, err := s.open(string(broken), hash, now); err == nil {
				t.Fatalf("opened with byte %d changed", i)
			}
		}
	})
}

// FuzzFilter compiles arbitrary filters and runs those that compile: an error is an invalid_filter, and an answer is the same
// from files and tail as from history, and as its count.
func FuzzFilter(f *testing.F) {
	for _, seed := range []string{`{}`, `{"name":"x"}`, `{"value":{"$gte":1,"$lt":5}}`, `{"$or":[{"stage":"Won"},{"organization.name":"Acme"}]}`,
		`{"price":{"$in":[1,"1",null,true,{"a":1}]}}`, `{"contact.organization.contacts.name":{"$not":{"$regex":"a.*b","$options":"i"}}}`,
		`{"$text":"acme co","$id":{"$nin":["a"]}}`, `{"actualCloseDate":{"$lte":"7d ago"}}`, `{"x'\"; drop table deal; --":"' or 1=1 --"}`,
		`{"a/b~c.0.😀":{"$exists":false}}`, `{"value":1e400}`, `{"$version":{"$gt":18446744073709551615}}`} {
		f.Add(seed)
	}
	w := newWorld(f, nil)
	deal := mustNoun("Deal")
	w.put("acme", mustNoun("Organization"), "organization_o1aaa", "create", `{"name":"Acme"}`)
	w.put("acme", mustNoun("Contact"), "contact_c1aaa", "create", `{"name":"Noor","organization":"organization_o1aaa"}`)
	w.put("acme", deal, "deal_d1aaa", "create", `{"name":"acme co","value":1,"stage":"Won","organization":"organization_o1aaa","price":1,"a/b~c":["x",{"😀":1}]}`)
	w.put("acme", deal, "deal_d2aaa", "create", `{"name":"x","value":3,"contact":"contact_c1aaa","price":"1","actualCloseDate":"2026-02-01"}`)
	w.publish(f)
	w.put("acme", deal, "deal_d3aaa", "create", `{"name":"y","value":-3,"price":{"a":1}}`)
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := entity.Parse([]byte(text))
		if err != nil {
			return
		}
		q := Query{Filter: filter, Sort: "$id"}
		page, err := w.List(context.Background(), "acme", deal, q)
		if err != nil {
			if !problem.Is(err, problem.InvalidFilter) {
				t.Fatalf("%s: %v", filter.Append(nil), err)
			}
			return
		}
		q.IncludeDeleted = true // nothing is deleted: the same rows, from history
		past, err := w.List(context.Background(), "acme", deal, q)
		if err != nil || !slices.Equal(ids(t, page.Results), ids(t, past.Results)) {
			t.Fatalf("%s: %v from the tail, %v from history, %v", filter.Append(nil), ids(t, page.Results), ids(t, past.Results), err)
		}
		q.CountOnly = true
		count, err := w.List(context.Background(), "acme", deal, q)
		if err != nil || count.Total != int64(len(page.Results)) {
			t.Fatalf("%s: counted %d of %d, %v", filter.Append(nil), count.Total, len(page.Results), err)
		}
	})
}

// FuzzValues lists by arbitrary parameters: an answer or a problem.
func FuzzValues(f *testing.F) {
	for _, seed := range []string{"stage=Won&value[$gte]=5", `filter={"a":1}&a=2&q=x`, "a[$in]=1,2&a[$in]=[3]", "x[$not]={\"$gt\":1}",
		"sort=-a,b:desc&limit=5&offset=1&cursor=q1.x", "asOf=7d ago&fields=a,b&include=c", "nested={}&tags=[1]", "%zz&=1&[$eq]=1",
		"%ff=1", "a=%ff&q=%ff", "name[$regex]=%ff&data[$gt]=[1]", "strong=true&includeDeleted=1&data={}"} {
		f.Add(seed)
	}
	events, deal := mustNoun("Event"), mustNoun("Deal")
	w := newWorld(f, nil)
	w.put("acme", deal, "deal_d1aaa", "create", `{"name":"acme co","value":1,"a":2}`)
	w.put("acme", events, "event_e1aaa", "create", `{"name":"home","type":"page","timestamp":"2026-03-01T00:00:00.000Z","data":[1]}`)
	f.Fuzz(func(t *testing.T, text string) {
		v, _ := url.ParseQuery(text)
		for _, n := range []*noun.Noun{events, deal} {
			q, err := ParseValues(n, v)
			if _, ok := errors.AsType[*problem.Problem](err); err != nil && !ok {
				t.Fatalf("%q: %v", text, err)
			}
			if err != nil {
				continue
			}
			if q.Cursor, q.AsOf = "", ""; len(q.Filter) > 8 {
				continue // long ones are slow
			}
			if _, err := w.List(context.Background(), "acme", n, q); err != nil {
				if _, ok := errors.AsType[*problem.Problem](err); !ok {
					t.Fatalf("%q: filter %s: %v", text, q.Filter.Append(nil), err)
				}
			}
		}
		if _, err := ParseEventValues(v); err != nil {
			if _, ok := errors.AsType[*problem.Problem](err); !ok {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}
