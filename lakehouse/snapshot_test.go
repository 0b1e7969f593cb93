package lakehouse

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

// readingFS counts the manifests that are opened. It does not wait for the disk.
type readingFS struct {
	catalog.OS
	mu     sync.Mutex // guards opened
	opened []string
}

func (f *readingFS) Open(name string) (catalog.File, error) {
	if strings.HasPrefix(filepath.Base(name), "manifest-") {
		f.mu.Lock()
		f.opened = append(f.opened, filepath.Base(name))
		f.mu.Unlock()
	}
	return f.OS.Open(name)
}

func (f *readingFS) SyncDir(string) error { return nil }

func (f *readingFS) reset() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.opened)
	f.opened = nil
	return n
}

// bench is a table with a producer, and what the table should hold.
type bench struct {
	t     *testing.T
	lake  *Lake
	files *readingFS
	table *Table
	made  *producer
	live  map[string]liveFile
	alien map[string]bool // files of others
	ever  map[string]bool // files of ours that were committed
	n     int
	now   time.Time
}

type liveFile struct {
	seq  int64 // data sequence number
	file iceberg.DataFile
}

func newBench(t *testing.T, name string) *bench {
	files := &readingFS{}
	l := openLake(t, t.TempDir(), newFakeLog(), withTwoNouns(t), func(c *Config) { c.FS = files })
	b := &bench{t: t, lake: l, files: files, live: map[string]liveFile{}, alien: map[string]bool{}, ever: map[string]bool{}, now: time.Now()}
	for _, tbl := range l.tables {
		if tbl.Name == name {
			b.table = tbl
		}
	}
	b.restart()
	return b
}

// appends is an edit that adds a file.
func (b *bench) appends(tenant string) edit {
	return edit{operation: table.OpAppend, adds: []iceberg.DataFile{b.file(tenant, 0, iceberg.EntryContentData)}}
}

func (b *bench) restart() { b.made = &producer{table: b.table, io: b.lake.cat.IO(), now: b.clock} }

// clock is the fake time of the bench.
func (b *bench) clock() time.Time { return b.now }

// file describes a file that need not exist: planning reads manifests only.
func (b *bench) file(tenant string, day int, content iceberg.ManifestEntryContent) iceberg.DataFile {
	b.t.Helper()
	b.n++
	date := arrow.Date32(20000 + day)
	p := placement{tenant: tenant, date: date, name: fmt.Sprintf("%s-%d.parquet", b.table.Name, b.n)}
	location := b.lake.cat.Location() + "/" + b.table.Name + "/data/" + p.folder(b.table) + "/" + p.name
	values := map[int]any{partitionTenant: tenant}
	if b.table.Noun == nil {
		values[partitionDate] = iceberg.Date(date)
	}
	builder, err := iceberg.NewDataFileBuilder(b.table.spec, content, location, iceberg.ParquetFile, values, nil, nil, int64(1+b.n%7), int64(100+b.n))
	if err != nil {
		b.t.Fatal(err)
	}
	return builder.Build()
}

// commit makes edits current and keeps the model.
func (b *bench) commit(edits ...edit) error {
	b.t.Helper()
	t := b.load()
	made, err := b.made.produce(t, edits)
	if err != nil {
		return err
	}
	if made.snapshots == 0 {
		return nil
	}
	staged, err := b.lake.cat.Stage(b.t.Context(), made.commit)
	if err != nil {
		return err
	}
	made.files.Gone = staged.Register.Gone
	staged.Register = made.files
	if err := b.lake.cat.Swap(b.t.Context(), []*catalog.Staged{staged}, nil); err != nil {
		return err
	}
	b.made.adopt(made, staged.Location)
	for _, f := range made.files.Added {
		b.ever[f.Location] = true
	}
	seq := t.Metadata().LastSequenceNumber()
	for _, e := range edits {
		if !e.empty() {
			seq++
		}
		for _, location := range e.removes {
			delete(b.live, location)
		}
		for _, f := range e.adds {
			at := seq
			if n, found := e.sequence[f.FilePath()]; found {
				at = n
			}
			b.live[f.FilePath()] = liveFile{at, f}
		}
	}
	return nil
}

