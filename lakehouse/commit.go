package lakehouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"headless.ly/catalog"
)

// seqsProperty names, in a snapshot's summary, the side file beside the metadata that says which seqs the snapshot holds.
const seqsProperty = "headlessly.seqs"

// commitAttempts bounds how often a commit is built again because somebody else committed to one of its tables.
const commitAttempts = 3

// commit is what a tick publishes: one change for each table, and the standings that hold afterwards; or the one change of a
// proposal. It makes them current in one transaction of catalog.db.
type commit struct {
	jobs       []*job
	submission *submission          // of a commit that is no tick's, but a proposal
	tenants    map[string]*standing // after the commit
	changes    []*change            // events first
	staged     []*catalog.Staged
	moves      []catalog.Move
	publisher  *publisher
}

// change is a commit's part for one table.
type change struct {
	table    *Table
	adds     []iceberg.DataFile // of events
	rewrites []*rewrite         // of a noun's table, with the job of each
	jobs     []*job
	check    func(current) ([]edit, error) // of a proposal, instead of all these
	edits    []edit                        // built on what is current
	made     *product
	staged   *catalog.Staged
}

// newCommit gathers what the jobs have prepared, by table.
func newCommit(p *publisher, jobs []*job) *commit {
	c := &commit{jobs: jobs, publisher: p}
	events := &change{table: p.shop.event}
	byNoun := map[*Table]*change{}
	for _, j := range jobs {
		events.adds = append(events.adds, j.added...)
		for _, r := range j.rewrites {
			ch := byNoun[r.table]
			if ch == nil {
				ch = &change{table: r.table}
				byNoun[r.table] = ch
			}
			ch.rewrites, ch.jobs = append(ch.rewrites, r), append(ch.jobs, j)
		}
	}
	c.changes = []*change{events}
	for _, t := range p.tables {
		if ch := byNoun[t]; ch != nil {
			c.changes = append(c.changes, ch)
		}
	}
	return c
}

// replacement gives what a tick changes of a table: events gain files, a noun's are replaced or amended.
func (ch *change) replacement() []edit {
	e := edit{adds: slices.Clone(ch.adds), lenient: true}
	for _, r := range ch.rewrites {
		if !r.done {
			continue
		}
		e.adds, e.removes = append(e.adds, r.adds...), append(e.removes, r.removes...)
	}
	deletes := slices.ContainsFunc(e.adds, func(f iceberg.DataFile) bool { return f.ContentType() != iceberg.EntryContentData })
	switch {
	case e.empty():
		return nil
	case len(e.removes) == 0 && !deletes:
		e.operation = table.OpAppend
	case len(e.adds) == 0:
		e.operation = table.OpDelete
	default:
		e.operation = table.OpOverwrite
	}
	return []edit{e}
}

// reckon works out the standings and moves that hold after the commit.
func (c *commit) reckon() {
	c.tenants = map[string]*standing{}
	c.moves = nil
	for _, j := range c.jobs {
		next := &standing{seq: j.upto, nouns: maps.Clone(j.from.nouns)}
		if next.nouns == nil {
			next.nouns = map[string]shelf{}
		}
		if j.upto != j.from.seq {
			c.moves = append(c.moves, catalog.Move{Table: eventsTable, Tenant: j.tenant, From: j.from.seq, To: j.upto, Changed: j.upto})
		}
		for _, r := range j.rewrites {
			next.nouns[r.table.Noun.Name] = r.to
			if r.to.seq == r.from.seq && r.to.changed == r.from.changed {
				continue
			}
			c.moves = append(c.moves, catalog.Move{Table: r.table.Name, Tenant: j.tenant, From: r.from.seq, To: r.to.seq, Changed: r.to.changed})
		}
		c.tenants[j.tenant] = next
	}
	if c.submission != nil && c.submission.table.Noun != nil {
		c.reshelve(c.submission)
	}
}

// reshelve works out the standings after a proposal: the same rows in other files.
func (c *commit) reshelve(s *submission) {
	for _, tenant := range s.tenants {
		at := c.publisher.ledger.at(tenant)
		next := &standing{seq: at.seq, nouns: maps.Clone(at.nouns)}
		shelf := at.nouns[s.table.Noun.Name]
		for _, e := range c.changes[0].edits {
			shelf.files = e.reshelved(tenant, shelf.files)
		}
		next.nouns[s.table.Noun.Name] = shelf
		c.tenants[tenant] = next
	}
}

// run publishes. A table whose part cannot be built is left out and lags; without events nothing is published. The error is
// definite unless it wraps catalog.ErrUnsettled: then the commit may have happened, and settle says so later.
func (c *commit) run(ctx context.Context) error {
	for attempt := 1; ; attempt++ {
		err := c.attempt(ctx)
		if err == nil || errors.Is(err, catalog.ErrUnsettled) {
			return err
		}
		c.discard()
		if !errors.Is(err, catalog.ErrConflict) || attempt == commitAttempts {
			return err
		}
		c.publisher.shop.cfg.Logger.Warn("publish: somebody else has committed, building again", "err", err)
	}
}

