package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"headless.ly/cmd/headlessly/demo"
	"headless.ly/cmd/headlessly/server"
)

// plainDeal is a line of sales_pipeline.csv and what the other files say of it, computed here without package demo, so
// that a mistake there cannot hide itself.
type plainDeal struct {
	name, agent, sector string
	hasCompany          bool
	engaged, closed     time.Time // the instants of its events; zero: none
	end                 string    // Won, Lost, or the stage it stays in
	price, closeValue   float64
}

// dealState is a deal at an instant.
type dealState struct {
	*plainDeal
	stage, closedOn string // closedOn: a date, or "" while open
	value           float64
}

// at is the deal's state at t; ok is false where it does not exist yet.
func (d *plainDeal) at(t time.Time) (s dealState, ok bool) {
	s = dealState{plainDeal: d, stage: "Qualification", value: d.price}
	if d.end == "Prospecting" {
		s.stage = d.end
	}
	if !d.closed.IsZero() && !d.closed.After(t) {
		s.stage, s.closedOn = d.end, d.closed.Format(time.DateOnly)
		if d.end == "Won" {
			s.value = d.closeValue
		}
	}
	return s, !d.engaged.After(t)
}

// readCSV gives a file's rows without the header.
func readCSV(t *testing.T, name string) [][]string {
	t.Helper()
	f, err := os.Open("demo/data/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows[1:]
}

// plainDeals reads the data the short way.
func plainDeals(t *testing.T) []*plainDeal {
	sector, price := map[string]string{}, map[string]float64{}
	for _, r := range readCSV(t, "accounts.csv") {
		sector[r[0]] = strings.Replace(r[1], "technolgy", "technology", 1)
	}
	for _, r := range readCSV(t, "products.csv") {
		price[strings.ReplaceAll(r[0], " ", "")] = number(t, r[2])
	}
	sameDay := map[string]time.Duration{}
	noon := func(day string) time.Time {
		if day == "" {
			return time.Time{}
		}
		d, err := time.Parse("1/2/2006", day)
		if err != nil {
			t.Fatal(err)
		}
		ms := sameDay[day]
		sameDay[day]++
		return d.Add(12*time.Hour + ms*time.Millisecond)
	}
	var deals []*plainDeal
	for _, r := range readCSV(t, "sales_pipeline.csv") {
		d := &plainDeal{
			name: r[0], agent: r[1], price: price[strings.ReplaceAll(r[2], " ", "")],
			hasCompany: r[3] != "", sector: sector[r[3]], end: r[4],
		}
		if d.end == "Engaging" {
			d.end = "Qualification"
		}
		if d.end == "Prospecting" {
			r[5] = "1/1/2018"
		}
		d.engaged, d.closed = noon(r[5]), noon(r[6])
		if r[7] != "" {
			d.closeValue = number(t, r[7])
		}
		deals = append(deals, d)
	}
	return deals
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// demoFilters are filters as the API takes them, and as a person would write them in Go.
var demoFilters = []struct {
	json  string
	match func(dealState) bool
}{
	{`{"stage":"Qualification"}`, func(s dealState) bool { return s.stage == "Qualification" }},
	{`{"stage":{"$in":["Won","Lost"]},"value":{"$gte":1000,"$lt":5000}}`, func(s dealState) bool {
		return (s.stage == "Won" || s.stage == "Lost") && s.value >= 1000 && s.value < 5000
	}},
	{`{"organization.industry":"technology","stage":{"$ne":"Lost"}}`, func(s dealState) bool {
		return s.sector == "technology" && s.stage != "Lost"
	}},
	{`{"$or":[{"organization":{"$exists":false}},{"owner.name":{"$regex":"^D"}}]}`, func(s dealState) bool {
		return !s.hasCompany || strings.HasPrefix(s.agent, "D")
	}},
	{`{"actualCloseDate":{"$gte":"2017-04-01","$lt":"2017-07-01"},"value":{"$not":{"$lt":500}}}`, func(s dealState) bool {
		return s.closedOn >= "2017-04-01" && s.closedOn < "2017-07-01" && s.value >= 500
	}},
}

// demoDates are the starts of days, and some instants at which, or just before which, something happens.
var demoDates = []string{
	"2016-10-19", "2016-10-20", "2016-10-21", "2016-10-25T12:00:00.001Z", "2016-11-30", "2017-01-15", "2017-02-28", "2017-03-01",
	"2017-03-02", "2017-03-31", "2017-05-01", "2017-06-30", "2017-07-25T12:00:00.039Z", "2017-07-25T12:00:00.040Z", "2017-08-31",
	"2017-10-01", "2017-11-15T12:00:00+02:00", "2017-12-31", "2018-01-01T12:00:00.249Z", "2018-01-02",
}

// TestDemo is the demo from an empty folder to the tour's commands, on one server.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("loads 15,000 events")
	}
	d := newShow(t)
	srv := d.srv
	t.Run("first start", func(t *testing.T) {
		out := d.run(t)
		for _, want := range []string{
			"1480 ×  sales_pipeline.csv", "demo            85        7       41  8800   15644", srv.URL() + "/~demo/Deal",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("prints\n%s\nwithout %q", out, want)
			}
		}
	})
	t.Run("next start", func(t *testing.T) {
		if out := d.run(t); strings.Contains(out, "Mended") || !strings.Contains(out, "8800   15644") {
			t.Errorf("prints\n%s", out)
		}
	})
	deals := plainDeals(t)
	t.Run("counts", func(t *testing.T) { checkCounts(t, srv.URL()) })
	t.Run("past lists", func(t *testing.T) { checkPastLists(t, srv.URL(), deals) })
	t.Run("one deal's life", func(t *testing.T) { checkLife(t, srv.URL(), deals) })
	t.Run("cost", func(t *testing.T) { printCost(t, srv.URL()) })
	t.Run("tour", func(t *testing.T) { d.runTour(t) })
}

