package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
	"headless.ly/catalog/noun"
)

// TestClock says that the clock publishes by itself.
func TestClock(t *testing.T) {
	log := newFakeLog()
	l := openLake(t, t.TempDir(), log, func(c *Config) { c.Interval = 5 * time.Millisecond })
	log.contact("acme", 1, "a")
	for l.Published("acme") < 1 {
		time.Sleep(time.Millisecond)
	}
	log.contact("acme", 1, "b")
	for l.Status("acme").Tables["contact"].Seq < 2 {
		time.Sleep(time.Millisecond)
	}
	check(t, l, log)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Publish(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("publish after close: %v", err)
	}
}

// TestPrefix says that a tick takes a prefix of a tenant's events where there are too many days or bytes, that noun tables
// wait for the head meanwhile, and that all is exact at each point.
func TestPrefix(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"days":  func(c *Config) { c.MaxFilesPerCommit = 3 },
		"bytes": func(c *Config) { c.MaxBytesPerRead = 2000 },
	} {
		t.Run(name, func(t *testing.T) {
			log := newFakeLog()
			l := openLake(t, t.TempDir(), log, change)
			for i := range 20 {
				log.append("acme", "Contact", fmt.Sprintf("contact_%08d", i%6), "update", fmt.Sprintf(`"name":"%d"`, i), startMS+int64(i)*dayMS/2)
			}
			log.contact("birch", 1, "b")
			ticks, last := 0, int64(0)
			for behind := true; behind; ticks++ {
				var err error
				if behind, err = l.publisher.tick(t.Context(), false); err != nil {
					t.Fatal(err)
				}
				check(t, l, log)
				s := l.Status("acme")
				if s.Behind != behind || s.Published <= last || s.Head != 20 {
					t.Fatalf("tick %d: %+v", ticks, s)
				}
				if behind && s.Tables["contact"].Seq != 0 {
					t.Errorf("tick %d: contact is published while events are behind", ticks)
				}
				last = s.Published
			}
			if ticks < 3 || l.Published("birch") != 1 {
				t.Errorf("%d ticks", ticks)
			}
			publish(t, l) // the noun in chunks too
			check(t, l, log)
			if s := l.Status("acme"); s.Tables["contact"].Seq != 20 || s.Lag != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestLag says that a noun table whose pace does not allow it lags behind events, also across a restart, and catches up
// from the log.
func TestLag(t *testing.T) {
	dir := t.TempDir()
	log := newFakeLog()
	slow := func(c *Config) { c.RewriteShare = 1e-9 } // after one rewrite each, tables wait for years
	l := openLake(t, dir, log, slow)
	log.contact("acme", 1, "a")
	log.write("acme", "Deal", "deal_00000001", "create", `"name":"d","value":1`)
	publish(t, l)
	for i := range 5 {
		log.contact("acme", i, "b")
		if _, err := l.publisher.tick(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		check(t, l, log)
	}
	v := l.Pin("acme")
	defer v.Release()
	if v.Seq != 7 || v.Nouns["Contact"].Seq != 2 || v.Nouns["Deal"].Seq != 7 {
		t.Errorf("view %d, contact %d, deal %d", v.Seq, v.Nouns["Contact"].Seq, v.Nouns["Deal"].Seq)
	}
	_ = l.Close()
	l = openLake(t, dir, log)
	check(t, l, log)
	if s := l.Status("acme"); s.Tables["contact"].Seq != 2 {
		t.Errorf("after restart: %+v", s)
	}
	if _, err := l.publisher.tick(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	check(t, l, log)
	if s := l.Status("acme"); s.Tables["contact"].Seq != 7 {
		t.Errorf("after a tick: %+v", s)
	}
}

// TestOthersGoOn says that a tenant or a noun that fails does not stop the others, and that Status shows it.
func TestOthersGoOn(t *testing.T) {
	log := newFakeLog()
	l := openLake(t, t.TempDir(), log, func(c *Config) { c.ErrorDelay = time.Millisecond })
	log.fail = func(tenant string, r Range) error {
		if tenant == "acme" {
			return errFake
		}
		return nil
	}
	log.contact("acme", 1, "a")
	log.contact("birch", 1, "b")
	log.write("birch", "Deal", "deal_00000001", "create", `"name":"lacks its value"`)
	err := l.Publish(t.Context())
	if !errors.Is(err, errFake) || !errors.Is(err, ErrDocument) {
		t.Errorf("error %v", err)
	}
	check(t, l, log)
	if l.Published("birch") != 2 || l.Published("acme") != 0 || l.Status("birch").Tables["contact"].Seq != 2 {
		t.Errorf("acme %+v, birch %+v", l.Status("acme"), l.Status("birch"))
	}
	if !strings.Contains(l.Status("acme").Error, "fake") || !strings.Contains(l.Status("birch").Error, "value") {
		t.Errorf("acme %+v, birch %+v", l.Status("acme"), l.Status("birch"))
	}
	log.fail = nil
	log.write("birch", "Deal", "deal_00000001", "update", `"name":"mended","value":1`)
	publish(t, l)
	check(t, l, log)
	if s := l.Status("birch"); s.Error != "" || s.Tables["deal"].Seq != 3 {
		t.Errorf("birch %+v", s)
	}
}

// TestGap says that a log that skips an event is not published past it.
func TestGap(t *testing.T) {
	log := newFakeLog()
	l := openLake(t, t.TempDir(), log)
	log.contact("acme", 1, "a")
	publish(t, l)
	log.contact("acme", 2, "b")
	log.events["acme"][1].Seq = 3
	log.contact("acme", 3, "c")
	if err := l.Publish(t.Context()); !errors.Is(err, ErrGap) {
		t.Errorf("error %v", err)
	}
	if l.Published("acme") != 1 {
		t.Errorf("published %d", l.Published("acme"))
	}
	log.events["acme"] = nil
	if err := l.Publish(t.Context()); !errors.Is(err, ErrGap) {
		t.Errorf("a log that was lost: %v", err)
	}
}

// TestOutsideCommit says that a commit by somebody else between our reading and our commit costs nothing: both are there.
func TestOutsideCommit(t *testing.T) {
	log := newFakeLog()
	var l *Lake
	intrude := 0
	step := func(name string) {
		if name != "publish.swap.before" || intrude == 0 {
			return
		}
		intrude--
		setProperty(t, l, "events", fmt.Sprint("guest", intrude))
		setProperty(t, l, "contact", fmt.Sprint("guest", intrude))
	}
	l = openLake(t, t.TempDir(), log, func(c *Config) { c.Step = step })
	log.contact("acme", 1, "a")
	intrude = 2
	publish(t, l)
	check(t, l, log)
	tbl, err := l.cat.LoadTable(t.Context(), table.Identifier{"headlessly", "contact"})
	if err != nil || tbl.Properties()["guest0"] == "" || tbl.Properties()["guest1"] == "" {
		t.Errorf("guests' commits are lost: %v, %v", tbl.Properties(), err)
	}
	log.contact("acme", 1, "b")
	intrude = 100
	if err := l.Publish(t.Context()); !errors.Is(err, table.ErrCommitFailed) {
		t.Errorf("error %v", err)
	}
	check(t, l, log)
	intrude = 0
	publish(t, l)
	check(t, l, log)
	if l.Published("acme") != 2 {
		t.Errorf("published %d", l.Published("acme"))
	}
}

// setProperty commits to a table as another program would: behind the catalog wrapper's back.
func setProperty(t *testing.T, l *Lake, name, property string) {
	tbl, err := l.cat.Catalog.LoadTable(t.Context(), table.Identifier{"headlessly", name})
	if err != nil {
		t.Fatal(err)
	}
	tx := tbl.NewTransaction()
	if err := tx.SetProperties(iceberg.Properties{property: "was here"}); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestIcebergScan reads the tables with iceberg-go's own scanner, with pruning by partition, and holds the side files.
func TestIcebergScan(t *testing.T) {
	log := newFakeLog()
	l := openLake(t, t.TempDir(), log)
	for round := range 25 { // past the count at which manifests are merged
		log.contact("acme", round, "a")
		log.contact("birch", round, "b")
		log.contact("acme", 0, fmt.Sprint("round ", round))
		publish(t, l)
	}
	check(t, l, log)
	count := func(name string, filter iceberg.BooleanExpression) int64 {
		tbl, err := l.cat.LoadTable(t.Context(), table.Identifier{"headlessly", name})
		if err != nil {
			t.Fatal(err)
		}
		rows, err := tbl.Scan(table.WithRowFilter(filter)).ToArrowTable(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Release()
		return rows.NumRows()
	}
	acme := iceberg.EqualTo(iceberg.Reference("tenant"), "acme")
	if all, some := count("events", iceberg.AlwaysTrue{}), count("events", acme); all != 75 || some != 50 {
		t.Errorf("events: %d rows, %d of acme", all, some)
	}
	if all, some := count("contact", iceberg.AlwaysTrue{}), count("contact", acme); all != 50 || some != 25 {
		t.Errorf("contact: %d rows, %d of acme", all, some)
	}
	for name, want := range map[string]string{
		"events":  `{"format":1,"table":"events","seqs":{"acme":50,"birch":25}}`,
		"contact": `{"format":1,"table":"contact","seqs":{"acme":50,"birch":25}}`,
	} {
		tbl, _ := l.cat.LoadTable(t.Context(), table.Identifier{"headlessly", name})
		side := tbl.CurrentSnapshot().Summary.Properties[seqsProperty]
		got, err := l.cat.IO().ReadFile(tbl.Location() + "/metadata/" + side)
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s: side file %s, %v", name, got, err)
		}
	}
}

// TestNoBoundsOfText says that manifests hold no text of free-text columns.
func TestNoBoundsOfText(t *testing.T) {
	log := newFakeLog()
	l := openLake(t, t.TempDir(), log)
	log.write("acme", "Contact", "contact_00000001", "create", `"name":"Secret Name","email":"secret@example.com","stage":"Lead","leadScore":5`)
	log.events["acme"][0].Actor = "actor@example.com"
	publish(t, l)
	for name, bounded := range map[string][]string{
		"contact": {"tenant", "id", "stage", "leadScore", "_version", "_createdAt", "_updatedAt", "_seq"},
		"events":  {"tenant", "seq", "id", "kind", "type", "entity", "target", "verb", "timestamp", "version"},
	} {
		tbl, err := l.cat.LoadTable(t.Context(), table.Identifier{"headlessly", name})
		if err != nil {
			t.Fatal(err)
		}
		manifests, err := tbl.CurrentSnapshot().Manifests(l.cat.IO())
		if err != nil {
			t.Fatal(err)
		}
		var lower map[int][]byte
		for e, err := range manifests[0].Entries(l.cat.IO(), true) {
			if err != nil {
				t.Fatal(err)
			}
			lower = e.DataFile().LowerBoundValues()
		}
		for _, f := range tbl.Schema().Fields() {
			want := false
			for _, b := range bounded {
				want = want || b == f.Name
			}
			if _, got := lower[f.ID]; got != want {
				t.Errorf("%s.%s: bounds %v, want %v", name, f.Name, got, want)
			}
		}
	}
}

// TestLock says that a data folder is open once, and who has it.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	openLake(t, dir, newFakeLog())
	_, err := Open(t.Context(), Config{Dir: dir, Nouns: noun.Core()})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), "process ") {
		t.Errorf("error %v", err)
	}
}

// TestMoved says that a data folder that was moved is not opened: its tables would name files that are not there.
func TestMoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	l := openLake(t, dir, newFakeLog())
	_ = l.Close()
	moved := dir + "c"
	if err := l.cfg.FS.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Dir: moved, Nouns: noun.Core()}); !errors.Is(err, catalog.ErrMoved) {
		t.Errorf("error %v", err)
	}
}

