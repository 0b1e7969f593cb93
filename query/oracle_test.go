package query

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"time"

	"headless.ly/catalog/entity"
	"headless.ly/catalog/noun"
	"headless.ly/lakehouse"
)

// oracle evaluates filters in plain Go, as interfaces.md 2.5 says them, over decoded documents.
type oracle struct {
	now  time.Time
	docs map[string]map[string]map[string]any // noun → id → live document
}

// stateAt replays a log.
func newOracle(events []*lakehouse.Event, seq int64, now time.Time, deleted bool) *oracle {
	o := &oracle{now: now, docs: map[string]map[string]map[string]any{}}
	for _, n := range noun.Core().All() {
		o.docs[n.Name] = map[string]map[string]any{}
	}
	for _, e := range events {
		if e.Seq > seq {
			break
		}
		if e.Verb == "delete" && !deleted {
			delete(o.docs[e.Entity], e.Target)
			continue
		}
		doc := decoded(e.Data).(map[string]any)
		o.docs[e.Entity][e.Target] = doc
	}
	return o
}

func decoded(text []byte) any {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(fmt.Sprintf("%s: %v", text, err))
	}
	return v
}

// list gives the ids that pass, in order.
func (o *oracle) list(n *noun.Noun, filter entity.Object, sort []oracleKey) []string {
	out := []string{}
	f := map[string]any{}
	if filter != nil {
		f = decoded(filter.Append(nil)).(map[string]any)
	}
	for id, doc := range o.docs[n.Name] {
		if o.object(n, doc, f) {
			out = append(out, id)
		}
	}
	text, hasText := f["$text"].(string)
	slices.SortFunc(out, func(a, b string) int {
		if hasText && sort == nil && strings.TrimSpace(text) != "" {
			if c := o.score(n, o.docs[n.Name][b], text) - o.score(n, o.docs[n.Name][a], text); c != 0 {
				return c
			}
			return strings.Compare(a, b)
		}
		if sort == nil {
			sort = []oracleKey{{"$createdAt", true}}
		}
		for _, k := range sort {
			if c := o.order(n, k, o.docs[n.Name][a], o.docs[n.Name][b]); c != 0 {
				return c
			}
		}
		return strings.Compare(a, b)
	})
	return out
}

type oracleKey struct {
	name string
	desc bool
}

func (o *oracle) order(n *noun.Noun, k oracleKey, a, b map[string]any) int {
	kind, _ := o.kind(n, k.name)
	x, y := o.native(kind, a[k.name]), o.native(kind, b[k.name])
	switch {
	case x == nil && y == nil:
		return 0
	case x == nil:
		return 1
	case y == nil:
		return -1
	}
	c := compareNative(x, y)
	if k.desc {
		return -c
	}
	return c
}

func (o *oracle) object(n *noun.Noun, doc, filter map[string]any) bool {
	for name, v := range filter {
		switch name {
		case "$and":
			for _, f := range v.([]any) {
				if !o.object(n, doc, f.(map[string]any)) {
					return false
				}
			}
		case "$or":
			passed := false
			for _, f := range v.([]any) {
				passed = passed || o.object(n, doc, f.(map[string]any))
			}
			if !passed {
				return false
			}
		case "$text":
			if !o.text(n, doc, v.(string)) {
				return false
			}
		default:
			if !o.field(n, doc, name, v) {
				return false
			}
		}
	}
	return true
}

func (o *oracle) text(n *noun.Noun, doc map[string]any, text string) bool {
	for _, term := range strings.Fields(strings.ToLower(text)) {
		if o.termFields(n, doc, term) == 0 {
			return false
		}
	}
	return true
}

// termFields counts the fields in which a term begins a word.
func (o *oracle) termFields(n *noun.Noun, doc map[string]any, term string) (count int) {
	for _, f := range n.Searchable() {
		s, _ := doc[f].(string)
		s = strings.ToLower(s)
		for i := range s {
			if (i == 0 || !isWord(s[i-1])) && strings.HasPrefix(s[i:], term) {
				count++
				break
			}
		}
	}
	return count
}

