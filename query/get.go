package query

import (
	"context"
	"errors"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// maxKeyBytes bounds what may stand for an id in an address.
const maxKeyBytes = 128

// state is one entity at one instant: the event that wrote it and its document.
type state struct {
	lakehouse.Pointer
	document []byte
}

// Get gives one entity by $id or natural key. Without Options it costs two look-ups in the log and copies the document once.
func (r *Reader) Get(ctx context.Context, tenant string, n *noun.Noun, key string, o Options) (Answer, error) {
	if err := checkKey(n, key); err != nil {
		return Answer{}, err
	}
	if o.AtVersion != 0 && o.AsOf != "" {
		return Answer{}, invalid("atVersion", "atVersion and asOf exclude each other")
	}
	shape, err := r.shape(n, o)
	if err != nil {
		return Answer{}, err
	}
	in := scope{tenant: tenant}
	if shape.reverse() {
		in.view = r.lake.Pin(tenant) // before the head is read
		defer in.view.Release()
	}
	at, err := r.fix(ctx, tenant, o, r.now())
	if err != nil {
		return Answer{}, err
	}
	s, err := r.find(ctx, tenant, n, key, &at, o)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Version: s.Version, At: at}
	if shape.whole() {
		answer.Document = entity.WithContext(s.document, r.base, tenant)
		return answer, nil
	}
	in.seq = at.Seq
	docs, err := r.render(ctx, in, shape, []state{s})
	if err != nil {
		return Answer{}, err
	}
	answer.Document = docs[0]
	return answer, nil
}

// Resolve gives the $id behind a natural key (interfaces.md 1.4). The entity exists, or existed: deleted ones are found by
// their $id, since they keep their history.
func (r *Reader) Resolve(ctx context.Context, tenant string, n *noun.Noun, key string) (string, error) {
	if err := checkKey(n, key); err != nil {
		return "", err
	}
	at, err := r.fix(ctx, tenant, Options{}, r.now())
	if err != nil {
		return "", err
	}
	p, err := r.current(ctx, tenant, n, key, at)
	if err != nil {
		return "", err
	}
	if p.Deleted && p.ID != key {
		return "", notFound(n, key)
	}
	return p.ID, nil
}

func notFound(n *noun.Noun, key string) *problem.Problem {
	p := problem.New(problem.NotFound, "no %s %q", n.Name, key)
	p.Type, p.ID = n.Name, key
	return p
}

// checkKey refuses what can be neither an id nor a natural key (interfaces.md 2.6).
func checkKey(n *noun.Noun, key string) error {
	bad := key == "" || len(key) > maxKeyBytes
	for i := 0; i < len(key) && !bad; i++ {
		bad = !keyByte(key[i])
	}
	if !bad {
		return nil
	}
	p := problem.New(problem.InvalidID, "an id has 1 to %d letters, digits and . _ ~ : @ + -", maxKeyBytes)
	p.Type = n.Name
	return p
}

func keyByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	case c == '.', c == '_', c == '~', c == ':', c == '@', c == '+', c == '-':
		return true
	}
	return false
}

// find gives the entity that a get asks for. A default read may find one newer than at: then at moves to it.
func (r *Reader) find(ctx context.Context, tenant string, n *noun.Noun, key string, at *At, o Options) (state, error) {
	s, err := r.pointed(ctx, tenant, n, key, at, o)
	if err != nil {
		return state{}, err
	}
	if s.Deleted && !o.IncludeDeleted {
		return state{}, notFound(n, key)
	}
	if s.document == nil {
		docs, err := r.log.Documents(ctx, tenant, []int64{s.Seq})
		if err != nil {
			return state{}, err
		}
		s.document = docs[0]
	}
	return s, nil
}

// pointed finds the event that wrote the state asked for.
func (r *Reader) pointed(ctx context.Context, tenant string, n *noun.Noun, key string, at *At, o Options) (state, error) {
	if at.Mode == AsOf {
		return r.past(ctx, tenant, n, key, *at)
	}
	p, err := r.current(ctx, tenant, n, key, *at)
	if err != nil {
		return state{}, err
	}
	if o.AtVersion != 0 {
		return r.atVersion(ctx, tenant, n, p.ID, o.AtVersion)
	}
	at.Seq = max(at.Seq, p.Seq)
	return state{Pointer: p}, nil
}

