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

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"headless.ly/catalog"
)

// ErrUnrecoverable is wrapped where what is damaged stands nowhere else.
var ErrUnrecoverable = errors.New("cannot be recovered")

// Lock is the lock of a data folder that is not opened as a Lake.
type Lock struct{ *lock }

// TakeLock takes a data folder's lock. ErrLocked where another process has the folder.
func TakeLock(dir string) (Lock, error) {
	l, err := takeLock(dir)
	return Lock{l}, err
}

// Release gives the lock back.
func (l Lock) Release() error { return l.release() }

// Truth is what a lake is mended from: the tenants' logs, as far as they are whole.
type Truth interface {
	// Events yields a tenant's events from one seq to another, all of them, in order; ErrUnrecoverable where one is missing.
	Events(ctx context.Context, tenant string, from, upto int64, yield func(*Event) error) error
	// Live yields the last events up to a seq of the entities of a noun that live then, in order of id. ErrUnrecoverable where
	// the log does not hold them all.
	Live(ctx context.Context, tenant, noun string, upto int64, yield func(*Event) error) error
}

// Mending mends tables by what an Inspection found. The caller holds the folder's lock. New files are written and synced
// beside the old ones, which stay; one transaction of catalog.db makes them current.
type Mending struct {
	n     *Inspection
	db    *catalog.Database
	cat   *catalog.Catalog
	truth Truth
	keep  func(path string) error // keeps a damaged file from going
}

// OpenMending opens catalog.db to mend what n found. keep is called with the path of every damaged file before it stops
// being current. step hears the steps of publishing; it may be nil.
func OpenMending(ctx context.Context, n *Inspection, truth Truth, keep func(path string) error, step func(string)) (*Mending, error) {
	db, err := catalog.OpenDatabase(ctx, catalog.Config{Dir: n.cfg.Dir, FS: n.cfg.FS, VFS: n.cfg.VFS, Step: step})
	if err != nil {
		return nil, err
	}
	return &Mending{n: n, db: db, cat: db.Iceberg(), truth: truth, keep: keep}, nil
}

// Close closes catalog.db.
func (m *Mending) Close() error { return m.db.Close() }

// Hint writes a table's hint anew.
func (m *Mending) Hint(name string) error {
	for _, t := range m.n.tables {
		if t.Name == name {
			return m.cat.Hint(t.location)
		}
	}
	return nil
}

// Adopt enters orphans among the files that maintenance removes.
func (m *Mending) Adopt(ctx context.Context, name string, paths []string) error {
	for i, p := range paths {
		paths[i] = "file://" + filepath.ToSlash(p)
	}
	return m.cat.Adopt(ctx, name, paths, m.n.cfg.Now().UnixMilli())
}

// DropView takes a view out of the catalog, so that it is made anew; its metadata is kept.
func (m *Mending) DropView(ctx context.Context, ident table.Identifier) error {
	location, err := m.cat.Pointer(ctx, ident, catalog.KindView)
	if err == nil {
		err = m.keep(catalog.Path(location))
	}
	if err == nil {
		_, err = m.cat.Drop(ctx, ident, catalog.KindView)
	}
	return err
}

// Events mends the events table: its metadata, and the files of tenants that are damaged, lacking or among the suspects,
// which are paths. It gives an error for each tenant whose files stay as they are, and one for all where nothing was done.
func (m *Mending) Events(ctx context.Context, suspects map[string]bool, tenants []string) error {
	t := m.n.tables[0]
	w := &work{m: m, t: t, drop: map[string]bool{}}
	if err := w.gather(ctx); err != nil {
		return err
	}
	return w.each(ctx, tenants, func(tenant string) error { return w.events(ctx, tenant, suspects) })
}

// Noun mends a noun's table: its metadata, and the rows of tenants, which are written anew.
func (m *Mending) Noun(ctx context.Context, name string, tenants []string) error {
	for _, t := range m.n.tables[1:] {
		if t.Name != name {
			continue
		}
		w := &work{m: m, t: t, drop: map[string]bool{}}
		if err := w.gather(ctx); err != nil {
			return err
		}
		return w.each(ctx, tenants, func(tenant string) error { return w.noun(ctx, tenant) })
	}
	return fmt.Errorf("there is no table %s", name)
}

// work is the mending of one table.
type work struct {
	m    *Mending
	t    *inspected
	base table.Metadata // what the next metadata is made from
	held []placed       // files of the table that are there
	made []iceberg.DataFile
	drop map[string]bool // locations of files that go
}

