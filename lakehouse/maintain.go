package lakehouse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apache/iceberg-go/table"
)

// chore is a kind of maintenance. Its methods are called from the maintainer's goroutine only.
type chore interface {
	name() string
	// work does one bounded piece, aside from publishing and within seconds, and gives what must be committed; nil when
	// nothing has to be, or there is nothing to do now.
	work(ctx context.Context) (*proposal, error)
	// backlog counts what is known to be waiting.
	backlog() int
}

// proposal is a prepared change of one table that the publisher's goroutine commits in its own turn, in a commit of its own.
type proposal struct {
	table   *Table
	tenants []string // whose files of a noun's table change
	// check is called in the publisher's goroutine, again after each conflict, and builds the edits against what is current.
	// An error that wraps errStale says that the change is not wanted any more.
	check func(current) ([]edit, error)
	// done is called once the outcome is known, in the maintainer's goroutine. It removes the change's files when it is not
	// committed. After a Close in the middle it is not called: the files may be named or not.
	done func(committed bool)
}

// current is what a proposal is checked against. Nothing is committed meanwhile.
type current struct {
	metadata table.Metadata
	standing func(tenant string) *standing
}

// maintainer gives the chores their turns, one after another in one goroutine, within a share of one processor.
type maintainer struct {
	cfg     Config
	propose func(context.Context, *proposal) error
	duties  []*duty
	board   *board

	requests chan request
	stop     context.CancelFunc
	stopped  chan struct{}
}

// duty is a chore with its place in the clock.
type duty struct {
	chore
	due time.Time // not before
}

func newMaintainer(l *Lake, p *publisher) *maintainer {
	m := &maintainer{cfg: l.cfg, propose: p.propose, board: l.board, requests: make(chan request), stopped: make(chan struct{})}
	for _, c := range chores(l, p) {
		m.duties = append(m.duties, &duty{chore: c})
		m.board.enter(c.name())
	}
	return m
}

// chores lists what is done, in the order of turns.
func chores(l *Lake, p *publisher) []chore {
	return []chore{
		p.folding,
		newCompactor(p.shop, l.ledger),
		newOrphans(l),
		&garbage{cat: l.cat, ledger: l.ledger, now: l.cfg.Now, keep: l.cfg.KeepFiles},
	}
}

// start begins the clock. A negative interval means that chores work on request only.
func (m *maintainer) start() {
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	go m.run(ctx)
}

// close stops the clock and waits for the chore that is at work.
func (m *maintainer) close() {
	m.stop()
	<-m.stopped
}

func (m *maintainer) run(ctx context.Context) {
	defer close(m.stopped)
	timer := time.NewTimer(max(m.cfg.MaintainEvery, 0))
	defer timer.Stop()
	if m.cfg.MaintainEvery < 0 {
		timer.Stop()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case r := <-m.requests:
			if r.do != nil {
				r.done <- r.do()
				continue
			}
			r.done <- m.finish(ctx, r.ctx)
		case <-timer.C:
			began := time.Now()
			_, _ = m.round(ctx, false) // the board keeps the errors
			spent := time.Since(began)
			rest := time.Duration(float64(spent)/m.cfg.MaintainShare) - spent
			timer.Reset(max(rest, m.cfg.MaintainEvery))
		}
	}
}

// maintain asks the running goroutine to do all that is due now.
func (m *maintainer) maintain(ctx context.Context) error { return ask(ctx, m.requests, m.stopped, nil) }

// finish gives turns until no chore has anything to do.
func (m *maintainer) finish(running, asked context.Context) error {
	ctx, cancel := context.WithCancel(asked)
	defer cancel()
	defer context.AfterFunc(running, cancel)()
	for before := -1; ; {
		worked, err := m.round(ctx, true)
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		left := m.backlog()
		if !worked && (left == 0 || left == before) {
			return nil
		}
		before = left
	}
}

func (m *maintainer) backlog() int {
	n := 0
	for _, d := range m.duties {
		n += d.backlog()
	}
	return n
}

// round gives every chore a turn; with force also those that wait after an error. It reports whether something was
// committed.
func (m *maintainer) round(ctx context.Context, force bool) (worked bool, err error) {
	var errs []error
	for _, d := range m.duties {
		if ctx.Err() != nil {
			break
		}
		if !force && time.Now().Before(d.due) {
			continue
		}
		did, err := m.turn(ctx, d)
		worked = worked || did
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", d.name(), err))
		}
	}
	return worked, errors.Join(errs...)
}

// turn lets one chore work, and commits what it proposes. A proposal that has been overtaken is no error: the chore looks
// again at its next turn.
func (m *maintainer) turn(ctx context.Context, d *duty) (worked bool, err error) {
	m.board.begin(d.name(), m.cfg.Now())
	p, err := d.work(ctx)
	if err == nil && p != nil {
		err = m.propose(ctx, p)
		if !errors.Is(err, errOpen) {
			p.done(err == nil)
		}
		worked = err == nil
	}
	if errors.Is(err, errStale) {
		err = nil
	}
	wait := max(m.cfg.MaintainEvery, 0)
	if err != nil {
		wait = m.cfg.ErrorDelay
	}
	d.due = time.Now().Add(wait)
	change := m.board.end(d.name(), outcome{at: m.cfg.Now(), wait: wait, backlog: d.backlog(), worked: worked, err: err})
	if change != "" && ctx.Err() == nil {
		m.cfg.Logger.Warn("maintenance", "chore", d.name(), "state", change, "err", err)
	}
	return worked, err
}

// errOpen is returned where a proposal's outcome is not known when the lake closes.
var errOpen = errors.New("outcome of a proposal is not known")

// submission is a proposal on its way.
type submission struct {
	*proposal
	outcome chan error // nil: it is committed
}

// propose has the publisher's goroutine commit a proposal, and gives the outcome: nil when it is committed, an error when it
// definitely is not, errOpen when that is not known.
func (p *publisher) propose(ctx context.Context, change *proposal) error {
	s := &submission{proposal: change, outcome: make(chan error, 1)}
	select {
	case p.submissions <- s:
	case <-p.stopped:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-s.outcome:
		return err
	case <-p.stopped:
	}
	select {
	case err := <-s.outcome: // it came with the stop
		return err
	default:
		return errOpen
	}
}

// submit commits a proposal in the publisher's turn.
func (p *publisher) submit(ctx context.Context, s *submission) {
	if err := p.settle(ctx); err != nil {
		s.outcome <- err
		return
	}
	c := &commit{publisher: p, submission: s, changes: []*change{{table: s.table, check: s.check}}}
	if err := errors.Join(p.conclude(ctx, c), p.hint()); err != nil && !errors.Is(err, errStale) && ctx.Err() == nil {
		p.shop.cfg.Logger.Error("commit of maintenance", "table", s.table.Name, "err", err)
	}
}
