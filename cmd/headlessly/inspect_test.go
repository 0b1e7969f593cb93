package main_test

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2"
	_ "github.com/mattn/go-sqlite3"

	"github.com/apache/iceberg-go/io"
	"github.com/apache/iceberg-go/table"

	"headless.ly/catalog"
	"headless.ly/catalog/entity"
	"headless.ly/catalog/fault"
	"headless.ly/catalog/noun"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

// house is a data folder in use, as the server opens it, without doors.
type house struct {
	lake  *lakehouse.Lake
	store *ingest.Store
}

// faultFS is an injector's file system as the lake wants it.
type faultFS struct{ fault.FS }

func (f faultFS) Open(name string) (catalog.File, error) { return faultFile(f.FS.Open(name)) }

func (f faultFS) Create(name string) (catalog.File, error) { return faultFile(f.FS.Create(name)) }

func faultFile(f *fault.File, err error) (catalog.File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

// openHouse opens a data folder; vfs is nil outside of fault injection. It publishes when asked only.
func openHouse(ctx context.Context, dir string, in *fault.Injector, vfs *fault.VFS) (*house, error) {
	lakeConfig := lakehouse.Config{Dir: dir, Nouns: noun.Core(), Interval: -1, Logger: slog.New(slog.DiscardHandler)}
	storeConfig := ingest.Config{Dir: dir, Nouns: noun.Core(), Logger: lakeConfig.Logger}
	if in != nil {
		lakeConfig.FS, lakeConfig.VFS, storeConfig.VFS = faultFS{in.FS()}, vfs.Name(), vfs.Name()
	}
	lake, err := lakehouse.Open(ctx, lakeConfig)
	if err != nil {
		return nil, err
	}
	storeConfig.Registrar, storeConfig.Published = lake.Database(), lake.Published
	sweep, err := lake.Database().OpenTenants(ctx)
	if err != nil {
		return nil, errors.Join(err, lake.Close())
	}
	store, err := ingest.Open(ctx, storeConfig, sweep)
	if err != nil {
		return nil, errors.Join(err, lake.Close())
	}
	lake.Start(store)
	return &house{lake, store}, nil
}

func (h *house) close(ctx context.Context) error {
	return errors.Join(h.store.Close(ctx), h.lake.Close())
}

// inspect opens a data folder that nobody uses, publishes once, and says which promises it breaks.
func inspect(ctx context.Context, dir string, p *promises) error {
	h, err := openHouse(ctx, dir, nil, nil)
	if err != nil {
		return fmt.Errorf("open again: %w", err)
	}
	logs, err := h.logs(ctx)
	if err == nil {
		err = errors.Join(p.broken(logs), h.state(ctx, logs))
	}
	if perr := h.lake.Publish(ctx); perr != nil {
		err = errors.Join(err, fmt.Errorf("publish: %w", perr))
	} else {
		err = errors.Join(err, h.published(ctx, dir, logs))
	}
	if err := errors.Join(err, h.close(ctx)); err != nil {
		return err
	}
	for tenant, log := range logs {
		if err := stored(dir, tenant, log); err != nil {
			return fmt.Errorf("state of %s: %w", tenant, err)
		}
	}
	return nil
}

// logs reads the logs of all tenants.
func (h *house) logs(ctx context.Context) (map[string][]*lakehouse.Event, error) {
	tenants, err := h.store.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	logs := map[string][]*lakehouse.Event{}
	for _, t := range tenants {
		err := h.store.Read(ctx, t, lakehouse.Range{}, func(e *lakehouse.Event) error {
			logs[t] = append(logs[t], e)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read log: %w", err)
		}
	}
	return logs, nil
}

// state compares what the store answers with what replaying the logs gives.
func (h *house) state(ctx context.Context, logs map[string][]*lakehouse.Event) error {
	var errs []error
	for tenant, log := range logs {
		if head, err := h.store.Head(ctx, tenant); err != nil || head != int64(len(log)) {
			errs = append(errs, fmt.Errorf("head of %s: %d, %v; its log holds %d", tenant, head, err, len(log)))
		}
		for id, e := range replayed(log) {
			p, err := h.store.Lookup(ctx, tenant, e.Entity, id)
			want := lakehouse.Pointer{ID: id, Seq: e.Seq, Version: e.Version, Deleted: e.Verb == "delete"}
			if err != nil || p != want {
				errs = append(errs, fmt.Errorf("state of %s in %s: %+v, %v; its log says %+v", id, tenant, p, err, want))
			}
		}
	}
	return errors.Join(errs...)
}

// stored compares a log file's tables (ingest/FORMAT.md) with what replaying its log gives.
func stored(dir, tenant string, log []*lakehouse.Event) error {
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, "tenants", tenant, "log.db")+"?mode=ro")
	if err != nil {
		return err
	}
	defer db.Close()
	var state, claims, tallies []string
	counts, last := map[string]int64{}, map[string]int64{}
	replay := replayed(log)
	for id, e := range replay {
		state = append(state, fmt.Sprint(id, e.Entity, e.Seq, e.Version, e.Verb == "delete"))
		last[e.Entity] = max(last[e.Entity], e.Seq)
	}
	for _, e := range live(replay) {
		counts[e.Entity]++
		claims = append(claims, claimed(e)...)
	}
	for name, seq := range last {
		tallies = append(tallies, fmt.Sprint(name, counts[name], seq))
	}
	for _, c := range []struct {
		query string
		want  []string
	}{
		{"SELECT id, noun, seq, version, deleted != 0 AS deleted FROM state", state},
		{"SELECT noun, field, value, id FROM claim", claims},
		{"SELECT noun, live, last FROM tally", tallies},
		{"SELECT key FROM idempotency WHERE seq > (SELECT coalesce(max(seq), 0) FROM log)", nil},
		{"PRAGMA integrity_check", []string{"ok"}},
	} {
		if err := sameRows(db, c.query, c.want); err != nil {
			return err
		}
	}
	return nil
}

