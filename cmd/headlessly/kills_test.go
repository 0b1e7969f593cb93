package main_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"headless.ly/cmd/headlessly/server"
)

var (
	killRuns = flag.Int("kills.runs", 3, "how often TestEngineKills kills the engine")
	killBack = flag.Duration("kills.back", 0, "how soon reads have to be back after each; 0: it does not matter")
)

const (
	killTenants = 4
	killReaders = 2                    // of each tenant
	killPause   = 2 * time.Second      // at most, between reads that are back and the next kill
	killWait    = 2 * time.Millisecond // between two attempts to read after a kill
	killLimit   = time.Minute          // for reads to be back at all
)

// totals are what all deals of a tenant come to.
type totals struct {
	count    int
	sum, max float64
}

// ledger is a tenant with one writer: what its deals come to is known for each seq before it is written.
type ledger struct {
	url string

	mu    sync.Mutex
	at    []totals // by seq
	acked int      // the last seq that was answered
}

// kills is the whole test.
type kills struct {
	http    *http.Client
	url     string
	writes  atomic.Int64
	reads   atomic.Int64
	refused atomic.Int64 // reads that were told to try again
}

// TestEngineKills kills the engine's process again and again while tenants are written and read: no write fails, no read is
// wrong, and those that fail say that another attempt will do.
func TestEngineKills(t *testing.T) {
	srv, err := server.Open(t.Context(), server.Config{
		Addr: "127.0.0.1:0", Data: filepath.Join(t.TempDir(), "data"), Interval: crashInterval, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := srv.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	k := &kills{url: srv.URL(), http: &http.Client{Timeout: childPatience, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var load sync.WaitGroup
	defer load.Wait()
	defer stop()
	for i := range killTenants {
		l := &ledger{url: fmt.Sprintf("%s/~tenant-%d", k.url, i), at: make([]totals, 1)}
		load.Go(func() { report(t, k.write(ctx, l)) })
		for range killReaders {
			load.Go(func() { report(t, k.read(ctx, l)) })
		}
	}
	probe := &ledger{url: k.url + "/~probe", at: make([]totals, 1)}
	if err := k.put(probe); err != nil {
		t.Fatal(err)
	}
	slowest, total := time.Duration(0), time.Duration(0)
	r := rand.New(rand.NewPCG(*crashSeed, 0))
	for i := 0; i < *killRuns && !t.Failed(); i++ {
		time.Sleep(rand.N(killPause) + time.Duration(r.IntN(10))*time.Millisecond)
		back, err := k.kill(probe)
		if err != nil {
			t.Errorf("kill %d: %v", i, err)
		}
		slowest, total = max(slowest, back), total+back
	}
	stop()
	load.Wait()
	k.summary(t, slowest, total)
}

func report(t *testing.T, err error) {
	if err != nil {
		t.Error(err)
	}
}

func (k *kills) summary(t *testing.T, slowest, total time.Duration) {
	fmt.Printf("%d tenants; %d writes, none failed; %d reads at the instants they named, %d told to try again\n", killTenants,
		k.writes.Load(), k.reads.Load(), k.refused.Load())
	fmt.Printf("  reads back after a kill: mean %s, slowest %s\n", (total / time.Duration(max(*killRuns, 1))).Round(time.Millisecond),
		slowest.Round(time.Millisecond))
	if *killBack > 0 && slowest > *killBack {
		t.Errorf("reads were back after %s", slowest)
	}
	if t.Failed() {
		fmt.Printf("falls short: %d kills of the engine\n", *killRuns)
		return
	}
	fmt.Printf("held: %d kills of the engine, no write failed, no answer was wrong, reads back within %s\n", *killRuns, slowest.Round(time.Millisecond))
}

// kill kills the engine, and says after what time a read that is not in it is answered.
func (k *kills) kill(probe *ledger) (time.Duration, error) {
	var status struct{ Engine struct{ PID int } }
	for began := time.Now(); status.Engine.PID == 0; { // it may be starting
		if err := k.get(k.url+"/status", &status); err != nil {
			return 0, err
		}
		if time.Since(began) > killLimit {
			return 0, fmt.Errorf("no engine in %s", killLimit)
		}
	}
	if err := syscall.Kill(status.Engine.PID, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		return 0, err
	}
	for began := time.Now(); ; time.Sleep(killWait) {
		ok, err := k.check(probe, true)
		if err != nil || ok {
			return time.Since(began), err
		}
		if time.Since(began) > killLimit {
			return 0, fmt.Errorf("reads are not back in %s", killLimit)
		}
	}
}

func (k *kills) get(url string, into any) error {
	resp, err := k.http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}

// write writes until the load ends.
func (k *kills) write(ctx context.Context, l *ledger) error {
	for ctx.Err() == nil {
		if err := k.put(l); err != nil {
			return err
		}
		k.writes.Add(1)
		time.Sleep(killWait)
	}
	return nil
}

// put writes one more deal.
func (k *kills) put(l *ledger) error {
	l.mu.Lock()
	last := l.at[len(l.at)-1]
	value := float64(len(l.at) * 7 % 1000)
	l.at = append(l.at, totals{last.count + 1, last.sum + value, max(last.max, value)})
	seq := len(l.at) - 1
	l.mu.Unlock()
	resp, err := k.http.Post(l.url+"/Deal", "application/json", strings.NewReader(fmt.Sprintf(`{"name":"deal","value":%v}`, value)))
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusCreated || resp.Header.Get("X-Seq") != strconv.Itoa(seq) {
		return fmt.Errorf("write %d was answered with %d at %s: %s, %w", seq, resp.StatusCode, resp.Header.Get("X-Seq"), body, err)
	}
	l.mu.Lock()
	l.acked = seq
	l.mu.Unlock()
	return nil
}

// read reads until the load ends.
func (k *kills) read(ctx context.Context, l *ledger) error {
	for i := 0; ctx.Err() == nil; i++ {
		ok, err := k.check(l, i%2 == 0)
		if err != nil {
			return err
		}
		if ok {
			k.reads.Add(1)
		} else {
			k.refused.Add(1)
		}
	}
	return nil
}

// check reads with a list or a statement, and compares the answer with what is known of its seq. It is not ok to be told to try
// again later, and an error to be told anything else.
func (k *kills) check(l *ledger, list bool) (ok bool, err error) {
	l.mu.Lock()
	acked := l.acked
	l.mu.Unlock()
	address := l.url + "/sql?q=" + url.QueryEscape("select count(*), coalesce(sum(value), 0), coalesce(max(value), 0) from deal")
	if list {
		address = l.url + "/Deal?sort=-value&limit=1"
	}
	resp, err := k.http.Get(address)
	if err != nil {
		return false, fmt.Errorf("read: %w", err)
	}
	defer resp.Body.Close()
	var got struct {
		Error   string
		Rows    [][3]float64
		Total   int
		Results []struct{ Value float64 }
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return false, fmt.Errorf("read %s: %d: %w", address, resp.StatusCode, err)
	}
	if resp.StatusCode == http.StatusServiceUnavailable && got.Error == "service_unavailable" && resp.Header.Get("Retry-After") != "" {
		return false, nil
	}
	if resp.StatusCode != http.StatusOK {
		return false, fmt.Errorf("read %s: %d %+v", address, resp.StatusCode, got)
	}
	seq, err := strconv.Atoi(resp.Header.Get("X-Seq"))
	if err != nil {
		return false, fmt.Errorf("read %s: %w", address, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq < acked || seq >= len(l.at) {
		return false, fmt.Errorf("read %s at %d, while %d was acknowledged before and %d written", address, seq, acked, len(l.at)-1)
	}
	answer, want := totals{count: got.Total}, l.at[seq]
	if !list {
		answer = totals{int(got.Rows[0][0]), got.Rows[0][1], got.Rows[0][2]}
	} else if want.sum = 0; len(got.Results) > 0 {
		answer.max = got.Results[0].Value
	}
	if answer != want {
		return false, fmt.Errorf("read %s at %d: %+v, want %+v", address, seq, answer, want)
	}
	return true, nil
}
