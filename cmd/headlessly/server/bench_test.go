package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headless.ly/cmd/headlessly/server"
)

// clients is how many speak to the server at once in the benchmarks.
const clients = 64

func benchServer(b *testing.B) (*server.Server, *http.Client) {
	b.Helper()
	srv, err := server.Open(b.Context(), server.Config{Addr: "127.0.0.1:0", Data: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := srv.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	transport := &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}
	b.Cleanup(transport.CloseIdleConnections)
	return srv, &http.Client{Transport: transport}
}

// run sends b.N requests from all clients and reports requests a second.
func run(b *testing.B, client *http.Client, status int, next func(n int64) *http.Request) {
	b.Helper()
	var sent atomic.Int64
	b.SetParallelism(clients / 2)
	b.ResetTimer()
	start := time.Now()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			resp, err := client.Do(next(sent.Add(1)))
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != status {
				b.Errorf("status %d", resp.StatusCode)
			}
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "requests/s")
}

func request(b *testing.B, method, url, body string) *http.Request {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// BenchmarkEmpty is the ceiling: the same client and server, and a handler that does nothing.
func BenchmarkEmpty(b *testing.B) {
	srv, client := benchServer(b)
	run(b, client, http.StatusOK, func(int64) *http.Request { return request(b, http.MethodGet, srv.URL()+"/healthz", "") })
}

func BenchmarkCreate(b *testing.B) {
	srv, client := benchServer(b)
	run(b, client, http.StatusCreated, func(n int64) *http.Request {
		return request(b, http.MethodPost, srv.URL()+"/~bench/Contact", fmt.Sprintf(`{"name":"Contact %d","email":"c%d@birch.example","leadScore":%d}`, n, n, n))
	})
}

func BenchmarkGet(b *testing.B) {
	srv, client := benchServer(b)
	var rows bytes.Buffer
	for n := range 5000 {
		fmt.Fprintf(&rows, `{"$id":"contact_%08d","name":"Contact %d","email":"c%d@birch.example","leadScore":%d}`+"\n", n, n, n, n)
	}
	resp, err := client.Post(srv.URL()+"/~bench/import/Contact?preserveIds=true", "application/x-ndjson", &rows)
	if err != nil {
		b.Fatal(err)
	}
	var sum struct{ Imported int }
	if err := json.NewDecoder(resp.Body).Decode(&sum); err != nil || sum.Imported != 5000 {
		b.Fatalf("%+v %v", sum, err)
	}
	resp.Body.Close()
	run(b, client, http.StatusOK, func(n int64) *http.Request {
		return request(b, http.MethodGet, fmt.Sprintf("%s/~bench/Contact/contact_%08d", srv.URL(), n%5000), "")
	})
}
