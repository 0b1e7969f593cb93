package lakehouse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"golang.org/x/sync/errgroup"

	"headless.ly/catalog"
)

// ErrClosed is returned for a lake that is closed or was not started.
var ErrClosed = errors.New("lake is not running")

// publisher brings what the logs hold into the tables, tick by tick. One goroutine runs the ticks.
type publisher struct {
	shop      *workshop
	cat       *catalog.Catalog
	ledger    *ledger
	tables    []*Table
	health    *health
	folding   *folding
	producers map[*Table]*producer

	requests    chan request
	submissions chan *submission
	stop        context.CancelFunc
	stopped     chan struct{}

	// Used by the running goroutine only.
	unknown *commit           // its outcome could not be read yet
	hints   map[string]string // location of current metadata by table, whose hint is still to be written
	held    map[string]time.Time
}

// request asks a goroutine to do all there is to do, on behalf of a caller.
type request struct {
	ctx  context.Context
	do   func() error // instead, where it is not nil: nothing else runs in the goroutine meanwhile
	done chan error
}

func newPublisher(l *Lake, log Log) *publisher {
	shop := &workshop{
		cfg: l.cfg, log: log, io: l.cat.IO(), root: l.cat.Location(), event: l.tables[0], nouns: map[string]*Table{},
		cache: newCache(l.cfg.MergeCacheBytes), pace: newPace(l.cfg.RewriteShare, rewriteBurst), mem: l.mem,
		turns:     make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
		positions: newKept[*positions](l.cfg.PositionBytes), deleted: newKept[*roaring.Bitmap](l.cfg.PositionBytes / 4),
	}
	for _, t := range l.tables[1:] {
		shop.nouns[t.Noun.Name] = t
	}
	producers := map[*Table]*producer{}
	for _, t := range l.tables {
		producers[t] = &producer{table: t, io: l.cat.IO(), now: l.cfg.Now}
	}
	return &publisher{
		shop: shop, cat: l.cat, ledger: l.ledger, tables: l.tables, health: l.health, producers: producers,
		folding:  newFolding(shop, l.cat, l.cfg.Now),
		requests: make(chan request), submissions: make(chan *submission), stopped: make(chan struct{}),
		hints: map[string]string{}, held: map[string]time.Time{},
	}
}

// rewriteBurst is the work, in seconds, that rewriting may save up while idle.
const rewriteBurst = 1.0

// start begins the clock. A negative interval means that only requests publish.
func (p *publisher) start() {
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	go p.run(ctx)
}

// close stops the clock and waits for a running tick, which is interrupted where nothing is lost.
func (p *publisher) close() {
	p.stop()
	<-p.stopped
	p.shop.cache.clear()
	if p.unknown != nil {
		for _, j := range p.unknown.jobs {
			j.release()
		}
	}
}

func (p *publisher) run(ctx context.Context) {
	defer close(p.stopped)
	interval := p.shop.cfg.Interval
	timer := time.NewTimer(max(interval, 0))
	defer timer.Stop()
	if interval < 0 {
		timer.Stop()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-p.requests:
			if r.do != nil {
				r.done <- r.do()
				continue
			}
			r.done <- p.flush(ctx, r.ctx)
		case s := <-p.submissions:
			p.submit(ctx, s)
		case <-timer.C:
			began := time.Now()
			behind, err := p.tick(ctx, false)
			if err != nil && ctx.Err() == nil {
				p.shop.cfg.Logger.Error("publish", "err", err)
			}
			wait := interval - time.Since(began)
			if behind && err == nil {
				wait = 0
			}
			timer.Reset(max(wait, 0))
		}
	}
}

// publish asks the running goroutine to publish everything acknowledged before the call.
func (p *publisher) publish(ctx context.Context) error { return ask(ctx, p.requests, p.stopped, nil) }