// claimed lists the unique values that an entity holds.
func claimed(e *lakehouse.Event) []string {
	n, _ := noun.Core().Get(e.Entity)
	o, err := entity.Parse(e.Data)
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for _, f := range n.Uniques() {
		if v := o.Text(f.Name); v != "" {
			out = append(out, fmt.Sprint(e.Entity, f.Name, v, e.Target))
		}
	}
	return out
}

// sameRows compares the rows of a query, in any order, each printed as fmt.Sprint does.
func sameRows(db *sql.DB, query string, want []string) error {
	rows, err := db.Query(query)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	var got []string
	for rows.Next() {
		row := make([]any, len(columns))
		for i := range row {
			row[i] = new(any)
		}
		if err := rows.Scan(row...); err != nil {
			return err
		}
		for i := range row {
			row[i] = *row[i].(*any)
			if columns[i] == "deleted" {
				row[i] = row[i] == int64(1)
			}
		}
		got = append(got, fmt.Sprint(row...))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Errorf("%s:\n got  %s\n want %s", query, strings.Join(got, "; "), strings.Join(want, "; "))
	}
	return rows.Err()
}

// published compares the Iceberg tables with the logs: DuckDB reads the files that the newest metadata names.
func (h *house) published(ctx context.Context, dir string, logs map[string][]*lakehouse.Event) error {
	var events []string
	rows := map[string][]string{}
	for tenant, log := range logs {
		for _, e := range log {
			events = append(events, fmt.Sprint(tenant, " ", e.Seq, " ", e.ID, " ", e.Target, " ", e.Version, " ", string(e.Data)))
		}
		for _, e := range live(replayed(log)) {
			n, _ := noun.Core().Get(e.Entity)
			rows[n.Table()] = append(rows[n.Table()], fmt.Sprint(tenant, " ", e.Target, " ", e.Seq, " ", e.Version))
		}
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		return err
	}
	defer db.Close()
	errs := []error{h.sameTable(ctx, db, "events", `concat_ws(' ', tenant, seq, id, target, "version", data)`, events)}
	for _, n := range noun.Core().All() {
		if n.Name == "Event" {
			continue
		}
		errs = append(errs, h.sameTable(ctx, db, n.Table(), "concat_ws(' ', tenant, id, _seq, _version)", rows[n.Table()]))
	}
	return errors.Join(errs...)
}

func (h *house) sameTable(ctx context.Context, db *sql.DB, name, columns string, want []string) error {
	files, err := h.files(ctx, name)
	if err != nil {
		return fmt.Errorf("table %s: %w", name, err)
	}
	if len(files) == 0 {
		if len(want) > 0 {
			return fmt.Errorf("table %s is empty; want %d rows", name, len(want))
		}
		return nil
	}
	quoted := make([]string, len(files))
	for i, f := range files {
		quoted[i] = "'" + f + "'"
	}
	// tenant is a column of the files and of their folders' names; the file's wins.
	query := fmt.Sprintf("SELECT %s FROM read_parquet([%s], hive_partitioning=false)", columns, strings.Join(quoted, ","))
	if err := sameRows(db, query, want); err != nil {
		return fmt.Errorf("table %s: %w", name, err)
	}
	return nil
}

// files lists the data files that the table's newest metadata names.
func (h *house) files(ctx context.Context, name string) ([]string, error) {
	iceberg := h.lake.Database().Iceberg()
	current, err := iceberg.LoadTable(ctx, table.Identifier{catalog.Namespace, name})
	if err != nil {
		return nil, err
	}
	read := func(context.Context) (io.IO, error) { return io.LocalFS{}, nil }
	fresh, err := table.NewFromLocation(ctx, current.Identifier(), current.MetadataLocation(), read, nil)
	if err != nil {
		return nil, err
	}
	tasks, err := fresh.Scan().PlanFiles(ctx)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, t := range tasks {
		if len(t.DeleteFiles) > 0 {
			return nil, fmt.Errorf("%s has delete files, which this test does not read", t.File.FilePath())
		}
		out = append(out, catalog.Path(t.File.FilePath()))
	}
	slices.SortFunc(out, cmp.Compare)
	return out, nil
}
