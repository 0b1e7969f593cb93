package server_test

import (
	"bytes"
	"context"
	"database/sql"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/duckdb/duckdb-go/v2"

	"headless.ly/catalog/entity"
	"headless.ly/cmd/headlessly/server"
	"headless.ly/ingest"
	"headless.ly/ingest/erasure"
)

var (
	eraseRuns = flag.Int("erase.runs", 4, "at how many random steps TestEraseCrash ends an erasure")
	eraseSeed = flag.Uint64("erase.seed", 1, "of the first run")
)

// markersOf gives values that only one tenant holds, in every kind of place: names, undeclared fields, inputs of verbs.
func markersOf(tenant string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("mark-%s-%05d-%08x", tenant, i, rand.New(rand.NewPCG(uint64(i), uint64(len(tenant)))).Uint32())
	}
	return out
}

// fill writes contacts and deals with markers, publishes in between, and changes and deletes some: so that old snapshots, deletes and
// merged files hold them too.
func fill(t *testing.T, store *ingest.Store, publish func(context.Context) error, tenant string, markers []string) {
	t.Helper()
	do := func(cmds []ingest.Command) []ingest.Result {
		t.Helper()
		results, err := store.Do(t.Context(), tenant, cmds)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		return results
	}
	parse := func(text string) entity.Object {
		o, err := entity.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	for group := 0; group < len(markers); group += 250 {
		var cmds []ingest.Command
		for i, m := range markers[group:min(group+250, len(markers))] {
			switch i % 3 {
			case 0:
				cmds = append(cmds, ingest.Command{Op: ingest.OpCreate, Noun: "Contact", Source: "test", Body: parse(fmt.Sprintf(`{"name":%q,"email":"%s@x.org"}`, m, m))})
			case 1:
				cmds = append(cmds, ingest.Command{Op: ingest.OpCreate, Noun: "Deal", Source: "test", Body: parse(fmt.Sprintf(`{"name":"d","value":1,"note":{"deep":[%q]}}`, m))})
			default:
				cmds = append(cmds, ingest.Command{Op: ingest.OpCreate, Noun: "Contact", Source: "test", Actor: m, Body: parse(`{"name":"other"}`)})
			}
		}
		made := do(cmds)
		if err := publish(t.Context()); err != nil {
			t.Fatal(err)
		}
		id := made[0].Event.Target
		do([]ingest.Command{{Op: ingest.OpUpdate, Noun: "Contact", ID: id, Body: parse(`{"name":"changed"}`), Source: "test"},
			{Op: ingest.OpDelete, Noun: "Contact", ID: made[3].Event.Target, Source: "test"}})
	}
	if err := publish(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// traces lists the files of a data folder that hold one of the texts: as bytes, or in what Parquet files decode to.
func traces(t *testing.T, dir string, texts []string) (found []string) {
	t.Helper()
	duck, err := sql.Open("duckdb", "")
	if err != nil {
		t.Fatal(err)
	}
	defer duck.Close()
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".parquet") {
			var text sql.NullString
			q := "select string_agg(cast(x as varchar), ' ') from read_parquet('" + path + "', hive_partitioning = false) x"
			if err := duck.QueryRow(q).Scan(&text); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			content = append(content, text.String...)
		}
		for _, text := range texts {
			if bytes.Contains(content, []byte(text)) || strings.Contains(path, text) {
				found = append(found, path)
				break
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestEraseTenant erases one of three tenants by the route: 1,000 markers are nowhere, the others answer as before, the name begins
// anew, and the receipt is signed.
func TestEraseTenant(t *testing.T) {
	w := newWorld(t, false)
	store, publish := w.Service().Store(), w.Service().Lake().Publish
	markers := map[string][]string{}
	for _, tenant := range []string{"acme", "birch", "cedar-doomed"} {
		markers[tenant] = markersOf(tenant, 1000)
		fill(t, store, publish, tenant, markers[tenant])
	}
	if len(traces(t, w.data, markers["cedar-doomed"])) == 0 {
		t.Fatal("the markers are not found before")
	}
	reads := []string{"Contact?limit=100", "events?limit=200", "sql?q=select+count(*),max(_seq)+from+contact_history", "Deal/aggregate?metrics=count"}
	before := map[string]string{}
	for _, tenant := range []string{"acme", "birch"} {
		for _, path := range reads {
			before[tenant+path] = w.answer(t, tenant, path)
		}
	}
	w.answer(t, "cedar-doomed", reads[2]) // so that the engine holds it

	erase := func(query string) (int, []byte) {
		req, err := http.NewRequest(http.MethodDelete, w.URL()+"/~cedar-doomed"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, body
	}
	if status, body := erase(""); status != http.StatusBadRequest {
		t.Fatalf("%d %s", status, body)
	}
	status, body := erase("?confirm=cedar-doomed")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	receipt, _, err := erasure.Check(body)
	if err != nil || receipt.Events < 1000 || receipt.Searched == nil || receipt.Searched.Found != nil || receipt.Tenant != erasure.HashTenant(receipt.Salt, "cedar-doomed") {
		t.Errorf("%+v %v", receipt, err)
	}
	if _, _, err := erasure.Check(bytes.Replace(body, []byte(`"events":1`), []byte(`"events":2`), 1)); err == nil {
		t.Error("a changed receipt is good")
	}
	if found := traces(t, w.data, append(markers["cedar-doomed"], "cedar-doomed")); len(found) > 0 {
		t.Errorf("%d files hold something, %s", len(found), found[0])
	}
	if status, body := erase("?confirm=cedar-doomed"); status != http.StatusNotFound {
		t.Errorf("%d %s", status, body)
	}
	check := func(when string) {
		t.Helper()
		for _, tenant := range []string{"acme", "birch"} {
			for _, path := range reads {
				if got := w.answer(t, tenant, path); got != before[tenant+path] {
					t.Errorf("%s: %s of %s: %.300s, before %.300s", when, path, tenant, got, before[tenant+path])
				}
			}
		}
	}
	check("after")
	if got := w.answer(t, "cedar-doomed", "events"); !strings.Contains(got, `"events":[]`) {
		t.Errorf("the erased tenant has %.200s", got)
	}
	fill(t, store, publish, "cedar-doomed", markersOf("second", 21))
	if got := w.answer(t, "cedar-doomed", "sql?q=select+min(seq),max(seq),count(*)+from+events"); !strings.Contains(got, `[[1,23,23]]`) {
		t.Errorf("the second life has %s", got)
	}
	if err := w.Service().Lake().Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("after maintenance")
}

// TestEraseCrash takes the data folder as it is at random steps of an erasure, as a process that is killed there leaves it. A start
// finishes the erasure; the other tenant is as before.
func TestEraseCrash(t *testing.T) {
	top := t.TempDir()
	dir, base := filepath.Join(top, "data"), filepath.Join(top, "base")
	markers := markersOf("doomed", 300)
	srv := openQuiet(t, dir)
	fill(t, srv.Service().Store(), srv.Service().Lake().Publish, "doomed", markers)
	fill(t, srv.Service().Store(), srv.Service().Lake().Publish, "acme", markersOf("acme", 100))
	before := (&world{Server: srv}).answer(t, "acme", "events?limit=500")
	closeQuiet(t, srv)
	place(t, base, dir)

	var mu sync.Mutex // guards what follows: steps are made side by side
	steps, at, copies := 0, map[int]bool{}, []string{}
	erase := func() {
		t.Helper()
		steps = 0
		f, err := server.OpenFolder(t.Context(), server.Config{Data: dir, Logger: slog.New(slog.DiscardHandler), Step: func(string) {
			mu.Lock()
			defer mu.Unlock()
			if steps++; at[steps] {
				copies = append(copies, filepath.Join(top, fmt.Sprint("step-", steps)))
				place(t, copies[len(copies)-1], dir)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		opening := steps
		if _, err := f.Eraser().Erase(t.Context(), "doomed"); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if opening > 0 {
			t.Fatalf("%d steps before it began", opening)
		}
	}
	erase()
	all := steps
	r := rand.New(rand.NewPCG(*eraseSeed, 5))
	for len(at) < min(*eraseRuns, all) {
		at[1+r.IntN(all)] = true
	}
	place(t, dir, base)
	erase()
	for _, from := range copies {
		place(t, dir, from)
		if err := os.RemoveAll(from); err != nil {
			t.Fatal(err)
		}
		srv := openQuiet(t, dir)
		erased(t, srv, from, before)
		closeQuiet(t, srv)
		if status := traces(t, dir, append(markers, "doomed")); len(status) > 0 && !t.Failed() {
			t.Errorf("%s: %d files hold something, %s", filepath.Base(from), len(status), status[0])
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("held: %d of %d steps", len(copies), all)
}

// erased looks at a server that has been started after an erasure was cut short: it is finished, or had not begun.
func erased(t *testing.T, srv *server.Server, from, before string) {
	t.Helper()
	w := &world{Server: srv}
	if got := w.answer(t, "doomed", "events"); !strings.Contains(got, `"events":[]`) {
		t.Errorf("%s: the tenant answers %.200s", from, got)
	}
	if got := w.answer(t, "acme", "events?limit=500"); got != before {
		t.Errorf("%s: the other tenant answers otherwise", from)
	}
	stones, err := srv.Service().Lake().Database().Erasures(t.Context())
	if err != nil || len(stones) > 0 {
		t.Errorf("%s: %d erasures are left: %v", from, len(stones), err)
	}
}

// openQuiet serves a folder without publishing by itself.
func openQuiet(t *testing.T, dir string) *server.Server {
	t.Helper()
	srv, err := server.Open(t.Context(), server.Config{Addr: "127.0.0.1:0", Data: dir, Interval: time.Hour, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return srv
}

func closeQuiet(t *testing.T, srv *server.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := srv.Close(ctx); err != nil {
		t.Error(err)
	}
}

// place makes a folder a copy of another one. A second name of a file becomes a file of its own.
func place(t *testing.T, to, from string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}
