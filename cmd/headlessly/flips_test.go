package main_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"headless.ly/api/care"
	"headless.ly/catalog/fault"
	"headless.ly/catalog/noun"
	"headless.ly/ingest"
	"headless.ly/lakehouse"
)

var flips = flag.Int("flips.runs", 12, "bytes to change, each in a data folder of its own")

// flipKinds are the kinds of files in which a byte is changed.
var flipKinds = []struct {
	name string
	is   func(path string) bool
}{
	{"log", func(p string) bool { return strings.HasSuffix(p, "/log.db") }},
	{"data", func(p string) bool { return strings.HasSuffix(p, ".parquet") }},
	{"manifest", func(p string) bool { return strings.HasSuffix(p, ".avro") }},
	{"metadata", func(p string) bool {
		return strings.HasPrefix(p, "warehouse/iceberg/") && strings.HasSuffix(p, ".json") && !strings.HasPrefix(filepath.Base(p), "v")
	}},
}

// flip changes one byte of a file of a kind below dir, and gives the file's path below it.
func flip(t testing.TB, dir string, is func(string) bool, chance *rand.Rand) (path string, at int64) {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, p)
		if info, ierr := e.Info(); err == nil && ierr == nil && info.Mode().IsRegular() && info.Size() > 0 && is(filepath.ToSlash(rel)) {
			all = append(all, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("no files: %v", err)
	}
	slices.Sort(all)
	path = all[chance.IntN(len(all))]
	name := filepath.Join(dir, path)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	at = chance.Int64N(int64(len(data)))
	data[at] ^= byte(1 + chance.IntN(255))
	f, err := os.OpenFile(name, os.O_WRONLY, 0) // in place: metadata has two names
	if err == nil {
		_, err = f.WriteAt(data[at:at+1], at)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return path, at
}

// lay puts a copy of a folder where it was made: tables name their files by absolute paths.
func lay(t testing.TB, kept, dir string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(kept))); err != nil {
		t.Fatal(err)
	}
}

// contents reads every event and every document of a folder, tenant by tenant; what cannot be read is an error of its tenant.
func contents(ctx context.Context, dir string) (map[string]string, map[string]error, error) {
	store, err := ingest.Open(ctx, ingest.Config{Dir: dir, Nouns: noun.Core(), Registrar: nobody{}, Logger: slog.New(slog.DiscardHandler)}, nil)
	if err != nil {
		return nil, nil, err
	}
	out, failed := map[string]string{}, map[string]error{}
	for _, tenant := range []string{"acme", "birch"} {
		var text strings.Builder
		err := store.Read(ctx, tenant, lakehouse.Range{}, func(e *lakehouse.Event) error {
			p, err := store.Lookup(ctx, tenant, e.Entity, e.Target)
			fmt.Fprintf(&text, "%+v %+v\n", *e, p)
			return err
		})
		out[tenant], failed[tenant] = text.String(), err
	}
	return out, failed, store.Close(ctx)
}

// nobody takes no notes of open tenants.
type nobody struct{}

func (nobody) MarkOpen(context.Context, string) error   { return nil }
func (nobody) MarkClosed(context.Context, string) error { return nil }

