package ingest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
)

const (
	// reopenPause is how long a tenant whose log failed waits between attempts to reopen it.
	reopenPause = 500 * time.Millisecond
	// passiveAt and truncateAt are sizes of the write-ahead log at which it is checkpointed: in a gap or aside, and in the
	// writer's turn (correctness 7).
	passiveAt  = 4 << 20
	truncateAt = 64 << 20
	// roomyBatch is the number of events in one commit from which on the writer's page cache is roomyCacheKB: a batch that
	// does not fit its cache is written to the write-ahead log twice. roomyIdle without a call takes it back.
	roomyBatch   = 16
	roomyCacheKB = 4096
	roomyIdle    = 5 * time.Second
	// maxBatchBytes is the size of a batch's events at which it is committed: large documents are held several times.
	maxBatchBytes = 16 << 20
	// maxDrop is the number of expired idempotency keys that closing a tenant drops at most.
	maxDrop = 10_000
	// sizeEvery is the number of commits between two looks at the size of the write-ahead log.
	sizeEvery = 32
)

// call is one entry of a writer's queue: commands, or a question that must wait its turn.
type call struct {
	cmds    []Command
	results []Result
	kept    int       // results that earlier batches have made durable: they stand whatever becomes of the rest
	stake   bool      // the batch held something when the call's commands had run: they have written it, or seen it
	at      time.Time // fixSeq: no later event may bear a timestamp at or before this
	fix     bool
	try     bool  // run the commands and forget what they did
	head    int64 // answer to a question: the head when its turn came
	err     error
	done    chan struct{}
}

// writer is a tenant's single writer: one goroutine that takes calls from a bounded queue, runs their commands as one
// batch, commits, and answers. It is the only one that changes the tenant's log.
type writer struct {
	cfg    *Config
	plans  map[string]*plan
	tenant string
	ctx    context.Context // ends with the store
	queue  chan *call
	chores chan *chore
	quit   chan struct{} // closed: finish what is queued and stop
	ended  chan struct{}

	// Owned by the goroutine (and by openWriter before it starts).
	log      *conn // nil: the tenant does not exist yet, or the log is broken
	broken   bool  // the log must be reopened before anything is served
	head     int64
	last     int64 // timestamp of the last event
	ids      noun.EventIDs
	floor    int64 // the next event's timestamp is at least this
	tallies  map[string]tally
	roomy    bool // the log's connection has the larger page cache
	commits  int
	reopenAt time.Time

	// Seen by readers.
	view         atomic.Pointer[published] // what is acknowledged
	failed       atomic.Bool               // reads must not be served: the log is being reopened
	exists       atomic.Bool
	marked       atomic.Bool // the tenant is on the durable list of open tenants
	readers      readers
	checkpointer sync.WaitGroup
	checkpointed atomic.Bool // a background checkpoint is running

	// Events up to here are to be read from the archive; the log may have let them go. It is raised before they go.
	trimmed  atomic.Int64
	cut      atomic.Int64 // up to here they have: what the log's meta says
	trimming sync.Mutex   // of one that trims

	feeds feeds
}

// published is an immutable summary of the acknowledged log.
type published struct {
	head    int64
	last    int64 // timestamp of the head
	tallies map[string]tally
}

// newWriter makes a tenant's writer and opens its log if it has one.
func newWriter(ctx context.Context, cfg *Config, plans map[string]*plan, tenant string) (*writer, error) {
	w := &writer{cfg: cfg, plans: plans, tenant: tenant, ctx: context.WithValue(ctx, turnKey{}, true),
		queue: make(chan *call, cfg.QueueLength), chores: make(chan *chore), quit: make(chan struct{}), ended: make(chan struct{}), tallies: map[string]tally{},
		ids: noun.NewEventIDs()}
	w.readers.open = func() (*conn, error) {
		c, err := openConn(logFile(cfg.Dir, tenant), cfg.VFS, "rw", true)
		if err == nil {
			c.plans = plans
		}
		return c, err
	}
	w.view.Store(&published{tallies: w.tallies})
	fi, err := os.Stat(logFile(cfg.Dir, tenant))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err == nil && fi.Size() > 0 { // an empty file is a creation cut short: the first write makes the log
		if err := w.reopen(); err != nil {
			return nil, err
		}
	}
	go w.run()
	return w, nil
}

// clock reads the time; a store's clock is only asked here.
func (w *writer) clock() time.Time { return w.cfg.Clock() }

func (w *writer) hooks(p phase, noun, verb string) []*hook { return w.cfg.Hooks.match(p, noun, verb) }

