package query

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/catalog/problem"
)

// ParseValues reads the list parameters of interfaces.md 2.4. Names that are none of them are equality conditions on fields,
// or, with a bracket, any condition: value[$gte]=1000. Errors are problems with the documented codes.
func ParseValues(n *noun.Noun, v url.Values) (Query, error) {
	var q Query
	var err error
	if q.Options, err = parseOptions(v); err != nil {
		return q, err
	}
	q.Sort = v.Get("sort")
	q.Cursor = v.Get("cursor")
	q.Text = strings.TrimSpace(v.Get("q") + " " + v.Get("query"))
	if q.CountOnly, err = parseFlag(v, "countOnly"); err != nil {
		return q, err
	}
	if q.Limit, err = parseLimit(v, maxLimit); err != nil {
		return q, err
	}
	if text := v.Get("offset"); text != "" {
		if q.Offset, err = strconv.Atoi(text); err != nil || q.Offset < 0 {
			return q, invalid("offset", "offset is a number of rows")
		}
	}
	if text := v.Get("filter"); text != "" {
		if len(text) > maxFilterBytes {
			return q, invalidFilter("", "", "the filter is larger than %d bytes", maxFilterBytes)
		}
		if q.Filter, err = entity.Parse([]byte(text)); err != nil {
			return q, invalidFilter("", "", "the filter is no JSON object: %s", err)
		}
	}
	short, err := shorthand(n, v)
	if err != nil {
		return q, err
	}
	q.Filter = joined(q.Filter, short)
	return q, nil
}

// parseOptions reads the parameters that a get has as well.
func parseOptions(v url.Values) (o Options, err error) {
	o.AsOf = v.Get("asOf")
	if v.Has("asOf") && strings.TrimSpace(o.AsOf) == "" {
		return o, problem.New(problem.InvalidAsOf, "asOf is empty")
	}
	if o.Strong, err = parseFlag(v, "strong"); err != nil {
		return o, err
	}
	if o.IncludeDeleted, err = parseFlag(v, "includeDeleted"); err != nil {
		return o, err
	}
	if text := v.Get("atVersion"); text != "" {
		if o.AtVersion, err = strconv.ParseInt(text, 10, 64); err != nil || o.AtVersion < 1 {
			return o, invalid("atVersion", "atVersion is a version, 1 or more")
		}
	}
	o.Include = list(v, "include", "populate", "expand")
	o.Fields = list(v, "fields", "select")
	return o, nil
}

// list gathers the comma separated values of a parameter and its aliases.
func list(v url.Values, keys ...string) (out []string) {
	for _, key := range keys {
		for _, text := range v[key] {
			out = append(out, names(strings.Split(text, ","))...)
		}
	}
	return out
}

func parseFlag(v url.Values, key string) (bool, error) {
	switch text := strings.ToLower(v.Get(key)); text {
	case "":
		return v.Has(key), nil // ?strong alone
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	default:
		return false, invalid(key, "%s is true or false", key)
	}
}

// parseLimit gives 0 where none is given.
func parseLimit(v url.Values, most int) (int, error) {
	text := v.Get("limit")
	if text == "" {
		return 0, nil
	}
	limit, err := strconv.Atoi(text)
	if err != nil || limit < 1 || limit > most {
		p := problem.New(problem.LimitExceeded, "limit is 1 to %d", most)
		p.Field = "limit"
		return 0, p
	}
	return limit, nil
}

// reserved says whether a parameter is never a field.
func reserved(name string) bool {
	switch name {
	case "filter", "sort", "limit", "offset", "cursor", "include", "populate", "expand", "fields", "select", "asOf", "strong",
		"q", "query", "countOnly", "includeDeleted", "atVersion":
		return true
	}
	return false
}

// shorthand reads {field}={value} and {field}[$op]={value} into a filter.
func shorthand(n *noun.Noun, v url.Values) (entity.Object, error) {
	keys := make([]string, 0, len(v))
	for key := range v {
		if !reserved(key) && key != "" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys) // an order of its own: the filter is part of what a cursor is bound to
	var filter entity.Object
	operators := map[string]entity.Object{}
	for _, key := range keys {
		field, rest, bracket := strings.Cut(key, "[")
		kind := kindOf(n, field)
		if !bracket {
			filter = append(filter, entity.Member{Name: key, Value: equality(kind, v[key])})
			continue
		}
		op, ok := strings.CutSuffix(rest, "]")
		if !ok || !slices.Contains(supportedOperators, op) {
			return nil, invalidFilter(field, op, "is not supported")
		}
		operand, err := operand(field, op, kind, v[key])
		if err != nil {
			return nil, err
		}
		o := operators[field]
		o.Set(op, operand)
		operators[field] = o
	}
	for _, field := range slices.Sorted(maps.Keys(operators)) {
		filter = joined(filter, entity.Object{{Name: field, Value: operators[field].Append(nil)}})
	}
	return filter, nil
}

// joined is the filter that both filters pass: their members together, or both under $and where they share a name.
func joined(a, b entity.Object) entity.Object {
	shared := slices.ContainsFunc(b, func(m entity.Member) bool { _, ok := a.Get(m.Name); return ok })
	if !shared {
		return append(a, b...)
	}
	var text entity.Object
	if v, ok := a.Get(string(opText)); ok { // stays at the top level
		text = entity.Object{{Name: string(opText), Value: v}}
		a = a.Clone()
		a.Delete(string(opText))
	}
	both := append([]byte{'['}, a.Append(nil)...)
	both = append(both, ',')
	both = append(b.Append(both), ']')
	return append(text, entity.Member{Name: string(opAnd), Value: both})
}

