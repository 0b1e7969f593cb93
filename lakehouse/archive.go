package lakehouse

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
)

// Bounds on what is kept of the events table for those who read single events of it. All of it can be read again.
const (
	archiveVolumeBytes = 16 << 20 // which files hold the events of a tenant
	archiveFooterBytes = 32 << 20 // footers of these files
	archiveIndexBytes  = 96 << 20 // where in a row group an entity's events are: 12 bytes an event
)

// archive reads the events of tenants from the events table: for tenants whose logs have let them go. What it gives is the log's,
// byte for byte. It is safe for concurrent use.
//
// A file holds neighbours in seq of one tenant and day, so a seq tells the file, the row group and the row. Within a row group
// an index of targets, made when it is first asked for and kept, tells the rows of an entity; before it is made, the bloom filter
// tells whether it is worth while. Then the pages are read that hold the rows, by the files' page index.
type archive struct {
	table *Table
	cat   *catalog.Catalog
	files FS
	mem   memory.Allocator

	volumes *kept[[]volume] // by tenant: its files in the current snapshot when it was last looked at, in order of seq
	footers *kept[*footer]  // by location, of files whose content has been checked
	indexes *kept[*index]   // by location and row group
}

// volume is one file of a tenant's events: all from first to last.
type volume struct {
	segment
	date arrow.Date32
}

func newArchive(t *Table, cat *catalog.Catalog, files FS, mem memory.Allocator) *archive {
	return &archive{table: t, cat: cat, files: files, mem: mem, volumes: newKept[[]volume](archiveVolumeBytes),
		footers: newKept[*footer](archiveFooterBytes), indexes: newKept[*index](archiveIndexBytes)}
}

// ReadEvents calls yield with the events of a range from the events table, in its order; Upto is given, and published. An error
// of yield ends it and is returned. The events are the log's, byte for byte, and may be kept. ErrGap where the table lacks one,
// ErrDamaged where a file is not what was written.
func (l *Lake) ReadEvents(ctx context.Context, tenant string, r Range, yield func(*Event) error) error {
	left, enough := r.Limit, false
	err := l.archive.read(ctx, tenant, r, func(e *Event) error {
		if err := yield(e); err != nil {
			return err
		}
		if left--; left == 0 {
			enough = true
			return errFull
		}
		return nil
	})
	if err == nil || enough {
		return nil
	}
	return fmt.Errorf("read events of %s: %w", tenant, err)
}

