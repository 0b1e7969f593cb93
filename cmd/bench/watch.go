package main

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"sync"
	"time"

	"headless.ly/cmd/bench/load"
	"headless.ly/cmd/bench/outside"
)

// watchEvery is how often the tables' hints are read.
const watchEvery = 10 * time.Millisecond

// watcher reads the hints of tables again and again, and what they name when they change.
type watcher struct {
	cancel context.CancelFunc
	done   chan struct{}

	mu   sync.Mutex // guards the fields below
	seen map[string][]sight
	err  error
}

// sight is a version of a table and when it had been read.
type sight struct {
	version *outside.Version
	at      time.Time
}

func watch(ctx context.Context, data string, names []string) *watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{cancel: cancel, done: make(chan struct{}), seen: map[string][]sight{}}
	go w.run(ctx, data, names)
	return w
}

func (w *watcher) run(ctx context.Context, data string, names []string) {
	defer close(w.done)
	hints := map[string]string{}
	for wait(ctx, watchEvery) == nil {
		for _, name := range names {
			t := outside.Open(data, name)
			hint := t.Hint()
			if hint == hints[name] {
				continue
			}
			v, err := t.Read(hint)
			w.note(name, sight{version: v, at: time.Now()}, err)
			if err == nil {
				hints[name] = hint
			}
		}
	}
}

func (w *watcher) note(name string, s sight, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.err = cmp.Or(w.err, err)
		return
	}
	w.seen[name] = append(w.seen[name], s)
}

// stop waits until all writes have been seen, or the limit is over, and gives the sights of each table.
func (w *watcher) stop(all []written, limit time.Duration) (map[string][]sight, error) {
	w.wait(all, limit)
	w.cancel()
	<-w.done
	return w.seen, w.err
}

// wait waits until all writes have been seen; false if the limit is over before.
func (w *watcher) wait(all []written, limit time.Duration) bool {
	for end := time.Now().Add(limit); !w.saw(all); time.Sleep(watchEvery) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// saw says whether the last sights show all writes, or none will ever come.
func (w *watcher) saw(all []written) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range all {
		for _, name := range []string{"events", one.table} {
			sights := w.seen[name]
			if len(sights) == 0 || sights[len(sights)-1].version.Seqs[one.tenant] < one.seq {
				return w.err != nil
			}
		}
	}
	return true
}

// delays gives for each write that counts how long its table, or events, took to show it, and how many it never showed.
func delays(sights []sight, all []written, counts func(*written) bool) (s load.Sample, lost int) {
	for i := range all {
		one := &all[i]
		if one.warm || !counts(one) {
			continue
		}
		shown := sort.Search(len(sights), func(i int) bool { return sights[i].version.Seqs[one.tenant] >= one.seq })
		if shown == len(sights) {
			lost++
			continue
		}
		s.Latencies = append(s.Latencies, max(0, sights[shown].at.Sub(one.at)))
	}
	slices.Sort(s.Latencies)
	return s, lost
}
