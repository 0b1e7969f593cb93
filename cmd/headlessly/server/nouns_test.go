package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"headless.ly/catalog/noun"
)

// TestEveryNounAndVerb creates every noun over HTTP and runs every one of its verbs, on one instance and as a creating
// verb: one event each, versions 1, 2, 3 …, with the declared names and effects.
func TestEveryNounAndVerb(t *testing.T) {
	w := newWorld(t, false)
	for _, n := range noun.Core().All() {
		t.Run(n.Name, func(t *testing.T) {
			m := &maker{t: t, w: w, tenant: "all"}
			id := m.create(n)
			version := int64(1)
			m.checkLast(n, id, "create", n.Name+".Created", version)
			for _, v := range n.Verbs {
				version++
				m.runVerb(n, &v, id, version)
				if !v.Merges {
					continue // its body is not the entity's, so it has nothing to create one from
				}
				created := m.post("/"+n.Name+"/"+v.Action, m.body(n), http.StatusCreated)
				m.checkEffects(n, &v, created)
				m.checkLast(n, text(created, "$id"), v.Action, n.Name+"."+v.Declared, 1)
			}
			if n.Can("update") {
				version++
				m.call(http.MethodPut, "/"+n.Name+"/"+id, map[string]any{}, http.StatusOK)
				m.checkLast(n, id, "update", n.Name+".Updated", version)
			} else {
				m.call(http.MethodPut, "/"+n.Name+"/"+id, map[string]any{}, http.StatusMethodNotAllowed)
			}
			if n.Can("delete") {
				version++
				m.call(http.MethodDelete, "/"+n.Name+"/"+id, nil, http.StatusNoContent)
				m.checkLast(n, id, "delete", n.Name+".Deleted", version)
			} else {
				m.call(http.MethodDelete, "/"+n.Name+"/"+id, nil, http.StatusMethodNotAllowed)
			}
			m.checkHistory(n, id, version)
		})
	}
}

// maker makes entities over HTTP, and checks that each success is one event.
type maker struct {
	t      *testing.T
	w      *world
	tenant string
	count  int
}

func (m *maker) call(method, path string, body any, status int) map[string]any {
	m.t.Helper()
	x := exchange{method: method, path: "/~" + m.tenant + path, header: http.Header{}}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			m.t.Fatal(err)
		}
		x.body = string(b)
		x.header.Set("Content-Type", "application/json")
	}
	before := m.w.heads(m.t)
	a := m.w.send(m.t, x)
	checkHeads(m.t, x, a, before, m.w.heads(m.t))
	if a.status != status {
		m.t.Fatalf("%s %s %s: status %d, want %d: %s", method, path, x.body, a.status, status, a.body)
	}
	var answer map[string]any
	if len(a.body) > 0 {
		if err := json.Unmarshal(a.body, &answer); err != nil {
			m.t.Fatalf("%s %s: %v in %s", method, path, err, a.body)
		}
	}
	return answer
}

func (m *maker) post(path string, body any, status int) map[string]any {
	m.t.Helper()
	return m.call(http.MethodPost, path, body, status)
}

func (m *maker) create(n *noun.Noun) string {
	m.t.Helper()
	return text(m.post("/"+n.Name, m.body(n), http.StatusCreated), "$id")
}

// body has the required columns, and the unique ones so that they are told apart.
func (m *maker) body(n *noun.Noun) map[string]any {
	m.t.Helper()
	body := map[string]any{}
	for _, c := range n.Columns() {
		switch {
		case !c.Required && (c.Field == nil || !c.Field.Unique):
		case c.Relationship != nil:
			target, ok := noun.Core().Get(c.Relationship.Target)
			if !ok {
				m.t.Fatalf("%s.%s has no target", n.Name, c.Name)
			}
			body[c.Name] = m.create(target)
		default:
			m.count++
			body[c.Name] = sample(c.Field, m.count)
		}
	}
	return body
}

