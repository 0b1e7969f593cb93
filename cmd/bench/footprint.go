package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// footprint is the memory of a process and its descendants.
type footprint struct {
	resident int // KB; of what several processes have in common, the program above all, each has its share
	own      int // KB of it that no file backs
}

func (f footprint) residentMB() float64 { return float64(f.resident) / 1024 }
func (f footprint) ownMB() float64      { return float64(f.own) / 1024 }

// readFootprint reads it from /proc, which only Linux has.
func readFootprint(pid int) (footprint, error) {
	sum, _, err := readFootprints(pid)
	return sum, err
}

// readFootprints reads it, and that of the process alone.
func readFootprints(pid int) (sum, own footprint, err error) {
	processes, err := readProcesses()
	if err != nil {
		return sum, own, err
	}
	one, found := processes[pid]
	if !found {
		return sum, own, fmt.Errorf("read the memory of process %d: it is not in /proc (this needs Linux)", pid)
	}
	for id, p := range processes {
		if descends(processes, id, pid) {
			sum.resident += p.resident
			sum.own += p.own
		}
	}
	return sum, one.footprint, nil
}

// process is what /proc says of one.
type process struct {
	footprint
	parent int
}

func readProcesses() (map[int]process, error) {
	paths, err := filepath.Glob("/proc/[0-9]*/status")
	if err != nil {
		return nil, err
	}
	processes := make(map[int]process)
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue // not a process
		}
		text, err := os.ReadFile(path)
		if err != nil {
			continue // gone in the meantime
		}
		p := parseStatus(string(text))
		if shares, err := os.ReadFile(filepath.Join(filepath.Dir(path), "smaps_rollup")); err == nil { // else it is another user's
			p.resident = number(string(shares), "Pss")
		}
		processes[pid] = p
	}
	return processes, nil
}

// parseStatus reads a status file; a kernel thread has no memory.
func parseStatus(text string) process {
	return process{parent: number(text, "PPid"), footprint: footprint{resident: number(text, "VmRSS"), own: number(text, "RssAnon")}}
}

// number is the number of a line of such a file, 0 where there is none.
func number(text, name string) int {
	_, rest, _ := strings.Cut(text, "\n"+name+":")
	if fields := strings.Fields(rest); len(fields) > 0 {
		n, _ := strconv.Atoi(fields[0])
		return n
	}
	return 0
}

// descends says whether pid is root or descends from it.
func descends(processes map[int]process, pid, root int) bool {
	for pid != root {
		p, found := processes[pid]
		if !found || p.parent == 0 {
			return false
		}
		pid = p.parent
	}
	return true
}

// openLogs counts the tenants' logs that a process has open.
func openLogs(pid int) (int, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, fmt.Errorf("count the open logs: %w", err)
	}
	logs := make(map[string]bool) // several descriptors may be of one log
	for _, e := range entries {
		path, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err == nil && filepath.Base(path) == "log.db" {
			logs[path] = true
		}
	}
	return len(logs), nil
}
