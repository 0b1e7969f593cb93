package ingest

import (
	"database/sql/driver"
	"errors"
	"sync"

	"headless.ly/lakehouse"
)

type driverValue = driver.Value

const (
	// maxReaders is the number of read connections a tenant may have open.
	maxReaders = 2
	// pageRows and pageBytes bound what one short read transaction brings into memory.
	pageRows  = 1000
	pageBytes = 4 << 20
)

// errReadersClosed says that the connections were closed while a caller waited for one.
var errReadersClosed = errors.New("the log's readers are closed")

// readers is a small pool of read connections, opened when needed.
type readers struct {
	open func() (*conn, error)

	mu     sync.Mutex
	cond   *sync.Cond // signalled when a connection comes back; uses mu
	idle   []*conn    // guarded by mu
	opened int        // guarded by mu: idle and lent
	closed bool       // guarded by mu: nobody gets a connection until reopen
}

// use lends f a connection.
func (r *readers) use(f func(*conn) error) error {
	c, err := r.take()
	if err != nil {
		return err
	}
	defer r.give(c)
	return f(c)
}

func (r *readers) take() (*conn, error) {
	r.mu.Lock()
	if r.cond == nil {
		r.cond = sync.NewCond(&r.mu)
	}
	for !r.closed && len(r.idle) == 0 && r.opened >= maxReaders {
		r.cond.Wait()
	}
	if r.closed {
		r.mu.Unlock()
		return nil, errReadersClosed
	}
	if n := len(r.idle); n > 0 {
		c := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.mu.Unlock()
		return c, nil
	}
	r.opened++
	r.mu.Unlock()
	c, err := r.open()
	if err != nil {
		r.mu.Lock()
		r.opened--
		r.cond.Broadcast()
		r.mu.Unlock()
	}
	return c, err
}

func (r *readers) give(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.idle = append(r.idle, c)
	r.cond.Broadcast()
}

// closeAll waits for the lent connections and closes all; nobody gets another one until reopen.
func (r *readers) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cond == nil {
		r.cond = sync.NewCond(&r.mu)
	}
	r.closed = true
	r.cond.Broadcast()
	for len(r.idle) < r.opened {
		r.cond.Wait()
	}
	for _, c := range r.idle {
		_ = c.close() // a reader has nothing to lose
	}
	r.idle, r.opened = nil, 0
}

// reopen lets the pool be used again after closeAll.
func (r *readers) reopen() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = false
}

// closeIdle closes the connections nobody uses.
func (r *readers) closeIdle() {
	r.mu.Lock()
	idle := r.idle
	r.idle = nil
	r.opened -= len(idle)
	r.mu.Unlock()
	for _, c := range idle {
		_ = c.close()
	}
}

// pager walks the log's part of a range in pages.
type pager struct {
	r           lakehouse.Range
	row         int64 // of Target
	after, upto int64 // what is left
	left        int   // of Limit; 0: no limit
	done        bool  // Limit is reached
}

// next reads the next page of what lies behind a seq.
func (p *pager) next(c *conn, behind int64) ([]*record, error) {
	limit, low := pageRows, max(p.after, behind)
	if p.left > 0 {
		limit = min(limit, p.left)
	}
	query, args := p.statement(low, limit)
	var page []*record
	size := 0
	err := c.query(query, func(v []driver.Value) error {
		r, err := c.scanRecord(v)
		if err != nil {
			return err
		}
		page = append(page, r)
		if size += len(r.Data) + len(r.Before) + len(r.Changes) + len(r.Input); size >= pageBytes {
			return errStop
		}
		return nil
	}, args...)
	if err != nil {
		return nil, err
	}
	p.advance(page, low, len(page) < limit && size < pageBytes)
	return page, nil
}

// statement chooses the index that fits the range.
func (p *pager) statement(low int64, limit int) (string, []any) {
	bounds := []any{low, p.upto, int64(limit)}
	pick := func(asc, desc string, first ...any) (string, []any) {
		if p.r.Desc {
			asc = desc
		}
		return asc, append(first, bounds...)
	}
	switch {
	case p.row != 0:
		return pick(sqlScanTarget, sqlScanTargetDesc, p.row)
	case p.r.Noun != "":
		return pick(sqlScanNoun, sqlScanNounDesc, p.r.Noun)
	}
	return pick(sqlScan, sqlScanDesc)
}

// advance notes what a page has left of the range; last says that the log has no more of it behind low.
func (p *pager) advance(page []*record, low int64, last bool) {
	if p.left > 0 {
		p.left -= len(page)
		p.done = p.left == 0
	}
	switch {
	case last && p.r.Desc:
		p.upto = low
	case last:
		p.after = p.upto
	case p.r.Desc:
		p.upto = page[len(page)-1].Seq - 1
	default:
		p.after = page[len(page)-1].Seq
	}
}