// each mends the files of tenants, and of those that have damaged ones, and makes the result current. A tenant that cannot be
// mended keeps its files; where a manifest cannot be read that names a damaged one of them, the whole table stays.
func (w *work) each(ctx context.Context, tenants []string, mend func(tenant string) error) error {
	for location := range w.t.bad {
		if tenant := seek(location).tenant; tenant != "" {
			tenants = append(tenants, tenant)
		}
	}
	slices.Sort(tenants)
	var lost []error
	without := len(w.drop) > 0
	for _, tenant := range slices.Compact(tenants) {
		if err := mend(tenant); err != nil {
			lost = append(lost, fmt.Errorf("%s of %s: %w", w.t.Name, tenant, err))
		}
	}
	if without && len(lost) > 0 || ctx.Err() != nil {
		w.discard(w.made)
		return errors.Join(append(lost, ctx.Err())...)
	}
	return errors.Join(append(lost, w.commit(ctx))...)
}

// placed is a file with the sequence number that its rows have.
type placed struct {
	file iceberg.DataFile
	seq  int64
}

// gather finds the table's current files: those that manifests name, and where a manifest cannot be read, those that the
// register has.
func (w *work) gather(ctx context.Context) error {
	if w.t.location == "" {
		return fmt.Errorf("%w: catalog.db does not have the table %s", ErrUnrecoverable, w.t.Name)
	}
	var err error
	if w.base, err = w.latest(); err != nil {
		return err
	}
	found := map[string]bool{}
	whole := w.t.meta != nil
	if whole {
		whole = w.manifests(found)
	}
	if whole {
		return nil
	}
	if !w.m.n.survey.Whole {
		return fmt.Errorf("%w: the register does not know all files of %s", ErrUnrecoverable, w.t.Name)
	}
	for _, e := range w.m.n.survey.Files {
		if e.Table != w.t.Name || e.Removed != 0 || e.Gone != 0 || !strings.HasSuffix(e.Location, ".parquet") || found[e.Location] {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := w.m.n.compare(e.Location); err != nil {
			w.t.bad[e.Location], w.drop[e.Location] = true, true
			if err := w.lose(e.Location); err != nil {
				return err
			}
			continue
		}
		df, err := w.describe(ctx, e.Location)
		if err != nil {
			return err
		}
		w.held = append(w.held, placed{df, e.Added})
	}
	w.know()
	return nil
}

// know tells the inspection which files there are, where it could not find out by itself.
func (w *work) know() {
	w.t.events, w.t.files = map[string][]segment{}, map[string][]dataFile{}
	deletes := map[string]iceberg.DataFile{}
	for _, p := range w.held {
		tenant := seek(p.file.FilePath()).tenant
		switch {
		case w.t.Noun == nil:
			if _, s, ok := segmentOf(p.file); ok {
				w.t.events[tenant] = append(w.t.events[tenant], s)
			}
		case p.file.ContentType() == iceberg.EntryContentData:
			w.t.files[tenant] = append(w.t.files[tenant], newDataFile(p.file))
		default:
			deletes[deletesOf(p.file)] = p.file
		}
	}
	w.t.settle(deletes)
}

// lose keeps a damaged file for whoever wants to look at it.
func (w *work) lose(location string) error { return w.m.keep(catalog.Path(location)) }

// manifests takes the files that the current snapshot's manifests name, and says whether all could be read.
func (w *work) manifests(found map[string]bool) (whole bool) {
	s := w.t.meta.CurrentSnapshot()
	if s == nil {
		return true
	}
	if w.t.bad[s.ManifestList] {
		return false
	}
	list, err := s.Manifests(w.m.n.io)
	if err != nil {
		return false
	}
	whole = true
	for _, m := range list {
		if w.t.bad[m.FilePath()] {
			whole = false
			continue
		}
		for e, err := range m.Entries(w.m.n.io, true) {
			if err != nil {
				whole = false
				break
			}
			if location := e.DataFile().FilePath(); !found[location] {
				found[location] = true
				w.held = append(w.held, placed{e.DataFile(), e.SequenceNum()})
			}
		}
	}
	return whole
}

// latest gives the metadata that the next is made from: the current one, or the newest before it that can be read, or that of
// an empty table. Snapshots that cannot be read whole are left out, and so is the current one, which the next replaces.
func (w *work) latest() (table.Metadata, error) {
	meta, last := w.t.meta, int64(0)
	for _, e := range w.m.n.survey.Files {
		if e.Table == w.t.Name {
			last = max(last, e.Added)
		}
	}
	if meta == nil {
		if err := w.lose(w.t.location); err != nil {
			return nil, err
		}
		meta = w.earlier()
	}
	if meta == nil {
		var err error
		if meta, err = catalog.NewMetadata(w.t.schema, w.t.spec, w.m.cat.TableLocation(w.t.ident), properties()); err != nil {
			return nil, err
		}
	}
	return w.strip(meta, last)
}

// earlier gives the newest metadata of the table before the current one; nil where none can be read.
func (w *work) earlier() table.Metadata {
	var names []string
	for _, e := range w.m.n.survey.Files {
		if e.Table == w.t.Name && strings.HasSuffix(e.Location, ".metadata.json") && e.Location != w.t.location {
			names = append(names, e.Location)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(path.Base(b), path.Base(a)) })
	for _, name := range names {
		if _, err := w.m.n.compare(name); err != nil {
			continue
		}
		data, err := w.m.n.io.ReadFile(name)
		if err != nil {
			continue
		}
		if meta, err := table.ParseMetadataBytes(data); err == nil {
			return meta
		}
	}
	return nil
}

// strip takes out of metadata what the next one must not name.
func (w *work) strip(meta table.Metadata, last int64) (table.Metadata, error) {
	data, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	gone := func(id int64) bool { return w.t.broken[id] }
	if w.t.meta == nil { // what its snapshots name was not looked at
		gone = func(int64) bool { return true }
	}
	delete(fields, "current-snapshot-id")
	delete(fields, "snapshot-log")
	filter := func(key, member string, drop func(json.RawMessage) bool) error {
		var all, stay []json.RawMessage
		if len(fields[key]) == 0 {
			return nil
		}
		if err := json.Unmarshal(fields[key], &all); err != nil {
			return err
		}
		for _, one := range all {
			var of map[string]json.RawMessage
			if err := json.Unmarshal(one, &of); err != nil {
				return err
			}
			if !drop(of[member]) {
				stay = append(stay, one)
			}
		}
		fields[key], err = json.Marshal(stay)
		return err
	}
	number := func(raw json.RawMessage) bool {
		var id int64
		return json.Unmarshal(raw, &id) != nil || gone(id)
	}
	text := func(raw json.RawMessage) bool {
		var name string
		return json.Unmarshal(raw, &name) != nil || w.t.bad[name]
	}
	var refs map[string]json.RawMessage
	if len(fields["refs"]) > 0 {
		if err := json.Unmarshal(fields["refs"], &refs); err != nil {
			return nil, err
		}
	}
	for name, ref := range meta.Refs() {
		if name == table.MainBranch || gone(ref.SnapshotID) {
			delete(refs, name)
		}
	}
	fields["refs"], err = json.Marshal(refs)
	if err := errors.Join(err, filter("snapshots", "snapshot-id", number), filter("metadata-log", "metadata-file", text)); err != nil {
		return nil, err
	}
	if last = max(last, meta.LastSequenceNumber()); last > 0 {
		fields["last-sequence-number"], _ = json.Marshal(last)
	}
	if data, err = json.Marshal(fields); err != nil {
		return nil, err
	}
	return table.ParseMetadataBytes(data)
}

// describe describes a file of the table, which is whole, by its footer.
func (w *work) describe(ctx context.Context, location string) (iceberg.DataFile, error) {
	f, err := w.m.n.io.Open(location)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	pr, err := file.NewParquetReader(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path.Base(location), err)
	}
	defer pr.Close()
	at := seek(location)
	if at.tenant == "" || w.t.Noun == nil && at.date == nil {
		return nil, fmt.Errorf("%w: %s is in no partition", ErrUnrecoverable, location)
	}
	p := placement{tenant: at.tenant, name: path.Base(location)}
	if at.date != nil {
		p.date = arrow.Date32(*at.date)
	}
	if !strings.HasPrefix(p.name, w.t.Name+"-deletes-") {
		return w.t.characterize(location, p, pr.MetaData(), info.Size())
	}
	of, err := deletedFile(ctx, w.m.n.io, location)
	if err != nil {
		return nil, err
	}
	return w.t.characterizeDeletes(location, p, of, pr.MetaData(), info.Size())
}

