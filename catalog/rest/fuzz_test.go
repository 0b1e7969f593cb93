package rest

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

func newServer(t testing.TB) *Server {
	t.Helper()
	db, err := catalog.OpenDatabase(t.Context(), catalog.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := New(Config{Catalog: db.Iceberg(), Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := db.Iceberg().CreateNamespace(t.Context(), table.Identifier{"lab"}, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

// send sends a request, and fails where the server does: what is wrong with a request is never the server's fault.
func (s *Server) send(t *testing.T, method, target, body string) int {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		return 0
	}
	req := httptest.NewRequestWithContext(t.Context(), method, "/", strings.NewReader(body))
	req.URL = u
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	if w.Code >= http.StatusInternalServerError {
		t.Errorf("%s %q %q: %d %s", method, target, body, w.Code, w.Body)
	}
	return w.Code
}

const fuzzedSchema = `{"type":"struct","fields":[{"id":1,"name":"id","type":"long","required":true}]}`

// FuzzCommit commits whatever to a table that exists, or makes one of it.
func FuzzCommit(f *testing.F) {
	for _, seed := range []string{
		`{"requirements":[{"type":"assert-table-uuid","uuid":"9c12d441-03fe-4693-9a96-a0705ddf69c1"}],"updates":[]}`,
		`{"requirements":[{"type":"assert-ref-snapshot-id","ref":"main","snapshot-id":null}],"updates":[{"action":"set-properties","updates":{"a":"b"}}]}`,
		`{"requirements":[{"type":"assert-create"}],"updates":[{"action":"add-schema","schema":` + fuzzedSchema + `},{"action":"set-current-schema","schema-id":-1},{"action":"add-spec","spec":{"fields":[]}},{"action":"set-default-spec","spec-id":-1},{"action":"add-sort-order","sort-order":{"order-id":0,"fields":[]}},{"action":"set-default-sort-order","sort-order-id":-1}]}`,
		`{"updates":[{"action":"add-snapshot","snapshot":{"snapshot-id":1,"sequence-number":1,"timestamp-ms":1,"manifest-list":"file:///x","summary":{"operation":"append"}}}]}`,
		`{"updates":[{"action":"set-statistics","statistics":{"snapshot-id":1,"statistics-path":"x","file-size-in-bytes":1,"file-footer-size-in-bytes":1,"blob-metadata":[]}}]}`,
		`{"updates":[{"action":"set-partition-statistics"},{"action":"set-location","location":"file:///x"},{"action":"add-encryption-key"}]}`,
		`{"updates":[{"action":"set-snapshot-ref","ref-name":"x","type":"tag","snapshot-id":1},{"action":"remove-schemas","schema-ids":[0]}]}`,
	} {
		f.Add(seed)
	}
	s := newServer(f)
	ident := table.Identifier{"lab", "t"}
	var made tableBody
	if err := parse([]byte(`{"name":"t","schema":`+fuzzedSchema+`}`), &made); err != nil {
		f.Fatal(err)
	}
	base, err := s.newMetadata(ident, &made)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var body commitBody
		if parse([]byte(text), &body) != nil {
			return
		}
		ch, err := s.parseChange(ident, &body)
		if err != nil {
			return
		}
		if ch.create {
			_, _ = s.build(ch)
			return
		}
		var updates []table.Update
		for _, u := range ch.updates {
			updates = append(updates, u.Update)
		}
		for _, r := range ch.requirements {
			_ = r.Validate(base)
		}
		meta, err := table.UpdateTableMetadata(base, updates, "file:///x")
		if err != nil {
			return
		}
		data, err := encode(meta)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := referred(data); err != nil {
			t.Error(err)
		}
	})
}

// FuzzCreate makes tables and views of whatever.
func FuzzCreate(f *testing.F) {
	f.Add(`{"name":"t","schema":` + fuzzedSchema + `,"partition-spec":{"fields":[{"name":"x","source-id":1,"transform":"bucket[4]"}]},"write-order":{"order-id":1,"fields":[{"transform":"identity","source-id":1,"direction":"asc","null-order":"nulls-last"}]}}`)
	f.Add(`{"name":"t","schema":` + fuzzedSchema + `,"stage-create":true,"properties":{"format-version":"3"}}`)
	f.Add(`{"name":"v","schema":` + fuzzedSchema + `,"view-version":{"version-id":1,"schema-id":0,"timestamp-ms":1,"summary":{},"default-namespace":["lab"],"representations":[{"type":"sql","sql":"x","dialect":"spark"}]}}`)
	s := newServer(f)
	f.Fuzz(func(t *testing.T, text string) {
		var body tableBody
		if parse([]byte(text), &body) == nil {
			if meta, err := s.newMetadata(table.Identifier{"lab", "t"}, &body); err == nil {
				if _, err := encode(meta); err != nil {
					t.Error(err)
				}
			}
		}
		var asked viewBody
		if parse([]byte(text), &asked) == nil {
			_, _ = s.newView(table.Identifier{"lab", "v"}, &asked)
		}
	})
}

// FuzzPath asks for whatever.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/v1/namespaces/a%1Fb/tables/c", "/v1/namespaces/..%2F../tables", "/v1/namespaces?parent=a%1F&pageToken=YWZ0ZXI6eA&pageSize=3", "/v1/%"} {
		f.Add(seed)
	}
	s := newServer(f)
	f.Fuzz(func(t *testing.T, target string) {
		for _, method := range []string{"GET", "HEAD", "DELETE", "POST"} {
			s.send(t, method, target, "{}")
		}
	})
}

// FuzzLocation says that a location which is let through is below the guests' folder, however it is read.
func FuzzLocation(f *testing.F) {
	s := newServer(f)
	guests := s.cat.Guests()
	for _, seed := range []string{"file:///etc", guests + "/lab/t", guests + "/lab/../../iceberg/deal", guests + "/lab/%2e%2e/x", "file:" + catalog.Path(guests) + "/a/b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, location string) {
		place, err := s.checkPlace(location)
		if err != nil {
			return
		}
		for _, name := range []string{catalog.Path(place), must(url.PathUnescape(catalog.Path(place)))} {
			if !strings.HasPrefix(path.Clean(name), catalog.Path(guests)+"/") || path.Clean(name) != name {
				t.Errorf("%q is let through as %q", location, name)
			}
		}
	})
}

func must(text string, err error) string {
	if err != nil {
		return err.Error()
	}
	return text
}
