package fault_test

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"headless.ly/catalog/fault"
)

// step is one operation of a script: an op, a path, and a second path or content.
type step [3]string

// run does a script below root, and returns the errors by position.
func run(in *fault.Injector, root string, script []step) []error {
	errs := make([]error, len(script))
	open := map[string]*fault.File{}
	for i, s := range script {
		errs[i] = do(in.FS(), root, s, open)
	}
	for _, f := range open {
		if f != nil {
			f.Close()
		}
	}
	return errs
}

func do(f fault.FS, root string, s step, open map[string]*fault.File) (err error) {
	at := func(p string) string { return filepath.Join(root, p) }
	name := at(s[1])
	switch s[0] {
	case "create":
		open[s[1]], err = f.Create(name)
	case "write":
		_, err = open[s[1]].Write([]byte(s[2]))
	case "overwrite":
		_, err = open[s[1]].WriteAt([]byte(s[2]), 0)
	case "cut":
		err = open[s[1]].Truncate(1)
	case "sync":
		err = open[s[1]].Sync()
	case "syncdir":
		err = f.SyncDir(name)
	case "mkdir":
		err = f.Mkdir(name)
	case "rename":
		err = f.Rename(name, at(s[2]))
	case "link":
		err = f.Link(name, at(s[2]))
	case "remove":
		err = f.Remove(name)
	default:
		panic(s[0])
	}
	return err
}