func repairFolder(t testing.TB, dir string) *care.Repaired {
	t.Helper()
	done, err := care.Repair(t.Context(), care.Config{Dir: dir, Nouns: noun.Core()})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// TestFlips changes one byte somewhere: verify names the file, reads fail or are right, others go on, and repair restores
// equal content.
func TestFlips(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	promises := careFolder(t, dir)
	want, failed, err := contents(t.Context(), dir)
	if err = errors.Join(err, failed["acme"], failed["birch"]); err != nil {
		t.Fatal(err)
	}
	kept := dir + ".kept"
	if err := os.Rename(dir, kept); err != nil {
		t.Fatal(err)
	}
	unread := 0
	for seed := range *flips {
		kind := flipKinds[seed%len(flipKinds)]
		lay(t, kept, dir)
		path, at := flip(t, dir, kind.is, rand.New(rand.NewPCG(uint64(seed), 1)))
		what := fmt.Sprintf("seed %d: %s, byte %d", seed, path, at)
		report, err := care.Verify(t.Context(), care.Config{Dir: dir, Nouns: noun.Core()})
		if err != nil && kind.name == "log" { // the format itself, which may be that of a newer program
			unread++
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		named := slices.ContainsFunc(report.Findings, func(f care.Finding) bool { return f.File == path })
		if !named && !(kind.name == "log" && report.Whole) {
			t.Errorf("%s: not named: %v", what, report.Findings)
		}
		if kind.name == "log" {
			got, failed, err := contents(t.Context(), dir)
			if err != nil {
				t.Logf("%s: %v", what, err)
			}
			for tenant, text := range got {
				if failed[tenant] == nil && text != want[tenant] && !(text == "" && !report.Whole) {
					t.Errorf("%s: %s reads otherwise and does not say so", what, tenant)
				}
				if failed[tenant] != nil && !strings.Contains(path, tenant) {
					t.Errorf("%s: %s: %v", what, tenant, failed[tenant])
				}
			}
		}
		if report.Whole { // the byte is of a page's unused room
			unread++
		}
		done := repairFolder(t, dir)
		if !done.After.Whole {
			t.Errorf("%s: after repair: %v; lost %v", what, done.After.Findings, done.Lost)
			continue
		}
		got, failed, err := contents(t.Context(), dir)
		if err = errors.Join(err, failed["acme"], failed["birch"]); err != nil || got["acme"] != want["acme"] || got["birch"] != want["birch"] {
			t.Errorf("%s: after repair the logs are not as they were: %v", what, err)
		}
		if err := inspect(t.Context(), dir, promises); err != nil {
			t.Errorf("%s: after repair: %v", what, err)
		}
		wantWhole(t, dir, what+": after repair and use")
	}
	verdict := "held"
	if t.Failed() {
		verdict = "falls short"
	}
	t.Logf("%s: %d bytes changed, %d of them where nothing reads", verdict, *flips, unread)
}

// TestRepairFailsAnywhere fills the disk at an operation of repair, or cuts repair short, for some operations; repairing again
// mends the folder.
func TestRepairFailsAnywhere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	promises := careFolder(t, dir)
	harm(t, dir)
	kept := dir + ".kept"
	if err := os.Rename(dir, kept); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []fault.Kind{fault.NoSpace, fault.EIO} {
		for n := 1; ; n = 2*n + 3 {
			lay(t, kept, dir)
			in, err := fault.New(dir)
			if err != nil {
				t.Fatal(err)
			}
			vfs := in.NewVFS(false)
			in.Arm(fault.Plan{Kind: kind, N: n, Times: -1})
			_, err = care.Repair(t.Context(), care.Config{Dir: dir, Nouns: noun.Core(), FS: faultFS{in.FS()}, VFS: vfs.Name()})
			fired := in.Fired()
			if cerr := vfs.Close(); cerr != nil {
				t.Error(cerr)
			}
			what := fmt.Sprintf("%s from operation %d on", kind, n)
			if len(fired) == 0 {
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
				break
			}
			mended(t, dir, promises, what)
		}
	}
}

// mended repairs a folder once more and holds it to being as it was.
func mended(t *testing.T, dir string, promises *promises, what string) {
	t.Helper()
	done := repairFolder(t, dir)
	if !done.After.Whole || len(done.Lost) > 0 {
		t.Errorf("%s: after repair: %v; lost %v", what, done.After.Findings, done.Lost)
	}
	if err := inspect(t.Context(), dir, promises); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// harm damages a log, a file of events, one of a noun, and a manifest.
func harm(t testing.TB, dir string) {
	t.Helper()
	alter(t, filepath.Join(dir, "tenants", "acme", "log.db"), "UPDATE log SET actor = 'somebody' WHERE seq = 3; DELETE FROM log WHERE seq = 5; DELETE FROM state WHERE id = (SELECT max(id) FROM state)")
	chance := rand.New(rand.NewPCG(7, 7))
	for _, in := range []string{"/iceberg/events/data/tenant=birch/", "/iceberg/contact/data/tenant=acme/", "/iceberg/deal/metadata/"} {
		flip(t, dir, func(p string) bool {
			return strings.Contains(p, in) && (strings.HasSuffix(p, ".parquet") || strings.HasSuffix(p, ".metadata.json") && !strings.HasPrefix(filepath.Base(p), "v"))
		}, chance)
	}
}

// errCut is where repair is cut short.
var errCut = errors.New("cut short")

// TestRepairCutShort ends repair at each of its steps, as a kill would: the next one mends the folder.
func TestRepairCutShort(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	promises := careFolder(t, dir)
	harm(t, dir)
	kept := dir + ".kept"
	if err := os.Rename(dir, kept); err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n = n + 1 + n/2 {
		lay(t, kept, dir)
		step, steps := "", 0
		cut := func(name string) {
			if steps++; steps == n {
				step = name
				panic(errCut)
			}
		}
		repairUntil(t, dir, cut)
		if step == "" {
			t.Logf("%d steps", steps)
			break
		}
		mended(t, dir, promises, "cut short at "+step)
	}
}

// repairUntil repairs a folder until a step panics.
func repairUntil(t *testing.T, dir string, step func(string)) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil && r != errCut {
			panic(r)
		}
	}()
	if _, err := care.Repair(t.Context(), care.Config{Dir: dir, Nouns: noun.Core(), Step: step}); err != nil {
		t.Error(err)
	}
}

func TestRepairSaysWhatIsLost(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	careFolder(t, dir)
	h, err := openHouse(t.Context(), dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := care.Repair(t.Context(), care.Config{Dir: dir, Nouns: noun.Core()}); !errors.Is(err, lakehouse.ErrLocked) {
		t.Errorf("repair beside a server: %v", err)
	}
	results, err := h.store.Do(t.Context(), "acme", []ingest.Command{{Op: ingest.OpCreate, Noun: "Contact", Body: body("name", "Noor")},
		{Op: ingest.OpCreate, Noun: "Contact", Body: body("name", "Iva")}})
	if err != nil || results[1].Err != nil {
		t.Fatal(err)
	}
	seq := results[0].Event.Seq // never published
	if err := h.close(context.Background()); err != nil {
		t.Fatal(err)
	}
	alter(t, filepath.Join(dir, "tenants", "acme", "log.db"), fmt.Sprintf("UPDATE log SET actor = 'x' WHERE seq = %d", seq))
	done := repairFolder(t, dir)
	if done.After.Whole || len(done.Lost) != 1 || !strings.Contains(done.Lost[0], fmt.Sprintf("event %d ", seq)) {
		t.Errorf("lost %v, then %v", done.Lost, done.After.Findings)
	}
	got, failed, err := contents(t.Context(), dir)
	if err != nil || failed["acme"] == nil || !strings.Contains(failed["acme"].Error(), fmt.Sprintf("event %d:", seq)) {
		t.Errorf("reads of acme: %v, %v", failed["acme"], err)
	}
	if failed["birch"] != nil || got["birch"] == "" {
		t.Errorf("birch: %v", failed["birch"])
	}
}
