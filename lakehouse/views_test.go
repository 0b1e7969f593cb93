package lakehouse

import (
	"strings"
	"testing"

	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

// TestViews says that every noun has its view, in the dialects of Spark and Trino, with the columns that its schema says; that
// making them again changes nothing, and that a view follows its noun.
func TestViews(t *testing.T) {
	dir := t.TempDir()
	l := openLake(t, dir, newFakeLog(), withTwoNouns(t))
	if err := l.MakeViews(t.Context()); err != nil {
		t.Fatal(err)
	}
	ident := table.Identifier{catalog.Namespace, l.tables[1].Name + "_history"}
	meta, first, err := l.cat.View(t.Context(), ident)
	if err != nil {
		t.Fatal(err)
	}
	version := meta.CurrentVersion()
	if len(version.Representations) != 2 || strings.Join(version.DefaultNamespace, ".") != catalog.Namespace {
		t.Errorf("version %+v", version)
	}
	for _, r := range version.Representations {
		quote := map[string]string{"spark": "`", "trino": `"`}[r.Dialect]
		for _, f := range meta.CurrentSchema().Fields() {
			if !strings.Contains(r.Sql, " as "+quote+f.Name+quote) {
				t.Errorf("%s has no column %s", r.Dialect, f.Name)
			}
		}
	}
	if err := l.MakeViews(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, err := l.cat.Pointer(t.Context(), ident, catalog.KindView); err != nil || again != first {
		t.Errorf("made again: %s, %v", again, err)
	}
	l.tables[1].Columns = l.tables[1].Columns[:3]
	if err := l.MakeViews(t.Context()); err != nil {
		t.Fatal(err)
	}
	meta, next, err := l.cat.View(t.Context(), ident)
	if err != nil || next == first || len(meta.Versions()) != 2 || len(meta.CurrentSchema().Fields()) != 3+len(historyColumns) {
		t.Errorf("after a change: %d versions, %v", len(meta.Versions()), err)
	}
}
