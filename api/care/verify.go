package care

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"headless.ly/catalog/noun"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// Config says which data folder to look after. Dir and Nouns are required.
type Config struct {
	Dir    string
	Nouns  *noun.Registry
	FS     lakehouse.FS  // the operating system's; tests inject faults
	VFS    string        // SQLite VFS; empty: the operating system's
	Window time.Duration // 1 h; files that nothing names may become so old
	Now    func() time.Time

	Found    func(Finding)                    // hears what is wrong as it is found, MaxFindings at most; may be nil
	Progress func(done, of int64)             // hears how far it is, in arbitrary units; may be nil
	Step     func(what string)                // hears each durable action of Repair before and after it happens; may be nil
	Say      func(format string, args ...any) // hears what Repair does, line by line; may be nil
}

// MaxFindings bounds the findings that a Report holds; more are counted.
const MaxFindings = 1000

// rowBytes is about what a row of a log weighs in Progress, beside the bytes of files.
const rowBytes = 400

// Report is what Verify found.
type Report struct {
	Whole    bool      `json:"whole"` // nothing is wrong
	Findings []Finding `json:"findings"`
	More     int       `json:"more,omitempty"` // findings beyond MaxFindings
	Tenants  int       `json:"tenants"`
	Events   int64     `json:"events"` // of all logs
	Rows     int64     `json:"rows"`   // of nouns' tables
	Bytes    int64     `json:"bytes"`  // of files of the lake
	Seconds  float64   `json:"seconds"`
}

// run is one run of Verify.
type run struct {
	Config
	report Report
	done   int64
	total  int64

	lake *lakehouse.Inspection
	sick map[string]*sickness // tenants with a damaged log
	plan plan
}

// sickness is what is wrong with a tenant's log.
type sickness struct {
	log []span // damaged or missing events
}

// span is events that follow each other.
type span struct{ from, upto int64 }

// Verify looks at a whole data folder. The report says what is wrong; the error is about folders that cannot be looked at:
// ErrNotFolder, ErrNotData, ErrNewer, catalog.ErrMoved, or ctx's own.
func Verify(ctx context.Context, cfg Config) (*Report, error) {
	r, err := verify(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &r.report, nil
}

func verify(ctx context.Context, cfg Config) (*run, error) {
	began := time.Now()
	r := &run{Config: cfg, sick: map[string]*sickness{}, report: Report{Findings: []Finding{}},
		plan: plan{tables: map[string]map[string]bool{}, suspects: map[string]bool{}, orphans: map[string][]string{}}}
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	tenants, others, err := r.tenants()
	if err != nil {
		return nil, err
	}
	for _, name := range others {
		r.found(Finding{Kind: "file", File: "tenants/" + name, Detail: "it is no tenant's folder", Repair: doNothing})
	}
	if err := r.lake.Files(ctx); err != nil {
		return nil, err
	}
	for _, tenant := range tenants {
		if err := r.tenant(ctx, tenant); err != nil {
			return nil, err
		}
	}
	r.report.Tenants = len(tenants)
	r.report.Whole = len(r.report.Findings) == 0
	r.report.Seconds = time.Since(began).Seconds()
	r.progress(r.total - r.done)
	return r, nil
}

// open makes sure that the folder is one, and reads what catalog.db says.
func (r *run) open(ctx context.Context) error {
	dir, err := filepath.Abs(r.Dir)
	if err != nil {
		return err
	}
	r.Dir = dir
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return fmt.Errorf("%w: %s", ErrNotFolder, dir)
	}
	r.lake, err = lakehouse.Inspect(ctx, lakehouse.InspectConfig{
		Dir: dir, Nouns: r.Nouns, FS: r.FS, VFS: r.VFS, Window: r.Window, Now: r.Now,
		Found: func(f lakehouse.Flaw) { r.found(r.ofFlaw(f)) },
		Bytes: func(n int64) { r.report.Bytes += n; r.progress(n) },
	})
	return refusal(dir, err)
}

// tenants lists those with a log and those with anything published, and counts what is to be done.
func (r *run) tenants() (tenants, others []string, err error) {
	tenants, others, err = ingest.LogTenants(r.Dir)
	if err != nil {
		return nil, nil, err
	}
	tenants = append(tenants, r.lake.Tenants()...)
	slices.Sort(tenants)
	tenants = slices.Compact(tenants)
	r.total = r.lake.Bytes()
	for _, tenant := range tenants {
		if info, err := os.Stat(ingest.LogPath(r.Dir, tenant)); err == nil {
			r.total += 2 * info.Size()
		}
	}
	return tenants, others, nil
}

func (r *run) found(f Finding) {
	r.plan.note(r.Dir, f)
	if len(r.report.Findings) >= MaxFindings {
		r.report.More++
		return
	}
	r.report.Findings = append(r.report.Findings, f)
	if r.Config.Found != nil {
		r.Config.Found(f)
	}
}

func (r *run) progress(n int64) {
	r.done = min(r.done+n, r.total)
	if r.Progress != nil {
		r.Progress(r.done, r.total)
	}
}

func (r *run) rows(n int) { r.progress(int64(n) * rowBytes) }

