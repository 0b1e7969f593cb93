package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"headless.ly/catalog/problem"
)

// Command is the argument with which a program is started as an engine.
const Command = "engine"

// Limits of the supervision.
const (
	// startPatience is how long a process may take until it serves.
	startPatience = 30 * time.Second
	// endPatience is how long it may take to end after it was told so.
	endPatience = 2 * time.Second
	// settled is how long a process has served when the one is started that will take over from it.
	settled = 500 * time.Millisecond
	// Behind one that ended before there is a pause, the first of them none, then twice as long each time: up to servedPause
	// behind those that served, to startPause behind those that did not.
	firstPause  = 10 * time.Millisecond
	servedPause = 250 * time.Millisecond
	startPause  = 5 * time.Second
	// maxWords is how much of what a process said is logged when it ends.
	maxWords = 4 << 10
)

// ErrMemory is why a statement of an expendable connection failed: the process was short of memory.
var ErrMemory = errors.New("the engine is short of memory")

// errStopped is why a statement failed that was stopped.
var errStopped = errors.New("stopped")

// Config bounds an engine process. The zero value of a field means the default in its comment.
type Config struct {
	ReadOnly  []string      // files and folders that databases may read; they have to be there
	ReadWrite []string      // likewise, and may write
	MemoryMB  int           // 4096: when the process has more, expendable statements are stopped; with twice as much it ends
	Files     int           // 4096 may be open at once
	Threads   int           // as many as there are processors: those of a database
	Wait      time.Duration // 5 s to wait for a process that is starting
	Setup     any           // what Functions is given, as JSON
	Logger    *slog.Logger  // slog.Default()
}

func (c *Config) defaults() {
	if c.MemoryMB <= 0 {
		c.MemoryMB = 4096
	}
	if c.Files <= 0 {
		c.Files = 4096
	}
	if c.Wait <= 0 {
		c.Wait = 5 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
}

// order is the first thing that a process reads: what it may do.
type order struct {
	ReadOnly, ReadWrite []string
	MemoryMB, Files     int
	Threads             int
	Setup               json.RawMessage
}

// Process is an engine in a process of its own, which is started anew whenever it ends. It is safe for concurrent use.
type Process struct {
	cfg     Config
	order   []byte
	opened  atomic.Int64 // numbers databases
	closing chan struct{}
	closed  chan struct{}

	mu       sync.Mutex // guards what follows
	current  *child     // nil: it is being started
	changed  chan struct{}
	restarts int
	fences   *fences // nil: no process has served yet
	stopped  bool
}

// Status is how the process does.
type Status struct {
	PID           int // 0: it is being started
	Restarts      int // since Start
	Uptime        time.Duration
	ResidentBytes int64    // 0 where the system does not tell
	Fences        []string // that the system holds the process in, by name
	Missing       []string // that the system lacks
}

// Start starts a process, and another when it ends, until Close. It does not wait until one serves.
func Start(cfg Config) (*Process, error) {
	cfg.defaults()
	if Started() {
		return nil, errors.New("start engine: an engine starts no other")
	}
	setup, err := json.Marshal(cfg.Setup)
	if err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	text, err := json.Marshal(order{cfg.ReadOnly, cfg.ReadWrite, cfg.MemoryMB, cfg.Files, cfg.Threads, setup})
	if err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	p := &Process{cfg: cfg, order: text, closing: make(chan struct{}), closed: make(chan struct{}), changed: make(chan struct{})}
	go p.supervise()
	return p, nil
}

// Started says whether this process was started to be an engine.
func Started() bool { return len(os.Args) == 2 && os.Args[1] == Command }

// Close ends the process, and what runs in it.
func (p *Process) Close() {
	p.mu.Lock()
	if !p.stopped {
		p.stopped = true
		close(p.closing)
	}
	p.mu.Unlock()
	<-p.closed
}

// Open makes an empty database in the process that runs. It waits for one to start.
func (p *Process) Open(ctx context.Context) (*DB, error) {
	limited, cancel := context.WithTimeout(ctx, p.cfg.Wait)
	defer cancel()
	for {
		p.mu.Lock()
		c, changed, stopped := p.current, p.changed, p.stopped
		p.mu.Unlock()
		if stopped {
			return nil, problem.New(problem.Unavailable, "the server is stopping")
		}
		if c != nil && c.lives() {
			return &DB{child: c, name: fmt.Append(nil, p.opened.Add(1))}, nil
		}
		select {
		case <-changed:
		case <-limited.Done():
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			return nil, unavailable(errors.New("no engine started in time"))
		}
	}
}

// Status tells how the process does.
func (p *Process) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Restarts: p.restarts}
	if p.fences != nil {
		s.Fences, s.Missing = p.fences.Held, p.fences.Missing
	}
	if p.current != nil {
		s.PID = p.current.cmd.Process.Pid
		s.Uptime = time.Since(p.current.ready)
		s.ResidentBytes = residentBytes(fmt.Sprintf("/proc/%d/statm", s.PID))
	}
	return s
}