// remove drops a file of the table.
func (w *work) remove(location string) error {
	if w.drop[location] {
		return nil
	}
	w.drop[location] = true
	if w.t.bad[location] {
		return w.lose(location)
	}
	return nil
}

// events writes a tenant's files of the events table anew where they are damaged, lacking or suspect.
func (w *work) events(ctx context.Context, tenant string, suspects map[string]bool) error {
	type hole struct{ from, upto int64 }
	var holes []hole
	var drop []string
	next, upto := int64(1), w.m.n.Published(tenant)
	for _, s := range w.t.events[tenant] {
		if w.t.bad[s.location] || suspects[catalog.Path(s.location)] || s.first < next || s.last > upto {
			drop = append(drop, s.location)
			continue
		}
		if s.first > next {
			holes = append(holes, hole{next, s.first - 1})
		}
		next = s.last + 1
	}
	if next <= upto {
		holes = append(holes, hole{next, upto})
	}
	var made []iceberg.DataFile
	for _, h := range holes {
		files, err := w.fill(ctx, tenant, h.from, h.upto)
		made = append(made, files...)
		if err != nil {
			w.discard(made)
			return err
		}
	}
	w.made = append(w.made, made...)
	for _, location := range drop {
		if err := w.remove(location); err != nil {
			return err
		}
	}
	return nil
}