// tenant looks at a tenant's log and at what is published of it.
func (r *run) tenant(ctx context.Context, tenant string) error {
	s := &sickness{}
	damaged := func(d ingest.Damage) {
		if r.sick[tenant] = s; d.Part == ingest.PartLog && d.Seq > 0 {
			s.log = append(s.log, span{d.Seq, max(d.Seq, d.Upto)})
		}
		r.found(r.ofDamage(tenant, r.lake.Published(tenant), d))
	}
	log, err := ingest.OpenLogFile(ingest.LogPath(r.Dir, tenant), r.VFS, r.Nouns)
	if errors.Is(err, ingest.ErrFormat) {
		return refusal(r.Dir, err)
	}
	if err != nil {
		damaged(ingest.Damage{Part: ingest.PartFile, Detail: err.Error()})
		return nil
	}
	defer log.Close()
	live, err := log.Check(ctx, r.lake.Stands(tenant), damaged, r.rows)
	if err != nil {
		return err
	}
	r.report.Events += log.Head()
	if err := r.events(ctx, tenant, log, damaged); err != nil {
		return err
	}
	return r.nouns(ctx, tenant, log, live)
}

// events compares the log with the events table, seq by seq. Both are read in order of seq, side by side.
func (r *run) events(ctx context.Context, tenant string, log *ingest.LogFile, damaged func(ingest.Damage)) error {
	upto := r.lake.Published(tenant)
	if upto > log.Head() {
		damaged(ingest.Damage{Part: ingest.PartLog, Seq: log.Head() + 1, Upto: upto, Detail: "published, but behind the end of the log"})
	}
	if !r.lake.Listed("") {
		return nil
	}
	c := newPairing(ctx, log, min(upto, log.Head()))
	defer c.close()
	wrong := func(file string, seq int64, format string, args ...any) {
		r.lake.Report(lakehouse.Flaw{Kind: lakehouse.FlawEvents, Table: "events", Tenant: tenant, File: file, Seq: seq, Detail: fmt.Sprintf(format, args...)})
	}
	next := int64(1)
	err := r.lake.Events(ctx, tenant, func(file string, e *lakehouse.Event) error {
		switch {
		case e.Seq < next:
			wrong(file, e.Seq, "it is there twice, or out of order")
			return nil
		case e.Seq > upto:
			wrong(file, e.Seq, "it is behind what is published, %d", upto)
			return nil
		case e.Seq > next:
			r.absent(tenant, next, e.Seq-1)
		}
		next = e.Seq + 1
		r.rows(1)
		own, err := c.at(e.Seq)
		if err != nil || own == nil {
			return err // damaged, missing or trimmed: told by the log's check
		}
		if !same(own, e) && !renamed(log, own, e) {
			wrong(file, e.Seq, "it is not as the log has it")
		}
		return nil
	})
	if err == nil && next <= upto {
		r.absent(tenant, next, upto)
	}
	return err
}

// absent reports events that the events table lacks, but for those of files that are known to be damaged.
func (r *run) absent(tenant string, from, upto int64) {
	for _, f := range r.lake.EventFiles(tenant) {
		if f.Bad && f.First <= from && from <= f.Last {
			from = f.Last + 1
		}
	}
	if from <= upto {
		r.found(Finding{Kind: string(lakehouse.FlawEvents), Table: "events", Tenant: tenant, Seq: from, Upto: upto,
			Detail: "published, but not in the events table", Repair: doEvents})
	}
}

// same says whether two events are equal.
func same(a, b *lakehouse.Event) bool {
	return a.Seq == b.Seq && a.ID == b.ID && a.Kind == b.Kind && a.Type == b.Type && a.Entity == b.Entity && a.Target == b.Target &&
		a.Verb == b.Verb && a.Actor == b.Actor && a.Timestamp == b.Timestamp && a.Version == b.Version && a.Source == b.Source &&
		a.RequestID == b.RequestID && a.Cause == b.Cause && bytes.Equal(a.Data, b.Data) && bytes.Equal(a.Before, b.Before) &&
		bytes.Equal(a.Changes, b.Changes) && bytes.Equal(a.Input, b.Input)
}

// renamed says whether two events are equal once fields that were renamed bear the names they have now.
func renamed(log *ingest.LogFile, a, b *lakehouse.Event) bool {
	x, y := *a, *b
	return log.Today(&x) == nil && log.Today(&y) == nil && same(&x, &y)
}

// nouns compares the nouns' tables with the log at their seqs.
func (r *run) nouns(ctx context.Context, tenant string, log *ingest.LogFile, live map[string]int64) error {
	stands := r.lake.Stands(tenant)
	for _, n := range r.Nouns.All() {
		seq, found := stands[n.Name]
		if !found || !r.lake.Listed(n.Name) {
			continue
		}
		if seq < log.Trimmed() {
			continue // a table that lags behind what has left the log: the next publish brings it up
		}
		rows, err := r.lake.Rows(ctx, tenant, n.Name, func(id string, upto int64) (*lakehouse.Event, bool, error) {
			r.rows(1)
			e, err := log.Version(id, upto)
			if err != nil || e == nil {
				return nil, false, err
			}
			deleted, err := ingest.Deleted(e)
			return e, deleted, err
		})
		if err != nil {
			return err
		}
		r.report.Rows += rows
		if rows != live[n.Name] && r.sick[tenant] == nil && !r.lake.Bad(tenant, n.Name) {
			r.lake.Report(lakehouse.Flaw{Kind: lakehouse.FlawRows, Table: n.Table(), Tenant: tenant, Seq: seq,
				Detail: fmt.Sprintf("it has %d rows, at seq %d there are %d", rows, seq, live[n.Name])})
		}
	}
	return nil
}
