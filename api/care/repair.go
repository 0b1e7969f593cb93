package care

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// Repaired says what Repair did.
type Repaired struct {
	Found []Finding `json:"found"`          // what was wrong
	More  int       `json:"more,omitempty"` // findings beyond MaxFindings
	Done  []string  `json:"done"`
	Lost  []string  `json:"lost"`           // what could not be recovered
	Kept  string    `json:"kept,omitempty"` // folder of what was damaged, below the data folder
	After *Report   `json:"after"`          // what Verify says now
}

// repair is one run of Repair.
type repair struct {
	Config
	out  *Repaired
	run  *run        // what was found last
	io   *catalog.IO // makes folders durably
	root string      // DIR/repair/<time>
}

// Repair mends a data folder that nobody uses: lakehouse.ErrLocked where a server does. It is not an error that something
// could not be recovered: Lost and After say so. The errors of Verify; others are of the disk, and leave the folder as it
// was or partly mended, to be repaired again.
func Repair(ctx context.Context, cfg Config) (out *Repaired, err error) {
	if cfg.FS == nil {
		cfg.FS = catalog.OS{}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Step == nil {
		cfg.Step = func(string) {}
	}
	if cfg.Say == nil {
		cfg.Say = func(string, ...any) {}
	}
	first := &run{Config: cfg}
	if err := first.open(ctx); err != nil { // before a lock file is made in whatever folder this is
		return nil, err
	}
	cfg.Dir = first.Dir
	lock, err := lakehouse.TakeLock(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("%w; stop the server first", err)
	}
	defer func() { err = errors.Join(err, lock.Release()) }()
	p := &repair{Config: cfg, out: &Repaired{Found: []Finding{}, Done: []string{}, Lost: []string{}}, io: catalog.NewIO(cfg.FS, cfg.Dir, nil)}
	p.root = filepath.Join(cfg.Dir, "repair", cfg.Now().UTC().Format("20060102T150405.000Z"))
	return p.out, p.mend(ctx)
}

// mend looks, mends logs, looks again, mends tables, and looks whether that was all.
func (p *repair) mend(ctx context.Context) error {
	if err := p.look(ctx); err != nil {
		return err
	}
	p.out.Found, p.out.More = p.run.report.Findings, p.run.report.More
	if p.run.report.Whole {
		p.out.After = &p.run.report
		return nil
	}
	var mended bool
	for _, tenant := range slices.Sorted(keys(p.run.sick)) {
		done, err := p.log(ctx, tenant)
		if mended = mended || done; err != nil {
			return err
		}
	}
	if mended {
		if err := p.look(ctx); err != nil {
			return err
		}
	}
	if !p.run.report.Whole {
		if err := p.lake(ctx); err != nil {
			return err
		}
		if err := p.look(ctx); err != nil {
			return err
		}
	}
	p.out.After = &p.run.report
	return nil
}

func (p *repair) look(ctx context.Context) (err error) {
	p.run, err = verify(ctx, p.Config)
	return err
}

func (p *repair) done(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.out.Done = append(p.out.Done, text)
	p.Say("%s", text)
}

func (p *repair) lost(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.out.Lost = append(p.out.Lost, text)
	p.Say("not recovered: %s", text)
}

// keep gives a file of the data folder a second name in the folder of what was damaged. One that is not there cannot be kept.
func (p *repair) keep(path string) error {
	rel, err := filepath.Rel(p.Dir, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return nil // not of this folder
	}
	to := filepath.Join(p.root, "damaged", rel)
	if _, err := p.FS.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	p.Step("keep.before")
	if err := p.io.MkdirAll(filepath.Dir(to)); err != nil {
		return err
	}
	if err := p.FS.Link(path, to); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("keep %s: %w", rel, err)
	}
	err = p.FS.SyncDir(filepath.Dir(to))
	p.out.Kept = filepath.ToSlash(filepath.Join("repair", filepath.Base(p.root), "damaged"))
	p.Step("keep.after")
	return err
}