func (o *oracle) score(n *noun.Noun, doc map[string]any, text string) (score int) {
	for _, term := range strings.Fields(strings.ToLower(text)) {
		score += o.termFields(n, doc, term)
	}
	return score
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c >= 0x80
}

// operand is one value a path leads to, with the kind it is declared as; "" is undeclared.
type oracleValue struct {
	kind  noun.Kind
	value any
}

func (o *oracle) kind(n *noun.Noun, name string) (noun.Kind, bool) {
	switch name {
	case "$id", "$type", "$createdBy":
		return noun.String, true
	case "$version":
		return noun.Int, true
	case "$createdAt", "$updatedAt":
		return noun.Datetime, true
	}
	c, ok := n.Column(name)
	return c.Kind, ok
}

// values follows a path. many says that it passed a to-many relationship.
func (o *oracle) values(n *noun.Noun, doc map[string]any, path []string) (values []oracleValue, many bool) {
	head := path[0]
	if edge, ok := n.Relationship(head); ok && edge.Forward && len(path) > 1 {
		target, _ := noun.Core().Get(edge.Target)
		key, _ := doc[head].(string)
		next := o.docs[edge.Target][key] // nil: absent all the way
		return o.values(target, next, path[1:])
	} else if ok && !edge.Forward {
		target, _ := noun.Core().Get(edge.Target)
		rest := path[1:]
		if len(rest) == 0 {
			rest = []string{"$id"}
		}
		self, _ := doc["$id"].(string)
		for _, other := range o.docs[edge.Target] {
			if key, _ := other[edge.Via].(string); key == self && self != "" {
				vs, _ := o.values(target, other, rest)
				values = append(values, vs...)
			}
		}
		return values, true
	}
	if alias, ok := map[string]string{"id": "$id", "type": "$type", "version": "$version", "createdAt": "$createdAt",
		"createdBy": "$createdBy", "updatedAt": "$updatedAt"}[head]; ok && len(path) == 1 {
		if _, declared := n.Column(head); !declared {
			head = alias
		}
	}
	kind, declared := o.kind(n, head)
	if head == "$type" && doc == nil {
		// a missing target has no type; the type of a noun's rows is the noun's name
		return []oracleValue{{kind: kind}}, false
	}
	v := doc[head]
	for _, member := range path[1:] {
		m, ok := v.(map[string]any)
		if a, isArray := v.([]any); isArray && len(member) == 1 && member[0] >= '0' && int(member[0]-'0') < len(a) {
			v = a[member[0]-'0']
			continue
		}
		if !ok {
			v = nil
			break
		}
		v = m[member]
	}
	if declared && kind != noun.JSON && len(path) > 1 {
		v = nil
	}
	if !declared || kind == noun.JSON {
		kind = ""
	}
	return []oracleValue{{kind, v}}, false
}

func (o *oracle) field(n *noun.Noun, doc map[string]any, name string, cond any) bool {
	values, _ := o.values(n, doc, strings.Split(name, "."))
	ops, ok := cond.(map[string]any)
	if !ok || !anyOperator(ops) {
		ops = map[string]any{"$eq": cond}
	}
	return o.holds(values, ops)
}

func anyOperator(m map[string]any) bool {
	for k := range m {
		if strings.HasPrefix(k, "$") {
			return true
		}
	}
	return false
}

// holds says whether a field condition holds of the values of a path.
func (o *oracle) holds(values []oracleValue, ops map[string]any) bool {
	present := slices.ContainsFunc(values, func(v oracleValue) bool { return v.value != nil })
	positive := map[string]any{}
	for op, operand := range ops {
		switch {
		case op == "$not":
			if o.holds(values, operand.(map[string]any)) {
				return false
			}
		case op == "$exists" && operand == false, op == "$eq" && operand == nil:
			if present {
				return false
			}
		case op == "$in" && slices.Contains(kinds(operand), "nil"):
			if !present {
				continue
			}
			if !slices.ContainsFunc(values, func(v oracleValue) bool { return o.in(v, operand.([]any)) }) {
				return false
			}
		case op != "$options":
			positive[op] = operand
		}
	}
	if len(positive) == 0 {
		return true
	}
	return slices.ContainsFunc(values, func(v oracleValue) bool {
		for op, operand := range positive {
			if !o.test(v, op, operand, ops["$options"] == "i") {
				return false
			}
		}
		return true
	})
}

