package query

import (
	"regexp/syntax"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
)

// Limits of a filter (interfaces.md 2.5).
const (
	maxFilterBytes = 64 << 10
	maxNesting     = 16
	maxMembers     = 1000 // of $in and $nin
	maxPattern     = 512  // bytes of a $regex
	maxTerms       = 32   // words of a $text: each is searched in every searchable field
)

// operator is what a filter does with the value of a field.
type operator string

const (
	opEqual          operator = "$eq"
	opNotEqual       operator = "$ne"
	opGreater        operator = "$gt"
	opGreaterOrEqual operator = "$gte"
	opLess           operator = "$lt"
	opLessOrEqual    operator = "$lte"
	opIn             operator = "$in"
	opNotIn          operator = "$nin"
	opExists         operator = "$exists"
	opRegex          operator = "$regex"
	opOptions        operator = "$options"
	opNot            operator = "$not"
	opAnd            operator = "$and"
	opOr             operator = "$or"
	opText           operator = "$text"
)

// supportedOperators are all of them, as an error lists them.
var supportedOperators = []string{"$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$regex", "$options", "$not",
	"$and", "$or", "$text"}

// condition is a node of a parsed filter. Each is true or false of a row, never unknown.
type condition interface{ condition() }

type (
	// all is true where every part is; an empty one is true.
	all []condition
	// some is true where any part is; an empty one is false.
	some []condition
	// not is the complement.
	not struct{ part condition }
	// match is true where the value at the path passes every test. Where the path leads to a set of rows, one of them
	// has to pass all.
	match struct {
		path  path
		tests []test
	}
)

func (all) condition()   {}
func (some) condition()  {}
func (not) condition()   {}
func (match) condition() {}

// test compares one value. Null and absent operands do not occur: they become tests of existence while parsing.
type test struct {
	op       operator // opExists means: is present
	operand  jsontext.Value
	operands []jsontext.Value // opIn, opNotIn
	pattern  string           // opRegex
}

// filter is a parsed filter object.
type filter struct {
	where condition
	terms []string // lower-cased words of $text
}

// add puts more words into the full-text search.
func (f *filter) add(terms []string) {
	f.terms = append(f.terms, terms...)
	slices.Sort(f.terms)
	f.terms = slices.Compact(f.terms)
}

// invalidFilter builds the documented error about a field and, where op is not empty, an operator.
func invalidFilter(field, op, format string, args ...any) *problem.Problem {
	p := problem.New(problem.InvalidFilter, format, args...)
	switch {
	case op != "" && field != "":
		p.Message = op + " on " + field + " " + p.Message
	case op != "":
		p.Message = op + " " + p.Message
	case field != "":
		p.Message = field + ": " + p.Message
	}
	p.Field = field
	p.Supported = supportedOperators
	return p
}

// filterParser reads filters on one noun.
type filterParser struct {
	resolver *resolver
	noun     *noun.Noun
}

// parse reads a whole filter.
func (p *filterParser) parse(o entity.Object) (filter, error) {
	size := 2
	for _, m := range o {
		size += len(m.Name) + len(m.Value) + 4
	}
	if size > maxFilterBytes {
		return filter{}, invalidFilter("", "", "the filter is larger than %d bytes", maxFilterBytes)
	}
	var f filter
	rest := make(entity.Object, 0, len(o))
	for _, m := range o {
		if m.Name != string(opText) {
			rest = append(rest, m)
			continue
		}
		if m.Value.Kind() != '"' {
			return filter{}, invalidFilter("", m.Name, "needs a string")
		}
		terms, err := parseText(entity.Unquote(m.Value))
		if err != nil {
			return filter{}, err
		}
		f.terms = terms
	}
	where, err := p.object(rest, 1)
	f.where = where
	return f, err
}

// parseText splits a full-text query into its words.
func parseText(text string) ([]string, error) {
	terms := strings.Fields(strings.ToLower(text))
	slices.Sort(terms)
	terms = slices.Compact(terms)
	if len(terms) > maxTerms {
		return nil, invalidFilter("", string(opText), "has more than %d words", maxTerms)
	}
	return terms, nil
}

