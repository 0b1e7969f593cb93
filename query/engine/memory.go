package engine

import (
	"bytes"
	"os"
	"strconv"
)

// residentMemory tells how much memory this process has. It holds a file, which later may not be opened any more.
type residentMemory struct{ statm *os.File }

// openMemory finds where the system tells; nowhere, where it does not.
func openMemory() *residentMemory {
	statm, err := os.Open("/proc/self/statm")
	if err != nil {
		return &residentMemory{}
	}
	return &residentMemory{statm}
}

// bytes is the memory of the process; 0 where the system does not tell.
func (m *residentMemory) bytes() int64 {
	if m.statm == nil {
		return 0
	}
	text := make([]byte, 128)
	n, err := m.statm.ReadAt(text, 0)
	if n == 0 && err != nil {
		return 0
	}
	return residentPages(text[:n])
}

// residentBytes is the memory of the process of a statm file; 0 where there is none.
func residentBytes(path string) int64 {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	return residentPages(text)
}

func residentPages(statm []byte) int64 {
	fields := bytes.Fields(statm)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64) // 0 if it is none
	return pages * int64(os.Getpagesize())
}
