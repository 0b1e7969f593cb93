package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/ipc"
)

// ask begins a query in a format; the caller reads and closes the answer.
func (w *world) ask(ctx context.Context, statement, accept, more string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL()+"/~acme/sql?q="+url.QueryEscape(statement)+more, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", accept)
	return http.DefaultClient.Do(req)
}

// A client that goes away ends its query: the tenant's next one need not wait for it.
func TestDisconnect(t *testing.T) {
	w := newWorld(t, false)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	endless := "select count(*) from range(1000000000) a(x), range(1000000000) b(y) where x * y = 7"
	if resp, err := w.ask(ctx, endless, "", "&timeoutMs=60000"); err == nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(resp, err)
	}
	start := time.Now()
	resp, err := w.ask(t.Context(), "select 1", "", "")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if took := time.Since(start); resp.StatusCode != http.StatusOK || took > 2*time.Second {
		t.Errorf("status %d after %v", resp.StatusCode, took)
	}
}

// Rows are computed as they are taken: a result without end begins at once, and stops with its reader.
func TestBackPressure(t *testing.T) {
	w := newWorld(t, false)
	before := residentMB(t)
	resp, err := w.ask(t.Context(), "select repeat('x', 1000) from range(1000000000)", "application/x-ndjson", "&limit=10000000")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond) // a slow reader, while the server would go on if it could
	if grown := residentMB(t) - before; before > 0 && grown > 300 {
		t.Errorf("the server holds %d MB more for a result that nobody reads", grown)
	}
	resp.Body.Close()
}

// What fails when half is sent cuts the connection: the client cannot take it for the whole.
func TestHalfAnAnswer(t *testing.T) {
	w := newWorld(t, false)
	resp, err := w.ask(t.Context(), "select cast(if(i = 3000000, 'x', '1') as int) from range(4000000) t(i)", "text/csv", "&limit=10000000")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); resp.StatusCode == http.StatusOK && err == nil {
		t.Error("half a result looks whole")
	}
}

// The answer says in a trailer that rows were left out, where the header is gone by then.
func TestTruncatedTrailer(t *testing.T) {
	w := newWorld(t, false)
	for _, limit := range []int{1_000_000, 999_999} {
		resp, err := w.ask(t.Context(), "select i, 'text' from range(1000000) t(i)", "application/vnd.apache.arrow.stream", fmt.Sprintf("&limit=%d", limit))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		stream, err := ipc.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		rows := 0
		for stream.Next() {
			rows += int(stream.RecordBatch().NumRows())
		}
		stream.Release()
		want := fmt.Sprint(limit < 1_000_000)
		if got := resp.Trailer.Get("X-Truncated"); rows != limit || got != want {
			t.Errorf("limit %d: %d rows, X-Truncated %q, want %s", limit, rows, got, want)
		}
	}
}

// Queries of one tenant wait for each other; those of another do not wait for them.
func TestOneQueryOfATenant(t *testing.T) {
	w := newWorld(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running := make(chan struct{})
	go func() {
		close(running)
		resp, err := w.ask(ctx, "select count(*) from range(1000000000) a(x), range(1000000000) b(y) where x * y = 7", "", "&timeoutMs=20000")
		if err == nil {
			resp.Body.Close()
		}
	}()
	<-running
	time.Sleep(100 * time.Millisecond)
	a := w.send(t, exchange{method: http.MethodGet, path: "/~birch/sql?q=select+1"})
	if a.status != http.StatusOK {
		t.Errorf("another tenant: %d %s", a.status, a.body)
	}
	for range 20 { // the first ones may come before the long one has begun
		if a = w.send(t, exchange{method: http.MethodGet, path: "/~acme/sql?q=select+1&timeoutMs=500"}); a.status != http.StatusOK {
			break
		}
	}
	if a.status != http.StatusRequestTimeout && a.status != http.StatusServiceUnavailable {
		t.Errorf("the same tenant: %d %s", a.status, a.body)
	}
	a = w.send(t, exchange{method: http.MethodGet, path: "/~acme/Deal"})
	if a.status != http.StatusOK || !strings.Contains(string(a.body), `"total":0`) {
		t.Errorf("a list of the same tenant: %d %s", a.status, a.body)
	}
}