// show is a demonstration of the tenant demo alone; the offices' histories are made in the same way.
type show struct{ demonstration }

func newShow(t *testing.T) *show {
	data, err := demo.Read()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return &show{demonstration{srv: openDemo(t, dir), dir: dir, tenants: demo.Tenants(data)[:1], mended: data.Mended, progress: io.Discard}}
}

// run is what the command does before it says that it is ready.
func (s *show) run(t *testing.T) string {
	t.Helper()
	var out strings.Builder
	s.out = &out
	if err := s.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func openDemo(t *testing.T, data string) *server.Server {
	t.Helper()
	return openServer(t, server.Config{Data: data, Interval: time.Hour})
}

// openServer serves on a free port until the test ends.
func openServer(t *testing.T, cfg server.Config) *server.Server {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	srv, err := server.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return srv
}

// page is the answer to a list.
type page struct {
	Results []map[string]any `json:"results"`
	Total   int              `json:"total"`
	Count   int              `json:"count"`
	HasMore bool             `json:"hasMore"`
}

// ask gets a path under the tenant demo and decodes the answer into out; it gives the status.
func ask(t *testing.T, base, path string, query url.Values, out any) int {
	t.Helper()
	res, err := http.Get(base + "/~demo/" + path + "?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, out); err != nil {
		t.Fatalf("%s?%s: %v: %s", path, query.Encode(), err, body)
	}
	if res.StatusCode >= 500 || res.StatusCode == http.StatusBadRequest {
		t.Fatalf("%s?%s: %s: %s", path, query.Encode(), res.Status, body)
	}
	return res.StatusCode
}

func checkCounts(t *testing.T, base string) {
	for filter, want := range map[string]int{
		"Organization": 85, "Product": 7, "Contact": 41, "Deal": 8800,
		"Deal Won": 4238, "Deal Lost": 2473, "Deal Qualification": 1589, "Deal Prospecting": 500,
	} {
		noun, stage, _ := strings.Cut(filter, " ")
		q := url.Values{"countOnly": {"true"}}
		if stage != "" {
			q.Set("stage", stage)
		}
		var p page
		ask(t, base, noun, q, &p)
		if p.Count != want {
			t.Errorf("%s: %d, want %d", filter, p.Count, want)
		}
	}
}

// checkPastLists compares lists of the past with a plain computation over the CSV files (bar 7).
func checkPastLists(t *testing.T, base string, deals []*plainDeal) {
	ids := map[string]string{} // of deals by name: the same at every date
	for i, date := range demoDates {
		for j, f := range demoFilters {
			limit, offset := 25+j, i*j%7*5
			want, total := plainList(t, deals, date, f.match, limit, offset)
			q := url.Values{
				"asOf": {date}, "filter": {f.json}, "sort": {"-value,name"},
				"limit": {strconv.Itoa(limit)}, "offset": {strconv.Itoa(offset)},
			}
			var got page
			ask(t, base, "Deal", q, &got)
			if got.Total != total || got.HasMore != (offset+len(want) < total) {
				t.Errorf("%s %s: total %d, hasMore %v, want %d", date, f.json, got.Total, got.HasMore, total)
			}
			var names []string
			for _, r := range got.Results {
				name, id := r["name"].(string), r["$id"].(string)
				names = append(names, fmt.Sprint(name, r["stage"], r["value"]))
				if ids[name] == "" {
					ids[name] = id
				}
				if ids[name] != id {
					t.Errorf("%s: deal %s has id %s, at another date %s", date, name, id, ids[name])
				}
			}
			if !slices.Equal(names, want) {
				t.Errorf("%s %s:\n got %v\nwant %v", date, f.json, names, want)
			}
		}
	}
}

// plainList is the page, as name, stage and value, and the total.
func plainList(t *testing.T, deals []*plainDeal, date string, match func(dealState) bool, limit, offset int) (names []string, total int) {
	t.Helper()
	instant, err := time.Parse(time.RFC3339Nano, date)
	if err != nil {
		if instant, err = time.Parse(time.DateOnly, date); err != nil {
			t.Fatal(err)
		}
	}
	var found []dealState
	for _, d := range deals {
		if s, ok := d.at(instant); ok && match(s) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b dealState) int {
		return cmp.Or(cmp.Compare(b.value, a.value), strings.Compare(a.name, b.name))
	})
	for _, s := range found[min(offset, len(found)):min(offset+limit, len(found))] {
		names = append(names, fmt.Sprint(s.name, s.stage, s.value))
	}
	return names, len(found)
}

