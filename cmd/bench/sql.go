package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"headless.ly/cmd/bench/load"
	"headless.ly/cmd/bench/outside"
	"headless.ly/cmd/bench/rival"
)

// The bars of statements, as times of the time that DuckDB takes over a native table of the same rows.
const (
	sqlRows       = 100_000
	sqlTimes      = 1.5
	sqlLargeRows  = 1_000_000 // from here on the bars are those of large tenants
	sqlLargeTimes = 1.3
	sqlLargeEach  = 3.0
	sqlRounds     = 5
	sqlTail       = 5000 // changed rows
	sqlTailTimes  = 1.3  // the product's own time without them

	organizationShare = 100 // contacts of an organization
)

// duckDBCommand is the child that runs DuckDB.
const duckDBCommand = "serve-duckdb"

// sql measures statements beside DuckDB over native tables and over Parquet files of the same rows.
func (b *bench) sql(ctx context.Context, r *report) (err error) {
	b.rounds = pick(b, max(b.rounds, sqlRounds), 1)
	if b.given == 0 && !b.short {
		b.each = 200 * time.Millisecond
	}
	rows := pick(b, b.sqlRows, 2000)
	product, err := b.product(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, product.stop()) }()
	r.title("statements over a tenant of %d contacts and %d organizations", rows, rows/organizationShare+1)
	duck, err := b.sqlServers(ctx, r, product, rows)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, duck.stop()) }()
	empty, err := b.compareStatements(ctx, r, product, duck, rows)
	if err != nil {
		return err
	}
	return b.statementsWithTail(ctx, r, product, duck, rows, empty)
}

// sqlServers fills the product, waits until its tables hold all, and starts DuckDB on their files.
func (b *bench) sqlServers(ctx context.Context, r *report, t *target, rows int) (*target, error) {
	w := watch(ctx, t.data, []string{"events", "contact", "organization"})
	if err := b.importStatementRows(ctx, r, t, rows); err != nil {
		return nil, err
	}
	last := written{tenant: largeTenant, table: "contact", seq: int64(rows + rows/organizationShare + 1)}
	seen, err := w.stop([]written{last}, publishLimit)
	if err != nil {
		return nil, err
	}
	return b.duckOver(ctx, r, t, seen, "organization", "contact")
}

// duckOver starts DuckDB over the files of what was last seen of some tables. It leaves both servers paused.
func (b *bench) duckOver(ctx context.Context, r *report, t *target, seen map[string][]sight, tables ...string) (*target, error) {
	reader, err := outside.NewReader()
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	argv := []string{"", duckDBCommand}
	for _, table := range tables {
		sights := seen[table]
		if len(sights) == 0 {
			return nil, fmt.Errorf("the table %s does not hold what was imported: %s", table, t.tail())
		}
		files, err := sights[len(sights)-1].version.Files()
		if err != nil {
			return nil, err
		}
		relation, err := reader.Relation(ctx, files)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(r.out, "  %s: %d data files, %.1f MB\n", table, len(files.Data), float64(sizeOf(files.Data))/1e6)
		argv = append(argv, table+"=select * from "+relation)
	}
	if argv[0], err = os.Executable(); err != nil {
		return nil, err
	}
	c, err := b.start(ctx, "DuckDB", argv...)
	if err != nil {
		return nil, err
	}
	duck := &target{child: c}
	return duck, errors.Join(duck.pause(), t.pause())
}

func sizeOf(files []outside.File) (n int64) {
	for _, f := range files {
		n += f.Bytes
	}
	return n
}

func organizationID(n int) string { return fmt.Sprintf("organization_%08d", n) }

