package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

// Erased counts what erasing a tenant has removed from the lake.
type Erased struct {
	Files     int   // data and delete files
	Bytes     int64 // of them
	Metadata  int   // files of the tables' metadata that named the tenant, or might have
	Snapshots int   // of all tenants: none may lead back
}

// Holding lists the tables that hold, or have held, anything of a tenant.
func (l *Lake) Holding(ctx context.Context, tenant string) ([]string, error) {
	published, err := l.db.Published(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, p := range published {
		if p.Tenant == tenant {
			found[p.Table] = true
		}
	}
	for _, t := range l.tables { // others may have written to the tenant's partitions
		if _, err := l.cfg.FS.Stat(l.partition(t, tenant)); err == nil {
			found[t.Name] = true
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}

// partition is the folder of a table that holds a tenant's files and nobody else's.
func (l *Lake) partition(t *Table, tenant string) string {
	return filepath.Join(catalog.Path(l.cat.TableLocation(t.ident)), "data", "tenant="+tenant)
}

// Erase removes a tenant from tables: its rows, in one commit, with every snapshot, tag and branch from before; then the files that
// held them, and all metadata that named it. What is current of other tenants stays in the files that it is in. Readers of the
// snapshots that go find their files missing. The tenant has a tombstone, and nothing reads its log. Erase may be called again, and
// is, after a crash; it works before Start, too, and beside publishing.
func (l *Lake) Erase(ctx context.Context, tenant string, tables []string) (Erased, error) {
	var out Erased
	err := l.alone(ctx, func(p *publisher) (err error) {
		out, err = (&eraser{lake: l, publisher: p, tenant: tenant}).run(ctx, tables)
		return err
	})
	if err != nil {
		return out, fmt.Errorf("erase %s from the lake: %w", tenant, err)
	}
	return out, nil
}

// Apart runs do while nothing is published, prepared or maintained.
func (l *Lake) Apart(ctx context.Context, do func() error) error {
	return l.alone(ctx, func(*publisher) error { return do() })
}

// alone is Apart for what works on the tables.
func (l *Lake) alone(ctx context.Context, do func(*publisher) error) error {
	l.mu.Lock()
	p, m := l.publisher, l.maintainer
	l.mu.Unlock()
	if p == nil {
		return do(newPublisher(l, nil))
	}
	return ask(ctx, m.requests, m.stopped, func() error {
		return ask(ctx, p.requests, p.stopped, func() error { return do(p) })
	})
}

// eraser is one run of Erase.
type eraser struct {
	lake      *Lake
	publisher *publisher
	tenant    string
	out       Erased
}

func (e *eraser) run(ctx context.Context, names []string) (Erased, error) {
	if err := e.publisher.settle(ctx); err != nil {
		return e.out, err
	}
	var tables []*Table
	for _, t := range e.lake.tables {
		if slices.Contains(names, t.Name) {
			tables = append(tables, t)
		}
	}
	for attempt := 1; ; attempt++ {
		err := e.commit(ctx, tables)
		if err == nil {
			break
		}
		if !errors.Is(err, catalog.ErrConflict) || attempt == commitAttempts {
			return e.out, err
		}
	}
	e.forget()
	if err := e.publisher.hint(); err != nil {
		return e.out, err
	}
	for _, t := range tables {
		if err := e.sweep(ctx, t); err != nil {
			return e.out, fmt.Errorf("%s: %w", t.Name, err)
		}
	}
	return e.out, nil
}

// purge is one table's part of the commit.
type purge struct {
	staged    *catalog.Staged
	made      *product
	snapshots int // that go
}

// commit makes tables current that have nothing of the tenant and no past.
func (e *eraser) commit(ctx context.Context, tables []*Table) error {
	var all []purge
	discard := func() {
		for _, p := range all {
			e.publisher.cat.Discard(p.staged)
			p.made.discard(e.publisher.shop.io)
		}
	}
	for _, t := range tables {
		p, err := e.stage(ctx, t)
		if err != nil {
			discard()
			return fmt.Errorf("stage %s: %w", t.Name, err)
		}
		if p.staged != nil {
			all = append(all, p)
		}
	}
	var staged []*catalog.Staged
	for _, p := range all {
		staged = append(staged, p.staged)
	}
	if err := e.publisher.cat.SwapErased(ctx, staged, e.tenant); err != nil {
		if !errors.Is(err, catalog.ErrUnsettled) {
			discard()
		}
		return err
	}
	e.step(catalog.StepPurge)
	for _, p := range all {
		e.out.Snapshots += p.snapshots
		e.publisher.hints[p.staged.Identifier[1]] = p.staged.Location
	}
	return nil
}

// stage writes a table's next metadata: one snapshot of what is left, and nothing before it.
func (e *eraser) stage(ctx context.Context, t *Table) (purge, error) {
	loaded, err := e.publisher.cat.LoadTable(ctx, t.ident)
	if err != nil || loaded.CurrentSnapshot() == nil {
		return purge{}, err
	}
	foreign, err := e.foreign(t, loaded)
	if err != nil {
		return purge{}, err
	}
	name := ""
	if t.Noun != nil {
		name = t.Noun.Name
	}
	seqs := e.lake.ledger.seqs(name)
	delete(seqs, e.tenant)
	side, err := writeSide(e.publisher.shop.io, loaded.Location(), t.Name, seqs)
	if err != nil {
		return purge{}, err
	}
	made, err := e.publisher.producers[t].purge(loaded, e.tenant, iceberg.Properties{seqsProperty: path.Base(side)})
	if err != nil {
		_ = e.publisher.shop.io.Remove(side) // an orphan if it stays
		return purge{}, err
	}
	made.written = append(made.written, side)
	from, until := made.span(loaded.Metadata())
	made.name(e.publisher.shop.io, side, from, until)
	staged, err := e.publisher.cat.StageClean(ctx, made.commit)
	if err != nil {
		made.discard(e.publisher.shop.io)
		return purge{}, err
	}
	made.files.Gone = append(slices.Concat(staged.Register.Gone, foreign), loaded.MetadataLocation())
	staged.Register = made.files
	return purge{staged, made, len(loaded.Metadata().Snapshots())}, nil
}

// foreign lists the files of a table's metadata that bear names of others: by name alone nobody would know them later.
func (e *eraser) foreign(t *Table, loaded *table.Table) ([]string, error) {
	named := map[string]bool{}
	note := func(location string) {
		if location != "" && !t.wrote(path.Base(location)) {
			named[location] = true
		}
	}
	for _, s := range loaded.Metadata().Snapshots() {
		note(s.ManifestList)
		manifests, err := s.Manifests(e.publisher.shop.io)
		if err != nil {
			return nil, err
		}
		for _, m := range manifests {
			note(m.FilePath())
		}
	}
	for s := range loaded.Metadata().Statistics() {
		note(s.StatisticsPath)
	}
	for s := range loaded.Metadata().PartitionStatistics() {
		note(s.StatisticsPath)
	}
	return slices.Sorted(maps.Keys(named)), nil
}

// purge is produce for the one edit that leaves out all files of a tenant, writes every manifest anew, without tombstones, and
// removes every snapshot before.
func (p *producer) purge(t *table.Table, tenant string, summary iceberg.Properties) (*product, error) {
	if err := p.refresh(t); err != nil {
		return nil, err
	}
	s := newSession(p, t.Metadata())
	b := &build{session: s, smalls: map[family]*draft{}, id: s.freshID(), seq: s.meta.LastSequenceNumber() + 1}
	err := b.without(tenant)
	if err == nil {
		err = b.write()
	}
	var list string
	if err == nil {
		list, err = b.list()
	}
	if err != nil {
		s.out.discard(p.io)
		return nil, err
	}
	schema := s.meta.CurrentSchema().ID
	snapshot := &table.Snapshot{SnapshotID: b.id, SequenceNumber: b.seq, TimestampMs: s.stamp(), ManifestList: list,
		Summary: b.count.summary(edit{operation: table.OpDelete, summary: summary}, s.parent()), SchemaID: &schema}
	b.register(edit{}, list)
	s.snapshots = append(s.snapshots, snapshot)
	updates := s.updates()
	for name := range s.meta.Refs() {
		if name != table.MainBranch {
			updates = append(updates, table.NewRemoveSnapshotRefUpdate(name))
		}
	}
	var before []int64
	for _, old := range s.meta.Snapshots() {
		before = append(before, old.SnapshotID)
	}
	updates = append(updates, table.NewRemoveSnapshotsUpdate(before, false))
	s.out.files.Gaps, s.out.files.Now = []catalog.Gap{{Before: b.seq}}, p.now().UnixMilli()
	s.out.commit = table.TableCommit{Identifier: p.table.ident, Requirements: s.requirements(), Updates: updates}
	return s.out, nil
}

// without drafts what is left without a tenant's files.
func (b *build) without(tenant string) error {
	for _, m := range b.model.manifests {
		if m.live() == 0 {
			continue
		}
		entries, err := m.read(b.io)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if of, _ := e.DataFile().Partition()[partitionTenant].(string); of == tenant {
				b.count.remove(e.DataFile())
				b.removed = append(b.removed, e.DataFile().FilePath())
				continue
			}
			b.small(m.family()).add(existing(e))
		}
	}
	return nil
}

// forget drops what this process keeps of the tenant and of the tables' past.
func (e *eraser) forget() {
	p := e.publisher
	for _, made := range p.producers {
		made.model = nil
	}
	p.shop.cache.clear()
	p.shop.positions.clear()
	p.shop.deleted.clear()
	p.folding.forget()
	delete(p.held, e.tenant)
	e.lake.ledger.drop(e.tenant)
	e.lake.health.drop(e.tenant)
}

// forget has the days read anew.
func (f *folding) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loaded, f.days, f.waiting = false, map[dayKey]*day{}, 0
}

// drop forgets a tenant, whose views that are pinned lose their files.
func (l *ledger) drop(tenant string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.tenants, tenant)
	delete(l.views, tenant)
	delete(l.behind, tenant)
	delete(l.old, tenant)
}

