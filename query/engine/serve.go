package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"headless.ly/query/duck"
)

// controlFile is the number under which a process finds the socket to the server that started it.
const controlFile = 3

// Function is a function of SQL that every database knows.
type Function struct {
	Name  string
	Arity int
	Call  duck.TextFunction
}

// Functions makes the functions of all databases, once, of what Config.Setup was.
type Functions func(setup []byte) ([]Function, error)

// Serve is the engine process: it holds databases and runs what it is asked to, until the server that started it ends. It
// returns only what kept it from serving.
func Serve(functions Functions) error {
	control, err := fileConn(os.NewFile(controlFile, "control"))
	if err != nil {
		return fmt.Errorf("serve: an engine is started by a server, never by hand: %w", err)
	}
	s := &server{databases: map[string]*database{}, sessions: map[*session]bool{}}
	ready, err := s.prepare(control, functions)
	if err != nil {
		return errors.Join(fmt.Errorf("serve: %w", err), writeMessage(control, kindFailed, []byte(err.Error())))
	}
	if err := writeMessage(control, kindDone, ready); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	for {
		link, err := accept(control)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("serve: %w", err)
		}
		go s.session(link)
	}
}

// accept takes the next connection.
func accept(control *net.UnixConn) (*net.UnixConn, error) {
	one, rights := make([]byte, 1), make([]byte, syscall.CmsgSpace(4))
	n, size, _, _, err := control.ReadMsgUnix(one, rights)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, io.EOF
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:size])
	if err != nil || len(messages) != 1 {
		return nil, errors.Join(errMessage, err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return nil, errors.Join(errMessage, err)
	}
	syscall.CloseOnExec(fds[0])
	return fileConn(os.NewFile(uintptr(fds[0]), "session"))
}

// server is what all connections of the process share.
type server struct {
	functions       []Function
	limit           int64 // of resident bytes
	databaseThreads int   // threads of a database; 0: as many as there are processors
	threads         threads
	opening         sync.Mutex // held while a database is made

	mu        sync.Mutex // guards what follows
	databases map[string]*database
	sessions  map[*session]bool // those whose statement may be stopped
}

// database is one in-memory database.
type database struct {
	users   int // guarded by server.mu
	once    sync.Once
	db      *duck.DB
	workers *workers
	err     error
}

// goMemory is the soft limit of what Go itself holds: messages and little else.
const goMemory = 256 << 20

// goProcessors is how many threads run Go's own code at once, at least: one that the system lets wait, because it is behind the
// others, holds up none of them.
const goProcessors = 16

// prepare reads the order, locks the process in, and tells what holds it.
func (s *server) prepare(control *net.UnixConn, functions Functions) ([]byte, error) {
	k, body, err := readMessage(control, nil)
	if err != nil || k != kindOpen {
		return nil, errors.Join(errMessage, err)
	}
	var o order
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, err
	}
	if s.functions, err = functions(o.Setup); err != nil {
		return nil, err
	}
	s.limit, s.databaseThreads = int64(o.MemoryMB)<<20, o.Threads
	debug.SetMemoryLimit(goMemory)
	runtime.GOMAXPROCS(max(goProcessors, runtime.NumCPU()))
	memory := openMemory() // before files are out of reach
	s.threads = openThreads()
	held := confine(o)
	if err := s.warm(); err != nil {
		return nil, err
	}
	go s.watch(memory)
	return json.Marshal(held)
}

// warm opens a database and runs a statement: the first time takes longer than any other.
func (s *server) warm() error {
	db, _, err := s.start()
	if err != nil {
		return err
	}
	defer db.Close()
	c, err := db.Connect()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Exec(context.Background(), "select 1")
}

// watchEvery is how often memory and the turns of statements are looked at.
const watchEvery = 20 * time.Millisecond

// sparedTicks is for how many of them statements that have not had their share are spared when memory is short.
const sparedTicks = 25

// watch puts expendable statements behind the others that have had their share. When the process has grown beyond its limit,
// it stops those, then all expendable ones, and it ends the process at twice as much: what DuckDB allocates for text does not
// count against its own limit, and one call may allocate without end.
func (s *server) watch(memory *residentMemory) {
	over := 0 // ticks
	for range time.Tick(watchEvery) {
		resident := memory.bytes()
		if resident > 2*s.limit {
			fmt.Fprintf(os.Stderr, "the engine has %d MB, more than twice %d MB\n", resident>>20, s.limit>>20)
			os.Exit(1)
		}
		if over++; resident <= s.limit {
			over = 0
		}
		s.mu.Lock()
		for one := range s.sessions {
			if slow := one.look(); over > sparedTicks || over > 0 && slow {
				one.stop(ErrMemory)
			}
		}
		s.mu.Unlock()
	}
}

