package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "headless.ly"

// rank orders the folders: a package imports only its own folder and folders of lower rank.
var rank = map[string]int{"cmd": 5, "api": 4, "ingest": 3, "query": 3, "lakehouse": 2, "catalog": 1}

// standardOnly are the packages that must be usable, copyable and readable without anything else of ours or others.
var standardOnly = []string{module + "/catalog/noun", module + "/api/client"}

// pkg is what go list says about a package.
type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
	Error        *struct{ Err string }
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		if p.Error != nil {
			t.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if reason := forbidden(p.ImportPath, imported); reason != "" {
				t.Errorf("%s must not import %s: %s", p.ImportPath, imported, reason)
			}
		}
		if !slices.Contains(standardOnly, p.ImportPath) {
			continue
		}
		for _, imported := range p.Imports {
			if first, _, _ := strings.Cut(imported, "/"); strings.Contains(first, ".") {
				t.Errorf("%s must not import %s: it holds facts and shapes that others build on (SDKs, tools, tests), who must"+
					" not have to take our libraries with it; the standard library is enough for it", p.ImportPath, imported)
			}
		}
	}
}

// forbidden gives the reason why a package may not import another; "" if it may.
func forbidden(importer, imported string) string {
	from, to := folder(importer), folder(imported)
	if to == "" || from == to {
		return ""
	}
	low, known := rank[to]
	high, knownToo := rank[from]
	switch {
	case !known || !knownToo:
		return "only " + strings.Join(ranked(), ", ") + " hold Go packages (design.md 3)"
	case low < high:
		return ""
	case low == high:
		return "the write side and the read side must be able to change, and to run, apart; what a read needs of the writer is" +
			" a small interface in query, wired in cmd"
	default:
		return "imports point one way, cmd → api → {ingest, query} → lakehouse → catalog, so that each part can be understood" +
			" and tested with only those below it; declare an interface where it is used and wire it in cmd"
	}
}

// folder is the top folder of one of our packages; "" for any other.
func folder(importPath string) string {
	rest, ours := strings.CutPrefix(importPath, module+"/")
	if !ours {
		return ""
	}
	top, _, _ := strings.Cut(rest, "/")
	return top
}

func ranked() []string {
	var names []string
	for name := range rank {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports,Error", module+"/...")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var found []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("read go list: %v", err)
		}
		found = append(found, p)
	}
	if len(found) < len(rank) {
		t.Fatalf("go list found %d packages only", len(found))
	}
	return found
}

// top is everything that may stand in the repository's root besides names that begin with a dot.
var top = []string{
	"cmd", "ingest", "lakehouse", "query", "api", "catalog", "notebooks",
	"go.mod", "go.sum", "README.md", "LICENSE", "Makefile",
}

func TestTopLevel(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range rootNames(t, root) {
		if !strings.HasPrefix(name, ".") && !slices.Contains(top, name) {
			t.Errorf("%s stands in the repository's root: the seven folders are fixed by the project's owner, so that everything"+
				" has one place to be looked for; put it into one of them", name)
		}
	}
}

// rootNames asks git what is kept in the root; a copy without git is taken as it lies.
func rootNames(t *testing.T, root string) []string {
	t.Helper()
	out, err := exec.Command("git", "-C", root, "ls-files", "-z").Output()
	if err != nil {
		entries, err := os.ReadDir(root)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	var names []string
	for path := range strings.SplitSeq(string(out), "\x00") {
		if name, _, _ := strings.Cut(path, "/"); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
