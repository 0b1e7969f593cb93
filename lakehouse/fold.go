package lakehouse

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"headless.ly/catalog"
)

const (
	// foldDays and foldWork bound what one commit folds: so many days of tenants, so many bytes read.
	foldDays = 64
	foldWork = 64 << 20
	// foldCrowd days that can be folded are folded at once; fewer wait foldPatience for company, since each commit costs.
	foldCrowd    = 16
	foldPatience = 10 * time.Second
	// foldSettled is the time after which a day that has passed, and to which nothing came since, is folded for good.
	foldSettled = 10 * time.Minute
)

// dayKey names a partition of events.
type dayKey struct {
	tenant string
	date   arrow.Date32
}

// day holds the live event files of one tenant and date.
type day struct {
	files   []segment // in order of seq
	touched time.Time // when something last came to it; zero: before the start
	due     time.Time // since when it can be folded; zero: it cannot
}

// folding is the chore that folds event files. It knows the days that have several files, or were added to since the start.
type folding struct {
	shop *workshop
	cat  *catalog.Catalog
	now  func() time.Time

	mu       sync.Mutex // guards the fields below
	loaded   bool       // days holds what was published before the start
	days     map[dayKey]*day
	waiting  int
	appended int64 // bytes of event files published since the start
	folded   int64 // bytes that folding wrote since the start
}

func newFolding(shop *workshop, cat *catalog.Catalog, now func() time.Time) *folding {
	return &folding{shop: shop, cat: cat, now: now, days: map[dayKey]*day{}}
}

func (f *folding) name() string { return "fold" }

func (f *folding) backlog() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.waiting
}

// note takes in event files that were published.
func (f *folding) note(files []iceberg.DataFile) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, file := range files {
		f.appended += file.FileSizeBytes()
		f.put(file, f.now())
	}
}

// put adds a file to its day, unless it is there. One that is not named as ours is not folded. The lock is held.
func (f *folding) put(file iceberg.DataFile, touched time.Time) {
	key, s, ok := segmentOf(file)
	if !ok {
		return
	}
	d := f.days[key]
	if d == nil {
		d = &day{}
		f.days[key] = d
	}
	if touched.After(d.touched) {
		d.touched = touched
	}
	at, found := slices.BinarySearchFunc(d.files, s, func(a, b segment) int { return cmp.Compare(a.first, b.first) })
	if !found {
		d.files = slices.Insert(d.files, at, s)
	}
}

// segmentOf reads the partition and, from its name, the seqs of an event file.
func segmentOf(file iceberg.DataFile) (dayKey, segment, bool) {
	tenant, hasTenant := file.Partition()[partitionTenant].(string)
	date, hasDate := file.Partition()[partitionDate].(iceberg.Date)
	s := segment{location: file.FilePath(), bytes: file.FileSizeBytes()}
	n, err := fmt.Sscanf(path.Base(s.location), "events-%d-%d-", &s.first, &s.last)
	return dayKey{tenant, arrow.Date32(date)}, s, hasTenant && hasDate && err == nil && n == 2
}

// work folds days, several in one commit.
func (f *folding) work(ctx context.Context) (*proposal, error) {
	if err := f.load(ctx); err != nil {
		return nil, err
	}
	var folds []*fold
	for _, fd := range f.choose() {
		if err := fd.make(ctx, f.shop); err != nil {
			f.drop(folds)
			return nil, err
		}
		folds = append(folds, fd)
	}
	if len(folds) == 0 {
		return nil, nil
	}
	return &proposal{
		table: f.shop.event,
		check: func(current) ([]edit, error) { return []edit{replacing(folds)}, nil },
		done:  func(committed bool) { f.done(folds, committed) },
	}, nil
}