// reopen opens the log and learns its head from it. All connections of the tenant must be closed.
func (w *writer) reopen() error {
	c, err := openLog(w.cfg.Dir, w.tenant, w.cfg.VFS)
	if err != nil {
		return err
	}
	c.plans = w.plans
	rerr := c.renameClaims()
	head, last, tallies, err := c.summary()
	floor, _, ferr := c.getInt(sqlGetMeta, "floor")
	ids, ierr := c.eventIDs()
	trimmed, _, terr := c.getInt(sqlGetMeta, "trimmed")
	if err = errors.Join(rerr, err, ferr, ierr, terr); err != nil {
		return errors.Join(err, c.close())
	}
	w.log, w.head, w.last, w.tallies, w.broken, w.roomy = c, head, last, tallies, false, false
	w.floor, w.ids = max(w.floor, floor), ids
	w.trimmed.Store(max(w.trimmed.Load(), trimmed))
	w.cut.Store(trimmed)
	w.show()
	w.exists.Store(true)
	w.readers.reopen()
	w.failed.Store(false)
	return nil
}

// summary reads the head and the tallies.
func (c *conn) summary() (head, last int64, tallies map[string]tally, err error) {
	tallies = map[string]tally{}
	var row values
	err = c.query(sqlGetHead, func(v []driverValue) error { head, last = row.int(v[0]), row.int(v[1]); return nil })
	if err == nil {
		err = c.query(sqlAllTallies, func(v []driverValue) error {
			tallies[row.text(v[0])] = tally{live: row.int(v[1]), last: row.int(v[2])}
			return nil
		})
	}
	if err == nil && row.odd {
		err = fmt.Errorf("head and tallies: %w", ErrCorrupt)
	}
	return head, last, tallies, err
}

// show tells readers and feeds what is acknowledged.
func (w *writer) show() {
	w.view.Store(&published{head: w.head, last: w.last, tallies: w.tallies})
	w.feeds.advance()
}

// run is the writer's goroutine.
func (w *writer) run() {
	defer close(w.ended)
	for {
		var again <-chan time.Time
		switch {
		case w.broken: // readers wait for it as well: do not leave it to the next writer
			again = time.After(reopenPause)
		case w.roomy:
			again = time.After(roomyIdle)
		}
		select {
		case c := <-w.queue:
			w.serve(c)
			w.rest()
		case c := <-w.chores:
			w.doChore(c)
			w.rest()
		case <-again:
			if w.broken {
				w.recover()
			} else {
				w.room(false)
			}
		case <-w.quit:
			for {
				select {
				case c := <-w.queue:
					w.serve(c)
				default:
					return
				}
			}
		}
	}
}

// serve gathers calls into a batch, beginning with one, and answers them.
func (w *writer) serve(first *call) {
	if w.broken && !w.recover() {
		w.answer([]*call{first}, unavailable())
		return
	}
	last := first
	for {
		b := newBatch(w)
		w.execute(b, last)
		calls := w.gather(b, last)
		err := w.commit(b)
		last = calls[len(calls)-1]
		if err != nil || len(last.results) == len(last.cmds) {
			w.answer(calls, err)
			return
		}
		last.kept = len(last.results) // the batch ended within the call
		w.answer(calls[:len(calls)-1], nil)
	}
}

// gather runs further calls on a batch that has begun with one, and gives all of them.
func (w *writer) gather(b *batch, first *call) []*call {
	calls, n := []*call{first}, len(first.cmds)
	for n < w.cfg.MaxBatch && !b.due() {
		select {
		case c := <-w.queue:
			w.execute(b, c)
			calls, n = append(calls, c), n+len(c.cmds)
		default:
			return calls
		}
	}
	return calls
}

// execute runs a call's commands on the batch, until that is due.
func (w *writer) execute(b *batch, c *call) {
	if c.try {
		w.tryOut(c)
		return
	}
	for i := len(c.results); i < len(c.cmds) && !b.due(); i++ {
		c.results = append(c.results, b.run(&c.cmds[i], "", 0))
	}
	c.stake = len(c.cmds) > 0 && !b.empty()
	if c.fix { // a question about time: every event from now on is later
		w.floor = max(w.floor, c.at.UnixMilli()+1)
		b.last = max(b.last, w.floor)
		b.now = max(b.now, b.last)
	}
}

// tryOut runs a call's commands on batches that nobody else sees and that are dropped.
func (w *writer) tryOut(c *call) {
	for len(c.results) < len(c.cmds) {
		b := newBatch(w)
		b.trial = true
		for len(c.results) < len(c.cmds) && !b.due() {
			c.results = append(c.results, b.run(&c.cmds[len(c.results)], "", 0))
		}
	}
}

// answer gives every call its results. Calls that were wholly refused before the batch held anything keep their refusals:
// those are true whatever became of the batch.
func (w *writer) answer(calls []*call, err error) {
	for _, c := range calls {
		c.head = w.head
		if err != nil && (w.broken || c.stake) {
			c.err, c.results = err, c.results[:c.kept]
		}
		close(c.done)
	}
}

