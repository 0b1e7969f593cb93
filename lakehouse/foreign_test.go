package lakehouse

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

// alienFile writes rows of a tenant as another program would: a file under a name of its own, in its own commit to the
// table, behind the catalog wrapper's back.
func alienFile(t *testing.T, l *Lake, tbl *Table, tenant, from string) string {
	t.Helper()
	rows, err := tbl.readFile(t.Context(), l.cat.IO(), from, l.mem)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Release()
	p := placement{tenant: tenant, date: startMS / dayMS, name: fmt.Sprintf("00000-0-%d.parquet", len(filesOnDisk(t, l)))}
	f, err := tbl.writeFile(l.cat.IO(), l.cat.Location()+"/"+tbl.Name, p, rows, l.mem)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.cat.Catalog.LoadTable(t.Context(), tbl.ident)
	if err != nil {
		t.Fatal(err)
	}
	tx := theirs.NewTransaction()
	if err := tx.AddDataFiles(t.Context(), []iceberg.DataFile{f}, nil, table.WithoutDuplicateCheck(), table.WithoutAutoNameMapping()); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return catalog.Path(f.FilePath())
}

// TestForeignRows says that rows which another program appends between our reading and our commit stay, that our batch
// lands exactly once all the same, and that our views never have them, nor after a restart.
func TestForeignRows(t *testing.T) {
	log := newFakeLog()
	dir := t.TempDir()
	var l *Lake
	var guests []string
	intrude := false
	step := func(name string) {
		if name != "publish.swap.before" || !intrude {
			return
		}
		intrude = false
		for _, tbl := range l.tables[:2] {
			own := slices.DeleteFunc(currentFiles(t, l, tbl.Name), func(f string) bool { return slices.Contains(guests, f) })
			guests = append(guests, alienFile(t, l, tbl, "acme", "file://"+own[0]))
		}
	}
	l = openLake(t, dir, log, withTwoNouns(t), func(c *Config) { c.Step = step })
	log.contact("acme", 1, "a")
	publish(t, l)
	for round := range 3 {
		log.contact("acme", round, "b")
		intrude = true
		publish(t, l)
		checkOurs(t, l, log, guests)
	}
	_ = l.Close()
	l = openLake(t, dir, log, withTwoNouns(t), func(c *Config) { c.KeepFiles = 1 })
	log.contact("acme", 7, "c")
	publish(t, l)
	maintain(t, l)
	checkOurs(t, l, log, guests)
}

// checkOurs holds the tables, without the guests' files, against the log; the guests' files must be there.
func checkOurs(t *testing.T, l *Lake, log *fakeLog, guests []string) {
	t.Helper()
	for _, tbl := range l.tables[:2] {
		files := currentFiles(t, l, tbl.Name)
		for _, g := range guests {
			if strings.Contains(g, "/"+tbl.Name+"/") && !slices.Contains(files, g) {
				t.Errorf("%s: rows of others are lost", tbl.Name)
			}
			if _, err := os.Stat(g); err != nil {
				t.Error(err)
			}
		}
		files = slices.DeleteFunc(files, func(f string) bool { return slices.Contains(guests, f) })
		want := int64(len(log.events["acme"]))
		if tbl.Noun != nil {
			want = l.Pin("acme").Nouns[tbl.Noun.Name].Rows
		}
		if got := query(t, files, "select count(*) from {table}"); got[0] != fmt.Sprint(want) {
			t.Errorf("%s: %s rows of ours, want %d", tbl.Name, got[0], want)
		}
	}
}

// TestSetBack says that files which a rolled-back snapshot had removed stay for as long as they are live again.
func TestSetBack(t *testing.T) {
	b := newBench(t, "events")
	first, second := b.appends("a"), b.appends("b")
	if err := b.commit(first); err != nil {
		t.Fatal(err)
	}
	back := b.load().CurrentSnapshot().SnapshotID
	if err := b.commit(edit{operation: table.OpDelete, removes: []string{first.adds[0].FilePath()}}, second); err != nil {
		t.Fatal(err)
	}
	reset := []table.Update{table.NewSetSnapshotRefUpdate(table.MainBranch, back, table.BranchRef, 0, 0, 0)}
	if _, _, err := b.lake.cat.Catalog.CommitTable(t.Context(), b.table.ident, nil, reset); err != nil {
		t.Fatal(err)
	}
	b.live = map[string]liveFile{first.adds[0].FilePath(): {1, first.adds[0]}}
	for range keepLast + 5 {
		if err := b.commit(b.appends("c")); err != nil {
			t.Fatal(err)
		}
		b.now = b.now.Add(1e9)
	}
	b.check()
	gone, err := b.lake.cat.Gone(t.Context(), 1<<62, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range gone {
		if f.Location == first.adds[0].FilePath() {
			t.Errorf("a live file is gone by the register: %+v", f)
		}
	}
}
