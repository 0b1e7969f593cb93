package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/cespare/xxhash/v2"
)

// scanShare is the share of a row group's rows from which on it is read as a whole, and not row by row.
const scanShare = 16

// footer is what a file of events says of itself.
type footer struct {
	meta   *metadata.FileMetaData
	starts []int64 // the first row of each row group, and how many rows there are
	target int     // the column of targets
}

// group gives the row group that holds a row.
func (f *footer) group(row int64) int {
	return sort.Search(len(f.starts)-1, func(i int) bool { return f.starts[i+1] > row })
}

// footer reads a file's footer. The first time it looks whether the file is what was written.
func (a *archive) footer(ctx context.Context, v volume) (*footer, error) {
	if f, found := a.footers.get(v.location); found {
		return f, nil
	}
	f, err := a.cat.IO().Open(v.location)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := a.check(ctx, v, f); err != nil {
		return nil, err
	}
	pr, err := file.NewParquetReader(f)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path.Base(v.location), err)
	}
	out := &footer{meta: pr.MetaData(), starts: []int64{0}, target: -1}
	for _, g := range out.meta.RowGroups {
		out.starts = append(out.starts, out.starts[len(out.starts)-1]+g.NumRows)
	}
	root := out.meta.Schema.Root()
	for i := range root.NumFields() {
		if int(root.Field(i).FieldID()) == a.table.fieldID("target") {
			out.target = i
		}
	}
	if rows := out.starts[len(out.starts)-1]; rows != v.last-v.first+1 || out.target < 0 {
		return nil, fmt.Errorf("read %s: %w: it has %d rows", path.Base(v.location), ErrDamaged, rows)
	}
	const chunkBytes = 700 // of the footer in memory, for each column of each row group
	a.footers.put(v.location, out, int64(len(out.meta.RowGroups)*root.NumFields()*chunkBytes))
	return out, nil
}