// load reads from the manifests what was published before, once, and again after somebody else has taken files away.
func (f *folding) load(ctx context.Context) error {
	f.mu.Lock()
	loaded := f.loaded
	f.mu.Unlock()
	if loaded {
		return nil
	}
	t, err := f.cat.LoadTable(ctx, f.shop.event.ident)
	if err != nil {
		return err
	}
	if snapshot := t.CurrentSnapshot(); snapshot != nil {
		err = eachFile(snapshot, f.shop.io, func(e iceberg.ManifestEntry) error {
			if e.DataFile().ContentType() == iceberg.EntryContentData {
				f.mu.Lock()
				f.put(e.DataFile(), time.Time{})
				f.mu.Unlock()
			}
			return ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loaded = true
	return nil
}

// fold is one run of neighbours on its way to becoming one file.
type fold struct {
	key   dayKey
	files []segment
	added iceberg.DataFile
}

// choose picks what is folded now: the days that wait longest first, within foldDays and foldWork.
func (f *folding) choose() []*fold {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	folds := f.candidates(now)
	f.waiting = len(folds)
	since := func(fd *fold) time.Time { return f.days[fd.key].due }
	slices.SortFunc(folds, func(a, b *fold) int {
		return cmp.Or(since(a).Compare(since(b)), strings.Compare(a.key.tenant, b.key.tenant), cmp.Compare(a.key.date, b.key.date))
	})
	if len(folds) == 0 || len(folds) < foldCrowd && now.Sub(since(folds[0])) < foldPatience {
		return nil
	}
	var size int64
	for i, fd := range folds {
		for _, s := range fd.files {
			size += s.bytes
		}
		if i > 0 && (i == foldDays || size > foldWork) {
			return folds[:i]
		}
	}
	return folds
}

// candidates gives a run of every day that can be folded, and forgets days with which nothing is to be done. The lock is
// held.
func (f *folding) candidates(now time.Time) []*fold {
	today := arrow.Date32FromTime(now.UTC())
	var folds []*fold
	for key, d := range f.days {
		settled := key.date < today && now.Sub(d.touched) >= foldSettled
		from, to, ok := foldable(d.files, settled)
		switch {
		case ok && d.due.IsZero():
			d.due = now
		case !ok && settled:
			delete(f.days, key)
		case !ok:
			d.due = time.Time{}
		}
		if ok {
			folds = append(folds, &fold{key: key, files: slices.Clone(d.files[from:to])})
		}
	}
	return folds
}

// make writes the file.
func (fd *fold) make(ctx context.Context, w *workshop) (err error) {
	names := make([]string, len(fd.files))
	for i, s := range fd.files {
		names[i] = s.location
	}
	p := placement{tenant: fd.key.tenant, date: fd.key.date,
		name: fmt.Sprintf("events-%d-%d-%s.parquet", fd.files[0].first, fd.files[len(fd.files)-1].last, uuid.New())}
	fd.added, err = w.event.stitch(ctx, w.io, w.location(w.event), p, names, w.mem)
	return err
}

// replacing is the edit that puts the folded files in the place of those they were made of.
func replacing(folds []*fold) edit {
	e := edit{operation: table.OpReplace}
	for _, fd := range folds {
		e.adds = append(e.adds, fd.added)
		for _, s := range fd.files {
			e.removes = append(e.removes, s.location)
		}
	}
	return e
}

// done takes note of the outcome. Where it was refused, files may have gone: the days are read anew.
func (f *folding) done(folds []*fold, committed bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !committed {
		f.drop(folds)
		f.loaded, f.days = false, map[dayKey]*day{}
		return
	}
	for _, fd := range folds {
		d := f.days[fd.key]
		d.files = slices.DeleteFunc(d.files, func(s segment) bool { return slices.Contains(fd.files, s) })
		d.due = time.Time{}
		f.put(fd.added, time.Time{})
		f.folded += fd.added.FileSizeBytes()
	}
	f.waiting = max(0, f.waiting-len(folds))
}

// drop removes the files of folds that are not committed.
func (f *folding) drop(folds []*fold) {
	for _, fd := range folds {
		_ = f.shop.io.Remove(fd.added.FilePath()) // an orphan if it stays
	}
}

// Folded says how many bytes of event files were published since the start, and how many folding has written again. Their
// ratio plus one is the write amplification of events.
func (l *Lake) Folded() (published, again int64) {
	l.mu.Lock()
	p := l.publisher
	l.mu.Unlock()
	if p == nil {
		return 0, 0
	}
	f := p.folding
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.appended, f.folded
}
