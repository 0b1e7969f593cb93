package query

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// holding is something decoded that a database holds, and what it takes.
type holding struct {
	lease
	past  bool  // it is a past, else a base
	bytes int64 // guarded by bases.mu once it is kept
}

// CacheStatus says what the engine holds decoded, and how often reads found it.
type CacheStatus struct {
	Bytes, Limit int64
	Tables       int   // of nouns
	Histories    int   // likewise
	Hits, Misses int64 // reads of a noun at or behind its published files
	Loads        int64 // files decoded
	Failures     int64 // files that could not be; reads went to them as they are
	Evictions    int64
}

// bases keeps the bases and the pasts of all databases within a number of bytes: the one read longest ago is dropped first, by its last
// user. It is safe for concurrent use.
type bases struct {
	mu     sync.Mutex // guards what follows
	status CacheStatus
	held   *simplelru.LRU[*holding, *database]
}

func newBases(limit int64) *bases {
	const tables = 1 << 20 // never reached: the bytes are the limit
	held, err := simplelru.NewLRU[*holding, *database](tables, nil)
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	return &bases{status: CacheStatus{Limit: limit}, held: held}
}

// add keeps what a database has decoded. It may drop others, and itself if it alone is too large.
func (k *bases) add(d *database, h *holding) {
	k.mu.Lock()
	k.held.Add(h, d)
	k.status.Bytes += h.bytes
	k.status.Loads++
	gone := k.shrink()
	k.mu.Unlock()
	evict(gone)
}

// resize takes note of what something takes by now, if it is still kept. It may drop others, as add.
func (k *bases) resize(h *holding, bytes int64) {
	k.mu.Lock()
	if _, kept := k.held.Get(h); kept {
		k.status.Bytes += bytes - h.bytes
	}
	h.bytes = bytes
	gone := k.shrink()
	k.mu.Unlock()
	evict(gone)
}

// shrink takes out what was read longest ago until the rest is within the limit. The caller holds mu.
func (k *bases) shrink() map[*database][]*holding {
	gone := map[*database][]*holding{}
	for k.status.Bytes > k.status.Limit {
		h, owner, _ := k.held.RemoveOldest()
		k.status.Bytes -= h.bytes
		k.status.Evictions++
		gone[owner] = append(gone[owner], h)
	}
	return gone
}

func evict(gone map[*database][]*holding) {
	for owner, list := range gone {
		for _, h := range list {
			owner.doom(&h.lease)
		}
	}
}

// used takes note of a read.
func (k *bases) used(h *holding) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held.Get(h)
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

// forget takes something out, if it is still kept.
func (k *bases) forget(h *holding) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held.Remove(h) {
		k.status.Bytes -= h.bytes
	}
}

// abandon takes out what a database that is closed had.
func (k *bases) abandon(d *database) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, h := range k.held.Keys() {
		if owner, _ := k.held.Peek(h); owner == d {
			k.held.Remove(h)
			k.status.Bytes -= h.bytes
		}
	}
}

// now gives the status.
func (k *bases) now() CacheStatus {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.status
	for _, h := range k.held.Keys() {
		if h.past {
			s.Histories++
		} else {
			s.Tables++
		}
	}
	return s
}

// Cache says what is held decoded.
func (r *Reader) Cache() CacheStatus { return r.engine.bases.now() }
