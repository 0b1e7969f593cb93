package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"headless.ly/cmd/headlessly/server"
)

// contentTypes are what imports of the formats of exports call themselves.
var contentTypes = map[string]string{"json": "application/json", "ndjson": "application/x-ndjson", "csv": "text/csv", "parquet": "application/vnd.apache.parquet"}

func (w *world) get(t *testing.T, path string, status int) []byte {
	t.Helper()
	a := w.send(t, exchange{method: http.MethodGet, path: path})
	if a.status != status {
		t.Fatalf("GET %s: %d %s", path, a.status, a.body)
	}
	return a.body
}

func (w *world) importInto(t *testing.T, path, format, body string, status int) []byte {
	t.Helper()
	a := w.send(t, exchange{method: http.MethodPost, path: path, header: http.Header{"Content-Type": {contentTypes[format]}}, body: body})
	if a.status != status {
		t.Fatalf("POST %s: %d %s", path, a.status, a.body)
	}
	return a.body
}

// documents are the fields of all entities of a list, by id.
func documents(t *testing.T, list []byte) map[string]map[string]any {
	t.Helper()
	var page struct {
		Results []map[string]any
		HasMore bool
	}
	if err := json.Unmarshal(list, &page); err != nil || page.HasMore {
		t.Fatal(err, page.HasMore)
	}
	out := map[string]map[string]any{}
	for _, doc := range page.Results {
		id, _ := doc["$id"].(string)
		out[id] = map[string]any{}
		for name, v := range doc {
			if !strings.HasPrefix(name, "$") {
				out[id][name] = v
			}
		}
	}
	return out
}