// current finds an entity as it is now.
func (r *Reader) current(ctx context.Context, tenant string, n *noun.Noun, key string, at At) (lakehouse.Pointer, error) {
	p, err := r.log.Lookup(ctx, tenant, n.Name, key)
	switch {
	case err == nil:
		return p, nil
	case !problem.Is(err, problem.NotFound):
		return p, err
	case n.Name == "Metric" && !noun.IsID(key): // addressed by name as well (interfaces.md 1.4)
		return r.named(ctx, tenant, n, "name", key, at)
	}
	return p, notFound(n, key)
}

// past finds an entity as it was.
func (r *Reader) past(ctx context.Context, tenant string, n *noun.Noun, key string, at At) (state, error) {
	if s, ok, err := r.stateAt(ctx, tenant, n, key, at.Seq); ok || err != nil {
		return s, err
	}
	if noun.IsID(key) {
		return state{}, notFound(n, key)
	}
	for _, f := range naturalKeys(n) {
		p, err := r.named(ctx, tenant, n, f, key, at)
		if err == nil {
			return state{Pointer: p}, nil
		}
		if !problem.Is(err, problem.NotFound) {
			return state{}, err
		}
	}
	return state{}, notFound(n, key)
}

// naturalKeys are the fields that may stand for an id, in the order they are tried.
func naturalKeys(n *noun.Noun) (fields []string) {
	for _, f := range n.Uniques() {
		fields = append(fields, f.Name)
	}
	if n.Name == "Metric" {
		fields = append(fields, "name")
	}
	return fields
}

// named finds the newest entity with a value of a field at an instant.
func (r *Reader) named(ctx context.Context, tenant string, n *noun.Noun, field, key string, at At) (lakehouse.Pointer, error) {
	list, err := r.plan(tenant, n, Query{Limit: 1, Filter: entity.Object{{Name: field, Value: entity.Quote(key)}}}, nil)
	if err != nil {
		return lakehouse.Pointer{}, err
	}
	view := r.lake.Pin(tenant)
	defer view.Release()
	found, err := r.rows(ctx, scope{tenant, view, at.Seq}, list)
	if err != nil {
		return lakehouse.Pointer{}, err
	}
	if len(found.hits) == 0 {
		return lakehouse.Pointer{}, notFound(n, key)
	}
	h := found.hits[0]
	return lakehouse.Pointer{ID: h.id, Seq: h.seq, Version: h.version}, nil
}

// stateAt gives an entity, by id, as the last event at or before a seq left it; ok is false if there is none.
func (r *Reader) stateAt(ctx context.Context, tenant string, n *noun.Noun, id string, seq int64) (s state, ok bool, err error) {
	if seq == 0 {
		return state{}, false, nil
	}
	p, err := r.log.Lookup(ctx, tenant, n.Name, id)
	if err == nil && p.ID == id && p.Seq <= seq { // unchanged since
		return state{Pointer: p}, true, nil
	}
	if err != nil && !problem.Is(err, problem.NotFound) {
		return state{}, false, err
	}
	past := lakehouse.Range{Noun: n.Name, Target: id, Upto: seq, Desc: true, Limit: 1}
	err = r.log.Read(ctx, tenant, past, func(e *lakehouse.Event) error {
		s, ok = stateOf(e), true
		return nil
	})
	return s, ok, err
}

// atVersion gives an entity as one of its versions left it.
func (r *Reader) atVersion(ctx context.Context, tenant string, n *noun.Noun, id string, version int64) (s state, err error) {
	err = r.log.Read(ctx, tenant, lakehouse.Range{Noun: n.Name, Target: id}, func(e *lakehouse.Event) error {
		if e.Version < version {
			return nil
		}
		if e.Version == version {
			s = stateOf(e)
		}
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return state{}, err
	}
	if s.document == nil {
		p := notFound(n, id)
		p.Message = "it has no such version"
		return state{}, p
	}
	return s, nil
}

func stateOf(e *lakehouse.Event) state {
	return state{lakehouse.Pointer{ID: e.Target, Seq: e.Seq, Version: e.Version, Deleted: e.Verb == "delete"}, e.Data}
}