// mendBytes bounds the events that are held for one file.
const mendBytes = 64 << 20

// fill writes events as files of one day each, and of bounded size.
func (w *work) fill(ctx context.Context, tenant string, from, upto int64) (made []iceberg.DataFile, err error) {
	var held []*Event
	size := 0
	write := func() error {
		if len(held) == 0 {
			return nil
		}
		rows := w.t.eventRows(tenant, held, w.m.n.mem)
		defer rows.Release()
		p := placement{tenant: tenant, date: arrow.Date32(dayOf(held[0])),
			name: fmt.Sprintf("events-%d-%d-%s.parquet", held[0].Seq, held[len(held)-1].Seq, uuid.New())}
		f, err := w.t.writeFile(w.m.cat.IO(), w.m.cat.TableLocation(w.t.ident), p, rows, w.m.n.mem)
		if err == nil {
			made = append(made, f)
		}
		held, size = nil, 0
		return err
	}
	err = w.m.truth.Events(ctx, tenant, from, upto, func(e *Event) error {
		if len(held) > 0 && (dayOf(e) != dayOf(held[0]) || size >= mendBytes) {
			if err := write(); err != nil {
				return err
			}
		}
		held, size = append(held, e), size+weight(e)
		return nil
	})
	if err == nil {
		err = write()
	}
	return made, err
}