func (h *health) drop(tenant string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.tenants, tenant)
}

// sweep removes the tenant's files of a table, and the metadata that is not of the table as it is now.
func (e *eraser) sweep(ctx context.Context, t *Table) error {
	folder := e.lake.partition(t, e.tenant)
	if err := e.removeAll(folder); err != nil {
		return err
	}
	loaded, err := e.publisher.cat.LoadTable(ctx, t.ident)
	if err != nil {
		return err
	}
	keep, err := e.named(loaded)
	if err != nil {
		return err
	}
	gone, err := e.publisher.cat.PastMetadata(ctx, t.Name)
	if err != nil {
		return err
	}
	dir := filepath.Join(catalog.Path(loaded.Location()), "metadata")
	entries, err := e.lake.cfg.FS.ReadDir(dir)
	if err != nil {
		return err
	}
	past := map[string]bool{}
	for _, location := range gone {
		past[catalog.Path(location)] = true
	}
	for _, f := range entries {
		full := filepath.Join(dir, f.Name())
		if t.wrote(f.Name()) && !catalog.Newer(f.Name(), loaded.MetadataLocation()) || catalog.OldLink(f.Name(), loaded.MetadataLocation()) {
			past[full] = true
		}
	}
	for _, full := range slices.Sorted(maps.Keys(past)) {
		if keep[full] {
			continue
		}
		if err := e.remove(full); err != nil {
			return err
		}
		e.out.Metadata++
	}
	if err := e.lake.cfg.FS.SyncDir(dir); err != nil {
		return err
	}
	gone = slices.DeleteFunc(gone, func(location string) bool { return keep[catalog.Path(location)] })
	return e.publisher.cat.Strike(ctx, t.Name, gone)
}

