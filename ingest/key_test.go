package ingest_test

import (
	"testing"

	"headless.ly/catalog/problem"
	"headless.ly/ingest"
)

// A create with a key makes one entity of a value, within a batch and over batches, and writes nothing that would change nothing.
func TestKey(t *testing.T) {
	s := open(t, nil)
	keyed := func(body string) ingest.Command {
		c := create(t, "Contact", body)
		c.Key = "email"
		return c
	}
	for _, c := range []struct {
		name      string
		cmd       ingest.Command
		verb      string // of its event; empty: none
		unchanged bool
		code      problem.Code
	}{
		{name: "new", cmd: keyed(`{"name":"A","email":"a@x.example"}`), verb: "create"},
		{name: "the same", cmd: keyed(`{"email":"a@x.example","name":"A"}`), unchanged: true},
		{name: "less of it", cmd: keyed(`{"email":"a@x.example"}`), unchanged: true},
		{name: "another name", cmd: keyed(`{"name":"B","email":"a@x.example"}`), verb: "update"},
		{name: "the same again", cmd: keyed(`{"name":"B","email":"a@x.example"}`), unchanged: true},
		{name: "no value of the key", cmd: keyed(`{"name":"C"}`), code: problem.Validation},
		{name: "a bad value elsewhere", cmd: keyed(`{"email":"a@x.example","stage":"Emperor"}`), code: problem.Validation},
		{name: "without the key", cmd: create(t, "Contact", `{"name":"D","email":"a@x.example"}`), code: problem.Conflict},
		{name: "no unique field", cmd: func() ingest.Command { c := keyed(`{"name":"E"}`); c.Key = "name"; return c }(), code: problem.InvalidRequest},
	} {
		results, err := s.Do(t.Context(), "acme", []ingest.Command{c.cmd})
		if err != nil {
			t.Fatal(err)
		}
		r := results[0]
		verb := ""
		if r.Event != nil {
			verb = r.Event.Verb
		}
		if verb != c.verb || r.Unchanged != c.unchanged || (r.Err != nil) != (c.code != "") || r.Err != nil && !problem.Is(r.Err, c.code) {
			t.Errorf("%s: event %q, unchanged %v, %v", c.name, verb, r.Unchanged, r.Err)
		}
	}
	results, err := s.Do(t.Context(), "acme", []ingest.Command{
		keyed(`{"name":"F","email":"f@x.example"}`), keyed(`{"name":"G","email":"f@x.example"}`), keyed(`{"name":"G","email":"f@x.example"}`),
	})
	if err != nil || results[0].Event.Verb != "create" || results[1].Event.Type != "Contact.Updated" || results[1].Event.Version != 2 || !results[2].Unchanged {
		t.Errorf("in one batch: %+v, %v", results, err)
	}
	if counts, err := s.Counts(t.Context(), "acme"); err != nil || counts["Contact"] != 2 {
		t.Errorf("%v, %v", counts, err)
	}
}

// Try answers as Do does and leaves nothing behind.
func TestTry(t *testing.T) {
	s := open(t, nil)
	cmds := []ingest.Command{
		create(t, "Contact", `{"name":"A","email":"a@x.example"}`), create(t, "Contact", `{"email":"b@x.example"}`),
		create(t, "Contact", `{"name":"C","email":"a@x.example"}`),
	}
	for round := range 2 {
		results, err := s.Try(t.Context(), "acme", cmds)
		if err != nil || results[0].Event == nil || !problem.Is(results[1].Err, problem.Validation) || !problem.Is(results[2].Err, problem.Conflict) {
			t.Fatalf("round %d: %+v, %v", round, results, err)
		}
	}
	tenants, err := s.Tenants(t.Context())
	if head, herr := s.Head(t.Context(), "acme"); err != nil || herr != nil || head != 0 || len(tenants) != 0 {
		t.Errorf("head %d, tenants %v, %v, %v", head, tenants, err, herr)
	}
	if results, err := s.Do(t.Context(), "acme", cmds); err != nil || results[0].Err != nil || results[0].Event.Seq != 1 {
		t.Errorf("then: %+v, %v", results, err)
	}
}
