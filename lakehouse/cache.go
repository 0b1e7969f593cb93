package lakehouse

import (
	"github.com/apache/arrow-go/v18/arrow"
)

// cache keeps decoded data files by location, least recently used first out, up to a number of bytes. It is safe for
// concurrent use.
type cache struct{ *kept[arrow.RecordBatch] }

func newCache(limit int64) *cache {
	c := &cache{newKept[arrow.RecordBatch](limit)}
	c.entry = 0 // next to nothing beside rows
	c.hold, c.drop = arrow.RecordBatch.Retain, arrow.RecordBatch.Release
	return c
}

// get gives the rows of a file, which the caller releases; nil if they are not kept.
func (c *cache) get(location string) arrow.RecordBatch {
	rows, _ := c.kept.get(location)
	return rows
}

// put keeps rows, unless they alone would fill a quarter of the cache. The caller's reference stays the caller's.
func (c *cache) put(location string, rows arrow.RecordBatch) {
	if size := sizeOf(rows); size <= c.limit/4 {
		c.kept.put(location, rows, size)
	}
}

// sizeOf counts the bytes of the buffers behind rows.
func sizeOf(rows arrow.RecordBatch) int64 {
	var n int64
	for _, column := range rows.Columns() {
		for _, b := range column.Data().Buffers() {
			if b != nil {
				n += int64(b.Cap())
			}
		}
	}
	return n
}