// named gives the paths of the metadata that a table is made of now: whatever is current has come after the erasing commit.
func (e *eraser) named(loaded *table.Table) (map[string]bool, error) {
	keep := map[string]bool{catalog.Path(loaded.MetadataLocation()): true}
	for previous := range loaded.Metadata().PreviousFiles() {
		keep[catalog.Path(previous.MetadataFile)] = true
	}
	for _, s := range loaded.Metadata().Snapshots() {
		keep[catalog.Path(s.ManifestList)] = true
		if s.Summary != nil && s.Summary.Properties[seqsProperty] != "" {
			keep[filepath.Join(catalog.Path(loaded.Location()), "metadata", s.Summary.Properties[seqsProperty])] = true
		}
		manifests, err := s.Manifests(e.publisher.shop.io)
		if err != nil {
			return nil, err
		}
		for _, m := range manifests {
			keep[catalog.Path(m.FilePath())] = true
			if err := e.holdsNone(m); err != nil {
				return nil, err
			}
		}
	}
	return keep, nil
}

// holdsNone looks for the tenant in a manifest that stays, entries of removed files included.
func (e *eraser) holdsNone(m iceberg.ManifestFile) error {
	for entry, err := range m.Entries(e.publisher.shop.io, false) {
		if err != nil {
			return err
		}
		if of, _ := entry.DataFile().Partition()[partitionTenant].(string); of == e.tenant {
			return fmt.Errorf("%w: %s has been published again", catalog.ErrConflict, path.Base(entry.DataFile().FilePath()))
		}
	}
	return nil
}

// removeAll removes a folder of the tenant.
func (e *eraser) removeAll(dir string) error {
	files := e.lake.cfg.FS
	entries, err := files.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range entries {
		full := filepath.Join(dir, f.Name())
		if f.IsDir() {
			if err := e.removeAll(full); err != nil {
				return err
			}
			continue
		}
		if info, err := files.Stat(full); err == nil {
			e.out.Files++
			e.out.Bytes += info.Size()
		}
		if err := e.remove(full); err != nil {
			return err
		}
	}
	if err := files.Remove(dir); err != nil {
		return err
	}
	e.publisher.shop.io.Forget(dir)
	return files.SyncDir(filepath.Dir(dir))
}

// step tells that a step of erasing is done.
func (e *eraser) step(s catalog.Step) {
	if e.lake.cfg.Step != nil {
		e.lake.cfg.Step(string(s))
	}
}

// remove removes a file; one that is not there is no error.
func (e *eraser) remove(full string) error {
	if err := e.lake.cfg.FS.Remove(full); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	e.step(catalog.StepSweep)
	return nil
}
