package care

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"

	"headless.ly/catalog"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// Finding is one thing that is wrong with a data folder.
type Finding struct {
	Kind   string `json:"kind"`             // log, state, claim, tally, meta, idempotency, file; catalog, metadata, data, events, rows, bloom, hint, orphan
	Tenant string `json:"tenant,omitempty"` // whose; empty: everybody's
	Table  string `json:"table,omitempty"`
	File   string `json:"file,omitempty"` // path below the data folder
	Seq    int64  `json:"seq,omitempty"`  // of the event
	Upto   int64  `json:"upto,omitempty"` // of the last event, where it is about several in a row
	Entity string `json:"entity,omitempty"`
	Detail string `json:"detail"`
	Repair string `json:"repair"` // what Repair does about it
}

// String is the finding as people read it, in one line.
func (f Finding) String() string {
	where := f.File
	if f.Tenant != "" {
		where += " tenant " + f.Tenant
	}
	switch {
	case f.Upto > f.Seq:
		where += fmt.Sprintf(" seq %d to %d", f.Seq, f.Upto)
	case f.Seq > 0:
		where += fmt.Sprintf(" seq %d", f.Seq)
	}
	if f.Entity != "" {
		where += " " + f.Entity
	}
	return fmt.Sprintf("%s: %s: %s; repair: %s", f.Kind, where, f.Detail, f.Repair)
}

// What Repair does.
const (
	doRestore  = "writes the log anew, with these events from the events table"
	doLose     = "nothing: these events were not published and stand nowhere else"
	doLog      = "writes the log anew, from its events"
	doTable    = "writes the table's metadata anew, from its data files"
	doEvents   = "writes the file anew, from the log"
	doTrimmed  = "nothing: these events have left the log and stand nowhere else"
	doRows     = "writes the tenant's rows anew, from the log"
	doHint     = "writes the hint anew"
	doOrphan   = "enters it among the files to be removed"
	doNothing  = "nothing: it is not ours"
	doDatabase = "nothing: restore catalog.db from a backup"
)

// Errors of folders that cannot be looked at.
var (
	// ErrNotFolder is wrapped where there is no such folder.
	ErrNotFolder = errors.New("no such folder")
	// ErrNotData is wrapped where a folder is not a data folder.
	ErrNotData = errors.New("not a data folder")
	// ErrNewer is wrapped where a newer program has written the folder.
	ErrNewer = errors.New("written by a newer version of headlessly")
)

// refusal gives the error of a folder that cannot be looked at in the words of this package.
func refusal(dir string, err error) error {
	switch {
	case errors.Is(err, catalog.ErrNoDatabase):
		return fmt.Errorf("%w: %s has no catalog.db", ErrNotData, dir)
	case errors.Is(err, catalog.ErrVersion), errors.Is(err, ingest.ErrFormat):
		return fmt.Errorf("%w: %w", ErrNewer, err)
	}
	return err
}

// ofFlaw gives a flaw of the lake as a finding.
func (r *run) ofFlaw(f lakehouse.Flaw) Finding {
	out := Finding{Kind: string(f.Kind), Tenant: f.Tenant, Table: f.Table, File: r.below(f.File), Seq: f.Seq, Detail: f.Detail}
	switch f.Kind {
	case lakehouse.FlawCatalog:
		out.Repair = doDatabase
	case lakehouse.FlawMetadata:
		out.Repair = doTable
	case lakehouse.FlawData, lakehouse.FlawBloom:
		out.Repair = doRows
		if f.Table == "events" {
			out.Repair = doEvents
		}
	case lakehouse.FlawEvents:
		out.Repair = doEvents
	case lakehouse.FlawRows:
		out.Repair = doRows
	case lakehouse.FlawHint:
		out.Repair = doHint
	case lakehouse.FlawOrphan:
		out.Repair = doOrphan
	}
	return out
}

// ofDamage gives damage of a log as a finding.
func (r *run) ofDamage(tenant string, published int64, d ingest.Damage) Finding {
	out := Finding{Kind: string(d.Part), Tenant: tenant, File: r.below(ingest.LogPath(r.Dir, tenant)), Seq: d.Seq, Entity: d.Entity,
		Detail: d.Detail, Repair: doLog}
	if d.Upto > d.Seq {
		out.Upto = d.Upto
	}
	if d.Part == ingest.PartLog && d.Seq > 0 {
		out.Repair = doRestore
		if cmp.Or(d.Upto, d.Seq) > published {
			out.Repair = doLose
		}
	}
	return out
}

// below gives a path below the data folder.
func (r *run) below(path string) string {
	if rel, err := filepath.Rel(r.Dir, path); err == nil && path != "" {
		return filepath.ToSlash(rel)
	}
	return path
}
