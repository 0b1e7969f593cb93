package lakehouse

import (
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cache keeps decoded data files by location, least recently used first out, up to a number of bytes. It is safe for
// concurrent use.
type cache struct {
	limit int64

	mu    sync.Mutex // guards the fields below
	bytes int64
	rows  *simplelru.LRU[string, held]
}

type held struct {
	rows  arrow.RecordBatch
	bytes int64
}

func newCache(limit int64) *cache {
	c := &cache{limit: limit}
	const files = 1 << 20 // never reached: the bytes are the limit
	lru, err := simplelru.NewLRU(files, func(_ string, h held) {
		c.bytes -= h.bytes
		h.rows.Release()
	})
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	c.rows = lru
	return c
}

// get gives the rows of a file, which the caller releases; nil if they are not kept.
func (c *cache) get(location string) arrow.RecordBatch {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, found := c.rows.Get(location)
	if !found {
		return nil
	}
	h.rows.Retain()
	return h.rows
}

// put keeps rows, unless they alone would fill a quarter of the cache. The caller's reference stays the caller's.
func (c *cache) put(location string, rows arrow.RecordBatch) {
	size := sizeOf(rows)
	if size > c.limit/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows.Remove(location)
	rows.Retain()
	c.bytes += size
	c.rows.Add(location, held{rows, size})
	for c.bytes > c.limit {
		c.rows.RemoveOldest()
	}
}

func (c *cache) remove(location string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows.Remove(location)
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows.Purge()
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
