package engine

import "syscall"

// executable is the program that runs, even if its file was replaced.
func executable() (string, error) { return "/proc/self/exe", nil }

// attributes make a process end with the thread that started it, and let no signal of a terminal reach it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

func socketPair() ([2]int, error) {
	return syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
}
