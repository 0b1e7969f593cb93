package lakehouse

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// kept keeps values that do not change by the location of the file they are made of, least recently used first out, up to a
// number of bytes. Each can be made again. It is safe for concurrent use.
type kept[V any] struct {
	limit      int64
	entry      int64   // bytes that count for each value besides its own: of the location and of what keeps the order
	hold, drop func(V) // what keeping and handing out a value takes, and dropping it; nil: nothing

	mu     sync.Mutex // guards the fields below
	bytes  int64
	values *simplelru.LRU[string, keptValue[V]]
}

type keptValue[V any] struct {
	value V
	bytes int64
}

func newKept[V any](limit int64) *kept[V] {
	k := &kept[V]{limit: limit, entry: 300}
	const files = 1 << 20 // never reached: the bytes are the limit
	lru, err := simplelru.NewLRU(files, func(_ string, v keptValue[V]) {
		k.bytes -= v.bytes
		if k.drop != nil {
			k.drop(v.value)
		}
	})
	if err != nil {
		panic(err) // only for a size that is not positive
	}
	k.values = lru
	return k
}

func (k *kept[V]) get(location string) (V, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	v, found := k.values.Get(location)
	if found && k.hold != nil {
		k.hold(v.value)
	}
	return v.value, found
}

// put keeps a value that takes so many bytes, unless it alone is beyond the limit.
func (k *kept[V]) put(location string, v V, bytes int64) {
	bytes += k.entry
	if bytes > k.limit {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.values.Remove(location)
	if k.hold != nil {
		k.hold(v)
	}
	k.bytes += bytes
	k.values.Add(location, keptValue[V]{v, bytes})
	for k.bytes > k.limit {
		k.values.RemoveOldest()
	}
}

func (k *kept[V]) remove(location string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.values.Remove(location)
}

func (k *kept[V]) clear() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.values.Purge()
}
