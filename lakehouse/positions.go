package lakehouse

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"headless.ly/catalog"
)

// positions says at which position of one data file of a noun's table each id stands. It does not change.
//
// The rows of our files are in order of id, so that an id's position is its rank: the ids are kept in order, in blocks, each
// id as what it does not share with the one before it. That takes 8 to 12 bytes a row with generated ids, as much as a map
// from hashes, and the answer is exact: nothing has to be looked up in the file again to rule out a collision.
type positions struct {
	data   []byte
	blocks []uint32 // where each block begins in data
	rows   int
}

// positionsBlock is how many ids a block holds: an entry point costs 4 bytes, a search reads half a block.
const positionsBlock = 16

// positionsBuilder takes the ids of a file in order.
type positionsBuilder struct {
	positions
	last []byte
}

// add takes the id of the next position. An id that does not follow the one before is an error.
func (b *positionsBuilder) add(id string) error {
	if b.rows > 0 && string(b.last) >= id {
		return fmt.Errorf("id %q follows %q: rows are not in order of id", id, b.last)
	}
	shared := 0
	if b.rows%positionsBlock == 0 {
		b.blocks = append(b.blocks, uint32(len(b.data)))
	} else {
		shared = sharedPrefix(b.last, id)
	}
	b.data = binary.AppendUvarint(b.data, uint64(shared))
	b.data = binary.AppendUvarint(b.data, uint64(len(id)-shared))
	b.data = append(b.data, id[shared:]...)
	b.last = append(b.last[:shared], id[shared:]...)
	b.rows++
	return nil
}

// finish gives the positions, in no more memory than they need.
func (b *positionsBuilder) finish() *positions {
	return &positions{data: bytes.Clone(b.data), blocks: append([]uint32(nil), b.blocks...), rows: b.rows}
}

func sharedPrefix(a []byte, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// bytes is the memory that the positions take.
func (p *positions) bytes() int64 { return int64(len(p.data) + 4*len(p.blocks)) }

// find gives the position of an id, if the file has it.
func (p *positions) find(id string) (position uint32, found bool) {
	low, high := 0, len(p.blocks) // the first block that begins behind id
	for low < high {
		middle := (low + high) / 2
		if _, _, first := p.entry(p.blocks[middle]); string(first) <= id {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low == 0 {
		return 0, false
	}
	return p.findIn(low-1, id)
}

// findIn looks for an id in one block: as long as what is common with id grows or stays, and nothing lies behind it.
func (p *positions) findIn(block int, id string) (position uint32, found bool) {
	at := p.blocks[block]
	first := block * positionsBlock
	common := 0 // how much of id the entry before shares
	for i := first; i < min(first+positionsBlock, p.rows); i++ {
		next, shared, rest := p.entry(at)
		at = next
		switch {
		case shared > common: // differs from id where the one before does
			continue
		case shared < common: // differs from the one before where that was still like id: lies behind id
			return 0, false
		}
		n := sharedPrefix(rest, id[common:])
		if n == len(rest) && common+n == len(id) {
			return uint32(i), true
		}
		common += n
	}
	return 0, false
}

// entry reads the entry at an offset: how much it shares with the one before it, its rest, and where the next one begins.
func (p *positions) entry(at uint32) (next uint32, shared int, rest []byte) {
	s, n := binary.Uvarint(p.data[at:])
	at += uint32(n)
	length, n := binary.Uvarint(p.data[at:])
	at += uint32(n)
	return at + uint32(length), int(s), p.data[at : at+uint32(length)]
}

// newPositions gives the positions of rows in memory.
func newPositions(ids *array.String) (*positions, error) {
	var b positionsBuilder
	if err := b.addAll(ids); err != nil {
		return nil, err
	}
	return b.finish(), nil
}

// readPositions makes the positions of a data file from its id column, the only one that is read.
func (t *Table) readPositions(ctx context.Context, x *catalog.IO, name string, mem memory.Allocator) (*positions, error) {
	s, err := openStream(ctx, x, name, []int{t.fieldID("id")}, streamRows, mem)
	if err != nil {
		return nil, err
	}
	defer s.close()
	var b positionsBuilder
	for {
		columns, _, err := s.next()
		if errors.Is(err, io.EOF) {
			return b.finish(), nil
		}
		if err == nil {
			err = b.addAll(columns[0])
		}
		if err != nil {
			return nil, fmt.Errorf("read ids of %s: %w", filepath.Base(name), err)
		}
	}
}

// addAll takes the ids of the next positions; column is nil where the file has none.
func (b *positionsBuilder) addAll(column arrow.Array) error {
	ids, ok := column.(*array.String)
	if !ok {
		return errors.New("file has no column of ids")
	}
	for i := range ids.Len() {
		if err := b.add(ids.Value(i)); err != nil {
			return err
		}
	}
	return nil
}