// log writes a tenant's log anew and puts it in place. done is false where events of it stand nowhere whole.
func (p *repair) log(ctx context.Context, tenant string) (done bool, err error) {
	path := ingest.LogPath(p.Dir, tenant)
	from, err := ingest.OpenLogFile(path, p.VFS, p.Nouns)
	if err != nil {
		from = nil
	}
	closing := func() error {
		if from == nil {
			return nil
		}
		f := from
		from = nil
		return f.Close()
	}
	defer func() { err = errors.Join(err, closing()) }()
	readable, head := from != nil, p.run.lake.Published(tenant)
	if readable {
		head = max(head, from.Head())
	}
	made := filepath.Join(p.root, "made", "tenants", tenant, "log.db")
	if err := p.io.MkdirAll(filepath.Dir(made)); err != nil {
		return false, err
	}
	p.Step("log.made.before")
	lost, err := p.rewrite(ctx, tenant, made, from, head)
	switch {
	case errors.Is(err, lakehouse.ErrUnrecoverable):
		p.lost("log of %s: %v; it stays as it is", tenant, err)
		return false, nil
	case err != nil:
		return false, fmt.Errorf("log of %s: %w", tenant, err)
	}
	p.Step("log.made.after")
	if err := closing(); err != nil {
		return false, err
	}
	if err := p.place(tenant, path, made, readable); err != nil {
		return false, fmt.Errorf("log of %s: %w", tenant, err)
	}
	p.done("wrote the log of %s anew: %d events", tenant, head)
	for _, what := range lost {
		p.lost("log of %s: %s", tenant, what)
	}
	if !readable {
		p.lost("log of %s: events after seq %d, if there were any", tenant, head)
	}
	return true, nil
}

// rewrite writes a log anew and verifies it.
func (p *repair) rewrite(ctx context.Context, tenant, made string, from *ingest.LogFile, head int64) (lost []string, err error) {
	b, err := ingest.NewRebuild(made, tenant, p.VFS, p.Nouns, from)
	if err != nil {
		return nil, err
	}
	next := int64(1)
	err = b.Scan(ctx, 0, head, func(seq int64, e *lakehouse.Event, damaged error) error {
		if damaged != nil {
			return nil
		}
		if err := p.restore(ctx, b, tenant, next, seq-1); err != nil {
			return err
		}
		next = seq + 1
		return b.Add(e)
	})
	if err == nil {
		err = p.restore(ctx, b, tenant, next, head)
	}
	if err != nil {
		b.Abandon()
		return nil, err
	}
	if lost, err = b.Finish(ctx); err != nil {
		b.Abandon()
		return nil, err
	}
	return lost, p.check(ctx, made, head)
}

// restore adds events from the events table.
func (p *repair) restore(ctx context.Context, b *ingest.Rebuild, tenant string, from, upto int64) error {
	if from > upto {
		return nil
	}
	if published := p.run.lake.Published(tenant); upto > published || !p.run.lake.Listed("") {
		return fmt.Errorf("event %d to %d, of which %d is published: %w", from, upto, published, lakehouse.ErrUnrecoverable)
	}
	next := from
	err := p.run.lake.EventsBetween(ctx, tenant, from, upto, func(_ string, e *lakehouse.Event) error {
		if e.Seq != next || next > upto {
			return nil
		}
		next++
		return b.Add(e)
	})
	if err == nil && next <= upto {
		err = fmt.Errorf("event %d: %w", next, lakehouse.ErrUnrecoverable)
	}
	return err
}

// check holds a log that was made to being whole.
func (p *repair) check(ctx context.Context, made string, head int64) error {
	l, err := ingest.OpenLogFile(made, p.VFS, p.Nouns)
	if err != nil {
		return err
	}
	var wrong error
	_, err = l.Check(ctx, nil, func(d ingest.Damage) {
		if wrong == nil {
			wrong = fmt.Errorf("what can be made of it is not whole: %s, event %d: %s: %w", d.Part, d.Seq, d.Detail, lakehouse.ErrUnrecoverable)
		}
	}, func(int) {})
	if err == nil && l.Head() != head {
		err = fmt.Errorf("it ends at %d, not at %d", l.Head(), head)
	}
	return errors.Join(err, wrong, l.Close())
}