// checkLife follows every hundredth closed deal: absent, open, closed (bar 6).
func checkLife(t *testing.T, base string, deals []*plainDeal) {
	for i := 0; i < len(deals); i += 100 {
		d := deals[i]
		if d.closed.IsZero() {
			continue
		}
		var now page
		ask(t, base, "Deal", url.Values{"name": {d.name}}, &now)
		if now.Total != 1 {
			t.Fatalf("%d deals %s", now.Total, d.name)
		}
		id := now.Results[0]["$id"].(string)
		for _, c := range []struct {
			at      time.Time
			version float64
		}{
			{d.engaged.Add(-time.Millisecond), 0}, {d.engaged, 1}, {d.closed.Add(-time.Millisecond), 1}, {d.closed, 2}, {time.Now(), 2},
		} {
			want, exists := d.at(c.at)
			asOf := url.Values{"asOf": {c.at.UTC().Format(time.RFC3339Nano)}}
			var got map[string]any
			status := ask(t, base, "Deal/"+id, asOf, &got)
			if !exists {
				if status != http.StatusNotFound {
					t.Errorf("%s at %v: %d, want 404", d.name, c.at, status)
				}
				continue
			}
			closedOn, _ := got["actualCloseDate"].(string)
			if got["stage"] != want.stage || got["value"] != want.value || closedOn != want.closedOn || got["$version"] != c.version {
				t.Errorf("%s at %v: %v, want %s, %v, %q, version %v", d.name, c.at, got, want.stage, want.value, want.closedOn, c.version)
			}
			var count page
			asOf.Set("name", d.name)
			asOf.Set("stage", want.stage)
			asOf.Set("countOnly", "true")
			if ask(t, base, "Deal", asOf, &count); count.Count != 1 {
				t.Errorf("%s at %v: counted %d", d.name, c.at, count.Count)
			}
		}
	}
}

// printCost prints what the past costs beside the present (bar 6).
func printCost(t *testing.T, base string) {
	var p page
	ask(t, base, "Deal", url.Values{"name": {"1C1I7A6R"}}, &p)
	id := p.Results[0]["$id"].(string)
	for _, c := range []struct {
		what, path string
		query      url.Values
	}{
		{"get", "Deal/" + id, url.Values{}},
		{"list", "Deal", url.Values{"filter": {`{"stage":"Qualification"}`}, "sort": {"-value"}}},
		{"count", "Deal", url.Values{"filter": {`{"stage":"Won"}`}, "countOnly": {"true"}}},
	} {
		median := func(asOf string) time.Duration {
			q := url.Values{}
			for k, v := range c.query {
				q[k] = v
			}
			if asOf != "" {
				q.Set("asOf", asOf)
			}
			var took []time.Duration
			for range 15 {
				start := time.Now()
				var answer any
				ask(t, base, c.path, q, &answer)
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			return took[len(took)/2]
		}
		now, past := median(""), median("2017-06-30")
		t.Logf("%-5s now %8v, as of 2017-06-30 %8v, %.2f ×", c.what, now.Round(time.Microsecond), past.Round(time.Microsecond), float64(past)/float64(now))
	}
}

// runTour runs the commands that the demo prints, as a person would.
func (s *show) runTour(t *testing.T) {
	tour, err := s.tour(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`"name":"Harbour refit"`, `"stage":"Won"`, `"results":[{`, `{"count":`, `Qualification`,
	}
	for i, stop := range tour.Stops() {
		tool, _, _ := strings.Cut(stop.Line, " ")
		if _, err := exec.LookPath(tool); err != nil {
			t.Logf("no %s in the path: not tried: %s", tool, stop.What)
			continue
		}
		for range 2 { // a person tries twice
			out, err := exec.CommandContext(t.Context(), "sh", "-c", stop.Line).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v: %s", stop.Line, err, out)
			}
			if !strings.Contains(string(out), want[i]) || strings.Contains(string(out), `"error":`) {
				t.Errorf("%s\nanswers %s\nwant %s", stop.Line, out, want[i])
			}
		}
	}
}