// unavailable is what callers are told when the process has gone.
func unavailable(cause error) error {
	out := problem.New(problem.Unavailable, "the query engine was restarted: try again")
	out.RetryAfter, out.Cause = time.Second, cause
	return out
}

// supervise gives queries one process after the other.
func (p *Process) supervise() {
	defer close(p.closed)
	ready := make(chan *child)
	go p.spawn(ready)
	for c := range ready {
		p.serve(c)
		if p.isClosing() {
			continue // the channel is closed soon
		}
		p.cfg.Logger.Warn("the query engine ended: another takes over", "error", c.err)
		p.mu.Lock()
		p.restarts++
		p.mu.Unlock()
	}
}

func (p *Process) isClosing() bool {
	select {
	case <-p.closing:
		return true
	default:
		return false
	}
}

// spawn starts one process after the other. The second is started when the first has ended; where one has, another may, and
// each from there on is started some time after the one before was taken: so that one is ready when it is needed, since
// starting takes a tenth of a second of a processor. A server whose engine never ends does not keep a second in memory.
//
// The thread stays: some systems end a process with the thread that started it.
func (p *Process) spawn(ready chan<- *child) {
	runtime.LockOSThread()
	defer close(ready)
	for brief, ahead := 0, false; !p.isClosing(); {
		c, err := p.start()
		began, most := time.Now(), servedPause
		if err == nil {
			err = p.offer(c, ready, ahead)
			ahead = true
		}
		if brief++; time.Since(began) >= settled {
			brief = 0
		}
		if err != nil && !p.isClosing() {
			most = startPause
			p.cfg.Logger.Warn("the query engine does not start", "error", err)
		}
		select {
		case <-p.closing:
		case <-time.After(min(most, firstPause<<min(brief, 16)) - firstPause):
		}
	}
}

// offer waits until a process is taken, and has ended, or with ahead has settled. It fails if the process ends before it is
// taken.
func (p *Process) offer(c *child, ready chan<- *child, ahead bool) error {
	select {
	case ready <- c:
	case <-c.lost:
		<-c.ended
		return c.err
	case <-p.closing:
		c.end()
		<-c.ended
		return nil
	}
	var settles <-chan time.Time // never, but ahead
	if ahead {
		settles = time.After(settled)
	}
	select {
	case <-c.lost:
	case <-p.closing:
	case <-settles:
	}
	return nil
}

// serve lets queries use a process until it ends, or the supervision does.
func (p *Process) serve(c *child) {
	p.turn(c)
	select {
	case <-c.lost:
	case <-p.closing:
		c.end()
	}
	p.turn(nil)
	<-c.ended
}

// turn sets the process that queries use, and wakes who waits for one.
func (p *Process) turn(c *child) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current = c
	close(p.changed)
	p.changed = make(chan struct{})
	if c != nil && p.fences == nil {
		p.fences = &c.fences
		if len(c.fences.Missing) > 0 {
			p.cfg.Logger.Warn("the system does not let the query engine be held in by every fence", "held", c.fences.Held, "missing",
				c.fences.Missing)
		}
	}
}

// child is one process.
type child struct {
	cmd    *exec.Cmd
	words  *words
	ready  time.Time
	fences fences
	once   sync.Once     // closes lost
	lost   chan struct{} // closed when the process is of no more use
	ended  chan struct{} // closed when err is set
	err    error

	mu      sync.Mutex // guards writing to control
	control *net.UnixConn
}

