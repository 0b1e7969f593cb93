package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"headless.ly/cmd/bench/load"
	"headless.ly/cmd/bench/outside"
)

// The bars of a large tenant, beside those of freshness.
const (
	largePerSecond = 200
	largeFor       = time.Minute
	largeMB        = 1024
	largeTimes     = 1.3 // the time of the same rows in one clean file
	largeRounds    = 5

	largeTenant = "large"
	// largeGroup is how many contacts are made before they are sent.
	largeGroup = 50_000
	// importLimit bounds one import.
	importLimit = 10 * time.Minute
	// publishLimit is how long the tables may take to hold what was imported.
	publishLimit = 15 * time.Minute
)

// large measures a tenant of very many contacts while random ones of them are updated.
func (b *bench) large(ctx context.Context, r *report) (err error) {
	t, err := b.product(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	rows := pick(b, b.largeRows, 3000)
	r.title("a tenant of %d contacts", rows)
	renames, err := b.renames(ctx)
	if err != nil {
		return err
	}
	sampling, stopSampling := context.WithCancel(ctx)
	defer stopSampling()
	peak := make(chan footprint, 1)
	go func() { peak <- peakFootprint(sampling, t.pid()) }()

	w := watch(ctx, t.data, []string{"events", "contact"})
	imported, err := b.importContacts(ctx, r, t, rows)
	if err != nil {
		return err
	}
	began := time.Now()
	if !w.wait([]written{imported}, publishLimit) {
		return fmt.Errorf("the tables do not hold what was imported, %v later: %s", publishLimit, t.tail())
	}
	fmt.Fprintf(r.out, "  both tables hold them %.1f s after the last was acknowledged\n", time.Since(began).Seconds())
	updates, err := b.updateContacts(ctx, r, t, rows)
	if err != nil {
		return err
	}
	seen, err := w.stop(updates, freshLimit)
	if err != nil {
		return err
	}
	stopSampling()
	r.printFreshness(seen, updates, newFigure(renames))
	m := <-peak
	r.bar(m.residentMB() <= largeMB, "resident memory from the import on: peak %.0f MB, %.0f MB of its own (bar: ≤ %d MB)", m.residentMB(), m.ownMB(), largeMB)
	if err := t.pause(); err != nil {
		return err
	}
	return b.readLarge(ctx, r, last(seen["contact"], 1)[0].version, rows, updates)
}

// largeID is the id of contact number n.
func largeID(n int) string { return fmt.Sprintf("contact_%08d", n) }

// importContacts imports n contacts, and gives the last of them as a write.
func (b *bench) importContacts(ctx context.Context, r *report, t *target, n int) (written, error) {
	words, began := newWords(), time.Now()
	var body bytes.Buffer
	for from := 0; from < n; from += largeGroup {
		body.Reset()
		upto := min(n, from+largeGroup)
		for i := from; i < upto; i++ {
			c := words.contact(i)
			fmt.Fprintf(&body, `{"$id":%q,`, largeID(i))
			body.Write(c.appendJSON(nil)[1:])
			body.WriteByte('\n')
		}
		if err := t.importRows(ctx, "Contact", &body, upto-from); err != nil {
			return written{}, err
		}
	}
	took := time.Since(began)
	fmt.Fprintf(r.out, "  imported over HTTP in %.1f s, %.0f/s\n", took.Seconds(), float64(n)/took.Seconds())
	return written{tenant: largeTenant, table: "contact", seq: int64(n)}, nil
}

// importAtOnce is how many rows the product imports before it answers; more become a job.
const importAtOnce = 10_000

// importRows sends lines of instances of a noun, so many at a time that each answer says that they are written.
func (t *target) importRows(ctx context.Context, noun string, lines *bytes.Buffer, n int) error {
	for ; n > 0; n -= importAtOnce {
		var part bytes.Buffer
		for range min(n, importAtOnce) {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return fmt.Errorf("import: %w", err)
			}
			part.Write(line)
		}
		if err := t.importPart(ctx, noun, &part, min(n, importAtOnce)); err != nil {
			return err
		}
	}
	return nil
}

