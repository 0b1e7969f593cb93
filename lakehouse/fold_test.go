package lakehouse

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/iceberg-go/table"
)

// patient gives a configuration whose clock stands where the test puts it.
func patient(now *time.Time) func(*Config) {
	return func(c *Config) { c.Now = func() time.Time { return *now } }
}

// TestFold publishes many small files for several tenants and days and folds between publishes: the table holds the log
// exactly at every point, every fold is a snapshot of its own without new rows, files stay few and in order of seq, those
// of others are left alone, and all of it goes on after a restart.
func TestFold(t *testing.T) {
	now := time.UnixMilli(startMS)
	dir := t.TempDir()
	log := newFakeLog()
	l := openLake(t, dir, log, withTwoNouns(t), patient(&now))
	tenants := []string{"acme", "birch", "cedar"}
	for round := range 60 {
		for i, tenant := range tenants {
			if (round+i)%3 > 0 {
				log.append(tenant, "Contact", fmt.Sprintf("contact_%08d", round), "create", `"name":"n"`, now.UnixMilli())
			}
		}
		publish(t, l)
		now = now.Add(time.Hour)
		if round%4 == 3 {
			maintain(t, l)
		}
		if round%10 == 9 {
			check(t, l, log)
		}
		if round == 30 {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = openLake(t, dir, log, withTwoNouns(t), patient(&now))
		}
	}
	maintain(t, l)
	check(t, l, log)
	files := currentFiles(t, l, "events")
	if most := len(tenants) * (3 + 5); len(files) > most { // of three days, two are settled
		t.Errorf("%d files: %s", len(files), strings.Join(files, "\n"))
	}
	for _, f := range files {
		if seqs := query(t, []string{f}, "select seq from {table}"); !slices.IsSortedFunc(seqs, bySeq) {
			t.Errorf("%s is not in order of seq: %v", f, seqs)
		}
	}
	published, again := l.Folded()
	if published == 0 || again == 0 {
		t.Errorf("%d bytes published, %d folded", published, again)
	}
	foldsAreReplaces(t, l)
}

func bySeq(a, b string) int {
	var x, y int
	_, _ = fmt.Sscan(a, &x)
	_, _ = fmt.Sscan(b, &y)
	return x - y
}

// foldsAreReplaces holds the snapshots of events to be appends, or replaces that add as many rows as they remove.
func foldsAreReplaces(t *testing.T, l *Lake) {
	t.Helper()
	tbl, err := l.cat.LoadTable(t.Context(), table.Identifier{"headlessly", "events"})
	if err != nil {
		t.Fatal(err)
	}
	replaces := 0
	for _, s := range tbl.Metadata().Snapshots() {
		switch s.Summary.Operation {
		case table.OpAppend:
		case table.OpReplace:
			replaces++
			if a, d := s.Summary.Properties["added-records"], s.Summary.Properties["deleted-records"]; a != d || a == "" {
				t.Errorf("a fold adds %s rows and removes %s", a, d)
			}
		default:
			t.Errorf("a snapshot of events is a %s", s.Summary.Operation)
		}
	}
	if replaces == 0 {
		t.Error("nothing was folded")
	}
}

// TestFoldIsOvertaken has somebody else take a file away between folding and committing: the fold is given up, its file
// goes, and the next one is made of what is there.
func TestFoldIsOvertaken(t *testing.T) {
	now := time.UnixMilli(startMS)
	log := newFakeLog()
	l := openLake(t, t.TempDir(), log, withTwoNouns(t), patient(&now))
	for range 6 {
		log.contact("acme", 1, "a")
		publish(t, l)
	}
	f := l.publisher.folding
	if p, err := f.work(t.Context()); p != nil || err != nil {
		t.Fatalf("a single day does not wait: %v, %v", p, err)
	}
	now = now.Add(foldPatience)
	p, err := f.work(t.Context())
	if err != nil || p == nil {
		t.Fatal(p, err)
	}
	edits, err := p.check(current{})
	if err != nil {
		t.Fatal(err)
	}
	made := strings.TrimPrefix(edits[0].adds[0].FilePath(), "file://")
	maintain(t, l) // folds the same files
	if err := l.publisher.propose(t.Context(), p); err == nil {
		t.Fatal("files were replaced twice")
	}
	p.done(false)
	if slices.Contains(currentFiles(t, l, "events"), made) {
		t.Error("the fold that was overtaken is in the table")
	}
	if _, err := l.cfg.FS.Stat(made); err == nil {
		t.Error("the file of the fold that was overtaken is still there")
	}
	for range 6 {
		log.contact("acme", 1, "a")
		publish(t, l)
	}
	maintain(t, l) // sees them, and waits for company
	now = now.Add(foldPatience)
	maintain(t, l)
	check(t, l, log)
	if files := currentFiles(t, l, "events"); len(files) > 3 {
		t.Errorf("files %v", files)
	}
}