// ask sends a request to a goroutine that answers all it takes, and gives the answer; ErrClosed if it has stopped.
func ask(ctx context.Context, requests chan<- request, stopped <-chan struct{}, do func() error) error {
	r := request{ctx: ctx, do: do, done: make(chan error, 1)}
	select {
	case requests <- r:
	case <-stopped:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-r.done
}

// flush ticks until every tenant has reached the head it had at the start and no table lags.
func (p *publisher) flush(running, asked context.Context) error {
	ctx, cancel := context.WithCancel(asked)
	defer cancel()
	defer context.AfterFunc(running, cancel)()
	heads := p.shop.log.Heads()
	for {
		if _, err := p.tick(ctx, true); err != nil {
			return err
		}
		if p.reached(heads) {
			return nil
		}
		if err := ctx.Err(); err != nil { // what a tick leaves undone because of it is no error of the tick
			return err
		}
	}
}

func (p *publisher) reached(heads map[string]int64) bool {
	for tenant, head := range heads {
		if p.ledger.at(tenant).seq < head {
			return false
		}
	}
	return len(p.ledger.lagging()) == 0
}

// tick publishes what there is. With force it does so whatever the pace of tables and the delays after errors. It reports
// whether more is waiting that could be published at once; the error joins those of all tenants and tables.
func (p *publisher) tick(ctx context.Context, force bool) (behind bool, err error) {
	if err := p.settle(ctx); err != nil {
		return false, err
	}
	began := time.Now()
	jobs := p.plan(force, began)
	rest := p.prepare(ctx, jobs, began, force)
	done := slices.DeleteFunc(slices.Clone(jobs), func(j *job) bool { return !j.prepared || j.err != nil })
	if len(done) > 0 {
		err = p.commit(ctx, done)
	}
	errs := []error{err, p.hint()}
	for _, j := range jobs {
		errs = append(errs, j.err)
		behind = behind || j.behind
		for _, r := range j.rewrites {
			errs = append(errs, r.err)
		}
	}
	p.review(jobs, err, began)
	return behind || rest, errors.Join(errs...)
}

// plan lists the tenants with something to publish, those that wait longest first.
func (p *publisher) plan(force bool, now time.Time) []*job {
	heads := maps.Clone(p.shop.log.Heads())
	for _, tenant := range p.ledger.lagging() {
		if _, found := heads[tenant]; !found {
			heads[tenant] = p.ledger.at(tenant).seq
		}
	}
	var jobs []*job
	for tenant, head := range heads {
		from := p.ledger.at(tenant)
		if head == from.seq && !from.lags() || !force && now.Before(p.held[tenant]) {
			continue
		}
		jobs = append(jobs, &job{tenant: tenant, from: from, head: head, force: force})
	}
	p.health.dirty(jobs, now)
	since := make(map[*job]time.Time, len(jobs))
	for _, j := range jobs {
		since[j] = p.since(j, now)
	}
	slices.SortFunc(jobs, func(a, b *job) int {
		return cmp.Or(since[a].Compare(since[b]), strings.Compare(a.tenant, b.tenant))
	})
	return jobs
}

// since says since when something of a job's tenant waits: events, or a noun's table.
func (p *publisher) since(j *job, now time.Time) time.Time {
	oldest := p.health.since(j.tenant)
	for name, s := range j.from.nouns {
		if s.lags() {
			if at := p.shop.pace.since(paceKey{j.tenant, name}, now); at.Before(oldest) {
				oldest = at
			}
		}
	}
	return oldest
}

// prepare prepares jobs, several at a time. Where that takes longer than the interval, the rest waits for the next tick, so
// that what is prepared becomes visible.
func (p *publisher) prepare(ctx context.Context, jobs []*job, began time.Time, force bool) (rest bool) {
	var g errgroup.Group
	g.SetLimit(p.shop.cfg.workers())
	limit := max(p.shop.cfg.Interval, minimumTick)
	for _, j := range jobs {
		if !force && time.Since(began) > limit || ctx.Err() != nil {
			rest = true
			break
		}
		g.Go(func() error {
			j.prepared = true
			j.err = p.shop.prepare(ctx, j)
			return nil
		})
	}
	_ = g.Wait() // the jobs keep their errors
	for _, j := range jobs {
		if j.err != nil {
			p.drop(j)
		}
	}
	return rest
}

// minimumTick is the least time that a tick prepares for, with a shorter interval too.
const minimumTick = 100 * time.Millisecond

// drop removes the files of a job that is not published.
func (p *publisher) drop(j *job) {
	p.shop.remove(j.locations())
	j.release()
}

// commit publishes prepared jobs.
func (p *publisher) commit(ctx context.Context, jobs []*job) error {
	if err := p.conclude(ctx, newCommit(p, jobs)); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// conclude runs a commit and takes note of its outcome, or that it is unknown.
func (p *publisher) conclude(ctx context.Context, c *commit) error {
	err := c.run(ctx)
	switch {
	case err == nil:
		p.committed(c)
	case errors.Is(err, catalog.ErrUnsettled):
		p.unknown = c
	default:
		p.refused(c, err)
	}
	return err
}

// committed takes note of a commit that has happened.
func (p *publisher) committed(c *commit) {
	p.ledger.apply(c.tenants)
	for _, j := range c.jobs {
		for _, r := range j.rewrites {
			if !r.done {
				continue
			}
			if r.rows != nil {
				p.shop.cache.put(r.to.files[0].location, r.rows)
			}
			r.release()
		}
	}
	for _, ch := range c.changes {
		for _, e := range ch.edits {
			p.shop.forget(e.removes)
		}
		p.folding.note(ch.adds)
		if ch.staged != nil {
			p.producers[ch.table].adopt(ch.made, ch.staged.Location)
			p.hints[ch.table.Name] = ch.staged.Location
		}
	}
	if c.submission != nil {
		c.submission.outcome <- nil
	}
}

// refused takes note of a commit that has definitely not happened.
func (p *publisher) refused(c *commit, err error) {
	for _, j := range c.jobs {
		p.drop(j)
	}
	if c.submission != nil {
		c.submission.outcome <- err
	}
}

// errUnsaid is the outcome of a commit that was unknown and has not happened.
var errUnsaid = errors.New("commit did not happen")

// settle learns the outcome of a commit that was unknown. Nothing is published before.
func (p *publisher) settle(ctx context.Context) error {
	if p.unknown == nil {
		return nil
	}
	happened, err := p.cat.Happened(ctx, p.unknown.staged, p.unknown.moves)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	c := p.unknown
	p.unknown = nil
	if happened {
		p.committed(c)
	} else {
		c.discard()
		p.refused(c, errUnsaid)
	}
	return nil
}

// hint writes the hints of tables that have moved. One that fails is tried again with the next tick.
func (p *publisher) hint() error {
	var mu sync.Mutex // guards errs and p.hints
	var errs []error
	var g errgroup.Group
	g.SetLimit(p.shop.cfg.workers())
	for name, location := range maps.Clone(p.hints) {
		g.Go(func() error {
			err := p.cat.Hint(location)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				delete(p.hints, name)
			}
			errs = append(errs, err)
			return nil
		})
	}
	_ = g.Wait() // the errors are kept
	return errors.Join(errs...)
}

// review keeps what Status says, and holds tenants back that failed.
func (p *publisher) review(jobs []*job, committed error, now time.Time) {
	for _, j := range jobs {
		if !j.prepared {
			continue
		}
		err := errors.Join(j.err, committed)
		if err != nil {
			p.held[j.tenant] = now.Add(p.shop.cfg.ErrorDelay)
		} else {
			delete(p.held, j.tenant)
		}
		for _, r := range j.rewrites {
			err = errors.Join(err, r.err)
		}
		p.health.note(j, p.ledger.at(j.tenant), err)
	}
}
