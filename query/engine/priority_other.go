//go:build !linux

package engine

import (
	"errors"
	"time"
)

// Other systems have no priorities of threads that an ordinary process may set: statements share as the system has it.
var errNoPriority = errors.New("threads have no priorities here")

func basePriority() int           { return 0 }
func workerPriority() int         { return 1 }
func threadID() int               { return 0 }
func setIdle(int) error           { return errNoPriority }
func setPriority(int, int) error  { return errNoPriority }
func threadCPU(int) time.Duration { return 0 }

type threads struct{}

func openThreads() threads       { return threads{} }
func (threads) marked(int) []int { return nil }
