package ingest

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
)

// plan is a noun as the writer uses it: looked up, not searched.
type plan struct {
	noun      *noun.Noun
	typeName  jsontext.Value
	columns   []noun.Column
	index     map[string]int  // column by name
	computed  map[string]bool // reverse relationships: read, never written
	uniques   []*noun.Field
	defaults  []entity.Member
	traces    [][]byte // what a stored text contains if it holds an old name
	analytics bool     // the noun Event: its instances are rows of the events table themselves (ruling 6)
}

func newPlan(n *noun.Noun) *plan {
	p := &plan{noun: n, typeName: entity.Quote(n.Name), columns: n.Columns(), index: map[string]int{}, computed: map[string]bool{},
		uniques: n.Uniques(), analytics: n.Name == "Event"}
	for i, c := range p.columns {
		p.index[c.Name] = i
		if c.Field != nil && c.Field.Default != "" {
			p.defaults = append(p.defaults, entity.Member{Name: c.Name, Value: jsontext.Value(c.Field.Literal(c.Field.Default))})
		}
	}
	for old := range n.Was() {
		p.traces = append(p.traces, entity.Quote(old))
	}
	for _, r := range n.Relationships {
		if !r.Forward {
			p.computed[r.Name] = true
		}
	}
	return p
}

// prepare completes the body of a create where the service, not the caller, gives a value.
func (p *plan) prepare(body *entity.Object) {
	if p.noun.Name == "ApiKey" {
		body.Set("keyPrefix", entity.Quote("hly_sk_"+rand.Text()[:9]))
	}
}

// applyDefaults sets the declared defaults of keys that the caller did not send.
func (p *plan) applyDefaults(fields *entity.Object, body entity.Object) {
	for _, d := range p.defaults {
		if _, sent := body.Get(d.Name); !sent {
			fields.Set(d.Name, d.Value)
		}
	}
}

// applyEffects sets what a verb sets (ruling 3): the effect wins over the body, unless it yields.
func (p *plan) applyEffects(v *noun.Verb, fields *entity.Object, body entity.Object, at int64) {
	for _, e := range v.Effects {
		if sent, ok := body.Get(e.Field); ok && e.Yields && !entity.IsNull(sent) {
			continue
		}
		f, ok := p.noun.Field(e.Field)
		if !ok {
			continue
		}
		now, _ := fields.Get(e.Field)
		switch e.Op {
		case noun.Set:
			fields.Set(e.Field, jsontext.Value(f.Literal(e.Value)))
		case noun.Inc:
			n, _ := strconv.ParseFloat(string(now), 64)
			fields.Set(e.Field, strconv.AppendFloat(nil, n+e.By, 'f', -1, 64))
		case noun.Next:
			i := slices.Index(e.Steps, entity.Unquote(now))
			fields.Set(e.Field, entity.Quote(e.Steps[min(i+1, len(e.Steps)-1)]))
		}
	}
	if _, sent := body.Get(v.Stamp); v.Stamp != "" && !sent {
		fields.Set(v.Stamp, entity.Quote(time.UnixMilli(at).UTC().Format(timeFormat)))
	}
}

// guardTransition refuses the one transition that is not free: a revoked or expired key is final (2.9).
func (p *plan) guardTransition(before *subject, now entity.Object) error {
	if p.noun.Name != "ApiKey" || before == nil {
		return nil
	}
	was := before.doc.Text("status")
	if (was == "Revoked" || was == "Expired") && now.Text("status") != was {
		e := problem.New(problem.Validation, "ApiKey failed validation")
		e.Details = []problem.Detail{{Field: "status", Message: "a " + was + " key is final"}}
		return e
	}
	return nil
}

// check validates the fields that differ from the old document and the presence of the required ones, canonicalizes
// values, drops nulls, and puts the fields in stored order: declared ones as declared, the others as they came.
// restored says that the fields were accepted before, so that references are not looked up again.
func (p *plan) check(fields *entity.Object, old entity.Object, restored bool, exists func(id, noun string) (bool, error)) ([]problem.Detail, error) {
	declared := make([]jsontext.Value, len(p.columns))
	var rest entity.Object
	var details []problem.Detail
	bad := func(field, format string, args ...any) {
		details = append(details, problem.Detail{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	for _, m := range *fields {
		if entity.IsNull(m.Value) {
			continue
		}
		i, ok := p.index[m.Name]
		if !ok {
			if p.computed[m.Name] {
				bad(m.Name, "is computed from the other side and cannot be written")
				continue
			}
			rest = append(rest, m)
			continue
		}
		declared[i] = m.Value
		if was, had := old.Get(m.Name); had && string(was) == string(m.Value) {
			continue // it was good when it was stored
		}
		v, msg, err := p.accept(p.columns[i], m.Value, restored, exists)
		if err != nil {
			return nil, err
		}
		if msg != "" {
			bad(m.Name, "%s", msg)
			continue
		}
		declared[i] = v
	}
	out := make(entity.Object, 0, len(*fields))
	for i, c := range p.columns {
		if declared[i] != nil {
			out = append(out, entity.Member{Name: c.Name, Value: declared[i]})
		} else if c.Required && !restored && !lacked(old, c.Name) {
			bad(c.Name, "required")
		}
	}
	*fields = append(out, rest...)
	return details, nil
}

// lacked says that an entity was good without a field: it was written before the field was declared, or required.
func lacked(old entity.Object, name string) bool {
	v, _ := old.Get(name)
	return old != nil && entity.IsNull(v)
}

// accept checks one value of a declared column; msg says what is wrong with it.
func (p *plan) accept(c noun.Column, v jsontext.Value, restored bool, exists func(id, noun string) (bool, error)) (out jsontext.Value, msg string, err error) {
	if c.Field != nil {
		out, msg = canonical(c.Field, v)
		if msg == "" && c.Field.Required && c.Field.Kind == noun.String && len(out) == 2 {
			msg = "required"
		}
		return out, msg, nil
	}
	if v.Kind() != '"' {
		return nil, "expected the id of a " + c.Relationship.Target, nil
	}
	if restored {
		return v, "", nil
	}
	ok, err := exists(entity.Unquote(v), c.Relationship.Target)
	if err != nil {
		return nil, "", err
	}
	if !ok {
		return nil, fmt.Sprintf("there is no %s %q", c.Relationship.Target, entity.Unquote(v)), nil
	}
	return v, "", nil
}
