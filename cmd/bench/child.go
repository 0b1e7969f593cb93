package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// readyPrefix begins the line with which every server says that it answers.
	readyPrefix = "listening on http://"
	// readyLimit is how long a server may take to say so; the demo loads 60,000 events before.
	readyLimit = 5 * time.Minute
	// stopLimit is how long a server may take to end after SIGTERM; the product promises 10 s.
	stopLimit = 20 * time.Second
	// tailBytes is how much of a server's own words an error shows.
	tailBytes = 2000
)

// child is a server in a process of its own.
type child struct {
	name string
	addr string // host:port

	cmd   *exec.Cmd
	log   *os.File      // its standard error
	ended chan struct{} // closed when the process is gone
}

// start starts a server and waits until it answers. The end of ctx kills it.
func (b *bench) start(ctx context.Context, name string, argv ...string) (*child, error) {
	log, err := os.CreateTemp(b.dir, "log-")
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	c := &child{name: name, cmd: cmd, log: log, ended: make(chan struct{})}
	ready := make(chan string, 1)
	go c.listen(out, ready)
	select {
	case c.addr = <-ready:
		return c, nil
	case <-c.ended:
		return nil, errors.Join(fmt.Errorf("start %s: it ended: %s", name, c.tail()), c.log.Close())
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(readyLimit):
		return nil, errors.Join(fmt.Errorf("start %s: not ready after %v: %s", name, readyLimit, c.tail()), c.kill())
	}
}

// listen reads the server's words until it ends.
func (c *child) listen(out io.Reader, ready chan<- string) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(strings.TrimSpace(lines.Text()), readyPrefix); ok && len(ready) == 0 {
			ready <- strings.TrimSuffix(addr, "/")
		}
	}
	_, _ = io.Copy(io.Discard, out) // a line too long to scan
	_ = c.cmd.Wait()                // how it ended is in ProcessState
	close(c.ended)
}

// tail is the last of what the server said on standard error.
func (c *child) tail() string {
	text, err := os.ReadFile(c.log.Name())
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text[max(0, len(text)-tailBytes):]))
}

// pid is the process's id.
func (c *child) pid() int { return c.cmd.Process.Pid }

// pause stops the process until resume.
func (c *child) pause() error { return c.signal(syscall.SIGSTOP) }

func (c *child) resume() error { return c.signal(syscall.SIGCONT) }

func (c *child) signal(s syscall.Signal) error {
	if err := c.cmd.Process.Signal(s); err != nil {
		return fmt.Errorf("signal %s: %w: %s", c.name, err, c.tail())
	}
	return nil
}

// kill ends the process at once.
func (c *child) kill() error {
	err := c.cmd.Process.Kill()
	<-c.ended
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return errors.Join(err, c.log.Close())
}

// stop ends the process as an operator would, and waits for it.
func (c *child) stop() error {
	if err := errors.Join(c.resume(), c.signal(syscall.SIGTERM)); err != nil {
		return errors.Join(err, c.kill())
	}
	select {
	case <-c.ended:
		return c.log.Close()
	case <-time.After(stopLimit):
		return errors.Join(fmt.Errorf("stop %s: still there after %v: %s", c.name, stopLimit, c.tail()), c.kill())
	}
}

// build builds the product, unless a binary is given.
func (b *bench) build(ctx context.Context) error {
	if b.binary != "" {
		return nil
	}
	binary, err := filepath.Abs(filepath.Join(b.dir, "headlessly"))
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/headlessly")
	cmd.Dir = b.repo
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the product: %w: %s", err, out)
	}
	b.binary = binary
	return nil
}
