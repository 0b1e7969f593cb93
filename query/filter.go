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
	names    map[string]path // not nil: the only names there are
}

// path resolves a name.
func (p *filterParser) path(name string) (path, error) {
	if p.names == nil {
		return p.resolver.path(p.noun, name)
	}
	at, ok := p.names[name]
	if !ok {
		return path{}, invalidFilter(name, "", "results have no such column")
	}
	return at, nil
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
	terms := strings.Fields(strings.ToLower(strings.ToValidUTF8(text, "\uFFFD")))
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
	where, err := p.path(m.Name)
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
	values, ok := entity.Elements(m.Value)
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

// fieldCondition gathers what a filter says about one field. Tests that a row passes by its value go together, so that one
// row of a set has to pass all of them; complements ($not, $exists false, equality to null) stand beside them.
type fieldCondition struct {
	at    path
	tests []test
	parts all
}

// absent is the condition that there is no value.
func (f *fieldCondition) absent() condition { return not{match{f.at, []test{{op: opExists}}}} }

func (f *fieldCondition) pass(t test)         { f.tests = append(f.tests, t) }
func (f *fieldCondition) require(c condition) { f.parts = append(f.parts, c) }

// condition joins what was gathered.
func (f *fieldCondition) condition() condition {
	if len(f.tests) == 0 {
		return f.parts
	}
	return append(f.parts, match{f.at, f.tests})
}

// operators reads an operator object.
func (p *filterParser) operators(at path, o entity.Object, depth int) (condition, error) {
	if depth > maxNesting {
		return nil, invalidFilter(at.name, "", "the filter is nested deeper than %d", maxNesting)
	}
	f := &fieldCondition{at: at}
	for _, m := range o {
		var err error
		switch op := operator(m.Name); op {
		case opEqual, opNotEqual:
			f.equality(op, m.Value)
		case opGreater, opGreaterOrEqual, opLess, opLessOrEqual:
			f.pass(test{op: op, operand: m.Value})
		case opIn, opNotIn:
			err = f.membership(m)
		case opExists:
			err = f.existence(m)
		case opRegex:
			err = f.regex(o)
		case opOptions:
			if _, ok := o.Get(string(opRegex)); !ok {
				err = invalidFilter(at.name, m.Name, "needs a $regex beside it")
			}
		case opNot:
			var inner condition
			inner, err = p.negated(at, m.Value, depth)
			f.require(not{inner})
		default:
			err = invalidFilter(at.name, m.Name, "is not supported")
		}
		if err != nil {
			return nil, err
		}
	}
	return f.condition(), nil
}

// equality reads $eq and $ne: null stands for the absent value.
func (f *fieldCondition) equality(op operator, operand jsontext.Value) {
	switch null := operand.Kind() == 'n'; {
	case null && op == opEqual:
		f.require(f.absent())
	case null:
		f.pass(test{op: opExists})
	default:
		f.pass(test{op: op, operand: operand})
	}
}

func (f *fieldCondition) existence(m entity.Member) error {
	switch m.Value.Kind() {
	case 't':
		f.pass(test{op: opExists})
	case 'f':
		f.require(f.absent())
	default:
		return invalidFilter(f.at.name, m.Name, "needs true or false")
	}
	return nil
}

// membership reads $in and $nin.
func (f *fieldCondition) membership(m entity.Member) error {
	values, null, err := members(f.at, m)
	in := test{op: operator(m.Name), operands: values}
	switch {
	case null && in.op == opIn:
		f.require(some{match{f.at, []test{in}}, f.absent()})
	case null:
		f.pass(in)
		f.pass(test{op: opExists})
	default:
		f.pass(in)
	}
	return err
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
	listed, ok := entity.Elements(m.Value)
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

// regex reads $regex with its $options.
func (f *fieldCondition) regex(o entity.Object) error {
	v, _ := o.Get(string(opRegex))
	text := entity.Unquote(v)
	switch {
	case v.Kind() != '"':
		return invalidFilter(f.at.name, string(opRegex), "needs a string")
	case len(text) > maxPattern:
		return invalidFilter(f.at.name, string(opRegex), "is longer than %d bytes", maxPattern)
	}
	if v, ok := o.Get(string(opOptions)); ok {
		switch options := entity.Unquote(v); {
		case v.Kind() != '"' || options != "" && options != "i":
			return invalidFilter(f.at.name, string(opOptions), `knows "i" only`)
		case options == "i":
			text = "(?i)" + text
		}
	}
	if _, err := syntax.Parse(text, syntax.Perl); err != nil {
		return invalidFilter(f.at.name, string(opRegex), "is no RE2 pattern: %s", err)
	}
	f.pass(test{op: opRegex, pattern: text})
	return nil
}
