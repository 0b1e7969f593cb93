package query

import (
	"context"
	"errors"

	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// pruneRows is how many rows below the published seq a tail may hold before they are cut off.
const pruneRows = 5000

// feedKey names one feed of a database.
type feedKey struct {
	table   *schema
	history bool // every version; else the tail: what is not published
}

// noun is the noun whose events are fed; "" for the log, which takes all.
func (k feedKey) noun() string {
	if k.table.noun == nil {
		return ""
	}
	return k.table.noun.Name
}

// feed keeps one segment up to date. One caller at a time feeds it, the others wait for what it has fed.
type feed struct {
	key     feedKey
	turn             // its holder may touch what follows
	segment *segment // nil: none yet
	tooLong bool     // the log, beyond the limit: it is read anew each time
	compact int      // a tail with more rows than this is compacted; 0: the limit
}

func (d *database) feed(key feedKey) *feed {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.feeds[key]
	if !ok {
		f = &feed{key: key, turn: newTurn()}
		d.feeds[key] = f
	}
	return f
}

// span says which events a reader needs: those with after < seq <= upto, to see the state at upto.
type span struct{ after, upto int64 }

// tail gives a segment that holds a span of the noun's events, the latest of each entity at least.
//
// Strategy. The tail grows by the events since it was last read and is cut below the published seq of its readers. Beyond
// MaxTailRows (the publisher is far behind) it is compacted to the latest version of each entity, and again whenever it has
// doubled since: its size is bounded by the entities changed since the last publish, and beyond the database's memory it
// spills. A reader whose span reaches below the tail (it pinned an older view, or reads at an instant before the last
// compaction) gets a segment of its own, which costs it one read of the log.
func (d *database) tail(ctx context.Context, table *schema, need span) (g *segment, release func(), err error) {
	f := d.feed(feedKey{table: table})
	if err := f.wait(ctx); err != nil {
		return nil, nil, err
	}
	defer f.done()
	if f.segment == nil {
		if f.segment, err = d.newSegment(ctx, f.key, need.after); err != nil {
			return nil, nil, err
		}
	}
	f.segment.skip(need.after)
	if f.segment.holds(need) {
		if err := d.advance(ctx, f, need.upto); err != nil {
			return nil, nil, err
		}
		if err := d.shorten(ctx, f, need.after); err != nil {
			return nil, nil, err
		}
	}
	if !f.segment.holds(need) {
		return d.private(ctx, f.key, need, true)
	}
	release, _ = d.hold(&f.segment.lease) // its feed has it: it is not doomed
	return f.segment, release, nil
}

// events gives a segment with every event of the log up to a seq.
func (d *database) events(ctx context.Context, upto int64) (g *segment, release func(), err error) {
	f := d.feed(feedKey{table: d.engine.events})
	if err := f.wait(ctx); err != nil {
		return nil, nil, err
	}
	defer f.done()
	if f.segment == nil && !f.tooLong {
		if f.segment, err = d.newSegment(ctx, f.key, 0); err != nil {
			return nil, nil, err
		}
	}
	if !f.tooLong {
		err = d.advance(ctx, f, upto)
	}
	if err != nil {
		return nil, nil, err
	}
	if f.tooLong {
		return d.private(ctx, f.key, span{0, upto}, false)
	}
	release, _ = d.hold(&f.segment.lease) // its feed has it: it is not doomed
	return f.segment, release, nil
}

// advance feeds the segment up to a seq. If it fails half-way, what was appended stays and the next caller goes on. The
// caller holds the turn.
func (d *database) advance(ctx context.Context, f *feed, upto int64) error {
	g := f.segment
	if g.fed >= upto {
		return nil
	}
	leave, err := admit(ctx, d.engine.feeding, d.engine.cfg.QueueTimeout)
	if err != nil {
		return err
	}
	defer leave()
	r := lakehouse.Range{After: g.fed, Upto: upto, Noun: f.key.noun()}
	err = d.extend(ctx, g, r, func(*lakehouse.Event) (bool, error) {
		if f.key.noun() == "" && len(g.seqs) >= d.engine.cfg.MaxLogRows {
			return false, errEnough
		}
		return true, nil
	})
	switch {
	case err == nil:
		g.fed = upto
	case errors.Is(err, errEnough), errors.Is(err, errAppend):
		f.segment, f.tooLong = nil, errors.Is(err, errEnough)
		d.doom(&g.lease)
		if f.tooLong {
			return nil
		}
	case len(g.seqs) > 0:
		g.fed = max(g.fed, g.seqs[len(g.seqs)-1])
	}
	return err
}

// shorten keeps the tail bounded. The caller holds the turn.
func (d *database) shorten(ctx context.Context, f *feed, published int64) error {
	g := f.segment
	stale := g.below(published)
	var (
		next *segment
		err  error
	)
	switch {
	case len(g.seqs)-stale > max(f.compact, d.engine.cfg.MaxTailRows):
		next, err = d.latest(ctx, g, published)
		if err == nil {
			f.compact = 2 * len(next.seqs)
		}
	case stale > max(pruneRows, len(g.seqs)/2):
		next, err = d.behind(ctx, g, published)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	f.segment = next
	d.doom(&g.lease)
	return nil
}

// private makes a segment for one reader: every event of the span, or of each entity the latest.
func (d *database) private(ctx context.Context, key feedKey, need span, latest bool) (*segment, func(), error) {
	leave, err := admit(ctx, d.engine.feeding, d.engine.cfg.QueueTimeout)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	g, err := d.newSegment(ctx, key, need.after)
	if err != nil {
		return nil, nil, err
	}
	r := lakehouse.Range{After: need.after, Upto: need.upto, Noun: key.noun(), Desc: latest}
	choose := d.everyEvent(g)
	if latest {
		choose = latestEvents()
	}
	if err = d.extend(ctx, g, r, choose); err != nil {
		d.doom(&g.lease)
		return nil, nil, err
	}
	g.fed, g.floor = need.upto, need.upto
	release, _ := d.hold(&g.lease)
	return g, func() { d.doom(&g.lease); release() }, nil
}

// latestEvents chooses, of events from the newest on, the first of each entity.
func latestEvents() func(*lakehouse.Event) (bool, error) {
	seen := map[string]struct{}{}
	return func(e *lakehouse.Event) (bool, error) {
		_, again := seen[e.Target]
		seen[e.Target] = struct{}{}
		return !again, nil
	}
}

// everyEvent chooses all events, up to the limit on rows of all databases.
func (d *database) everyEvent(g *segment) func(*lakehouse.Event) (bool, error) {
	return func(*lakehouse.Event) (bool, error) {
		if most := d.engine.cfg.MaxRows; len(g.seqs) >= most {
			return false, problem.New(problem.LimitExceeded, "the history of %s has more than %d events: too many for one query", g.schema.name, most)
		}
		return true, nil
	}
}
