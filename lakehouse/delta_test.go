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

// TestLibraryDelete says why nothing here uses iceberg-go's Delete or Overwrite with a row filter: in copy-on-write mode it
// writes a data file again with the rows that were deleted in it (https://github.com/apache/iceberg-go/issues/2042). When
// this test fails because they stay deleted, the library has been mended.
func TestLibraryDelete(t *testing.T) {
	log := newFakeLog()
	l := openLake(t, t.TempDir(), log, withTwoNouns(t), withDeltas)
	for i := range 3 {
		log.contact("acme", i, "first")
	}
	publish(t, l)
	log.write("acme", "Contact", "contact_00000000", "delete", `"name":"first"`)
	publish(t, l)
	check(t, l, log)
	if got := scanned(t, l, "contact", "acme"); got != 2 {
		t.Fatalf("%d rows, want 2", got)
	}
	tbl, err := l.cat.LoadTable(t.Context(), table.Identifier{"headlessly", "contact"})
	if err != nil {
		t.Fatal(err)
	}
	tx := tbl.NewTransaction()
	if err := tx.SetProperties(iceberg.Properties{"write.delete.mode": "copy-on-write"}); err != nil {
		t.Fatal(err)
	}
	if tbl, err = tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	tx = tbl.NewTransaction()
	if err := tx.Delete(t.Context(), iceberg.EqualTo(iceberg.Reference("id"), "contact_00000001"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := scanned(t, l, "contact", "acme"); got != 2 { // contact_00000002, and the deleted contact_00000000
		t.Errorf("%d rows: the deleted row has not come back", got)
	}
}