// importStatementRows imports the organizations, then the contacts in their order.
func (b *bench) importStatementRows(ctx context.Context, r *report, t *target, rows int) error {
	words, began := newWords(), time.Now()
	var body bytes.Buffer
	organizations := rows/organizationShare + 1
	for i := range organizations {
		fmt.Fprintf(&body, `{"$id":%q,"name":"Company %d","industry":%q,"employeeCount":%d}`+"\n",
			organizationID(i), i, words.departments[i%len(words.departments)], i%977)
	}
	if err := t.importRows(ctx, "Organization", &body, organizations); err != nil {
		return err
	}
	for from, upto := 0, min(rows, organizations); from < rows; from, upto = upto, min(rows, upto+largeGroup) {
		body.Reset()
		for i := from; i < upto; i++ {
			c, h := words.contact(i), mix(uint64(i))
			day := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(h%(700*24*60)) * time.Minute)
			fmt.Fprintf(&body, `{"$id":%q,"organization":%q,"lastEngagement":%q,`, largeID(i),
				organizationID(int(h%uint64(organizations))), day.Format(time.RFC3339))
			if from > 0 { // the first ones are the managers of the others
				fmt.Fprintf(&body, `"manager":%q,`, largeID(int(mix(h)%uint64(organizations))))
			}
			body.Write(c.appendJSON(nil)[1:])
			body.WriteByte('\n')
		}
		if err := t.importRows(ctx, "Contact", &body, upto-from); err != nil {
			return err
		}
	}
	took := time.Since(began)
	fmt.Fprintf(r.out, "  imported over HTTP in %.1f s, %.0f/s\n", took.Seconds(), float64(rows)/took.Seconds())
	return nil
}

// asked is a statement to a server, with the rows it must answer.
func (b *bench) asked(t *target, s statement, path string, want [][]any) row {
	q := question{wire: statementRequest(path, s.text), check: checkRows(want)}
	return row{fmt.Sprintf("%s%s: %s", t.name, path, s.name), func(ctx context.Context) (load.Sample, error) {
		l := load.Closed{Clients: 1, Warm: pick(b, b.each/3, 0), For: b.each, Requests: pick(b, 0, 5)}
		return b.closed(ctx, t, l, func(int) load.Script { return &questions{list: []question{q}} })
	}}
}

// sqlPath is where the product takes statements.
const sqlPath = "/~" + largeTenant + "/sql"

// statementRequest is a statement as it goes over the wire.
func statementRequest(path, text string) []byte {
	body := []byte(text)
	if strings.HasPrefix(path, sqlPath) {
		body, _ = json.Marshal(map[string]string{"sql": text}) // of texts: cannot fail
	}
	return appendRequest(nil, request{method: "POST", path: path, body: body})
}

// truth is what DuckDB answers from its native table.
func (t *target) truth(text string) ([][]any, error) {
	a, err := t.once(rival.NativePath, text)
	if err != nil {
		return nil, err
	}
	rows, err := readRows(a)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", text, err)
	}
	return rows, nil
}

// once runs one statement, outside a measurement, on a server that is paused.
func (t *target) once(path, text string) (a load.Answer, err error) {
	if err := t.resume(); err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, t.pause()) }()
	conn, err := load.Dial(t.addr, time.Now().Add(askLimit))
	if err != nil {
		return a, fmt.Errorf("ask %s: %w", t.name, err)
	}
	defer conn.Close()
	return conn.Do(statementRequest(path, text))
}

// compareStatements measures the product beside both, and gives its figures.
func (b *bench) compareStatements(ctx context.Context, r *report, product, duck *target, rows int) ([]figure, error) {
	var ours []figure
	var times, parquetTimes []float64
	r.title("empty tail, 1 client, p50 ms through HTTP, medians of %d rounds", b.rounds)
	fmt.Fprintf(r.out, "  %-16s %10s %10s %10s %10s %10s\n", "", "headlessly", "native", "Parquet", "× native", "× Parquet")
	for _, s := range statements(rows) {
		want, err := duck.truth(s.text)
		if err != nil {
			return nil, err
		}
		f, err := b.measure(ctx, r, []row{
			b.asked(product, s, sqlPath, want), b.asked(duck, s, rival.NativePath, want), b.asked(duck, s, rival.ParquetPath, want),
		})
		if err != nil {
			return nil, err
		}
		times = append(times, ratio(f[0], f[1]))
		parquetTimes = append(parquetTimes, ratio(f[0], f[2]))
		fmt.Fprintf(r.out, "  %-16s %10s %10s %10s %10.2f %10.2f\n", s.name, ms(f[0].p50), ms(f[1].p50), ms(f[2].p50),
			ratio(f[0], f[1]), ratio(f[0], f[2]))
		ours = append(ours, f[0])
	}
	bar := sqlTimes
	if rows >= sqlLargeRows {
		bar = sqlLargeTimes
		r.bar(greatest(times) <= sqlLargeEach, "slowest statement: %.2f × native (bar: ≤ %.1f ×)", greatest(times), sqlLargeEach)
	} else {
		r.bar(greatest(parquetTimes) <= 1, "slowest statement: %.2f × Parquet from disk (bar: ≤ 1 ×)", greatest(parquetTimes))
	}
	r.bar(geometricMean(times) <= bar, "%d statements: %.2f × native, geometric mean (bar: ≤ %.1f ×)", len(times), geometricMean(times), bar)
	return ours, nil
}

