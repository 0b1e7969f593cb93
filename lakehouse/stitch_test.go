package lakehouse

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headless.ly/catalog"
)

// TestStitchKeepsContentAndOrder puts event files of different sizes together, one of them with documents so large that
// a row group ends early, and compares the result with the rows that went in. Nothing of Arrow's memory is left.
func TestStitchKeepsContentAndOrder(t *testing.T) {
	mem := memory.NewCheckedAllocator(memory.NewGoAllocator())
	defer mem.AssertSize(t, 0)
	events, err := newTable(eventsTable, nil, EventColumns())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	x := catalog.NewIO(catalog.OS{}, dir, nil)
	location := "file://" + filepath.ToSlash(dir) + "/events"
	log := newFakeLog()
	var files []string
	from := 0
	for i, n := range []int{1, 20_000, 3, 600} {
		for j := range n {
			note := "short"
			if i == 3 {
				note = incompressible(j, 70_000)
			}
			log.contact("acme", j, note)
		}
		all := log.events["acme"]
		rows := events.eventRows("acme", all[from:], mem)
		f, err := events.writeFile(x, location, placement{tenant: "acme", date: 20468, name: fmt.Sprintf("events-%d.parquet", i)}, rows, mem)
		rows.Release()
		if err != nil {
			t.Fatal(err)
		}
		files, from = append(files, f.FilePath()), len(all)
	}
	stitched, err := events.stitch(t.Context(), x, location, placement{tenant: "acme", date: 20468, name: "events-all.parquet"}, files, mem)
	if err != nil {
		t.Fatal(err)
	}
	want := events.eventRows("acme", log.events["acme"], mem)
	defer want.Release()
	got, err := events.readFile(t.Context(), x, stitched.FilePath(), mem)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Release()
	if stitched.Count() != want.NumRows() || !array.RecordEqual(got, want) {
		t.Errorf("%d rows became %d, or others", want.NumRows(), got.NumRows())
	}
	s, err := openStream(t.Context(), x, stitched.FilePath(), nil, streamRows, mem)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	if s.parent.NumRowGroups() < 2 {
		t.Error("large documents did not end a row group")
	}
}

// incompressible gives a text that no two calls share.
func incompressible(seed, length int) string {
	b := make([]byte, length/2)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b) // never fails
	return hex.EncodeToString(b)
}
