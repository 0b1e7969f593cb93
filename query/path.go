package query

import (
	"strings"
	"unicode/utf8"

	"headless.ly/catalog/noun"
	"headless.ly/lakehouse"
)

// maxHops bounds how many relationships a dotted name follows (ruling 11).
const maxHops = 3

// path is what a field name of a filter means: relationships to follow from the row, then a value of the row they end at.
type path struct {
	name string
	hops []hop
	leaf leaf
}

// hop follows one relationship of the noun before it.
type hop struct {
	relationship *noun.Relationship
	target       *noun.Noun
}

// many says whether the path leads to a set of rows, one of which has to match.
func (p path) many() bool {
	for _, h := range p.hops {
		if !h.relationship.Forward {
			return true
		}
	}
	return false
}

// leafKind says where a row holds the value.
type leafKind uint8

const (
	leafColumn leafKind = iota + 1 // a typed column
	leafJSON                       // inside a column of JSON text
	leafType                       // the noun's own name
	leafAbsent                     // nowhere: a member of a scalar
)

// leaf is a value of one row.
type leaf struct {
	kind    leafKind
	column  lakehouse.Column
	pointer string // leafJSON: "$" for the whole text, else a JSON pointer
	text    string // leafType
}

// resolver finds what names mean.
type resolver struct {
	nouns   *noun.Registry
	schemas schemas
}

// path resolves a field name of a filter on n. A name that a field had before stands for the field; names that are not declared are members of the undeclared fields.
func (r *resolver) path(n *noun.Noun, name string) (path, error) {
	if !utf8.ValidString(name) {
		return path{}, invalidFilter("", "", "a name is no valid UTF-8")
	}
	p := path{name: name}
	rest := strings.Split(name, ".")
	for {
		rest[0] = n.Current(rest[0])
		head := rest[0]
		if head == "" {
			return path{}, invalidFilter(name, "", "the name has an empty part")
		}
		edge, ok := n.Relationship(head)
		if !ok || edge.Forward && len(rest) == 1 {
			leaf, err := r.leaf(n, name, rest)
			p.leaf = leaf
			return p, err
		}
		target, _ := r.nouns.Get(edge.Target)
		p.hops = append(p.hops, hop{edge, target})
		if len(p.hops) > maxHops {
			return path{}, invalidFilter(name, "", "at most %d relationships may be followed", maxHops)
		}
		n, rest = target, rest[1:]
		if len(rest) == 0 { // a reverse relationship stands for the ids of its rows
			id, _ := r.schemas[n.Name].column(columnID)
			p.leaf = leaf{kind: leafColumn, column: id}
			return p, nil
		}
	}
}

// leaf resolves the parts of a name behind its relationships.
func (r *resolver) leaf(n *noun.Noun, name string, parts []string) (leaf, error) {
	table, head, last := r.schemas[n.Name], parts[0], len(parts) == 1
	for _, part := range parts[1:] {
		if part == "" || strings.HasPrefix(part, "$") {
			return leaf{}, invalidFilter(name, part, "is no field")
		}
	}
	if meta, ok := metaName(n, head); ok && (last || head == meta) {
		if !last {
			return leaf{}, invalidFilter(name, "", "%s has no members", head)
		}
		if meta == metaType {
			return leaf{kind: leafType, text: n.Name}, nil
		}
		c, _ := table.column(metaColumns[meta])
		return leaf{kind: leafColumn, column: c}, nil
	}
	if strings.HasPrefix(head, "$") {
		return leaf{}, invalidFilter(name, head, "is no operator or meta field that may stand here")
	}
	if _, ok := n.Column(head); !ok {
		extra, _ := table.column(columnExtra)
		return leaf{kind: leafJSON, column: extra, pointer: pointer(parts)}, nil
	}
	c, _ := table.column(head)
	switch {
	case c.Type == lakehouse.JSON:
		return leaf{kind: leafJSON, column: c, pointer: pointer(parts[1:])}, nil
	case last:
		return leaf{kind: leafColumn, column: c}, nil
	}
	return leaf{kind: leafAbsent}, nil
}

var pointerEscape = strings.NewReplacer("~", "~0", "/", "~1")

// pointer gives the JSON pointer of nested members, in the notation DuckDB reads.
func pointer(parts []string) string {
	if len(parts) == 0 {
		return "$"
	}
	var b strings.Builder
	for _, part := range parts {
		b.WriteByte('/')
		_, _ = pointerEscape.WriteString(&b, part)
	}
	return b.String()
}
