package query

import (
	"strconv"
	"strings"

	"headless.ly/catalog/noun"
)

// relation names a set of rows that a statement reads: the entities of a noun at the read's instant.
type relation struct {
	noun     *noun.Noun
	deleted  bool // the deleted ones too
	versions bool // every version, with the interval in which it held
}

// name is what SQL calls the relation.
func (r relation) name() string {
	if r.versions {
		return quoteName(r.noun.Table() + " versions")
	}
	if r.deleted {
		return quoteName(r.noun.Table() + " with deleted")
	}
	return quoteName(r.noun.Table())
}

// statement is SQL under construction: text with a ? for each argument, and the relations it reads.
type statement struct {
	text      strings.Builder
	args      []any
	relations []relation
	aliases   int
}

// write appends SQL text. Nothing that comes from a caller may be in it.
func (s *statement) write(parts ...string) {
	for _, p := range parts {
		s.text.WriteString(p)
	}
}

// bind appends a parameter.
func (s *statement) bind(v any) {
	s.text.WriteByte('?')
	s.args = append(s.args, v)
}

// from appends "relation alias" and gives the alias.
func (s *statement) from(r relation) (alias string) {
	known := false
	for _, have := range s.relations {
		known = known || have == r
	}
	if !known {
		s.relations = append(s.relations, r)
	}
	alias = "r" + strconv.Itoa(s.aliases)
	s.aliases++
	s.write(r.name(), " ", alias)
	return alias
}
