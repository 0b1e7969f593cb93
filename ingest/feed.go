package ingest

import (
	"context"
	"errors"
	"sync"

	"headless.ly/lakehouse"
)

// feedBuffer is how many events a live consumer may be behind before it is cut off (interfaces.md 3.4).
const feedBuffer = 1000

// ErrSlow ends the feed of a consumer that fell too far behind; it resumes from its last seq.
var ErrSlow = errors.New("the consumer is too slow")

// Feed delivers a tenant's events as they are committed: every event after a seq, in order, each once.
type Feed struct {
	// Events is closed when the feed ends; Err says why.
	Events <-chan *lakehouse.Event

	cancel context.CancelFunc
	mu     sync.Mutex
	err    error // guarded by mu
}

// Err says why Events was closed: nil after Close or the end of the subscriber's context, ErrSlow for a consumer that fell
// behind, anything else for a log that cannot be read.
func (f *Feed) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Close ends the feed. It may be called more than once.
func (f *Feed) Close() { f.cancel() }

// feeds are a tenant's subscribers: each is told that the head has moved, and reads the log itself, so that nothing a
// subscriber does can hold the writer.
type feeds struct {
	mu  sync.Mutex
	all map[chan struct{}]bool // guarded by mu
}

// advance wakes every subscriber.
func (f *feeds) advance() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for wake := range f.all {
		select {
		case wake <- struct{}{}:
		default: // it is awake already
		}
	}
}

func (f *feeds) add(wake chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[chan struct{}]bool{}
	}
	f.all[wake] = true
}

func (f *feeds) remove(wake chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.all, wake)
}

// subscribe starts a feed; done is called once when it has ended.
func (w *writer) subscribe(ctx context.Context, after int64, done func()) *Feed {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(w.ctx, cancel)
	out := make(chan *lakehouse.Event, feedBuffer)
	f := &Feed{Events: out, cancel: cancel}
	wake := make(chan struct{}, 1)
	wake <- struct{}{} // look at once
	w.feeds.add(wake)
	go func() {
		defer done()
		defer close(out)
		defer w.feeds.remove(wake)
		defer stop()
		defer cancel()
		err := w.follow(ctx, after, wake, out)
		if ctx.Err() == nil {
			f.mu.Lock()
			f.err = err
			f.mu.Unlock()
		}
	}()
	return f
}

// follow sends events as they become visible. It waits for the consumer until that has once caught up; from then on, a
// consumer whose buffer is full when new events arrive is too slow.
func (w *writer) follow(ctx context.Context, after int64, wake <-chan struct{}, out chan<- *lakehouse.Event) error {
	backlog := w.view.Load().head
	live := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		}
		live = live || after >= backlog && len(out) == 0
		err := w.scan(ctx, lakehouse.Range{After: after}, func(e *lakehouse.Event) error {
			if live {
				select {
				case out <- e:
				default:
					return ErrSlow
				}
			} else {
				select {
				case out <- e:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			after = e.Seq
			return nil
		})
		if err != nil {
			return err
		}
	}
}
