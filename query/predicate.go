package query

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
	"headless.ly/lakehouse"
)

// compiler writes conditions as SQL. Every expression it writes may be unknown only where the condition is false: AND and
// OR keep that, and a complement is written as "is not true". So unknown never reaches a decision.
type compiler struct {
	*statement
	now time.Time // what relative literals are relative to
	at  string    // the instant at which rows that relationships lead to are read; "": they have one state only
}

func (c *compiler) condition(cond condition, row string) {
	switch cond := cond.(type) {
	case all:
		c.join(cond, " and ", "true", row)
	case some:
		c.join(cond, " or ", "false", row)
	case not:
		c.write("(")
		c.condition(cond.part, row)
		c.write(") is not true")
	case match:
		c.match(cond.path.hops, cond, row)
	}
}

// join writes the parts with an operator between them, or what stands for none.
func (c *compiler) join(parts []condition, operator, none, row string) {
	if len(parts) == 0 {
		c.write(none)
		return
	}
	for i, part := range parts {
		if i > 0 {
			c.write(operator)
		}
		c.write("(")
		c.condition(part, row)
		c.write(")")
	}
}

// match follows the hops that are left, then tests the leaf.
func (c *compiler) match(hops []hop, m match, row string) {
	if len(hops) == 0 {
		c.tests(m, row)
		return
	}
	edge := hops[0].relationship
	key, found := columnID, edge.Via
	if edge.Forward {
		key, found = edge.Name, columnID
	}
	// A chain of single targets that ends in nothing is an absent value, which passes if all tests are negative.
	absent := !match{path: path{hops: hops}}.path.many() && m.passesAbsent()
	c.write("(", row, ".", quoteName(key), " in (select ")
	inner := "r" + strconv.Itoa(c.aliases)
	c.write(inner, ".", quoteName(found), " from ")
	c.from(relation{noun: hops[0].target, versions: c.at != ""})
	c.write(" where ")
	if c.at != "" {
		c.write("not ", inner, ".", columnDeleted, " and ", interval(inner, c.at), " and ")
	}
	c.write("(")
	c.match(hops[1:], m, inner)
	if absent {
		c.write(") is not true)) is not true")
		return
	}
	c.write(")))")
}

// passesAbsent says whether an absent value passes all tests.
func (m match) passesAbsent() bool {
	for _, t := range m.tests {
		if t.op != opNotEqual && t.op != opNotIn {
			return false
		}
	}
	return true
}

// tests writes all tests of one row's value.
func (c *compiler) tests(m match, row string) {
	for i, t := range m.tests {
		if i > 0 {
			c.write(" and ")
		}
		c.test(value{leaf: m.path.leaf, row: row}, t)
	}
}

func (c *compiler) test(v value, t test) {
	switch t.op {
	case opNotEqual:
		c.write("(")
		c.test(v, test{op: opEqual, operand: t.operand})
		c.write(") is not true")
	case opNotIn:
		c.write("(")
		c.test(v, test{op: opIn, operands: t.operands})
		c.write(") is not true")
	case opIn:
		c.in(v, t.operands)
	case opExists:
		c.exists(v)
	case opRegex:
		c.regex(v, t.pattern)
	default:
		c.compare(v, t.op, t.operand)
	}
}

// value is a leaf of a named row.
type value struct {
	leaf
	row string
}

// sql is the column of the value.
func (v value) sql() string { return v.row + "." + quoteName(v.column.Name) }

// comparison is the SQL of an ordering or equality operator.
func comparison(op operator) string {
	switch op {
	case opGreater:
		return " > "
	case opGreaterOrEqual:
		return " >= "
	case opLess:
		return " < "
	case opLessOrEqual:
		return " <= "
	}
	return " = "
}

func (c *compiler) exists(v value) {
	switch v.kind {
	case leafColumn:
		c.write(v.sql(), " is not null")
	case leafJSON:
		c.jsonType(v)
		c.write(" <> 'NULL'")
	case leafType:
		c.write("true")
	default:
		c.write("false")
	}
}

// regex writes a pattern match; only strings have patterns.
func (c *compiler) regex(v value, pattern string) {
	switch {
	case v.kind == leafColumn && v.column.Type == lakehouse.String:
		c.write("regexp_matches(", v.sql(), ", ")
		c.bind(pattern)
		c.write(")")
	case v.kind == leafJSON:
		c.write("(")
		c.jsonType(v)
		c.write(" = 'VARCHAR' and regexp_matches(")
		c.jsonText(v)
		c.write(", ")
		c.bind(pattern)
		c.write("))")
	case v.kind == leafType && regexp.MustCompile(pattern).MatchString(v.text): // checked while parsing
		c.write("true")
	default:
		c.write("false")
	}
}

// in writes membership: equal to any of the operands.
func (c *compiler) in(v value, operands []jsontext.Value) {
	if v.kind == leafColumn {
		c.columnIn(v, operands)
		return
	}
	if v.kind == leafJSON {
		c.inJSON(v, operands)
		return
	}
	equal := func(operand jsontext.Value) bool { return operand.Kind() == '"' && entity.Unquote(operand) == v.text }
	c.write(strconv.FormatBool(v.kind == leafType && slices.ContainsFunc(operands, equal)))
}

