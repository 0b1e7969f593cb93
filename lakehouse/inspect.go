package lakehouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
	"headless.ly/catalog/noun"
)

// ErrDamaged is wrapped where a file is not as it was written.
var ErrDamaged = catalog.ErrDamaged

// Flaw is one thing that is wrong with the lake.
type Flaw struct {
	Kind   FlawKind
	Table  string
	Tenant string // empty: it is not about one
	File   string // path; empty: it is not about one
	Seq    int64  // of the event it is about; 0: none
	Detail string
}

// FlawKind says what a flaw is about.
type FlawKind string

// The kinds of flaws.
const (
	FlawCatalog  FlawKind = "catalog"  // catalog.db, or what it says of a table
	FlawMetadata FlawKind = "metadata" // metadata.json, a manifest list, a manifest or a side file
	FlawData     FlawKind = "data"     // a data file or a file of deleted positions
	FlawEvents   FlawKind = "events"   // the events table does not hold what the log does
	FlawRows     FlawKind = "rows"     // a noun's table does not hold the state at its seq
	FlawBloom    FlawKind = "bloom"    // a bloom filter denies a value that is there
	FlawHint     FlawKind = "hint"     // version-hint.text does not lead to the current metadata
	FlawOrphan   FlawKind = "orphan"   // a file that nothing has ever named is older than such may become
)

// InspectConfig says what to look at. Dir and Nouns are required.
type InspectConfig struct {
	Dir    string
	Nouns  *noun.Registry
	FS     FS            // the operating system's
	VFS    string        // SQLite VFS of catalog.db; empty: the operating system's
	Window time.Duration // 1 h; orphans may become so old
	Now    func() time.Time

	Found func(Flaw)  // hears what is wrong
	Bytes func(int64) // hears how many bytes of files were read since it was last called; may be nil
}

// Inspection looks at a lake as catalog.db says it was at one instant, beside whoever has the folder open. It changes
// nothing, and takes no lock. One goroutine uses it.
type Inspection struct {
	cfg      InspectConfig
	survey   *catalog.Survey
	io       *catalog.IO
	register map[string]catalog.Entry // by location
	tables   []*inspected             // events first
	mem      memory.Allocator
}

// inspected is what an Inspection knows of a table.
type inspected struct {
	*Table
	location string // of the current metadata; empty: catalog.db does not have the table
	meta     table.Metadata
	events   map[string][]segment  // of the events table, by tenant, in order of seq
	files    map[string][]dataFile // of a noun's table, by tenant
	bad      map[string]bool       // locations of files that are missing or not as they were written
	tainted  map[string]bool       // locations of manifests that name one of these
	broken   map[int64]bool        // snapshots that cannot be read whole
	listed   bool                  // the current snapshot's manifests could be read: events and files are whole
	flawed   bool                  // something is wrong with the table that only writing its metadata anew mends
}

// Inspect reads catalog.db. ErrNoDatabase, ErrVersion and ErrMoved of package catalog say why a folder cannot be looked at.
func Inspect(ctx context.Context, cfg InspectConfig) (*Inspection, error) {
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if cfg.Dir = dir; cfg.FS == nil {
		cfg.FS = catalog.OS{}
	}
	if cfg.Window == 0 {
		cfg.Window = time.Hour
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Bytes == nil {
		cfg.Bytes = func(int64) {}
	}
	survey, err := catalog.ReadSurvey(ctx, dir, cfg.VFS)
	if err != nil {
		return nil, err
	}
	n := &Inspection{cfg: cfg, survey: survey, io: catalog.NewIO(cfg.FS, dir, nil), register: map[string]catalog.Entry{}, mem: memory.DefaultAllocator}
	for _, f := range survey.Files {
		n.register[f.Location] = f
	}
	tables, err := newTables(cfg.Nouns)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		n.tables = append(n.tables, &inspected{Table: t, events: map[string][]segment{}, files: map[string][]dataFile{},
			bad: map[string]bool{}, tainted: map[string]bool{}, broken: map[int64]bool{}})
	}
	return n, nil
}

