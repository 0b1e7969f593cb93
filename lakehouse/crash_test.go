package lakehouse

import "sync"

// crash stops everything at the n-th step: whoever takes a step from then on never returns.
type crash struct {
	n       int
	stopped chan struct{}

	mu   sync.Mutex // guards the fields below
	all  []string
	name string
}

func newCrash(n int) *crash { return &crash{n: n, stopped: make(chan struct{})} }

func (c *crash) step(name string) {
	c.mu.Lock()
	c.all = append(c.all, name)
	now := len(c.all)
	if now == c.n {
		c.name = name
		close(c.stopped)
	}
	c.mu.Unlock()
	if c.n > 0 && now >= c.n {
		select {} // the process is dead
	}
}

func (c *crash) seen() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}
