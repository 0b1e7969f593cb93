package server_test

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headless.ly/cmd/headlessly/server"
)

// TestDamageIsTold changes a data file of one tenant and a row of the log of another while no server runs: what needs them
// answers data_damaged, everything else goes on.
func TestDamageIsTold(t *testing.T) {
	dir := t.TempDir()
	open := func() *server.Server {
		s, err := server.Open(t.Context(), server.Config{Addr: "127.0.0.1:0", Data: dir, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	for _, tenant := range []string{"acme", "birch", "cedar"} {
		for _, body := range []string{`{"name":"Noor","email":"noor@example.com"}`, `{"name":"Iva"}`} {
			if status, text := send(t, "POST", s.URL()+"/~"+tenant+"/Contact", body); status != http.StatusCreated {
				t.Fatalf("%d %s", status, text)
			}
		}
	}
	if err := s.Close(context.Background()); err != nil { // publishes
		t.Fatal(err)
	}
	turnByte(t, filepath.Join(dir, "warehouse", "iceberg", "contact", "data", "tenant=acme", "*.parquet"))
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "tenants", "birch", "log.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("UPDATE log SET actor = 'somebody' WHERE seq = 1"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close(context.Background())
	for _, c := range []struct {
		method, path, body string
		status             int
		holds              string
	}{
		{"GET", "/~acme/Contact?filter=" + `%7B%22name%22%3A%7B%22$gte%22%3A%22A%22%7D%7D`, "", 500, `"error":"data_damaged"`},
		{"POST", "/~acme/sql", `{"sql":"select count(*) n from contact"}`, 500, `"error":"data_damaged"`},
		{"GET", "/~acme/Contact/noor@example.com", "", 200, `"Noor"`},
		{"GET", "/~acme/Contact/noor@example.com/history", "", 200, `"Noor"`},
		{"GET", "/~birch/events", "", 500, "event 1:"},
		{"PUT", "/~birch/Contact/noor@example.com", `{"name":"Nora"}`, 200, `"Nora"`},
		{"GET", "/~cedar/Contact", "", 200, `"Iva"`},
		{"POST", "/~cedar/sql", `{"sql":"select count(*) n from contact"}`, 200, `"rows":[[2]]`},
		{"GET", "/~cedar/events", "", 200, `"Contact.Created"`},
	} {
		status, text := send(t, c.method, s.URL()+c.path, c.body)
		if status != c.status || !strings.Contains(strings.ReplaceAll(text, " ", ""), strings.ReplaceAll(c.holds, " ", "")) {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, text)
		}
	}
}

func send(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// turnByte changes a byte in the middle of every file of a pattern.
func turnByte(t *testing.T, pattern string) {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		data[len(data)/3] ^= 1
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