// statementsWithTail changes contacts, and measures the product again.
func (b *bench) statementsWithTail(ctx context.Context, r *report, product, duck *target, rows int, empty []figure) error {
	changed := min(sqlTail, rows/2)
	if err := b.changeScores(ctx, r, product, duck, rows, changed); err != nil {
		return err
	}
	r.title("with %d changed rows", changed)
	fmt.Fprintf(r.out, "  %-16s %10s %10s\n", "", "headlessly", "× empty")
	var times []float64
	for i, s := range statements(rows) {
		want, err := duck.truth(s.text)
		if err != nil {
			return err
		}
		f, err := b.measure(ctx, r, []row{b.asked(product, s, sqlPath, want)})
		if err != nil {
			return err
		}
		times = append(times, ratio(f[0], empty[i]))
		fmt.Fprintf(r.out, "  %-16s %10s %10.2f\n", s.name, ms(f[0].p50), ratio(f[0], empty[i]))
	}
	r.bar(geometricMean(times) <= sqlTailTimes, "%d statements with %d changed rows: %.2f × without, geometric mean (bar: ≤ %.1f ×)",
		len(times), changed, geometricMean(times), sqlTailTimes)
	return nil
}

// changeScores gives contacts all over the table a new lead score, in the product and in DuckDB.
func (b *bench) changeScores(ctx context.Context, r *report, product, duck *target, rows, changed int) error {
	step := rows / changed
	l := load.Closed{Clients: 16, For: time.Minute, Requests: changed}
	next := make(chan int, changed)
	for i := range changed {
		next <- i * step
	}
	s, err := b.closed(ctx, product, l, func(int) load.Script { return &scores{path: product.contacts(largeTenant), next: next} })
	if err != nil {
		return err
	}
	r.check("changes", s)
	statement := fmt.Sprintf("update contact set leadScore = leadScore + 100, _version = 2 where cast(id[9:] as bigint) %% %d = 0 and cast(id[9:] as bigint) < %d",
		step, changed*step)
	a, err := duck.once(rival.NativePath, statement)
	if err == nil && a.Status != 200 {
		err = unexpected(a, 200)
	}
	return err
}

// scores raises the lead score of each of the contacts that next names by 100.
type scores struct {
	path string
	next <-chan int
	wire []byte
}

// Next implements load.Script.
func (s *scores) Next() []byte {
	n := <-s.next
	c := newWords().contact(n)
	body := fmt.Appendf(nil, `{"leadScore":%d}`, c.leadScore+100)
	s.wire = appendRequest(s.wire[:0], request{method: "PUT", path: s.path + "/" + largeID(n), body: body})
	return s.wire
}

// Check implements load.Script.
func (s *scores) Check(a load.Answer) error {
	if a.Status != 200 {
		return unexpected(a, 200)
	}
	return nil
}

func ratio(a, b figure) float64 { return float64(a.p50) / float64(b.p50) }

func greatest(list []float64) (most float64) {
	for _, x := range list {
		most = max(most, x)
	}
	return most
}

func geometricMean(list []float64) float64 {
	sum := 0.0
	for _, x := range list {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(list)))
}
