package lakehouse

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// withCompaction is a change of openLake's configuration: deltas always, put together when there are three of like size.
func withCompaction(c *Config) { c.ReplaceRows, c.CompactFiles, c.CompactRows = -1, 3, 60 }

// TestCompaction publishes random writes as deltas, and puts files together now and then, with restarts: after every step
// the tables are what the log says, and maintenance leaves few files.
func TestCompaction(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { checkCompaction(t, seed) })
	}
}

func checkCompaction(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 11))
	dir := t.TempDir()
	log := newFakeLog()
	l := openLake(t, dir, log, withTwoNouns(t), withCompaction)
	for range 30 {
		randomWrites(log, random, 1+random.IntN(12))
		publish(t, l)
		if random.IntN(2) == 0 {
			maintain(t, l)
			check(t, l, log)
			for _, tenant := range l.ledger.names() {
				if n := l.Status(tenant).Tables["contact"].Files; n > 6 {
					t.Errorf("%d files of %s after maintenance", n, tenant)
				}
			}
		}
		if random.IntN(6) == 0 {
			_ = l.Close()
			l = openLake(t, dir, log, withTwoNouns(t), withCompaction)
		}
	}
	check(t, l, log)
	for _, tenant := range l.ledger.names() {
		if got, want := scanned(t, l, "contact", tenant), l.Status(tenant).Tables["contact"].Rows; got != want {
			t.Errorf("iceberg-go reads %d rows of %s, want %d", got, tenant, want)
		}
	}
}

// TestCompactionRace publishes while a compaction is under way: what changed since is deleted in the new file, and what the
// compaction read is gone where its files were replaced meanwhile.
func TestCompactionRace(t *testing.T) {
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 13))
		log := newFakeLog()
		l := openLake(t, t.TempDir(), log, withTwoNouns(t), withCompaction)
		committed, overtaken := 0, 0
		for range 12 {
			randomWrites(log, random, 1+random.IntN(10))
			publish(t, l)
			change, err := newCompactor(l.publisher.shop, l.ledger).work(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if change == nil {
				continue
			}
			for range random.IntN(3) {
				randomWrites(log, random, 1+random.IntN(25))
				publish(t, l)
			}
			err = l.publisher.propose(t.Context(), change)
			change.done(err == nil)
			switch {
			case err == nil:
				committed++
			case errors.Is(err, errStale):
				overtaken++
			default:
				t.Fatal(err)
			}
			check(t, l, log)
		}
		t.Logf("seed %d: %d compactions, %d overtaken", seed, committed, overtaken)
		if t.Failed() {
			t.FailNow()
		}
	}
}

// TestCompacts says which files are put together.
func TestCompacts(t *testing.T) {
	c := Config{CompactFiles: 3, CompactRows: 100_000}
	file := func(rows, deleted int64) dataFile { return dataFile{rows: rows, deleted: deleted} }
	for name, test := range map[string]struct {
		files []dataFile
		want  []int64 // live rows
	}{
		"none":                {nil, nil},
		"few":                 {[]dataFile{file(5, 0), file(7, 0)}, nil},
		"of several sizes":    {[]dataFile{file(5, 0), file(70, 0), file(800, 0)}, nil},
		"of like size":        {[]dataFile{file(5, 0), file(70, 0), file(7, 1), file(8, 0)}, []int64{5, 6, 8}},
		"with smaller":        {[]dataFile{file(50, 0), file(7, 0), file(70, 0), file(80, 0)}, []int64{7, 50, 70, 80}},
		"large ones are left": {[]dataFile{file(60_000, 0), file(60_000, 0), file(60_000, 0)}, nil},
		"until a large one":   {[]dataFile{file(40_000, 0), file(40_000, 0), file(40_000, 0), file(40_000, 0)}, []int64{40_000, 40_000, 40_000}},
		"a dirty one":         {[]dataFile{file(60_000, 6_000), file(60_000, 5_000)}, []int64{54_000}},
		"a dirty small one":   {[]dataFile{file(60, 6)}, nil},
		"dirty with smaller":  {[]dataFile{file(60_000, 6_000), file(5_000, 0), file(900, 0)}, []int64{54_000, 900}},
	} {
		var got []int64
		for _, f := range c.compacts(test.files) {
			got = append(got, f.live())
		}
		if fmt.Sprint(got) != fmt.Sprint(test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