// open gives a database, made if it is not there. It must be released.
func (s *server) open(name string) (*database, error) {
	s.mu.Lock()
	d := s.databases[name]
	if d == nil {
		d = &database{}
		s.databases[name] = d
	}
	d.users++
	s.mu.Unlock()
	d.once.Do(func() { d.db, d.workers, d.err = s.start() })
	return d, d.err
}

// start makes a database with its functions.
func (s *server) start() (*duck.DB, *workers, error) {
	db, threads, err := s.openDatabase()
	if err != nil {
		return nil, nil, err
	}
	c, err := db.Connect()
	if err != nil {
		db.Close()
		return nil, nil, err
	}
	defer c.Close()
	for _, f := range s.functions {
		if err := c.Register(f.Name, f.Arity, f.Call); err != nil {
			db.Close()
			return nil, nil, err
		}
	}
	return db, threads, nil
}

// release closes a database that nobody uses any more.
func (s *server) release(name string, d *database) {
	s.mu.Lock()
	d.users--
	last := d.users == 0
	if last {
		delete(s.databases, name)
	}
	s.mu.Unlock()
	if last && d.db != nil {
		d.db.Close()
	}
}

// session is one connection.
type session struct {
	server     *server
	link       *net.UnixConn
	out        *bufio.Writer
	conn       *duck.Conn
	workers    *workers
	statements map[uint64]*duck.Stmt
	rows       []byte // a message of rows, made anew each time

	mu        sync.Mutex // guards what follows
	running   uint32     // the number of the request that runs
	cancelled uint32     // the number of the last one that was to be stopped
	cancel    context.CancelCauseFunc
	turn      *turn // of an expendable statement that runs
}

// request is one message of a server.
type request struct {
	number uint32
	kind   kind
	body   []byte
}

// session serves a connection until its other end closes it.
func (s *server) session(link *net.UnixConn) {
	defer link.Close()
	one := &session{server: s, link: link, out: bufio.NewWriterSize(link, bufferBytes), statements: map[uint64]*duck.Stmt{}}
	alive, gone := context.WithCancel(context.Background())
	requests := make(chan request)
	go func() {
		defer close(requests)
		defer gone()
		one.read(alive, requests)
	}()
	defer func() {
		gone()
		_ = link.CloseRead() // ends reading
		for range requests { // and waits for it
		}
	}()
	one.serve(alive, requests)
}

// read reads requests. It never waits for what runs, so that a stop is heard.
func (s *session) read(alive context.Context, requests chan<- request) {
	in := bufio.NewReader(s.link)
	for number := uint32(1); ; {
		k, body, err := readMessage(in, nil)
		if err != nil {
			return
		}
		m := message{rest: body}
		if k == kindStop {
			s.mu.Lock()
			s.cancelled = m.number()
			if s.cancel != nil && s.running == s.cancelled {
				s.cancel(errStopped)
			}
			s.mu.Unlock()
			continue
		}
		select {
		case requests <- request{number, k, body}:
		case <-alive.Done():
			return
		}
		number++
	}
}

// stop ends what the session runs.
func (s *session) stop(why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cancel != nil {
		s.cancel(why)
	}
}

// look looks at the turn of what runs, if it has one, and says whether it has had its share.
func (s *session) look() bool {
	s.mu.Lock()
	t := s.turn
	s.mu.Unlock()
	return t != nil && t.look()
}

// begin gives the context of a request.
func (s *session) begin(alive context.Context, r request) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(alive)
	s.mu.Lock()
	s.running, s.cancel = r.number, cancel
	if s.cancelled == r.number {
		cancel(errStopped)
	}
	s.mu.Unlock()
	return ctx, func() {
		s.mu.Lock()
		s.cancel = nil
		s.mu.Unlock()
		cancel(nil)
	}
}

// expend lets the server stop what runs when memory is short.
func (s *session) expend() (undo func()) {
	s.server.mu.Lock()
	s.server.sessions[s] = true
	s.server.mu.Unlock()
	return func() {
		s.server.mu.Lock()
		delete(s.server.sessions, s)
		s.server.mu.Unlock()
	}
}

// serve answers the requests, in order.
func (s *session) serve(alive context.Context, requests <-chan request) {
	first, ok := <-requests
	if !ok || first.kind != kindOpen {
		return
	}
	name := string(first.body)
	d, err := s.server.open(name)
	defer s.server.release(name, d)
	if err == nil {
		s.workers = d.workers
		s.conn, err = d.db.Connect()
	}
	if s.answer(kindDone, nil, err) != nil || err != nil {
		return
	}
	defer s.conn.Close()
	defer func() {
		for _, statement := range s.statements {
			statement.Close()
		}
	}()
	for r := range requests {
		if s.handle(alive, r, requests) != nil {
			return
		}
	}
}

