package server_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"headless.ly/cmd/headlessly/demo"
	"headless.ly/lakehouse"
)

// movedReads is how many random reads TestMoveTenant compares.
const movedReads = 200

// TestMoveTenant exports the demo and imports it under another name: random reads agree but for the tenant, before and after the
// import is published.
func TestMoveTenant(t *testing.T) {
	w := newWorld(t, false)
	data, err := demo.Read()
	if err != nil {
		t.Fatal(err)
	}
	store := w.Service().Store()
	if err := demo.Load(t.Context(), store, demo.Tenants(data)[0], func(int) {}); err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	exported, err := store.Export(t.Context(), "demo", &file, nil)
	if err != nil {
		t.Fatal(err)
	}
	imported, err := store.Import(t.Context(), &file, "moved", nil)
	if err != nil || imported.Events != exported.Events {
		t.Fatalf("%+v of %+v: %v", imported, exported, err)
	}
	var events []*lakehouse.Event
	err = store.Read(t.Context(), "demo", lakehouse.Range{}, func(e *lakehouse.Event) error { events = append(events, e); return nil })
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 1))
	for i := range movedReads {
		if i == movedReads/2 {
			if err := w.Service().Lake().Publish(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		path := randomRead(r, events)
		want, got := w.answer(t, "demo", path), w.answer(t, "moved", path)
		if got != want {
			at := commonStart(got, want)
			t.Fatalf("%s: the import says …%.200s\nthe original …%.200s", path, got[at:], want[at:])
		}
	}
}

// randomRead gives the path of a read about an event.
func randomRead(r *rand.Rand, events []*lakehouse.Event) string {
	e := events[r.IntN(len(events))]
	at := url.QueryEscape(fmt.Sprintf("2017-%02d-%02dT%02d:00:00Z", 1+r.IntN(12), 1+r.IntN(28), r.IntN(24)))
	statement := func(text string) string { return "sql?q=" + url.QueryEscape(text) }
	switch r.IntN(8) {
	case 0:
		return e.Entity + "/" + e.Target
	case 1:
		return e.Entity + "/" + e.Target + "?asOf=" + at
	case 2:
		return e.Entity + "/" + e.Target + "/history"
	case 3:
		return "events/" + e.ID
	case 4:
		return "events?limit=20&after=" + e.ID
	case 5:
		return fmt.Sprintf("Deal?limit=20&offset=%d&asOf=%s", r.IntN(500), at)
	case 6:
		return statement("select stage, count(*) n, sum(value) total, max(_seq) s, max(_version) v from deal_at('2017-06-30') group by all order by all")
	default:
		return statement(fmt.Sprintf("select *, (select count(*) from events where seq <= %d) n from deal_history order by id, _validFrom limit 20 offset %d", e.Seq, r.IntN(500)))
	}
}

// answer is the status and body of a read, without what is about the tenant or the answer.
func (w *world) answer(t *testing.T, tenant, path string) string {
	t.Helper()
	resp, err := http.Get(w.URL() + "/~" + tenant + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(body), "/~"+tenant+`"`, `/~TENANT"`)
	text = strings.ReplaceAll(text, `"tenant":"`+tenant+`"`, `"tenant":"TENANT"`)
	return resp.Status + " " + passing.ReplaceAllString(text, "")
}

// passing is what differs between two answers that are the same: how long they took, requests' ids, and cursors, which are of one tenant.
var passing = regexp.MustCompile(`"elapsedMs":[0-9.]+|"cursor":"q1[^"]*"|"requestId":"req_[^"]*"`)

// commonStart is the length of what two texts begin with.
func commonStart(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
