package duck

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unsafe"
)

// Rows travel between processes of one machine as Arrow lays them out: for each column a bitmap of what is not null, if
// anything may be null, then values of fixed width, or for text where each begins and then all bytes. Everything begins at a
// multiple of eight bytes, so that it is read where it lies.

// word is the alignment of everything in a message of rows.
const word = 8

// widthOf is how many bytes a value of a column takes; 0: it is text, -1: it cannot be read.
func widthOf(c *Column) int {
	switch c.Type {
	case Boolean, TinyInt, UTinyInt:
		return 1
	case SmallInt, USmallInt:
		return 2
	case Integer, UInteger, Float, Date:
		return 4
	case BigInt, UBigInt, Double, Timestamp, TimestampTZ:
		return 8
	case Varchar, Blob:
		return 0
	case Decimal:
		switch {
		case c.Width <= width16:
			return 2
		case c.Width <= width32:
			return 4
		case c.Width <= width64:
			return 8
		}
		return 16
	}
	return -1
}

// Fit says how many rows from one on may be appended without passing a size in bytes; at least one.
func (c *Chunk) Fit(columns []Column, from, size int) int {
	fixed := 0
	var texts []*Vector
	for i := range columns {
		fixed += max(4, widthOf(&columns[i])) + 1
		if widthOf(&columns[i]) == 0 {
			texts = append(texts, &c.Columns[i])
		}
	}
	to := from
	for used := 0; to < c.Rows && (used < size || to == from); to++ {
		used += fixed
		for _, v := range texts {
			if !v.Null(to) {
				used += len(v.Text(to))
			}
		}
	}
	if to > from+1 && to < c.Rows {
		to-- // it may have passed the size
	}
	return to - from
}

// AppendRows appends the rows from <= row < to. The columns are the chunk's; b has a length that is a multiple of eight.
func (c *Chunk) AppendRows(b []byte, columns []Column, from, to int) ([]byte, error) {
	b = binary.LittleEndian.AppendUint64(b, uint64(to-from))
	var err error
	for i := range columns {
		if b, err = c.Columns[i].appendRows(b, &columns[i], from, to); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (v *Vector) appendRows(b []byte, c *Column, from, to int) ([]byte, error) {
	width, rows := widthOf(c), to-from
	b = v.appendMask(b, from, to)
	switch {
	case width > 0:
		b = append(b, unsafe.Slice((*byte)(unsafe.Add(v.data, from*width)), rows*width)...)
	case width == 0:
		b = v.appendTexts(b, from, to)
	case !v.allNull(from, to):
		return nil, fmt.Errorf("a value of type %d cannot be read", c.Type)
	}
	return pad(b), nil
}

// appendMask appends 0 if no row may be null, else 1 and the bitmap.
func (v *Vector) appendMask(b []byte, from, to int) []byte {
	if v.mask == nil {
		return binary.LittleEndian.AppendUint64(b, 0)
	}
	b = binary.LittleEndian.AppendUint64(b, 1)
	for start := from; start < to; start += 64 {
		var bits uint64
		if from%64 == 0 {
			bits = *at[uint64](unsafe.Pointer(v.mask), start/64)
		} else {
			for i := start; i < min(start+64, to); i++ {
				if !v.Null(i) {
					bits |= 1 << (i - start)
				}
			}
		}
		b = binary.LittleEndian.AppendUint64(b, bits)
	}
	return b
}

// appendTexts appends where each text begins, where the last ends, and all bytes.
func (v *Vector) appendTexts(b []byte, from, to int) []byte {
	size := uint32(0)
	for i := from; i < to; i++ {
		b = binary.LittleEndian.AppendUint32(b, size)
		if !v.Null(i) {
			size += uint32(len(v.Text(i)))
		}
	}
	b = pad(binary.LittleEndian.AppendUint32(b, size))
	for i := from; i < to; i++ {
		if !v.Null(i) {
			b = append(b, v.Text(i)...)
		}
	}
	return b
}

func (v *Vector) allNull(from, to int) bool {
	for i := from; i < to; i++ {
		if v.Type != SQLNull && !v.Null(i) {
			return false
		}
	}
	return true
}

func pad(b []byte) []byte {
	var zeros [word]byte
	return append(b, zeros[:-len(b)&(word-1)]...)
}

// errRows says that a message is none of rows.
var errRows = errors.New("the message is no rows of these columns")

// ReadRows makes a chunk of what AppendRows appended for the same columns. It keeps b, which begins at a multiple of eight and
// must not change while the chunk is used.
func (c *Chunk) ReadRows(b []byte, columns []Column) error {
	r := rowReader{rest: b}
	c.Rows = int(min(r.number(), maxMessageRows+1))
	if c.Rows == 0 || c.Rows > maxMessageRows {
		return errRows
	}
	if len(c.Columns) != len(columns) {
		c.Columns = make([]Vector, len(columns))
	}
	for i := range columns {
		c.Columns[i] = r.vector(&columns[i], c.Rows)
	}
	if r.failed || len(r.rest) > 0 {
		return errRows
	}
	return nil
}

// maxMessageRows bounds the rows of a message: those of a chunk of DuckDB, with room.
const maxMessageRows = 1 << 16

// rowReader takes what is expected from the front of a message.
type rowReader struct {
	rest   []byte
	failed bool
}

// take gives the next bytes, and skips what pads them. Where they are missing it gives as many zeros.
func (r *rowReader) take(size int) []byte {
	padded := (size + word - 1) &^ (word - 1)
	if r.failed || padded > len(r.rest) {
		r.failed = true
		return make([]byte, padded+word)[:size:size]
	}
	out := r.rest[:size:size]
	r.rest = r.rest[padded:]
	return out
}

func (r *rowReader) number() uint64 { return binary.LittleEndian.Uint64(r.take(word)) }

func (r *rowReader) vector(c *Column, rows int) Vector {
	v := Vector{Type: c.Type}
	if r.number() != 0 {
		v.mask = (*uint64)(unsafe.Pointer(unsafe.SliceData(r.take((rows + 63) / 64 * word))))
	}
	switch width := widthOf(c); {
	case width > 0:
		values := r.take(rows * width)
		v.data = unsafe.Pointer(unsafe.SliceData(values))
		if c.Type == Boolean {
			r.booleans(values)
		}
	case width == 0:
		starts := r.take((rows + 1) * 4)
		v.data = unsafe.Pointer(unsafe.SliceData(starts))
		v.flat = r.take(r.ascending(starts))
	case v.mask == nil && c.Type != SQLNull:
		r.failed = true
	}
	return v
}

// booleans checks that values are what Go takes for booleans.
func (r *rowReader) booleans(values []byte) {
	for _, b := range values {
		r.failed = r.failed || b > 1
	}
}

// ascending checks where texts begin, and gives where the last ends.
func (r *rowReader) ascending(starts []byte) int {
	last := uint32(0)
	for ; len(starts) > 0; starts = starts[4:] {
		start := binary.LittleEndian.Uint32(starts)
		if start < last {
			r.failed = true
			return 0
		}
		last = start
	}
	if int(last) > len(r.rest) {
		r.failed = true
		return 0
	}
	return int(last)
}
