package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"headless.ly/cmd/bench/load"
	"headless.ly/cmd/bench/rival"
)

// The bars of imports and exports.
const (
	importRowCount  = 1_000_000
	importPerSecond = 15_000.0 // rows, validated, with a unique email each, on disk
	importMB        = 500      // of all processes while it runs
	importTimes     = 3.0      // the p99 of other tenants' writes, as a multiple of the quiet one
	parquetRows     = 200_000.0
	csvRows         = 100_000.0
	besidePerSecond = 100 // writes of other tenants
	besideTenants   = 16
	besideFor       = 15 * time.Second // of quiet
	importEvery     = 200 * time.Millisecond
	flushLimit      = 5 * time.Minute // what is left to be published when the import has ended
)

// importTenant is the tenant that the file is imported into.
const importTenant = "imported"

// imports measures a large import, what others feel of it, and exports of the same rows, beside DuckDB's COPY.
func (b *bench) imports(ctx context.Context, r *report) (err error) {
	rows := pick(b, b.importRows, 20_000)
	file := filepath.Join(b.dir, "contacts.ndjson")
	if err := writeContacts(file, rows); err != nil {
		return err
	}
	r.title("import of %d contacts from NDJSON, and their exports", rows)
	ceiling, err := b.duckCopies(ctx, file)
	if err != nil {
		return err
	}
	t, err := b.product(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	names := tenantNames("beside", besideTenants)
	quiet, err := b.beside(ctx, r, t, names, pick(b, besideFor, time.Second))
	if err != nil {
		return err
	}
	rate, peak, busy, err := b.importBeside(ctx, r, t, file, rows, names)
	if err != nil {
		return err
	}
	fmt.Fprintf(r.out, "  %-40s %12s %12s\n", "rows/s", "headlessly", "DuckDB COPY")
	fmt.Fprintf(r.out, "  %-40s %12.0f %12.0f\n", "import NDJSON, unique email", rate, ceiling["import"])
	r.bar(rate >= importPerSecond, "import: %.0f rows/s (bar: ≥ %.0f)", rate, importPerSecond)
	r.bar(peak <= importMB, "memory while importing: %.0f MB of all processes (bar: ≤ %d MB)", peak, importMB)
	r.bar(busy.p99 <= time.Duration(importTimes*float64(quiet.p99)), "writes of other tenants meanwhile: p99 %s ms, quiet %s ms (bar: ≤ %.0f ×)",
		ms(busy.p99), ms(quiet.p99), importTimes)
	if err := t.published(ctx, rows); err != nil {
		return err
	}
	for _, e := range []struct {
		format string
		bar    float64
	}{{"parquet", parquetRows}, {"csv", csvRows}, {"ndjson", 0}} {
		took, size, err := t.export(ctx, e.format)
		if err != nil {
			return err
		}
		rate := float64(rows) / took.Seconds()
		fmt.Fprintf(r.out, "  %-40s %12.0f %12.0f\n", fmt.Sprintf("export %s, %d MB", e.format, size>>20), rate, ceiling[e.format])
		if e.bar > 0 {
			r.bar(rate >= e.bar, "export as %s: %.0f rows/s (bar: ≥ %.0f)", e.format, rate, e.bar)
		}
	}
	return nil
}

// writeContacts writes contacts as lines of JSON.
func writeContacts(name string, n int) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	out, words := bufio.NewWriter(f), newWords()
	var line []byte
	for i := range n {
		c := words.contact(i)
		line = append(c.appendJSON(line[:0]), '\n')
		if _, err := out.Write(line); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(out.Flush(), f.Close())
}

// duckCopies gives the rows a second of DuckDB's own COPY: into a table with a unique email, and out of it.
func (b *bench) duckCopies(ctx context.Context, file string) (map[string]float64, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c, err := b.start(ctx, "DuckDB", self, duckDBCommand)
	if err != nil {
		return nil, err
	}
	t := &target{child: c}
	out := map[string]float64{}
	err = t.pause()
	for _, s := range []struct{ name, text string }{
		{"", `create table contact (name varchar not null, email varchar unique, phone varchar, title varchar, department varchar, stage varchar, source varchar, "leadScore" double)`},
		{"import", "copy contact from '" + file + "' (format json)"},
		{"parquet", "copy contact to '" + file + ".parquet' (format parquet, compression zstd)"},
		{"csv", "copy contact to '" + file + ".csv' (format csv, header)"},
		{"ndjson", "copy contact to '" + file + ".json' (format json)"},
	} {
		if err != nil {
			break
		}
		start := time.Now()
		var a load.Answer
		if a, err = t.once(rival.NativePath, s.text); err != nil {
			break
		}
		if a.Status != http.StatusOK {
			err = fmt.Errorf("%s: %w", s.text, unexpected(a, http.StatusOK))
			break
		}
		if s.name != "" {
			var answer struct{ Rows [][]float64 }
			if err = json.Unmarshal(a.Body, &answer); err == nil {
				out[s.name] = answer.Rows[0][0] / time.Since(start).Seconds()
			}
		}
	}
	return out, errors.Join(err, t.resume(), t.kill())
}

// beside writes in other tenants for a while.
func (b *bench) beside(ctx context.Context, r *report, t *target, names []string, length time.Duration) (figure, error) {
	l := load.Open{Addr: t.addr, PerSecond: besidePerSecond, Clients: freshClients, For: length}
	warm := load.Closed{Addr: t.addr, Clients: 1, For: time.Minute, Requests: len(names)}
	if _, err := warm.Run(ctx, func(int) load.Script { return newCreates(t, names) }); err != nil {
		return figure{}, err
	}
	s, err := l.Run(ctx, func(int) load.Script { return newCreates(t, names) })
	if ctx.Err() != nil && len(s.Latencies) > 0 { // it was to end with what it runs beside
		err = nil
	}
	if err != nil {
		return figure{}, fmt.Errorf("%w: %s said: %s", err, t.name, t.tail())
	}
	r.check("writes of other tenants", s)
	return newFigure(s), nil
}

// importJob is what a job tells.
type importJob struct {
	Job, Status            string
	Rows, Imported, Errors int
	Details                []json.RawMessage
	Failure                json.RawMessage
}

// importBeside imports the file while others write, and gives rows a second, the memory at its highest and the others' figure.
func (b *bench) importBeside(ctx context.Context, r *report, t *target, file string, rows int, names []string) (rate, peakMB float64, others figure, err error) {
	writing, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	start := time.Now()
	go func() {
		var err error
		others, err = b.beside(writing, r, t, names, time.Hour)
		ended <- err
	}()
	job, err := t.sendFile(ctx, file)
	if err == nil && job.Job == "" {
		err = fmt.Errorf("import: the answer names no job: %+v", job)
	}
	for err == nil && job.Status != "done" && job.Status != "failed" {
		var m footprint
		if m, err = readFootprint(t.pid()); err == nil {
			peakMB = max(peakMB, m.residentMB())
			if err = wait(ctx, importEvery); err == nil {
				err = t.ask("/~"+importTenant+"/jobs/"+job.Job, &job)
			}
		}
	}
	took := time.Since(start)
	stop()
	if err = errors.Join(err, <-ended); err != nil {
		return 0, 0, others, err
	}
	if job.Imported != rows || job.Errors != 0 {
		r.fault("of %d rows %d are imported and %d refused: %.300s %s", rows, job.Imported, job.Errors, job.Details, job.Failure)
	}
	return float64(rows) / took.Seconds(), peakMB, others, nil
}

// published waits until the file's rows are in the tables.
func (t *target) published(ctx context.Context, rows int) error {
	for start := time.Now(); ; {
		var status struct{ Log struct{ FlushedSeq int } }
		if err := t.ask("/~"+importTenant+"/status", &status); err != nil {
			return err
		}
		if status.Log.FlushedSeq >= rows {
			return nil
		}
		if time.Since(start) > flushLimit {
			return fmt.Errorf("%d of %d rows are published after %s", status.Log.FlushedSeq, rows, flushLimit)
		}
		if err := wait(ctx, importEvery); err != nil {
			return err
		}
	}
}

// sendFile posts a file to be imported.
func (t *target) sendFile(ctx context.Context, file string) (job importJob, err error) {
	f, err := os.Open(file)
	if err != nil {
		return job, err
	}
	defer f.Close()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+t.addr+"/~"+importTenant+"/import/Contact", f)
	if err != nil {
		return job, fmt.Errorf("import: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return job, fmt.Errorf("import: %w: %s said: %s", err, t.name, t.tail())
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&job); err != nil {
		return job, fmt.Errorf("import: %s: %w", response.Status, err)
	}
	return job, nil
}

// export fetches all contacts and drops them.
func (t *target) export(ctx context.Context, format string) (took time.Duration, size int64, err error) {
	start := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+t.addr+"/~"+importTenant+"/export/Contact?format="+format, nil)
	if err != nil {
		return 0, 0, fmt.Errorf("export: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, 0, fmt.Errorf("export: %w: %s said: %s", err, t.name, t.tail())
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 300)) // only to show it
		return 0, 0, fmt.Errorf("export: %s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	if size, err = io.Copy(io.Discard, response.Body); err != nil {
		return 0, 0, fmt.Errorf("export: %w", err)
	}
	return time.Since(start), size, nil
}