// TestViewsAreImmutable says that a pinned view stays as it was, files included.
func TestViewsAreImmutable(t *testing.T) {
	log := newFakeLog()
	l := openLake(t, t.TempDir(), log)
	log.contact("acme", 1, "a")
	publish(t, l)
	v := l.Pin("acme")
	log.contact("acme", 2, "b")
	publish(t, l)
	if v.Seq != 1 || v.Nouns["Contact"].Rows != 1 {
		t.Errorf("view changed: %+v", v.Nouns)
	}
	checkNoun(t, v, l.publisher.shop.nouns["Contact"], log.events["acme"])
	v.Release()
	if v := l.Pin("nobody"); v.Seq != 0 || len(v.Nouns) != 0 || v.Tenant != "nobody" {
		t.Errorf("view of nobody: %+v", v)
	}
	defer func() {
		if recover() == nil {
			t.Error("a view can be released twice")
		}
	}()
	v.Release()
}

// TestArrowIsReleased publishes with an allocator that counts.
func TestArrowIsReleased(t *testing.T) {
	checked := memory.NewCheckedAllocator(memory.DefaultAllocator)
	defer func() {
		for range 200 { // arrow-go gives the bloom filters' memory back by cleanups, which wait for collections
			if runtime.GC(); checked.CurrentAlloc() == 0 {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		checked.AssertSize(t, 0)
	}()
	log := newFakeLog()
	l, err := Open(t.Context(), Config{Dir: t.TempDir(), Nouns: noun.Core(), Interval: -1, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l.mem = checked
	l.Start(log)
	defer l.Close()
	for round := range 3 {
		scenario(t, l, log, round, round+1)
	}
	l.publisher.shop.cache.clear() // read from disk
	scenario(t, l, log, 3, 4)
	log.fail = func(string, Range) error { return errFake }
	log.contact("acme", 1, "x")
	if err := l.Publish(t.Context()); err == nil {
		t.Error("no error")
	}
}

// TestCanceled says that a publish ends with its context and can be repeated.
func TestCanceled(t *testing.T) {
	log := newFakeLog()
	l := openLake(t, t.TempDir(), log)
	log.contact("acme", 1, "x")
	ctx, cancel := context.WithCancel(t.Context())
	log.fail = func(string, Range) error { cancel(); return nil }
	if err := l.Publish(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	log.fail = nil
	publish(t, l)
	check(t, l, log)
}