// check compares a file with what the register says of it.
func (a *archive) check(ctx context.Context, v volume, f io.ReaderAt) error {
	entry, found, err := a.cat.File(ctx, a.table.Name, v.location)
	if err != nil || !found || entry.Bytes == 0 { // one that was entered without them
		return err
	}
	h := xxhash.New()
	n, err := io.Copy(h, io.NewSectionReader(f, 0, entry.Bytes+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", path.Base(v.location), err)
	}
	if n != entry.Bytes || h.Sum64() != entry.Hash {
		return fmt.Errorf("read %s: %w", path.Base(v.location), ErrDamaged)
	}
	return nil
}

// open gives a stream of columns of some row groups of a file.
func (a *archive) open(ctx context.Context, v volume, f *footer, fields []int, groups []int, rows int) (*rowStream, error) {
	opened, err := a.cat.IO().Open(v.location)
	if err != nil {
		return nil, err
	}
	s := &rowStream{name: v.location, file: opened, groups: groups, meta: f.meta}
	if err := s.open(ctx, fields, rows, a.mem); err != nil {
		s.close()
		return nil, fmt.Errorf("read %s: %w", path.Base(v.location), err)
	}
	return s, nil
}

// stretch is a run of rows of a file, in either direction; limit bounds the events that are wanted, 0: all.
type stretch struct {
	from, to int64 // counted from 0, both of it
	desc     bool
	limit    int
}

// readStretch calls yield with a run of a file's events, of one noun if it is given.
func (a *archive) readStretch(ctx context.Context, v volume, part stretch, noun string, yield func(*Event) error) error {
	f, err := a.footer(ctx, v)
	if err != nil {
		return err
	}
	if !part.desc {
		return a.forward(ctx, v, f, part.from, part.to, noun, yield)
	}
	block := int64(streamRows)
	if part.limit > 0 && noun == "" {
		block = min(block, int64(part.limit))
	}
	for high := part.to; high >= part.from; {
		low := max(part.from, high-block+1, f.starts[f.group(high)]) // a row group at a time
		var events []*Event
		if err := a.forward(ctx, v, f, low, high, noun, func(e *Event) error { events = append(events, e); return nil }); err != nil {
			return err
		}
		for _, e := range slices.Backward(events) {
			if err := yield(e); err != nil {
				return err
			}
		}
		high = low - 1
	}
	return nil
}

// forward calls yield with the events of rows from first to last, of one noun if it is given.
func (a *archive) forward(ctx context.Context, v volume, f *footer, first, last int64, noun string, yield func(*Event) error) error {
	for group := f.group(first); group < len(f.starts)-1 && f.starts[group] <= last; group++ {
		low, high := max(first, f.starts[group]), min(last, f.starts[group+1]-1)
		s, err := a.open(ctx, v, f, a.table.storedIDs(), []int{group}, streamRows)
		if err != nil {
			return err
		}
		err = a.pour(ctx, s, v, low, high, f.starts[group], func(e *Event) error {
			if noun != "" && e.Entity != noun {
				return nil
			}
			return yield(e)
		})
		s.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// pour calls yield with the events of rows from low to high of a stream of one row group, which begins with row start.
func (a *archive) pour(ctx context.Context, s *rowStream, v volume, low, high, start int64, yield func(*Event) error) error {
	if low > start {
		if err := s.seek(low - start); err != nil {
			return err
		}
	}
	names := interner{}
	for at := low; at <= high; {
		if err := ctx.Err(); err != nil {
			return err
		}
		columns, rows, err := s.next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("read %s: %w: it ends at row %d", path.Base(v.location), ErrDamaged, at)
		}
		if err != nil {
			return err
		}
		for i := 0; i < rows && at <= high; i, at = i+1, at+1 {
			e, err := a.event(columns, i, names)
			if err != nil || e.Seq != v.first+at {
				return fmt.Errorf("read %s: %w: row %d is not event %d", path.Base(v.location), ErrDamaged, at, v.first+at)
			}
			if err := yield(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows gives single events of a file, by their rows in ascending order, with their place in the list.
func (a *archive) rows(ctx context.Context, v volume, rows []int64, give func(int, *Event)) error {
	f, err := a.footer(ctx, v)
	if err != nil {
		return err
	}
	for i := 0; i < len(rows); {
		group := f.group(rows[i])
		n := i
		for n < len(rows) && rows[n] < f.starts[group+1] {
			n++
		}
		err := a.pick(ctx, v, f, group, rows[i:n], func(j int, e *Event) error { give(i+j, e); return nil })
		if err != nil {
			return err
		}
		i = n
	}
	return nil
}

// pick calls yield with the events in rows of one row group, in the order asked.
func (a *archive) pick(ctx context.Context, v volume, f *footer, group int, rows []int64, yield func(int, *Event) error) error {
	s, err := a.open(ctx, v, f, a.table.storedIDs(), []int{group}, 1)
	if err != nil {
		return err
	}
	defer s.close()
	for i, row := range rows {
		if i > 0 || row > f.starts[group] {
			if err := s.seek(row - f.starts[group]); err != nil {
				return err
			}
		}
		if err := a.pour(ctx, s, v, row, row, row, func(e *Event) error { return yield(i, e) }); err != nil {
			return err
		}
	}
	return nil
}

// readTarget calls yield with the events of an entity in a run of a file's rows.
func (a *archive) readTarget(ctx context.Context, v volume, part stretch, r Range, yield func(*Event) error) error {
	f, err := a.footer(ctx, v)
	if err != nil {
		return err
	}
	groups := []int{}
	for g := f.group(part.from); g <= f.group(part.to); g++ {
		groups = append(groups, g)
	}
	if part.desc {
		slices.Reverse(groups)
	}
	for _, g := range groups {
		rows, err := a.find(ctx, v, f, g, r.Target)
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(row int64) bool { return row < part.from || row > part.to })
		if len(rows) == 0 {
			continue
		}
		if part.desc {
			slices.Reverse(rows)
		}
		matches := func(e *Event) error {
			if e.Target != r.Target || r.Noun != "" && e.Entity != r.Noun {
				return nil
			}
			return yield(e)
		}
		if size := f.starts[g+1] - f.starts[g]; !part.desc && int64(len(rows)) > size/scanShare {
			err = a.forward(ctx, v, f, rows[0], rows[len(rows)-1], r.Noun, matches)
		} else {
			err = a.pick(ctx, v, f, g, rows, func(_ int, e *Event) error { return matches(e) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// index says where in a row group the events of entities are, and when they happened. It does not change.
type index struct {
	targets []uint64 // upper half: of the hash of the target; lower half: the row; ascending
	start   int64    // timestamp of the first event, in milliseconds
	after   []uint32 // how much later each event is
}

func targetHash(target string) uint64 { return xxhash.Sum64String(target) &^ 0xffffffff }

// index reads the index of a row group.
func (a *archive) index(ctx context.Context, v volume, f *footer, group int) (*index, error) {
	key := v.location + "#" + strconv.Itoa(group)
	if x, found := a.indexes.get(key); found {
		return x, nil
	}
	s, err := a.open(ctx, v, f, []int{a.table.fieldID("target"), a.table.fieldID("timestamp")}, []int{group}, streamRows)
	if err != nil {
		return nil, err
	}
	defer s.close()
	rows := f.starts[group+1] - f.starts[group]
	x := &index{targets: make([]uint64, 0, rows), after: make([]uint32, 0, rows)}
	for {
		columns, n, err := s.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		targets, isText := columns[0].(*array.String)
		times, isTime := columns[1].(*array.Timestamp)
		if !isText || !isTime {
			return nil, fmt.Errorf("read %s: %w: its columns have other types", path.Base(v.location), ErrDamaged)
		}
		for i := range n {
			at := int64(times.Value(i)) / 1000
			if len(x.after) == 0 {
				x.start = at
			}
			x.targets = append(x.targets, targetHash(targets.Value(i))|uint64(len(x.after)))
			x.after = append(x.after, uint32(at-x.start)) // a day is less than 2³² ms
		}
	}
	slices.Sort(x.targets)
	a.indexes.put(key, x, rows*12)
	return x, nil
}

// find gives the rows of a row group that may be events of an entity, ascending.
func (a *archive) find(ctx context.Context, v volume, f *footer, group int, target string) ([]int64, error) {
	if _, known := a.indexes.get(v.location + "#" + strconv.Itoa(group)); !known {
		if may, err := a.mayContain(v, f, group, target); err != nil || !may {
			return nil, err
		}
	}
	x, err := a.index(ctx, v, f, group)
	if err != nil {
		return nil, err
	}
	hash := targetHash(target)
	at, _ := slices.BinarySearch(x.targets, hash)
	var rows []int64
	for ; at < len(x.targets) && x.targets[at]&^0xffffffff == hash; at++ {
		rows = append(rows, f.starts[group]+int64(uint32(x.targets[at])))
	}
	return rows, nil
}

// mayContain asks a row group's bloom filter about an entity.
func (a *archive) mayContain(v volume, f *footer, group int, target string) (bool, error) {
	opened, err := a.cat.IO().Open(v.location)
	if err != nil {
		return false, err
	}
	defer opened.Close()
	pr, err := file.NewParquetReader(opened, file.WithMetadata(f.meta))
	if err != nil {
		return false, fmt.Errorf("read %s: %w", path.Base(v.location), err)
	}
	blooms, err := pr.GetBloomFilterReader().RowGroup(group)
	if err != nil {
		return false, fmt.Errorf("read %s: %w", path.Base(v.location), err)
	}
	bloom, err := blooms.GetColumnBloomFilter(f.target)
	if err != nil || bloom == nil {
		return true, nil // the rows themselves will tell
	}
	return (&metadata.TypedBloomFilter[parquet.ByteArray]{BloomFilter: bloom}).Check(parquet.ByteArray(target)), nil
}

// lastAt gives the seq of a file's last event at or before an instant; 0 if there is none.
func (a *archive) lastAt(ctx context.Context, v volume, at int64) (int64, error) {
	f, err := a.footer(ctx, v)
	if err != nil {
		return 0, err
	}
	for group := len(f.starts) - 2; group >= 0; group-- {
		x, err := a.index(ctx, v, f, group)
		if err != nil {
			return 0, err
		}
		n := sort.Search(len(x.after), func(i int) bool { return x.start+int64(x.after[i]) > at })
		if n > 0 {
			return v.first + f.starts[group] + int64(n) - 1, nil
		}
	}
	return 0, nil
}

// interner gives equal texts of a stream as one.
type interner map[string]string

// maxInterned bounds the texts that an interner knows.
const maxInterned = 1024

func (in interner) text(s string) string {
	if known, ok := in[s]; ok {
		return known
	}
	s = strings.Clone(s)
	if len(in) < maxInterned {
		in[s] = s
	}
	return s
}

// event makes an event of a row: the reverse of eventRows. columns are those of storedColumns.
func (a *archive) event(columns []arrow.Array, i int, names interner) (*Event, error) {
	e := &Event{}
	for c, column := range columns {
		if column == nil || column.IsNull(i) {
			continue
		}
		var text string
		var number int64
		switch v := column.(type) {
		case *array.String:
			text = v.Value(i)
		case *array.Int64:
			number = v.Value(i)
		case *array.Timestamp:
			number = int64(v.Value(i)) / 1000
		default:
			return nil, fmt.Errorf("%w: column of %s", ErrDamaged, column.DataType())
		}
		switch a.table.Columns[c].Name {
		case "seq":
			e.Seq = number
		case "id":
			e.ID = strings.Clone(text)
		case "kind":
			e.Kind = names.text(text)
		case "type":
			e.Type = names.text(text)
		case "entity":
			e.Entity = names.text(text)
		case "target":
			e.Target = strings.Clone(text)
		case "verb":
			e.Verb = names.text(text)
		case "actor":
			e.Actor = names.text(text)
		case "timestamp":
			e.Timestamp = number
		case "version":
			e.Version = number
		case "data":
			e.Data = []byte(text)
		case "before":
			e.Before = []byte(text)
		case "changes":
			e.Changes = []byte(text)
		case "input":
			e.Input = []byte(text)
		case "source":
			e.Source = names.text(text)
		case "requestId":
			e.RequestID = strings.Clone(text)
		case "cause":
			e.Cause = strings.Clone(text)
		}
	}
	return e, nil
}
