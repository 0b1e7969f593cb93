package lakehouse

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"headless.ly/catalog"
)

// errStale is wrapped where an edit has been overtaken: a file it removes is not live any more, or nobody wants it now.
var errStale = errors.New("change has been overtaken")

// edit is what one snapshot changes of one table. A commit may hold several edits of a table, applied in order: each
// becomes a snapshot, all become current together in one swap.
type edit struct {
	operation table.Operation    // append: only adds of data; replace: same rows in other files; delete; overwrite: all else
	adds      []iceberg.DataFile // data files and position-delete files (ContentType says which)
	removes   []string           // locations of live data or delete files that go; errStale if one is not live
	lenient   bool               // removed files that are not live any more are passed over
	sequence  map[string]int64   // data sequence number of an added file by location, where it is not the snapshot's own
	summary   iceberg.Properties // of the snapshot, beside what is counted; the commit sets it
}

func (e edit) empty() bool { return len(e.adds) == 0 && len(e.removes) == 0 }

// producer makes the snapshots of one table. It remembers the table's manifests, so that an append opens none of them and
// a removal only those that hold the files. One goroutine uses it at a time.
type producer struct {
	table *Table
	io    *catalog.IO
	now   func() time.Time
	model *model // of what was current when last looked; nil: not read yet
}

// product is what edits come to: manifests on disk, which nothing names yet, and the commit that names them.
type product struct {
	commit    table.TableCommit
	model     *model // of the table once the commit is current; its base is not set
	snapshots int
	written   []string // locations of the files written
	files     catalog.Register
}

// discard removes the files of a product that is definitely not current, as far as it can.
func (p *product) discard(x *catalog.IO) {
	for _, location := range p.written {
		_ = x.Remove(location) // an orphan if it stays
	}
}

// produce writes the manifests of edits on top of t, and gives the commit that makes them current. On an error it leaves
// no files.
func (p *producer) produce(t *table.Table, edits []edit) (*product, error) {
	if v := t.Metadata().Version(); v != 2 {
		return nil, fmt.Errorf("%s has format version %d: %w", p.table.Name, v, iceberg.ErrNotImplemented)
	}
	if err := p.refresh(t); err != nil {
		return nil, err
	}
	s := newSession(p, t.Metadata())
	for _, e := range edits {
		if err := s.apply(e); err != nil {
			s.out.discard(p.io)
			return nil, err
		}
	}
	s.out.model = s.model
	kept := retain(s.meta, s.snapshots)
	s.out.files.Gaps, s.out.files.Void, s.out.files.Now = kept.gaps, kept.void, p.now().UnixMilli()
	s.out.commit = table.TableCommit{Identifier: p.table.ident, Requirements: s.requirements(), Updates: append(s.updates(), kept.updates()...)}
	return s.out, nil
}

// refresh reads the table's manifest list, unless the model is of that metadata already.
func (p *producer) refresh(t *table.Table) error {
	if p.model != nil && p.model.base == t.MetadataLocation() {
		return nil
	}
	m, err := readModel(t, p.io)
	if err != nil {
		return err
	}
	p.model = m
	return nil
}

// adopt takes note that a product has become current, as the metadata at location.
func (p *producer) adopt(made *product, location string) {
	p.model = made.model
	p.model.base = location
}

// session is one run of produce.
type session struct {
	*producer
	meta      table.Metadata
	model     *model // after the edits so far
	out       *product
	snapshots []*table.Snapshot
}

func newSession(p *producer, meta table.Metadata) *session {
	return &session{producer: p, meta: meta, model: &model{manifests: p.model.manifests}, out: &product{}}
}

// parent is the snapshot that the next one follows; nil: the table is empty.
func (s *session) parent() *table.Snapshot {
	if n := len(s.snapshots); n > 0 {
		return s.snapshots[n-1]
	}
	return s.meta.CurrentSnapshot()
}

// stamp gives the next snapshot's time: never before what the table has seen, whatever the clock does.
func (s *session) stamp() int64 { return max(s.now().UnixMilli(), s.meta.LastUpdatedMillis()) }

// apply writes one edit's snapshot. An edit that changes nothing makes none.
func (s *session) apply(e edit) error {
	b := &build{session: s, smalls: map[family]*draft{}, id: s.freshID(), seq: s.meta.LastSequenceNumber() + int64(len(s.snapshots)) + 1}
	if err := b.take(e); err != nil {
		return err
	}
	if b.count.empty() {
		return nil
	}
	if err := b.merge(); err != nil {
		return err
	}
	if err := b.write(); err != nil {
		return err
	}
	list, err := b.list()
	if err != nil {
		return err
	}
	schema := s.meta.CurrentSchema().ID
	snapshot := &table.Snapshot{SnapshotID: b.id, SequenceNumber: b.seq, TimestampMs: s.stamp(), ManifestList: list,
		Summary: b.count.summary(e, s.parent()), SchemaID: &schema}
	if parent := s.parent(); parent != nil {
		id := parent.SnapshotID
		snapshot.ParentSnapshotID = &id
	}
	s.snapshots = append(s.snapshots, snapshot)
	b.register(e, list)
	s.model = &model{manifests: b.manifests()}
	return nil
}

