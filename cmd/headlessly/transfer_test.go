package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headless.ly/cmd/headlessly/server"
)

// TestImportAndExport: files go in and out by the command line, in every format.
func TestImportAndExport(t *testing.T) {
	srv := openServer(t, server.Config{Data: t.TempDir()})
	dir := t.TempDir()
	file := filepath.Join(dir, "people.csv")
	if err := os.WriteFile(file, []byte("name,email\nAna,ana@acme.example\nBo,bo@acme.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(want string, args ...string) {
		t.Helper()
		out, err := command(t, srv.URL(), args...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v: %q, %v; want %q", args, out, err, want)
		}
	}
	run("2 rows: 2 would be imported, 0 refused", "import", "--type", "Contact", "--dry-run", file)
	run("2 rows: 2 imported (2 new, 0 updated, 0 unchanged), 0 refused", "import", "--type", "Contact", "--key", "email", file)
	run("2 rows: 2 imported (0 new, 0 updated, 2 unchanged), 0 refused", "import", "--type", "Contact", "--key", "email", file)
	if _, err := command(t, srv.URL(), "import", "--type", "Contact", file); !errors.Is(err, errRefused) {
		t.Errorf("the same file without a key: %v", err)
	}
	for _, ext := range []string{"csv", "ndjson", "json", "parquet"} {
		out := filepath.Join(dir, "out."+ext)
		run("bytes in", "export", "--type", "Contact", out)
		run("2 rows: 2 imported, 0 refused", "import", "--tenant", "copy-"+ext, "--type", "Contact", out)
	}
	run("Ana", "export", "--type", "Contact", "--format", "csv", "--fields", "name", "--filter", `{"email":"ana@acme.example"}`, "-")
	for _, args := range [][]string{
		{"export", "--type", "Contact", filepath.Join(dir, "x.xml")}, {"export", "--type", "Nothing", filepath.Join(dir, "x.csv")},
		{"import", "--type", "Contact", filepath.Join(dir, "x.xml")}, {"import", "--type", "Contact", "--key", "name", file},
	} {
		if out, err := command(t, srv.URL(), args...); err == nil {
			t.Errorf("%v: %q", args, out)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
