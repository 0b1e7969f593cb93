package lakehouse

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
)

// Sizes of noun files. Below, files of like size are merged (a tier holds rows of one order of magnitude), so that a row is
// written again about once for each order, and a tenant has a few files for each. Above, a file is left until a part of
// its rows is deleted: each deleted row is read and left out by every reader.
const (
	compactBytes = 64 << 20 // a file of this size is large, whatever its rows
	dirtyPart    = 10       // one of so many rows is deleted: the file is written again
	dirtyLeast   = 1000     // rows of a file that is written again for its deleted rows alone
	compactMost  = 64       // files written together: each is open meanwhile
)

// compactor is the chore that keeps the files of large tenants' noun tables few and clean. It rewrites a few files aside, in
// bounded memory, while the publisher goes on; rows that change meanwhile are marked as deleted in the new file by the
// commit that brings it.
type compactor struct {
	shop    *workshop
	ledger  *ledger
	waiting int
}

func newCompactor(shop *workshop, l *ledger) *compactor { return &compactor{shop: shop, ledger: l} }

func (c *compactor) name() string { return "compact" }

func (c *compactor) backlog() int { return c.waiting }

// work rewrites the files of one tenant's noun table: of those that need it, the one with the most to gain.
func (c *compactor) work(ctx context.Context) (*proposal, error) {
	next := c.choose()
	if next == nil {
		return nil, nil
	}
	return next.prepare(ctx)
}

// choose finds the compaction that rids readers of most files, and counts the others. A file with many deleted rows counts
// as several.
func (c *compactor) choose() *compaction {
	var best *compaction
	score := 0
	c.waiting = 0
	for tenant, at := range c.ledger.standings() {
		for name, shelf := range at.nouns {
			t := c.shop.nouns[name]
			files := c.shop.cfg.compacts(shelf.files)
			if t == nil || len(files) == 0 {
				continue
			}
			c.waiting++
			gain := len(files)
			for _, f := range files {
				if f.dirty() {
					gain += 10
				}
			}
			if gain > score {
				best, score = &compaction{shop: c.shop, table: t, tenant: tenant, sources: files}, gain
			}
		}
	}
	return best
}

// dirty says whether so many rows are deleted that the file is written again for them.
func (f dataFile) dirty() bool { return f.rows >= dirtyLeast && f.deleted*dirtyPart >= f.rows }

// tier is the order of magnitude of a file's rows.
func (f dataFile) tier() int {
	n := 0
	for rows := f.live(); rows >= 10; rows /= 10 {
		n++
	}
	return n
}

// compacts picks the files to be put together, or written again alone; none where all is well.
func (c Config) compacts(files []dataFile) []dataFile {
	if len(files) < c.CompactFiles && !slices.ContainsFunc(files, dataFile.dirty) {
		return nil
	}
	files = slices.SortedFunc(slices.Values(files), func(a, b dataFile) int { return cmp.Compare(a.live(), b.live()) })
	if dirtiest := slices.IndexFunc(files, dataFile.dirty); dirtiest >= 0 {
		return c.withSmaller(files, dirtiest)
	}
	small := slices.DeleteFunc(files, func(f dataFile) bool {
		return f.live()*2 >= int64(c.CompactRows) || f.bytes >= compactBytes
	})
	count := map[int]int{} // by tier
	full := -1             // the highest tier with enough files
	for _, f := range small {
		if count[f.tier()]++; count[f.tier()] >= c.CompactFiles {
			full = f.tier()
		}
	}
	return c.upTo(slices.DeleteFunc(small, func(f dataFile) bool { return f.tier() > full }))
}

// withSmaller gives a file with the smaller ones that are worth no more than a tenth of it.
func (c Config) withSmaller(files []dataFile, i int) []dataFile {
	taken := []dataFile{files[i]}
	var rows int64
	for _, f := range files {
		rows += f.live()
		if rows*10 > files[i].live() || len(taken) == compactMost {
			break
		}
		taken = append(taken, f)
	}
	return taken
}

