package main_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"headless.ly/cmd/headlessly/server"
	"headless.ly/lakehouse"
	"headless.ly/query"
)

var (
	crashRuns = flag.Int("crash.runs", 2, "how often TestCrash kills a server")
	crashSeed = flag.Uint64("crash.seed", 1, "the first run's seed")
)

const (
	crashClients  = 16
	crashTenants  = 3
	crashInterval = 150 * time.Millisecond // between two publishings: every load sees some
	crashKeep     = 300 * time.Millisecond // files that nothing names are deleted under load
	foldersLast   = 5                      // runs that one data folder goes through
	childPatience = 30 * time.Second       // for a start, a step, a kill
	stopPatience  = 10 * time.Second       // for a stop by SIGTERM
)

// The environment of the child.
const (
	childData = "HEADLESSLY_CRASH_DATA" // set: this process is the server
	childStep = "HEADLESSLY_CRASH_STEP" // the step at which it kills itself; empty: none
	childSkip = "HEADLESSLY_CRASH_SKIP" // how many such steps it lets pass
)

// TestMain runs this binary as the engine of its own servers, or as the server that TestCrash kills, if it was started as one.
func TestMain(m *testing.M) {
	query.ServeIfStarted()
	if data := os.Getenv(childData); data != "" {
		if err := serveChild(data); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// serveChild is the command serve, with a hook that kills the process at a step.
func serveChild(data string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	var skip int64
	fmt.Sscan(os.Getenv(childSkip), &skip)
	var heard atomic.Int64
	srv, err := server.Open(ctx, server.Config{
		Addr: "127.0.0.1:0", Data: data, Interval: crashInterval, Keep: crashKeep,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		Step: func(step string) {
			if step == os.Getenv(childStep) && heard.Add(1) > skip {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {} // nothing may happen behind the step
			}
		},
	})
	if err != nil {
		return err
	}
	fmt.Println("listening on", srv.URL())
	select {
	case <-ctx.Done():
	case err = <-srv.Failed():
	}
	closing, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	return errors.Join(err, srv.Close(closing))
}

// child is a running server process.
type child struct {
	cmd   *exec.Cmd
	url   string // empty if it ended before it was ready
	log   bytes.Buffer
	ended chan struct{} // closed when err is set
	err   error
}

// start runs a server on the folder and waits until it is ready, or has ended.
func start(data, step string, skip int) (*child, error) {
	c := &child{cmd: exec.Command(os.Args[0]), ended: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childData+"="+data, childStep+"="+step, fmt.Sprintf("%s=%d", childSkip, skip))
	c.cmd.Stderr = &c.log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		_, url, _ := strings.Cut(strings.TrimSpace(line), "listening on ")
		ready <- url
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	select {
	case c.url = <-ready:
		return c, nil
	case <-time.After(childPatience):
		c.kill()
		return nil, fmt.Errorf("the server was not ready after %s: %s", childPatience, tail(&c.log))
	}
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.ended
}

// stop asks the server to end and wants it to do so in time, without an error.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-c.ended:
	case <-time.After(stopPatience):
		c.kill()
		return fmt.Errorf("SIGTERM did not end the server within %s: %s", stopPatience, tail(&c.log))
	}
	if c.err != nil {
		return fmt.Errorf("after SIGTERM: %w: %s", c.err, tail(&c.log))
	}
	return nil
}

// killed says whether the server was ended by SIGKILL, and not by itself. It has ended.
func (c *child) killed() error {
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return nil
	}
	return fmt.Errorf("the server ended by itself: %v: %s", c.err, tail(&c.log))
}

func tail(b *bytes.Buffer) string {
	s := b.String()
	return s[max(0, len(s)-2000):]
}

// blow is how a run ends its server.
type blow struct {
	step     string        // at this step, or if empty after a while
	skip     int           // not at the first such steps
	after    time.Duration // of load
	stopping bool          // some of that while the server, asked to, is stopping
}