// contents reads all files below root; folders are there with a trailing slash.
func contents(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(os.DirFS(root), ".", func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == "." {
			return err
		}
		if e.IsDir() {
			out[p+"/"] = ""
			return nil
		}
		b, err := os.ReadFile(filepath.Join(root, p))
		out[p] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func newInjector(t *testing.T, root string) *fault.Injector {
	t.Helper()
	in, err := fault.New(root)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func replay(t *testing.T, tr *fault.Trace, point int, r *rand.Rand) (dir string, marks []string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "disk")
	marks, err := tr.Replay(point, dir, r)
	if err != nil {
		t.Fatal(err)
	}
	return dir, marks
}

func TestPowerCutKeepsWhatIsSynced(t *testing.T) {
	written := []step{{"create", "a"}, {"write", "a", "12345"}}
	durable := append(slices.Clip(written), step{"sync", "a"}, step{"syncdir", "."})
	folder := []step{{"mkdir", "d"}, {"create", "d/a"}, {"write", "d/a", "1"}, {"sync", "d/a"}, {"syncdir", "d"}}
	for _, tt := range []struct {
		name   string
		script []step
		more   []step
		want   map[string]string
	}{
		{"nothing synced", written, nil, nil},
		{"only the content", written, []step{{"sync", "a"}}, nil},
		{"only the name", written, []step{{"syncdir", "."}}, map[string]string{"a": ""}},
		{"both", durable, nil, map[string]string{"a": "12345"}},
		{"written later", durable, []step{{"write", "a", "6"}}, map[string]string{"a": "12345"}},
		{"overwritten and synced", durable, []step{{"overwrite", "a", "6"}, {"sync", "a"}}, map[string]string{"a": "62345"}},
		{"truncated", durable, []step{{"cut", "a"}}, map[string]string{"a": "12345"}},
		{"truncated and synced", durable, []step{{"cut", "a"}, {"sync", "a"}}, map[string]string{"a": "1"}},
		{"renamed", durable, []step{{"rename", "a", "b"}}, map[string]string{"a": "12345"}},
		{"renamed and synced", durable, []step{{"rename", "a", "b"}, {"syncdir", "."}}, map[string]string{"b": "12345"}},
		{"renamed without a sync of the content", written, []step{{"rename", "a", "b"}, {"syncdir", "."}}, map[string]string{"b": ""}},
		{"written after the rename", durable, []step{{"rename", "a", "b"}, {"write", "a", "6"}, {"sync", "a"}, {"syncdir", "."}}, map[string]string{"b": "123456"}},
		{"removed", durable, []step{{"remove", "a"}}, map[string]string{"a": "12345"}},
		{"removed and synced", durable, []step{{"remove", "a"}, {"syncdir", "."}}, nil},
		{"removed and made again", durable, []step{{"remove", "a"}, {"create", "a"}, {"write", "a", "x"}, {"sync", "a"}}, map[string]string{"a": "12345"}},
		{"linked", durable, []step{{"link", "a", "b"}}, map[string]string{"a": "12345"}},
		{"linked and synced", durable, []step{{"link", "a", "b"}, {"syncdir", "."}}, map[string]string{"a": "12345", "b": "12345"}},
		{"folder not synced", folder, nil, nil},
		{"folder synced", folder, []step{{"syncdir", "."}}, map[string]string{"d/": "", "d/a": "1"}},
		{"folder renamed", folder, []step{{"rename", "d", "e"}, {"create", "e/b"}, {"syncdir", "e"}, {"syncdir", "."}}, map[string]string{"e/": "", "e/a": "1", "e/b": ""}},
		{"moved, target synced", append(slices.Clip(folder), step{"syncdir", "."}), []step{{"rename", "d/a", "a"}, {"syncdir", "."}}, map[string]string{"d/": "", "a": "1"}},
		{"moved, source synced", append(slices.Clip(folder), step{"syncdir", "."}), []step{{"rename", "d/a", "a"}, {"syncdir", "d"}}, map[string]string{"d/": "", "a": "1"}},
		{"moved before its name was synced", folder[:4], []step{{"rename", "d/a", "a"}, {"syncdir", "."}, {"syncdir", "d"}}, map[string]string{"d/": "", "a": "1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			in := newInjector(t, root)
			if err := errors.Join(run(in, root, append(slices.Clip(tt.script), tt.more...))...); err != nil {
				t.Fatal(err)
			}
			dir, _ := replay(t, in.Trace(), in.Trace().Len(), nil)
			if got := contents(t, dir); !maps.Equal(got, tt.want) {
				t.Errorf("after the power cut: %q, want %q", got, tt.want)
			}
		})
	}
}

func TestWhatWasThereIsDurable(t *testing.T) {
	root := t.TempDir()
	os.WriteFile(filepath.Join(root, "before"), []byte("old"), 0o644)
	in := newInjector(t, root)
	os.MkdirAll(filepath.Join(root, "d"), 0o755)
	os.WriteFile(filepath.Join(root, "d", "beside"), []byte("beside"), 0o644)
	f, err := in.FS().OpenFile(filepath.Join(root, "d", "beside"), os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("+"))
	f.Close()
	dir, _ := replay(t, in.Trace(), in.Trace().Len(), nil)
	if got := contents(t, dir); got["before"] != "old" || got["d/beside"] != "beside" {
		t.Errorf("after the power cut: %q", got)
	}
	if got := contents(t, root); got["d/beside"] != "beside+" {
		t.Errorf("appended: %q", got)
	}
}

func TestKindsOfFailure(t *testing.T) {
	script := []step{{"create", "a"}, {"write", "a", "1234"}, {"sync", "a"}, {"syncdir", "."}, {"write", "a", "5678"}, {"sync", "a"}, {"write", "a", "9"}, {"sync", "a"}}
	for _, tt := range []struct {
		kind  fault.Kind
		n     int
		at    int // the step that fails
		err   error
		reads string // what the file reads as in the end
		keeps string // what a power cut leaves
	}{
		{fault.None, 1, -1, nil, "123456789", "123456789"},
		{fault.EIO, 3, 2, syscall.EIO, "123456789", "123456789"},
		{fault.EIO, 5, 4, syscall.EIO, "12349", "12349"},
		{fault.NoSpace, 3, 4, syscall.ENOSPC, "12349", "12349"},
		{fault.ShortWrite, 2, 4, syscall.ENOSPC, "1234569", "1234569"},
		{fault.SyncKept, 3, 5, syscall.EIO, "123456789", "123456789"},
		{fault.SyncLost, 3, 5, syscall.EIO, "123456789", "1234\x00\x00\x00\x009"},
		{fault.SyncReverted, 3, 5, syscall.EIO, "1234\x00\x00\x00\x009", "1234\x00\x00\x00\x009"},
		{fault.SyncKept, 2, 3, syscall.EIO, "123456789", "123456789"},
		{fault.SyncLost, 2, 3, syscall.EIO, "123456789", ""}, // the name is lost: nothing syncs it again
	} {
		t.Run(string(tt.kind), func(t *testing.T) {
			root := t.TempDir()
			in := newInjector(t, root)
			in.Arm(fault.Plan{Kind: tt.kind, N: tt.n})
			for i, err := range run(in, root, script) {
				if want := i == tt.at; want != (err != nil) || want && !errors.Is(err, tt.err) {
					t.Errorf("step %v: %v", script[i], err)
				}
			}
			if n := len(in.Fired()); (n == 1) != (tt.at >= 0) {
				t.Errorf("fired: %v", in.Fired())
			}
			dir, _ := replay(t, in.Trace(), in.Trace().Len(), nil)
			if got := contents(t, root)["a"]; got != tt.reads {
				t.Errorf("reads %q, want %q", got, tt.reads)
			}
			if got := contents(t, dir)["a"]; got != tt.keeps {
				t.Errorf("keeps %q, want %q", got, tt.keeps)
			}
		})
	}
}

func TestPlan(t *testing.T) {
	script := []step{{"create", "a"}, {"write", "a", "1"}, {"create", "b"}, {"write", "b", "1"}, {"write", "a", "2"}, {"write", "a", "3"}}
	onlyA := func(_ fault.Op, path string) bool { return path == "a" }
	for _, tt := range []struct {
		name  string
		plan  fault.Plan
		count int
		fails string // a mark per step
	}{
		{"none", fault.Plan{}, 6, "......"},
		{"second", fault.Plan{Kind: fault.EIO, N: 2}, 6, ".x...."},
		{"two from the second", fault.Plan{Kind: fault.EIO, N: 2, Times: 2, Match: onlyA}, 4, ".x..x."},
		{"all from the fourth", fault.Plan{Kind: fault.EIO, N: 4, Times: -1}, 6, "...xxx"},
		{"matched", fault.Plan{Kind: fault.EIO, N: 3, Match: onlyA}, 4, "....x."},
		{"writes", fault.Plan{Kind: fault.ShortWrite, N: 3}, 4, "....x."},
		{"beyond", fault.Plan{Kind: fault.EIO, N: 7}, 6, "......"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			in := newInjector(t, root)
			in.Arm(tt.plan)
			var got strings.Builder
			for _, err := range run(in, root, script) {
				got.WriteByte(".x"[min(1, len(errorText(err)))])
			}
			if got.String() != tt.fails || in.Count() != tt.count {
				t.Errorf("%s, %d counted; want %s, %d", &got, in.Count(), tt.fails, tt.count)
			}
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestTornWritesSurviveBySector(t *testing.T) {
	root := t.TempDir()
	in := newInjector(t, root)
	before, after := bytes.Repeat([]byte{1}, 5000), bytes.Repeat([]byte{2}, 6000)
	script := []step{{"create", "a"}, {"write", "a", string(before)}, {"sync", "a"}, {"syncdir", "."}, {"overwrite", "a", string(after)}, {"create", "b"}, {"create", "c"}}
	run(in, root, script)
	seen := map[string]bool{}
	for seed := range uint64(100) {
		point := in.Trace().Len()
		dir, _ := replay(t, in.Trace(), point, rand.New(rand.NewPCG(seed, 0)))
		got := contents(t, dir)
		again, _ := replay(t, in.Trace(), point, rand.New(rand.NewPCG(seed, 0)))
		if !maps.Equal(got, contents(t, again)) {
			t.Fatalf("seed %d gives two disks", seed)
		}
		if _, b := got["b"]; !b && len(got) > 1 {
			t.Errorf("seed %d: c without b: names are no prefix", seed)
		}
		seen[whole(t, []byte(got["a"]), len(before), len(after))] = true
	}
	for _, want := range []string{"all", "some", "none"} {
		if !seen[want] {
			t.Errorf("in no disk did %s of the write survive", want)
		}
	}
}

// whole checks that each sector is old or new, and says how many are new.
func whole(t *testing.T, data []byte, before, after int) string {
	t.Helper()
	var some, all = false, len(data) == after
	for at := 0; at < len(data); at += 512 {
		sector := data[at:min(at+512, len(data))]
		fresh := sector[0] == 2
		some, all = some || fresh, all && fresh
		for i, b := range sector {
			old := byte(1)
			if at+i >= before {
				old = 0
			}
			if fresh && b != 2 || !fresh && b != old {
				t.Fatalf("byte %d of sector %d is %d", i, at/512, b)
			}
		}
	}
	switch {
	case all:
		return "all"
	case some:
		return "some"
	}
	return "none"
}

func TestMarks(t *testing.T) {
	root := t.TempDir()
	in := newInjector(t, root)
	in.Mark("one")
	run(in, root, []step{{"create", "a"}})
	in.Mark("two")
	for point, want := range [][]string{nil, {"one"}, {"one"}, {"one", "two"}} {
		if _, marks := replay(t, in.Trace(), point, nil); !slices.Equal(marks, want) {
			t.Errorf("at %d: %q, want %q", point, marks, want)
		}
	}
	if _, err := in.Trace().Replay(99, filepath.Join(t.TempDir(), "x"), nil); err == nil {
		t.Error("replayed a point beyond the end")
	}
}

func TestTakenNames(t *testing.T) {
	root := t.TempDir()
	in := newInjector(t, root)
	run(in, root, []step{{"create", "a"}, {"mkdir", "d"}})
	in.Arm(fault.Plan{})
	for i, err := range run(in, root, []step{{"create", "a"}, {"mkdir", "d"}, {"link", "d", "a"}}) {
		if !errors.Is(err, fs.ErrExist) {
			t.Errorf("step %d: %v", i, err)
		}
	}
	if err := in.FS().Remove(filepath.Join(root, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("remove: %v", err)
	}
	if in.Count() != 0 {
		t.Errorf("%d counted", in.Count())
	}
}

func TestFolders(t *testing.T) {
	root := t.TempDir()
	in := newInjector(t, root)
	f := in.FS()
	deep := filepath.Join(root, "x", "y", "z")
	in.Arm(fault.Plan{Kind: fault.EIO, N: 3})
	if err := f.MkdirAll(deep); !errors.Is(err, syscall.EIO) || in.Fired()[0].String() != "mkdir x/y/z" {
		t.Fatalf("MkdirAll: %v, %v", err, in.Fired())
	}
	if err := errors.Join(f.MkdirAll(deep), f.MkdirAll(deep), f.WriteFile(filepath.Join(deep, "a"), []byte("1"), 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.SyncDir(root), f.RemoveAll(filepath.Join(root, "x")), f.RemoveAll(filepath.Join(root, "x"))); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, root); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
	dir, _ := replay(t, in.Trace(), in.Trace().Len(), nil)
	if got := contents(t, dir); !maps.Equal(got, map[string]string{"x/": ""}) {
		t.Errorf("after the power cut: %q", got)
	}
}
