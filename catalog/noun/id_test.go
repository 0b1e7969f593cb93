package noun_test

import (
	"regexp"
	"strings"
	"sync"
	"testing"

	"headless.ly/catalog/noun"
)

func TestNewIDs(t *testing.T) {
	for _, n := range noun.Core().All() {
		length := 8
		if n.Name == "Event" {
			length = 12
		}
		equal(t, n.Name, n.IDLen(), length)
		checkID(t, n.NewID(), n.IDPrefix, length)
	}
	checkID(t, noun.NewRequestID(), "req", 12)
}

func checkID(t *testing.T, id, prefix string, length int) {
	t.Helper()
	suffix, ok := strings.CutPrefix(id, prefix+"_")
	if !ok || len(suffix) != length || !noun.IsID(id) {
		t.Errorf("%q is not %s_ and %d characters", id, prefix, length)
	}
}

// TestNewIDsAreDistinctAndEven draws many at once: none comes twice, every character comes about equally often in every
// place, and no rude word is among them.
func TestNewIDsAreDistinctAndEven(t *testing.T) {
	const drawers, each = 8, 10_000
	var wg sync.WaitGroup
	drawn := make([][]string, drawers)
	for i := range drawn {
		wg.Go(func() {
			for range each {
				drawn[i] = append(drawn[i], noun.NewRequestID())
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	var counts [12][256]int
	rude := regexp.MustCompile(`(?i)fuck|sh[i1]t|cunt|n[i1]gg|nazi`)
	for _, ids := range drawn {
		for _, id := range ids {
			if seen[id] {
				t.Fatalf("%s came twice", id)
			}
			seen[id] = true
			if rude.MatchString(id) {
				t.Errorf("%s is rude", id)
			}
			for place, c := range []byte(id[len("req_"):]) {
				counts[place][c]++
			}
		}
	}
	const expected = drawers * each / 62
	for place := range counts {
		for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") {
			if n := counts[place][c]; n < expected*8/10 || n > expected*12/10 {
				t.Errorf("%q came %d times in place %d, about %d are expected", c, n, place, expected)
			}
		}
	}
}

func TestIsID(t *testing.T) {
	for _, id := range []string{
		"contact_Rk3vTz8Q", "contact_fX9bL5nRd", "CONTACT_Rk3vTz8Q", "apiKey_abcde", "evt_123456789012", "x_12345",
		"org_" + strings.Repeat("a", 32),
	} {
		if !noun.IsID(id) {
			t.Errorf("%q is an id", id)
		}
	}
	for _, s := range []string{
		"", "_", "contact", "contact_", "contact_abcd", "_abcdefgh", "contact_abc-defg", "contact_abc_defg", "con1tact_abcdefgh",
		"new-checkout", "noor@birch.example", "contact_abcdéfgh", "org_" + strings.Repeat("a", 33), "contact _abcdefgh", "contact_abcdefgh\n",
	} {
		if noun.IsID(s) {
			t.Errorf("%q is no id", s)
		}
	}
}

func FuzzIsID(f *testing.F) {
	pattern := regexp.MustCompile(`^[A-Za-z]+_[A-Za-z0-9]{5,32}$`)
	f.Add("contact_Rk3vTz8Q")
	f.Fuzz(func(t *testing.T, s string) {
		if noun.IsID(s) != (pattern.MatchString(s) && !strings.HasSuffix(s, "\n")) {
			t.Errorf("%q", s)
		}
	})
}

func BenchmarkNewID(b *testing.B) {
	n, _ := noun.Core().Get("Contact")
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n.NewID()
		}
	})
}
