package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headless.ly/cmd/headlessly/server"
)

// TestCloseUnderLoad closes a server that is being written to: it ends in time, what was acknowledged is published, and
// after the next start everything is there once.
func TestCloseUnderLoad(t *testing.T) {
	data := t.TempDir()
	open := func() *server.Server {
		srv, err := server.Open(t.Context(), server.Config{Addr: "127.0.0.1:0", Data: data, Interval: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		return srv
	}
	srv := open()
	var acknowledged atomic.Int64
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for i := 0; ; i++ {
				resp, err := http.Post(srv.URL()+"/~birch/Contact", "application/json", bytes.NewReader(fmt.Appendf(nil, `{"name":"N %d"}`, i)))
				if err != nil {
					return // refused, or cut off: not acknowledged
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusCreated {
					return
				}
				acknowledged.Add(1)
			}
		})
	}
	for acknowledged.Load() < 50 {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 9*time.Second)
	defer cancel()
	if err := srv.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := srv.Close(ctx); err != nil {
		t.Errorf("second close: %v", err)
	}
	writers.Wait()
	http.DefaultClient.CloseIdleConnections()

	srv = open()
	defer srv.Close(context.Background())
	head, err := srv.Service().Store().Head(t.Context(), "birch")
	if err != nil {
		t.Fatal(err)
	}
	if head < acknowledged.Load() {
		t.Errorf("head %d after %d acknowledged writes", head, acknowledged.Load())
	}
	if published := srv.Service().Lake().Published("birch"); published != head {
		t.Errorf("%d of %d published", published, head)
	}
	if open, err := srv.Service().Lake().Database().OpenTenants(t.Context()); err != nil || len(open) != 0 {
		t.Errorf("tenants left open: %v, %v", open, err)
	}
	resp, err := http.Get(srv.URL() + "/~birch/Contact?countOnly=true")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ Count int64 }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Count != head {
		t.Errorf("count %d, %v, want %d", answer.Count, err, head)
	}
}

// TestCloseWithoutTime closes with a context that has ended: it says what it could not do, and hangs on nothing.
func TestCloseWithoutTime(t *testing.T) {
	data := t.TempDir()
	srv, err := server.Open(t.Context(), server.Config{Addr: "127.0.0.1:0", Data: data, Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Post(srv.URL()+"/~birch/Contact", "application/json", bytes.NewReader([]byte(`{"name":"Noor"}`)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := srv.Close(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
	srv, err = server.Open(t.Context(), server.Config{Addr: "127.0.0.1:0", Data: data, Interval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close(context.Background())
	if err := srv.Service().Lake().Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if published := srv.Service().Lake().Published("birch"); published != 1 {
		t.Errorf("published %d, want 1", published)
	}
}

// TestFolderInUse: a second server on the folder is refused, and leaves the first one alone.
func TestFolderInUse(t *testing.T) {
	data := t.TempDir()
	srv, err := server.Open(t.Context(), server.Config{Addr: "127.0.0.1:0", Data: data})
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Close(context.Background())
	if second, err := server.Open(t.Context(), server.Config{Addr: "127.0.0.1:0", Data: data}); err == nil {
		second.Close(context.Background())
		t.Fatal("the folder was opened twice")
	}
	resp, err := http.Get(srv.URL() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("readyz: %d", resp.StatusCode)
	}
}