// object reads one filter object: all of its members hold.
func (p *filterParser) object(o entity.Object, depth int) (condition, error) {
	if depth > maxNesting {
		return nil, invalidFilter("", "", "the filter is nested deeper than %d", maxNesting)
	}
	parts := make(all, 0, len(o))
	for _, m := range o {
		part, err := p.member(m, depth)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func (p *filterParser) member(m entity.Member, depth int) (condition, error) {
	switch operator(m.Name) {
	case opAnd:
		parts, err := p.list(m, depth)
		return all(parts), err
	case opOr:
		parts, err := p.list(m, depth)
		return some(parts), err
	case opText:
		return nil, invalidFilter("", m.Name, "may stand at the top level only")
	}
	if strings.HasPrefix(m.Name, "$") {
		if head, _, _ := strings.Cut(m.Name, "."); !isMeta(p.noun, head) {
			return nil, invalidFilter("", m.Name, "is not supported here")
		}
	}
	where, err := p.resolver.path(p.noun, m.Name)
	if err != nil {
		return nil, err
	}
	return p.field(where, m.Value, depth)
}

func isMeta(n *noun.Noun, name string) bool {
	_, ok := metaName(n, name)
	return ok
}

// list reads the operand of $and and $or.
func (p *filterParser) list(m entity.Member, depth int) ([]condition, error) {
	values, ok := elements(m.Value)
	if !ok || len(values) == 0 {
		return nil, invalidFilter("", m.Name, "needs a non-empty array of filters")
	}
	parts := make([]condition, 0, len(values))
	for _, v := range values {
		o, err := entity.ParseStored(v)
		if v.Kind() != '{' || err != nil {
			return nil, invalidFilter("", m.Name, "needs a non-empty array of filters")
		}
		part, err := p.object(o, depth+1)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// field reads what a filter says about one field: operators, or a literal to be equal to.
func (p *filterParser) field(at path, v jsontext.Value, depth int) (condition, error) {
	if v.Kind() == '{' {
		o, err := entity.ParseStored(v)
		if err != nil {
			return nil, invalidFilter(at.name, "", "cannot be read")
		}
		if slices.ContainsFunc(o, func(m entity.Member) bool { return strings.HasPrefix(m.Name, "$") }) {
			return p.operators(at, o, depth)
		}
	}
	return p.operators(at, entity.Object{{Name: string(opEqual), Value: v}}, depth)
}

// operators reads an operator object. Tests that a row passes by its value are gathered, so that one row of a set has to
// pass them together; complements ($not, $exists false, equality to null) stand beside them.
func (p *filterParser) operators(at path, o entity.Object, depth int) (condition, error) {
	if depth > maxNesting {
		return nil, invalidFilter(at.name, "", "the filter is nested deeper than %d", maxNesting)
	}
	var (
		tests []test
		parts all
	)
	absent := not{match{at, []test{{op: opExists}}}}
	for _, m := range o {
		switch op := operator(m.Name); op {
		case opNot:
			inner, err := p.negated(at, m.Value, depth)
			if err != nil {
				return nil, err
			}
			parts = append(parts, not{inner})
		case opExists:
			switch m.Value.Kind() {
			case 't':
				tests = append(tests, test{op: opExists})
			case 'f':
				parts = append(parts, absent)
			default:
				return nil, invalidFilter(at.name, m.Name, "needs true or false")
			}
		case opIn, opNotIn:
			values, null, err := members(at, m)
			if err != nil {
				return nil, err
			}
			in := test{op: op, operands: values}
			switch {
			case null && op == opIn:
				parts = append(parts, some{match{at, []test{in}}, absent})
			case null:
				tests = append(tests, in, test{op: opExists})
			default:
				tests = append(tests, in)
			}
		case opEqual, opNotEqual:
			switch null := m.Value.Kind() == 'n'; {
			case null && op == opEqual:
				parts = append(parts, absent)
			case null:
				tests = append(tests, test{op: opExists})
			default:
				tests = append(tests, test{op: op, operand: m.Value})
			}
		case opGreater, opGreaterOrEqual, opLess, opLessOrEqual:
			tests = append(tests, test{op: op, operand: m.Value})
		case opRegex:
			t, err := pattern(at, o)
			if err != nil {
				return nil, err
			}
			tests = append(tests, t)
		case opOptions:
			if _, ok := o.Get(string(opRegex)); !ok {
				return nil, invalidFilter(at.name, m.Name, "needs a $regex beside it")
			}
		default:
			return nil, invalidFilter(at.name, m.Name, "is not supported")
		}
	}
	if len(tests) > 0 {
		parts = append(parts, match{at, tests})
	}
	return parts, nil
}

// negated reads the operand of $not: an operator object.
func (p *filterParser) negated(at path, v jsontext.Value, depth int) (condition, error) {
	o, err := entity.ParseStored(v)
	if v.Kind() != '{' || err != nil || len(o) == 0 {
		return nil, invalidFilter(at.name, string(opNot), "needs an object of operators")
	}
	return p.operators(at, o, depth+1)
}

// members reads the operand of $in and $nin; null among them is told apart.
func members(at path, m entity.Member) (values []jsontext.Value, null bool, err error) {
	listed, ok := elements(m.Value)
	if !ok {
		return nil, false, invalidFilter(at.name, m.Name, "needs an array")
	}
	if len(listed) > maxMembers {
		return nil, false, invalidFilter(at.name, m.Name, "has more than %d members", maxMembers)
	}
	for _, v := range listed {
		if v.Kind() == 'n' {
			null = true
			continue
		}
		values = append(values, v)
	}
	return values, null, nil
}

// pattern reads $regex with its $options.
func pattern(at path, o entity.Object) (test, error) {
	v, _ := o.Get(string(opRegex))
	text := entity.Unquote(v)
	switch {
	case v.Kind() != '"':
		return test{}, invalidFilter(at.name, string(opRegex), "needs a string")
	case len(text) > maxPattern:
		return test{}, invalidFilter(at.name, string(opRegex), "is longer than %d bytes", maxPattern)
	}
	if v, ok := o.Get(string(opOptions)); ok {
		switch options := entity.Unquote(v); {
		case v.Kind() != '"' || options != "" && options != "i":
			return test{}, invalidFilter(at.name, string(opOptions), `knows "i" only`)
		case options == "i":
			text = "(?i)" + text
		}
	}
	if _, err := syntax.Parse(text, syntax.Perl); err != nil {
		return test{}, invalidFilter(at.name, string(opRegex), "is no RE2 pattern: %s", err)
	}
	return test{op: opRegex, pattern: text}, nil
}

// elements gives the values of a JSON array.
func elements(v jsontext.Value) ([]jsontext.Value, bool) {
	if v.Kind() != '[' {
		return nil, false
	}
	var out []jsontext.Value
	d := jsontext.NewDecoder(strings.NewReader(string(v)))
	if _, err := d.ReadToken(); err != nil {
		return nil, false
	}
	for d.PeekKind() != ']' {
		e, err := d.ReadValue()
		if err != nil {
			return nil, false
		}
		out = append(out, e.Clone())
	}
	return out, true
}
