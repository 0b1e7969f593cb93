package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/ingest/archive"
	"headless.ly/lakehouse"
)

const (
	// stagingFolder, in the data folder, is where a log is made of an archive. What a process that ended has left in it is
	// removed when the store is opened.
	stagingFolder = "staging"
	// importBatch is the number of events that share a commit of a log in the staging folder.
	importBatch = 20_000
	// importCacheKB is the page cache of such a log: the entities of events come in any order.
	importCacheKB = 64 << 10
)

// Steps of importing and erasing a tenant's log, which Config.Step hears: ".before" it begins, and ".after" its result is on disk.
const (
	stepStage  = "import.stage" // a log in the staging folder
	stepMark   = "import.mark"  // the tenant noted as open
	stepAdopt  = "import.adopt" // the log in its place: from here on the tenant exists
	stepUnlink = "erase.unlink" // one file of a tenant's folder removed
	stepFolder = "erase.folder" // the folder removed
)

// MoveSteps lists what Config.Step can hear.
func MoveSteps() []string {
	var names []string
	for _, s := range []string{stepStage, stepMark, stepAdopt, stepUnlink, stepFolder} {
		names = append(names, s+".before", s+".after")
	}
	return names
}

// Moved says what an export or import has moved.
type Moved struct {
	Tenant string
	Events int64
	Nouns  map[string]int64 // number of live entities; of an import only
}

// Export writes the tenant's whole history up to its head as an archive (package archive). progress, which may be nil, hears how
// many events are written, and of how many. After an error what was written is no archive. problem.NotFound for a tenant that does not exist.
func (s *Store) Export(ctx context.Context, tenant string, w io.Writer, progress func(done, all int64)) (Moved, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	head, err := s.Barrier(ctx, tenant)
	if err != nil {
		return Moved{}, err
	}
	var ids noun.EventIDs
	exists := false
	err = s.existing(ctx, tenant, func(w *writer) error {
		return w.read(func(c *conn) (err error) { exists = true; ids, err = c.eventIDs(); return err })
	})
	if err != nil {
		return Moved{}, err
	}
	if !exists {
		return Moved{}, problem.New(problem.NotFound, "there is no tenant %q", tenant)
	}
	out, err := archive.NewWriter(w, archive.Header{Tenant: tenant, EventIDs: uint64(ids), Head: head, Exported: s.cfg.Clock().UTC()})
	if err != nil {
		return Moved{}, fmt.Errorf("export %s: %w", tenant, err)
	}
	if head > 0 {
		err = s.Read(ctx, tenant, lakehouse.Range{Upto: head}, func(e *lakehouse.Event) error {
			progress(e.Seq, head)
			return out.Add(e)
		})
	}
	if err == nil {
		_, err = out.Close()
	}
	if err != nil {
		return Moved{}, fmt.Errorf("export %s: %w", tenant, err)
	}
	return Moved{Tenant: tenant, Events: head}, nil
}

// Import makes a tenant of an archive: its log with the same seqs, timestamps, ids and versions, and the state that follows from
// it. as names the tenant; empty: as in the archive. Nothing is visible before the whole archive has been read and found to be
// right; after an error nothing is left. problem.Conflict if the tenant exists, archive.ErrBroken for an archive that is not whole.
func (s *Store) Import(ctx context.Context, r io.Reader, as string, progress func(done, all int64)) (Moved, error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	in, err := archive.Open(r)
	if err != nil {
		return Moved{}, fmt.Errorf("import: %w", err)
	}
	if as == "" {
		as = in.Header.Tenant
	}
	if !ValidTenant(as) {
		return Moved{}, invalidTenant()
	}
	if err := s.vacant(as); err != nil {
		return Moved{}, err
	}
	dir := filepath.Join(s.cfg.Dir, stagingFolder, uuid.NewString())
	l := &loader{store: s, tenant: as, in: in, dir: dir, progress: progress, tallies: map[string]tally{}}
	err = l.load(ctx)
	if err == nil {
		err = s.adopt(ctx, as, dir)
	}
	if err != nil {
		return Moved{}, errors.Join(fmt.Errorf("import %s: %w", as, err), os.RemoveAll(dir))
	}
	moved := Moved{Tenant: as, Events: in.Header.Head, Nouns: map[string]int64{}}
	for name, t := range l.tallies {
		moved.Nouns[name] = t.live
	}
	return moved, nil
}