// Tenants lists the tenants that anything is published of, sorted.
func (n *Inspection) Tenants() []string {
	var all []string
	for _, p := range n.survey.Published {
		all = append(all, p.Tenant)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Published is the seq up to which the events table is to hold a tenant's log.
func (n *Inspection) Published(tenant string) int64 { return n.row(eventsTable, tenant).Seq }

// Stands gives the seq at which each noun's table is to hold a tenant's state, of those that hold anything.
func (n *Inspection) Stands(tenant string) map[string]int64 {
	events, stands := n.Published(tenant), map[string]int64{}
	for _, t := range n.tables[1:] {
		if p := n.row(t.Name, tenant); p.Seq != 0 || p.Changed != 0 {
			stands[t.Noun.Name] = shelf{seq: p.Seq, changed: lastChange(p, events)}.stands(events)
		}
	}
	return stands
}

func (n *Inspection) row(name, tenant string) catalog.Published {
	at, found := slices.BinarySearchFunc(n.survey.Published, [2]string{name, tenant}, func(p catalog.Published, key [2]string) int {
		if c := strings.Compare(p.Table, key[0]); c != 0 {
			return c
		}
		return strings.Compare(p.Tenant, key[1])
	})
	if !found {
		return catalog.Published{Table: name, Tenant: tenant}
	}
	return n.survey.Published[at]
}

// Bytes is about how much Files reads.
func (n *Inspection) Bytes() (total int64) {
	for _, f := range n.survey.Files {
		total += f.Bytes
	}
	return total
}

// Files looks at everything but rows: catalog.db, each table's metadata, manifests, side files, data files with their sizes,
// numbers of rows, hashes and bloom filters, views, hints and orphans. Rows come after it.
func (n *Inspection) Files(ctx context.Context) error {
	for _, text := range n.survey.Damage {
		n.found(nil, Flaw{Kind: FlawCatalog, File: filepath.Join(n.cfg.Dir, "catalog.db"), Detail: text})
	}
	pointers := map[string]string{}
	for _, named := range n.survey.Tables {
		if named.Namespace == catalog.Namespace && named.Kind == catalog.KindTable {
			pointers[named.Name] = named.Location
			continue
		}
		n.guest(named)
	}
	for _, t := range n.tables {
		if err := ctx.Err(); err != nil {
			return err
		}
		if t.location = pointers[t.Name]; t.location == "" {
			n.found(t, Flaw{Kind: FlawCatalog, Detail: "catalog.db does not have the table"})
			continue
		}
		if err := n.table(ctx, t); err != nil {
			return err
		}
	}
	return n.orphans(ctx)
}

// found reports a flaw; t may be nil.
func (n *Inspection) found(t *inspected, f Flaw) {
	if t != nil {
		f.Table = t.Name
		if f.Tenant == "" && f.File != "" {
			f.Tenant = seek(f.File).tenant
		}
		switch f.Kind {
		case FlawMetadata:
			t.flawed = true
		}
	}
	n.cfg.Found(f)
}

// guest looks at metadata of which no more is known than that it is JSON: of views, and of others' tables.
func (n *Inspection) guest(named catalog.Named) {
	data, err := n.io.ReadFile(named.Location)
	if err == nil && !json.Valid(data) {
		err = errors.New("it is not JSON")
	}
	if err != nil {
		n.cfg.Found(Flaw{Kind: FlawMetadata, Table: named.Namespace + "." + named.Name, File: catalog.Path(named.Location), Detail: err.Error()})
	}
}

// table looks at one table.
func (n *Inspection) table(ctx context.Context, t *inspected) error {
	sound := n.whole(t, FlawMetadata, t.location)
	if data, err := n.io.ReadFile(t.location); sound && err == nil {
		if t.meta, err = table.ParseMetadataBytes(data); err != nil {
			n.found(t, Flaw{Kind: FlawMetadata, File: catalog.Path(t.location), Detail: err.Error()})
		}
	}
	if t.meta == nil {
		return nil
	}
	e, err := t.evolve(t.meta)
	if err != nil {
		n.found(t, Flaw{Kind: FlawMetadata, File: catalog.Path(t.location), Detail: err.Error()})
		return nil
	}
	t.Table = e.table
	if !n.hinted(t.location) {
		n.found(t, Flaw{Kind: FlawHint, File: filepath.Join(filepath.Dir(catalog.Path(t.location)), "version-hint.text"),
			Detail: "it does not lead to " + path.Base(t.location)})
	}
	for f := range t.meta.PreviousFiles() {
		n.whole(t, FlawMetadata, f.MetadataFile)
	}
	seen := map[string]bool{}
	current := t.meta.CurrentSnapshot()
	for _, s := range t.meta.Snapshots() {
		if err := ctx.Err(); err != nil {
			return err
		}
		n.snapshot(ctx, t, &s, seen, current != nil && s.SnapshotID == current.SnapshotID)
	}
	if current == nil {
		t.listed = true
	}
	n.registered(t)
	return nil
}

// hinted says whether a table's hint leads to its metadata.
func (n *Inspection) hinted(location string) bool {
	dir := filepath.Dir(catalog.Path(location))
	hint, err := n.io.ReadFile(filepath.Join(dir, "version-hint.text"))
	if err != nil {
		return false
	}
	if string(hint) == strings.TrimSuffix(path.Base(location), ".metadata.json") {
		return true
	}
	linked, err := n.io.ReadFile(filepath.Join(dir, "v"+string(hint)+".metadata.json"))
	if err != nil {
		return false
	}
	data, err := n.io.ReadFile(location)
	return err == nil && string(data) == string(linked)
}

// snapshot looks at a snapshot and everything it names that was not seen before.
func (n *Inspection) snapshot(ctx context.Context, t *inspected, s *table.Snapshot, seen map[string]bool, current bool) {
	sound := n.once(t, FlawMetadata, s.ManifestList, seen)
	if side := sideOf(t.meta, s); side != "" {
		sound = n.once(t, FlawMetadata, side, seen) && sound
		if current && sound {
			n.side(t, side)
		}
	}
	manifests, err := []iceberg.ManifestFile(nil), error(nil)
	if sound {
		if manifests, err = s.Manifests(n.io); err != nil {
			n.found(t, Flaw{Kind: FlawMetadata, File: catalog.Path(s.ManifestList), Detail: err.Error()})
			sound = false
		}
	}
	deletes := map[string]iceberg.DataFile{}
	for _, m := range manifests {
		if ctx.Err() != nil {
			return
		}
		if known := seen[m.FilePath()]; !n.once(t, FlawMetadata, m.FilePath(), seen) {
			sound = false
			continue
		} else if known && !current {
			continue
		}
		for e, err := range m.Entries(n.io, true) {
			if err != nil {
				n.found(t, Flaw{Kind: FlawMetadata, File: catalog.Path(m.FilePath()), Detail: err.Error()})
				sound, t.bad[m.FilePath()] = false, true
				break
			}
			n.entry(ctx, t, e, seen, current, deletes)
			if t.bad[e.DataFile().FilePath()] {
				t.tainted[m.FilePath()] = true
			}
		}
	}
	tainted := slices.ContainsFunc(manifests, func(m iceberg.ManifestFile) bool { return t.tainted[m.FilePath()] })
	t.broken[s.SnapshotID] = !sound || tainted
	if !sound {
		return
	}
	if current {
		t.listed = true
		t.settle(deletes)
	}
}

// entry looks at one file that a manifest names.
func (n *Inspection) entry(ctx context.Context, t *inspected, e iceberg.ManifestEntry, seen map[string]bool, current bool, deletes map[string]iceberg.DataFile) {
	df := e.DataFile()
	location := df.FilePath()
	if !seen[location] {
		if n.once(t, FlawData, location, seen) {
			n.content(ctx, t, df, current)
		}
	}
	if !current || n.survey.Whole && n.register[location].Location == "" {
		return // of others
	}
	tenant := seek(location).tenant
	switch {
	case t.Noun == nil:
		if _, s, ok := segmentOf(df); ok {
			t.events[tenant] = append(t.events[tenant], s)
		}
	case df.ContentType() == iceberg.EntryContentData:
		f := newDataFile(df)
		f.past = t.pastAt(e.SequenceNum())
		t.files[tenant] = append(t.files[tenant], f)
	default:
		deletes[deletesOf(df)] = df
	}
}

// settle orders what was found in the current snapshot.
func (t *inspected) settle(deletes map[string]iceberg.DataFile) {
	for _, of := range t.events {
		slices.SortFunc(of, func(a, b segment) int { return int(a.first - b.first) })
	}
	for _, of := range t.files {
		for i := range of {
			of[i].mark(deletes[of[i].location])
		}
		slices.SortFunc(of, func(a, b dataFile) int { return strings.Compare(a.location, b.location) })
	}
}

// sideOf gives the location of a snapshot's side file; empty for one that is not ours.
func sideOf(meta table.Metadata, s *table.Snapshot) string {
	if s.Summary == nil || s.Summary.Properties[seqsProperty] == "" {
		return ""
	}
	return meta.Location() + "/metadata/" + s.Summary.Properties[seqsProperty]
}

// side compares the side file of the current snapshot with catalog.db.
func (n *Inspection) side(t *inspected, location string) {
	data, err := n.io.ReadFile(location)
	var f sideFile
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err != nil || f.Format != 1 || f.Table != t.Name {
		n.found(t, Flaw{Kind: FlawMetadata, File: catalog.Path(location), Detail: fmt.Sprintf("it is no side file of the table: %v", err)})
		return
	}
	for tenant, seq := range f.Seqs {
		if p := n.row(t.Name, tenant); p.Seq > 0 && p.Seq < seq && t.Noun == nil {
			n.found(t, Flaw{Kind: FlawCatalog, Tenant: tenant, File: catalog.Path(location), Seq: p.Seq,
				Detail: fmt.Sprintf("catalog.db says that %d is published, the snapshot holds %d", p.Seq, seq)})
		}
	}
}

// once looks at a file once and says whether it is whole.
func (n *Inspection) once(t *inspected, kind FlawKind, location string, seen map[string]bool) bool {
	if seen[location] {
		return !t.bad[location]
	}
	seen[location] = true
	return n.whole(t, kind, location)
}

// whole says whether a file is there and as it was written, as far as the register knows, and reports it if not.
func (n *Inspection) whole(t *inspected, kind FlawKind, location string) bool {
	size, err := n.compare(location)
	n.cfg.Bytes(size)
	if err != nil {
		t.bad[location] = true
		n.found(t, Flaw{Kind: kind, File: catalog.Path(location), Detail: err.Error()})
	}
	return err == nil
}

func (n *Inspection) compare(location string) (size int64, err error) {
	f, err := n.io.Open(location)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return n.register[location].Compare(f)
}

// registered compares the register with what the current snapshot names.
func (n *Inspection) registered(t *inspected) {
	if !n.survey.Whole || !t.listed {
		return
	}
	named := map[string]bool{}
	for _, of := range t.events {
		for _, s := range of {
			named[s.location] = true
		}
	}
	for _, of := range t.files {
		for _, f := range of {
			for _, location := range f.locations() {
				named[location] = true
			}
		}
	}
	for location, e := range n.register {
		if e.Table == t.Name && e.Removed == 0 && e.Gone == 0 && strings.HasSuffix(location, ".parquet") && !named[location] {
			n.found(t, Flaw{Kind: FlawMetadata, File: catalog.Path(location), Detail: "it is current in the register, but not in the table"})
		}
	}
}

// orphans looks for files of ours that nothing has ever named. Those of the last hour may be on their way; those that are
// younger than the process that opened the folder last, its successor will find.
func (n *Inspection) orphans(ctx context.Context) error {
	info, err := n.cfg.FS.Stat(filepath.Join(n.cfg.Dir, "lock"))
	if err != nil || !n.survey.Whole {
		return nil
	}
	limit := n.cfg.Now().Add(-n.cfg.Window)
	if info.ModTime().After(limit) { // the process may not have come to it
		return nil
	}
	for _, t := range n.tables {
		root := filepath.Join(n.cfg.Dir, "warehouse", "iceberg", t.Name)
		queue := []string{filepath.Join(root, "metadata"), filepath.Join(root, "data")}
		for len(queue) > 0 {
			dir := queue[0]
			queue = queue[1:]
			entries, err := n.cfg.FS.ReadDir(dir)
			if err != nil {
				continue // no such folder: what is missing there is told elsewhere
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			for _, e := range entries {
				name := filepath.Join(dir, e.Name())
				if e.IsDir() {
					queue = append(queue, name)
					continue
				}
				known := n.register["file://"+filepath.ToSlash(name)].Location != ""
				if known || !t.wrote(e.Name()) {
					continue
				}
				if f, err := e.Info(); err == nil && f.ModTime().Before(info.ModTime()) {
					n.found(t, Flaw{Kind: FlawOrphan, File: name, Detail: "nothing names it since " + f.ModTime().UTC().Format(time.RFC3339)})
				}
			}
		}
	}
	return nil
}