func (b blow) String() string {
	switch {
	case b.step != "":
		return b.step
	case b.stopping:
		return "at random, while stopping"
	}
	return "at random"
}

// blowOf takes random moments and the steps in turn.
func blowOf(run int, r *rand.Rand) blow {
	steps := lakehouse.Steps()
	if run%2 == 0 {
		return blow{after: time.Duration(r.IntN(1000)) * time.Millisecond, stopping: run%8 == 6}
	}
	b := blow{step: steps[run/2%len(steps)], skip: r.IntN(12)}
	if strings.HasPrefix(b.step, adopting) {
		b.skip = 0
	}
	return b
}

// adopting is the step that a server takes only where another has left an orphan: once after its start.
const adopting = "maintain.adopt"

// leaveOrphan puts a file into the data folder as a server leaves it that ends in the middle of a publish.
func leaveOrphan(dir string) error {
	folder := filepath.Join(dir, "warehouse", "iceberg", "contact", "data", "tenant=tenant-0")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	name := filepath.Join(folder, fmt.Sprintf("contact-1-%s.parquet", uuid.New()))
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		return err
	}
	old := time.Now().Add(-time.Hour)
	return os.Chtimes(name, old, old)
}

// crash is the whole test: its counts over all runs.
type crash struct {
	dir      string
	promises *promises
	clients  []*client
	http     *http.Client
	kills    map[string]int
	opened   int           // kills before the server was ready
	slowest  time.Duration // restart
	open     int
	kept     int
	refused  int
	replays  int // repetitions that were answered with the first one's event
}

func TestCrash(t *testing.T) {
	c := &crash{kills: map[string]int{}, http: &http.Client{Timeout: childPatience, Transport: &http.Transport{MaxIdleConnsPerHost: crashClients}}}
	failed, broken := 0, false
	for run := range *crashRuns {
		if run%foldersLast == 0 || broken {
			c.count()
			c.dir, c.promises, c.clients = filepath.Join(t.TempDir(), "data"), &promises{}, nil
		}
		seed := *crashSeed + uint64(run)
		r := rand.New(rand.NewPCG(seed, 0))
		b := blowOf(run, r)
		err := c.run(b, r)
		if broken = err != nil; broken {
			failed++
			t.Errorf("run %d, seed %d, killed %s: %v", run, seed, b, err)
		}
	}
	c.count()
	c.summary(failed)
}

// count adds up what the clients of the last folder were told.
func (c *crash) count() {
	if c.promises == nil {
		return
	}
	open, kept, refused := c.promises.count()
	c.open, c.kept, c.refused = c.open+open, c.kept+kept, c.refused+refused
	_ = os.RemoveAll(c.dir)
}

func (c *crash) summary(failed int) {
	fmt.Printf("%d clients over %d tenants; %d writes acknowledged, %d refused, %d left open by the kill; %d repetitions answered with the first one's event\n",
		crashClients, crashTenants, c.kept, c.refused, c.open, c.replays)
	for _, what := range slices.Sorted(maps.Keys(c.kills)) {
		fmt.Printf("  killed %-28s %4d\n", what, c.kills[what])
	}
	fmt.Printf("  of these before it was ready        %4d; slowest restart %s\n", c.opened, c.slowest.Round(time.Millisecond))
	if failed > 0 {
		fmt.Printf("falls short: %d of %d crashes broke a promise\n", failed, *crashRuns)
		return
	}
	fmt.Printf("held: %d crashes, every acknowledged write exactly once in log, state and lake, nothing refused left a trace\n", *crashRuns)
}