// vacant refuses a name that a tenant has, in the folder or in the lake.
func (s *Store) vacant(tenant string) error {
	published := int64(0)
	if s.cfg.Published != nil {
		published = s.cfg.Published(tenant)
	}
	if published == 0 && fileSize(logFile(s.cfg.Dir, tenant)) == 0 {
		return nil
	}
	p := problem.New(problem.Conflict, "the tenant %q exists; import under another name, or erase it first", tenant)
	p.ExistingID = tenant
	return p
}

// adopt makes a finished log that of a tenant, in one step, and has it published.
func (s *Store) adopt(ctx context.Context, tenant, dir string) error {
	lift, err := s.bar(ctx, tenant, "is being imported")
	if err != nil {
		return err
	}
	defer lift()
	if err := s.vacant(tenant); err != nil {
		return err
	}
	s.cfg.Step(stepMark + ".before")
	if err := s.cfg.Registrar.MarkOpen(ctx, tenant); err != nil {
		return err
	}
	s.cfg.Step(stepMark + ".after")
	s.cfg.Step(stepAdopt + ".before")
	place := filepath.Dir(logFile(s.cfg.Dir, tenant))
	if err := os.RemoveAll(place); err != nil { // at most the empty log of a creation that was cut short
		return err
	}
	if err := os.Rename(dir, place); err != nil {
		return err
	}
	// From here on the tenant exists; what fails now is tried again by the next start, which finds it on the list of open tenants.
	err = errors.Join(syncDir(filepath.Dir(place)), syncDir(filepath.Dir(dir)))
	s.cfg.Step(stepAdopt + ".after")
	lift()
	if err != nil {
		return fmt.Errorf("the tenant is there, and may be gone after a power cut: %w", err)
	}
	k, err := s.acquire(ctx, tenant) // a tenant that is open is published
	if err != nil {
		return nil // it is opened by the next call
	}
	k.w.marked.Store(true)
	s.release(k)
	return nil
}

// loader makes a log of an archive.
type loader struct {
	store    *Store
	tenant   string
	in       *archive.Reader
	dir      string
	progress func(done, all int64)

	log     *conn
	last    int64 // timestamp of the event before
	tallies map[string]tally
}

// load makes the log, durably, and closes it.
func (l *loader) load(ctx context.Context) error {
	l.store.cfg.Step(stepStage + ".before")
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	var err error
	if l.log, err = openConn(filepath.Join(l.dir, "log.db"), l.store.cfg.VFS, "rwc", false); err != nil {
		return err
	}
	err = l.fill(ctx)
	if err == nil {
		err = l.log.checkpoint("TRUNCATE")
	}
	if err = errors.Join(err, l.log.close()); err != nil {
		return err
	}
	if err := errors.Join(syncDir(l.dir), syncDir(filepath.Dir(l.dir))); err != nil {
		return err
	}
	l.store.cfg.Step(stepStage + ".after")
	return nil
}

func (l *loader) fill(ctx context.Context) error {
	l.log.plans = l.store.plans
	if err := l.log.script(fmt.Sprintf("PRAGMA cache_size=-%d", importCacheKB)); err != nil {
		return err
	}
	if err := l.log.makeTables(l.tenant, noun.EventIDs(l.in.Header.EventIDs)); err != nil {
		return err
	}
	if err := l.log.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := l.in.Each(ctx, l.event)
	if err == nil {
		err = l.finish(ctx)
	}
	if err != nil {
		return err // closing the connection rolls back
	}
	return l.log.exec("COMMIT")
}

// event appends one event, and makes its entity's state follow from it.
func (l *loader) event(e *lakehouse.Event) error {
	if err := l.check(e); err != nil {
		return fmt.Errorf("%w: event %d: %w", archive.ErrBroken, e.Seq, err)
	}
	before, err := l.log.getState(e.Target)
	if err != nil {
		return err
	}
	now := state{noun: e.Entity, row: e.Seq, seq: e.Seq, version: e.Version, deleted: e.Verb == "delete"}
	version := int64(1)
	if before != nil {
		now.row, version = before.row, before.version+1
	}
	if e.Version != version || before != nil && before.noun != e.Entity {
		return fmt.Errorf("%w: event %d makes version %d of %s, where version %d is due", archive.ErrBroken, e.Seq, e.Version, e.Target, version)
	}
	r := &record{Event: *e, row: now.row}
	if err := r.insert(l.log); err != nil {
		return err
	}
	if err := now.put(l.log, e.Target); err != nil {
		return err
	}
	l.last = e.Timestamp
	t := l.tallies[e.Entity]
	t.last = e.Seq
	if !now.deleted {
		t.live++
	}
	if before != nil && !before.deleted {
		t.live--
	}
	l.tallies[e.Entity] = t
	l.progress(e.Seq, l.in.Header.Head)
	if e.Seq%importBatch != 0 {
		return nil
	}
	return l.again()
}

