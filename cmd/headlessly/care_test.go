package main_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headless.ly/api/care"
	"headless.ly/catalog"
	"headless.ly/catalog/fault"
	"headless.ly/catalog/noun"
)

// careFolder makes a data folder with two tenants, whose logs are published in several commits, and closes it.
func careFolder(t testing.TB, dir string) *promises {
	t.Helper()
	r := newTrial(t, prepare(t, dir), dir, fault.Plan{})
	if !r.run() {
		t.Fatal("the workload failed")
	}
	r.close()
	if err := r.vfs.Close(); err != nil {
		t.Fatal(err)
	}
	return r.promises
}

func verifyFolder(t testing.TB, dir string) *care.Report {
	t.Helper()
	report, err := care.Verify(t.Context(), care.Config{Dir: dir, Nouns: noun.Core()})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func wantWhole(t testing.TB, dir, when string) {
	t.Helper()
	for _, f := range verifyFolder(t, dir).Findings {
		t.Errorf("%s: %s", when, f)
	}
}

func TestVerify(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	careFolder(t, dir)
	wantWhole(t, dir, "closed")
	h, err := openHouse(t.Context(), dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantWhole(t, dir, "open")
	if err := h.close(context.Background()); err != nil {
		t.Error(err)
	}
	report := verifyFolder(t, dir)
	if report.Tenants != 2 || report.Events < 20 || report.Rows < 4 || report.Bytes == 0 {
		t.Errorf("looked at too little: %+v", report)
	}
}

func TestVerifyFindsWhatWasChanged(t *testing.T) {
	for name, c := range map[string]struct {
		change string // of acme's log
		kind   string
	}{
		"event":     {"UPDATE log SET actor = 'somebody' WHERE seq = 3", "log"},
		"gap":       {"DELETE FROM log WHERE seq = 4", "log"},
		"state":     {"DELETE FROM state WHERE id = (SELECT min(id) FROM state)", "state"},
		"version":   {"UPDATE state SET version = version + 1 WHERE id = (SELECT min(id) FROM state)", "state"},
		"claim":     {"DELETE FROM claim WHERE value = (SELECT min(value) FROM claim)", "claim"},
		"false one": {"INSERT INTO claim SELECT noun, field, 'nobody@example.com', id FROM claim LIMIT 1", "claim"},
		"tally":     {"UPDATE tally SET live = live + 1", "tally"},
		"key":       {"INSERT INTO idempotency VALUES ('k', x'00', 1000000, 0)", "idempotency"},
		"tail":      {"DELETE FROM log WHERE seq = (SELECT max(seq) FROM log)", "log"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			careFolder(t, dir)
			alter(t, filepath.Join(dir, "tenants", "acme", "log.db"), c.change)
			found := false
			for _, f := range verifyFolder(t, dir).Findings {
				found = found || f.Kind == c.kind && f.Tenant == "acme" && f.File == "tenants/acme/log.db"
				if f.Tenant == "birch" {
					t.Errorf("%s", f)
				}
			}
			if !found {
				t.Errorf("%s is not found", c.change)
			}
		})
	}
}

// alter changes a database that nobody uses.
func alter(t testing.TB, path, change string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(change); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyRefusesOtherFolders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	careFolder(t, dir)
	moved := filepath.Join(t.TempDir(), "moved")
	newer, newerLog := dir, filepath.Join(dir, "tenants", "acme", "log.db")
	file := filepath.Join(t.TempDir(), "file")
	if err := errors.Join(os.CopyFS(moved, os.DirFS(dir)), os.WriteFile(file, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, dir string
		change    func()
		want      error
	}{
		{"missing", filepath.Join(dir, "nothing"), nil, care.ErrNotFolder},
		{"a file", file, nil, care.ErrNotFolder},
		{"empty", t.TempDir(), nil, care.ErrNotData},
		{"moved", moved, nil, catalog.ErrMoved},
		{"a newer log", newer, func() { alter(t, newerLog, "UPDATE meta SET value = 99 WHERE key = 'format'") }, care.ErrNewer},
		{"a newer catalog", newer, func() { alter(t, filepath.Join(dir, "catalog.db"), "PRAGMA user_version = 99") }, care.ErrNewer},
	} {
		if c.change != nil {
			c.change()
		}
		_, err := care.Verify(t.Context(), care.Config{Dir: c.dir, Nouns: noun.Core()})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.dir) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