// attempt builds everything on what is current, and swaps it in.
func (c *commit) attempt(ctx context.Context) error {
	if err := c.stage(ctx); err != nil {
		return err
	}
	if len(c.staged) == 0 && len(c.moves) == 0 {
		return nil
	}
	return c.publisher.cat.Swap(ctx, c.staged, c.moves)
}

// discard removes the files that were staged and refused.
func (c *commit) discard() {
	for _, ch := range c.changes {
		if ch.staged != nil {
			c.publisher.cat.Discard(ch.staged)
		}
		if ch.made != nil {
			ch.made.discard(c.publisher.shop.io)
		}
		ch.staged, ch.made = nil, nil
	}
	c.staged = nil
}

// stage writes manifests and metadata of all tables that change, several at a time.
func (c *commit) stage(ctx context.Context) error {
	c.reckon()
	failed := make([]error, len(c.changes))
	var g errgroup.Group
	g.SetLimit(c.publisher.shop.cfg.workers())
	for i, ch := range c.changes {
		g.Go(func() error {
			failed[i] = c.stageTable(ctx, ch)
			return nil
		})
	}
	_ = g.Wait() // the functions keep their errors
	c.staged = nil
	for _, ch := range c.changes {
		if ch.staged != nil {
			c.staged = append(c.staged, ch.staged)
		}
	}
	if failed[0] != nil {
		return failed[0]
	}
	for i, err := range failed {
		if err != nil {
			c.postpone(c.changes[i], err)
		}
	}
	c.reckon()
	return nil
}

// postpone leaves a noun's table out of the commit.
func (c *commit) postpone(ch *change, err error) {
	for i, r := range ch.rewrites {
		if r.done {
			c.publisher.shop.remove(r.locations())
			r.postpone(ch.jobs[i].from.seq, err)
			c.publisher.shop.pace.hold(paceKey{ch.jobs[i].tenant, r.table.Noun.Name}, time.Now().Add(c.publisher.shop.cfg.ErrorDelay))
		}
	}
}

// seqs gives the seq of every tenant that a table holds after the commit.
func (c *commit) seqs(t *Table) map[string]int64 {
	name := ""
	if t.Noun != nil {
		name = t.Noun.Name
	}
	seqs := c.publisher.ledger.seqs(name)
	for tenant, s := range c.tenants {
		if name == "" {
			seqs[tenant] = s.seq
		} else if shelf, found := s.nouns[name]; found {
			seqs[tenant] = shelf.stands(s.seq)
		}
	}
	return seqs
}

// stageTable builds one table's next snapshots on what is current, and writes them durably: side file, manifests, metadata.
// A change that comes to nothing is left out.
func (c *commit) stageTable(ctx context.Context, ch *change) error {
	if err := c.build(ctx, ch); err != nil {
		return fmt.Errorf("stage %s: %w", ch.table.Name, err)
	}
	return nil
}

func (c *commit) build(ctx context.Context, ch *change) error {
	p := c.publisher
	t, err := p.cat.LoadTable(ctx, ch.table.ident)
	if err != nil {
		return err
	}
	if ch.edits, err = p.edits(ch, t); err != nil || len(ch.edits) == 0 {
		return err
	}
	side, err := writeSide(p.shop.io, t.Location(), ch.table.Name, c.seqs(ch.table))
	if err != nil {
		return err
	}
	for i := range ch.edits {
		ch.edits[i].summary = iceberg.Properties{seqsProperty: path.Base(side)}
	}
	made, err := p.producers[ch.table].produce(t, ch.edits)
	if err != nil || made.snapshots == 0 {
		_ = p.shop.io.Remove(side) // an orphan if it stays
		return err
	}
	made.written = append(made.written, side)
	if undo := ch.table.restore(t.Metadata()); len(undo) > 0 {
		p.shop.cfg.Logger.Warn("another program has changed our columns, restoring them", "table", ch.table.Name)
		made.commit.Updates = append(undo, made.commit.Updates...)
	}
	from, until := made.span(t.Metadata())
	made.name(p.shop.io, side, from, until)
	staged, err := p.cat.Stage(ctx, made.commit)
	if err != nil {
		made.discard(p.shop.io)
		return err
	}
	made.files.Gone = staged.Register.Gone
	staged.Register = made.files
	ch.made, ch.staged = made, staged
	return nil
}

// edits gives what a change is on top of t.
func (p *publisher) edits(ch *change, t *table.Table) ([]edit, error) {
	if ch.check == nil {
		return ch.replacement(), nil
	}
	edits, err := ch.check(current{metadata: t.Metadata(), standing: p.ledger.at})
	edits = slices.DeleteFunc(edits, edit.empty)
	if err == nil && len(edits) == 0 {
		err = errStale
	}
	return edits, err
}

// sideFile is the content of a snapshot's side file.
type sideFile struct {
	Format int              `json:"format"`
	Table  string           `json:"table"`
	Seqs   map[string]int64 `json:"seqs"`
}

// writeSide writes a side file and gives its location.
func writeSide(x *catalog.IO, location, name string, seqs map[string]int64) (string, error) {
	data, err := json.Marshal(sideFile{Format: 1, Table: name, Seqs: seqs})
	if err != nil {
		return "", err
	}
	file := location + "/metadata/seqs-" + uuid.NewString() + ".json"
	return file, x.WriteFile(file, append(data, '\n'))
}