// equality is the condition of {field}={value}; several values are alternatives.
func equality(kind valueKind, texts []string) jsontext.Value {
	var values []jsontext.Value
	for _, text := range texts {
		values = append(values, coerce(kind, text)...)
	}
	if len(values) == 1 {
		if values[0].Kind() == '{' { // a document to be equal to, not operators
			return append(append(jsontext.Value(`{"$eq":`), values[0]...), '}')
		}
		return values[0]
	}
	return append(append(jsontext.Value(`{"$in":`), array(values)...), '}')
}

// operand is the operand of {field}[$op]={value}.
func operand(field, op string, kind valueKind, texts []string) (jsontext.Value, error) {
	text := texts[len(texts)-1]
	switch operator(op) {
	case opIn, opNotIn:
		return membersOf(kind, texts), nil
	case opExists:
		switch strings.ToLower(text) {
		case "true", "1", "":
			return jsontext.Value("true"), nil
		case "false", "0":
			return jsontext.Value("false"), nil
		}
		return nil, invalidFilter(field, op, "needs true or false")
	case opRegex, opOptions:
		return entity.Quote(text), nil
	case opNot:
		o, err := entity.Parse([]byte(text))
		if err != nil {
			return nil, invalidFilter(field, op, "needs an object of operators")
		}
		return o.Append(nil), nil
	}
	values := coerce(kind, text)
	return values[len(values)-1], nil // of an undeclared field, the number rather than the text
}

// membersOf reads the members of $in: a JSON array, a comma separated list, or repeated parameters.
func membersOf(kind valueKind, texts []string) jsontext.Value {
	if len(texts) == 1 && strings.HasPrefix(texts[0], "[") && jsontext.Value(texts[0]).IsValid() {
		v := jsontext.Value(texts[0])
		if v.Compact() == nil {
			return v
		}
	}
	var values []jsontext.Value
	for _, text := range texts {
		if text == "" && len(texts) == 1 {
			break
		}
		for part := range strings.SplitSeq(text, ",") {
			values = append(values, coerce(kind, part)...)
		}
	}
	return array(values)
}

func array(values []jsontext.Value) jsontext.Value {
	b := []byte{'['}
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, v...)
	}
	return append(b, ']')
}

// valueKind is how the text of a parameter is read.
type valueKind uint8

const (
	kindText valueKind = iota
	kindNumber
	kindBoolean
	kindJSON
	kindUnknown // an undeclared field
)

// kindOf gives how values of a field are written. Names that lead through relationships have to be read by type as well, but
// only the filter parser follows them: their values are read as of an undeclared field, and text stays text beside it.
func kindOf(n *noun.Noun, name string) valueKind {
	if meta, ok := metaName(n, name); ok {
		if meta == "$version" {
			return kindNumber
		}
		return kindText
	}
	c, ok := n.Column(n.Current(name))
	if !ok {
		return kindUnknown
	}
	switch {
	case c.Kind.Numeric():
		return kindNumber
	case c.Kind == noun.Boolean:
		return kindBoolean
	case c.Kind == noun.JSON || c.Field != nil && c.Field.Array:
		return kindJSON
	}
	return kindText
}

// coerce reads a parameter's text as a value: as the field's type where it is one, else as a string, which then equals
// nothing. An undeclared field may hold either: both are given. An empty text and null are the absent value.
func coerce(kind valueKind, text string) []jsontext.Value {
	if text == "" || text == "null" {
		return []jsontext.Value{jsontext.Value("null")}
	}
	bare := jsontext.Value(text)
	scalar := bare.IsValid() && (bare.Kind() == '0' || bare.Kind() == 't' || bare.Kind() == 'f')
	switch kind {
	case kindNumber:
		if scalar && bare.Kind() == '0' {
			return []jsontext.Value{trimmed(bare)}
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil && f-f == 0 { // +5, 05, 5.
			return []jsontext.Value{jsontext.Value(strconv.FormatFloat(f, 'g', -1, 64))}
		}
	case kindBoolean:
		if scalar && bare.Kind() != '0' {
			return []jsontext.Value{trimmed(bare)}
		}
	case kindJSON:
		if bare.IsValid() && bare.Compact() == nil {
			return []jsontext.Value{bare}
		}
	case kindUnknown:
		if scalar {
			return []jsontext.Value{entity.Quote(text), trimmed(bare)}
		}
	}
	return []jsontext.Value{entity.Quote(text)}
}

func trimmed(v jsontext.Value) jsontext.Value { return jsontext.Value(strings.TrimSpace(string(v))) }

// ParseEventValues reads the parameters of interfaces.md 3.3, and the lists types and verbs of 3.4.
func ParseEventValues(v url.Values) (EventQuery, error) {
	q := EventQuery{
		Type:   strings.Join(append(list(v, "type"), list(v, "types")...), ","),
		Since:  v.Get("since"),
		Until:  v.Get("until"),
		After:  v.Get("after"),
		Before: v.Get("before"),
		Cursor: v.Get("cursor"),
		Noun:   v.Get("noun"),
		Target: v.Get("target"),
		Actor:  v.Get("actor"),
		Verb:   strings.Join(append(list(v, "verb"), list(v, "verbs")...), ","),
		Order:  strings.ToLower(v.Get("order")),
		AsOf:   v.Get("asOf"),
	}
	if entity := v.Get("entity"); noun.IsID(entity) && q.Target == "" { // one instance, by its other name
		q.Target = entity
	} else if q.Noun == "" && !noun.IsID(entity) {
		q.Noun = entity
	}
	if q.Type == "" && (v.Has("type") || v.Has("types")) {
		q.Type = "!*" // an empty pattern matches nothing
	}
	var err error
	if q.Limit, err = parseLimit(v, maxEvents); err != nil {
		return q, err
	}
	q.Strong, err = parseFlag(v, "strong")
	return q, err
}
