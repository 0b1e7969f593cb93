package query

import (
	"context"
	"slices"
	"strings"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
	"headless.ly/lakehouse"
)

// includeAudit is the word among the includes that asks for all audit values (ruling 5).
const includeAudit = "audit"

// shape is what of a document is shown.
type shape struct {
	noun     *noun.Noun
	fields   map[string]bool // nil: all
	audits   map[string]bool // audit values asked for by name
	audit    bool            // all of them
	includes []*noun.Relationship
}

// whole says that documents are shown as they are stored.
func (s *shape) whole() bool {
	return s.fields == nil && !s.audit && len(s.audits) == 0 && len(s.includes) == 0
}

// reverse says whether rows of other nouns have to be searched.
func (s *shape) reverse() bool {
	return slices.ContainsFunc(s.includes, func(e *noun.Relationship) bool { return !e.Forward })
}

// shape checks fields and includes against the noun.
func (r *Reader) shape(n *noun.Noun, o Options) (*shape, error) {
	s := &shape{noun: n}
	for _, name := range names(o.Include) {
		if name == includeAudit {
			s.audit = true
			continue
		}
		edge, ok := n.Relationship(name)
		if !ok {
			p := problem.New(problem.InvalidInclude, "%s has no relationship %q", n.Name, name)
			if strings.Contains(name, ".") {
				p.Message = "nested includes are not supported"
			}
			p.Type, p.Field = n.Name, name
			return nil, p
		}
		if !slices.Contains(s.includes, edge) {
			s.includes = append(s.includes, edge)
		}
	}
	fields := names(o.Fields)
	if len(fields) == 0 {
		return s, nil
	}
	s.fields = map[string]bool{"$id": true, "$type": true}
	s.audits = map[string]bool{}
	for _, name := range fields {
		if err := s.field(name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// names trims a list of names and leaves out empty ones.
func names(list []string) (out []string) {
	for _, name := range list {
		if name = strings.TrimSpace(name); name != "" {
			out = append(out, name)
		}
	}
	return out
}

// field adds one name of a projection.
func (s *shape) field(name string) error {
	name = s.noun.Current(name)
	_, column := s.noun.Column(name)
	_, edge := s.noun.Relationship(name)
	meta, isMeta := metaName(s.noun, name)
	switch {
	case column || edge:
		s.fields[name] = true
	case isMeta:
		s.fields[meta] = true
	case name == "$context" || name == "$deleted":
		s.fields[name] = true
	case slices.ContainsFunc(s.noun.Verbs, func(v noun.Verb) bool { return v.ReverseAt == name || v.ReverseBy == name }):
		s.audits[name] = true
	default:
		p := problem.New(problem.InvalidFields, "%s has no field %q", s.noun.Name, name)
		p.Type, p.Field = s.noun.Name, name
		return p
	}
	return nil
}

// render shows entities of one noun in a shape, as of the scope.
func (r *Reader) render(ctx context.Context, in scope, s *shape, states []state) ([][]byte, error) {
	docs := make([][]byte, len(states))
	if s.whole() {
		for i, st := range states {
			docs[i] = entity.WithContext(st.document, r.base, in.tenant)
		}
		return docs, nil
	}
	stored := make([]entity.Object, len(states))
	shown := make([]entity.Object, len(states))
	for i, st := range states {
		doc, err := entity.ParseStored(st.document)
		if err != nil {
			return nil, err
		}
		stored[i], shown[i] = doc, s.project(doc)
		if err := r.audit(ctx, in.tenant, s, st, &shown[i]); err != nil {
			return nil, err
		}
	}
	for _, edge := range s.includes {
		if err := r.include(ctx, in, edge, stored, shown); err != nil {
			return nil, err
		}
	}
	for i, doc := range shown {
		docs[i] = doc.Append(nil)
		if s.fields == nil || s.fields["$context"] {
			docs[i] = entity.WithContext(docs[i], r.base, in.tenant)
		}
	}
	return docs, nil
}

// project copies the members that are shown.
func (s *shape) project(doc entity.Object) entity.Object {
	if s.fields == nil {
		return doc.Clone()
	}
	out := make(entity.Object, 0, len(s.fields))
	for _, m := range doc {
		if s.fields[m.Name] || m.Name == "$deleted" {
			out = append(out, m)
		}
	}
	return out
}

// audit adds when and by whom verbs were last run on an entity, as its log says.
func (r *Reader) audit(ctx context.Context, tenant string, s *shape, of state, doc *entity.Object) error {
	if !s.audit && len(s.audits) == 0 {
		return nil
	}
	last := map[string]*lakehouse.Event{}
	events := lakehouse.Range{Noun: s.noun.Name, Target: of.ID, Upto: of.Seq}
	err := r.log.Read(ctx, tenant, events, func(e *lakehouse.Event) error {
		last[e.Verb] = e
		return nil
	})
	if err != nil {
		return err
	}
	for i := range s.noun.Verbs {
		v := &s.noun.Verbs[i]
		if e, ok := last[v.Action]; ok {
			s.set(doc, v.ReverseAt, formatTime(e.Timestamp))
			s.set(doc, v.ReverseBy, e.Actor)
		}
	}
	return nil
}

// set adds an audit value if it is asked for, known, and no field of the noun.
func (s *shape) set(doc *entity.Object, name, value string) {
	if _, declared := s.noun.Column(name); declared || value == "" || !s.audit && !s.audits[name] {
		return
	}
	doc.Set(name, entity.Quote(value))
}

// formatTime writes milliseconds since 1970 as documents do.
func formatTime(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
