package lakehouse

import (
	"sync"
	"time"
)

// pace keeps the rewriting of noun tables within a share of one processor: in all by tokens (seconds of work that may be
// done now), and for each (tenant, noun) by a time before which it is not rewritten again. Work is computing: what a rewrite
// waits for the disk slows nobody. It is safe for concurrent use.
type pace struct {
	share float64 // seconds of work per second
	burst float64 // tokens that may be saved up

	mu     sync.Mutex // guards the fields below
	tokens float64
	last   time.Time
	due    map[paceKey]time.Time
	waits  map[paceKey]time.Time // since when a table lags
}

// The share of one processor that one table may take. A table written anew costs what it holds, however little of it has
// changed: one that changes all the time is rewritten less often, and leaves the rest to the others and to the writes that
// change it. A delta costs what has changed; what holds it back is an import, which is to be shown soon as well.
const (
	rewriteShare = 0.05
	deltaShare   = 0.2
)

type paceKey struct{ tenant, noun string }

func newPace(share, burst float64) *pace {
	return &pace{share: share, burst: burst, tokens: burst, due: map[paceKey]time.Time{}, waits: map[paceKey]time.Time{}}
}

// allows says whether a table may be rewritten now. Where it may not, the table waits from now on.
func (p *pace) allows(key paceKey, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.last.IsZero() {
		p.tokens = min(p.burst, p.tokens+p.share*max(0, now.Sub(p.last).Seconds()))
	}
	p.last = now
	if due, found := p.due[key]; found {
		if now.Before(due) {
			p.wait(key, now)
			return false
		}
		delete(p.due, key)
	}
	if p.tokens <= 0 {
		p.wait(key, now)
	}
	return p.tokens > 0
}

// wait notes that a table lags. The lock is held.
func (p *pace) wait(key paceKey, now time.Time) {
	if _, waits := p.waits[key]; !waits {
		p.waits[key] = now
	}
}

// since says since when a table lags; now for one that does not.
func (p *pace) since(key paceKey, now time.Time) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at, waits := p.waits[key]; waits {
		return at
	}
	return now
}

// spent notes that publishing a table, which may take a share of one processor, took cost and ended now.
func (p *pace) spent(key paceKey, cost time.Duration, share float64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens -= cost.Seconds()
	p.due[key] = now.Add(time.Duration(cost.Seconds() / min(share, p.share) * float64(time.Second)))
	delete(p.waits, key)
}

// hold keeps a table from being rewritten until a time: after an error.
func (p *pace) hold(key paceKey, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.due[key] = until
}
