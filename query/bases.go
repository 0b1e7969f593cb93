package query

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// CacheStatus says what the engine holds decoded, and how often reads found it.
type CacheStatus struct {
	Bytes, Limit int64
	Tables       int
	Hits, Misses int64 // reads of a noun at or behind its published files
	Loads        int64 // files decoded
	Failures     int64 // files that could not be; reads went to them as they are
	Evictions    int64
}

// bases keeps the bases of all databases within a number of bytes: the one read longest ago is dropped first, by its last
// user. It is safe for concurrent use.
type bases struct {
	mu     sync.Mutex // guards what follows
	status CacheStatus
	held   *simplelru.LRU[*base, *database]
}

func newBases(limit int64) *bases {
	const tables = 1 << 20 // never reached: the bytes are the limit
	held, err := simplelru.NewLRU[*base, *database](tables, nil)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &bases{status: CacheStatus{Limit: limit}, held: held}
}

// add keeps a base of a database. It may drop others, and the base itself if it alone is too large.
func (k *bases) add(d *database, b *base) {
	for owner, gone := range k.push(d, b) {
		for _, b := range gone {
			owner.doom(&b.lease)
		}
	}
}

func (k *bases) push(d *database, b *base) map[*database][]*base {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held.Add(b, d)
	k.status.Bytes += b.bytes
	k.status.Loads++
	gone := map[*database][]*base{}
	for k.status.Bytes > k.status.Limit {
		b, owner, _ := k.held.RemoveOldest()
		k.status.Bytes -= b.bytes
		k.status.Evictions++
		gone[owner] = append(gone[owner], b)
	}
	return gone
}

// used takes note of a read.
func (k *bases) used(b *base) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held.Get(b)
	k.status.Hits++
}

// missed takes note of a read that found no base.
func (k *bases) missed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status.Misses++
}

// failed takes note of a base that could not be loaded.
func (k *bases) failed() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.status.Failures++
}

// forget takes a base out, if it is still kept.
func (k *bases) forget(b *base) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held.Remove(b) {
		k.status.Bytes -= b.bytes
	}
}

// abandon takes out what a database that is closed had.
func (k *bases) abandon(d *database) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, b := range k.held.Keys() {
		if owner, _ := k.held.Peek(b); owner == d {
			k.held.Remove(b)
			k.status.Bytes -= b.bytes
		}
	}
}

// now gives the status.
func (k *bases) now() CacheStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.status
	s.Tables = k.held.Len()
	return s
}

// Cache says what is held decoded.
func (r *Reader) Cache() CacheStatus { return r.engine.bases.now() }