// FindEvents gives the events with these seqs from the events table, in the order asked, as ReadEvents does.
func (l *Lake) FindEvents(ctx context.Context, tenant string, seqs []int64) ([]*Event, error) {
	out := make([]*Event, len(seqs))
	order := make([]int, len(seqs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int { return cmp.Compare(seqs[i], seqs[j]) })
	for len(order) > 0 {
		n := 0
		err := l.archive.within(ctx, tenant, seqs[order[0]], func(v volume) (err error) {
			for n = 0; n < len(order) && seqs[order[n]] <= v.last; n++ {
			}
			wanted := make([]int64, n)
			for i, at := range order[:n] {
				wanted[i] = seqs[at] - v.first
			}
			return l.archive.rows(ctx, v, wanted, func(i int, e *Event) { out[order[i]] = e })
		})
		if err != nil {
			return nil, fmt.Errorf("find events of %s: %w", tenant, err)
		}
		order = order[n:]
	}
	return out, nil
}

// EventAt gives the seq of the last of a tenant's events up to a seq, which is published, that is stamped at or before an instant,
// in milliseconds; 0 if there is none.
func (l *Lake) EventAt(ctx context.Context, tenant string, upto, at int64) (seq int64, err error) {
	if upto <= 0 {
		return 0, nil
	}
	all, err := l.archive.covering(ctx, tenant, upto)
	if err != nil {
		return 0, fmt.Errorf("find event of %s: %w", tenant, err)
	}
	day := arrow.Date32(dayOf(&Event{Timestamp: at}))
	i := sort.Search(len(all), func(i int) bool { return all[i].date > day || all[i].first > upto }) - 1
	for ; i >= 0; i-- {
		if all[i].date < day {
			return min(upto, all[i].last), nil
		}
		err := l.archive.within(ctx, tenant, all[i].first, func(v volume) (err error) { seq, err = l.archive.lastAt(ctx, v, at); return err })
		if err != nil {
			return 0, fmt.Errorf("find event of %s: %w", tenant, err)
		}
		if seq > 0 {
			return min(upto, seq), nil
		}
	}
	return 0, nil
}

// Tagged gives the seq up to which the events table holds the tenant's log in a snapshot that a daily or monthly tag names; 0
// if none does.
func (l *Lake) Tagged(ctx context.Context, tenant string) (int64, error) {
	t, err := l.cat.LoadTable(ctx, l.archive.table.ident)
	if err != nil {
		return 0, err
	}
	newest := newestTagged(t.Metadata())
	if newest == nil || newest.Summary == nil {
		return 0, nil
	}
	name := newest.Summary.Properties[seqsProperty]
	if name == "" {
		return 0, nil // not a snapshot of ours
	}
	data, err := l.cat.IO().ReadFile(t.Location() + "/metadata/" + name)
	if err != nil {
		return 0, fmt.Errorf("read side file: %w", err)
	}
	var side sideFile
	if err := json.Unmarshal(data, &side); err != nil {
		return 0, fmt.Errorf("read %s: %w: %w", name, ErrDamaged, err)
	}
	return min(side.Seqs[tenant], l.Published(tenant)), nil
}

// newestTagged gives the last snapshot with a tag of ours; nil if there is none.
func newestTagged(meta table.Metadata) (newest *table.Snapshot) {
	for name := range meta.Refs() {
		if !strings.HasPrefix(name, dayTag) && !strings.HasPrefix(name, monthTag) {
			continue
		}
		if s := meta.SnapshotByName(name); s != nil && (newest == nil || s.SequenceNumber > newest.SequenceNumber) {
			newest = s
		}
	}
	return newest
}

// covering gives the tenant's files when they reach a seq; they are looked up anew where those that are known do not.
func (a *archive) covering(ctx context.Context, tenant string, seq int64) ([]volume, error) {
	if all, found := a.volumes.get(tenant); found && len(all) > 0 && all[len(all)-1].last >= seq {
		return all, nil
	}
	all, err := a.list(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 || all[len(all)-1].last < seq {
		return nil, fmt.Errorf("%w: event %d is not in the events table", ErrGap, seq)
	}
	a.volumes.put(tenant, all, int64(len(all))*200)
	return all, nil
}

// list reads from the manifests which files hold the tenant's events, and that none is missing.
func (a *archive) list(ctx context.Context, tenant string) ([]volume, error) {
	t, err := a.cat.LoadTable(ctx, a.table.ident)
	if err != nil {
		return nil, err
	}
	snapshot := t.CurrentSnapshot()
	if snapshot == nil {
		return nil, nil
	}
	manifests, err := snapshot.Manifests(a.cat.IO())
	if err != nil {
		return nil, err
	}
	var all []volume
	for _, m := range manifests {
		if !mayHold(m, tenant) {
			continue
		}
		for e, err := range m.Entries(a.cat.IO(), true) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return nil, fmt.Errorf("read manifest %s: %w", path.Base(m.FilePath()), err)
			}
			file := e.DataFile()
			key, s, ours := segmentOf(file)
			if ours && key.tenant == tenant && file.ContentType() == iceberg.EntryContentData && file.Count() == s.last-s.first+1 {
				all = append(all, volume{s, key.date})
			}
		}
	}
	slices.SortFunc(all, func(x, y volume) int { return cmp.Compare(x.first, y.first) })
	next := int64(1)
	for _, v := range all {
		if v.first != next {
			return nil, fmt.Errorf("%w: the events table has %s where event %d should be", ErrGap, path.Base(v.location), next)
		}
		next = v.last + 1
	}
	return all, nil
}

// mayHold says whether a manifest of events may name files of a tenant, by its bounds.
func mayHold(m iceberg.ManifestFile, tenant string) bool {
	bounds := m.Partitions()
	if len(bounds) == 0 || bounds[0].LowerBound == nil || bounds[0].UpperBound == nil {
		return true
	}
	return string(*bounds[0].LowerBound) <= tenant && tenant <= string(*bounds[0].UpperBound)
}

// within calls do with the file that holds a seq. Files that were folded into others since they were listed may have gone: then
// they are listed again.
func (a *archive) within(ctx context.Context, tenant string, seq int64, do func(volume) error) error {
	for again := false; ; again = true {
		all, err := a.covering(ctx, tenant, seq)
		if err != nil {
			return err
		}
		i := sort.Search(len(all), func(i int) bool { return all[i].last >= seq })
		if i == len(all) || all[i].first > seq {
			return fmt.Errorf("%w: event %d is not in the events table", ErrGap, seq)
		}
		if _, err = a.files.Stat(catalog.Path(all[i].location)); err == nil { // the tenant may be another one under the same name
			err = do(all[i])
		}
		if again || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		a.volumes.remove(tenant)
	}
}

// read calls yield with the events of a range.
func (a *archive) read(ctx context.Context, tenant string, r Range, yield func(*Event) error) error {
	after, upto := r.After, r.Upto
	for after < upto {
		next := after + 1
		if r.Desc {
			next = upto
		}
		done := next // the last one that was given, or looked at
		err := a.within(ctx, tenant, next, func(v volume) error {
			low, high := max(after+1, v.first), min(upto, v.last)
			if r.Desc {
				high = min(high, done)
			} else {
				low = max(low, done)
			}
			part := stretch{low - v.first, high - v.first, r.Desc, r.Limit}
			given := func(e *Event) error {
				if done = e.Seq + 1; r.Desc {
					done = e.Seq - 1
				}
				return yield(e)
			}
			var err error
			if r.Target != "" {
				err = a.readTarget(ctx, v, part, r, given)
			} else {
				err = a.readStretch(ctx, v, part, r.Noun, given)
			}
			if err == nil {
				done = high + 1
				if r.Desc {
					done = low - 1
				}
			}
			return err
		})
		if err != nil {
			return err
		}
		if r.Desc {
			upto = done
		} else {
			after = done - 1
		}
	}
	return nil
}