// commit makes a batch durable. The error is about all of it.
func (w *writer) commit(b *batch) error {
	if b.empty() {
		return nil
	}
	if err := w.ready(); err != nil {
		return err
	}
	unknown, err := w.log.transact(func() error { return b.write(w.log) })
	if unknown {
		return w.settle(b, err)
	}
	if err != nil {
		w.cfg.Logger.Error("write log", "tenant", w.tenant, "error", err)
		return notWritten(err)
	}
	w.accept(b)
	return nil
}

// accept makes a committed batch the writer's state.
func (w *writer) accept(b *batch) {
	w.tallies = b.merged()
	w.head = b.head
	if len(b.records) > 0 {
		w.last = b.records[len(b.records)-1].Timestamp
	}
	w.show()
	w.room(w.roomy || len(b.records) >= roomyBatch)
	w.commits++
}

// ready sees to it that the tenant has a log and is on the durable list of open tenants, before its first event.
func (w *writer) ready() error {
	if !w.marked.Load() {
		if err := w.cfg.Registrar.MarkOpen(context.WithoutCancel(w.ctx), w.tenant); err != nil { // accepted calls are finished
			w.cfg.Logger.Error("mark tenant open", "tenant", w.tenant, "error", err)
			return notWritten(err)
		}
		w.marked.Store(true)
	}
	if w.log != nil {
		return nil
	}
	c, err := createLog(w.cfg.Dir, w.tenant, w.cfg.VFS, w.ids)
	if err != nil {
		w.cfg.Logger.Error("create log", "tenant", w.tenant, "error", err)
		return notWritten(err)
	}
	c.plans = w.plans
	w.log = c
	w.exists.Store(true)
	return nil
}

// settle finds out what became of a commit that failed (correctness 1): nothing of the tenant is served until its log has
// been reopened and its write-ahead log is empty; then the log itself says whether it holds the batch.
func (w *writer) settle(b *batch, cause error) error {
	w.cfg.Logger.Error("commit failed, reopening the log", "tenant", w.tenant, "error", cause)
	w.stumble()
	if !w.recover() {
		return outcomeUnknown(cause)
	}
	if len(b.records) > 0 && w.head >= b.head {
		held, err := w.log.getRecord(sqlGetEvent, b.head)
		if err != nil {
			return outcomeUnknown(errors.Join(cause, err))
		}
		if held != nil && held.ID == b.records[len(b.records)-1].ID {
			return nil // it is on disk after all, and recover has shown it
		}
	}
	if isFull(cause) { // its last frame was never written whole
		return notWritten(cause)
	}
	if err := w.log.seal(); err != nil {
		w.stumble()
		return outcomeUnknown(errors.Join(cause, err))
	}
	return notWritten(cause)
}

// stumble has the log reopened before anything of it is served.
func (w *writer) stumble() {
	w.broken = true
	w.failed.Store(true)
}

// recover closes every connection of the tenant and opens the log anew. It reports success; after a failure it waits
// reopenPause before it tries again.
func (w *writer) recover() bool {
	if time.Now().Before(w.reopenAt) {
		return false
	}
	w.checkpointer.Wait()
	w.readers.closeAll()
	if w.log != nil {
		if err := w.log.close(); err != nil {
			w.cfg.Logger.Error("close log", "tenant", w.tenant, "error", err)
		}
		w.log = nil
	}
	if err := w.reopen(); err != nil {
		w.cfg.Logger.Error("reopen log", "tenant", w.tenant, "error", err)
		w.reopenAt = time.Now().Add(reopenPause)
		return false
	}
	return true
}

// room gives the log's connection a larger page cache while many write, and takes it back when nobody does.
func (w *writer) room(roomy bool) {
	if w.roomy == roomy || w.log == nil {
		return
	}
	w.roomy = roomy
	script := fmt.Sprintf("PRAGMA cache_size=-%d", roomyCacheKB)
	if !roomy {
		script = fmt.Sprintf("PRAGMA cache_size=-%d; PRAGMA shrink_memory", cacheKB)
	}
	if err := w.log.script(script); err != nil {
		w.cfg.Logger.Warn("set page cache", "tenant", w.tenant, "error", err)
	}
}

// rest does what is due between batches: checkpoints in a gap, or when the write-ahead log has grown large.
func (w *writer) rest() {
	if w.log == nil || w.broken || w.commits < sizeEvery && (w.commits == 0 || len(w.queue) > 0) {
		return
	}
	w.commits = 0
	size := fileSize(logFile(w.cfg.Dir, w.tenant) + "-wal")
	switch {
	case size >= truncateAt:
		w.checkpointer.Wait()
		if err := w.log.checkpoint("TRUNCATE"); err != nil && !errors.Is(err, errCheckpointBusy) {
			w.cfg.Logger.Warn("checkpoint", "tenant", w.tenant, "error", err)
		}
	case size >= passiveAt:
		w.checkpointAside()
	}
}

