package lakehouse

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
)

// withDeltas is a change of openLake's configuration: noun tables are never written anew.
func withDeltas(c *Config) { c.ReplaceRows = -1 }

// TestDeltas publishes random creates, updates and deletes as deltas, with restarts, and holds every publish to the log; at
// the end iceberg-go's own scanner reads the same rows.
func TestDeltas(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { checkDeltas(t, seed) })
	}
}

func checkDeltas(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 7))
	dir := t.TempDir()
	log := newFakeLog()
	l := openLake(t, dir, log, withTwoNouns(t), withDeltas)
	for round := range 30 {
		randomWrites(log, random, 1+random.IntN(12))
		publish(t, l)
		check(t, l, log)
		if random.IntN(6) == 0 {
			_ = l.Close()
			l = openLake(t, dir, log, withTwoNouns(t), withDeltas)
			check(t, l, log)
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
	for _, tenant := range l.ledger.names() {
		v := l.Pin(tenant)
		for name, files := range v.Nouns {
			n, _ := l.cfg.Nouns.Get(name)
			if got := scanned(t, l, n.Table(), tenant); got != files.Rows {
				t.Errorf("iceberg-go reads %d rows of %s of %s, want %d", got, name, tenant, files.Rows)
			}
		}
		v.Release()
	}
}

// randomWrites writes, updates and deletes a few of the entities of two tenants.
func randomWrites(log *fakeLog, random *rand.Rand, count int) {
	for range count {
		tenant := []string{"acme", "birch"}[random.IntN(2)]
		id := fmt.Sprintf("contact_%08d", random.IntN(40))
		verb := "update"
		if random.IntN(4) == 0 {
			verb = "delete"
		}
		log.write(tenant, "Contact", id, verb, fmt.Sprintf(`"name":"name %d"`, random.IntN(1000)))
	}
}

// scanned counts a tenant's rows with iceberg-go's scanner.
func scanned(t *testing.T, l *Lake, name, tenant string) int64 {
	t.Helper()
	tbl, err := l.cat.LoadTable(t.Context(), table.Identifier{"headlessly", name})
	if err != nil {
		t.Fatal(err)
	}
	rows, err := tbl.Scan(table.WithRowFilter(iceberg.EqualTo(iceberg.Reference("tenant"), tenant))).ToArrowTable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Release()
	return rows.NumRows()
}
