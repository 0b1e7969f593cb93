package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"headless.ly/api/client"
)

// fake is a server that takes files: it counts lines, refuses those that hold "bad", and makes a job of a file with many.
type fake struct {
	t     *testing.T
	keys  map[string]bool
	files []string
	fail  int // so many answers are lost after the file was taken
	looks int // at the job
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/~birch/import/Contact" && r.Method == http.MethodPost:
		f.take(w, r)
	case r.URL.Path == "/~birch/jobs/job_1":
		f.looks++
		switch f.looks {
		case 1:
			fmt.Fprint(w, `{"job":"job_1","status":"running","success":false,"rows":50,"progress":0.5,"rowsPerSecond":100,"secondsLeft":0.5}`)
		case 2: // the server stops and starts again
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			fmt.Fprint(w, `{"job":"job_1","status":"done","success":true,"rows":100,"imported":99,"updated":3,"errors":1,"details":[{"row":7,"error":"it is bad"}]}`)
		}
	case r.URL.Path == "/~birch/export/Contact":
		if r.URL.Query().Get("filter") == "{" {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_filter","message":"no"}`)
			return
		}
		w.Header().Set("Content-Length", "100")
		fmt.Fprint(w, r.URL.RawQuery)
		if r.URL.Query().Get("format") == "csv" {
			panic(http.ErrAbortHandler)
		}
	default:
		http.NotFound(w, r)
	}
}

func (f *fake) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		f.t.Error("an import without an idempotency key")
	}
	if !f.keys[key] {
		f.keys[key] = true
		f.files = append(f.files, r.Header.Get("Content-Type")+" "+r.URL.RawQuery+" "+string(body))
	}
	if f.fail > 0 {
		f.fail--
		w.Header().Set("Retry-After", "0")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"error":"outcome_unknown","message":"who knows"}`)
		return
	}
	lines := strings.Split(strings.TrimSpace(string(body)), "\n")
	if len(lines) > 10 {
		w.WriteHeader(http.StatusAccepted)
		fmt.Fprint(w, `{"job":"job_1","status":"waiting"}`)
		return
	}
	details := []map[string]any{}
	for i, row := range lines {
		if strings.Contains(row, "bad") {
			details = append(details, map[string]any{"row": i + 1, "error": "it is bad"})
		}
	}
	json.NewEncoder(w).Encode(map[string]any{"success": true, "imported": len(lines) - len(details), "errors": len(details), "details": details})
}

func newFake(t *testing.T) (*fake, *client.Client) {
	f := &fake{t: t, keys: map[string]bool{}}
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	c, err := client.New(client.Config{Endpoint: srv.URL + "/", Tenant: "birch"})
	if err != nil {
		t.Fatal(err)
	}
	return f, c
}

// A file whose answer is lost is sent again, as a whole and under the same key.
func TestImport(t *testing.T) {
	f, c := newFake(t)
	f.fail = 1
	var bad []int
	var sent int64
	sum, err := c.Import(t.Context(), client.Import{
		Type: "Contact", Format: client.NDJSON, Key: "email", DryRun: true,
		Bad:  func(b client.BadRow) { bad = append(bad, b.Row) },
		Sent: func(bytes int64) { sent = bytes },
	}, strings.NewReader("{}\nbad\n{}\n"))
	if err != nil || sum != (client.Summary{Rows: 3, Imported: 2, Refused: 1}) || fmt.Sprint(bad) != "[2]" || sent != 10 {
		t.Errorf("%+v, %v, bad %v, %d bytes", sum, err, bad, sent)
	}
	if want := "application/x-ndjson dryRun=true&key=email {}\nbad\n{}\n"; len(f.files) != 1 || f.files[0] != want {
		t.Errorf("files %q, want %q", f.files, want)
	}
}

// What can be read only once is sent only once.
func TestImportOfAStream(t *testing.T) {
	f, c := newFake(t)
	f.fail = 1
	_, err := c.Import(t.Context(), client.Import{Type: "Contact", Format: client.CSV}, io.MultiReader(strings.NewReader("a\nb\n")))
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Code != "outcome_unknown" || len(f.files) != 1 {
		t.Errorf("%v, files %q", err, f.files)
	}
	if _, err := c.Import(t.Context(), client.Import{Type: "Contact", Format: "xml"}, strings.NewReader("")); err == nil {
		t.Error("xml was taken")
	}
}

// A job is followed to its end, over a restart of the server.
func TestImportByAJob(t *testing.T) {
	f, c := newFake(t)
	var seen []client.Progress
	var bad []client.BadRow
	sum, err := c.Import(t.Context(), client.Import{
		Type: "Contact", Format: client.NDJSON, Poll: time.Millisecond,
		Progress: func(p client.Progress) { seen = append(seen, p) },
		Bad:      func(b client.BadRow) { bad = append(bad, b) },
	}, strings.NewReader(strings.Repeat("{}\n", 100)))
	if err != nil || sum != (client.Summary{Rows: 100, Imported: 99, Updated: 3, Refused: 1, Job: "job_1"}) || len(bad) != 1 || bad[0].Row != 7 {
		t.Errorf("%+v, %v, %v", sum, err, bad)
	}
	if len(seen) != 2 || seen[0].Left != 500*time.Millisecond || seen[1].Status != "done" || f.looks != 3 {
		t.Errorf("seen %+v in %d looks", seen, f.looks)
	}
}

func TestExport(t *testing.T) {
	_, c := newFake(t)
	for _, e := range []client.Export{{Type: "Contact", Format: client.CSV}, {Type: "Contact", Format: client.JSON, AsOf: "2026-01-01"}} {
		if n, err := c.Export(t.Context(), e, io.Discard); err == nil {
			t.Errorf("%v: an export cut off after %d bytes passes for a whole one", e, n)
		}
	}
	_, err := c.Export(t.Context(), client.Export{Type: "Contact", Format: client.CSV, Filter: "{"}, io.Discard)
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Code != "invalid_filter" {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	_, c := newFake(t)
	_, err := c.Do(t.Context(), client.Call{Path: "/nowhere"})
	if e, ok := errors.AsType[*client.Error](err); !ok || e.Status != 404 || e.Code != "http_404" {
		t.Errorf("%v", err)
	}
	for _, endpoint := range []string{"localhost:8787", "ftp://x", "http://"} {
		if _, err := client.New(client.Config{Endpoint: endpoint}); err == nil {
			t.Errorf("%s was taken", endpoint)
		}
	}
}

// TestRepeat: a write without a key is sent once; a read is sent again until patience ends.
func TestRepeat(t *testing.T) {
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		calls++
		if calls < 3 {
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, `{"error":"busy","message":"later"}`)
			return
		}
		fmt.Fprint(w, `{}`)
	}))
	defer srv.Close()
	c, err := client.New(client.Config{Endpoint: srv.URL, Patience: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Do(t.Context(), client.Call{Method: http.MethodPost, Path: "/Contact", Body: []byte("{}")}); err == nil || calls != 1 {
		t.Errorf("%d calls, %v", calls, err)
	}
	if _, err := c.Do(t.Context(), client.Call{Path: "/Contact"}); err != nil || calls != 3 {
		t.Errorf("%d calls, %v", calls, err)
	}
	calls = -1000
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Do(short, client.Call{Path: "/Contact"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}