// freshID gives a snapshot id that the table does not have.
func (s *session) freshID() int64 {
	for {
		id := rand.Int64()
		if id != 0 && s.meta.SnapshotByID(id) == nil {
			return id
		}
	}
}

// requirements hold the table to be the one that the edits were made for, at the snapshot they follow.
func (s *session) requirements() []table.Requirement {
	var at *int64
	if current := s.meta.CurrentSnapshot(); current != nil {
		id := current.SnapshotID
		at = &id
	}
	return []table.Requirement{table.AssertTableUUID(s.meta.TableUUID()), table.AssertRefSnapshotID(table.MainBranch, at)}
}

// updates add the snapshots and make the last one current.
func (s *session) updates() []table.Update {
	var updates []table.Update
	for _, snapshot := range s.snapshots {
		updates = append(updates, table.NewAddSnapshotUpdate(snapshot))
	}
	if last := len(s.snapshots) - 1; last >= 0 {
		updates = append(updates, table.NewSetSnapshotRefUpdate(table.MainBranch, s.snapshots[last].SnapshotID, table.BranchRef, 0, 0, 0))
	}
	return updates
}

// name enters a file into the register: snapshots name it from one sequence number on until before another; 0: for now.
func (p *product) name(x *catalog.IO, location string, from, until int64) {
	bytes, hash := x.Written(location)
	p.files.Added = append(p.files.Added, catalog.Entry{Location: location, Added: from, Removed: until, Bytes: bytes, Hash: hash})
}

// span gives the first sequence number of the product's snapshots, and the one after the last.
func (p *product) span(meta table.Metadata) (from, until int64) {
	from = meta.LastSequenceNumber() + 1
	return from, from + int64(p.snapshots)
}

// create writes one durable file of the metadata folder and gives its location and size.
func (s *session) create(name string, write func(io.Writer) error) (location string, size int64, err error) {
	location = s.meta.Location() + "/metadata/" + name
	if err := s.io.WriteWith(location, write); err != nil {
		return "", 0, fmt.Errorf("write %s: %w", name, err)
	}
	s.out.written = append(s.out.written, location)
	size, _ = s.io.Written(location)
	return location, size, nil
}

// build is one snapshot being put together.
type build struct {
	*session
	id, seq int64
	drafts  []*draft          // manifests to be written
	smalls  map[family]*draft // of drafts: those that gather what is little
	keep    []*manifest       // manifests that stay as they are
	made    []*manifest       // the drafts, written
	removed []string          // locations of the files that go
	count   count
}

// register notes which files the snapshot names for the first time, and which it does not name any more.
func (b *build) register(e edit, list string) {
	out := b.out
	out.snapshots++
	out.name(b.io, list, b.seq, b.seq+1)
	for _, f := range e.adds {
		out.name(b.io, f.FilePath(), b.seq, 0)
	}
	for _, m := range b.made {
		out.name(b.io, m.file.FilePath(), b.seq, 0)
	}
	for _, location := range b.removed {
		out.files.Removed = append(out.files.Removed, catalog.Removal{Location: location, Seq: b.seq})
	}
	for _, m := range b.model.manifests {
		if !slices.Contains(b.keep, m) {
			out.files.Removed = append(out.files.Removed, catalog.Removal{Location: m.file.FilePath(), Seq: b.seq})
		}
	}
}

// manifests gives those of the snapshot, its own first.
func (b *build) manifests() []*manifest { return slices.Concat(b.made, b.keep) }

// list writes the manifest list.
func (b *build) list() (location string, err error) {
	var parent *int64
	if p := b.parent(); p != nil {
		parent = &p.SnapshotID
	}
	files := make([]iceberg.ManifestFile, 0, len(b.made)+len(b.keep))
	for _, m := range b.manifests() {
		files = append(files, m.file)
	}
	name := fmt.Sprintf("list-%s.avro", uuid.New())
	location, _, err = b.create(name, func(w io.Writer) error {
		return iceberg.WriteManifestList(b.meta.Version(), w, b.id, parent, &b.seq, 0, files)
	})
	return location, err
}
