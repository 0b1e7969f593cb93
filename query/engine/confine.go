package engine

import (
	"fmt"
	"os"
	"syscall"
)

// fences are what the system lets an ordinary user put around a process, by name.
type fences struct{ Held, Missing []string }

// note takes down whether a fence holds.
func (f *fences) note(name string, err error) {
	if err == nil {
		f.Held = append(f.Held, name)
		return
	}
	f.Missing = append(f.Missing, fmt.Sprintf("%s: %v", name, err))
}

// confine puts the fences around this process, for good. Those that the system lacks are left out: DuckDB's own settings and
// the admission of statements hold without them.
func confine(o order) fences {
	var f fences
	f.note("open files", limit(syscall.RLIMIT_NOFILE, uint64(o.Files)))
	f.note("core files", limit(syscall.RLIMIT_CORE, 0))
	f.note("first to end when memory runs out", os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0))
	f.note("files", confineFiles(o))
	f.note("system calls", confineCalls())
	return f
}

// limit lowers a limit of the process. It never raises one.
func limit(what int, most uint64) error {
	var have syscall.Rlimit
	if err := syscall.Getrlimit(what, &have); err != nil {
		return err
	}
	have.Cur, have.Max = min(have.Cur, most), min(have.Max, most)
	return syscall.Setrlimit(what, &have)
}
