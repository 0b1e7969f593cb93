package load_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headless.ly/cmd/bench/load"
)

// script asks for the same thing and wants a 200.
type script struct{}

func (script) Next() []byte { return []byte(get) }

func (script) Check(a load.Answer) error {
	if a.Status != http.StatusOK {
		return errors.New("not ok")
	}
	return nil
}

func newScript(int) load.Script { return script{} }

func listen(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestClosedSendsTheNumberOfRequestsAndCountsWrongAnswers(t *testing.T) {
	var n atomic.Int64
	addr := listen(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%10 == 0 {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	s, err := load.Closed{Addr: addr, Clients: 4, For: time.Minute, Requests: 100}.Run(context.Background(), newScript)
	if err != nil {
		t.Fatal(err)
	}
	if n.Load() != 100 || len(s.Latencies) != 90 || s.Failed != 10 || s.Failure == nil {
		t.Errorf("%d sent, %d right, %d wrong (%v), want 100, 90, 10", n.Load(), len(s.Latencies), s.Failed, s.Failure)
	}
	if s.PerSecond() <= 0 || s.Quantile(0.5) <= 0 || s.Quantile(0.99) < s.Quantile(0.5) {
		t.Errorf("%.1f/s, p50 %v, p99 %v", s.PerSecond(), s.Quantile(0.5), s.Quantile(0.99))
	}
}

// A server that stalls once is charged for all that was due meanwhile.
func TestOpenCountsFromWhenARequestWasDue(t *testing.T) {
	const stall = 200 * time.Millisecond
	var once sync.Once
	addr := listen(t, func(http.ResponseWriter, *http.Request) { once.Do(func() { time.Sleep(stall) }) })
	s, err := load.Open{Addr: addr, PerSecond: 100, Clients: 1, For: stall}.Run(context.Background(), newScript)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Latencies) != 20 {
		t.Fatalf("%d requests, want 20", len(s.Latencies))
	}
	if p50 := s.Quantile(0.5); p50 < stall/4 {
		t.Errorf("p50 %v, though half of the requests were due %v before the server woke", p50, stall/2)
	}
}

func TestOpenEndsWithItsContext(t *testing.T) {
	addr := listen(t, func(http.ResponseWriter, *http.Request) {})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	s, err := load.Open{Addr: addr, PerSecond: 200, Clients: 2, For: time.Hour}.Run(ctx, newScript)
	if err != nil || len(s.Latencies) == 0 {
		t.Errorf("%d requests, %v", len(s.Latencies), err)
	}
}

func TestQuantile(t *testing.T) {
	var s load.Sample
	if got := s.Quantile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for i := range 100 {
		s.Latencies = append(s.Latencies, time.Duration(i+1))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := s.Quantile(q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
}