func kinds(list any) (out []string) {
	for _, v := range list.([]any) {
		if v == nil {
			out = append(out, "nil")
		}
	}
	return out
}

func (o *oracle) in(v oracleValue, list []any) bool {
	return slices.ContainsFunc(list, func(operand any) bool {
		if operand == nil {
			return v.value == nil
		}
		return o.equal(v, operand)
	})
}

// test is one operator on one value.
func (o *oracle) test(v oracleValue, op string, operand any, fold bool) bool {
	switch op {
	case "$eq":
		return o.equal(v, operand)
	case "$ne":
		if operand == nil {
			return v.value != nil
		}
		return !o.equal(v, operand)
	case "$in":
		return o.in(v, operand.([]any))
	case "$nin":
		return !o.in(v, operand.([]any))
	case "$exists":
		return v.value != nil
	case "$regex":
		s, ok := v.value.(string)
		if !ok || v.kind == noun.Date || v.kind == noun.Datetime {
			return false
		}
		pattern := operand.(string)
		if fold {
			pattern = "(?i)" + pattern
		}
		return regexp.MustCompile(pattern).MatchString(s)
	}
	x := o.native(v.kind, v.value)
	y := o.native(v.kind, operand)
	if x == nil || y == nil || fmt.Sprintf("%T", x) != fmt.Sprintf("%T", y) {
		return false
	}
	switch x.(type) {
	case string, *big.Rat, time.Time:
	default:
		return false
	}
	switch c := compareNative(x, y); op {
	case "$gt":
		return c > 0
	case "$gte":
		return c >= 0
	case "$lt":
		return c < 0
	case "$lte":
		return c <= 0
	}
	panic(op)
}

func (o *oracle) equal(v oracleValue, operand any) bool {
	x := o.native(v.kind, v.value)
	y := o.native(v.kind, operand)
	if x == nil || y == nil || fmt.Sprintf("%T", x) != fmt.Sprintf("%T", y) {
		return false
	}
	return compareNative(x, y) == 0
}

// native gives a decoded JSON value as the kind compares it; nil where it has no such value.
func (o *oracle) native(kind noun.Kind, v any) any {
	switch v := v.(type) {
	case json.Number:
		if kind != "" && !kind.Numeric() {
			return nil
		}
		r, ok := new(big.Rat).SetString(string(v))
		if !ok {
			panic(v)
		}
		if kind == noun.Number || strings.ContainsAny(string(v), ".eE") {
			f, _ := r.Float64()
			r = new(big.Rat).SetFloat64(f)
		}
		return r
	case string:
		switch {
		case kind == noun.Date || kind == noun.Datetime:
			return o.instant(v)
		case kind == noun.Boolean || kind.Numeric():
			return nil
		}
		return v
	case bool:
		if kind != "" && kind != noun.Boolean {
			return nil
		}
		return v
	case nil:
		return nil
	default:
		if kind != "" {
			return nil
		}
		b, _ := json.Marshal(v)
		return b
	}
}

func (o *oracle) instant(text string) any {
	switch text {
	case "now":
		return o.now
	case "today":
		return o.now.Truncate(24 * time.Hour)
	case "2d ago":
		return o.now.Add(-48 * time.Hour)
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC()
		}
	}
	return nil
}

func compareNative(x, y any) int {
	switch x := x.(type) {
	case string:
		return strings.Compare(x, y.(string))
	case *big.Rat:
		return x.Cmp(y.(*big.Rat))
	case time.Time:
		return x.Compare(y.(time.Time))
	case bool:
		switch {
		case x == y.(bool):
			return 0
		case x:
			return 1
		}
		return -1
	case []byte:
		return bytes.Compare(x, y.([]byte))
	}
	panic(fmt.Sprintf("%T", x))
}