// columnIn writes membership for a typed column; operands of another type are equal to nothing.
func (c *compiler) columnIn(v value, operands []jsontext.Value) {
	sources := map[bool]string{false: v.sql(), true: "cast(" + v.sql() + " as double)"}
	c.write("(false")
	for _, widen := range []bool{false, true} {
		first := true
		for _, operand := range operands {
			b, ok := c.operand(v.column, opEqual, operand)
			if !ok || b.widen != widen {
				continue
			}
			if first {
				c.write(" or ", sources[widen], " in (")
			} else {
				c.write(", ")
			}
			first = false
			c.bound(b)
		}
		if !first {
			c.write(")")
		}
	}
	c.write(")")
}

func (c *compiler) compare(v value, op operator, operand jsontext.Value) {
	switch v.kind {
	case leafColumn:
		b, ok := c.operand(v.column, op, operand)
		if !ok {
			c.write("false")
			return
		}
		if b.widen {
			c.write("cast(", v.sql(), " as double)", comparison(b.op))
		} else {
			c.write(v.sql(), comparison(b.op))
		}
		c.bound(b)
	case leafJSON:
		c.compareJSON(v, op, operand)
	case leafType:
		c.write(strconv.FormatBool(operand.Kind() == '"' && ordered(v.text, op, entity.Unquote(operand))))
	default:
		c.write("false")
	}
}

// ordered compares two strings by code point.
func ordered(a string, op operator, b string) bool {
	switch order := strings.Compare(a, b); op {
	case opGreater:
		return order > 0
	case opGreaterOrEqual:
		return order >= 0
	case opLess:
		return order < 0
	case opLessOrEqual:
		return order <= 0
	default:
		return order == 0
	}
}

// boundOperand is an operand as a column's type has it.
type boundOperand struct {
	op    operator // may have moved: an instant within a day is compared with the day
	value any
	cast  string // SQL type of the parameter, where the driver's would be another
	widen bool   // the column is compared as a double
}

func (c *compiler) bound(b boundOperand) {
	if b.cast == "" {
		c.bind(b.value)
		return
	}
	c.write("cast(")
	c.bind(b.value)
	c.write(" as ", b.cast, ")")
}

// operand gives the operand as the column's type has it; ok is false where it can match nothing.
func (c *compiler) operand(column lakehouse.Column, op operator, v jsontext.Value) (b boundOperand, ok bool) {
	b.op = op
	kind := v.Kind()
	switch column.Type {
	case lakehouse.String:
		b.value = entity.Unquote(v)
		return b, kind == '"'
	case lakehouse.Boolean:
		b.value = kind == 't'
		return b, op == opEqual && (kind == 't' || kind == 'f')
	case lakehouse.Double:
		if kind != '0' {
			return b, false
		}
		b.value = float(v)
		return b, true
	case lakehouse.Long, lakehouse.Decimal:
		return exactOperand(column, op, v)
	case lakehouse.Timestamp:
		t, ok := parseMoment(entity.Unquote(v), c.now)
		b.value = t
		return b, ok && kind == '"'
	case lakehouse.Date:
		t, ok := parseMoment(entity.Unquote(v), c.now)
		if !ok || kind != '"' {
			return b, false
		}
		return dateOperand(op, t)
	}
	return b, false
}

// dateOperand compares the midnight that begins a date with an instant: an instant within a day lies behind its date.
func dateOperand(op operator, t time.Time) (boundOperand, bool) {
	date := day(t)
	if !date.Equal(t) {
		switch op {
		case opEqual:
			return boundOperand{}, false
		case opGreaterOrEqual:
			op = opGreater
		case opLess:
			op = opLessOrEqual
		}
	}
	return boundOperand{op: op, value: date.Format(time.DateOnly), cast: "date"}, true
}

// exactOperand is the operand of a column of exact numbers: as an integer or decimal where it is one that fits, else the
// column is compared as a double.
func exactOperand(column lakehouse.Column, op operator, v jsontext.Value) (boundOperand, bool) {
	if v.Kind() != '0' {
		return boundOperand{}, false
	}
	f := float(v)
	if i, ok := integer(v, f); ok && column.Type == lakehouse.Long {
		return boundOperand{op: op, value: i}, true
	}
	return boundOperand{op: op, value: f, widen: true}, column.Type == lakehouse.Decimal || op != opEqual
}

// float is the double nearest to a JSON number.
func float(v jsontext.Value) float64 {
	f, _ := strconv.ParseFloat(string(v), 64) // out of range: an infinity, greater than all
	return f
}

// integer gives a JSON number, whose double is f, as an integer if it is one that fits 64 bits.
func integer(v jsontext.Value, f float64) (int64, bool) {
	if i, err := strconv.ParseInt(string(v), 10, 64); err == nil {
		return i, true
	}
	if f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		return 0, false
	}
	return int64(f), true
}
