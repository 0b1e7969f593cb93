package lakehouse

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/iceberg-go"

	"headless.ly/catalog"
	"headless.ly/catalog/noun"
)

// TestPositions holds the positions of random ids, many of which share prefixes, against a map.
func TestPositions(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 1))
		want := map[string]uint32{}
		for range random.IntN(300) {
			want[randomID(random)] = 0
		}
		var b positionsBuilder
		ids := slices.Sorted(func(yield func(string) bool) {
			for id := range want {
				if !yield(id) {
					return
				}
			}
		})
		for i, id := range ids {
			want[id] = uint32(i)
			if err := b.add(id); err != nil {
				t.Fatal(err)
			}
		}
		p := b.finish()
		for id, position := range want {
			if got, found := p.find(id); !found || got != position {
				t.Fatalf("seed %d: %q is at %d, %v; want %d", seed, id, got, found, position)
			}
		}
		for range 3000 {
			id := randomID(random)
			position, found := p.find(id)
			if wanted, exists := want[id]; found != exists || position != wanted {
				t.Fatalf("seed %d: %q is at %d, %v; want %d, %v", seed, id, position, found, wanted, exists)
			}
		}
	}
}

// randomID draws from few letters, so that ids share prefixes of every length and are often prefixes of each other.
func randomID(random *rand.Rand) string {
	id := make([]byte, random.IntN(9))
	for i := range id {
		id[i] = "abz"[random.IntN(3)]
	}
	return string(id)
}

// TestPositionsRefuseDisorder says that a file whose ids are out of order or doubled has no positions.
func TestPositionsRefuseDisorder(t *testing.T) {
	for _, ids := range [][]string{{"b", "a"}, {"a", "a"}, {"ab", "a"}} {
		var b positionsBuilder
		var err error
		for _, id := range ids {
			if err == nil {
				err = b.add(id)
			}
		}
		if err == nil {
			t.Errorf("%q has positions", ids)
		}
	}
}

// TestPositionsAreSmall says what the positions of generated ids take.
func TestPositionsAreSmall(t *testing.T) {
	contact, _ := noun.Core().Get("Contact")
	ids := make([]string, 100_000)
	for i := range ids {
		ids[i] = contact.NewID()
	}
	slices.Sort(ids)
	var b positionsBuilder
	for _, id := range ids {
		if err := b.add(id); err != nil {
			t.Fatal(err)
		}
	}
	if each := float64(b.finish().bytes()) / float64(len(ids)); each > 12 {
		t.Errorf("%.1f bytes a row", each)
	}
}

// TestDeletesFile writes and reads back position-delete files, and holds what is said of them to Iceberg.
func TestDeletesFile(t *testing.T) {
	n, _ := noun.Core().Get("Contact")
	tbl, err := newTable("contact", n, TableColumns(n))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	x := catalog.NewIO(catalog.OS{}, dir, nil)
	of := "file://" + filepath.Join(dir, "contact", "data", "tenant=acme", "contact-1-x.parquet")
	random := rand.New(rand.NewPCG(1, 2))
	for i, count := range []int{1, 7, 20_000} {
		deleted := roaring.New()
		for range count {
			deleted.Add(uint32(random.IntN(500_000)))
		}
		p := placement{tenant: "acme", name: fmt.Sprintf("d%d.parquet", i)}
		file, err := tbl.writeDeletes(x, "file://"+filepath.Join(dir, "contact"), p, of, deleted, mem)
		if err != nil {
			t.Fatal(err)
		}
		if file.ContentType() != iceberg.EntryContentPosDeletes || file.Count() != int64(deleted.GetCardinality()) ||
			file.Partition()[partitionTenant] != "acme" || *file.ReferencedDataFile() != of ||
			string(file.LowerBoundValues()[deletePathID]) != of || string(file.UpperBoundValues()[deletePathID]) != of {
			t.Errorf("described as %+v", file)
		}
		got, err := readDeletes(t.Context(), x, file.FilePath(), of, mem)
		if err != nil || !got.Equals(deleted) {
			t.Errorf("%d positions read back as %d, %v", deleted.GetCardinality(), got.GetCardinality(), err)
		}
		lines := query(t, []string{catalog.Path(file.FilePath())}, "select count(distinct pos), min(file_path), max(file_path) from {table}")
		if want := fmt.Sprintf("%d|%s|%s", deleted.GetCardinality(), of, of); lines[0] != want {
			t.Errorf("DuckDB reads %s, want %s", lines[0], want)
		}
		if _, err := readDeletes(t.Context(), x, file.FilePath(), of+"y", mem); err == nil {
			t.Error("deletes of another file are taken")
		}
	}
}

// BenchmarkDeletesFile writes the deletes of a large file that is soon compacted.
func BenchmarkDeletesFile(b *testing.B) {
	deleted := roaring.New()
	for i := range uint32(50_000) {
		deleted.Add(i * 10)
	}
	n, _ := noun.Core().Get("Contact")
	tbl, err := newTable("contact", n, TableColumns(n))
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	x := catalog.NewIO(catalog.OS{}, dir, nil)
	i := 0
	for b.Loop() {
		i++
		p := placement{tenant: "acme", name: fmt.Sprintf("d%d.parquet", i)}
		file, err := tbl.writeDeletes(x, "file://"+dir, p, "file:///x", deleted, mem)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(file.FileSizeBytes()), "bytes")
	}
}

// BenchmarkPositionsFind finds ids in a file of 500,000.
func BenchmarkPositionsFind(b *testing.B) {
	contact, _ := noun.Core().Get("Contact")
	ids := make([]string, 500_000)
	for i := range ids {
		ids[i] = contact.NewID()
	}
	slices.Sort(ids)
	var builder positionsBuilder
	for _, id := range ids {
		_ = builder.add(id)
	}
	p := builder.finish()
	random := rand.New(rand.NewPCG(1, 2))
	for b.Loop() {
		if _, found := p.find(ids[random.IntN(len(ids))]); !found {
			b.Fatal("not found")
		}
	}
}