// sample is a value that the field accepts, another one for each number.
func sample(f *noun.Field, number int) any {
	switch {
	case f.Array:
		return []any{}
	case f.Kind.Numeric():
		return number
	case f.Kind == noun.Enum:
		return f.Enum[0]
	case f.Kind == noun.Boolean:
		return true
	case f.Kind == noun.Datetime, f.Kind == noun.Timestamp:
		return "2026-03-01T10:00:00.000Z"
	case f.Kind == noun.Date:
		return "2026-03-01"
	case f.Kind == noun.URL:
		return fmt.Sprintf("https://birch.example/%d", number)
	case f.Kind == noun.Email:
		return fmt.Sprintf("n%d@birch.example", number)
	case f.Kind == noun.JSON:
		return map[string]any{"n": number}
	default:
		return fmt.Sprintf("%s-%d", f.Name, number)
	}
}

// runVerb runs the verb on the entity and checks what it sets.
func (m *maker) runVerb(n *noun.Noun, v *noun.Verb, id string, version int64) {
	m.t.Helper()
	after := m.post("/"+n.Name+"/"+id+"/"+v.Action, nil, http.StatusOK)
	if got := after["$version"]; got != float64(version) {
		m.t.Errorf("%s.%s: $version %v, want %d", n.Name, v.Action, got, version)
	}
	m.checkEffects(n, v, after)
	m.checkLast(n, id, v.Action, n.Name+"."+v.Declared, version)
}

func (m *maker) checkEffects(n *noun.Noun, v *noun.Verb, after map[string]any) {
	m.t.Helper()
	for _, e := range v.Effects {
		f, ok := n.Field(e.Field)
		if !ok {
			m.t.Errorf("%s.%s sets %s, which is no field", n.Name, v.Action, e.Field)
			continue
		}
		if e.Op != noun.Set || e.Yields {
			continue
		}
		got, err := json.Marshal(after[e.Field])
		if err != nil {
			m.t.Fatal(err)
		}
		if want := f.Literal(e.Value); string(got) != want {
			m.t.Errorf("%s.%s: %s is %s, want %s", n.Name, v.Action, e.Field, got, want)
		}
	}
	if v.Stamp != "" && after[v.Stamp] == nil {
		m.t.Errorf("%s.%s does not stamp %s", n.Name, v.Action, v.Stamp)
	}
}

// checkLast checks the entity's last event.
func (m *maker) checkLast(n *noun.Noun, id, verb, eventType string, version int64) {
	m.t.Helper()
	list := m.call(http.MethodGet, "/"+n.Name+"/"+id+"/events?order=desc&limit=1", nil, http.StatusOK)
	events, _ := list["events"].([]any)
	if len(events) != 1 {
		m.t.Fatalf("%s %s has %d last events", n.Name, id, len(events))
	}
	e, _ := events[0].(map[string]any)
	if n.Name == "Event" && verb == "create" {
		eventType = text(e, "type") // an instance's own type (ruling 6)
	}
	if e["verb"] != verb || e["type"] != eventType || e["version"] != float64(version) || e["target"] != id {
		m.t.Errorf("last event of %s %s: verb %v type %v version %v target %v, want %s %s %d",
			n.Name, id, e["verb"], e["type"], e["version"], e["target"], verb, eventType, version)
	}
	forms, _ := e["conjugation"].(map[string]any)
	if forms["action"] != verb || text(forms, "event") == "" || !strings.HasSuffix(strings.ToLower(text(forms, "activity")), "ing") &&
		text(forms, "activity") != "rollingOut" {
		m.t.Errorf("%s.%s: conjugation %v", n.Name, verb, forms)
	}
}

// checkHistory checks that the versions of the entity are 1, 2, 3 … without gaps.
func (m *maker) checkHistory(n *noun.Noun, id string, last int64) {
	m.t.Helper()
	list := m.call(http.MethodGet, "/"+n.Name+"/"+id+"/history", nil, http.StatusOK)
	events, _ := list["events"].([]any)
	if int64(len(events)) != last {
		m.t.Fatalf("%s %s has %d events, want %d", n.Name, id, len(events), last)
	}
	for i, e := range events {
		if got := e.(map[string]any)["version"]; got != float64(i+1) {
			m.t.Errorf("event %d of %s %s has version %v", i, n.Name, id, got)
		}
	}
}

func text(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return s
}
