package lakehouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
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

// commit is what a tick publishes: one change for each table, and the standings that hold afterwards. It makes them current
// in one transaction of catalog.db.
type commit struct {
	jobs      []*job
	tenants   map[string]*standing // after the commit
	changes   []*change            // events first
	staged    []*catalog.Staged
	moves     []catalog.Move
	publisher *publisher
}

// change is a commit's part for one table.
type change struct {
	table    *Table
	adds     []iceberg.DataFile
	removes  []dataFile
	rewrites []*rewrite // of a noun's table, with the job of each
	jobs     []*job
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

// files lists what a noun's change adds and removes.
func (ch *change) files() {
	if ch.table.Noun == nil {
		return
	}
	ch.adds, ch.removes = nil, nil
	for _, r := range ch.rewrites {
		if !r.done {
			continue
		}
		ch.removes = append(ch.removes, r.from.files...)
		if r.added != nil {
			ch.adds = append(ch.adds, r.added)
		}
	}
}

func (ch *change) empty() bool { return len(ch.adds) == 0 && len(ch.removes) == 0 }

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

// discard removes metadata that was staged and refused.
func (c *commit) discard() {
	c.publisher.cat.Discard(c.staged...)
	c.staged = nil
}

// stage writes manifests and metadata of all tables that change, several at a time.
func (c *commit) stage(ctx context.Context) error {
	for _, ch := range c.changes {
		ch.files()
	}
	c.reckon()
	staged := make([]*catalog.Staged, len(c.changes))
	failed := make([]error, len(c.changes))
	var g errgroup.Group
	g.SetLimit(c.publisher.shop.cfg.workers())
	for i, ch := range c.changes {
		if ch.empty() {
			continue
		}
		g.Go(func() error {
			staged[i], failed[i] = c.publisher.stage(ctx, ch, c.seqs(ch.table))
			return nil
		})
	}
	_ = g.Wait() // the functions keep their errors
	c.staged = slices.DeleteFunc(staged, func(s *catalog.Staged) bool { return s == nil })
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
			added := r.added
			r.postpone(ch.jobs[i].from.seq, err)
			if added != nil {
				_ = c.publisher.shop.io.Remove(added.FilePath()) // an orphan if it stays
			}
			c.publisher.shop.pace.hold(paceKey{ch.jobs[i].tenant, r.table.Noun.Name}, time.Now().Add(c.publisher.shop.cfg.ErrorDelay))
		}
	}
	ch.files()
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

// stage builds one table's next snapshot on what is current, and writes it durably: side file, manifests, metadata.
func (p *publisher) stage(ctx context.Context, ch *change, seqs map[string]int64) (*catalog.Staged, error) {
	staged, err := p.build(ctx, ch, seqs)
	if err != nil {
		return nil, fmt.Errorf("stage %s: %w", ch.table.Name, err)
	}
	return staged, nil
}

func (p *publisher) build(ctx context.Context, ch *change, seqs map[string]int64) (*catalog.Staged, error) {
	t, err := p.cat.LoadTable(ctx, ch.table.ident)
	if err != nil {
		return nil, err
	}
	side, err := p.writeSeqs(t.Location(), ch.table.Name, seqs)
	if err != nil {
		return nil, err
	}
	tx := t.NewTransaction()
	summary := iceberg.Properties{seqsProperty: side}
	if len(ch.removes) == 0 {
		err = tx.AddDataFiles(ctx, ch.adds, summary, table.WithoutDuplicateCheck(), table.WithoutAutoNameMapping())
	} else {
		err = tx.ReplaceDataFilesWithDataFiles(ctx, p.named(ch), ch.adds, summary, table.WithoutAutoNameMapping())
	}
	if err != nil {
		return nil, err
	}
	commit, err := tx.TableCommit()
	if err != nil {
		return nil, err
	}
	return p.cat.Stage(ctx, commit)
}

// named gives the removed files to iceberg-go, which looks at nothing but their names.
func (p *publisher) named(ch *change) []iceberg.DataFile {
	files := make([]iceberg.DataFile, len(ch.removes))
	for i, f := range ch.removes {
		files[i] = namedFile{location: f.location}
	}
	return files
}

// namedFile is a data file of which only the name is known.
type namedFile struct {
	iceberg.DataFile
	location string
}

func (f namedFile) FilePath() string { return f.location }

// sideFile is the content of a snapshot's side file.
type sideFile struct {
	Format int              `json:"format"`
	Table  string           `json:"table"`
	Seqs   map[string]int64 `json:"seqs"`
}

// writeSeqs writes a side file and gives its name in the metadata folder.
func (p *publisher) writeSeqs(location, name string, seqs map[string]int64) (string, error) {
	data, err := json.Marshal(sideFile{Format: 1, Table: name, Seqs: seqs})
	if err != nil {
		return "", err
	}
	file := uuid.NewString() + "-seqs.json"
	return file, p.shop.io.WriteFile(location+"/metadata/"+file, append(data, '\n'))
}