// place puts a log in the place of a damaged one, which is kept. The damaged file's write-ahead log goes first: it must never
// be taken for the new file's.
func (p *repair) place(tenant, path, made string, readable bool) error {
	settled := readable && ingest.Settle(path, p.VFS) == nil
	names := []string{path}
	if !settled {
		names = append(names, path+"-wal")
	}
	for _, name := range names {
		if err := p.keep(name); err != nil {
			return err
		}
	}
	for _, end := range []string{"-wal", "-shm"} {
		for _, name := range []string{path + end, made + end} {
			if err := p.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	if err := p.io.MkdirAll(filepath.Dir(path)); err != nil {
		return err
	}
	if err := p.FS.SyncDir(filepath.Dir(path)); err != nil {
		return err
	}
	p.Step("log.place.before")
	if err := p.FS.Rename(made, path); err != nil {
		return err
	}
	err := p.FS.SyncDir(filepath.Dir(path))
	p.Step("log.place.after")
	return err
}

// plan is what is to be done about the lake.
type plan struct {
	tables   map[string]map[string]bool // tenants whose files are written anew, by table
	suspects map[string]bool            // paths of files of events that are not as the log has them
	hints    []string
	orphans  map[string][]string // paths by table
	views    []string
}

// note takes a finding into the plan.
func (p *plan) note(dir string, f Finding) {
	at := func(table string) map[string]bool {
		if p.tables[table] == nil {
			p.tables[table] = map[string]bool{}
		}
		return p.tables[table]
	}
	path := filepath.Join(dir, filepath.FromSlash(f.File))
	switch kind := lakehouse.FlawKind(f.Kind); kind {
	case lakehouse.FlawMetadata:
		if name, ours := strings.CutPrefix(f.Table, catalog.Namespace+"."); ours {
			p.views = append(p.views, name)
		} else if !strings.Contains(f.Table, ".") {
			at(f.Table)
		}
	case lakehouse.FlawData, lakehouse.FlawBloom, lakehouse.FlawEvents, lakehouse.FlawRows:
		at(f.Table)[f.Tenant] = true
		if kind == lakehouse.FlawBloom || kind == lakehouse.FlawEvents {
			p.suspects[path] = true
		}
	case lakehouse.FlawHint:
		p.hints = append(p.hints, f.Table)
	case lakehouse.FlawOrphan:
		p.orphans[f.Table] = append(p.orphans[f.Table], path)
	}
}

// lake mends the tables.
func (p *repair) lake(ctx context.Context) (err error) {
	truth := &logs{repair: p}
	m, err := lakehouse.OpenMending(ctx, p.run.lake, truth, p.keep, p.Step)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close(), truth.close()) }()
	todo := p.run.plan
	var errs []error
	for _, name := range slices.Sorted(keys(todo.tables)) {
		tenants := slices.Sorted(keys(todo.tables[name]))
		var err error
		if name == "events" {
			err = m.Events(ctx, todo.suspects, tenants)
		} else {
			err = m.Noun(ctx, name, tenants)
		}
		switch {
		case err == nil:
			p.done("mended the table %s", name)
		case errors.Is(err, lakehouse.ErrUnrecoverable):
			p.lost("table %s: %v", name, err)
		default:
			errs = append(errs, fmt.Errorf("table %s: %w", name, err))
		}
	}
	for _, name := range todo.hints {
		if todo.tables[name] != nil {
			continue // written with the metadata
		}
		errs = append(errs, m.Hint(name))
		p.done("wrote the hint of %s anew", name)
	}
	for _, name := range slices.Sorted(keys(todo.orphans)) {
		errs = append(errs, m.Adopt(ctx, name, todo.orphans[name]))
		p.done("entered %d files of %s among those to be removed", len(todo.orphans[name]), name)
	}
	for _, name := range todo.views {
		errs = append(errs, m.DropView(ctx, table.Identifier{catalog.Namespace, name}))
		p.done("dropped the view %s: the server makes it anew", name)
	}
	return errors.Join(errs...)
}
