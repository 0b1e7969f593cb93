package engine

import (
	"runtime"
	"sync"
	"time"

	"headless.ly/query/duck"
)

// A statement of a tenant that has taken more than fairCPU of a processor, or fairTime at all, goes on behind all that have
// not: its threads run when no other wants to. So what others run hardly notices it, however many there are of its kind, and
// where nobody else wants the processor it is as fast as ever.
//
// The next statements of its database begin there for behindFor: who runs one such statement after the other does not get a
// share with each.
const (
	fairCPU   = 50 * time.Millisecond
	fairTime  = time.Second
	behindFor = 30 * time.Second
)

// workers are the threads that DuckDB has made for one database.
type workers struct {
	ids []int

	mu      sync.Mutex // guards what follows
	lowered int        // statements behind the others that run on them
	behind  time.Time  // until when statements begin there
}

// areBehind says whether statements begin behind the others.
func (w *workers) areBehind() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Before(w.behind)
}

// stayBehind lets statements begin there for a while.
func (w *workers) stayBehind() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.behind = time.Now().Add(behindFor)
}

// lower puts the workers behind others until raise is called as often.
func (w *workers) lower() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lowered++
	for _, id := range w.ids {
		_ = setIdle(id) // a thread that has ended needs none
	}
}

// raise undoes lower, where the system lets it.
func (w *workers) raise() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lowered--; w.lowered > 0 {
		return
	}
	for _, id := range w.ids {
		_ = setPriority(id, workerPriority()) // many systems do not let it: then they stay behind
	}
}

// openDatabase makes a database and finds its workers. They inherit a priority by which they are told from other threads, so
// one database is made at a time.
func (s *server) openDatabase() (db *duck.DB, of *workers, err error) {
	s.opening.Lock()
	defer s.opening.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with its priority
		self := threadID()
		if setPriority(self, workerPriority()) != nil {
			db, err = duck.Open(s.databaseThreads)
			of = &workers{}
			return
		}
		before := s.threads.marked(workerPriority())
		db, err = duck.Open(s.databaseThreads)
		of = &workers{ids: without(s.threads.marked(workerPriority()), append(before, self))}
	}()
	<-done
	return db, of, err
}

// without gives the members of a list that are not in another.
func without(list, other []int) (out []int) {
	have := map[int]bool{}
	for _, id := range other {
		have[id] = true
	}
	for _, id := range list {
		if !have[id] {
			out = append(out, id)
		}
	}
	return out
}

// turn is a statement on a thread that has it for itself.
type turn struct {
	thread  int
	workers *workers
	began   time.Time
	cpu     time.Duration // of the thread before

	mu      sync.Mutex // guards what follows
	had     bool       // its share
	lowered bool
	over    bool
}

// fairly runs f on a thread whose priority the server may lower.
func (s *session) fairly(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		t := &turn{thread: threadID(), workers: s.workers, began: time.Now()}
		t.cpu = threadCPU(t.thread)
		if t.workers.areBehind() {
			t.lower()
		}
		s.setTurn(t)
		err := f()
		s.setTurn(nil)
		if t.end() {
			runtime.UnlockOSThread() // else it ends: nobody else shall have it
		}
		done <- err
	}()
	return <-done
}

func (s *session) setTurn(t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn = t
}

// end ends the turn, and says whether the thread is as it was.
func (t *turn) end() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	if t.had {
		t.workers.stayBehind()
	}
	if !t.lowered {
		return true
	}
	t.workers.raise()
	return setPriority(t.thread, basePriority()) == nil
}

// look lowers the turn when it has had its share, and says whether it has.
func (t *turn) look() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || t.had {
		return t.had
	}
	if t.had = time.Since(t.began) >= fairTime || threadCPU(t.thread)-t.cpu >= fairCPU; t.had && !t.lowered {
		t.lower()
	}
	return t.had
}

// lower puts the turn behind others, where the system lets it. The caller holds mu, or nobody else has the turn.
func (t *turn) lower() {
	if t.lowered = setIdle(t.thread) == nil; t.lowered {
		t.workers.lower()
	}
}
