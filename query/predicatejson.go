package query

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"headless.ly/catalog/entity"
)

// jsonType writes the JSON type of a value inside a JSON column: null where there is none, 'NULL' for a JSON null.
func (c *compiler) jsonType(v value) {
	c.write("json_type(", v.sql(), ", ")
	c.bind(v.pointer)
	c.write(")")
}

// jsonText writes the text of a value inside a JSON column: a string without its quotes, a number as it is spelled.
func (c *compiler) jsonText(v value) {
	c.write("json_extract_string(", v.sql(), ", ")
	c.bind(v.pointer)
	c.write(")")
}

// compareJSON compares a value inside a JSON column, by type. Objects and arrays are equal by their text: the order of
// members counts.
func (c *compiler) compareJSON(v value, op operator, operand jsontext.Value) {
	switch operand.Kind() {
	case '"':
		c.write("(")
		c.jsonType(v)
		c.write(" = 'VARCHAR' and ")
		c.jsonText(v)
		c.write(comparison(op))
		c.bind(entity.Unquote(operand))
		c.write(")")
	case '0':
		c.compareJSONNumber(v, op, operand)
	case 't', 'f', '{', '[':
		if op != opEqual {
			c.write("false")
			return
		}
		c.write("json_extract(", v.sql(), ", ")
		c.bind(v.pointer)
		c.write(") = json_extract(")
		c.bind(string(operand))
		c.write(", '$')")
	default:
		c.write("false")
	}
}

// compareJSONNumber keeps the 64 bits of integers; where either side is no integer, both are doubles.
func (c *compiler) compareJSONNumber(v value, op operator, operand jsontext.Value) {
	f := float(operand)
	i, exact := integer(operand, f)
	c.jsonNumber(v, func(integers bool) {
		c.write("try_cast(")
		c.jsonText(v)
		if exact && integers {
			c.write(" as hugeint)", comparison(op))
			c.bind(i)
		} else {
			c.write(" as double)", comparison(op))
			c.bind(f)
		}
	})
}

// jsonNumber writes a condition on a number, one for integers of 64 bits and one for the rest; it is false of what is none.
func (c *compiler) jsonNumber(v value, condition func(integers bool)) {
	c.write("case ")
	c.jsonType(v)
	for _, kind := range []string{"UBIGINT", "BIGINT", "DOUBLE"} {
		c.write(" when ", quoteText(kind), " then ")
		condition(kind != "DOUBLE")
	}
	c.write(" end")
}

// inJSON writes membership by type, so that a long list costs one look at the document for each type.
func (c *compiler) inJSON(v value, operands []jsontext.Value) {
	var texts, integers, doubles, inexact, others []any
	for _, operand := range operands {
		switch operand.Kind() {
		case '"':
			texts = append(texts, entity.Unquote(operand))
		case '0':
			f := float(operand)
			doubles = append(doubles, f)
			if i, exact := integer(operand, f); exact {
				integers = append(integers, i)
			} else {
				inexact = append(inexact, f)
			}
		default:
			others = append(others, string(operand))
		}
	}
	c.write("(false")
	if len(texts) > 0 {
		c.write(" or ")
		c.jsonType(v)
		c.write(" = 'VARCHAR' and ")
		c.jsonText(v)
		c.oneOf(texts, "?")
	}
	if len(doubles) > 0 {
		c.write(" or ")
		c.jsonNumber(v, func(ints bool) {
			c.write("(false")
			if ints {
				c.orOneOf(v, "hugeint", integers)
				c.orOneOf(v, "double", inexact)
			} else {
				c.orOneOf(v, "double", doubles)
			}
			c.write(")")
		})
	}
	if len(others) > 0 {
		c.write(" or json_extract(", v.sql(), ", ")
		c.bind(v.pointer)
		c.write(")")
		c.oneOf(others, "json_extract(?, '$')")
	}
	c.write(")")
}

// orOneOf writes " or " and that the value, cast to a type, is one of some; nothing where there are none.
func (c *compiler) orOneOf(v value, to string, values []any) {
	if len(values) == 0 {
		return
	}
	c.write(" or try_cast(")
	c.jsonText(v)
	c.write(" as ", to, ")")
	c.oneOf(values, "?")
}

// oneOf writes " in (…)" with a parameter for each value; form is how one is written.
func (c *compiler) oneOf(values []any, form string) {
	c.write(" in (")
	for i, v := range values {
		if i > 0 {
			c.write(", ")
		}
		before, after, _ := strings.Cut(form, "?")
		c.write(before)
		c.bind(v)
		c.write(after)
	}
	c.write(")")
}
