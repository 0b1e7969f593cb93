package lakehouse

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// foldDay appends files of these sizes to a day and folds whenever it can; it gives the files, the most files there ever
// were, and the bytes that folding wrote.
func foldDay(t *testing.T, sizes []int64) (files []segment, most int, written int64) {
	t.Helper()
	for i, size := range sizes {
		files = append(files, segment{bytes: size, first: int64(i + 1), last: int64(i + 1)})
		most = max(most, len(files))
		for {
			from, to, ok := foldable(files, false)
			if !ok {
				break
			}
			var n int64
			files, n = foldRange(t, files, from, to)
			written += n
		}
	}
	return files, most, written
}

// foldRange folds a run and checks that it is one of neighbours.
func foldRange(t *testing.T, files []segment, from, to int) ([]segment, int64) {
	t.Helper()
	if to-from < 2 || to-from > foldFiles {
		t.Fatalf("a run of %d files", to-from)
	}
	one := segment{first: files[from].first, last: files[to-1].last}
	for i := from; i < to; i++ {
		one.bytes += files[i].bytes
		if i > from && files[i].first != files[i-1].last+1 {
			t.Fatalf("files %d and %d are no neighbours", i-1, i)
		}
	}
	if one.bytes > foldBytes {
		t.Fatalf("a run of %d bytes", one.bytes)
	}
	return slices.Replace(files, from, to, one), one.bytes
}

func TestFoldingStaysLogarithmic(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{10, 100, 1000, 10_000} {
		for name, size := range map[string]func(i int) int64{
			"equal":   func(int) int64 { return 8000 },
			"random":  func(int) int64 { return 4000 + random.Int64N(40_000) },
			"rising":  func(i int) int64 { return 4000 + 10*int64(i) },
			"falling": func(i int) int64 { return 4000 + 10*int64(n-i) },
			"bursts":  func(i int) int64 { return 4000 + 1_000_000*int64((i%100)/97) },
		} {
			sizes := make([]int64, n)
			var total int64
			for i := range sizes {
				sizes[i] = size(i)
				total += sizes[i]
			}
			files, most, written := foldDay(t, sizes)
			amplification := 1 + float64(written)/float64(total)
			t.Logf("%-7s %6d appends: %2d files, at most %2d; written %.1f times", name, n, len(files), most, amplification)
			log := math.Log2(float64(n))
			if float64(most) > 4+2*log {
				t.Errorf("%s: %d appends left %d files", name, n, most)
			}
			if amplification > 2+log {
				t.Errorf("%s: %d appends were written %.1f times", name, n, amplification)
			}
		}
	}
}

func TestSettledDaysBecomeFewFiles(t *testing.T) {
	files := []segment{{bytes: 5, first: 1, last: 1}, {bytes: foldBytes, first: 2, last: 2}, {bytes: 3, first: 3, last: 3},
		{bytes: foldBytes - 3, first: 4, last: 4}, {bytes: 1, first: 5, last: 5}, {bytes: 1, first: 6, last: 6}}
	for {
		from, to, ok := foldable(files, true)
		if !ok {
			break
		}
		files, _ = foldRange(t, files, from, to)
	}
	if len(files) != 4 {
		t.Errorf("%d files are left: %v", len(files), files)
	}
}

func TestLargeFilesAreLeftAlone(t *testing.T) {
	if _, _, ok := foldable(slices.Repeat([]segment{{bytes: foldBytes}}, 8), false); ok {
		t.Error("files of the full size are folded")
	}
}
