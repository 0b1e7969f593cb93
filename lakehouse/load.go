package lakehouse

import (
	"context"
	"fmt"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"golang.org/x/sync/errgroup"

	"headless.ly/catalog"
)

// loadTables gives the Iceberg table of every declared one, in their order. Those that are missing are made, all in one
// transaction; those that exist become as declared.
func (l *Lake) loadTables(ctx context.Context) ([]*table.Table, error) {
	if err := l.makeTables(ctx); err != nil {
		return nil, err
	}
	loaded := make([]*table.Table, len(l.tables))
	g, loading := errgroup.WithContext(ctx)
	g.SetLimit(l.cfg.workers())
	for i, t := range l.tables {
		g.Go(func() error {
			found, err := l.cat.LoadTable(loading, t.ident)
			if err != nil {
				return err
			}
			loaded[i] = found
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	if err := l.evolve(ctx, loaded); err != nil {
		return nil, err
	}
	return loaded, l.hintTables(loaded)
}

// hintTables writes the hints that are missing or stale.
func (l *Lake) hintTables(loaded []*table.Table) error {
	var g errgroup.Group
	g.SetLimit(l.cfg.workers())
	for _, t := range loaded {
		g.Go(func() error {
			if l.cat.Hinted(t.MetadataLocation()) {
				return nil
			}
			return l.cat.Hint(t.MetadataLocation())
		})
	}
	return g.Wait()
}

// makeTables makes the tables that do not exist, empty.
func (l *Lake) makeTables(ctx context.Context) error {
	exists := map[string]bool{}
	for ident, err := range l.cat.ListTables(ctx, table.Identifier{catalog.Namespace}) {
		if err != nil {
			return err
		}
		exists[ident[len(ident)-1]] = true
	}
	var missing []*Table
	for _, t := range l.tables {
		if !exists[t.Name] {
			missing = append(missing, t)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	staged := make([]*catalog.Staged, len(missing))
	var g errgroup.Group
	g.SetLimit(l.cfg.workers())
	for i, t := range missing {
		g.Go(func() error {
			meta, err := catalog.NewMetadata(t.schema, t.spec, l.cat.TableLocation(t.ident), properties())
			if err != nil {
				return err
			}
			staged[i], err = l.cat.StageNew(t.ident, meta)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("make tables: %w", err)
	}
	if err := l.cat.Swap(ctx, staged, nil); err != nil {
		return fmt.Errorf("make tables: %w", err)
	}
	return nil
}

// loadStandings reads what is published of every tenant: seqs from catalog.db, files from the tables' manifests.
func (l *Lake) loadStandings(ctx context.Context, loaded []*table.Table) (map[string]*standing, error) {
	files, err := l.loadFiles(ctx, loaded)
	if err != nil {
		return nil, err
	}
	published, err := l.db.Published(ctx)
	if err != nil {
		return nil, err
	}
	declared := map[string]int{}
	for i, t := range l.tables {
		declared[t.Name] = i
	}
	tenants := map[string]*standing{}
	for _, p := range published {
		if tenants[p.Tenant] == nil {
			tenants[p.Tenant] = &standing{nouns: map[string]shelf{}}
		}
		if p.Table == eventsTable {
			tenants[p.Tenant].seq = p.Seq
		}
	}
	for _, p := range published {
		if i := declared[p.Table]; i > 0 {
			s := tenants[p.Tenant]
			s.nouns[l.tables[i].Noun.Name] = shelf{seq: p.Seq, changed: lastChange(p, s.seq), files: files[i][p.Tenant]}
		}
	}
	return tenants, l.forget(ctx, published, declared)
}

// loadFiles reads the manifests of the noun tables: for each table the data files by tenant. The manifests of events are not
// read: nothing needs its files by name.
func (l *Lake) loadFiles(ctx context.Context, loaded []*table.Table) ([]map[string][]dataFile, error) {
	files := make([]map[string][]dataFile, len(loaded))
	var g errgroup.Group
	g.SetLimit(l.cfg.workers())
	for i, t := range loaded[1:] {
		g.Go(func() error {
			ours, err := l.registered(ctx, l.tables[i+1].Name)
			if err != nil {
				return err
			}
			var aliens int
			files[i+1], aliens, err = readManifests(l.tables[i+1], t, l.cat.IO(), ours)
			if aliens > 0 {
				l.cfg.Logger.Warn("a table has files of others, which stay and are not read", "table", l.tables[i+1].Name, "files", aliens)
			}
			return err
		})
	}
	return files, g.Wait()
}

// registered gives the files of ours that are current in a table; nil where an older version may have written others.
func (l *Lake) registered(ctx context.Context, name string) (map[string]bool, error) {
	if whole, err := l.cat.RegisterIsWhole(ctx); err != nil || !whole {
		return nil, err
	}
	entries, err := l.cat.Files(ctx, name)
	if err != nil {
		return nil, err
	}
	ours := make(map[string]bool, len(entries))
	for _, e := range entries {
		ours[e.Location] = true
	}
	return ours, nil
}

// readManifests gives the files of a noun's table by tenant, each with the file of its deleted positions, of those that are
// ours, and counts the others.
func readManifests(declared *Table, t *table.Table, x *catalog.IO, ours map[string]bool) (files map[string][]dataFile, aliens int, err error) {
	files = map[string][]dataFile{}
	snapshot := t.CurrentSnapshot()
	if snapshot == nil {
		return files, 0, nil
	}
	deletes := map[string]iceberg.DataFile{} // by the data file that they are about
	err = eachFile(snapshot, x, func(e iceberg.ManifestEntry) error {
		df := e.DataFile()
		if ours != nil && !ours[df.FilePath()] {
			aliens++
			return nil
		}
		tenant, ok := df.Partition()[partitionTenant].(string)
		switch {
		case !ok:
		case df.ContentType() == iceberg.EntryContentData:
			f := newDataFile(df)
			f.past = declared.pastAt(e.SequenceNum())
			files[tenant] = append(files[tenant], f)
			return nil
		case df.ContentType() == iceberg.EntryContentPosDeletes:
			if of := deletesOf(df); of != "" && deletes[of] == nil {
				deletes[of] = df
				return nil
			}
		}
		return fmt.Errorf("%s is not a file of ours", df.FilePath())
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read manifests of %s: %w", declared.Name, err)
	}
	for _, of := range files {
		for i := range of {
			of[i].mark(deletes[of[i].location])
		}
	}
	return files, aliens, nil
}

// eachFile calls do with the live files of a snapshot.
func eachFile(snapshot *table.Snapshot, x *catalog.IO, do func(iceberg.ManifestEntry) error) error {
	manifests, err := snapshot.Manifests(x)
	if err != nil {
		return err
	}
	for _, m := range manifests {
		for e, err := range m.Entries(x, true) {
			if err == nil {
				err = do(e)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
