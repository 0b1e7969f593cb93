package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"headless.ly/query/engine"
)

// idleThreads counts the threads of a process that run when no other wants to.
func idleThreads(t *testing.T, pid int) (n int) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(pid), "task", "*", "stat"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, _ := os.ReadFile(file) // a thread may have ended
		_, rest, _ := strings.Cut(string(text), ") ")
		const policy = 41 - 3 // among the fields, the first behind the name is the third
		if fields := strings.Fields(rest); len(fields) > policy && fields[policy] == strconv.Itoa(unix.SCHED_IDLE) {
			n++
		}
	}
	return n
}

// A long statement of an expendable connection gets behind the others with its own thread and those of its database, no
// other statement does, and the connection works as before when it was stopped.
func TestLongStatementsGetBehind(t *testing.T) {
	p := start(t, engine.Config{})
	patient, hostile := connect(t, p), connect(t, p)
	hostile.Expendable = true
	pid := p.Status().PID
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { _, err := run(ctx, patient, endless); ended <- err }()
	time.Sleep(2 * time.Second) // longer than any statement is spared
	if n := idleThreads(t, pid); n != 0 {
		t.Errorf("%d threads are idle for a statement that is not expendable", n)
	}
	go func() { _, err := run(ctx, hostile, endless); ended <- err }()
	for end := time.Now().Add(20 * time.Second); idleThreads(t, pid) != runtime.NumCPU(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d threads are idle, want the statement's and those that its database has besides: %d", idleThreads(t, pid), runtime.NumCPU())
		}
	}
	stop()
	for range 2 {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("stopped: %v", err)
		}
	}
	rows, err := run(t.Context(), hostile, "select count(*) from range(1000000)")
	if err != nil || rows[0][0] != int64(1000000) {
		t.Errorf("afterwards: %v, %v", rows, err)
	}
}