// upTo takes files, smallest first, until they make a large one.
func (c Config) upTo(files []dataFile) []dataFile {
	var rows int64
	for i, f := range files {
		if rows += f.live(); rows >= int64(c.CompactRows) || i+1 == compactMost {
			return files[:i+1]
		}
	}
	return files
}

// compaction puts a tenant's files of a noun table together.
type compaction struct {
	shop    *workshop
	table   *Table
	tenant  string
	sources []dataFile // as they were when it began

	before []*roaring.Bitmap // deleted positions of the sources then
	moved  [][]uint32        // new position of each row of the sources; gone where it has none
	file   iceberg.DataFile  // nil: no row was left
	marks  iceberg.DataFile  // the new file's deletes, written at the commit; nil: none
}

// prepare writes the new file.
func (c *compaction) prepare(ctx context.Context) (*proposal, error) {
	for _, f := range c.sources {
		deleted, err := c.shop.deletedOf(ctx, f)
		if err != nil {
			return nil, fmt.Errorf("compact %s of %s: %w", c.table.Name, c.tenant, err)
		}
		c.before = append(c.before, deleted)
	}
	if err := c.merge(ctx); err != nil {
		return nil, fmt.Errorf("compact %s of %s: %w", c.table.Name, c.tenant, err)
	}
	return &proposal{table: c.table, tenants: []string{c.tenant}, check: c.check, done: c.done}, nil
}

// check builds the edit: the new file for the old ones, and what was deleted in those since they were read. The rows of the
// table stay the same.
func (c *compaction) check(now current) ([]edit, error) {
	shelf := now.standing(c.tenant).nouns[c.table.Noun.Name]
	e := edit{operation: table.OpReplace}
	since := roaring.New()
	for i, source := range c.sources {
		at := slices.IndexFunc(shelf.files, func(f dataFile) bool { return f.location == source.location })
		if at < 0 {
			return nil, fmt.Errorf("%w: %s", errStale, source.location)
		}
		deleted, err := c.shop.deletedOf(context.Background(), shelf.files[at])
		if err != nil {
			return nil, err
		}
		for positions := roaring.AndNot(deleted, c.before[i]).Iterator(); positions.HasNext(); {
			since.Add(c.moved[i][positions.Next()])
		}
		e.removes = append(e.removes, shelf.files[at].locations()...)
	}
	if c.file == nil {
		return []edit{e}, nil
	}
	if int64(since.GetCardinality()) == c.file.Count() {
		return nil, fmt.Errorf("%w: all rows of %s have changed", errStale, c.file.FilePath())
	}
	e.adds = append(e.adds, c.file)
	err := c.mark(since)
	if c.marks != nil {
		e.adds = append(e.adds, c.marks)
	}
	return []edit{e}, err
}

// mark writes the deletes of the new file, in place of those of an attempt before.
func (c *compaction) mark(deleted *roaring.Bitmap) (err error) {
	if c.marks != nil {
		c.shop.remove([]string{c.marks.FilePath()})
		c.marks = nil
	}
	if deleted.IsEmpty() {
		return nil
	}
	c.marks, err = c.shop.writeDeletes(c.table, c.tenant, newDataFile(c.file), deleted)
	return err
}

// done removes what was written for nothing.
func (c *compaction) done(committed bool) {
	for _, f := range []iceberg.DataFile{c.file, c.marks} {
		if f != nil && !committed {
			c.shop.remove([]string{f.FilePath()})
			c.shop.forget([]string{f.FilePath()})
		}
	}
}

// placement is where the new file goes.
func (c *compaction) placement() placement {
	return placement{tenant: c.tenant, name: fmt.Sprintf("%s-merged-%s.parquet", c.table.Name, uuid.New())}
}

// standings gives what is published of every tenant.
func (l *ledger) standings() map[string]*standing {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return maps.Clone(l.tenants)
}