func (t *target) importPart(ctx context.Context, noun string, lines *bytes.Buffer, n int) error {
	ctx, cancel := context.WithTimeout(ctx, importLimit)
	defer cancel()
	url := "http://" + t.addr + "/~" + largeTenant + "/import/" + noun + "?preserveIds=true"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, lines)
	if err != nil {
		return fmt.Errorf("import: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-ndjson")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("import: %w: %s said: %s", err, t.name, t.tail())
	}
	defer response.Body.Close()
	var answer struct {
		Imported int
		Details  []json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if answer.Imported != n {
		return fmt.Errorf("import: %s, %d of %d rows; %.300s", response.Status, answer.Imported, n, answer.Details)
	}
	return nil
}

// updateContacts updates random contacts in an open loop, and gives the writes.
func (b *bench) updateContacts(ctx context.Context, r *report, t *target, rows int) ([]written, error) {
	rate, length := pick(b, largePerSecond, 50), pick(b, cmp.Or(b.given, largeFor), 3*time.Second)
	var scripts []*updates
	l := load.Open{Addr: t.addr, PerSecond: float64(rate), Clients: freshClients, For: length}
	s, err := l.Run(ctx, func(int) load.Script {
		u := &updates{path: t.contacts(largeTenant), rows: rows}
		scripts = append(scripts, u)
		return u
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %s said: %s", err, t.name, t.tail())
	}
	r.check("updates", s)
	r.head(fmt.Sprintf("%d updates/s of random contacts, for %s (open loop)", rate, length))
	r.line("updates", newFigure(s), "latency from when each was due")
	var all []written
	for _, u := range scripts {
		all = append(all, u.written...)
	}
	return all, nil
}

// updates updates random contacts of the large tenant.
type updates struct {
	path    string
	rows    int
	scores  bool // the lead score is what changes, else the phone
	written []written

	turn       int
	id         string
	body, wire []byte
}

// Next implements load.Script.
func (u *updates) Next() []byte {
	u.turn++
	u.id = largeID(rand.IntN(u.rows))
	u.body = fmt.Appendf(u.body[:0], `{"phone":"+1 555 %07d"}`, u.turn)
	if u.scores {
		u.body = fmt.Appendf(u.body[:0], `{"leadScore":%d}`, rand.IntN(100))
	}
	u.wire = appendRequest(u.wire[:0], request{method: "PUT", path: u.path + "/" + u.id, body: u.body})
	return u.wire
}

// Check implements load.Script.
func (u *updates) Check(a load.Answer) error {
	if a.Status != 200 || a.Seq == 0 {
		return unexpected(a, 200)
	}
	u.written = append(u.written, written{tenant: largeTenant, table: "contact", id: u.id, seq: a.Seq, at: time.Now()})
	return nil
}

// scans are full scans with filters and groups, {rows} standing for what they read.
func scans() []string {
	return []string{
		"select stage, count(*), avg(leadScore) from {rows} group by all",
		"select count(*), max(_updatedAt) from {rows} where department = 'Sales' and leadScore > 50",
		"select source, department, count(*), max(_seq) from {rows} group by all",
		"select title, count(*), sum(length(phone)) from {rows} where name like '%Haddad' group by all",
		"select stage, count(distinct name) from {rows} where leadScore between 20 and 80 group by all",
	}
}

// readLarge reads a version of the table of contacts, checks it, and compares the time of scans with that of the same rows in
// one clean file.
func (b *bench) readLarge(ctx context.Context, r *report, v *outside.Version, rows int, all []written) (err error) {
	reader, err := outside.NewReader()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	files, err := v.Files()
	if err != nil {
		return err
	}
	relation, err := reader.Relation(ctx, files)
	if err != nil {
		return err
	}
	if err := r.checkLarge(ctx, reader, relation, v, rows, all); err != nil {
		return err
	}
	if b.extensions != "" {
		if err := reader.LoadIceberg(ctx, b.extensions); err != nil {
			return err
		}
		relation = "iceberg_scan('" + v.Path() + "')"
	}
	var deleted int64
	for _, d := range files.Deletes {
		deleted += d.Rows
	}
	r.title("reading its table with DuckDB: %d data files, %d delete files with %d positions", len(files.Data), len(files.Deletes), deleted)
	clean, theirs := filepath.Join(b.dir, "clean.parquet"), filepath.Join(b.dir, "duckdb.parquet")
	if err := reader.Run(ctx, fmt.Sprintf("copy (select * from %s order by id) to '%s' (format parquet, compression zstd)", relation, theirs)); err != nil {
		return err
	}
	largest := slices.MaxFunc(files.Data, func(x, y outside.File) int { return cmp.Compare(x.Rows, y.Rows) })
	if err := outside.Recode(ctx, theirs, largest.Path, clean); err != nil {
		return err
	}
	return b.compareScans(ctx, r, reader, [3]string{relation, "read_parquet('" + clean + "')", "read_parquet('" + theirs + "')"})
}

// checkLarge says that a version has every contact once, and those that were updated in their last state.
func (r *report) checkLarge(ctx context.Context, reader *outside.Reader, relation string, v *outside.Version, rows int, all []written) error {
	got, _, err := reader.Time(ctx, "select count(*), count(distinct id) from "+relation)
	if err != nil {
		return err
	}
	if want := fmt.Sprintln(rows, rows); got != want {
		r.fault("%s has %s rows and distinct ones, want %s", v.Table.Name, got, want)
	}
	changed, _, err := reader.Time(ctx, fmt.Sprintf("select id, _seq from %s where _seq > %d", relation, rows))
	if err != nil {
		return err
	}
	var want []string
	for _, row := range rowsOf(v, all)[largeTenant] {
		want = append(want, fmt.Sprintln(row.ID, row.Seq))
	}
	if changed != strings.Join(want, "") {
		r.fault("%s at %s has not the %d updated rows up to seq %d", v.Table.Name, v.Hint, len(want), v.Seqs[largeTenant])
	}
	return nil
}

// compareScans times every scan in turns of the table, of the same rows in one clean file of the table's encodings, which are
// prescribed, and, to compare, in one of the encodings that DuckDB chooses.
func (b *bench) compareScans(ctx context.Context, r *report, reader *outside.Reader, relations [3]string) error {
	var sums [3]time.Duration
	fmt.Fprintf(r.out, "  %-106s %9s %9s %7s %10s\n", fmt.Sprintf("medians of %d", largeRounds), "table ms", "clean ms", "times", "DuckDB's")
	for _, scan := range scans() {
		var took [3][]time.Duration
		var answers [3]string
		for range pick(b, largeRounds, 1) {
			for i, rows := range relations {
				answer, d, err := reader.Time(ctx, strings.ReplaceAll(scan, "{rows}", rows))
				if err != nil {
					return err
				}
				took[i], answers[i] = append(took[i], d), answer
			}
		}
		if answers[0] != answers[1] || answers[0] != answers[2] {
			r.fault("the table and its copies answer %q differently", scan)
		}
		var medians [3]time.Duration
		for i := range took {
			medians[i] = middle(took[i], func(d time.Duration) time.Duration { return d })
			sums[i] += medians[i]
		}
		fmt.Fprintf(r.out, "  %-106s %9s %9s %6.2f× %10s\n", scan, ms(medians[0]), ms(medians[1]), float64(medians[0])/float64(medians[1]), ms(medians[2]))
	}
	times, other := float64(sums[0])/float64(sums[1]), float64(sums[0])/float64(sums[2])
	r.bar(times <= largeTimes, "five scans of the table: %s ms, %.2f × the %s ms of one clean file (bar: ≤ %.1f ×), %.2f × the %s ms of DuckDB's encodings",
		ms(sums[0]), times, ms(sums[1]), largeTimes, other, ms(sums[2]))
	return nil
}
