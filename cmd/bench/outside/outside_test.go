package outside

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func newReader(t *testing.T) *Reader {
	t.Helper()
	r, err := NewReader()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// A position delete takes one row of the one file that it names, wherever other files have rows of that position.
func TestRelationLeavesDeletedRowsOut(t *testing.T) {
	r, dir := newReader(t), t.TempDir()
	name := func(n string) string { return filepath.Join(dir, n+".parquet") }
	for file, rows := range map[string]string{
		"a":  "select 'a' || i id, i + 10 _seq from range(5) t(i)",
		"b":  "select 'b' || i id, i + 20 _seq from range(3) t(i)",
		"d1": fmt.Sprintf("select 'file://%s' file_path, unnest([0, 3])::bigint pos", name("a")),
		"d2": fmt.Sprintf("select 'file://%s' file_path, 4::bigint pos union all select 'file://%s', 1", name("a"), name("elsewhere")),
	} {
		if err := r.Run(t.Context(), fmt.Sprintf("copy (%s) to '%s'", rows, name(file))); err != nil {
			t.Fatal(err)
		}
	}
	f := Files{Data: []File{{Path: name("a"), Tenant: "x", Rows: 5}, {Path: name("b"), Tenant: "y", Rows: 3}},
		Deletes: []File{{Path: name("d1"), Tenant: "x", Rows: 2}, {Path: name("d2"), Tenant: "x", Rows: 1}}}
	want := []Row{{"a1", 11}, {"a2", 12}, {"b0", 20}, {"b1", 21}, {"b2", 22}}
	if got, err := r.Rows(t.Context(), f, "id", "_seq"); err != nil || !slices.Equal(got, want) || f.Rows() != 5 {
		t.Errorf("%v, %d rows, %v, want %v", got, f.Rows(), err, want)
	}
	if got, err := r.Rows(t.Context(), f.Of("x"), "id", "_seq"); err != nil || !slices.Equal(got, want[:2]) {
		t.Errorf("of x: %v, %v, want %v", got, err, want[:2])
	}
	if got, err := r.Rows(t.Context(), f.Of("z"), "id", "_seq"); err != nil || len(got) != 0 {
		t.Errorf("of nobody: %v, %v", got, err)
	}
}

// The hint names the metadata by its number or, where there are no links, by its name.
func TestReadFindsWhatTheHintNames(t *testing.T) {
	data := t.TempDir()
	dir := filepath.Join(data, "warehouse", "iceberg", "deal", "metadata")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	deal := Open(data, "deal")
	if hint := deal.Hint(); hint != "" {
		t.Errorf("hint %q of a table that is not there", hint)
	}
	meta := `{"current-snapshot-id":7,"snapshots":[{"snapshot-id":5,"summary":{}},{"snapshot-id":7,"summary":{"headlessly.seqs":"s.json"}}]}`
	for name, text := range map[string]string{
		"v3.metadata.json": meta, "00003-0-1.metadata.json": meta, "version-hint.text": "3\n",
		"s.json": `{"format":1,"table":"deal","seqs":{"acme":4711}}`, "v4.metadata.json": `{"current-snapshot-id":5,"snapshots":[{"snapshot-id":5}]}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, hint := range []string{deal.Hint(), "00003-0-1"} {
		if v, err := deal.Read(hint); err != nil || v.Seqs["acme"] != 4711 {
			t.Errorf("%s: %v, %v", hint, v, err)
		}
	}
	if _, err := deal.Read("4"); err == nil {
		t.Error("a snapshot that does not say what it holds was read")
	}
}