// noun writes a tenant's rows of a noun's table anew, as one file.
func (w *work) noun(ctx context.Context, tenant string) error {
	stands := w.m.n.Stands(tenant)[w.t.Noun.Name]
	p := placement{tenant: tenant, name: fmt.Sprintf("%s-%d-%s.parquet", w.t.Name, stands, uuid.New())}
	var count int64
	made, err := w.t.fillFile(w.m.cat.IO(), w.m.cat.TableLocation(w.t.ident), p, rowGroupRows, func(to *pqarrow.FileWriter) error {
		v := &vessel{table: w.t.Table, file: to, mem: w.m.n.mem}
		var rows [][]any
		pour := func() error {
			if len(rows) == 0 {
				return nil
			}
			batch, err := w.t.nounRows(tenant, rows, w.m.n.mem)
			if err != nil {
				return err
			}
			defer batch.Release()
			count, rows = count+int64(len(rows)), nil
			return v.addRows(batch)
		}
		err := w.m.truth.Live(ctx, tenant, w.t.Noun.Name, stands, func(e *Event) error {
			row, err := Row(w.t.Noun, e)
			if err != nil {
				return err
			}
			if rows = append(rows, row); len(rows) == streamRows {
				return pour()
			}
			return nil
		})
		if err != nil {
			return err
		}
		return pour()
	}, w.m.n.mem)
	if err != nil {
		return err
	}
	if count == 0 {
		w.discard([]iceberg.DataFile{made})
	} else {
		w.made = append(w.made, made)
	}
	for _, f := range w.t.files[tenant] {
		for _, location := range f.locations() {
			if err := w.remove(location); err != nil {
				return err
			}
		}
	}
	for _, p := range w.held { // deletes of files that are damaged themselves
		if seek(p.file.FilePath()).tenant == tenant {
			if err := w.remove(p.file.FilePath()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *work) discard(files []iceberg.DataFile) {
	for _, f := range files {
		_ = w.m.cat.IO().Remove(f.FilePath()) // an orphan if it stays
	}
}

// commit makes the table of the files that stay and those that were made, in one snapshot.
func (w *work) commit(ctx context.Context) error {
	name, x := w.t.Name, w.m.cat.IO()
	for location := range w.t.bad {
		if err := w.lose(location); err != nil {
			return err
		}
	}
	e := edit{operation: table.OpOverwrite, sequence: map[string]int64{}}
	if len(w.made) == 0 {
		e.operation = table.OpReplace
	}
	for _, p := range w.held {
		if !w.drop[p.file.FilePath()] {
			e.adds = append(e.adds, p.file)
			e.sequence[p.file.FilePath()] = p.seq
		}
	}
	e.adds = append(e.adds, w.made...)
	side, err := writeSide(x, w.base.Location(), name, w.seqs())
	if err != nil {
		return err
	}
	e.summary = iceberg.Properties{seqsProperty: path.Base(side)}
	p := &producer{table: w.t.Table, io: x, now: w.m.n.cfg.Now, model: &model{base: w.t.location}}
	made, err := p.produce(table.New(w.t.ident, w.base, w.t.location, nil, nil), []edit{e})
	if err != nil {
		return err
	}
	made.written = append(made.written, side)
	commit := made.commit
	if made.snapshots == 0 { // an empty table
		_ = x.Remove(side)
	}
	staged, err := w.m.cat.StageOn(w.t.location, w.base, commit)
	if err != nil {
		made.discard(x)
		return fmt.Errorf("mend %s: %w", name, err)
	}
	staged.Register = w.register(made, staged.Metadata, side)
	if err := w.m.cat.Swap(ctx, []*catalog.Staged{staged}, nil); err != nil {
		if !errors.Is(err, catalog.ErrUnsettled) {
			w.m.cat.Discard(staged)
			made.discard(x)
		}
		return fmt.Errorf("mend %s: %w", name, err)
	}
	return w.m.cat.Hint(staged.Location)
}

// register gives what the register learns: which files are new, and which nothing names any more.
func (w *work) register(made *product, meta table.Metadata, side string) catalog.Register {
	known := w.m.n.register
	r := catalog.Register{Now: w.m.n.cfg.Now().UnixMilli()}
	for _, e := range made.files.Added {
		if known[e.Location].Location == "" {
			r.Added = append(r.Added, e)
		}
	}
	next := meta.LastSequenceNumber()
	if made.snapshots > 0 {
		bytes, hash := w.m.cat.IO().Written(side)
		r.Added = append(r.Added, catalog.Entry{Location: side, Added: next, Removed: next + 1, Bytes: bytes, Hash: hash})
	}
	named := map[string]bool{}
	for _, p := range w.held {
		named[p.file.FilePath()] = !w.drop[p.file.FilePath()]
	}
	for f := range meta.PreviousFiles() {
		named[f.MetadataFile] = true
	}
	for _, e := range w.m.n.survey.Files {
		switch {
		case e.Table != w.t.Name || e.Gone != 0 || e.Removed != 0 || named[e.Location]:
		case strings.HasSuffix(e.Location, ".metadata.json"):
			r.Gone = append(r.Gone, e.Location)
		default:
			r.Removed = append(r.Removed, catalog.Removal{Location: e.Location, Seq: next})
		}
	}
	stays := []int64{0}
	for _, s := range meta.Snapshots() {
		stays = append(stays, s.SequenceNumber)
	}
	slices.Sort(stays)
	for i := range len(stays) - 1 {
		r.Gaps = append(r.Gaps, catalog.Gap{After: stays[i], Before: stays[i+1]})
	}
	return r
}

// seqs gives the seqs at which the table stands, by tenant.
func (w *work) seqs() map[string]int64 {
	out := map[string]int64{}
	for _, tenant := range w.m.n.Tenants() {
		if w.t.Noun == nil {
			out[tenant] = w.m.n.Published(tenant)
		} else if seq, found := w.m.n.Stands(tenant)[w.t.Noun.Name]; found {
			out[tenant] = seq
		}
	}
	return out
}
