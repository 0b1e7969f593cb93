package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow/ipc"

	"headless.ly/cmd/bench/rival"
)

// The bars of large results.
const (
	exportRows  = 1_000_000
	exportTimes = 10 // rows of the result for each contact
	exportArrow = 3_000_000.0
	exportJSON  = 300_000.0
	exportMB    = 256.0 // more than before, of both processes, while a result is sent
	exportLimit = 5 * time.Minute
)

// exportStatement has four columns, one of them text.
const exportStatement = "select c.email, c.leadScore, r.i, c.leadScore / 7 + r.i as x from contact c, range(10) r(i)"

// export is a format of the result, and how DuckDB itself writes the same rows to a file.
type export struct {
	name, accept string
	rival        string // options of COPY
	rows         func([]byte) (int, error)
	bar          float64 // rows a second
}

func exports() []export {
	return []export{
		{"Arrow", "application/vnd.apache.arrow.stream", "format parquet", arrowRows, exportArrow},
		{"JSON", "application/json", "format json", jsonRows, exportJSON},
	}
}

// export measures how fast large results come out, and what memory they take meanwhile.
func (b *bench) export(ctx context.Context, r *report) (err error) {
	rows := pick(b, exportRows, 20_000)
	t, err := b.product(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.stop()) }()
	r.title("a result of %d rows of 4 columns, one of them text, over loopback", rows)
	duck, err := b.sqlServers(ctx, r, t, rows/exportTimes)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, duck.stop()) }()
	fmt.Fprintf(r.out, "  %-8s %14s %10s %20s %18s\n", "", "rows/s", "MB/s", "DuckDB's COPY rows/s", "memory meanwhile")
	for _, e := range exports() {
		if err := b.exportAs(ctx, r, t, duck, e, rows); err != nil {
			return fmt.Errorf("export %s: %w", e.name, err)
		}
	}
	return nil
}

// exportAs measures one format, in turns with DuckDB's own. The first answer is read and checked, the others are thrown away.
func (b *bench) exportAs(ctx context.Context, r *report, t, duck *target, e export, rows int) error {
	if err := t.resume(); err != nil {
		return err
	}
	var body bytes.Buffer
	if _, err := t.fetch(ctx, e.accept, rows, &body); err != nil {
		return err
	}
	switch n, err := e.rows(body.Bytes()); {
	case err != nil:
		return err
	case n != rows:
		r.fault("%s: %d rows, want %d", e.name, n, rows)
	}
	size := body.Len()
	body = bytes.Buffer{}
	before, err := readFootprint(t.pid())
	if err != nil {
		return err
	}
	sampling, stop := context.WithCancel(ctx)
	peak := make(chan footprint, 1)
	go func() { peak <- peakFootprint(sampling, t.pid()) }()
	var ours, theirs []time.Duration
	for range pick(b, max(b.rounds, sqlRounds), 1) {
		took, err := t.fetch(ctx, e.accept, rows, io.Discard)
		if err != nil {
			stop()
			return err
		}
		ours = append(ours, took)
		began := time.Now()
		file := filepath.Join(b.dir, "export."+strings.ToLower(e.name))
		a, err := duck.once(rival.NativePath, "copy ("+exportStatement+") to '"+file+"' ("+e.rival+")")
		if err == nil && a.Status != 200 {
			err = unexpected(a, 200)
		}
		if err != nil {
			stop()
			return err
		}
		theirs = append(theirs, time.Since(began))
	}
	stop()
	grown := (<-peak).residentMB() - before.residentMB()
	perSecond := func(all []time.Duration) float64 {
		return float64(rows) / middle(all, func(d time.Duration) time.Duration { return d }).Seconds()
	}
	rate := perSecond(ours)
	fmt.Fprintf(r.out, "  %-8s %14.0f %10.0f %20.0f %+15.0f MB\n", e.name, rate, rate*float64(size)/float64(rows)/1e6, perSecond(theirs), grown)
	r.bar(rate >= e.bar, "%s out: %.0f rows/s, %.2f × DuckDB's own COPY (%s) to a file (bar: ≥ %.0f rows/s)", e.name, rate, rate/perSecond(theirs), e.rival, e.bar)
	r.bar(grown <= exportMB, "memory of both processes while %s is sent: %+.0f MB (bar: ≤ +%.0f MB)", e.name, grown, exportMB)
	return nil
}

// fetch reads the result in a format, and gives how long it took to come.
func (t *target) fetch(ctx context.Context, accept string, rows int, to io.Writer) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, exportLimit)
	defer cancel()
	text, err := json.Marshal(map[string]any{"sql": exportStatement, "limit": rows, "timeoutMs": 60_000})
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+t.addr+sqlPath, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", accept)
	began := time.Now()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("status %s: %s", response.Status, t.tail())
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{to}, response.Body, make([]byte, 1<<20))
	return time.Since(began), err
}

func arrowRows(body []byte) (n int, err error) {
	reader, err := ipc.NewReader(bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	defer reader.Release()
	for reader.Next() {
		n += int(reader.RecordBatch().NumRows())
	}
	return n, reader.Err()
}

func jsonRows(body []byte) (int, error) {
	var answer struct {
		Rows     []json.RawMessage
		RowCount int
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, err
	}
	if len(answer.Rows) != answer.RowCount {
		return 0, fmt.Errorf("%d rows, and rowCount %d", len(answer.Rows), answer.RowCount)
	}
	return answer.RowCount, nil
}
