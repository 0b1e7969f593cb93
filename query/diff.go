package query

import (
	"bytes"
	"context"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// maxDiffEvents bounds the events that one diff lists.
const maxDiffEvents = 1000

// Change is one field that differs. A side where the field is absent is null.
type Change struct {
	Field string         `json:"field"`
	From  jsontext.Value `json:"from"`
	To    jsontext.Value `json:"to"`
}

// Diff compares one entity between two points: an instant or a version each. to may be empty: now. The events are those
// behind the first point up to the second, the newest 1,000 of them at most.
func (r *Reader) Diff(ctx context.Context, tenant string, n *noun.Noun, key, from, to string) (Diff, error) {
	if err := checkKey(n, key); err != nil {
		return Diff{}, err
	}
	if from == "" {
		return Diff{}, invalid("from", "from is required: an instant or a version")
	}
	at, err := r.fix(ctx, tenant, Options{}, r.now())
	if err != nil {
		return Diff{}, err
	}
	p, err := r.current(ctx, tenant, n, key, at)
	if err != nil {
		return Diff{}, err
	}
	at.Seq = max(at.Seq, p.Seq)
	before, err := r.point(ctx, tenant, n, p.ID, "from", from, at)
	if err != nil {
		return Diff{}, err
	}
	after, err := r.point(ctx, tenant, n, p.ID, "to", to, at)
	if err != nil {
		return Diff{}, err
	}
	if after.seq < before.seq {
		return Diff{}, invalid("to", "to lies before from")
	}
	d := Diff{At: at}
	between := lakehouse.Range{Noun: n.Name, Target: p.ID, After: before.seq, Upto: after.seq, Desc: true, Limit: maxDiffEvents}
	if before.seq < after.seq {
		err = r.log.Read(ctx, tenant, between, func(e *lakehouse.Event) error {
			d.Events = append(d.Events, e)
			return nil
		})
		slices.Reverse(d.Events)
	}
	if err != nil {
		return Diff{}, err
	}
	if d.Changes, err = changes(before.document, after.document); err != nil {
		return Diff{}, err
	}
	d.Before, d.After = r.shown(tenant, before.document), r.shown(tenant, after.document)
	return d, nil
}

func (r *Reader) shown(tenant string, document []byte) []byte {
	if document == nil {
		return nil
	}
	return entity.WithContext(document, r.base, tenant)
}

// point is one side of a diff: an entity's document, nil where it does not exist, and the seq up to which it is so.
type point struct {
	seq      int64
	document []byte
}

// point resolves one side of a diff. Digits alone are a version; version 0 is before the first.
func (r *Reader) point(ctx context.Context, tenant string, n *noun.Noun, id, name, text string, now At) (point, error) {
	if version, err := strconv.ParseInt(text, 10, 64); err == nil {
		if version <= 0 {
			return point{}, nil
		}
		s, err := r.atVersion(ctx, tenant, n, id, version)
		return pointOf(s, s.Seq), err
	}
	at := now
	if text != "" {
		var err error
		at, err = r.fix(ctx, tenant, Options{AsOf: text}, r.now())
		if problem.Is(err, problem.InvalidAsOf) {
			return point{}, invalid(name, "%q is neither an instant nor a version", text)
		}
		if err != nil {
			return point{}, err
		}
	}
	s, ok, err := r.stateAt(ctx, tenant, n, id, at.Seq)
	if err != nil || !ok {
		return point{seq: at.Seq}, err
	}
	states := []state{s}
	if err := r.load(ctx, tenant, states); err != nil {
		return point{}, err
	}
	return pointOf(states[0], at.Seq), nil
}

func pointOf(s state, seq int64) point {
	if s.Deleted {
		return point{seq: seq}
	}
	return point{seq: seq, document: s.document}
}

// changes lists the fields, not the $ members, in which two documents differ: in the order of the first, then of the second.
func changes(before, after []byte) ([]Change, error) {
	from, err := fieldsOf(before)
	if err != nil {
		return nil, err
	}
	to, err := fieldsOf(after)
	if err != nil {
		return nil, err
	}
	null := jsontext.Value("null")
	out := []Change{}
	for _, m := range from {
		v, ok := to.Get(m.Name)
		if !ok {
			v = null
		}
		if !same(m.Value, v) {
			out = append(out, Change{m.Name, m.Value, v})
		}
	}
	for _, m := range to {
		if _, ok := from.Get(m.Name); !ok && !entity.IsNull(m.Value) {
			out = append(out, Change{m.Name, null, m.Value})
		}
	}
	return out, nil
}

func fieldsOf(document []byte) (entity.Object, error) {
	if document == nil {
		return nil, nil
	}
	o, err := entity.ParseStored(document)
	return o.Fields(), err
}

// same says whether two JSON values mean the same: the order of members and the spelling of strings and numbers aside.
func same(a, b jsontext.Value) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case '0':
		return sameNumber(a, b)
	case '"':
		return entity.Unquote(a) == entity.Unquote(b)
	case '[':
		return sameArray(a, b)
	case '{':
		return sameObject(a, b)
	}
	return false
}

func sameNumber(a, b jsontext.Value) bool {
	i, exact := integer(a, float(a))
	j, both := integer(b, float(b))
	if exact && both {
		return i == j
	}
	return float(a) == float(b)
}

func sameArray(a, b jsontext.Value) bool {
	x, _ := entity.Elements(a)
	y, _ := entity.Elements(b)
	return slices.EqualFunc(x, y, same)
}

func sameObject(a, b jsontext.Value) bool {
	x, err := entity.ParseStored(a)
	y, failed := entity.ParseStored(b)
	if err != nil || failed != nil || len(x) != len(y) {
		return false
	}
	for _, m := range x {
		v, ok := y.Get(m.Name)
		if !ok || !same(m.Value, v) {
			return false
		}
	}
	return true
}