// handle answers one request. An error means that the connection is of no use any more.
func (s *session) handle(alive context.Context, r request, more <-chan request) error {
	m := &message{rest: r.body}
	if r.kind == kindFree {
		id := m.unsigned()
		if statement := s.statements[id]; statement != nil {
			statement.Close()
			delete(s.statements, id)
		}
		return m.end()
	}
	ctx, end := s.begin(alive, r)
	defer end()
	run := func() error { return s.run(ctx, r, m, more) }
	var err error
	if expendable := m.flag(); expendable && r.kind != kindExec {
		undo := s.expend()
		err = s.fairly(run)
		undo()
	} else {
		err = run()
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return s.answer(kindDone, nil, err)
}

// run does what is asked, and sends all of the answer but its end.
func (s *session) run(ctx context.Context, r request, m *message, more <-chan request) error {
	switch r.kind {
	case kindExec:
		return s.conn.Exec(ctx, string(m.rest))
	case kindPrepare:
		return s.prepare(ctx, uint64(r.number), string(m.rest))
	case kindQuery, kindRun:
		return s.query(ctx, r.kind, m)
	case kindAppend:
		database := m.text()
		return s.appendRows(database, string(m.rest), more)
	}
	return errMessage
}

// answer sends the end of an answer.
func (s *session) answer(k kind, body []byte, err error) error {
	if err != nil {
		k, body = kindFailed, appendFailure(nil, err)
	}
	if err := writeMessage(s.out, k, body); err != nil {
		return err
	}
	return s.out.Flush()
}

func (s *session) prepare(ctx context.Context, id uint64, text string) error {
	statement, err := s.conn.Prepare(ctx, text)
	if err != nil {
		return err
	}
	s.statements[id] = statement
	return writeMessage(s.out, kindColumns, appendColumns(nil, statement.Columns()))
}

// query runs a statement, and sends its rows as they are computed: as fast as the other end takes them.
func (s *session) query(ctx context.Context, k kind, m *message) error {
	held := m.flag()
	var statement *duck.Stmt
	if k == kindRun {
		statement = s.statements[m.unsigned()]
	} else {
		text := m.text()
		var err error
		if statement, err = s.conn.Prepare(ctx, text); err != nil {
			return err
		}
		defer statement.Close()
	}
	args, named := m.args()
	if err := m.end(); err != nil || statement == nil {
		return errMessage
	}
	statement.Held = held
	var rows *duck.Rows
	var err error
	if named != nil {
		rows, err = statement.QueryNamed(ctx, named)
	} else {
		rows, err = statement.Query(ctx, args...)
	}
	if err != nil {
		return err
	}
	defer rows.Close()
	return s.send(ctx, rows)
}

// send sends a result.
func (s *session) send(ctx context.Context, rows *duck.Rows) error {
	columns := rows.Columns()
	if err := writeMessage(s.out, kindColumns, appendColumns(nil, columns)); err != nil {
		return err
	}
	for {
		chunk, err := rows.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for from := 0; from < chunk.Rows; {
			to := from + chunk.Fit(columns, from, chunkBytes)
			if s.rows, err = chunk.AppendRows(s.rows[:0], columns, from, to); err != nil {
				return err
			}
			if err := writeMessage(s.out, kindChunk, s.rows); err != nil {
				return err
			}
			from = to
		}
	}
}

// appendRows appends the rows of the requests that follow, up to their end. What fails is said there.
func (s *session) appendRows(database, table string, more <-chan request) error {
	appender, err := s.conn.AppendTo(database, table)
	for r := range more {
		switch r.kind {
		case kindRows:
			if err == nil {
				err = addRows(appender, &message{rest: r.body})
			}
		case kindEnd:
			if appender != nil {
				err = errors.Join(err, appender.Close())
			}
			return err
		default:
			err = errMessage
		}
	}
	if appender != nil {
		_ = appender.Close() // nobody is there to be told
	}
	return io.ErrUnexpectedEOF
}

// addRows appends the rows of one message.
func addRows(appender *duck.Appender, m *message) error {
	var values []any
	for len(m.rest) > 0 {
		values = values[:0]
		for range m.count() {
			values = append(values, m.value(true))
		}
		if m.failed {
			return errMessage
		}
		if err := appender.Row(values...); err != nil {
			return err
		}
	}
	return nil
}