// checkpointAside moves pages to the file on a reader's connection, while the writer goes on.
func (w *writer) checkpointAside() {
	if !w.checkpointed.CompareAndSwap(false, true) {
		return
	}
	w.checkpointer.Go(func() {
		defer w.checkpointed.Store(false)
		err := w.readers.use(func(c *conn) error { return c.checkpoint("PASSIVE") })
		if err != nil && !errors.Is(err, errReadersClosed) {
			w.cfg.Logger.Warn("checkpoint", "tenant", w.tenant, "error", err)
		}
	})
}

// stop ends the goroutine behind the calls already queued and closes the log; a clean one is wholly in its file.
func (w *writer) stop() error {
	close(w.quit)
	<-w.ended
	w.checkpointer.Wait()
	w.readers.closeAll()
	var err error
	switch {
	case w.broken:
		err = errors.New("the outcome of its last batch is not known")
	case w.log != nil:
		err = w.tidyLog()
	}
	if w.log != nil {
		err = errors.Join(err, w.log.close())
	}
	w.failed.Store(true)
	w.feeds.advance() // those that are left find that there is nothing to read
	return err
}

// tidyLog drops what nobody asks for any more, keeps what SeqAt has promised, and empties the write-ahead log.
func (w *writer) tidyLog() error {
	err := w.log.exec(sqlDropKeys, w.clock().Add(-w.cfg.IdempotencyTTL).UnixMilli(), int64(maxDrop))
	if err == nil && w.floor > w.last {
		err = w.log.exec(sqlPutMeta, "floor", w.floor)
	}
	if err == nil {
		err = w.log.checkpoint("TRUNCATE")
	}
	return err
}

func fileSize(path string) int64 {
	fi, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return fi.Size()
}

// notWritten is the answer to a batch that is certain not to be on disk.
func notWritten(cause error) error {
	if p := damaged(cause); p != nil {
		return p
	}
	p := problem.New(problem.Unavailable, "the write could not be stored; nothing was written")
	if isFull(cause) {
		p = problem.New(problem.StorageFull, "there is no space left to store the write; nothing was written")
	}
	p.Cause, p.RetryAfter = cause, time.Second
	return p
}

// damaged is the answer where a row of the log is not as it was written, which it names; nil for any other error.
func damaged(cause error) error {
	if !isDamage(cause) {
		return nil
	}
	p := problem.New(problem.DataDamaged, "the tenant's log is damaged at %v; headlessly repair restores what was published", cause)
	p.Cause = cause
	return p
}

// outcomeUnknown is the answer to a batch that may be on disk.
func outcomeUnknown(cause error) error {
	p := problem.New(problem.OutcomeUnknown, "the outcome of this write cannot be known yet; retry with the same Idempotency-Key")
	p.Cause, p.RetryAfter = cause, time.Second
	return p
}

func unavailable() error {
	p := problem.New(problem.Unavailable, "the tenant's log is being reopened")
	p.RetryAfter = time.Second
	return p
}

func busy(n int) error {
	p := problem.New(problem.Busy, "%d calls wait for this tenant already", n)
	p.RetryAfter = time.Second
	return p
}

// submit queues a call and waits for its answer. A call that was queued runs, whatever becomes of ctx, unless the writer
// has stopped.
func (w *writer) submit(ctx context.Context, c *call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if ctx.Value(turnKey{}) != nil {
		return ErrInTurn
	}
	c.done = make(chan struct{})
	select {
	case <-w.quit:
		return shuttingDown()
	default:
	}
	select {
	case w.queue <- c:
	default:
		return busy(cap(w.queue))
	}
	select {
	case <-c.done:
		return c.err
	case <-w.ended: // nobody takes from the queue any more
	}
	select {
	case <-c.done:
		return c.err
	default:
		return shuttingDown()
	}
}

// readable refuses to read a log that is being reopened.
func (w *writer) readable() error {
	if w.failed.Load() {
		return unavailable()
	}
	return nil
}

// read runs f on a reader's connection; a tenant without a log is empty and f is not called.
func (w *writer) read(f func(c *conn) error) error {
	if err := w.readable(); err != nil {
		return err
	}
	if !w.exists.Load() {
		return nil
	}
	err := w.readers.use(f)
	if errors.Is(err, errReadersClosed) {
		return unavailable()
	}
	if p := damaged(err); p != nil {
		return p
	}
	return err
}