func (b *bench) load() *table.Table {
	b.t.Helper()
	t, err := b.lake.cat.LoadTable(b.t.Context(), b.table.ident)
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

// check holds the table, read anew, against what it should hold.
func (b *bench) check() {
	b.t.Helper()
	t := b.load()
	if t.CurrentSnapshot() == nil {
		return
	}
	manifests, err := t.CurrentSnapshot().Manifests(b.lake.cat.IO())
	if err != nil {
		b.t.Fatal(err)
	}
	got := map[string]bool{}
	for _, m := range manifests {
		b.checkManifest(t, m, got)
	}
	if len(got) != len(b.live) {
		b.t.Fatalf("%d files are live, want %d", len(got), len(b.live))
	}
	b.checkTotals(t.CurrentSnapshot())
}

func (b *bench) checkManifest(t *table.Table, m iceberg.ManifestFile, got map[string]bool) {
	b.t.Helper()
	least, live := int64(1<<62), 0
	for e, err := range m.Entries(b.lake.cat.IO(), false) {
		if err != nil {
			b.t.Fatal(err)
		}
		location := e.DataFile().FilePath()
		if e.Status() == iceberg.EntryStatusDELETED {
			if e.SnapshotID() != m.SnapshotID() {
				b.t.Fatalf("tombstone of snapshot %d in a manifest of %d", e.SnapshotID(), m.SnapshotID())
			}
			continue
		}
		live++
		want, found := b.live[location]
		if !found || got[location] || e.SequenceNum() != want.seq {
			b.t.Fatalf("%s: live %v, twice %v, sequence number %d, want %d", location, found, got[location], e.SequenceNum(), want.seq)
		}
		if !maps.Equal(e.DataFile().Partition(), want.file.Partition()) || e.DataFile().Count() != want.file.Count() {
			b.t.Fatalf("%s: partition %v, want %v", location, e.DataFile().Partition(), want.file.Partition())
		}
		got[location], least = true, min(least, e.SequenceNum())
	}
	if live > b.table.manifestEntries() {
		b.t.Errorf("a manifest has %d entries", live)
	}
	if live > 0 && m.MinSequenceNum() != least {
		b.t.Errorf("manifest says least sequence number %d, has %d", m.MinSequenceNum(), least)
	}
}

func (b *bench) checkTotals(s *table.Snapshot) {
	b.t.Helper()
	want := map[string]int64{"total-data-files": 0, "total-records": 0, "total-delete-files": 0, "total-position-deletes": 0, "total-files-size": 0}
	for _, l := range b.live {
		want["total-files-size"] += l.file.FileSizeBytes()
		if l.file.ContentType() == iceberg.EntryContentData {
			want["total-data-files"]++
			want["total-records"] += l.file.Count()
		} else {
			want["total-delete-files"]++
			want["total-position-deletes"] += l.file.Count()
		}
	}
	for name, n := range want {
		if got := s.Summary.Properties[name]; got != strconv.FormatInt(n, 10) {
			b.t.Errorf("%s is %s, want %d", name, got, n)
		}
	}
}

// plan gives the data files that iceberg-go would read, each with the number of delete files for it.
func (b *bench) plan() map[string]int {
	b.t.Helper()
	tasks, err := b.load().Scan().PlanFiles(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	plan := map[string]int{}
	for _, task := range tasks {
		plan[task.File.FilePath()] = len(task.DeleteFiles)
	}
	return plan
}

func (b *bench) manifests() int { return len(b.manifestsOf(*b.load().CurrentSnapshot())) }

func (b *bench) manifestsOf(s table.Snapshot) []iceberg.ManifestFile {
	b.t.Helper()
	all, err := s.Manifests(b.lake.cat.IO())
	if err != nil {
		b.t.Fatal(err)
	}
	return all
}

// named gives all files that the table's snapshots name.
func (b *bench) named() map[string]bool {
	b.t.Helper()
	named := map[string]bool{}
	for _, s := range b.load().Metadata().Snapshots() {
		named[s.ManifestList] = true
		for _, m := range b.manifestsOf(s) {
			if named[m.FilePath()] {
				continue
			}
			named[m.FilePath()] = true
			for e, err := range m.Entries(b.lake.cat.IO(), true) {
				if err != nil {
					b.t.Fatal(err)
				}
				named[e.DataFile().FilePath()] = true
			}
		}
	}
	return named
}

// checkRegister holds the register against what the snapshots that are left name.
func (b *bench) checkRegister() {
	b.t.Helper()
	gone, err := b.lake.cat.Gone(b.t.Context(), 1<<62, 1<<30)
	if err != nil {
		b.t.Fatal(err)
	}
	named := b.named()
	for _, f := range gone {
		if named[f.Location] {
			b.t.Errorf("%s is gone since %d by the register, added %d, removed %d, but named", f.Location, f.Gone, f.Added, f.Removed)
		}
		delete(named, f.Location)
	}
	was := map[string]bool{}
	for _, f := range gone {
		was[f.Location] = true
	}
	for location := range b.ever {
		if !named[location] && !was[location] {
			b.t.Errorf("%s is named by nothing, but not gone by the register", location)
		}
	}
}

// TestAppendOpensNothing says that appends open a manifest only to merge it, once for each tier, and that manifests are few.
func TestAppendOpensNothing(t *testing.T) {
	b := newBench(t, "events")
	b.files.reset()
	opened, most := 0, 0
	const rounds = 200
	for i := range rounds {
		if err := b.commit(edit{operation: table.OpAppend, adds: []iceberg.DataFile{b.file(fmt.Sprint("t", i%7), i/50, iceberg.EntryContentData)}}); err != nil {
			t.Fatal(err)
		}
		opened += b.files.reset()
		if i%25 == 24 {
			most = max(most, b.manifests())
			b.files.reset()
		}
	}
	if opened > rounds || most > 2*mergeCount+2 {
		t.Errorf("%d manifests were opened, %d at most in a snapshot", opened, most)
	}
	b.check()
	if s := b.load().CurrentSnapshot(); s.Summary.Operation != table.OpAppend || s.Summary.Properties["added-data-files"] != "1" {
		t.Errorf("summary %v", s.Summary)
	}
}

// TestRemovalOpensWhatHolds says that a removal opens only manifests that hold the files, also when nothing is known of
// them but their partitions.
func TestRemovalOpensWhatHolds(t *testing.T) {
	b := newBench(t, "events")
	var files []iceberg.DataFile
	for i := range 15 {
		f := b.file(fmt.Sprint("t", i), i, iceberg.EntryContentData)
		files = append(files, f)
		if err := b.commit(edit{operation: table.OpAppend, adds: []iceberg.DataFile{f}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, fresh := range []bool{false, true} {
		if fresh {
			b.restart()
		}
		b.files.reset()
		f := files[0]
		files = files[1:]
		if err := b.commit(edit{operation: table.OpDelete, removes: []string{f.FilePath()}}); err != nil {
			t.Fatal(err)
		}
		if n := b.files.reset(); n != 1 {
			t.Errorf("%d manifests were opened, want 1 (after a restart: %v)", n, fresh)
		}
		b.check()
	}
	gone := edit{operation: table.OpOverwrite, removes: []string{"file:///gone"}, adds: []iceberg.DataFile{b.file("t1", 1, iceberg.EntryContentData)}}
	if err := b.commit(gone); !errors.Is(err, errStale) {
		t.Errorf("removing what is not live: %v", err)
	}
	b.check()
	gone.lenient = true
	if err := b.commit(gone); err != nil {
		t.Error(err)
	}
	b.check()
}

// TestDeleteFiles says that a position-delete file applies to the rows before it and not to later ones, and that one
// snapshot replaces a delete file.
func TestDeleteFiles(t *testing.T) {
	b := newBench(t, "contact")
	old := b.file("acme", 0, iceberg.EntryContentData)
	first := b.file("acme", 0, iceberg.EntryContentPosDeletes)
	second := b.file("acme", 0, iceberg.EntryContentPosDeletes)
	late := b.file("acme", 0, iceberg.EntryContentData)
	steps := []edit{
		{operation: table.OpAppend, adds: []iceberg.DataFile{old}},
		{operation: table.OpOverwrite, adds: []iceberg.DataFile{first}},
		{operation: table.OpOverwrite, adds: []iceberg.DataFile{second}, removes: []string{first.FilePath()}},
		{operation: table.OpAppend, adds: []iceberg.DataFile{late}},
	}
	if err := b.commit(steps...); err != nil { // four snapshots, one commit
		t.Fatal(err)
	}
	b.check()
	if got := b.plan(); got[old.FilePath()] != 1 || got[late.FilePath()] != 0 || len(got) != 2 {
		t.Errorf("plan %v", got)
	}
	meta := b.load().Metadata()
	if n := len(meta.Snapshots()); n != 4 || meta.LastSequenceNumber() != 4 {
		t.Errorf("%d snapshots, sequence number %d", n, meta.LastSequenceNumber())
	}
	// Compaction: the same rows in another file, as old as what it replaces.
	folded := b.file("acme", 0, iceberg.EntryContentData)
	fold := edit{operation: table.OpReplace, adds: []iceberg.DataFile{folded}, removes: []string{late.FilePath()},
		sequence: map[string]int64{folded.FilePath(): 2}}
	if err := b.commit(fold); err != nil {
		t.Fatal(err)
	}
	b.check()
	if got := b.plan(); got[folded.FilePath()] != 1 {
		t.Errorf("a file of sequence number 2 has %d delete files, want 1", got[folded.FilePath()])
	}
}

// TestRandomEdits makes random edits of both kinds of tables, with restarts, commits of others and time that passes, and holds
// what is read back, and the register, against a model.
func TestRandomEdits(t *testing.T) {
	for _, name := range []string{"events", "contact"} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprint(name, seed), func(t *testing.T) { randomEdits(t, newBench(t, name), rand.New(rand.NewPCG(seed, 1))) })
		}
	}
}

func randomEdits(t *testing.T, b *bench, r *rand.Rand) {
	quick := r.IntN(2) == 0 // time passes quickly, which others do not know
	for round := range 120 {
		if quick {
			b.now = b.now.Add(time.Duration(r.IntN(int(time.Hour))))
		}
		switch n := r.IntN(20); {
		case n == 0:
			b.restart()
		case n == 1 && !quick:
			b.intrude(b.file(fmt.Sprint("t", r.IntN(5)), r.IntN(9), iceberg.EntryContentData))
		}
		var edits []edit
		pool := slices.Sorted(maps.Keys(b.live))
		for range 1 + r.IntN(2) {
			e := edit{operation: table.OpOverwrite}
			for range r.IntN(12) {
				content := iceberg.EntryContentData
				if r.IntN(4) == 0 {
					content = iceberg.EntryContentPosDeletes
				}
				e.adds = append(e.adds, b.file(fmt.Sprint("t", r.IntN(40)), r.IntN(9), content))
			}
			for range min(r.IntN(10), len(pool)) {
				i := r.IntN(len(pool))
				e.removes = append(e.removes, pool[i])
				pool = slices.Delete(pool, i, i+1)
			}
			edits = append(edits, e)
		}
		if err := b.commit(edits...); err != nil {
			t.Fatal(err)
		}
		if round%20 == 19 {
			b.check()
			b.checkRegister()
		}
	}
	b.check()
	b.checkRegister()
	plan := b.plan()
	for location, f := range b.live {
		if _, found := plan[location]; found != (f.file.ContentType() == iceberg.EntryContentData) {
			t.Errorf("%s: planned %v", location, found)
		}
	}
	if n := b.manifests(); n > 8*mergeCount {
		t.Errorf("%d manifests for %d files", n, len(b.live))
	}
}

// intrude appends a file as another program would, behind the catalog wrapper's back.
func (b *bench) intrude(f iceberg.DataFile) {
	b.t.Helper()
	t, err := b.lake.cat.Catalog.LoadTable(b.t.Context(), b.table.ident)
	if err != nil {
		b.t.Fatal(err)
	}
	tx := t.NewTransaction()
	if err := tx.AddDataFiles(b.t.Context(), []iceberg.DataFile{f}, nil, table.WithoutDuplicateCheck(), table.WithoutAutoNameMapping()); err != nil {
		b.t.Fatal(err)
	}
	if _, err := tx.Commit(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
	b.live[f.FilePath()] = liveFile{b.load().Metadata().LastSequenceNumber(), f}
	snapshot := b.load().CurrentSnapshot()
	b.alien[f.FilePath()], b.alien[snapshot.ManifestList] = true, true
	for _, m := range b.manifestsOf(*snapshot) {
		b.alien[m.FilePath()] = b.alien[m.FilePath()] || m.SnapshotID() == snapshot.SnapshotID
	}
}