// What is exported, in any format, is imported as the same entities, declared fields and others, current and as of an instant.
func TestRoundTrip(t *testing.T) {
	for _, publish := range []bool{false, true} {
		w := newWorld(t, publish)
		body := `[{"$id":"contact_00000001","name":"Ana \"A\", Ruiz","email":"ana@birch.example","leadScore":0.1,"lastEngagement":"2026-03-01T10:00:00.500Z","shoeSize":42,"tags":["a",{"b":null}]},
			{"$id":"contact_00000002","name":"=1+1","phone":"+1 555 0100","leadScore":-7},
			{"$id":"contact_00000003","name":"日本\nline","email":"c@birch.example"}]`
		w.importInto(t, "/~birch/import/Contact?preserveIds=true", "json", body, http.StatusOK)
		w.importInto(t, "/~birch/import/Organization?preserveIds=true", "json", `[{"$id":"organization_00000001","name":"Org","employeeCount":12}]`, http.StatusOK)
		w.tick(time.Hour)
		before := w.now.Load().Add(-time.Minute).Format(time.RFC3339)
		w.importInto(t, "/~birch/import/Contact?key=email", "json", `[{"name":"Changed","email":"c@birch.example"}]`, http.StatusOK)
		if publish {
			if err := w.Service().Lake().Publish(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for format := range contentTypes {
			for _, asOf := range []string{"", "&asOf=" + before} {
				for _, noun := range []string{"Contact", "Organization"} {
					file := w.get(t, "/~birch/export/"+noun+"?format="+format+asOf, http.StatusOK)
					to := fmt.Sprintf("%s-%d", format, len(asOf))
					w.importInto(t, "/~"+to+"/import/"+noun+"?preserveIds=true", format, string(file), http.StatusOK)
					want := documents(t, w.get(t, "/~birch/"+noun+"?limit=100"+asOf, http.StatusOK))
					got := documents(t, w.get(t, "/~"+to+"/"+noun+"?limit=100", http.StatusOK))
					if !reflect.DeepEqual(got, want) {
						t.Errorf("published %v, %s %s:\n%v\nwant\n%v\nfile\n%.2000s", publish, noun, to, got, want, file)
					}
				}
			}
		}
	}
}

// manyRows are so many contacts, of which every thousandth is bad.
func manyRows(n int) string {
	var b strings.Builder
	for i := range n {
		name := fmt.Sprintf(`"name":"P%d",`, i)
		if i%1000 == 999 {
			name = ""
		}
		fmt.Fprintf(&b, "{%s\"email\":\"p%d@birch.example\"}\n", name, i)
	}
	return b.String()
}

// jobAnswer is what a job tells.
type jobAnswer struct {
	Job, Status                          string
	Success                              bool
	Rows, Imported, Unchanged, Errors    int
	Progress, SecondsLeft, RowsPerSecond float64
	Details                              []struct{ Row int }
}

func (w *world) job(t *testing.T, id string) (j jobAnswer) {
	t.Helper()
	if err := json.Unmarshal(w.get(t, "/~birch/jobs/"+id, http.StatusOK), &j); err != nil {
		t.Fatal(err)
	}
	return j
}

func (w *world) waitFor(t *testing.T, id string, until func(jobAnswer) bool) jobAnswer {
	t.Helper()
	for {
		if j := w.job(t, id); until(j) {
			return j
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func ended(j jobAnswer) bool {
	return j.Status == "done" || j.Status == "failed" || j.Status == "cancelled"
}

// A large import becomes a job, tells how far it is, goes on over a restart of the server and writes each row once; the same file
// again, with a key, changes nothing.
func TestImportJob(t *testing.T) {
	w := newWorld(t, false)
	const rows, bad = 20_000, 20
	text := manyRows(rows)
	var begun jobAnswer
	if err := json.Unmarshal(w.importInto(t, "/~birch/import/Contact", "ndjson", text, http.StatusAccepted), &begun); err != nil {
		t.Fatal(err)
	}
	seen := w.waitFor(t, begun.Job, func(j jobAnswer) bool { return j.Rows > 1000 })
	if seen.Status != "running" || seen.Progress <= 0 || seen.Progress >= 1 {
		t.Errorf("on its way: %+v", seen)
	}
	w.restart(t)
	done := w.waitFor(t, begun.Job, ended)
	if done.Status != "done" || !done.Success || done.Rows != rows || done.Imported != rows-bad || done.Errors != bad || len(done.Details) != bad ||
		done.Details[1].Row != 2000 || done.Progress != 1 {
		t.Errorf("%+v", done)
	}
	if head := w.heads(t)["birch"]; head != rows-bad {
		t.Errorf("%d events, want %d", head, rows-bad)
	}
	if err := json.Unmarshal(w.importInto(t, "/~birch/import/Contact?key=email", "ndjson", text, http.StatusAccepted), &begun); err != nil {
		t.Fatal(err)
	}
	if again := w.waitFor(t, begun.Job, ended); again.Unchanged != rows-bad || again.Errors != bad {
		t.Errorf("the same file again: %+v", again)
	}
	if head := w.heads(t)["birch"]; head != rows-bad {
		t.Errorf("the same file again: %d events, want %d", head, rows-bad)
	}
}

// The entity files are whole, known by their hash, and served in parts.
func TestAssets(t *testing.T) {
	w := newWorld(t, false)
	w.importInto(t, "/~birch/import/Contact", "ndjson", manyRows(900), http.StatusOK)
	var manifest struct {
		Files map[string]struct {
			Hash    string
			Size    int
			Records int
		}
	}
	if err := json.Unmarshal(w.get(t, "/~birch/manifest", http.StatusOK), &manifest); err != nil {
		t.Fatal(err)
	}
	entry := manifest.Files["Contact.parquet"]
	file := w.send(t, exchange{method: http.MethodGet, path: "/~birch/assets/Contact.parquet"})
	hash := fmt.Sprintf("sha256:%x", sha256.Sum256(file.body))
	if len(manifest.Files) != 1 || entry.Hash != hash || entry.Size != len(file.body) || entry.Records != 900 || file.header.Get("ETag") != `"`+hash+`"` {
		t.Errorf("manifest %+v, hash %s, %d bytes, ETag %s", manifest, hash, len(file.body), file.header.Get("ETag"))
	}
	if got := file.header.Get("Cache-Control"); !strings.Contains(got, "private") {
		t.Errorf("Cache-Control %q", got)
	}
	same := w.send(t, exchange{method: http.MethodGet, path: "/~birch/assets/Contact.parquet", header: http.Header{"If-None-Match": {file.header.Get("ETag")}}})
	if same.status != http.StatusNotModified || len(same.body) > 0 {
		t.Errorf("the same file: %d", same.status)
	}
	part := w.send(t, exchange{method: http.MethodGet, path: "/~birch/assets/Contact.parquet", header: http.Header{"Range": {"bytes=4-99"}}})
	if part.status != http.StatusPartialContent || !bytes.Equal(part.body, file.body[4:100]) {
		t.Errorf("a part: %d, %d bytes", part.status, len(part.body))
	}
	w.importInto(t, "/~other/import/Contact?preserveIds=true", "parquet", string(file.body), http.StatusOK)
	if head := w.heads(t)["other"]; head != 900 {
		t.Errorf("%d of 900 rows of the file", head)
	}
}

// restart closes the server and opens it again on the same folder.
func (w *world) restart(t *testing.T) {
	t.Helper()
	stop := func(s *server.Server) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	stop(w.Server)
	next, err := server.Open(t.Context(), server.Config{
		Addr: "127.0.0.1:0", Data: w.data, Interval: time.Hour, Clock: func() time.Time { return *w.now.Load() },
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Server = next
	t.Cleanup(func() { stop(next) })
}