// run kills a server under load, and holds what is on disk against what its clients were told: in one run of three
// directly, else after a restart, in which the clients repeat what they had no answer to, and a stop.
func (c *crash) run(b blow, r *rand.Rand) error {
	if strings.HasPrefix(b.step, adopting) {
		if err := leaveOrphan(c.dir); err != nil {
			return err
		}
	}
	server, err := start(c.dir, b.step, b.skip)
	if err != nil {
		return err
	}
	for i := len(c.clients); i < crashClients; i++ {
		tenant := fmt.Sprintf("tenant-%d", i%crashTenants)
		c.clients = append(c.clients, &client{crash: c, tenant: tenant, r: rand.New(rand.NewPCG(r.Uint64(), 0))})
	}
	if err := c.strike(server, b); err != nil {
		return err
	}
	if r.IntN(3) > 0 {
		if err := c.restart(); err != nil {
			return err
		}
	}
	return inspect(context.Background(), c.dir, c.promises)
}

// strike loads the server until the blow has fallen.
func (c *crash) strike(server *child, b blow) error {
	if server.url == "" {
		<-server.ended
		c.opened++
	} else if err := c.load(server, b); err != nil {
		return err
	}
	c.kills[b.String()]++
	if b.stopping && server.err == nil {
		return nil // it had stopped before the blow
	}
	return server.killed()
}

func (c *crash) load(server *child, b blow) error {
	var all sync.WaitGroup
	errs := make([]error, len(c.clients))
	for i, cl := range c.clients {
		cl.url = server.url
		all.Go(func() { errs[i] = cl.work(server.ended) })
	}
	limit := childPatience
	if b.step == "" {
		limit = b.after
	}
	if b.stopping {
		time.Sleep(b.after / 2)
		limit /= 2
		errs = append(errs, server.cmd.Process.Signal(syscall.SIGTERM))
	}
	select {
	case <-server.ended:
	case <-time.After(limit):
		server.kill()
		if b.step != "" {
			errs = append(errs, fmt.Errorf("step %s was not passed %d times in %s: %s", b.step, b.skip+1, limit, tail(&server.log)))
		}
	}
	all.Wait()
	return errors.Join(errs...)
}

// restart starts the server again, repeats what had no answer, and stops it.
func (c *crash) restart() error {
	began := time.Now()
	server, err := start(c.dir, "", 0)
	if err != nil {
		return fmt.Errorf("restart: %w", err)
	}
	if server.url == "" {
		<-server.ended
		return fmt.Errorf("restart: %w: %s", server.err, tail(&server.log))
	}
	c.slowest = max(c.slowest, time.Since(began))
	for _, cl := range c.clients {
		if err := cl.repeat(server.url); err != nil {
			server.kill()
			return fmt.Errorf("after a restart: %w", err)
		}
	}
	return server.stop()
}

// client writes to one tenant, one request at a time, and remembers what it was told.
type client struct {
	crash   *crash
	url     string
	tenant  string
	r       *rand.Rand
	living  []known
	pending *call // had no answer
}

// known is an entity that was acknowledged and not yet deleted.
type known struct {
	noun, id string
	version  int64
}

// call is one request.
type call struct {
	promise      int
	method, path string
	noun         string
	token        string
	body         string
	ifMatch      int64
}

// reply is the part of an answer that matters here.
type reply struct {
	status  int
	replay  bool
	ID      string `json:"$id"`
	Version int64  `json:"$version"`
	Error   string `json:"error"`
}

// work writes until the server has ended. Its error says that the server failed while alive.
func (cl *client) work(ended <-chan struct{}) error {
	for {
		k, i := cl.next()
		cl.pending = k
		answer, err := cl.send(k)
		if err != nil {
			select {
			case <-ended:
				return nil
			case <-time.After(stopPatience): // the connection ends before the process does
				return fmt.Errorf("%s %s: %w, and the server lives", k.method, k.path, err)
			}
		}
		if err := cl.note(k, i, answer, false); err != nil {
			return err
		}
		cl.pending = nil
	}
}

