package lakehouse

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"headless.ly/catalog"
)

// fakeClock is a time that tests set.
type fakeClock struct {
	mu  sync.Mutex // guards now
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// orphan puts a file into a table's folder as an attempt of a dead process leaves it.
func orphan(t testing.TB, l *Lake, name string) string {
	t.Helper()
	path := filepath.Join(catalog.Path(l.cat.Location()), name, "data", "tenant=acme", fmt.Sprintf("%s-7-%s.parquet", name, uuid.New()))
	putOld(t, path)
	return path
}

// putOld writes a file that is a day old.
func putOld(t testing.TB, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-24 * time.Hour)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// filesOnDisk lists everything below the tables' folders.
func filesOnDisk(t testing.TB, l *Lake) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(catalog.Path(l.cat.Location()), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func maintain(t testing.TB, l *Lake) {
	t.Helper()
	if err := l.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestGarbage says that what nothing names any more is deleted after its time and not before, that what a snapshot or a
// pinned view names stays, and that nothing but that is left on the disk.
func TestGarbage(t *testing.T) {
	log := newFakeLog()
	clock := &fakeClock{now: time.Now()}
	l := openLake(t, t.TempDir(), log, withTwoNouns(t), func(c *Config) { c.Now = clock.Now })
	log.contact("acme", 1, "first")
	publish(t, l)
	view := l.Pin("acme")
	held := view.Nouns["Contact"].Data[0].Path
	round := func(n int, step time.Duration) {
		for i := range n {
			log.contact("acme", 1, fmt.Sprint("round ", i))
			publish(t, l)
			clock.add(step)
		}
	}
	round(keepLast+5, time.Second)
	maintain(t, l)
	before := filesOnDisk(t, l)
	clock.add(59 * time.Minute)
	maintain(t, l)
	after := filesOnDisk(t, l)
	for _, path := range before {
		if !slices.Contains(after, path) {
			t.Errorf("%s was deleted before its time", path)
		}
	}
	round(keepLast+1, 2*time.Minute) // nothing of the first minutes is kept any more
	clock.add(2 * time.Hour)
	maintain(t, l)
	if !exists(held) {
		t.Fatal("a file of a pinned view was deleted")
	}
	checkNoun(t, view, l.publisher.shop.nouns["Contact"], log.events["acme"][:1])
	view.Release()
	maintain(t, l)
	if exists(held) {
		t.Error("a file that nothing holds was not deleted")
	}
	check(t, l, log)
	checkDisk(t, l)
}

// checkDisk says that the files on the disk are those that metadata names.
func checkDisk(t testing.TB, l *Lake) {
	t.Helper()
	named := map[string]bool{}
	for _, tbl := range l.tables {
		current, err := l.cat.LoadTable(t.Context(), tbl.ident)
		if err != nil {
			t.Fatal(err)
		}
		metadata := []string{current.MetadataLocation()}
		for e := range current.Metadata().PreviousFiles() {
			metadata = append(metadata, e.MetadataFile)
		}
		for _, location := range metadata {
			path := catalog.Path(location)
			var n int
			if _, err := fmt.Sscanf(filepath.Base(path), "%05d-", &n); err != nil {
				t.Fatal(err)
			}
			named[path], named[filepath.Join(filepath.Dir(path), fmt.Sprintf("v%d.metadata.json", n))] = true, true
		}
		named[filepath.Join(catalog.Path(current.Location()), "metadata", "version-hint.text")] = true
		for _, s := range current.Metadata().Snapshots() {
			nameFiles(t, l, tbl, s.SnapshotID, named)
		}
	}
	disk := filesOnDisk(t, l)
	for _, path := range disk {
		if !named[path] {
			t.Errorf("%s is named by nothing and on the disk", path)
		}
	}
	for path := range named {
		if !slices.Contains(disk, path) && !strings.Contains(path, "/v") {
			t.Errorf("%s is named and not on the disk", path)
		}
	}
}

// nameFiles collects the files that a snapshot names.
func nameFiles(t testing.TB, l *Lake, tbl *Table, id int64, named map[string]bool) {
	t.Helper()
	current, err := l.cat.LoadTable(t.Context(), tbl.ident)
	if err != nil {
		t.Fatal(err)
	}
	s := current.Metadata().SnapshotByID(id)
	manifests, err := s.Manifests(l.cat.IO())
	if err != nil {
		t.Fatal(err)
	}
	named[catalog.Path(s.ManifestList)] = true
	named[filepath.Join(catalog.Path(current.Location()), "metadata", s.Summary.Properties[seqsProperty])] = true
	for _, m := range manifests {
		named[catalog.Path(m.FilePath())] = true
		for e, err := range m.Entries(l.cat.IO(), true) {
			if err != nil {
				t.Fatal(err)
			}
			named[catalog.Path(e.DataFile().FilePath())] = true
		}
	}
}

// TestOrphans says that files which dead processes left are found and deleted after their time, and that files of others,
// files in flight and files that are named stay.
func TestOrphans(t *testing.T) {
	log := newFakeLog()
	clock := &fakeClock{now: time.Now()}
	dir := t.TempDir()
	l := openLake(t, dir, log, withTwoNouns(t), func(c *Config) { c.Now = clock.Now })
	log.contact("acme", 1, "a")
	publish(t, l)
	folder := filepath.Join(catalog.Path(l.cat.Location()), "contact")
	_ = l.Close()
	for _, path := range filesOnDisk(t, l) { // as if all had been written long ago
		old := time.Now().Add(-48 * time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	var lost []string
	for _, name := range []string{"metadata/manifest-%s.avro", "metadata/list-%s.avro", "metadata/seqs-%s.json", "metadata/00001-%s.metadata.json",
		"data/tenant=acme/contact-3-%s.parquet", "data/tenant=birch/contact-9-%s.parquet"} {
		path := filepath.Join(folder, fmt.Sprintf(name, uuid.New()))
		putOld(t, path)
		lost = append(lost, path)
	}
	var kept []string
	for _, name := range []string{"metadata/%s-m0.avro", "metadata/snap-1-0-%s.avro", "data/00000-0-%s.parquet", "data/tenant=acme/%s.parquet"} {
		path := filepath.Join(folder, fmt.Sprintf(name, uuid.New()))
		putOld(t, path)
		kept = append(kept, path)
	}
	l = openLake(t, dir, log, withTwoNouns(t), func(c *Config) { c.Now = clock.Now })
	flying := filepath.Join(folder, "data", "tenant=acme", fmt.Sprintf("contact-4-%s.parquet", uuid.New()))
	if err := os.WriteFile(flying, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	maintain(t, l)
	for _, path := range lost {
		if !exists(path) {
			t.Errorf("%s was deleted before its time", path)
		}
	}
	clock.add(time.Hour + time.Second)
	maintain(t, l)
	for _, path := range lost {
		if exists(path) {
			t.Errorf("%s is left", path)
		}
	}
	for _, path := range append(kept, flying) {
		if !exists(path) {
			t.Errorf("%s was deleted", path)
		}
	}
	check(t, l, log)
}

// TestRetention says which snapshots are left after months, and that the metadata stays small.
func TestRetention(t *testing.T) {
	b := newBench(t, "events")
	b.now = time.Now().UTC() // the table is made now: its clock goes on from here
	for i := range 400 {
		if err := b.commit(b.appends(fmt.Sprint("t", i%3))); err != nil {
			t.Fatal(err)
		}
		switch {
		case i < 300:
			b.now = b.now.Add(31 * time.Hour)
		default:
			b.now = b.now.Add(30 * time.Second)
		}
	}
	days, months := 0, 0
	meta := b.load().Metadata()
	for name, ref := range meta.Refs() {
		s := meta.SnapshotByID(ref.SnapshotID)
		at := time.UnixMilli(s.TimestampMs).UTC()
		switch {
		case strings.HasPrefix(name, dayTag):
			days++
			if name != dayName(at) || at.Before(b.now.AddDate(0, 0, -keepDays-2)) {
				t.Errorf("%s is on a snapshot of %s", name, at)
			}
		case strings.HasPrefix(name, monthTag):
			months++
			if name != monthName(at) {
				t.Errorf("%s is on a snapshot of %s", name, at)
			}
		}
	}
	if days < 20 || days > keepDays+1 || months < keepMonths || months > keepMonths+1 {
		t.Errorf("%d daily tags, %d monthly ones", days, months)
	}
	if n := len(meta.Snapshots()); n > keepLast+60+keepDays+keepMonths+2 || n < keepLast+25+20 {
		t.Errorf("%d snapshots", n)
	}
	info, err := os.Stat(catalog.Path(b.load().MetadataLocation()))
	if err != nil || info.Size() > 1<<20 {
		t.Errorf("metadata of %d bytes, %v", info.Size(), err)
	}
	b.check()
	b.checkRegister()
}
