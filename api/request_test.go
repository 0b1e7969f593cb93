package api

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"headless.ly/catalog/noun"
)

func TestParseTenant(t *testing.T) {
	for text, want := range map[string]string{
		"birch": "birch", "Birch": "birch", "b": "b", "0": "0", "a.b_c-d": "a.b_c-d", "b%69rch": "birch",
		strings.Repeat("a", 63): strings.Repeat("a", 63),
	} {
		if got, err := parseTenant(text); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", ".", "..", "a..b", ".a", "-a", "_a", "a/b", "a%2Fb", "a%2fb", "%2e%2e", "a%5Cb", `a\b`, "a b", "a%00", "a%", "a%zz", "bürch", "a@b", "a[b", "a`b",
		strings.Repeat("a", 64), strings.Repeat("a", 200),
	} {
		if got, err := parseTenant(text); err == nil {
			t.Errorf("%q was taken as %q", text, got)
		}
	}
}

// FuzzParseTenant: whatever is taken as a tenant is one plain file name.
func FuzzParseTenant(f *testing.F) {
	for _, text := range []string{"birch", "..", "a%2Fb", "A.b", "%41"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		name, err := parseTenant(text)
		if err != nil {
			return
		}
		if name != filepath.Base(name) || strings.Contains(name, "..") || strings.ToLower(name) != name || len(name) > maxTenant || name[0] == '.' {
			t.Errorf("%q was taken as %q", text, name)
		}
	})
}

func TestPlainPath(t *testing.T) {
	for path, want := range map[string]string{
		"/":                   "/",
		"/~birch/Contact":     "/~birch/Contact",
		"/~birch/Contact/":    "/~birch/Contact",
		"/~birch/Contact///":  "/~birch/Contact",
		"/%7Ebirch/Contact":   "/~birch/Contact",
		"/%7ebirch/a%2Fb/":    "/~birch/a%2Fb",
		"/~birch/Contact/a+b": "/~birch/Contact/a+b",
		"//":                  "/",
	} {
		req := httptest.NewRequest(http.MethodGet, "http://localhost"+path, nil)
		if got := plainPath(req).URL.EscapedPath(); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestTagVersion(t *testing.T) {
	for tag, want := range map[string]int64{`"3"`: 3, `W/"3"`: 3, `3`: 3, `"0"`: 0, `"-1"`: 0, `"abc"`: 0, ``: 0, `"99999999999999999999"`: 0} {
		if got := tagVersion(tag); got != want {
			t.Errorf("%s: %d, want %d", tag, got, want)
		}
	}
}

func TestIsJSON(t *testing.T) {
	for kind, want := range map[string]bool{
		"": true, "application/json": true, "Application/JSON; charset=UTF-8": true, "application/merge-patch+json": true,
		"application/json; charset=utf-16": false, "text/json": false, "text/plain": false, "application/jsonp": false, ";": false,
	} {
		if got := isJSON(kind); got != want {
			t.Errorf("%q: %v, want %v", kind, got, want)
		}
	}
}

// TestPanic: a handler that panics is an internal error with the request's id, in the envelope of its address, and the log
// has the whole of it.
func TestPanic(t *testing.T) {
	var logged bytes.Buffer
	s := New(Config{Nouns: noun.Core(), Logger: slog.New(slog.NewTextHandler(&logged, nil))}) // no store: writing panics
	for _, path := range []string{"/~birch/Contact", "/api/contacts"} {
		logged.Reset()
		req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(`{"name":"x"}`))
		req.Header.Set("X-Request-Id", "mine-7")
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		var f struct {
			Error     json.RawMessage
			Message   string
			RequestID string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		if path == "/api/contacts" {
			if err := json.Unmarshal(f.Error, &f); err != nil {
				t.Fatal(err)
			}
		}
		if w.Code != http.StatusInternalServerError || string(f.Error) != `"internal_error"` || f.RequestID != "mine-7" || !strings.Contains(f.Message, "mine-7") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "goroutine") || !strings.Contains(logged.String(), "entities.go") || !strings.Contains(logged.String(), "mine-7") {
			t.Errorf("%s: shown %s, logged %s", path, w.Body, &logged)
		}
	}
}

// TestRoutesOfAllNames: every spelling of every noun reaches the noun and no service route but those that share its word.
func TestRoutesOfAllNames(t *testing.T) {
	s := New(Config{Nouns: noun.Core(), Logger: slog.New(slog.DiscardHandler)})
	shared := map[string]bool{"events": true, "metrics": true}
	for _, n := range noun.Core().All() {
		for _, name := range append([]string{n.Slugs.Type, n.Slugs.Collection, n.Slugs.Singular, n.Slugs.RPC}, n.Slugs.Aliases...) {
			// PUT with a body that is none fails after the noun was found, before anything is asked of the store.
			for _, path := range []string{"/~birch/" + name + "/x", "/api/" + name + "/x"} {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, httptest.NewRequest(http.MethodPut, path, nil))
				want := http.StatusBadRequest
				if !n.Can("update") {
					want = http.StatusMethodNotAllowed
				}
				if w.Code != want {
					t.Errorf("PUT %s: %d %s", path, w.Code, w.Body)
				}
			}
			for _, path := range []string{"/~birch/" + name, "/~birch/" + name + "/x/y"} {
				w := httptest.NewRecorder()
				s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader("{")))
				if w.Code == http.StatusMethodNotAllowed || w.Code == http.StatusNotFound && strings.HasSuffix(path, name) && !shared[name] {
					t.Errorf("POST %s: %d %s", path, w.Code, w.Body)
				}
			}
		}
	}
}

func BenchmarkRouting(b *testing.B) {
	s := New(Config{Nouns: noun.Core(), Logger: slog.New(slog.DiscardHandler)})
	req := httptest.NewRequest(http.MethodGet, "/healthz", nil)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		w.Body.Reset()
		s.ServeHTTP(w, req)
	}
}
