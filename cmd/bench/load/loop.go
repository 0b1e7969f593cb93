package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// grace is how long after its end a run waits for the last answers.
const grace = 30 * time.Second

// Script is one client's part in a run. It is used by one goroutine.
type Script interface {
	// Next gives the next request whole, head and body. It may give the same buffer each time.
	Next() []byte
	// Check says what is wrong with the answer to the last request; nil: nothing.
	Check(Answer) error
}

// Closed is a run in a closed loop. It ends after For, after Requests, or when its context ends, whichever comes first.
type Closed struct {
	Addr     string
	Clients  int
	Warm     time.Duration // at the start, not counted
	For      time.Duration // counted
	Requests int           // of all clients together, 0: no limit
}

// Run runs one script a client. The error is of a connection; wrong answers are in the Sample.
func (c Closed) Run(ctx context.Context, script func(client int) Script) (Sample, error) {
	start := time.Now()
	counted := start.Add(c.Warm)
	end := counted.Add(c.For)
	clients, err := dial(c.Addr, c.Clients, end.Add(grace), script)
	if err != nil {
		return Sample{}, err
	}
	var sent atomic.Int64
	err = each(clients, func(cl *client) error {
		for ctx.Err() == nil {
			begin := time.Now()
			if !begin.Before(end) || (c.Requests > 0 && sent.Add(1) > int64(c.Requests)) {
				return nil
			}
			if err := cl.do(begin, counted); err != nil {
				return err
			}
		}
		return nil
	})
	return merge(clients, counted), err
}

// Open is a run in an open loop: request number i is due at i ÷ PerSecond after the start. It ends after For or when its
// context ends.
type Open struct {
	Addr      string
	PerSecond float64
	Clients   int // as many requests can be on their way at once; what is due beyond that waits and is charged for it
	For       time.Duration
}

// Run runs one script a client. The error is of a connection; wrong answers are in the Sample.
func (o Open) Run(ctx context.Context, script func(client int) Script) (Sample, error) {
	start := time.Now()
	clients, err := dial(o.Addr, o.Clients, start.Add(o.For+grace), script)
	if err != nil {
		return Sample{}, err
	}
	start = time.Now()
	var next atomic.Int64
	err = each(clients, func(cl *client) error {
		for {
			due := time.Duration(float64(next.Add(1)-1) / o.PerSecond * float64(time.Second))
			if due >= o.For || !sleepUntil(ctx, start.Add(due)) {
				return nil
			}
			if err := cl.do(start.Add(due), start); err != nil {
				return err
			}
		}
	})
	return merge(clients, start), err
}

// sleepUntil says whether t came before the context's end.
func sleepUntil(ctx context.Context, t time.Time) bool {
	wait := time.Until(t)
	if wait <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// client is one connection, its script and what it saw.
type client struct {
	conn      *Conn
	script    Script
	latencies []time.Duration
	last      time.Time // of its last counted answer
	failed    int
	failure   error
}

// do makes one request whose latency counts from begin; it is not counted if it is answered before the moment counted.
func (c *client) do(begin, counted time.Time) error {
	answer, err := c.conn.Do(c.script.Next())
	if err != nil {
		return err
	}
	now := time.Now()
	if err := c.script.Check(answer); err != nil {
		c.failed++
		if c.failure == nil {
			c.failure = err
		}
		return nil
	}
	if now.After(counted) {
		c.latencies = append(c.latencies, now.Sub(begin))
		c.last = now
	}
	return nil
}

// dial connects n clients before any of them speaks.
func dial(addr string, n int, deadline time.Time, script func(int) Script) ([]client, error) {
	clients := make([]client, n)
	for i := range clients {
		conn, err := Dial(addr, deadline)
		if err != nil {
			closeAll(clients[:i])
			return nil, fmt.Errorf("connect client %d of %d: %w", i+1, n, err)
		}
		clients[i] = client{conn: conn, script: script(i)}
	}
	return clients, nil
}

func closeAll(clients []client) {
	for i := range clients {
		clients[i].conn.Close()
	}
}

// each runs f for all clients at once, waits and closes them.
func each(clients []client, f func(*client) error) error {
	defer closeAll(clients)
	errs := make([]error, len(clients))
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { errs[i] = f(&clients[i]) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err // one stands for all: they fail together
		}
	}
	return nil
}