// check says why an event cannot be of a log.
func (l *loader) check(e *lakehouse.Event) error {
	seq, ok := noun.EventIDs(l.in.Header.EventIDs).Seq(e.ID)
	switch {
	case !ok || seq != e.Seq:
		return fmt.Errorf("%q is not its id", e.ID)
	case e.Timestamp < l.last:
		return errors.New("it is older than the one before")
	case e.Timestamp > l.store.cfg.Clock().UnixMilli():
		return fmt.Errorf("it lies in the future, at %s", time.UnixMilli(e.Timestamp).UTC().Format(timeFormat))
	case l.store.plans[e.Entity] == nil:
		return fmt.Errorf("there is no entity type %q here", e.Entity)
	case e.Kind != lakehouse.KindMutation && e.Kind != lakehouse.KindAnalytics:
		return fmt.Errorf("its kind is %q", e.Kind)
	}
	doc, err := entity.Parse(e.Data)
	if err != nil {
		return err
	}
	if doc.Text("$type") != e.Entity || doc.Text("$id") != e.Target {
		return fmt.Errorf("its document is not that of %s %s", e.Entity, e.Target)
	}
	return nil
}

// again commits what there is, so that the write-ahead log stays small.
func (l *loader) again() error {
	if err := l.log.exec("COMMIT"); err != nil {
		return err
	}
	if err := l.log.checkpoint("TRUNCATE"); err != nil {
		return err
	}
	return l.log.exec("BEGIN IMMEDIATE")
}

// finish writes what follows from all events together: tallies, and who holds the unique values.
func (l *loader) finish(ctx context.Context) error {
	for name, t := range l.tallies {
		if err := l.log.exec(sqlPutTally, name, t.live, t.last); err != nil {
			return err
		}
	}
	for after := ""; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		live, last, err := l.log.liveAfter(after)
		if err != nil || last == "" {
			return err
		}
		for id, st := range live {
			if err := l.claim(id, st); err != nil {
				return err
			}
		}
		after = last
	}
}

// claim gives an entity the unique values that its document has.
func (l *loader) claim(id string, st state) error {
	return l.log.claimAll(l.store.plans[st.noun], id, st, func(k claim, holder string) error {
		return fmt.Errorf("%w: %s and %s have the same %s", archive.ErrBroken, holder, id, k.field)
	})
}

// claimAll writes who holds the unique values of an entity's document: the entity, or, where clash gives no error, who held one
// before.
func (c *conn) claimAll(p *plan, id string, st state, clash func(k claim, holder string) error) error {
	if p == nil || len(p.uniques) == 0 {
		return nil
	}
	data, err := c.getData(st.seq)
	if err != nil {
		return err
	}
	doc, err := entity.ParseStored(data)
	if err != nil {
		return err
	}
	for _, f := range p.uniques {
		value := uniqueText(doc, f.Name)
		if value == "" {
			continue
		}
		k := claim{st.noun, f.Name, value}
		holder, err := c.getClaim(k)
		switch {
		case err != nil:
		case holder != "":
			err = clash(k, holder)
		default:
			err = c.exec(sqlPutClaim, k.noun, k.field, k.value, id)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// liveAfter gives a page of the live entities in order of id, and the last id of it; empty: there are no more.
func (c *conn) liveAfter(id string) (live map[string]state, last string, err error) {
	live = map[string]state{}
	err = c.query(sqlLiveAfter, func(v []driverValue) error {
		last = v[0].(string)
		live[last] = state{noun: v[1].(string), seq: v[2].(int64)}
		return nil
	}, id, int64(pageRows))
	return live, last, err
}

// put writes an entity's state.
func (s *state) put(c *conn, id string) error {
	deleted := int64(0)
	if s.deleted {
		deleted = 1
	}
	return c.exec(sqlPutState, id, s.noun, s.row, s.seq, s.version, deleted, s.sum(id))
}
