package lakehouse

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"
)

// When a tenant's files of a noun table are written anew, and when they are left and a delta is added: a file of the rows
// that changed, and for every file that held one of them its deleted positions.
//
// Writing anew costs about 3 µs for each row of the table, and leaves one clean file. A delta costs about 1 ms for each file
// that it touches or makes, and work for compaction later. Below Config.ReplaceRows a delta is no gain. Above, it is while
// it changes little; a table of replaceMost rows is written in some 150 ms, which is as long as one may hold up the others.
const (
	replacePart = 10     // of so many rows one is changed: the rest is worth writing again
	replaceMost = 50_000 // rows, beyond which that takes too long
)

// replaces says whether a number of changes to a tenant's files is published by writing them anew.
func (w *workshop) replaces(from shelf, changes int) bool {
	rows, changed := from.live(), int64(changes)
	if w.cfg.ReplaceRows < 0 {
		return false
	}
	return rows+changed <= int64(w.cfg.ReplaceRows) || rows+changed <= replaceMost && changed*replacePart >= rows
}

// delta publishes changes as a file of their rows and as deleted positions of the files that held them before. Nothing else
// of the table is written, or read but for ids.
func (w *workshop) delta(ctx context.Context, j *job, r *rewrite, changes map[string]*Event) error {
	var fresh arrow.RecordBatch
	decode := func() (err error) { fresh, err = r.table.changed(j.tenant, changes, w.mem); return err }
	if err := w.compute(&r.cost, decode); err != nil {
		return err
	}
	defer fresh.Release()
	deleted, err := w.outdated(ctx, r, changes)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(filesAtOnce)
	written := make([]iceberg.DataFile, len(r.from.files)+1)
	for i, f := range r.from.files {
		if deleted[i] == nil {
			continue
		}
		if f.deletes != "" {
			r.removes = append(r.removes, f.deletes)
		}
		if int64(deleted[i].GetCardinality()) == f.rows {
			r.removes = append(r.removes, f.location)
			continue
		}
		g.Go(func() (err error) { written[i], err = w.writeDeletes(r.table, j.tenant, f, deleted[i]); return err })
	}
	if fresh.NumRows() > 0 {
		g.Go(func() (err error) { written[len(r.from.files)], err = w.appendRows(j, r, fresh); return err })
	}
	err = g.Wait()
	r.adds = slices.DeleteFunc(written, func(f iceberg.DataFile) bool { return f == nil })
	return err
}

// outdated finds the rows of changed entities: for each file its deleted positions with theirs, nil where the file has none.
func (w *workshop) outdated(ctx context.Context, r *rewrite, changes map[string]*Event) ([]*roaring.Bitmap, error) {
	var ids []string
	for id, e := range changes {
		if e.Version > 1 { // the first event of an entity finds no row
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	deleted := make([]*roaring.Bitmap, len(r.from.files))
	order := make([]int, len(r.from.files)) // the largest first: most rows are there, and an entity has one row only
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(r.from.files[b].rows, r.from.files[a].rows) })
	for _, i := range order {
		if len(ids) == 0 {
			break
		}
		var err error
		if ids, deleted[i], err = w.outdatedIn(ctx, r.table, r.from.files[i], ids); err != nil {
			return nil, err
		}
	}
	return deleted, nil
}

// outdatedIn finds the live rows of ids in one file, and gives the other ids back.
func (w *workshop) outdatedIn(ctx context.Context, t *Table, f dataFile, ids []string) (rest []string, deleted *roaring.Bitmap, err error) {
	before, err := w.deletedOf(ctx, f)
	if err != nil {
		return nil, nil, err
	}
	at, err := w.positionsOf(ctx, t, f)
	if err != nil {
		return nil, nil, err
	}
	for _, id := range ids {
		position, found := at.find(id)
		if !found || before.Contains(position) {
			rest = append(rest, id)
			continue
		}
		if deleted == nil {
			deleted = before.Clone()
		}
		deleted.Add(position)
	}
	return rest, deleted, nil
}

// positionsOf gives the positions of a file's ids, from memory or the disk.
func (w *workshop) positionsOf(ctx context.Context, t *Table, f dataFile) (*positions, error) {
	if p, found := w.positions.get(f.location); found {
		return p, nil
	}
	p, err := t.readPositions(ctx, w.io, f.location, w.mem)
	if err != nil {
		return nil, err
	}
	if int64(p.rows) != f.rows {
		return nil, fmt.Errorf("%s has %d rows, not %d", f.location, p.rows, f.rows)
	}
	w.positions.put(f.location, p, p.bytes())
	return p, nil
}

// deletedOf gives the deleted positions of a file, from memory or the disk. They are not to be changed.
func (w *workshop) deletedOf(ctx context.Context, f dataFile) (*roaring.Bitmap, error) {
	if f.deletes == "" {
		return roaring.New(), nil
	}
	if set, found := w.deleted.get(f.deletes); found {
		return set, nil
	}
	set, err := readDeletes(ctx, w.io, f.deletes, f.location, w.mem)
	if err != nil {
		return nil, err
	}
	if int64(set.GetCardinality()) != f.deleted {
		return nil, fmt.Errorf("%s deletes %d rows, not %d", f.deletes, set.GetCardinality(), f.deleted)
	}
	w.deleted.put(f.deletes, set, int64(set.GetSizeInBytes()))
	return set, nil
}

// writeDeletes writes the deleted positions of a file, all of them.
func (w *workshop) writeDeletes(t *Table, tenant string, f dataFile, deleted *roaring.Bitmap) (iceberg.DataFile, error) {
	deleted.RunOptimize()
	p := placement{tenant: tenant, name: fmt.Sprintf("%s-deletes-%s.parquet", t.Name, uuid.New())}
	file, err := t.writeDeletes(w.io, w.location(t), p, f.location, deleted, w.mem)
	if err != nil {
		return nil, err
	}
	w.deleted.put(file.FilePath(), deleted, int64(deleted.GetSizeInBytes()))
	return file, nil
}

// appendRows is writeRows that keeps the rows' positions: the next change to one of them has to find it.
func (w *workshop) appendRows(j *job, r *rewrite, rows arrow.RecordBatch) (iceberg.DataFile, error) {
	at, err := newPositions(ids(rows))
	if err != nil {
		return nil, err
	}
	file, err := w.writeRows(j, r, rows)
	if err != nil {
		return nil, err
	}
	w.positions.put(file.FilePath(), at, at.bytes())
	return file, nil
}

// writeRows writes rows of a rewrite as one data file.
func (w *workshop) writeRows(j *job, r *rewrite, rows arrow.RecordBatch) (iceberg.DataFile, error) {
	p := placement{tenant: j.tenant, name: fmt.Sprintf("%s-%d-%s.parquet", r.table.Name, r.to.seq, uuid.New())}
	var e *encoded
	encode := func() (err error) { e, err = r.table.encodeRows(rows, w.mem); return err }
	if err := w.compute(&r.cost, encode); err != nil {
		return nil, err
	}
	return r.table.storeFile(w.io, w.location(r.table), p, e)
}
