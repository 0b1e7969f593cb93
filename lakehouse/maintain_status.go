package lakehouse

import (
	"context"
	"slices"
	"sync"
	"time"
)

// ChoreStatus is what is known about one kind of maintenance.
type ChoreStatus struct {
	Name    string
	State   string    // ChoreIdle, ChoreRunning or ChoreFailing
	Backlog int       // pieces known to be waiting
	Done    int64     // commits since the start
	LastRun time.Time // by Config.Now; zero: never
	NextRun time.Time // not before
	Error   string    // of the last run; empty after a success
}

// States of a chore.
const (
	ChoreIdle    = "idle"
	ChoreRunning = "running"
	ChoreFailing = "failing" // the last run failed; it is tried again
)

// Maintenance says how each kind of maintenance does, in the order of their turns. It does no I/O.
func (l *Lake) Maintenance() []ChoreStatus { return l.board.list() }

// Maintain does all maintenance that is due, and returns when no more is. ErrClosed before Start and after Close.
func (l *Lake) Maintain(ctx context.Context) error {
	l.mu.Lock()
	m := l.maintainer
	l.mu.Unlock()
	if m == nil {
		return ErrClosed
	}
	return m.maintain(ctx)
}

// board keeps what Maintenance says. It is safe for concurrent use.
type board struct {
	mu     sync.Mutex // guards chores
	chores []*ChoreStatus
}

func (b *board) enter(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.chores = append(b.chores, &ChoreStatus{Name: name, State: ChoreIdle})
}

// of gives a chore's place; the lock is held.
func (b *board) of(name string) *ChoreStatus {
	i := slices.IndexFunc(b.chores, func(c *ChoreStatus) bool { return c.Name == name })
	return b.chores[i]
}

func (b *board) begin(name string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.of(name)
	c.State, c.LastRun = ChoreRunning, now
}

// outcome is how a turn ended.
type outcome struct {
	at      time.Time
	wait    time.Duration // until the next turn
	backlog int
	worked  bool
	err     error
}

// end notes how a turn ended, and gives the chore's new state if it began or ceased to fail, or fails otherwise.
func (b *board) end(name string, o outcome) (change string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.of(name)
	before := c.Error
	c.State, c.Error = ChoreIdle, ""
	if o.err != nil {
		c.State, c.Error = ChoreFailing, o.err.Error()
	}
	c.Backlog, c.NextRun = o.backlog, o.at.Add(o.wait)
	if o.worked {
		c.Done++
	}
	if c.Error != before {
		return c.State
	}
	return ""
}

func (b *board) list() []ChoreStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]ChoreStatus, len(b.chores))
	for i, c := range b.chores {
		all[i] = *c
	}
	return all
}
