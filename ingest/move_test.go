package ingest_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/problem"
	"headless.ly/ingest"
	"headless.ly/ingest/archive"
)

// filled is a store with a tenant acme of random history.
func filled(t *testing.T, seed uint64, groups int, change func(*ingest.Config)) *bench {
	t.Helper()
	b := open(t, change)
	r := rand.New(rand.NewPCG(seed, 9))
	m := &model{people: map[string][]entity.Object{}, emails: map[string]string{}}
	for range groups {
		cmds := make([]ingest.Command, 1+r.IntN(6))
		for i := range cmds {
			cmds[i] = m.command(t, r)
		}
		rs, err := b.Do(t.Context(), "acme", cmds)
		if err != nil {
			t.Fatal(err)
		}
		for i, res := range rs {
			m.apply(t, cmds[i], res)
		}
	}
	return b
}

func (b *bench) export(t *testing.T, tenant string) []byte {
	t.Helper()
	var out bytes.Buffer
	if _, err := b.Export(t.Context(), tenant, &out, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// same holds two tenants against each other: events, counts, and what goes on from there.
func (b *bench) same(t *testing.T, one, other string) {
	t.Helper()
	if got, want := b.log(other), b.log(one); !reflect.DeepEqual(got, want) {
		t.Errorf("%s has %d events, %s %d, and they differ", other, len(got), one, len(want))
	}
	counts := func(tenant string) map[string]int64 {
		n, err := b.Counts(t.Context(), tenant)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if got, want := counts(other), counts(one); !maps.Equal(got, want) {
		t.Errorf("%s counts %v, %s %v", other, got, one, want)
	}
	for _, e := range b.log(one) {
		seq, err := b.EventSeq(t.Context(), other, e.ID)
		if err != nil || seq != e.Seq {
			t.Fatalf("event %s is %d of %s: %v", e.ID, seq, other, err)
		}
		for _, key := range []string{e.Target, fields(t, e).Text("email")} {
			got, gotErr := b.Lookup(t.Context(), other, e.Entity, key)
			want, wantErr := b.Lookup(t.Context(), one, e.Entity, key)
			if got != want || (gotErr == nil) != (wantErr == nil) {
				t.Fatalf("%q is %+v (%v) of %s, %+v (%v) of %s", key, got, gotErr, other, want, wantErr, one)
			}
		}
	}
	b.check(other)
}

func TestExportImport(t *testing.T) {
	b := filled(t, 1, 150, nil)
	file := b.export(t, "acme")
	moved, err := b.Import(t.Context(), bytes.NewReader(file), "birch", nil)
	if err != nil || moved.Tenant != "birch" || moved.Events != int64(len(b.log("acme"))) {
		t.Fatalf("%+v %v", moved, err)
	}
	b.same(t, "acme", "birch")
	if _, err := b.Import(t.Context(), bytes.NewReader(b.export(t, "birch")), "cedar", nil); err != nil {
		t.Fatal(err)
	}
	b.same(t, "acme", "cedar")
	b.reopen()
	b.same(t, "acme", "birch")
	b.one("birch", create(t, "Contact", `{"name":"goes on"}`))
	b.check("birch")

	_, err = b.Import(t.Context(), bytes.NewReader(file), "birch", nil)
	wantCode(t, err, problem.Conflict)
	_, err = b.Import(t.Context(), bytes.NewReader(file), "", nil)
	wantCode(t, err, problem.Conflict)
	_, err = b.Import(t.Context(), bytes.NewReader(file), "../x", nil)
	wantCode(t, err, problem.InvalidTenant)
	_, err = b.Export(t.Context(), "nobody", io.Discard, nil)
	wantCode(t, err, problem.NotFound)
}

// TestImportBroken cuts and changes an archive in many places: nothing of it may be seen.
func TestImportBroken(t *testing.T) {
	b := filled(t, 2, 40, nil)
	file := b.export(t, "acme")
	r := rand.New(rand.NewPCG(3, 3))
	try := func(what string, content []byte) {
		t.Helper()
		if _, err := b.Import(t.Context(), bytes.NewReader(content), "birch", nil); !errors.Is(err, archive.ErrBroken) {
			t.Errorf("%s: %v", what, err)
		}
		if names, err := os.ReadDir(filepath.Join(b.cfg.Dir, "staging")); err == nil && len(names) > 0 {
			t.Errorf("%s: left in staging: %v", what, names)
		}
		if tenants, _ := b.Tenants(t.Context()); len(tenants) != 1 {
			t.Fatalf("%s: tenants %v", what, tenants)
		}
	}
	for range 40 {
		try("cut", file[:r.IntN(len(file)-1536)]) // what follows is zeros, which close a tar
	}
	for range 60 {
		changed := bytes.Clone(file)
		at := contentOf(t, file, r)
		changed[at] ^= 1 << r.IntN(8)
		try("changed", changed)
	}
	try("doubled", append(bytes.Clone(file[:len(file)-1024]), file...))
	try("empty", nil)
}

// contentOf picks a byte of a member's content.
func contentOf(t *testing.T, file []byte, r *rand.Rand) int {
	t.Helper()
	in := bytes.NewReader(file)
	members := tar.NewReader(in)
	var places []int
	for {
		h, err := members.Next()
		if err == io.EOF {
			return places[r.IntN(len(places))]
		}
		if err != nil {
			t.Fatal(err)
		}
		start := len(file) - in.Len()
		places = append(places, start+r.IntN(int(h.Size)), start, start+int(h.Size)-1)
	}
}

// TestImportCrash takes the data folder as it is at each step of an import, as a process that is killed there leaves it: after a
// start the tenant is there as it was exported, or not at all.
func TestImportCrash(t *testing.T) {
	var folders []string
	var b *bench
	b = filled(t, 4, 30, func(c *ingest.Config) {
		c.Step = func(string) {
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(b.cfg.Dir)); err != nil {
				t.Error(err)
			}
			folders = append(folders, dir)
		}
	})
	file := b.export(t, "acme")
	b.reopen() // so that the log of acme is wholly in its file
	if _, err := b.Import(t.Context(), bytes.NewReader(file), "birch", nil); err != nil {
		t.Fatal(err)
	}
	if len(folders) != 6 {
		t.Fatalf("%d steps", len(folders))
	}
	there := 0
	for i, dir := range folders {
		again := open(t, func(c *ingest.Config) { c.Dir = dir })
		if head, err := again.Head(context.Background(), "birch"); err != nil {
			t.Fatal(err)
		} else if head > 0 {
			there++
			again.same(t, "acme", "birch")
		} else if _, err := again.Import(t.Context(), bytes.NewReader(file), "birch", nil); err != nil {
			t.Errorf("step %d: import again: %v", i, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "staging")); err == nil && staged(t, dir) > 0 {
			t.Errorf("step %d: staging is left", i)
		}
	}
	if there != 1 {
		t.Errorf("the tenant is there after %d of the steps", there)
	}
}

// staged counts the logs in the staging folder.
func staged(t *testing.T, dir string) int {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "staging", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(left)
}
