package engine

import (
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// basePriority is the priority with which the process was started.
var basePriority = sync.OnceValue(func() int {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid())
	if err != nil {
		return 0
	}
	return 20 - n // the system call's own scale
})

// workerPriority marks the threads that DuckDB makes.
func workerPriority() int { return min(basePriority()+1, 19) }

func threadID() int { return unix.Gettid() }

// setPriority gives a thread a priority. It may have been idle.
func setPriority(thread, priority int) error {
	return unix.SchedSetAttr(thread, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: int32(priority)}, 0)
}

// setIdle lets a thread run where no other wants to. Others that wake up run at once in its place, which the lowest of
// priorities does not give them.
func setIdle(thread int) error {
	return unix.SchedSetAttr(thread, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
}

// threadCPU is what a thread of this process has had of the processors; 0 of one that has ended.
func threadCPU(thread int) time.Duration {
	const ofThread = 6 // CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED
	var t unix.Timespec
	if unix.ClockGettime(int32(^thread<<3|ofThread), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// threads lists the threads of the process. It holds a folder, which later may not be opened any more.
type threads struct{ folder *os.File }

func openThreads() threads {
	folder, err := os.Open("/proc/self/task")
	if err != nil {
		return threads{}
	}
	return threads{folder}
}

// marked are the threads that have a priority.
func (t threads) marked(priority int) (ids []int) {
	if t.folder == nil {
		return nil
	}
	if _, err := t.folder.Seek(0, 0); err != nil {
		return nil
	}
	names, _ := t.folder.Readdirnames(-1) // as many as can be read
	for _, name := range names {
		id, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if n, err := unix.Getpriority(unix.PRIO_PROCESS, id); err == nil && 20-n == priority {
			ids = append(ids, id)
		}
	}
	return ids
}