// allocation is the environment of a process: settings of its two allocators, DuckDB's and the C library's. With few arenas a
// thread that is behind the others holds the lock of one while it waits, and they wait for it.
func allocation() []string {
	return []string{"DUCKDB_JE_MALLOC_CONF=narenas:64", "MALLOC_ARENA_MAX=128"}
}

// start starts a process and waits until it serves.
func (p *Process) start() (*child, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	defer theirs.Close()
	program, err := executable()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start engine: %w", err), ours.Close())
	}
	c := &child{words: &words{}, lost: make(chan struct{}), ended: make(chan struct{}), control: ours}
	c.cmd = &exec.Cmd{
		Path: program, Args: []string{os.Args[0], Command},
		Env:    allocation(), // nothing of ours: there may be secrets in it
		Dir:    "/",
		Stderr: c.words, ExtraFiles: []*os.File{theirs}, SysProcAttr: attributes(),
	}
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start engine: %w", err), ours.Close())
	}
	go c.wait()
	if err := c.greet(p); err != nil {
		c.lose(err)
		<-c.ended
		return nil, fmt.Errorf("start engine: %w", c.err)
	}
	return c, nil
}

// greet gives the process its order, and waits until it serves.
func (c *child) greet(p *Process) error {
	undo := make(chan struct{})
	defer close(undo)
	go func() {
		select {
		case <-p.closing:
			c.lose(errors.New("the server is stopping"))
		case <-undo:
		}
	}()
	if err := errors.Join(c.control.SetDeadline(time.Now().Add(startPatience)), writeMessage(c.control, kindOpen, p.order)); err != nil {
		return err
	}
	k, body, err := readMessage(c.control, nil)
	if err != nil {
		return err
	}
	if k != kindDone {
		return errors.New(string(body))
	}
	if err := json.Unmarshal(body, &c.fences); err != nil {
		return err
	}
	c.ready = time.Now()
	return c.control.SetDeadline(time.Time{})
}

func (c *child) wait() {
	err := c.cmd.Wait()
	if err == nil {
		err = errors.New("it ended by itself")
	}
	if said := c.words.String(); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	c.err = err
	_ = c.control.Close() // nobody listens
	c.lose(err)
	close(c.ended)
}

// end asks the process to end, and makes it if it does not.
func (c *child) end() {
	_ = c.control.Close() // its end says so
	select {
	case <-c.ended:
	case <-time.After(endPatience):
		c.lose(errors.New("it did not end when asked to"))
	}
}

// lose ends the process at once, if it has not ended, and lets no query use it any more.
func (c *child) lose(why error) {
	c.once.Do(func() {
		fmt.Fprintf(c.words, "given up: %v\n", why)
		_ = c.cmd.Process.Kill() // it may have ended
		close(c.lost)
	})
}

func (c *child) lives() bool {
	select {
	case <-c.lost:
		return false
	default:
		return true
	}
}

// dial makes a connection to the process: one end of a pair of sockets goes to it. So nobody else can connect, and the process
// needs no right to make sockets.
func (c *child) dial() (*net.UnixConn, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, _, err := c.control.WriteMsgUnix([]byte{0}, syscall.UnixRights(int(theirs.Fd())), nil); err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	return ours, nil
}

// pair makes two sockets that are connected.
func pair() (*net.UnixConn, *os.File, error) {
	fds, err := socketPair()
	if err != nil {
		return nil, nil, fmt.Errorf("make sockets: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "engine")
	ours, err := fileConn(os.NewFile(uintptr(fds[0]), "engine"))
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return ours, theirs, nil
}

// fileConn makes a connection of a file, which it closes.
func fileConn(f *os.File) (*net.UnixConn, error) {
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("make connection: %w", err)
	}
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("make connection: it is no unix socket"), conn.Close())
	}
	return unix, nil
}

// words keeps the beginning of what is written to it: a process that dies says first of what.
type words struct {
	mu   sync.Mutex
	text []byte
}

// Write never fails.
func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p[:min(len(p), maxWords-len(w.text))]...)
	return len(p), nil
}

// String gives it.
func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(bytes.TrimSpace(w.text))
}
