package lakehouse

import (
	"sync"
	"time"
)

// pace keeps the rewriting of noun tables within a share of one processor: in all by tokens (seconds of work that may be
// done now), and for each (tenant, noun) by a time before which it is not rewritten again. It is safe for concurrent use.
type pace struct {
	share float64 // seconds of work per second
	burst float64 // tokens that may be saved up

	mu     sync.Mutex // guards the fields below
	tokens float64
	last   time.Time
	due    map[paceKey]time.Time
}

// tablePart is the part of the whole share that one table may take: a large table that changes all the time is rewritten
// less often, and leaves the rest to the others and to the writes that change it.
const tablePart = 0.4

type paceKey struct{ tenant, noun string }

func newPace(share, burst float64) *pace {
	return &pace{share: share, burst: burst, tokens: burst, due: map[paceKey]time.Time{}}
}

// allows says whether a table may be rewritten now.
func (p *pace) allows(key paceKey, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.last.IsZero() {
		p.tokens = min(p.burst, p.tokens+p.share*max(0, now.Sub(p.last).Seconds()))
	}
	p.last = now
	if due, found := p.due[key]; found {
		if now.Before(due) {
			return false
		}
		delete(p.due, key)
	}
	return p.tokens > 0
}

// spent notes that rewriting a table took cost and ended now.
func (p *pace) spent(key paceKey, cost time.Duration, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens -= cost.Seconds()
	p.due[key] = now.Add(time.Duration(float64(cost) / (p.share * tablePart)))
}

// hold keeps a table from being rewritten until a time: after an error.
func (p *pace) hold(key paceKey, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due[key] = until
}
