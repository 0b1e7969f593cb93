package lakehouse

import (
	"context"
	"errors"
	"io"
	"math"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// gone is the new position of a row that a compaction leaves out.
const gone = math.MaxUint32

// merge writes the live rows of the sources, in order of id, as one file, and keeps where each has gone. It holds a batch of
// each source and one row group.
func (c *compaction) merge(ctx context.Context) (err error) {
	var sources []*mergeSource
	defer func() {
		for _, s := range sources {
			s.close()
		}
	}()
	var rows int64
	c.moved = make([][]uint32, len(c.sources))
	batch := max(streamLeast, streamRows/len(c.sources))
	for i, f := range c.sources {
		stream, err := openStream(ctx, c.shop.io, f.location, c.table.storedIDs(), batch, c.shop.mem)
		if err != nil {
			return err
		}
		c.moved[i] = make([]uint32, 0, f.rows)
		sources = append(sources, &mergeSource{table: c.table, stream: stream, deleted: c.before[i], moved: &c.moved[i], mem: c.shop.mem})
		rows += f.live()
	}
	if rows == 0 {
		return nil
	}
	var at positionsBuilder
	c.file, err = c.table.fillFile(c.shop.io, c.shop.location(c.table), c.placement(), rows, func(w *pqarrow.FileWriter) error {
		to := &vessel{table: c.table, file: w, mem: c.shop.mem}
		return mergeRows(ctx, sources, to, &at)
	}, c.shop.mem)
	if err == nil {
		p := at.finish()
		c.shop.positions.put(c.file.FilePath(), p, p.bytes())
	}
	return err
}

// mergeRows pours the live rows of sources into a file, in order of id.
func mergeRows(ctx context.Context, sources []*mergeSource, to *vessel, at *positionsBuilder) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		live := sources[:0:0]
		for _, s := range sources {
			more, err := s.fill()
			if err != nil {
				return err
			}
			if more {
				live = append(live, s)
			}
		}
		if sources = live; len(sources) == 0 {
			return nil
		}
		picks, err := pickLeast(sources, at)
		if err != nil {
			return err
		}
		if err := pourPicks(sources, picks, to); err != nil {
			return err
		}
	}
}

// pickLeast picks rows in order of id until a source has no more of them in memory, or there are enough for a batch.
func pickLeast(sources []*mergeSource, at *positionsBuilder) ([]pick, error) {
	var picks []pick
	for len(picks) < streamRows {
		least := 0
		for i, s := range sources[1:] {
			if s.id() < sources[least].id() {
				least = i + 1
			}
		}
		s := sources[least]
		picks = append(picks, pick{int32(least), int32(s.row)})
		*s.moved = append(*s.moved, uint32(at.rows))
		if err := at.add(s.id()); err != nil {
			return nil, err
		}
		if s.row++; !s.skip() {
			break
		}
	}
	return picks, nil
}

// pourPicks appends picked rows to a file.
func pourPicks(sources []*mergeSource, picks []pick, to *vessel) error {
	batches := make([]arrow.RecordBatch, len(sources))
	for i, s := range sources {
		batches[i] = s.rows
	}
	rows, err := to.table.gatherAll(batches, picks, to.mem)
	if err != nil {
		return err
	}
	defer rows.Release()
	return to.addRows(rows)
}

// mergeSource is a file being merged: its rows batch by batch, without the deleted ones.
type mergeSource struct {
	table   *Table
	stream  *rowStream
	deleted *roaring.Bitmap
	moved   *[]uint32 // of the rows passed; as long as they are many
	mem     memory.Allocator

	rows arrow.RecordBatch // the batch in memory; nil: none yet, or no more
	row  int               // the next one in it
}

func (s *mergeSource) id() string { return ids(s.rows).Value(s.row) }

// skip passes deleted rows, and says whether the batch has one that is not.
func (s *mergeSource) skip() bool {
	for ; s.row < int(s.rows.NumRows()); s.row++ {
		if !s.deleted.Contains(uint32(len(*s.moved))) {
			return true
		}
		*s.moved = append(*s.moved, gone)
	}
	return false
}

// fill makes sure that there is a row in memory, and says whether there is any left.
func (s *mergeSource) fill() (more bool, err error) {
	for s.rows == nil || !s.skip() {
		if s.rows != nil {
			s.rows.Release()
			s.rows = nil
		}
		columns, count, err := s.stream.next()
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if s.rows, err = s.table.fit(columns, int64(count), s.mem); err != nil {
			return false, err
		}
		s.row = 0
	}
	return true, nil
}

func (s *mergeSource) close() {
	if s.rows != nil {
		s.rows.Release()
		s.rows = nil
	}
	s.stream.close()
}