// next chooses a write; i is the living entity it is about, -1 for none.
func (cl *client) next() (k *call, i int) {
	token := fmt.Sprintf("%016x", cl.r.Uint64())
	k = &call{noun: "Contact", token: token, method: http.MethodPost}
	dice := cl.r.IntN(20)
	if len(cl.living) < 2 || dice < 8 {
		if cl.r.IntN(3) == 0 {
			k.noun = "Deal"
		}
		k.path, k.body = "/"+k.noun, cl.fresh(k.noun, token)
		k.promise = cl.crash.promises.add(cl.tenant, token)
		return k, -1
	}
	i = cl.r.IntN(len(cl.living))
	e := cl.living[i]
	k.noun, k.path, k.body = e.noun, "/"+e.noun+"/"+e.id, fmt.Sprintf(`{"token":%q,"round":%d}`, token, dice)
	switch {
	case dice < 13:
		k.method = http.MethodPut
		if dice == 12 {
			k.ifMatch = e.version + int64(cl.r.IntN(2)) // right, or refused
		}
	case dice < 17:
		k.path += map[string]string{"Contact": "/qualify", "Deal": "/win"}[e.noun]
	case dice < 18: // the first in the tenant is taken, the others refused
		k.noun, k.path, i = "Contact", "/Contact", -1
		k.body = fmt.Sprintf(`{"name":"Double","email":"shared@example.com","token":%q}`, token)
	default:
		k.method, k.body, token = http.MethodDelete, "", "delete "+e.id
		cl.living = slices.Delete(cl.living, i, i+1) // whatever comes of it: nobody deletes twice
		i = -1
	}
	k.promise = cl.crash.promises.add(cl.tenant, token)
	return k, i
}

func (cl *client) fresh(noun, token string) string {
	if noun == "Deal" {
		return fmt.Sprintf(`{"name":"Deal %s","value":%d,"token":%q}`, token, cl.r.IntN(1e6), token)
	}
	filler := strings.Repeat("x", cl.r.IntN(2000))
	return fmt.Sprintf(`{"name":"Contact","email":"%s@example.com","token":%q,"filler":%q}`, token, token, filler)
}

func (cl *client) send(k *call) (*reply, error) {
	req, err := http.NewRequest(k.method, cl.url+"/~"+cl.tenant+k.path, strings.NewReader(k.body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", k.token)
	if k.ifMatch > 0 {
		req.Header.Set("If-Match", fmt.Sprintf(`"%d"`, k.ifMatch))
	}
	resp, err := cl.crash.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	out := &reply{status: resp.StatusCode, replay: resp.Header.Get("Idempotent-Replay") == "true"}
	if len(body) > 0 {
		err = json.Unmarshal(body, out)
	}
	return out, err
}

// note keeps what an answer promises. A refusal of a repetition is a refusal of the first request too, since that one's
// event would have been the answer; but that the server could not look says nothing.
func (cl *client) note(k *call, i int, a *reply, repeated bool) error {
	p := cl.crash.promises
	switch {
	case a.status < 300:
		id, version := a.ID, a.Version
		if k.method == http.MethodDelete {
			id = strings.TrimPrefix(k.path, "/"+k.noun+"/")
		}
		p.keep(k.promise, id, version)
		if k.method == http.MethodDelete {
			return nil
		}
		if i >= 0 {
			cl.living[i].version = version
		} else if !repeated {
			cl.living = append(cl.living, known{k.noun, id, version})
		}
	case a.Error == "outcome_unknown" || a.status == http.StatusRequestTimeout:
	case a.status == http.StatusInternalServerError:
		return fmt.Errorf("%s %s: %+v", k.method, k.path, *a)
	case a.status < 429 || !repeated:
		p.refuse(k.promise)
	}
	return nil
}

// repeat sends again what had no answer.
func (cl *client) repeat(url string) error {
	cl.url = url
	if cl.pending == nil || cl.r.IntN(4) == 0 {
		return nil
	}
	k := cl.pending
	cl.pending = nil
	a, err := cl.send(k)
	if err != nil {
		return fmt.Errorf("repeat %s %s: %w", k.method, k.path, err)
	}
	if a.replay {
		cl.crash.replays++ // clients repeat in turn
	}
	return cl.note(k, -1, a, true)
}
